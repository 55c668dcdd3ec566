"""A scan: puts together stream, resolver and pipeline, runs them, and closes them."""

from __future__ import annotations

import asyncio
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeVar

from auditor.errors import InputError
from auditor.findings.rules import RuleSet
from auditor.output.tally import Tally
from auditor.pipeline.pipeline import Limits, Pipeline
from auditor.pipeline.target import TargetAuditor
from auditor.resolve.answer import LimitFindingEngine
from auditor.resolve.steps import answer_steps
from auditor.routing.factory import make_resolver
from auditor.run.resume_check import TargetDigest, blocks_after
from auditor.run.thread_reader import read_in_thread

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Iterator,
        Mapping,
        Sequence,
    )

    from auditor.errors import AuditorError
    from auditor.resolve.answer import Steps
    from auditor.resolve.resolver import CachingResolver
    from auditor.settings import Settings
    from auditor.targets.stream import TargetStream
    from auditor.targets.target import Block

__all__ = [
    "AnyScan",
    "GivenUp",
    "Scan",
    "allowed_rate",
    "count_questions",
    "drive",
    "found_limits",
    "make_limits",
    "open_resolver",
    "run_steps",
    "sustainable_rate",
    "until_failure",
]

T = TypeVar("T")

#: How many blocks are read before the pipeline takes them, where the source may block.
_MAX_BLOCKS_AHEAD: Final = 3


@asynccontextmanager
async def open_resolver(settings: Settings) -> AsyncIterator[CachingResolver]:
    """Start the resolver that the settings name, and close it at the end."""
    resolver = make_resolver(settings)
    await resolver.engine.start()
    try:
        yield resolver
    finally:
        await resolver.engine.close_engine()


async def run_steps(settings: Settings, steps: Steps[T]) -> T:
    """Answer the questions of steps by a resolver of their own; return their result.

    Raises AuditorError, also when the last server fails.
    """
    async with open_resolver(settings) as resolver:
        return await drive(resolver, steps)


async def drive(resolver: CachingResolver, steps: Steps[T]) -> T:
    """Answer the questions of steps by a resolver; return their result.

    Raises AuditorError when the last server fails.
    """
    return await until_failure(resolver, answer_steps(steps, resolver.resolve_many))


async def until_failure(resolver: CachingResolver, work: Awaitable[T]) -> T:
    """Return the result of work that waits for answers.

    Raises AuditorError when the last server fails: the answers would never come.
    """
    waiting = asyncio.ensure_future(work)
    trouble: list[AuditorError] = []

    def fail(error: AuditorError) -> None:
        trouble.append(error)
        waiting.cancel()

    resolver.engine.on_failure(fail)
    try:
        return await waiting
    except asyncio.CancelledError:
        if trouble:
            raise trouble[0] from None
        raise


class GivenUp(NamedTuple):
    """Consecutive targets that could not be audited, and are reported so.

    `first` is the index of their first record in the output, from 0.
    """

    first: int
    records: int
    targets: str
    why: str


class AnyScan(Protocol):
    """Protocol of a run, in this process or by workers: what output, reports and shutdown need."""

    stream: TargetStream
    settings: Settings
    tally: Tally
    stopped: bool
    queries: Mapping[str, int | None]

    @property
    def given_up(self) -> Sequence[GivenUp]:
        """Targets given up, each noted before its records are written."""

    @property
    def done(self) -> TargetDigest:
        """The targets whose records an earlier session has left: they are skipped."""

    @property
    def open_targets(self) -> int:
        """The number of targets in progress."""

    async def audit_targets(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Audit every target and hand the lines to `write`, in input order."""

    def finish_early(self) -> None:
        """Start no more targets; finish those in progress."""

    def abort(self) -> None:
        """Send and read nothing more: `audit_targets` is about to be cancelled."""

    def counters(self) -> Mapping[str, int | None]:
        """Return the counts of questions and queries so far."""

    @property
    def server_limits(self) -> Mapping[str, Mapping[str, int | str]]:
        """Return the limits of servers that were found, by server."""


class Scan:
    """One run over a stream of targets.

    `tally` counts while it goes on; `finish_early()` lets it end early: no more targets are taken
    in, those in progress are finished and written. `done`: the targets whose records an
    earlier session has left, counted in `tally` already; they are skipped.
    """

    def __init__(self, stream: TargetStream, settings: Settings) -> None:
        self.stream = stream
        self.settings = settings
        self.tally = Tally()
        self.stopped = False
        self.done = TargetDigest()
        self.given_up: Sequence[GivenUp] = ()
        self.queries: Mapping[str, int | None] = {}
        self._resolver: CachingResolver | None = None
        self._pipeline: Pipeline | None = None
        self._closing: asyncio.Future[None] | None = None

    async def audit_targets(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Audit every target and hand the lines to `write`, in input order.

        Raises what the input, the engine and `write` raise, all of them AuditorError.
        """
        if self.done.length and self.stream.total is not None:
            more = self.stream.total - self.done.length
            if more < 0:
                raise InputError(f"there are {-more:,} more records than targets")
            if not more:
                await self._look_through()
                return
        rule_set = RuleSet.from_settings(self.settings)
        auditor = TargetAuditor(self.settings, rule_set)
        resolver = make_resolver(self.settings)
        await resolver.engine.start()
        self._resolver = resolver
        try:
            await drive(resolver, auditor.look_up_shared())
            self._pipeline = Pipeline(
                resolver,
                auditor.audit,
                write,
                tally=self.tally,
                fast_path=auditor.fast_path(),
                trace=self.settings.trace,
                limits=make_limits(self.settings.concurrency),
                rate=self._rate,
            )
            if not self.stopped:
                await self._audit(self._pipeline)
        finally:
            self.queries = self.counters()
            await (self._closing or resolver.engine.close_engine())

    async def _audit(self, pipeline: Pipeline) -> None:
        if self.stream.total is None or self.done.length:
            async with aclosing(self._blocks_from_thread()) as blocks:
                await pipeline.audit_blocks(blocks)
        else:
            await pipeline.audit_blocks(self.stream.blocks())

    def _blocks_from_thread(self) -> AsyncGenerator[Block]:
        """Read the blocks in a thread: the source may block, and skipping takes time."""
        return read_in_thread(_following(self.stream, self.done), ahead=_MAX_BLOCKS_AHEAD)

    async def _look_through(self) -> None:
        """Read the stream to count the excluded targets: all others have been done before."""
        async with aclosing(self._blocks_from_thread()) as blocks:
            async for _ in blocks:
                raise InputError("the input has changed since it was counted")

    def finish_early(self) -> None:
        """Start no more targets; finish those in progress."""
        self.stopped = True
        if self._pipeline is not None:
            self._pipeline.finish_early()

    def abort(self) -> None:
        """Close the engine: further replies would only delay the end."""
        if self._resolver is not None and self._closing is None:
            self._closing = asyncio.ensure_future(self._resolver.engine.close_engine())

    def counters(self) -> dict[str, int | None]:
        """Return the counts of questions and queries so far.

        asked = cached + joined + answered + failed + open.
        """
        resolver = self._resolver
        if resolver is None:
            return {}
        return count_questions(
            resolver.engine.counters(),
            asked=resolver.asked,
            cached=resolver.from_cache,
            joined=resolver.joined,
        )

    @property
    def server_limits(self) -> Mapping[str, Mapping[str, int | str]]:
        """Return the limits of servers that were found, by server."""
        return {} if self._resolver is None else found_limits(self._resolver.engine)

    @property
    def open_targets(self) -> int:
        """The number of targets in progress."""
        return self._pipeline.open_targets if self._pipeline else 0

    def _rate(self) -> float | None:
        settings = self.settings
        allowed = allowed_rate(settings.qps, settings.server_qps, len(settings.servers))
        return (
            allowed if self._resolver is None else sustainable_rate(self._resolver.engine, allowed)
        )


def allowed_rate(qps: float | None, server_qps: float | None, servers: int) -> float | None:
    """Return the queries per second that the limits allow, None for no limit.

    `servers`: their number; 0, for the system's resolver, counts as one.
    """
    rates = [qps, None if server_qps is None else server_qps * max(servers, 1)]
    return min((rate for rate in rates if rate is not None), default=None)


def sustainable_rate(engine: object, allowed: float | None) -> float | None:
    """Return the allowed rate, or the rate that the servers were found to bear if lower."""
    borne = engine.rate() if isinstance(engine, LimitFindingEngine) else None
    return min((rate for rate in (allowed, borne) if rate is not None), default=None)


def found_limits(engine: object) -> Mapping[str, Mapping[str, int | str]]:
    """Return the limits of servers that an engine has found, by server."""
    return engine.limits_found() if isinstance(engine, LimitFindingEngine) else {}


def make_limits(concurrency: int | None, **limits: int) -> Limits:
    """Return the limits of a pipeline; with few queries in flight, few more should wait."""
    made = Limits()._replace(**limits)
    if concurrency is None:
        return made
    return made._replace(backlog=min(made.backlog, concurrency))


def count_questions(
    counters: Mapping[str, int], *, asked: int, cached: int, joined: int
) -> dict[str, int | None]:
    """Return the counters of lookups and of an engine as one table."""
    engine = dict(counters)
    answered, failed = engine.pop("answered", 0), engine.pop("failed", 0)
    return {
        "asked": asked,
        "cached": cached,
        "joined": joined,
        "answered": answered,
        "failed": failed,
        "open": engine.pop("asked", 0) - answered - failed,
        **engine,
    }


def _following(stream: TargetStream, done: TargetDigest) -> Iterator[Block]:
    """Return the blocks after the targets that are done."""
    if not done.length:
        return stream.blocks()
    if stream.total is None:
        return blocks_after(stream.blocks(), done)
    return stream.blocks(done.length)
