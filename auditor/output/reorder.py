"""Finished lines on their way into input order: bounded in memory, spilled when it grows.

A target that takes seconds holds up the line behind it, though not the work. What is
finished behind it waits here; when that is more than `limit` bytes, the newest of it goes
to a temporary file until its turn comes.
"""

from __future__ import annotations

import os
import tempfile
from collections import deque
from typing import IO, Final

from auditor.errors import OutputError

__all__ = ["Reorder", "Slots"]

#: Octets in one temporary file; it is deleted when the last line in it has been read.
_SEGMENT: Final = 1 << 26
_LENGTH_BITS: Final = 32


class Slots:
    """The lines of one block, a place for each target.

    A place holds None, then the line, or where it was spilled to as one integer.
    """

    __slots__ = ("held", "lines", "pending")

    def __init__(self, size: int) -> None:
        self.lines: list[bytes | int | None] = [None] * size
        self.pending = size
        self.held = 0


class Reorder:
    """Takes lines in any order and gives whole blocks back in the order they were opened.

    `limit` is in bytes, of lines in memory.
    """

    def __init__(self, limit: int) -> None:
        self.held = 0
        self.spilled = 0
        self._limit = limit
        self._blocks: deque[Slots] = deque()
        self._spill = _Spill()

    def open(self, size: int) -> Slots:
        """Make room for the next block, of `size` targets."""
        slots = Slots(size)
        self._blocks.append(slots)
        return slots

    def put(self, slots: Slots, index: int, line: bytes) -> None:
        """Take the line of target `index` of a block."""
        slots.lines[index] = line
        slots.pending -= 1
        slots.held += len(line)
        self.held += len(line)
        if self.held > self._limit:
            self._relieve()

    def take(self) -> list[bytes]:
        """Return the lines of all whole blocks at the head of the line, in order."""
        ready: list[bytes] = []
        while self._blocks and not self._blocks[0].pending:
            slots = self._blocks.popleft()
            self.held -= slots.held
            for line in slots.lines:
                if isinstance(line, int):
                    ready.append(self._spill.read(line))
                elif line is not None:
                    ready.append(line)
        return ready

    def close(self) -> None:
        """Delete the temporary files."""
        self._spill.close()

    def _relieve(self) -> None:
        """Spill the lines that will be wanted last, down to half of the limit."""
        for slots in reversed(self._blocks):
            if self.held <= self._limit // 2:
                break
            if not slots.held:
                continue
            lines = slots.lines
            for index, line in enumerate(lines):
                if isinstance(line, bytes):
                    lines[index] = self._spill.write(line)
                    self.spilled += 1
            self.held -= slots.held
            slots.held = 0


class _Spill:
    """Temporary files of `_SEGMENT` octets, addressed as one long file.

    A line is known by one integer: its offset, then 32 bits for its length.
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
                file = self._files[segment] = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115
                self._live[segment] = 0
            # A line may run over the end of its segment: it belongs to where it starts.
            os.pwrite(file.fileno(), line, self._end % _SEGMENT)
        except OSError as error:
            raise OutputError(
                f"{tempfile.gettempdir()}: no room for lines that wait for their turn: "
                f"{error.strerror}"
            ) from error
        self._live[segment] += 1
        place = self._end << _LENGTH_BITS | len(line)
        self._end += len(line)
        return place

    def read(self, place: int) -> bytes:
        offset, length = place >> _LENGTH_BITS, place & ((1 << _LENGTH_BITS) - 1)
        segment = offset // _SEGMENT
        line = os.pread(self._files[segment].fileno(), length, offset % _SEGMENT)
        self._live[segment] -= 1
        if not self._live[segment] and segment != self._end // _SEGMENT:
            self._files.pop(segment).close()
            del self._live[segment]
        return line

    def close(self) -> None:
        for file in self._files.values():
            file.close()
        self._files.clear()
        self._live.clear()
