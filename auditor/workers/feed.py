"""The shards of a run, read and cut in a thread: neither a slow source nor a long list waits."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from auditor.workers.shards import Shard

__all__ = ["Feed"]

#: Shards that are read before somebody takes them.
_AHEAD = 2


class Feed:
    """Reads `shards` a little ahead; `wake` is called on the loop when there is news.

    `ended`: no more will come; `error`: what the iteration raised.
    """

    def __init__(self, shards: Iterator[Shard], wake: Callable[[], None]) -> None:
        self.ended = False
        self.error: Exception | None = None
        self._shards = shards
        self._wake = wake
        self._ready: deque[Shard] = deque()
        self._room = threading.Semaphore(_AHEAD)
        self._over = threading.Event()
        self._loop = asyncio.get_running_loop()
        # A daemon: nothing can interrupt a read that waits for a person to type.
        threading.Thread(target=self._read, name="auditor-input", daemon=True).start()

    def take(self) -> Shard | None:
        """Return the next shard, None if it has not been read yet."""
        if not self._ready:
            return None
        self._room.release()
        return self._ready.popleft()

    @property
    def through(self) -> bool:
        """Whether every shard has been taken."""
        return self.ended and not self._ready

    def close(self) -> None:
        """Read no more, and forget what has been read."""
        self._over.set()
        self._room.release()
        self._ready.clear()
        self.ended = True

    def _read(self) -> None:
        try:
            for shard in self._shards:
                self._room.acquire()
                if self._over.is_set():
                    return
                self._put(shard)
            self._put(None)
        except Exception as error:  # noqa: BLE001 - raised again by whoever takes the shards
            self._put(error)

    def _put(self, item: Shard | Exception | None) -> None:
        # The loop may be gone by the time a slow source says something.
        with suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._on_item, item)

    def _on_item(self, item: Shard | Exception | None) -> None:
        if self._over.is_set():
            return
        if item is None:
            self.ended = True
        elif isinstance(item, Exception):
            self.ended = True
            self.error = item
        else:
            self._ready.append(item)
        self._wake()
