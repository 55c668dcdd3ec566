"""Finished lines into input order: whole blocks, bounded memory, temporary files that vanish."""

from __future__ import annotations

import contextlib
import errno
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.effort import examples

from auditor.errors import OutputError
from auditor.pipeline import reorder
from auditor.pipeline.reorder import BlockSlots, ReorderBuffer

if TYPE_CHECKING:
    import random
    from collections.abc import Iterator


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Put the temporary files into a folder of the test's own, and have none left at the end."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    yield tmp_path
    assert _spilled(tmp_path) == []


def _spilled(folder: Path) -> list[str]:
    """Return the open files that were made in a folder, gone from it or not."""
    links = [str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()]
    return [target for target in links if target.startswith(f"{folder}/")]


def _line(number: int, size: int = 100) -> bytes:
    return str(number).encode().rjust(size - 1, b".") + b"\n"


def test_a_block_comes_when_it_and_all_before_it_are_whole() -> None:
    line = ReorderBuffer(1000)
    first, second = line.open_block(2), line.open_block(1)
    line.put_line(second, 0, b"c\n")
    line.put_line(first, 1, b"b\n")
    assert line.take_ready() == []
    line.put_line(first, 0, b"a\n")
    assert line.take_ready() == [b"a\n", b"b\n", b"c\n"]
    assert (line.take_ready(), line.held) == ([], 0)


@pytest.mark.parametrize("limit", [1000, 0])
def test_of_a_block_that_will_not_become_whole_there_is_what_it_begins_with(limit: int) -> None:
    line = ReorderBuffer(limit)
    assert line.take_begun() == []
    first, second = line.open_block(4), line.open_block(1)
    for slots, index, text in ((first, 0, b"a\n"), (first, 1, b"b\n"), (first, 3, b"d\n")):
        line.put_line(slots, index, text)
    line.put_line(second, 0, b"e\n")
    assert line.take_ready() == []
    assert line.take_begun() == [b"a\n", b"b\n"]
    assert line.take_begun() == []
    assert list(line.waiting_lines()) == [b"d\n", b"e\n"]
    line.close()


def test_a_block_of_no_targets_holds_up_nobody() -> None:
    line = ReorderBuffer(1000)
    line.open_block(0)
    line.put_line(line.open_block(1), 0, b"a\n")
    assert line.take_ready() == [b"a\n"]


@given(
    sizes=st.lists(st.integers(0, 9), max_size=25),
    limit=st.sampled_from([0, 50, 400, 5_000, 1 << 20]),
    most=st.sampled_from([1, 300, 1 << 20]),
    chance=st.randoms(use_true_random=False),
)
@settings(max_examples=examples(120), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lines_come_back_in_order_whatever_the_order_they_were_put_in(
    *, sizes: list[int], limit: int, most: int, chance: random.Random
) -> None:
    with contextlib.closing(ReorderBuffer(limit)) as line:
        places = []
        for size in sizes:
            block = line.open_block(size)
            places += [(block, index) for index in range(size)]
        lines = [_line(number, chance.randint(8, 200)) for number in range(len(places))]
        order = list(range(len(places)))
        chance.shuffle(order)
        taken: list[bytes] = []
        for number in order:
            line.put_line(*places[number], lines[number])
            assert line.held <= limit
            if chance.random() < 0.3:
                taken += line.take_ready(most)
        while ready := line.take_ready(most):
            taken += ready
        assert taken == lines
        assert line.held == 0


def test_no_block_is_begun_after_so_many_octets() -> None:
    line = ReorderBuffer(1 << 20)
    for number in range(10):
        line.put_line(line.open_block(1), 0, _line(number))
    assert [len(line.take_ready(250)) for _ in range(5)] == [3, 3, 3, 1, 0]


def test_what_will_be_wanted_last_is_spilled_first() -> None:
    line = ReorderBuffer(1000)
    blocks = [line.open_block(3) for _ in range(10)]
    for number, block in enumerate(blocks):
        for index in range(3):
            line.put_line(block, index, _line(3 * number + index))
    assert line.spilled > 0
    assert line.held <= 1000
    # The head of the line, which is wanted next, is still in memory.
    assert all(isinstance(each, bytes) for each in blocks[0].lines)
    assert line.take_ready() == [_line(number) for number in range(30)]
    line.close()


def test_a_temporary_file_vanishes_when_its_last_line_has_been_read(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr(reorder, "_SEGMENT", 1000)
    line = ReorderBuffer(0)
    head = line.open_block(1)
    for number in range(1, 200):
        line.put_line(line.open_block(1), 0, _line(number))
    assert line.held == 0
    assert len(_spilled(folder)) == 20
    line.put_line(head, 0, _line(0))
    taken = []
    counts = []
    while ready := line.take_ready(1000):
        taken += ready
        counts.append(len(_spilled(folder)))
    assert taken == [_line(number) for number in range(200)]
    assert counts == sorted(counts, reverse=True)
    assert counts[-1] <= 1  # the one that is still written to
    line.close()


def test_files_that_were_read_while_they_were_written_to_vanish_as_well(
    monkeypatch: pytest.MonkeyPatch, folder: Path
) -> None:
    monkeypatch.setattr(reorder, "_SEGMENT", 1000)
    line = ReorderBuffer(0)
    for number in range(500):
        line.put_line(line.open_block(1), 0, _line(number))
        assert line.take_ready() == [_line(number)]
        assert len(_spilled(folder)) <= 1
    line.close()


def test_a_line_may_run_over_the_end_of_a_temporary_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reorder, "_SEGMENT", 1000)
    line = ReorderBuffer(0)
    lines = [_line(number, size) for number, size in enumerate((900, 300, 5000, 100, 100))]
    blocks = [line.open_block(1) for _ in lines]
    for block, each in zip(reversed(blocks), reversed(lines), strict=True):
        line.put_line(block, 0, each)
    assert line.take_ready() == lines
    line.close()


def test_closing_deletes_what_nobody_has_taken(folder: Path) -> None:
    line = ReorderBuffer(0)
    for number in range(10):
        line.put_line(line.open_block(2), 0, _line(number))
    assert len(_spilled(folder)) == 1
    line.close()
    line.close()


def test_a_write_of_a_part_is_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda handle, data, at: real(handle, data[:7], at))
    line = ReorderBuffer(0)
    for number in range(10):
        line.put_line(line.open_block(1), 0, _line(number))
    assert line.take_ready() == [_line(number) for number in range(10)]
    line.close()


@pytest.mark.parametrize("call", ["pwrite", "pread"])
def test_a_disk_that_fails_is_named(
    monkeypatch: pytest.MonkeyPatch, folder: Path, call: str
) -> None:
    def broken(*_args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, call, broken)
    line = ReorderBuffer(0)
    block = line.open_block(1)
    with (
        contextlib.closing(line),
        pytest.raises(
            OutputError,
            match=f"^{folder}: .* buffered: No space .* device; set TMPDIR to another directory$",
        ),
    ):
        _put_and_take(line, block)


def _put_and_take(line: ReorderBuffer, block: BlockSlots) -> None:
    line.put_line(block, 0, _line(0))
    line.take_ready()
