"""A run in a worker: one engine and one cache, shared by several shards in progress.

Shards read their targets one after the other; while one waits for slow answers, the next starts.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import aclosing, contextmanager
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

import zstandard

from auditor.errors import AuditorError
from auditor.findings.rules import RuleSet
from auditor.output.frames import LinePacker
from auditor.output.tally import Tally
from auditor.pipeline.pipeline import Pipeline
from auditor.pipeline.target import TargetAuditor
from auditor.resolve.cache import Cache
from auditor.resolve.resolver import CachingResolver
from auditor.resolve.shared_engine import SharedEngine
from auditor.routing.factory import make_engine
from auditor.run.scan import (
    allowed_rate,
    count_questions,
    drive,
    found_limits,
    make_limits,
    sustainable_rate,
)
from auditor.workers.messages import Result
from auditor.workers.shards import unpack

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterator, Mapping

    from auditor.settings import Settings
    from auditor.targets.target import Block
    from auditor.workers.messages import Quota
    from auditor.workers.shards import Shard

__all__ = ["MAX_SHARDS_PER_WORKER", "WorkerRun", "pack_lines"]

#: Most shards in progress in a worker: one that reads targets, others that wait for the answers
#: of slow servers.
MAX_SHARDS_PER_WORKER: Final = 4

#: Targets that each of them may have in progress.
_MAX_OPEN_TARGETS: Final = 12_288

#: Level with the least CPU time: records are similar, so it compresses well enough.
_ZSTD_LEVEL: Final = 1


def pack_lines() -> LinePacker:
    """Return a packer of the lines of a shard: the same lines give the same octets."""
    return LinePacker(zstandard.ZstdCompressor(level=_ZSTD_LEVEL, write_checksum=True).compress)


@runtime_checkable
class _AdjustableEngine(Protocol):
    """An engine whose limits can be changed."""

    def set_limits(
        self, concurrency: int | None, qps: float | None, server_qps: float | None
    ) -> None: ...


class WorkerRun:
    """A run in this process: its engine, its cache, and the shards in progress."""

    def __init__(self, settings: Settings, quota: Quota) -> None:
        rule_set = RuleSet.from_settings(settings)
        self.open = 0
        self._stopped = False
        self._settings = settings
        self._quota = quota
        self._shared = SharedEngine(make_engine(settings))
        self._limit()
        self._cache = Cache(settings.cache_size)
        self._auditor = TargetAuditor(settings, rule_set)
        self._started: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._shards: set[asyncio.Task[Any]] = set()
        self._pipelines: set[Pipeline] = set()
        #: Done when all shards are to return their finished records at once.
        self._dropped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        #: The resolvers of the shards in progress.
        self._resolvers: set[CachingResolver] = set()
        self._closing: asyncio.Future[None] | None = None
        self._name = secrets.token_hex(8)
        self._serial = 0
        self._asked = self._cached = self._joined = 0

    def set_quota(self, quota: Quota) -> None:
        """Set the limits, unless those in force have a higher epoch."""
        if quota.epoch > self._quota.epoch:
            self._quota = quota
            self._limit()

    def finish_early(self) -> None:
        """Start no more targets."""
        self._stopped = True
        for pipeline in self._pipelines:
            pipeline.finish_early()

    def abort_shards(self) -> None:
        """End every shard at once, with the records that are finished in order."""
        self._stopped = True
        if not self._dropped.done():
            self._dropped.set_result(None)
        for pipeline in self._pipelines:
            pipeline.abort()
        if self._started is not None and self._started.done():
            # Further replies would only delay the end.
            self._closing = self._closing or asyncio.ensure_future(self._shared.close_engine())

    def _limit(self) -> None:
        if isinstance(self._shared.engine, _AdjustableEngine):
            self._shared.engine.set_limits(*self._quota[1:])

    async def audit_shard(self, shard: Shard, skip: int = 0) -> Result:
        """Audit the targets of a shard except the first `skip`.

        Raises AuditorError if the engine cannot work at all.
        """
        if self._started is None:
            self._started = asyncio.create_task(self._start())
        task = asyncio.create_task(self._audit(shard, skip, self._started))
        self._shards.add(task)
        self.open += 1
        try:
            return await task
        finally:
            self._shards.discard(task)
            self.open -= 1

    async def close(self) -> None:
        """Drop the shards in progress, and close the engine."""
        if self._started is None:
            return
        for task in (self._started, *self._shards):
            task.cancel()
        await asyncio.gather(self._started, *self._shards, return_exceptions=True)
        await (self._closing or self._shared.close_engine())

    async def _start(self) -> None:
        await self._shared.start()
        with self._asking() as resolver:
            await drive(resolver, self._auditor.look_up_shared())

    @contextmanager
    def _asking(self) -> Iterator[CachingResolver]:
        """Yield a resolver over the engine and the cache that all shards share."""
        with self._shared.share() as share:
            resolver = CachingResolver(share, self._cache, trace=self._settings.trace)
            self._resolvers.add(resolver)
            try:
                yield resolver
            finally:
                self._resolvers.discard(resolver)
                self._asked += resolver.asked
                self._cached += resolver.from_cache
                self._joined += resolver.joined

    async def _audit(self, shard: Shard, skip: int, started: asyncio.Task[None]) -> Result:
        await asyncio.wait([started, self._dropped], return_when=asyncio.FIRST_COMPLETED)
        if started.done():
            started.result()
        lines, tally = pack_lines(), Tally()
        error: AuditorError | None = None
        with self._asking() as resolver:
            pipeline = Pipeline(
                resolver,
                self._auditor.audit,
                lines.write_lines,
                tally=tally,
                fast_path=self._auditor.fast_path(),
                trace=self._settings.trace,
                limits=make_limits(self._quota.concurrency, open_targets=_MAX_OPEN_TARGETS),
                rate=self._rate,
            )
            self._pipelines.add(pipeline)
            try:
                if self._dropped.done():
                    pipeline.abort()
                async with aclosing(self._in_turn(shard, skip)) as blocks:
                    await pipeline.audit_blocks(blocks)
            except AuditorError as caught:
                error = caught
            finally:
                self._pipelines.discard(pipeline)
        self._serial += 1
        return Result(
            shard.number,
            lines.packed_frames(),
            tally,
            self._name,
            self._serial,
            self._counters(),
            error,
            found_limits(self._shared.engine),
        )

    async def _in_turn(self, shard: Shard, skip: int) -> AsyncGenerator[Block]:
        """Yield a shard's blocks when the shards before it have read theirs."""
        async with self._turn:
            for block in unpack(shard, skip):
                if self._stopped:
                    return
                yield block

    def _rate(self) -> float | None:
        _, _, qps, server_qps = self._quota
        allowed = allowed_rate(qps, server_qps, len(self._settings.servers))
        return sustainable_rate(self._shared.engine, allowed)

    def _counters(self) -> Mapping[str, int | None]:
        under_way = self._resolvers
        return count_questions(
            self._shared.engine.counters(),
            asked=self._asked + sum(resolver.asked for resolver in under_way),
            cached=self._cached + sum(resolver.from_cache for resolver in under_way),
            joined=self._joined + sum(resolver.joined for resolver in under_way),
        )
