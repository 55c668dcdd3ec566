"""Who works for a run: members that come and go, each behind a `concurrent.futures.Executor`.

This process is the simplest crew; others are in `processes` and `cluster`.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import BrokenExecutor, Executor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Protocol

from auditor.workers.lane import ABREAST
from auditor.workers.worker import tell

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from auditor.errors import AuditorError
    from auditor.workers.orders import Share, Word

__all__ = ["Crew", "NotBegunError", "ThisProcess"]


class NotBegunError(BrokenExecutor):
    """A member is gone, and has not even looked at what it was given."""


class Crew(Protocol):
    """The members that there are now, by name; what one is given ends with the member.

    `error`: why there will be no more of them, ever; None as long as there may be.
    """

    error: AuditorError | None

    async def start(self, changed: Callable[[], None]) -> None:
        """Gather the members; from now on `changed` is called, on the loop, when they change.

        Raises AuditorError if there can be none.
        """
        ...

    def members(self) -> Mapping[str, Executor]:
        """Return those that are there now."""
        ...

    def fate(self, name: str) -> str:
        """Return in a few words what became of a member that is gone."""
        ...

    async def tell(self, names: Collection[str], run: str, word: Word | Share) -> None:
        """Tell members something about a run; return when they have heard it or are gone."""
        ...

    async def close(self) -> None:
        """Send everybody home, at once."""
        ...


class ThisProcess:
    """A crew of one: this process, on a thread of its own."""

    def __init__(self) -> None:
        self.error: AuditorError | None = None
        self._executor = ThreadPoolExecutor(ABREAST, "auditor-shard")

    async def start(self, changed: Callable[[], None]) -> None:
        """Do nothing: it is there."""

    def members(self) -> Mapping[str, Executor]:
        """Return the one."""
        return {"this process": self._executor}

    def fate(self, name: str) -> str:
        """Return what can never be needed: whoever could ask is gone as well."""
        return f"{name} is gone"

    async def tell(self, names: Collection[str], run: str, word: Word | Share) -> None:
        """Tell this process."""
        if names:
            await asyncio.to_thread(tell, run, word)

    async def close(self) -> None:
        """Let the threads end: the run has been told to close before."""
        await asyncio.to_thread(self._executor.shutdown)
