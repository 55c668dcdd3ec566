"""Quotas: the limits of a run divided among its workers; their sum never exceeds the limits."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final

from auditor.errors import AuditorError
from auditor.resolve.public_resolvers import PUBLIC_QPS, is_public
from auditor.resolve.resolv_conf import system_servers
from auditor.run.scan import allowed_rate
from auditor.workers.messages import Quota

if TYPE_CHECKING:
    from collections.abc import Sequence
    from collections.abc import Set as AbstractSet

    from auditor.settings import Server, Settings
    from auditor.workers.pool import WorkerPool

__all__ = ["Quotas", "pace_of"]

#: Queries that most targets take: PTR, A or AAAA, TXT.
_QUERIES_A_TARGET: Final = 3


def pace_of(settings: Settings) -> float | None:
    """Return the most targets per second of a worker, None without a rate limit."""
    rate = allowed_rate(settings.qps, settings.server_qps, len(settings.servers))
    return None if rate is None else rate / _QUERIES_A_TARGET / settings.workers


class Quotas:
    """The workers that may work, `names`, and the limits of each of them: `quota`."""

    def __init__(self, pool: WorkerPool, run: str, settings: Settings) -> None:
        self.names: AbstractSet[str] = frozenset()
        self.quota = Quota()
        self._pool = pool
        self._run = run
        self._concurrency = settings.concurrency
        self._qps = settings.qps
        self._server_qps = _server_qps(settings)

    async def divide_limits(
        self, workers: AbstractSet[str], busy: AbstractSet[str], *, more: bool
    ) -> None:
        """Divide the limits anew if the set of workers has changed.

        `more`: there is work for all; otherwise only for those that are `busy`. Workers whose
        quota shrinks have it when this returns; only then may others use more.
        """
        names = set(workers if more else busy & workers)
        if self._concurrency is not None:
            # No worker can have less than one query in flight.
            kept = sorted(names, key=lambda name: (name not in busy, name not in self.names, name))
            names = set(kept[: self._concurrency])
        if names == self.names or not names:
            return
        before, self.names = self.names, names
        self.quota = Quota(
            self.quota.epoch + 1,
            None if self._concurrency is None else max(self._concurrency // len(names), 1),
            None if self._qps is None else self._qps / len(names),
            None if self._server_qps is None else self._server_qps / len(names),
        )
        if any(limit is not None for limit in self.quota[1:]):
            await self._pool.send_command((before | busy) & names, self._run, self.quota)


def _server_qps(settings: Settings) -> float | None:
    """Return the rate limit of each server; if one is public, that of public resolvers."""
    if settings.server_qps is not None or settings.zones is not None:
        return settings.server_qps
    servers: Sequence[Server] = settings.servers
    with suppress(AuditorError):  # the workers report it
        servers = servers or system_servers()
    return PUBLIC_QPS if any(map(is_public, servers)) else None
