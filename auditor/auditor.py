"""`Auditor`, for programs with many calls: they share one engine, one cache and one rate limit."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterable
from ipaddress import ip_network
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, TypeVar

import orjson

from auditor.checks.follow_up import follow_up
from auditor.errors import UsageError
from auditor.findings.advice import ExplainedFinding, explain_finding
from auditor.findings.rules import RuleSet
from auditor.output.tally import Tally
from auditor.pipeline.pipeline import Pipeline
from auditor.pipeline.target import TargetAuditor
from auditor.resolve.cache import Cache
from auditor.resolve.resolver import CachingResolver
from auditor.resolve.resolver_engine import ResolverEngine
from auditor.resolve.shared_engine import SharedEngine
from auditor.routing.factory import make_engine
from auditor.run.record_stream import records_of, stream_lines
from auditor.run.scan import allowed_rate, drive, make_limits
from auditor.run.thread_reader import read_in_thread
from auditor.run.zone_targets import ZoneTargets
from auditor.settings import Settings
from auditor.spf.check_host import check_host, sender_of
from auditor.spf.ranges import RangeResult, check_range
from auditor.targets.item import ZONE_TARGET
from auditor.targets.stream import TargetStream
from auditor.wire.addresses import format_address, parse_address

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Iterable,
        Iterator,
        Sequence,
    )
    from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network
    from typing import Self

    from auditor.findings.entry import Verdict
    from auditor.output.record_types import Record
    from auditor.resolve.answer import Answer, Question, Resolver, Steps
    from auditor.spf.result import SpfFact
    from auditor.targets.target import Block, Target

__all__ = ["Auditor", "CheckResult", "Targets"]

T = TypeVar("T")

#: Sources of targets: texts as on the command line, or `Target`s.
Targets: TypeAlias = "Iterable[str | Target] | AsyncIterable[str | Target]"

#: Most targets of an asynchronous source that are audited together, and the seconds that the
#: first of them waits for more.
_MAX_GATHERED: Final = 256
_GATHER_S: Final = 0.005

#: Blocks of targets that are read before they are needed.
_MAX_BLOCKS_AHEAD: Final = 3


class CheckResult(NamedTuple):
    """A record with its findings explained. `record` is as `auditor schema` describes it."""

    record: Record
    findings: tuple[ExplainedFinding, ...]

    @property
    def verdict(self) -> Verdict:
        """`pass`, `warn`, `fail` or `unknown`."""
        return self.record["verdict"]


class Auditor:
    """One engine, one cache and one set of limits for all calls of a program.

        async with auditor.Auditor(auditor.Settings(qps=100)) as a:
            result = await a.check("192.0.2.1")
            async for record in a.scan(["198.51.100.0/24"]):
                ...

    Calls may run concurrently, and share the limits. `resolver` answers the questions instead of
    the servers of the settings, for a program's own tests:

        class Canned:
            async def resolve_many(self, questions):
                return [auditor.Answer("NXDOMAIN") for _ in questions]

        async with auditor.Auditor(resolver=Canned()) as a:
            assert (await a.check("192.0.2.1")).verdict == "fail"

    Raises AuditorError: at the start for settings that cannot work, later when no server has
    answered for ten seconds; calls after that try again. Without `async with` every method raises
    RuntimeError.
    """

    def __init__(
        self, settings: Settings | None = None, *, resolver: Resolver | None = None
    ) -> None:
        self._settings = settings or Settings()
        if self._settings.workers != 1 or self._settings.scheduler is not None:
            raise UsageError("workers: an Auditor asks in one process; auditor.scan() uses several")
        self._resolver = resolver
        self._cache = Cache(self._settings.cache_size)
        self._shared: SharedEngine | None = None

    async def __aenter__(self) -> Self:
        """Start the engine."""
        if self._shared is not None:
            raise RuntimeError("this Auditor is in use already")
        engine = (
            make_engine(self._settings)
            if self._resolver is None
            else ResolverEngine(self._resolver)
        )
        shared = SharedEngine(engine)
        await shared.start()
        self._shared = shared
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close the engine."""
        shared, self._shared = self._shared, None
        if shared is not None:
            await shared.close_engine()

    async def scan(self, targets: Targets) -> AsyncGenerator[Record, None]:
        """Audit targets and yield one record for each, in their order; see `auditor.scan`.

        An asynchronous source is read in the event loop; its targets are audited without waiting
        for more.
        """
        async with contextlib.aclosing(self.scan_lines(targets)) as chunks:
            async for lines in chunks:
                for record in records_of(lines):
                    yield record

    async def scan_lines(self, targets: Targets) -> AsyncGenerator[bytes, None]:
        """Audit targets like `scan`, and yield finished records as NDJSON, some lines at a time."""

        async def run(write: Callable[[bytes], Awaitable[None]]) -> None:
            settings = self._settings
            with self._asking() as resolver:
                auditor = self._target_auditor()
                await drive(resolver, auditor.look_up_shared())
                pipeline = Pipeline(
                    resolver,
                    auditor.audit,
                    write,
                    tally=Tally(),
                    fast_path=auditor.fast_path(),
                    trace=settings.trace,
                    limits=make_limits(settings.concurrency),
                    rate=self._rate,
                )
                async with contextlib.aclosing(_blocks_of(targets, settings)) as blocks:
                    await pipeline.audit_blocks(blocks)

        async with contextlib.aclosing(stream_lines(run)) as chunks:
            async for lines in chunks:
                yield lines

    async def check(self, target: str | Target) -> CheckResult:
        """Audit one target, and explain its findings: titles, reasons, remedies, DNS records.

        Raises UsageError for a text that is several targets, such as a prefix.
        """
        given = [entry for block in TargetStream.from_items([target]).blocks() for entry in block]
        if len(given) != 1:
            raise UsageError(f"{target!s}: {len(given):,} targets; check takes one, scan takes any")
        (single,) = given
        auditor = self._target_auditor()

        def steps() -> Steps[CheckResult]:
            yield from auditor.look_up_shared()
            record = yield from auditor.audit(single)
            helo = single.origin.helo or self._settings.helo or ""
            known = yield from follow_up(record, helo, single.origin.expected)
            findings = [explain_finding(record, finding, known) for finding in record["findings"]]
            # Lists and dictionaries only, as in the records of a scan.
            (plain,) = records_of(orjson.dumps(record))
            return CheckResult(plain, tuple(findings))

        return await self._drive(steps())

    async def check_host(
        self,
        ip: str | IPv4Address | IPv6Address,
        domain: str,
        *,
        helo: str = "unknown",
        sender: str = "",
    ) -> SpfFact:
        """Return the result of `check_host()` for an address and a domain (RFC 7208 §4).

        `sender` is the MAIL FROM address, at that domain, whose local part macros may use;
        `postmaster` without it. `helo` is the client's HELO name, for macros. Raises UsageError
        for a text that is not an address.
        """
        parsed = parse_address(str(ip))
        if parsed is None:
            raise UsageError(f"{ip!s}: not an IP address")
        local, at, of_domain = sender.rpartition("@")
        if at and of_domain.lower().rstrip(".") != domain.lower().rstrip("."):
            raise UsageError(f"{sender}: not an address of {domain}")
        identity = f"{local or of_domain}@{domain}" if sender else sender_of(domain)
        return await self._drive(check_host(format_address(*parsed), "mailfrom", identity, helo))

    async def check_range(
        self, prefix: str | IPv4Network | IPv6Network, domain: str
    ) -> tuple[RangeResult, ...]:
        """Return the SPF results of a domain for all addresses of a prefix, as ranges.

        In order, disjoint, covering the prefix. A range is not `decided` where the policy depends
        on the sender, the HELO name or the single address. Raises UsageError if `prefix` is none.
        """
        try:
            network = ip_network(prefix)
        except ValueError as error:
            raise UsageError(f"{prefix!s}: not a prefix: {error}") from None
        return await self._drive(check_range([network], domain))

    async def resolve_many(self, questions: Sequence[Question]) -> list[Answer]:
        """Return one answer per question, in order. A failed lookup is a status of its answer."""

        def steps() -> Steps[list[Answer]]:
            return list((yield questions))

        return await self._drive(steps())

    async def _drive(self, steps: Steps[T]) -> T:
        with self._asking() as resolver:
            return await drive(resolver, steps)

    @contextlib.contextmanager
    def _asking(self) -> Iterator[CachingResolver]:
        """Yield a resolver over the engine and the cache that all calls share."""
        if self._shared is None:
            raise RuntimeError("an Auditor is used within `async with`")
        with self._shared.share() as share:
            yield CachingResolver(share, self._cache, trace=self._settings.trace)

    def _target_auditor(self) -> TargetAuditor:
        """Return a target auditor whose policies are no older than this call."""
        settings = self._settings
        return TargetAuditor(settings, RuleSet.from_settings(settings))

    def _rate(self) -> float | None:
        settings = self._settings
        return allowed_rate(settings.qps, settings.server_qps, len(settings.servers))


async def _blocks_of(targets: Targets, settings: Settings) -> AsyncGenerator[Block, None]:
    """Read targets as blocks: in a thread if reading may block, else as they arrive."""
    zones = ZoneTargets(settings)
    if not isinstance(targets, AsyncIterable):
        stream = TargetStream.from_items(targets, max_targets=settings.max_targets, zones=zones)
        reader = read_in_thread(stream.blocks(), ahead=_MAX_BLOCKS_AHEAD)
        async with contextlib.aclosing(reader) as blocks:
            async for block in blocks:
                yield block
        return
    async with contextlib.aclosing(_gathered(targets)) as batches:
        async for batch in batches:
            stream = TargetStream.from_items(batch, max_targets=settings.max_targets, zones=zones)
            if any(isinstance(item, str) and ZONE_TARGET in item for item in batch):
                for block in await asyncio.to_thread(list, stream.blocks()):
                    yield block
            else:
                for block in stream.blocks():
                    yield block


async def _gathered(targets: AsyncIterable[T]) -> AsyncGenerator[list[T], None]:
    """Yield the items of an asynchronous source in lists, none delayed for long."""
    source = aiter(targets)
    following: asyncio.Future[T] | None = None
    batch: list[T] = []
    try:
        while True:
            following = following or asyncio.ensure_future(_next_of(source))
            patience = _GATHER_S if batch else None
            await asyncio.wait([following], timeout=patience)
            if following.done():
                done, following = following, None
                try:
                    batch.append(done.result())
                except StopAsyncIteration:
                    break
            if following is not None or len(batch) >= _MAX_GATHERED:
                yield batch
                batch = []
        if batch:
            yield batch
    finally:
        if following is not None:
            following.cancel()
            await asyncio.wait([following])


async def _next_of(source: AsyncIterator[T]) -> T:
    return await anext(source)
