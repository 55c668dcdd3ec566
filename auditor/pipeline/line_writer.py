"""Writes finished lines in input order, with bounded buffers."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING

import orjson

from auditor.errors import OutputError
from auditor.pipeline.reorder import ReorderBuffer

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from auditor.output.tally import Tally

__all__ = ["LineWriter"]


class LineWriter:
    """Gives `write` whole lines in input order, as soon as all lines before them are written.

    `buffered`: bytes of lines kept in memory until the lines before them are finished;
    `unwritten`: bytes that wait for a slow `write`, above which `is_full`. `on_room` is called
    when there may be room again.
    Lines are put into `reorder`; then `hand_over` passes on those that are next in order.
    """

    def __init__(
        self,
        write: Callable[[bytes], Awaitable[None]],
        on_room: Callable[[], None],
        *,
        buffered: int,
        unwritten: int,
    ) -> None:
        self.reorder = ReorderBuffer(buffered)
        self._write = write
        self._on_room = on_room
        self._most_unwritten = unwritten
        self._unwritten = 0
        self._ready: list[bytes] = []
        self._news = asyncio.Event()
        self._ended = False

    @property
    def is_full(self) -> bool:
        """Whether more lines are ready than may wait to be written."""
        return self._unwritten > self._most_unwritten

    def hand_over(self) -> None:
        """Pass on the lines that are next in order, and signal that there may be room."""
        most = self._most_unwritten
        while not self.is_full and (lines := self.reorder.take_ready(most)):
            chunk = b"".join(lines)
            self._ready.append(chunk)
            self._unwritten += len(chunk)
            self._news.set()
        self._on_room()

    async def write_until_end(self) -> None:
        """Write until `end_of_lines`, then the remaining lines that are finished in order."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._ready:
                chunks, self._ready = self._ready, []
                chunk = b"".join(chunks)
                await self._write(chunk)
                self._unwritten -= len(chunk)
                self.hand_over()
            if self._ended:
                # The next block will not be finished, but its first lines may be.
                if begun := b"".join(self.reorder.take_begun()):
                    await self._write(begun)
                return

    def end_of_lines(self) -> None:
        """Make `write_until_end` return: no more lines will be put in."""
        self._ended = True
        self.hand_over()
        self._news.set()

    def uncount_unwritten(self, tally: Tally) -> None:
        """Drop finished lines that will not be written, and subtract them from the tally."""
        with suppress(OutputError):  # an unreadable spill file: its lines stay counted
            for lines in chain(self._ready, self.reorder.waiting_lines()):
                for line in lines.splitlines():
                    tally.uncount_record(orjson.loads(line))
        self.reorder.close()
