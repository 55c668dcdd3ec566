"""Worker pool protocol: workers join, leave and die, each behind a `concurrent.futures.Executor`.

The simplest pool is this process; others are in `process_pool` and `dask_pool`.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import BrokenExecutor, Executor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from auditor.workers.worker import send_command
from auditor.workers.worker_run import MAX_SHARDS_PER_WORKER

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from auditor.errors import AuditorError
    from auditor.workers.messages import Command, Quota

__all__ = ["InProcessPool", "NotBegunError", "WorkerPool"]


class NotBegunError(BrokenExecutor):
    """A worker ended before it had begun the call."""


class WorkerPool(Protocol):
    """The current workers, by name; the calls of a worker that is gone fail.

    `error`: why there will never be another worker; None as long as there may be.
    """

    error: AuditorError | None

    async def start_workers(self, changed: Callable[[], None]) -> None:
        """Start workers; afterwards `changed` is called, on the loop, when they change.

        Raises AuditorError if none can be started.
        """
        ...

    def workers(self) -> Mapping[str, Executor]:
        """Return the current workers."""
        ...

    def exit_reason(self, name: str) -> str:
        """Return why a worker is gone, as a phrase for a message."""
        ...

    async def send_command(
        self, names: Collection[str], run: str, command: Command | Quota
    ) -> None:
        """Send workers a command or a quota of a run; return when they have it or are gone."""
        ...

    async def end_workers(self) -> None:
        """End the workers, at once."""
        ...


class InProcessPool:
    """A pool with one worker: this process, on threads of its own."""

    def __init__(self) -> None:
        self.error: AuditorError | None = None
        self._executor = ThreadPoolExecutor(MAX_SHARDS_PER_WORKER, "auditor-shard")

    async def start_workers(self, changed: Callable[[], None]) -> None:
        """Do nothing: the worker is this process."""

    def workers(self) -> Mapping[str, Executor]:
        """Return the only worker."""
        return {"this process": self._executor}

    def exit_reason(self, name: str) -> str:
        """Return a text that is never shown: the caller is this process."""
        return f"{name} is gone"

    async def send_command(
        self, names: Collection[str], run: str, command: Command | Quota
    ) -> None:
        """Carry out the command in this process."""
        if names:
            await asyncio.to_thread(send_command, run, command)

    async def end_workers(self) -> None:
        """End the threads: the run has been closed before."""
        await asyncio.to_thread(self._executor.shutdown)
