"""Temporary files of compressed lines, for comparisons that do not fit in memory.

Records compress to a tenth and less, so the files need little room (TMPDIR says where).
They have no name, so that they vanish with the process.
"""

from __future__ import annotations

import heapq
import os
import tempfile
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, NamedTuple

import zstandard

from auditor.output.temporary import temporary_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["ExternalSort", "LinePartitions", "NumberedLine"]

#: Entries are written in frames of about so many octets.
_FRAME_OCTETS: Final = 1 << 16
_ZSTD_LEVEL: Final = 1
#: Octets of memory that an entry costs beside its own.
_LINE_OVERHEAD_OCTETS: Final = 200


class NumberedLine(NamedTuple):
    """A line and its number; any line but one with a line feed in it."""

    number: int
    line: bytes


class _Frame(NamedTuple):
    offset: int
    size: int


class _Store:
    """Frames of entries in one temporary file, which can be read in any order."""

    def __init__(self) -> None:
        try:
            self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the store
        except OSError as error:
            raise temporary_error(error) from error
        self._end = 0
        self._pack = zstandard.ZstdCompressor(level=_ZSTD_LEVEL).compress
        self._unpack = zstandard.ZstdDecompressor().decompress

    def write(self, entries: list[NumberedLine]) -> _Frame:
        """Add a frame and return where it is. Raises OutputError if there is no room."""
        data = self._pack(b"\n".join([b"%d %b" % entry for entry in entries]))
        try:
            self._file.write(data)
        except OSError as error:
            raise temporary_error(error) from error
        frame = _Frame(self._end, len(data))
        self._end += len(data)
        return frame

    def read(self, frames: list[_Frame]) -> Iterator[NumberedLine]:
        """Yield the entries of some frames, in the order written."""
        try:
            self._file.flush()
        except OSError as error:
            raise temporary_error(error) from error
        for offset, size in frames:
            for entry in self._unpack(os.pread(self._file.fileno(), size, offset)).split(b"\n"):
                number, _, line = entry.partition(b" ")
                yield NumberedLine(int(number), line)

    def close(self) -> None:
        """Remove the files."""
        with suppress(OSError):  # of what could not be written
            self._file.close()


class LinePartitions:
    """Entries in `number` partitions, each of which is read back in the order written.

    `entries` and `octets` are the totals of each.
    """

    def __init__(self, number: int) -> None:
        self.entries, self.octets = [0] * number, [0] * number
        self._store = _Store()
        self._waiting: list[list[NumberedLine]] = [[] for _ in range(number)]
        self._unwritten = [0] * number
        self._frames: list[list[_Frame]] = [[] for _ in range(number)]

    def add_entry(self, heap: int, entry: NumberedLine) -> None:
        """Put an entry on a heap."""
        self._waiting[heap].append(entry)
        self._unwritten[heap] += len(entry.line)
        if self._unwritten[heap] >= _FRAME_OCTETS:
            self._write(heap)

    def seal(self) -> None:
        """Write out the rest: nothing more will be added."""
        for heap, waiting in enumerate(self._waiting):
            if waiting:
                self._write(heap)

    def _write(self, heap: int) -> None:
        self._frames[heap].append(self._store.write(self._waiting[heap]))
        self.entries[heap] += len(self._waiting[heap])
        self.octets[heap] += self._unwritten[heap]
        self._waiting[heap] = []
        self._unwritten[heap] = 0

    def read_entries(self, heap: int) -> Iterator[NumberedLine]:
        """Yield the entries of a heap, after `seal`."""
        return self._store.read(self._frames[heap])

    def close(self) -> None:
        """Remove the files."""
        self._store.close()


class ExternalSort:
    """Entries in the order of their numbers, however many: sorted runs on disk, merged.

    Entries of the same number have no order. `room`: the most octets in memory.
    """

    def __init__(self, room: int = 1 << 24) -> None:
        self._room = room
        self._waiting: list[NumberedLine] = []
        self._octets = 0
        self._store: _Store | None = None
        self._runs: list[list[_Frame]] = []

    def add_entry(self, entry: NumberedLine) -> None:
        """Take an entry. Raises OutputError if there is no room for it on disk."""
        self._waiting.append(entry)
        self._octets += len(entry.line) + _LINE_OVERHEAD_OCTETS
        if self._octets >= self._room:
            self._spill()

    def _spill(self) -> None:
        if self._store is None:
            self._store = _Store()
        self._waiting.sort()
        frames, piece, octets = [], list[NumberedLine](), 0
        for entry in self._waiting:
            piece.append(entry)
            octets += len(entry.line)
            if octets >= _FRAME_OCTETS:
                frames.append(self._store.write(piece))
                piece, octets = [], 0
        if piece:
            frames.append(self._store.write(piece))
        self._runs.append(frames)
        self._waiting, self._octets = [], 0

    def __iter__(self) -> Iterator[bytes]:
        """Yield the lines in order; nothing may be added after that."""
        self._waiting.sort()
        if self._store is None:
            return (entry.line for entry in self._waiting)
        runs: list[Callable[[], Iterator[NumberedLine]]] = [
            partial(self._store.read, frames) for frames in self._runs
        ]
        merged = heapq.merge(self._waiting, *(run() for run in runs))
        return (entry.line for entry in merged)

    def close(self) -> None:
        """Remove the files."""
        if self._store is not None:
            self._store.close()
