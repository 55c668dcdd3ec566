"""A run in a worker: one engine and one cache, and several shards under way on them.

Each shard takes in its targets in its turn; while the slow answers of one are waited for,
the next goes on.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

import zstandard

from auditor.audit import Auditor
from auditor.findings.judge import Ruling
from auditor.output.frames import FRAME, frame_end
from auditor.pipeline import Limits, Pipeline
from auditor.resolve.cache import Cache
from auditor.resolve.choose import make_engine
from auditor.resolve.lookup import Lookup
from auditor.run.scan import count_questions, drive
from auditor.run.tally import Tally
from auditor.workers.orders import Result
from auditor.workers.shards import unpack

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Mapping, Sequence

    from auditor.errors import AuditorError
    from auditor.resolve.answer import Deliver, Engine, Question
    from auditor.settings import Settings
    from auditor.targets.target import Block
    from auditor.workers.orders import Share
    from auditor.workers.shards import Shard

__all__ = ["ABREAST", "Lane"]

#: Shards under way in a worker at most: one that takes in targets, others that wait for
#: the answers of slow servers.
ABREAST: Final = 4

#: Each of them may have this much under way.
_LIMITS: Final = Limits(open_targets=12_288)

#: Dense enough at the least CPU time: records are much alike.
_LEVEL: Final = 1


@runtime_checkable
class _Limited(Protocol):
    """An engine whose limits can be changed."""

    def limit(
        self, concurrency: int | None, qps: float | None, server_qps: float | None
    ) -> None: ...


class _Tap:
    """An engine as one shard among several sees it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.submit: Callable[[Sequence[Question], Deliver], None] = engine.submit
        self.backlog = engine.backlog
        self.wake: Callable[[], None] = _nothing
        self.fail: Callable[[AuditorError], None] = _nothing
        self.error: AuditorError | None = None

    async def start(self) -> None:
        """Do nothing: the engine runs."""

    async def close(self) -> None:
        """Do nothing: the engine runs on."""

    def on_room(self, wake: Callable[[], None]) -> None:
        self.wake = wake

    def on_failure(self, fail: Callable[[AuditorError], None]) -> None:
        self.fail = fail
        if self.error is not None:
            fail(self.error)

    def counters(self) -> Mapping[str, int]:
        return self._engine.counters()


def _nothing(*_: object) -> None:
    """Stand in where nobody has asked to be told."""


class Lane:
    """A run in this process: its engine, its cache, and the shards under way."""

    def __init__(self, settings: Settings, share: Share) -> None:
        ruling = Ruling(
            severities=settings.severities, select=settings.select, ignore=settings.ignore
        )
        self.open = 0
        self.stopped = False
        self._settings = settings
        self._share = share
        self._engine = make_engine(settings)
        self._limit()
        self._cache = Cache(settings.cache_size)
        self._auditor = Auditor(settings, ruling)
        self._started: asyncio.Task[None] | None = None
        self._turn = asyncio.Lock()
        self._shards: set[asyncio.Task[Any]] = set()
        #: The taps of the shards under way, each with what looks things up through it.
        self._lookups: dict[_Tap, Lookup] = {}
        self._error: AuditorError | None = None
        self._name = secrets.token_hex(8)
        self._serial = 0
        self._asked = self._cached = self._joined = 0

    def share(self, share: Share) -> None:
        """Go on under other limits, unless these are older."""
        if share.epoch > self._share.epoch:
            self._share = share
            self._limit()

    def _limit(self) -> None:
        if isinstance(self._engine, _Limited):
            self._engine.limit(*self._share[1:])

    async def audit(self, shard: Shard) -> Result:
        """Audit the targets of a shard. Raises AuditorError if the engine cannot go on."""
        if self._started is None:
            self._started = asyncio.create_task(self._start())
        task = asyncio.create_task(self._audit(shard, self._started))
        self._shards.add(task)
        self.open += 1
        try:
            return await task
        finally:
            self._shards.discard(task)
            self.open -= 1

    async def close(self) -> None:
        """Drop what is under way, and close the engine."""
        if self._started is None:
            return
        for task in (self._started, *self._shards):
            task.cancel()
        await asyncio.gather(self._started, *self._shards, return_exceptions=True)
        await self._engine.close()

    async def _start(self) -> None:
        await self._engine.start()
        self._engine.on_room(self._wake)
        self._engine.on_failure(self._fail)
        tap = _Tap(self._engine)
        lookup = self._lookups[tap] = Lookup(tap, self._cache, trace=self._settings.trace)
        try:
            await drive(lookup, self._auditor.prepare())
        finally:
            self._forget(tap)

    def _wake(self) -> None:
        for tap in self._lookups:
            tap.wake()

    def _fail(self, error: AuditorError) -> None:
        self._error = error
        for tap in self._lookups:
            tap.fail(error)

    def _forget(self, tap: _Tap) -> None:
        lookup = self._lookups.pop(tap)
        self._asked += lookup.asked
        self._cached += lookup.from_cache
        self._joined += lookup.joined

    async def _audit(self, shard: Shard, started: asyncio.Task[None]) -> Result:
        await asyncio.shield(started)
        tap = _Tap(self._engine)
        tap.error = self._error
        lookup = self._lookups[tap] = Lookup(tap, self._cache, trace=self._settings.trace)
        lines = _Lines()
        tally = Tally()
        pipeline = Pipeline(
            lookup,
            self._auditor.audit,
            lines.write,
            tally=tally,
            express=self._auditor.express(),
            trace=self._settings.trace,
            limits=_LIMITS,
        )
        try:
            async with aclosing(self._in_turn(shard)) as blocks:
                await pipeline.run(blocks)
        finally:
            self._forget(tap)
        self._serial += 1
        frames = lines.finish()
        return Result(shard.number, frames, tally, self._name, self._serial, self._counters())

    async def _in_turn(self, shard: Shard) -> AsyncGenerator[Block]:
        """Yield a shard's blocks when the shards before it have taken in theirs."""
        async with self._turn:
            for block in unpack(shard):
                if self.stopped:
                    return
                yield block

    def _counters(self) -> Mapping[str, int | None]:
        under_way = self._lookups.values()
        return count_questions(
            self._engine.counters(),
            asked=self._asked + sum(lookup.asked for lookup in under_way),
            cached=self._cached + sum(lookup.from_cache for lookup in under_way),
            joined=self._joined + sum(lookup.joined for lookup in under_way),
        )


class _Lines:
    """Takes finished lines, and keeps them small; where frames end depends on the lines alone."""

    def __init__(self) -> None:
        self._compressor = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True)
        self._pending = bytearray()
        self._frames: list[bytes] = []

    async def write(self, lines: bytes) -> None:
        """Take whole lines."""
        self._pending += lines
        while end := frame_end(self._pending, FRAME):
            self._pack(end)

    def finish(self) -> tuple[bytes, ...]:
        """Return all of them."""
        if self._pending:
            self._pack(len(self._pending))
        return tuple(self._frames)

    def _pack(self, end: int) -> None:
        self._frames.append(self._compressor.compress(bytes(self._pending[:end])))
        del self._pending[:end]
