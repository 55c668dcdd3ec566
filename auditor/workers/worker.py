"""A process that works for runs: audits the shards that it is given, as many runs' as there are.

It has one event loop for this, in a thread of its own: whoever gives it work, a pipe or a
cluster's scheduler, has other things to do there. An engine is kept from shard to shard.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, TypeVar

from auditor import __version__
from auditor.errors import UsageError
from auditor.run.loop import new_loop, seldom_collected
from auditor.workers.lane import Lane
from auditor.workers.orders import Share

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from auditor.workers.orders import Order, Result, Word

__all__ = ["leave", "tell", "work"]

T = TypeVar("T")

#: Seconds until an engine is closed whose run gives no work any more and did not say so.
_IDLE: Final = 600.0

#: Seconds that the loop is given to end.
_END: Final = 2.0


class _Worker:
    """The runs that this process works for, and the loop that it does so on."""

    def __init__(self) -> None:
        self._lanes: dict[str, Lane] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._resting: AsyncExitStack | None = None
        self._loop = new_loop()
        self._thread = threading.Thread(target=self._run, name="auditor-worker", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine on the loop; return or raise what it does."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def audit(self, order: Order) -> Result:
        """Audit a shard."""
        lane = self._lanes.get(order.run)
        if lane is None:
            lane = self._lanes[order.run] = Lane(order.settings, order.share)
        lane.share(order.share)
        if self._resting is None:
            self._resting = AsyncExitStack()
            await self._resting.enter_async_context(seldom_collected())
        if order.run in self._timers:
            self._timers.pop(order.run).cancel()
        try:
            return await lane.audit(order.shard)
        finally:
            if not lane.open and self._lanes.get(order.run) is lane:
                self._timers[order.run] = self._loop.call_later(_IDLE, self._expire, order.run)

    async def tell(self, run: str, word: Word | Share) -> None:
        """Do as a run says; nothing if it is not known here."""
        lane = self._lanes.get(run)
        if lane is None:
            return
        if isinstance(word, Share):
            lane.share(word)
        elif word == "stop":
            lane.stopped = True
        else:
            await self._close(run)

    def _expire(self, run: str) -> None:
        self._expiring = self._loop.create_task(self._close(run))

    async def _close(self, run: str) -> None:
        if run in self._timers:
            self._timers.pop(run).cancel()
        await self._lanes.pop(run).close()
        if not self._lanes and self._resting is not None:
            resting, self._resting = self._resting, None
            await resting.aclose()

    def end(self) -> None:
        """Drop everything, and end the thread."""

        async def close() -> None:
            for run in list(self._lanes):
                await self._close(run)
            self._loop.stop()

        asyncio.run_coroutine_threadsafe(close(), self._loop)
        self._thread.join(_END)


#: This process's worker, from the first order on: the one thing that calls from outside,
#: which share nothing else, have in common.
_here: list[_Worker] = []
_making: Final = threading.Lock()


def work(order: Order) -> Result:
    """Audit a shard in this process, and wait until that is done.

    Raises AuditorError if the engine cannot work, UsageError if the run is another version's.
    """
    if order.version != __version__:
        raise UsageError(f"a worker has auditor {__version__}, the run is by {order.version}")
    with _making:
        if not _here:
            _here.append(_Worker())
    return _here[0].wait(_here[0].audit(order))


def tell(run: str, word: Word | Share) -> None:
    """Tell this process's worker something about a run, and wait until it is so."""
    if _here:
        _here[0].wait(_here[0].tell(run, word))


def leave() -> None:
    """End this process's worker, whatever it is doing."""
    with _making:
        while _here:
            _here.pop().end()
