"""A crew of Dask workers: machines that a scheduler of `distributed` knows.

Each worker has an executor of the client's own, bound to it. Which shard is where decides
this run and not the scheduler, since limits are divided and deaths are counted by worker.
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

    from auditor.workers.orders import Share, Word

__all__ = ["Cluster"]

T = TypeVar("T")

_log = logging.getLogger("auditor")

#: What the library would find fault with only when it has half begun.
_ADDRESS: Final = re.compile(
    r"((tcp|tls|ucx|wss?)://)?(\[[0-9A-Fa-f:.]+\]|[^\[\]:/\s]+):[0-9]{1,5}/?"
)

#: Seconds between two looks at who is there.
_LOOK: Final = 1.0

#: Seconds that the scheduler is given to answer, and its workers to hear something.
_PATIENCE: Final = 15.0
_HEARING: Final = 5.0

#: What the library says of a scheduler that is gone is ours to say.
_TALKATIVE: Final = ("client", "core", "comm.tcp", "batched")


class Cluster:
    """The workers that the scheduler at `address` has, whoever comes and goes.

    Raises UsageError for what is no address.
    """

    def __init__(self, address: str) -> None:
        if not _ADDRESS.fullmatch(address):
            raise UsageError(f"scheduler: {address!r}: expected an address, tcp://HOST:8786")
        self.error: AuditorError | None = None
        self._address = address
        self._members: dict[str, Executor] = {}
        self._client: Any = None
        self._looking: asyncio.Task[None] | None = None

    async def start(self, changed: Callable[[], None]) -> None:
        """Connect. Raises UsageError without the library, WorkersError without a scheduler."""
        try:
            from distributed import Client  # noqa: PLC0415 - for those who have a cluster
        except ImportError as error:
            raise UsageError(
                "scheduler: needs the package distributed: pip install 'auditor[cluster]'"
            ) from error
        for name in _TALKATIVE:
            logging.getLogger(f"distributed.{name}").setLevel(logging.CRITICAL)
        try:
            self._client = await asyncio.to_thread(
                Client, self._address, timeout=_PATIENCE, set_as_default=False, name="auditor"
            )
        except (OSError, TimeoutError) as error:
            raise WorkersError(f"scheduler: {self._address} does not answer: {error}") from error
        with suppress(KeyError):  # it has none
            link = self._client.dashboard_link
            extra = {"event": "dashboard", "fields": {"url": link}}
            _log.warning("the cluster's dashboard: %s", link, extra=extra)
        await self._look()
        if not self._members:
            _log.warning("scheduler %s has no worker yet: waiting for one", self._address)
        self._looking = asyncio.create_task(self._keep_looking(changed))

    def members(self) -> Mapping[str, Executor]:
        """Return the workers that the scheduler knew a moment ago."""
        return self._members

    def fate(self, name: str) -> str:
        """Return all that the scheduler says of a worker that is not there any more."""
        return f"{name} is gone"

    async def tell(self, names: Collection[str], run: str, word: Word | Share) -> None:
        """Tell workers; those that do not answer are found to be gone at the next look."""
        there = [name for name in names if name in self._members]
        if there and self.error is None:
            with suppress(OSError, TimeoutError):
                await asyncio.to_thread(
                    self._client.run,
                    worker.tell,
                    run,
                    word,
                    workers=there,
                    on_error="ignore",
                    callback_timeout=_HEARING,
                )

    async def close(self) -> None:
        """Leave the scheduler; its workers stay."""
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait([self._looking])
        if self._client is not None:
            with suppress(OSError, TimeoutError):
                await asyncio.to_thread(self._client.close, _PATIENCE)

    async def _keep_looking(self, changed: Callable[[], None]) -> None:
        while self.error is None:
            await asyncio.sleep(_LOOK)
            if await self._look():
                changed()

    async def _look(self) -> bool:
        """Take note of who is there; return whether that has changed."""
        client = self._client
        # One that reconnects has lost all that was under way.
        there = client.status == "running"
        if there:
            try:
                names = set(await asyncio.to_thread(client.nthreads, callback_timeout=_PATIENCE))
            except (OSError, TimeoutError):
                there = False
        if not there:
            self.error = WorkersError(f"scheduler {self._address} is gone; --resume goes on")
            return True
        if names == set(self._members):
            return False
        for name in set(self._members) - names:
            self._members.pop(name).shutdown(wait=False)
        for name in names - set(self._members):
            bound = client.get_executor(workers=[name], allow_other_workers=False, pure=False)
            self._members[name] = _Seceding(bound)
        return True


class _Seceding(Executor):
    """A client's executor for one worker, whose calls do not take up the worker's threads.

    Several shards are under way on a worker, however many threads it was started with.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Have the worker call `fn`."""
        return self._executor.submit(_aside, fn, *args, **kwargs)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:  # noqa: FBT001, FBT002 - as in Executor
        """Give up what the worker does."""
        del cancel_futures
        self._executor.shutdown(wait=wait)


def _aside(fn: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """Call something outside of the worker's pool of threads (runs in a worker)."""
    from distributed import secede  # noqa: PLC0415 - there, since a worker runs this

    secede()  # type: ignore[no-untyped-call]
    return fn(*args, **kwargs)
