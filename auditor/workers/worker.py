"""The worker of this process: audits the shards that it is given, of any number of runs.

It has an event loop in a thread of its own, since the caller's thread serves a pipe or a cluster's
scheduler. An engine is kept from shard to shard. Closing the last run ends the thread and clears
the state of the module.
"""

from __future__ import annotations

import asyncio
import threading
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any, Final, TypeVar

from auditor.errors import UsageError
from auditor.run.event_loop import garbage_collected_by_clock, new_loop
from auditor.version import __version__
from auditor.workers.messages import Quota
from auditor.workers.worker_run import WorkerRun

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from concurrent.futures import Future

    from auditor.workers.messages import Command, Result, ShardTask

__all__ = ["audit_shard", "end_worker", "send_command"]

T = TypeVar("T")

#: Seconds without shards or a `close` command after which the engine of a run is closed.
_IDLE_TIMEOUT_S: Final = 600.0

#: Seconds that the loop may take to end.
_JOIN_TIMEOUT_S: Final = 2.0


class _Worker:
    """The runs that this process works for, and their event loop."""

    def __init__(self) -> None:
        self._worker_runs: dict[str, WorkerRun] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._resting: AsyncExitStack | None = None
        #: Calls in progress, and the closing of runs that have ended.
        self._calls: set[Future[Any]] = set()
        self._closing: set[asyncio.Task[None]] = set()
        self._loop = new_loop()
        self._thread = threading.Thread(target=self._run, name="auditor-worker", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.close()

    @property
    def busy(self) -> bool:
        """Whether it works for any run."""
        return bool(self._worker_runs or self._calls or self._closing)

    def run_on_loop(self, call: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a call on the loop; the lock is held, so the worker does not end before it."""
        future = asyncio.run_coroutine_threadsafe(call, self._loop)
        self._calls.add(future)
        future.add_done_callback(self._on_ended)
        return future

    def _on_ended(self, call: Future[Any]) -> None:
        self._calls.discard(call)
        _release(self)

    async def audit_shard(self, task: ShardTask) -> Result:
        """Audit a shard."""
        worker_run = self._worker_runs.get(task.run)
        if worker_run is None:
            worker_run = self._worker_runs[task.run] = WorkerRun(task.settings, task.quota)
        worker_run.set_quota(task.quota)
        if self._resting is None:
            self._resting = AsyncExitStack()
            await self._resting.enter_async_context(garbage_collected_by_clock())
        if task.run in self._timers:
            self._timers.pop(task.run).cancel()
        try:
            return await worker_run.audit_shard(task.shard, task.skip)
        finally:
            if not worker_run.open and self._worker_runs.get(task.run) is worker_run:
                self._timers[task.run] = self._loop.call_later(
                    _IDLE_TIMEOUT_S, self._expire, task.run
                )

    async def send_command(self, run: str, command: Command | Quota) -> None:
        """Carry out a command of a run; do nothing if the run is unknown."""
        worker_run = self._worker_runs.get(run)
        if worker_run is None:
            return
        if isinstance(command, Quota):
            worker_run.set_quota(command)
        elif command == "stop":
            worker_run.finish_early()
        elif command == "drop":
            worker_run.abort_shards()
        else:
            await self._close(run)

    def _expire(self, run: str) -> None:
        closing = self._loop.create_task(self._close(run))
        self._closing.add(closing)
        closing.add_done_callback(self._on_closed)

    def _on_closed(self, closing: asyncio.Task[None]) -> None:
        self._closing.discard(closing)
        _release(self)

    async def _close(self, run: str) -> None:
        if run in self._timers:
            self._timers.pop(run).cancel()
        await self._worker_runs.pop(run).close()
        if not self._worker_runs and self._resting is not None:
            resting, self._resting = self._resting, None
            await resting.aclose()

    def drop_all(self) -> None:
        """Drop everything, and end the thread."""

        async def close() -> None:
            for run in list(self._worker_runs):
                await self._close(run)
            await asyncio.gather(*self._closing, return_exceptions=True)
            self._loop.stop()

        asyncio.run_coroutine_threadsafe(close(), self._loop)
        self.wait_for_thread()

    def end_thread(self) -> None:
        """End the thread, which has no more work."""
        self._loop.call_soon_threadsafe(self._loop.stop)

    def wait_for_thread(self) -> None:
        """Wait until the thread has ended."""
        self._thread.join(_JOIN_TIMEOUT_S)


#: This process's only worker, None without a run. A global, since calls come through a pipe or
#: from a scheduler, and share nothing else.
_current: list[_Worker] = []
#: Held while a worker is made, given a shard, or found to be idle.
_lock: Final = threading.RLock()


def audit_shard(task: ShardTask) -> Result:
    """Audit a shard in this process, and wait for the result.

    Raises AuditorError if the engine cannot work, UsageError if the run has another version.
    """
    if task.version != __version__:
        raise UsageError(f"a worker has auditor {__version__}, the run is by {task.version}")
    with _lock:
        if not _current:
            _current.append(_Worker())
        worker = _current[0]
        result = worker.run_on_loop(worker.audit_shard(task))
    return result.result()


def send_command(run: str, command: Command | Quota) -> None:
    """Make this process's worker carry out a command of a run, and wait until it has."""
    with _lock:
        if not _current:
            return
        worker = _current[0]
        sent = worker.run_on_loop(worker.send_command(run, command))
    sent.result()
    _release(worker)
    if worker not in _current:
        worker.wait_for_thread()


def end_worker() -> None:
    """End this process's worker at once."""
    with _lock:
        workers, _current[:] = _current[:], []
    for worker in workers:
        worker.drop_all()


def _release(worker: _Worker) -> None:
    """End a worker if it is idle: the next shard makes another."""
    with _lock:
        if not worker.busy and worker in _current:
            _current.remove(worker)
            worker.end_thread()
