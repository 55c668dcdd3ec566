"""Tests `decompress.py`."""

from __future__ import annotations

import gzip
import io
import lzma
import os
import struct
import sys
import tracemalloc
from typing import TYPE_CHECKING

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import InputError
from auditor.targets.reader import MAX_LINE_OCTETS, bare, locate, read_lines

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

PACK: dict[str, Callable[[bytes], bytes]] = {
    "gz": gzip.compress,
    "xz": lzma.compress,
    "zst": zstandard.ZstdCompressor(write_checksum=True).compress,
}
TEXT = b"192.0.2.1\n192.0.2.2\nexample.net\n"
LINES = [b"192.0.2.1", b"192.0.2.2", b"example.net"]


def lines_of(path: Path) -> list[bytes]:
    return [line for batch in read_lines(locate(str(path))) for line in batch]


def lines_from(data: bytes | io.BytesIO) -> list[bytes]:
    stdin = io.BytesIO(data) if isinstance(data, bytes) else data
    batches = read_lines(locate("-", dash=True), stdin)
    return [line for batch in batches for line in batch]


@pytest.mark.parametrize("suffix", PACK)
def test_compressed_files_are_read_as_they_are(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"list.txt.{suffix}"
    path.write_bytes(PACK[suffix](TEXT))
    assert lines_of(path) == LINES


@pytest.mark.parametrize("suffix", PACK)
def test_compression_is_known_by_its_first_bytes_too(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "list"
    path.write_bytes(PACK[suffix](TEXT))
    assert lines_of(path) == LINES
    assert lines_from(path.read_bytes()) == LINES


def test_first_bytes_count_for_more_than_the_name(tmp_path: Path) -> None:
    path = tmp_path / "list.gz"
    path.write_bytes(PACK["xz"](TEXT))
    assert lines_of(path) == LINES


@pytest.mark.parametrize("suffix", PACK)
def test_several_members_are_one_text(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"list.{suffix}"
    path.write_bytes(b"".join(PACK[suffix](part) for part in (TEXT[:12], b"", TEXT[12:])))
    assert lines_of(path) == LINES


@pytest.mark.parametrize("suffix", ["gz", "xz"])
def test_padding_between_and_after_members_is_fine(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"list.{suffix}"
    parts = [PACK[suffix](part) + bytes(8) for part in (TEXT[:12], TEXT[12:])]
    path.write_bytes(b"".join(parts))
    assert lines_of(path) == LINES


def test_a_skippable_zstd_frame_may_come_first(tmp_path: Path) -> None:
    path = tmp_path / "list"
    path.write_bytes(struct.pack("<II", 0x184D2A50, 4) + b"note" + PACK["zst"](TEXT))
    assert lines_of(path) == LINES


@pytest.mark.parametrize("suffix", PACK)
def test_data_cut_short_anywhere_is_an_input_error_that_names_the_file(
    tmp_path: Path, suffix: str
) -> None:
    path = tmp_path / f"list.{suffix}"
    whole = PACK[suffix](TEXT)
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        with pytest.raises(InputError, match=r"list\.\w+: "):
            lines_of(path)


@pytest.mark.parametrize("suffix", PACK)
def test_damage_anywhere_is_an_input_error_or_harmless(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"list.{suffix}"
    whole = PACK[suffix](TEXT)
    errors = 0
    for index in range(len(whole)):
        path.write_bytes(whole[:index] + bytes((whole[index] ^ 0x55,)) + whole[index + 1 :])
        try:
            lines = lines_of(path)
        except InputError:
            errors += 1
        else:
            assert lines == LINES
    assert errors > len(whole) // 2


@pytest.mark.parametrize("suffix", PACK)
def test_rubbish_after_the_end_is_an_input_error(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"list.{suffix}"
    path.write_bytes(PACK[suffix](TEXT) + b"rubbish")
    with pytest.raises(InputError, match="list"):
        lines_of(path)


def test_a_file_that_is_not_what_its_name_promises_is_an_input_error(tmp_path: Path) -> None:
    path = tmp_path / "list.txt.gz"
    path.write_bytes(TEXT)
    with pytest.raises(InputError, match="no gzip data in it, as its name promises"):
        lines_of(path)


@pytest.mark.parametrize("suffix", PACK)
def test_a_decompression_bomb_takes_little_memory(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"bomb.{suffix}"
    path.write_bytes(PACK[suffix](b"1\n" * (1 << 23)))
    batches = read_lines(locate(str(path)))
    tracemalloc.start()
    try:
        count = sum(map(len, batches))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert count == 1 << 23
    assert peak < 40 << 20


class Endless(io.RawIOBase):
    """So many octets without a line feed, then a short line."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._after = [b"", b"\nexample.net"]

    def readable(self) -> bool:
        return True

    def read1(self, size: int) -> bytes:
        take = min(size, self._left)
        self._left -= take
        return b"a" * take or self._after.pop()


def test_a_giant_line_arrives_cut_and_is_never_held() -> None:
    giant = Endless(1 << 28)
    tracemalloc.start()
    try:
        batches = read_lines(locate("-", dash=True), giant)  # type: ignore[arg-type]
        lines = [line for batch in batches for line in batch]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert [min(len(line), MAX_LINE_OCTETS + 1) for line in lines] == [MAX_LINE_OCTETS + 1, 11]
    assert peak < 2 << 20


def test_the_longest_line_is_whole() -> None:
    line = b"a" * MAX_LINE_OCTETS
    assert lines_from(line + b"\n" + line) == [line, line]


@given(st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b""))), st.data())
def test_lines_do_not_depend_on_how_the_bytes_come(lines: list[bytes], data: st.DataObject) -> None:
    text = b"# plain\n" + b"".join(line + b"\n" for line in lines)
    sizes = iter(data.draw(st.lists(st.integers(1, 9), min_size=len(text), max_size=len(text))))

    class Dribble(io.BytesIO):
        def read1(self, _size: int | None = -1, /) -> bytes:
            return self.read(next(sizes, 1))

    assert [b"# plain", *lines] == lines_from(Dribble(text))


@pytest.mark.parametrize("end", [b"", b"\n"])
def test_the_last_line_needs_no_line_feed(end: bytes) -> None:
    assert lines_from(b"a\nb" + end) == [b"a", b"b"]


@pytest.mark.parametrize(("text", "lines"), [(b"", []), (b"\xef\xbb\xbf", []), (b"\n", [b""])])
def test_little_or_nothing_in_it_is_no_error(text: bytes, lines: list[bytes]) -> None:
    assert lines == lines_from(text)


def test_a_utf8_mark_is_left_out_also_under_compression() -> None:
    assert lines_from(b"\xef\xbb\xbf" + TEXT) == LINES
    assert lines_from(gzip.compress(b"\xef\xbb\xbf" + TEXT)) == LINES


@pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_wide_text_is_read_by_its_mark(encoding: str, pack: Callable[[bytes], bytes]) -> None:
    text = "192.0.2.1,M\u00fcller\n" * 9_000
    assert (
        lines_from(pack(f"\ufeff{text}".encode(encoding))) == [b"192.0.2.1,M\xc3\xbcller"] * 9_000
    )


@pytest.mark.parametrize("mark", [b"\xfe\xff", b"\0\0\xfe\xff"])
def test_wide_text_that_is_cut_short_is_an_input_error(mark: bytes) -> None:
    with pytest.raises(InputError, match=r"^standard input: not UTF-(16|32)-BE: "):
        lines_from(mark + b"\0x\0")


def test_a_missing_file_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.txt: cannot be read: No such file"):
        locate(str(tmp_path / "none.txt"))
    with pytest.raises(InputError, match=r"^a\\x00b: cannot be read"):
        locate("a\0b")
    with pytest.raises(InputError, match=r"^: cannot be read"):
        locate("")


def test_a_directory_is_an_input_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is a directory; expected a file"):
        locate(str(tmp_path))


def test_a_file_that_vanishes_is_an_input_error(tmp_path: Path) -> None:
    path = tmp_path / "list.txt"
    path.touch()
    source = locate(str(path))
    path.unlink()
    with pytest.raises(InputError, match="No such file"):
        list(read_lines(source))


def test_a_read_error_is_an_input_error() -> None:
    class Broken(io.BytesIO):
        def read1(self, _size: int | None = -1, /) -> bytes:
            raise OSError(5, "Input/output error")

    with pytest.raises(InputError, match=r"^standard input: cannot be read: Input/output error"):
        lines_from(Broken())


def test_closed_standard_input_is_an_input_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="standard input is closed"):
        list(read_lines(locate("-", dash=True)))


def test_standard_input_is_the_real_one_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(TEXT)))
    batches = read_lines(locate("-", dash=True))
    assert [line for batch in batches for line in batch] == LINES


@pytest.mark.parametrize(
    ("name", "form", "packed"),
    [
        ("list.txt", "guess", ""),
        ("list", "guess", ""),
        ("list.CSV", "csv", ""),
        ("list.tsv", "csv", ""),
        ("list.json", "json", ""),
        ("list.csv.gz", "csv", "gzip"),
        ("list.ndjson.zst", "ndjson", "zstd"),
        ("list.JSONL.XZ", "ndjson", "xz"),
        ("list.gz", "guess", "gzip"),
        (".gz", "guess", "gzip"),
        ("csv", "guess", ""),
    ],
)
def test_the_name_says_the_format(tmp_path: Path, name: str, form: str, packed: str) -> None:
    path = tmp_path / name
    path.touch()
    source = locate(str(path))
    assert (form, packed) == (source.form, source.packed)
    assert not source.live


def test_a_name_that_does_not_print_is_shown_escaped(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b.txt"
    path.write_bytes(TEXT)
    assert locate(str(path)).name.endswith("a\\x1b.txt")
    assert lines_of(path) == LINES


def test_a_pipe_that_has_no_more_just_now_says_so_before_it_waits() -> None:
    reader, writer = os.pipe()
    with os.fdopen(reader, "rb") as stdin:
        batches = read_lines(locate("-", dash=True), stdin)
        os.write(writer, b"192.0.2.1\n192.0")
        assert next(batches) == [b"192.0.2.1"]
        assert next(batches) == []
        os.write(writer, b".2.2\n")
        assert next(batches) == [b"192.0.2.2"]
        os.close(writer)
        assert list(batches) in ([], [[]])


def test_a_pipe_made_non_blocking_by_another_program_is_read_to_its_end() -> None:
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with os.fdopen(reader, "rb") as stdin:
        batches = read_lines(locate("-", dash=True), stdin)
        os.write(writer, b"192.0.2.1\n")
        assert next(batches) == [b"192.0.2.1"]
        assert next(batches) == []
        os.write(writer, b"192.0.2.2\n")
        assert next(batches) == [b"192.0.2.2"]
        os.close(writer)
        assert list(batches) in ([], [[]])


@pytest.mark.parametrize(
    ("line", "item"),
    [
        (b" 192.0.2.1 \r", b"192.0.2.1"),
        (b"192.0.2.1 # a", b"192.0.2.1"),
        (b"192.0.2.1\t#a # b", b"192.0.2.1"),
        (b"# a", b""),
        (b"  #a", b""),
        (b"a#b", b"a#b"),
        (b"a#b #c", b"a#b"),
        (b"", b""),
    ],
)
def test_a_comment_starts_a_line_or_follows_white_space(line: bytes, item: bytes) -> None:
    assert item == bare(line)
