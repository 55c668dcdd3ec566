"""The limits of a run, divided among those who work: in total never more than was allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditor.workers.orders import Share

if TYPE_CHECKING:
    from collections.abc import Set as AbstractSet

    from auditor.settings import Settings
    from auditor.workers.crew import Crew

__all__ = ["Shares"]


class Shares:
    """Says who may work, `names`, and within which limits each of them: `share`."""

    def __init__(self, crew: Crew, run: str, settings: Settings) -> None:
        self.names: AbstractSet[str] = frozenset()
        self.share = Share()
        self._crew = crew
        self._run = run
        self._concurrency = settings.concurrency
        self._qps = settings.qps
        self._server_qps = settings.server_qps

    async def divide(
        self, members: AbstractSet[str], busy: AbstractSet[str], *, more: bool
    ) -> None:
        """Divide the limits anew if others work than before.

        `more`: there is work for everybody; otherwise only for those who are `busy`. Who
        gets less has heard so when this returns; only then is anybody given more.
        """
        names = set(members if more else busy & members)
        if self._concurrency is not None:
            # Nobody can have less than one query in flight.
            kept = sorted(names, key=lambda name: (name not in busy, name not in self.names, name))
            names = set(kept[: self._concurrency])
        if names == self.names or not names:
            return
        before, self.names = self.names, names
        self.share = Share(
            self.share.epoch + 1,
            None if self._concurrency is None else max(self._concurrency // len(names), 1),
            None if self._qps is None else self._qps / len(names),
            None if self._server_qps is None else self._server_qps / len(names),
        )
        if any(limit is not None for limit in self.share[1:]):
            await self._crew.tell((before | busy) & names, self._run, self.share)
