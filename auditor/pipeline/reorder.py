"""Reorder buffer: puts finished lines into input order; bounded in memory, spills to disk.

A slow target delays the output of the lines after it, though not the work on them. These lines
wait here; beyond `limit` bytes, the newest of them go to a temporary file until they can be
written.
"""

from __future__ import annotations

import math
import os
from collections import deque
from typing import IO, TYPE_CHECKING, Final, cast

from auditor.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["BlockSlots", "ReorderBuffer"]

#: Octets in one temporary file; it is deleted when the last line in it has been read.
_SEGMENT: Final = 1 << 26
_LENGTH_BITS: Final = 32


class BlockSlots:
    """The lines of one block, a place for each target.

    A place holds None, then the line, or its place in the spill files as one integer.
    """

    __slots__ = ("held", "lines", "pending", "spilled")

    def __init__(self, size: int) -> None:
        self.lines: list[bytes | int | None] = [None] * size
        self.pending = size
        self.held = 0
        self.spilled = False


class ReorderBuffer:
    """Takes lines in any order and gives whole blocks back in the order they were opened.

    `limit` is in bytes, of lines in memory.
    """

    def __init__(self, limit: int) -> None:
        self.held = 0
        self.spilled = 0
        self._limit = limit
        self._blocks: deque[BlockSlots] = deque()
        self._spill = _Spill()

    def open_block(self, size: int) -> BlockSlots:
        """Open the next block, of `size` targets."""
        slots = BlockSlots(size)
        self._blocks.append(slots)
        return slots

    def put_line(self, slots: BlockSlots, index: int, line: bytes) -> None:
        """Take the line of target `index` of a block."""
        slots.lines[index] = line
        slots.pending -= 1
        slots.held += len(line)
        self.held += len(line)
        if self.held > self._limit:
            self._spill_newest()

    def put_lines(self, slots: BlockSlots, lines: Iterable[tuple[int, bytes]]) -> None:
        """Take several lines of a block, each with the index of its target.

        All of them are taken, even if spilling them fails.
        """
        size = 0
        for index, line in lines:
            slots.lines[index] = line
            slots.pending -= 1
            size += len(line)
        slots.held += size
        self.held += size
        if self.held > self._limit:
            self._spill_newest()

    def waiting_lines(self) -> Iterator[bytes]:
        """Yield the lines that are not written yet."""
        for slots in self._blocks:
            for place in slots.lines:
                if place is not None:
                    yield self._spill.read(place) if isinstance(place, int) else place

    def take_ready(self, most: float = math.inf) -> list[bytes]:
        """Return the lines of the complete blocks that are next in order.

        No block is added after `most` bytes, since all the lines that were spilled behind a slow
        target may not fit into memory. An empty list: no block is ready.
        """
        ready: list[bytes] = []
        size = 0
        while self._blocks and not self._blocks[0].pending and size < most:
            slots = self._blocks.popleft()
            self.held -= slots.held
            if not slots.spilled:
                ready += cast("list[bytes]", slots.lines)
                size += slots.held
                continue
            for place in slots.lines:
                line = self._spill.read(place) if isinstance(place, int) else place
                if line is not None:
                    ready.append(line)
                    size += len(line)
        return ready

    def take_begun(self) -> list[bytes]:
        """Return the finished lines at the start of a first block that will never be complete."""
        ready: list[bytes] = []
        if self._blocks:
            lines = self._blocks[0].lines
            for index, place in enumerate(lines):
                if place is None:
                    break
                ready.append(self._spill.read(place) if isinstance(place, int) else place)
                lines[index] = None
        return ready

    def close(self) -> None:
        """Delete the temporary files."""
        self._spill.close()

    def _spill_newest(self) -> None:
        """Spill the lines that will be written last, down to half of the limit."""
        for slots in reversed(self._blocks):
            if self.held <= self._limit // 2:
                break
            if not slots.held:
                continue
            lines = slots.lines
            slots.spilled = True
            for index, line in enumerate(lines):
                if isinstance(line, bytes):
                    lines[index] = self._spill.write(line)
                    self.spilled += 1
            self.held -= slots.held
            slots.held = 0


class _Spill:
    """Temporary files of `_SEGMENT` octets, addressed as one long file.

    The place of a line is one integer: its offset, then 32 bits for its length.
    """

    def __init__(self) -> None:
        self._files: dict[int, IO[bytes]] = {}
        self._live: dict[int, int] = {}
        self._end = 0

    def write(self, line: bytes) -> int:
        segment = self._end // _SEGMENT
        try:
            file = self._files.get(segment)
            if file is None:
                import tempfile  # noqa: PLC0415 - few runs spill

                # Earlier segments whose lines were all read before the segment was full.
                for number in [number for number, live in self._live.items() if not live]:
                    self._drop(number)
                file = self._files[segment] = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
                self._live[segment] = 0
            written = 0
            while written < len(line):
                # A line may run over the end of its segment: it belongs to where it starts.
                place = self._end % _SEGMENT + written
                written += os.pwrite(file.fileno(), line[written:], place)
        except OSError as error:
            raise _spill_error(error) from error
        self._live[segment] += 1
        place = self._end << _LENGTH_BITS | len(line)
        self._end += len(line)
        return place

    def read(self, place: int) -> bytes:
        offset, length = place >> _LENGTH_BITS, place & ((1 << _LENGTH_BITS) - 1)
        segment = offset // _SEGMENT
        try:
            line = os.pread(self._files[segment].fileno(), length, offset % _SEGMENT)
        except OSError as error:
            raise _spill_error(error) from error
        self._live[segment] -= 1
        if not self._live[segment] and segment != self._end // _SEGMENT:
            self._drop(segment)
        return line

    def close(self) -> None:
        for segment in list(self._files):
            self._drop(segment)

    def _drop(self, segment: int) -> None:
        self._files.pop(segment).close()
        del self._live[segment]


def _spill_error(error: OSError) -> OutputError:
    import tempfile  # noqa: PLC0415 - as above

    return OutputError(
        f"{tempfile.gettempdir()}: finished lines cannot be buffered: "
        f"{error.strerror}; set TMPDIR to another directory"
    )
