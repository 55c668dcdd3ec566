"""Frames: cut by the lines alone, each whole without the others; what a torn file keeps."""

from __future__ import annotations

import asyncio
import gzip
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.data import installed
from support.effort import examples

from auditor.output.frames import (
    FRAME_OCTETS,
    RecoveredLines,
    frame_end,
    frame_format,
    recover_lines,
)
from auditor.output.sink import FileSink, partial_path
from auditor.targets.decompress import decompressed

if TYPE_CHECKING:
    from collections.abc import Iterable

SUFFIXES = ("", ".gz", ".zst")
LINES = [b'{"number":%d,"filler":"%s"}\n' % (number, b"x" * (number % 37)) for number in range(120)]
WHOLE = b"".join(LINES)
#: A frame of these tests: some fifteen lines.
SMALL = 600


def _is_line(line: bytes) -> bool:
    """Tell what is a record in here; it comes with or without its line feed."""
    return line.rstrip(b"\n") + b"\n" in LINES


def _plain(path: Path) -> bytes:
    data = path.read_bytes()
    form = {".gz": "gzip", ".zst": "zstd"}.get(path.suffix)
    return b"".join(decompressed(iter([data]), form, path.name)) if form else data


def _written(path: Path, chunks: Iterable[bytes]) -> FileSink:
    """Return a sink that was given these chunks."""

    async def main() -> FileSink:
        sink = FileSink(path, frame=SMALL)
        for chunk in chunks:
            await sink.write_lines(chunk)
        return sink

    return asyncio.run(main())


def _finished(path: Path, chunks: Iterable[bytes]) -> bytes:
    sink = _written(path, chunks)
    sink.finish_output()
    sink.close_output()
    return path.read_bytes()


def _taken_up(path: Path) -> tuple[FileSink, int]:
    """Return a sink that goes on, and how many lines it found: the next ones, and no others."""
    kept = 0

    def note(line: bytes) -> bool:
        nonlocal kept
        if kept == len(LINES) or line.rstrip(b"\n") != LINES[kept].rstrip(b"\n"):
            return False
        kept += 1
        return True

    sink = FileSink(path, resume=True, frame=SMALL)
    sink.recover(note)
    return sink, kept


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return what an undisturbed run leaves, by the suffix."""
    folder = tmp_path_factory.mktemp("undisturbed")
    return {suffix: _finished(folder / f"out{suffix}", LINES) for suffix in SUFFIXES}


# --- Cutting


def test_a_frame_ends_with_the_line_that_makes_it_large_enough() -> None:
    assert frame_end(b"", 4) == 0
    assert frame_end(b"ab\n", 4) == 0
    assert frame_end(b"abc\n", 4) == 4
    assert frame_end(b"ab\ncdefg\nh\n", 4) == 9
    assert frame_end(b"abcdefgh\n" * 3, 4) == 9
    assert frame_end(WHOLE) == 0 < FRAME_OCTETS


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("size", [1, 2, 7, 50, len(LINES)])
def test_how_lines_arrive_makes_no_difference(
    tmp_path: Path, undisturbed: dict[str, bytes], suffix: str, size: int
) -> None:
    chunks = [b"".join(LINES[start : start + size]) for start in range(0, len(LINES), size)]
    path = tmp_path / f"out{suffix}"
    assert _finished(path, chunks) == undisturbed[suffix]
    assert _plain(path) == WHOLE


@pytest.mark.parametrize("suffix", [".gz", ".zst", ".GZ", ".Zst"])
def test_every_frame_stands_alone_and_holds_nothing_volatile(suffix: str) -> None:
    form = frame_format(Path(f"out{suffix}"))
    assert form is not None
    first, second = form.pack(WHOLE), form.pack(WHOLE)
    assert first == second
    if suffix.lower() == ".gz":
        assert first[3:8] == bytes(5)  # no name, no time
        assert gzip.decompress(first + second) == WHOLE * 2
    else:
        parameters = zstandard.get_frame_parameters(first)
        assert (parameters.content_size, parameters.has_checksum) == (len(WHOLE), True)


@pytest.mark.parametrize("name", ["out", "out.ndjson", "gz", "out.gz.ndjson"])
def test_other_names_mean_plain_lines(name: str) -> None:
    assert frame_format(Path(name)) is None


@pytest.mark.parametrize(("suffix", "program"), [(".gz", "gzip"), (".zst", "zstd")])
def test_the_usual_programs_read_it(tmp_path: Path, suffix: str, program: str) -> None:
    installed(program, program)
    _finished(tmp_path / f"out{suffix}", LINES)
    command = [program, "-d", "-c", str(tmp_path / f"out{suffix}")]
    assert subprocess.run(command, capture_output=True, check=True).stdout == WHOLE


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_output_without_lines_is_whole_too(tmp_path: Path, suffix: str) -> None:
    _finished(tmp_path / f"out{suffix}", [])
    assert _plain(tmp_path / f"out{suffix}") == b""


# --- Going on


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(data=st.data())
@settings(max_examples=examples(100), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_cut_anywhere_and_gone_on_with_it_is_as_if_nothing_had_happened(
    undisturbed: dict[str, bytes], suffix: str, data: st.DataObject
) -> None:
    whole = undisturbed[suffix]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"out{suffix}"
        partial_path(path).write_bytes(whole)
        # Again and again, shorter or longer than before, perhaps with lines to keep.
        for _ in range(data.draw(st.integers(1, 3))):
            size = partial_path(path).stat().st_size
            end = data.draw(st.integers(0, size))
            os.truncate(partial_path(path), end)
            junk = data.draw(st.binary(max_size=40))
            with partial_path(path).open("ab") as file:
                file.write(junk)
            more = data.draw(st.integers(0, 40))
            sink, kept = _taken_up(path)
            asyncio.run(sink.write_lines(b"".join(LINES[kept : kept + more])))
            if data.draw(st.booleans()):
                sink.sync()
            sink.close_output()
        sink, kept = _taken_up(path)
        asyncio.run(sink.write_lines(b"".join(LINES[kept:])))
        sink.finish_output()
        sink.close_output()
        assert path.read_bytes() == whole


@pytest.mark.parametrize("suffix", SUFFIXES)
@given(place=st.floats(0, 1, exclude_max=True), octet=st.integers(1, 255))
@settings(max_examples=examples(50), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_anywhere_costs_what_is_behind_it_and_nothing_else(
    undisturbed: dict[str, bytes], suffix: str, place: float, octet: int
) -> None:
    whole = undisturbed[suffix]
    damaged = bytearray(whole)
    damaged[int(place * len(whole))] ^= octet
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / f"out{suffix}"
        partial_path(path).write_bytes(damaged)
        sink, kept = _taken_up(path)
        asyncio.run(sink.write_lines(b"".join(LINES[kept:])))
        sink.finish_output()
        sink.close_output()
        assert _plain(path) == WHOLE
        # In the head of a gzip member there are octets that nobody reads.
        assert suffix == ".gz" or path.read_bytes() == whole


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_torn_end_costs_no_more_than_the_last_frame(
    tmp_path: Path, undisturbed: dict[str, bytes], suffix: str
) -> None:
    torn = tmp_path / "torn"
    torn.write_bytes(undisturbed[suffix][:-1])
    with torn.open("rb") as file:
        kept = recover_lines(file.fileno(), frame_format(Path(f"out{suffix}")), _is_line, SMALL)
    ends = []
    rest = WHOLE
    while end := frame_end(rest, SMALL):
        ends.append(end)
        rest = rest[end:]
    assert len(ends) > 3
    assert 0 < len(rest) < SMALL
    form = frame_format(Path(f"out{suffix}"))
    assert form is not None
    assert undisturbed[suffix][kept.end :] == form.pack(rest)
    assert (kept.pending, kept.torn) == (b"", len(form.pack(rest)) - 1)


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_lines_that_make_no_whole_frame_outlive_the_process_once_they_are_kept(
    tmp_path: Path, undisturbed: dict[str, bytes], suffix: str
) -> None:
    path = tmp_path / f"out{suffix}"
    sink = _written(path, LINES[:3])
    assert (sink.size, sink.unwritten) == (0, b"".join(LINES[:3]))
    sink.sync()
    assert (sink.size > 0, sink.unwritten) == (True, b"")
    asyncio.run(sink.write_lines(LINES[3]))
    assert sink.unwritten == LINES[3]
    sink.sync()
    size = sink.size
    sink.sync()  # there is nothing new
    assert sink.size == size
    sink.close_output()  # as SIGKILL would
    sink = FileSink(path, resume=True, frame=SMALL)
    assert sink.recover(_is_line).pending == b"".join(LINES[:4])
    asyncio.run(sink.write_lines(b"".join(LINES[4:])))
    sink.finish_output()
    sink.close_output()
    assert path.read_bytes() == undisturbed[suffix]


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("kept", [0, 3])
def test_lines_that_are_refused_are_gone_at_once(tmp_path: Path, suffix: str, kept: int) -> None:
    path = tmp_path / f"out{suffix}"
    sink = _written(path, LINES[:4])
    sink.sync()
    sink.close_output()
    sink = FileSink(path, resume=True, frame=SMALL)
    room = iter(range(kept))
    assert sink.recover(lambda _line: next(room, None) is not None).torn > 0
    assert sink.unwritten == b""
    sink.close_output()  # before anything is written
    sink = FileSink(path, resume=True, frame=SMALL)
    assert sink.recover(_is_line).torn == 0
    asyncio.run(sink.write_lines(b"".join(LINES[kept:])))
    sink.finish_output()
    sink.close_output()
    assert path.read_bytes() == _finished(tmp_path / f"other{suffix}", LINES)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_nobody_wrote_is_not_read_into_memory(tmp_path: Path, suffix: str) -> None:
    bomb = bytes(40 << 20)
    form = frame_format(Path(f"out{suffix}"))
    (tmp_path / "bomb").write_bytes(form.pack(bomb) if form else bomb)
    size = (tmp_path / "bomb").stat().st_size
    with (tmp_path / "bomb").open("rb") as file:
        assert recover_lines(file.fileno(), form, _is_line) == RecoveredLines(0, b"", size)
