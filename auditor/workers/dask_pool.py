"""A pool of Dask workers: those of a scheduler of `distributed`, on other machines.

The client has an executor for each worker, bound to it. The run assigns shards to workers, not the
scheduler, since limits are divided and deaths counted by worker.
"""

from __future__ import annotations

import asyncio
import logging
import re
from concurrent.futures import Executor
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final, TypeVar

from auditor.errors import AuditorError, UsageError, WorkersError
from auditor.workers import worker

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping
    from concurrent.futures import Future

    from auditor.workers.messages import Command, Quota

__all__ = ["DaskPool"]

T = TypeVar("T")

_log = logging.getLogger("auditor")

#: Forms of address that the library accepts: it refuses others only after it has half started.
_ADDRESS: Final = re.compile(
    r"((tcp|tls|ucx|wss?)://)?(\[[0-9A-Fa-f:.]+\]|[^\[\]:/\s]+):[0-9]{1,5}/?"
)

#: Seconds between fetches of the list of workers.
_POLL_INTERVAL_S: Final = 1.0

#: Seconds that the scheduler may take to answer, and its workers to take a command.
_SCHEDULER_TIMEOUT_S: Final = 15.0
_COMMAND_TIMEOUT_S: Final = 5.0

#: Loggers of the library, muted: this file reports a scheduler that is gone.
_MUTED_LOGGERS: Final = ("client", "core", "comm.tcp", "batched")


class DaskPool:
    """The workers of the scheduler at `address`; they may come and go.

    Raises UsageError for an invalid address.
    """

    def __init__(self, address: str) -> None:
        if not _ADDRESS.fullmatch(address):
            raise UsageError(f"scheduler: {address!r}: expected an address, tcp://HOST:8786")
        self.error: AuditorError | None = None
        self._address = address
        self._workers: dict[str, Executor] = {}
        self._client: Any = None
        self._polling: asyncio.Task[None] | None = None

    async def start_workers(self, changed: Callable[[], None]) -> None:
        """Connect. Raises UsageError without the library, WorkersError without a scheduler."""
        try:
            from distributed import Client  # noqa: PLC0415 - for runs on a cluster
        except ImportError as error:
            raise UsageError(
                "scheduler: needs the package distributed: pip install 'auditor[cluster]'"
            ) from error
        for name in _MUTED_LOGGERS:
            logging.getLogger(f"distributed.{name}").setLevel(logging.CRITICAL)
        try:
            self._client = await asyncio.to_thread(
                Client,
                self._address,
                timeout=_SCHEDULER_TIMEOUT_S,
                set_as_default=False,
                name="auditor",
            )
        except (OSError, TimeoutError) as error:
            raise WorkersError(f"scheduler: {self._address} does not answer: {error}") from error
        with suppress(KeyError):  # it has none
            link = self._client.dashboard_link
            extra = {"event": "dashboard", "fields": {"url": link}}
            _log.warning("the cluster's dashboard: %s", link, extra=extra)
        await self._poll()
        if not self._workers:
            _log.warning("scheduler %s has no worker yet: waiting for one", self._address)
        self._polling = asyncio.create_task(self._keep_polling(changed))

    def workers(self) -> Mapping[str, Executor]:
        """Return the workers that the scheduler knew a moment ago."""
        return self._workers

    def exit_reason(self, name: str) -> str:
        """Return that a worker is gone: the scheduler gives no reason."""
        return f"{name} is gone"

    async def send_command(
        self, names: Collection[str], run: str, command: Command | Quota
    ) -> None:
        """Send a command to workers; the next poll finds out which of them are gone."""
        alive = [name for name in names if name in self._workers]
        if alive and self.error is None:
            with suppress(OSError, TimeoutError):
                await asyncio.to_thread(
                    self._client.run,
                    worker.send_command,
                    run,
                    command,
                    workers=alive,
                    on_error="ignore",
                    callback_timeout=_COMMAND_TIMEOUT_S,
                )

    async def end_workers(self) -> None:
        """Leave the scheduler; its workers stay."""
        if self._polling is not None:
            self._polling.cancel()
            await asyncio.wait([self._polling])
        if self._client is not None:
            with suppress(OSError, TimeoutError):
                await asyncio.to_thread(self._client.close, _SCHEDULER_TIMEOUT_S)

    async def _keep_polling(self, changed: Callable[[], None]) -> None:
        while self.error is None:
            await asyncio.sleep(_POLL_INTERVAL_S)
            if await self._poll():
                changed()

    async def _poll(self) -> bool:
        """Fetch the list of workers; return whether it has changed."""
        client = self._client
        # A worker that reconnects has lost its shards.
        alive = client.status == "running"
        if alive:
            try:
                names = set(
                    await asyncio.to_thread(client.nthreads, callback_timeout=_SCHEDULER_TIMEOUT_S)
                )
            except (OSError, TimeoutError):
                alive = False
        if not alive:
            self.error = WorkersError(f"scheduler {self._address} is gone; --resume continues")
            return True
        if names == set(self._workers):
            return False
        for name in set(self._workers) - names:
            self._workers.pop(name).shutdown(wait=False)
        for name in names - set(self._workers):
            bound = client.get_executor(workers=[name], allow_other_workers=False, pure=False)
            self._workers[name] = _Seceding(bound)
        return True


class _Seceding(Executor):
    """A client's executor for one worker, whose calls do not take up the worker's threads.

    Several shards are in progress on a worker, however many threads it was started with.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have the worker call `fn`."""
        return self._executor.submit(_call_outside_pool, fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as in Executor
        """Cancel the calls that the worker runs."""
        del cancel_futures
        self._executor.shutdown(wait=wait)


def _call_outside_pool(fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call `fn` outside of the worker's thread pool; runs in the worker."""
    from distributed import secede  # noqa: PLC0415 - imported in the worker

    secede()  # type: ignore[no-untyped-call]
    return fn(*args, **kwargs)
