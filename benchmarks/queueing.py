"""Delays items by a fixed time: a queue, and one timer at its head."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Delay"]

T = TypeVar("T")

#: The resolution of the loop's timers: items due within it are released.
_NEAR = 0.0005


class Delay(Generic[T]):
    """Hands each item to `release`, `seconds` after it was put in; at once for 0."""

    def __init__(self, seconds: float, release: Callable[[T], None]) -> None:
        self._seconds = seconds
        self._release = release
        self._loop = asyncio.get_running_loop()
        self._queue: deque[tuple[float, T]] = deque()

    def put(self, item: T) -> None:
        """Take an item."""
        if not self._seconds:
            self._release(item)
            return
        due = self._loop.time() + self._seconds
        self._queue.append((due, item))
        if len(self._queue) == 1:
            self._loop.call_at(due, self._wake)

    def _wake(self) -> None:
        queue = self._queue
        now = self._loop.time() + _NEAR
        while queue and queue[0][0] <= now:
            self._release(queue.popleft()[1])
        if queue:
            self._loop.call_at(queue[0][0], self._wake)
