"""Reads an iterator that may block, such as standard input, in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Iterator

__all__ = ["ThreadReader", "read_in_thread"]

T = TypeVar("T")


class ThreadReader(Generic[T]):
    """Reads `items` in a thread, at most `ahead` before they are taken.

    `on_news` is called on the loop when there is one more, or the end. `ended`: no more will
    come; `error`: what the iteration raised.
    """

    def __init__(self, items: Iterator[T], on_news: Callable[[], None], *, ahead: int) -> None:
        self.ended = False
        self.error: BaseException | None = None
        self._items = items
        self._on_news = on_news
        self._ready: deque[T] = deque()
        self._room = threading.Semaphore(ahead)
        self._closed = threading.Event()
        self._loop = asyncio.get_running_loop()
        # A daemon: nothing can interrupt a read that waits for a person to type.
        threading.Thread(target=self._read, name="auditor-input", daemon=True).start()

    def next_item(self) -> T | None:
        """Return the next item, None if it has not been read yet."""
        if not self._ready:
            return None
        self._room.release()
        return self._ready.popleft()

    @property
    def exhausted(self) -> bool:
        """Whether every item has been taken."""
        return self.ended and not self._ready

    def close(self) -> None:
        """Read no more, and forget what has been read."""
        self._closed.set()
        self._room.release()
        self._ready.clear()
        self.ended = True

    def _read(self) -> None:
        try:
            for item in self._items:
                self._room.acquire()
                if self._closed.is_set():
                    return
                self._note(partial(self._ready.append, item))
            self._note(self._end)
        except BaseException as error:  # noqa: BLE001 - raised again by whoever takes the items
            self._note(partial(self._end, error))

    def _note(self, change: Callable[[], None]) -> None:
        """Make a change on the loop, which may be closed by the time a slow source has an item."""

        def on_loop() -> None:
            if not self._closed.is_set():
                change()
                self._on_news()

        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(on_loop)

    def _end(self, error: BaseException | None = None) -> None:
        self.ended, self.error = True, error


async def read_in_thread(items: Iterator[T], *, ahead: int) -> AsyncGenerator[T]:
    """Yield items that are read in a thread; raises what reading them raises."""
    news = asyncio.Event()
    reader = ThreadReader(items, news.set, ahead=ahead)
    try:
        while not reader.exhausted:
            news.clear()
            while (item := reader.next_item()) is not None:
                yield item
            if not reader.ended:
                await news.wait()
        if reader.error is not None:
            raise reader.error
    finally:
        reader.close()
