"""A scan: targets in, records out, everything in between put together and taken apart."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeVar

from auditor.audit import Auditor
from auditor.errors import InputError
from auditor.findings.judge import Ruling
from auditor.pipeline import Pipeline
from auditor.resolve.choose import make_lookup
from auditor.run.retrace import Trail, behind
from auditor.run.tally import Tally

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
    from auditor.resolve.answer import Answer, Steps
    from auditor.resolve.lookup import Lookup
    from auditor.settings import Settings
    from auditor.targets.stream import TargetStream
    from auditor.targets.target import Block

__all__ = ["AnyScan", "GivenUp", "Scan", "count_questions", "drive", "open_lookup"]

T = TypeVar("T")

#: Blocks that a slow source may be ahead of the pipeline.
_AHEAD = 4


@asynccontextmanager
async def open_lookup(settings: Settings) -> AsyncIterator[Lookup]:
    """Start the resolver that the settings name, and close it at the end."""
    lookup = make_lookup(settings)
    await lookup.engine.start()
    try:
        yield lookup
    finally:
        await lookup.engine.close()


async def drive(lookup: Lookup, steps: Steps[T]) -> T:
    """Take one set of stages from the first question to the end.

    Raises AuditorError when the last server goes: its answers would never come.
    """
    work = asyncio.ensure_future(_drive(lookup, steps))
    trouble: list[AuditorError] = []

    def fail(error: AuditorError) -> None:
        trouble.append(error)
        work.cancel()

    lookup.engine.on_failure(fail)
    try:
        return await work
    except asyncio.CancelledError:
        if trouble:
            raise trouble[0] from None
        raise


async def _drive(lookup: Lookup, steps: Steps[T]) -> T:
    answers: list[Answer] | None = None
    try:
        while True:
            # A generator's first send must be None.
            questions = steps.send(answers)  # type: ignore[arg-type]
            answers = await lookup.resolve_many(questions)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


class GivenUp(NamedTuple):
    """Targets in a row that could not be audited, and are reported as such.

    `first` is the place of the first of their records in the output, from 0.
    """

    first: int
    records: int
    targets: str
    why: str


class AnyScan(Protocol):
    """A run, whoever does the work: what its output, its reports and its end need of it."""

    stream: TargetStream
    settings: Settings
    tally: Tally
    stopped: bool
    queries: Mapping[str, int | None]

    @property
    def given_up(self) -> Sequence[GivenUp]:
        """What was given up, each noted before its records are written."""

    @property
    def done(self) -> Trail:
        """The targets that were done before: they are left out."""

    @property
    def open_targets(self) -> int:
        """How many targets are under way."""

    async def run(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Audit every target and hand the lines to `write`, in input order."""

    def stop(self) -> None:
        """End early, with everything that is under way finished."""

    def counters(self) -> Mapping[str, int | None]:
        """Return the questions and queries so far."""


class Scan:
    """One run over a stream of targets.

    `tally` counts while it goes on; `stop()` lets it end early: no more targets are taken
    in, what is under way is finished and written. `done`: the targets whose records an
    earlier session has left, counted in `tally` already; they are skipped.
    """

    def __init__(self, stream: TargetStream, settings: Settings) -> None:
        self.stream = stream
        self.settings = settings
        self.tally = Tally()
        self.stopped = False
        self.done = Trail()
        self.given_up: Sequence[GivenUp] = ()
        self.queries: Mapping[str, int | None] = {}
        self._lookup: Lookup | None = None
        self._pipeline: Pipeline | None = None

    async def run(self, write: Callable[[bytes], Awaitable[None]]) -> None:
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
        ruling = Ruling(
            severities=self.settings.severities,
            select=self.settings.select,
            ignore=self.settings.ignore,
        )
        auditor = Auditor(self.settings, ruling)
        async with open_lookup(self.settings) as self._lookup:
            await drive(self._lookup, auditor.prepare())
            self._pipeline = Pipeline(
                self._lookup,
                auditor.audit,
                write,
                tally=self.tally,
                express=auditor.express(),
                trace=self.settings.trace,
            )
            try:
                if self.stream.total is None or self.done.length:
                    source = _from_thread(self.stream, self.done)
                    async with aclosing(self._until_stopped(source)) as blocks:
                        await self._pipeline.run(blocks)
                else:
                    await self._pipeline.run(self._until_stopped_now(self.stream.blocks()))
            finally:
                self.queries = self.counters()

    async def _look_through(self) -> None:
        """Have the stream count what it leaves out: all else has been done before."""
        async with aclosing(_from_thread(self.stream, self.done)) as blocks:
            async for _ in blocks:
                raise InputError("the input has changed since it was counted")

    def stop(self) -> None:
        """End early, with everything that is under way finished."""
        self.stopped = True

    def counters(self) -> dict[str, int | None]:
        """Return the questions and queries so far.

        asked = cached + joined + answered + failed + open.
        """
        lookup = self._lookup
        if lookup is None:
            return {}
        return count_questions(
            lookup.engine.counters(),
            asked=lookup.asked,
            cached=lookup.from_cache,
            joined=lookup.joined,
        )

    @property
    def open_targets(self) -> int:
        """How many targets are under way."""
        return self._pipeline.open_targets if self._pipeline else 0

    def _until_stopped_now(self, blocks: Iterator[Block]) -> Iterator[Block]:
        for block in blocks:
            if self.stopped:
                return
            yield block

    async def _until_stopped(self, blocks: AsyncGenerator[Block]) -> AsyncGenerator[Block]:
        async with aclosing(blocks):
            async for block in blocks:
                if self.stopped:
                    return
                yield block


def count_questions(
    counters: Mapping[str, int], *, asked: int, cached: int, joined: int
) -> dict[str, int | None]:
    """Return what lookups have asked and what an engine counts as one table."""
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


async def _from_thread(stream: TargetStream, done: Trail | None = None) -> AsyncGenerator[Block]:
    """Read a source that may block, such as standard input, in a thread of its own.

    So do the targets that are done: they come first, take their time, and are left out.

    The thread is a daemon: nothing can interrupt a read that waits for a person to type.
    """
    loop = asyncio.get_running_loop()
    queue: asyncio.Queue[Block | BaseException | None] = asyncio.Queue()
    room = threading.Semaphore(_AHEAD)
    over = threading.Event()

    def put(item: Block | BaseException | None) -> None:
        # The loop may be gone by the time a slow source says something.
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(queue.put_nowait, item)

    def read() -> None:
        try:
            for block in _following(stream, done):
                room.acquire()
                if over.is_set():
                    return
                put(block)
            put(None)
        except BaseException as error:  # noqa: BLE001 - raised again on the other side
            put(error)

    threading.Thread(target=read, name="auditor-input", daemon=True).start()
    try:
        while (item := await queue.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield item
            room.release()
    finally:
        over.set()
        room.release()


def _following(stream: TargetStream, done: Trail | None) -> Iterator[Block]:
    """Return the blocks behind the targets that are done, as far as can be told these."""
    if done is None or not done.length:
        return stream.blocks()
    if stream.total is None:
        return behind(stream.blocks(), done)
    return stream.blocks(done.length)
