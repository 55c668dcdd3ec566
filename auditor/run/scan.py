"""A scan: targets in, records out, everything in between put together and taken apart."""

from __future__ import annotations

import asyncio
import threading
from contextlib import aclosing, asynccontextmanager, suppress
from typing import TYPE_CHECKING, TypeVar

from auditor.audit import Auditor
from auditor.findings.judge import Ruling
from auditor.pipeline import Pipeline
from auditor.resolve.choose import make_lookup
from auditor.run.tally import Tally

if TYPE_CHECKING:
    from collections.abc import (
        AsyncGenerator,
        AsyncIterator,
        Awaitable,
        Callable,
        Iterator,
        Mapping,
    )

    from auditor.errors import AuditorError
    from auditor.resolve.answer import Answer, Steps
    from auditor.resolve.lookup import Lookup
    from auditor.settings import Settings
    from auditor.targets.stream import TargetStream
    from auditor.targets.target import Block

__all__ = ["Scan", "drive", "open_lookup"]

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


class Scan:
    """One run over a stream of targets.

    `tally` counts while it goes on; `stop()` lets it end early: no more targets are taken
    in, what is under way is finished and written.
    """

    def __init__(self, stream: TargetStream, settings: Settings) -> None:
        self.stream = stream
        self.settings = settings
        self.tally = Tally()
        self.stopped = False
        self.queries: Mapping[str, int | None] = {}
        self._lookup: Lookup | None = None
        self._pipeline: Pipeline | None = None

    async def run(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Audit every target and hand the lines to `write`, in input order.

        Raises what the input, the engine and `write` raise, all of them AuditorError.
        """
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
                if self.stream.total is None:
                    async with aclosing(self._until_stopped(_from_thread(self.stream))) as blocks:
                        await self._pipeline.run(blocks)
                else:
                    await self._pipeline.run(self._until_stopped_now(self.stream.blocks()))
            finally:
                self.queries = self.counters()

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
        engine = dict(lookup.engine.counters())
        answered, failed = engine.pop("answered", 0), engine.pop("failed", 0)
        return {
            "asked": lookup.asked,
            "cached": lookup.from_cache,
            "joined": lookup.joined,
            "answered": answered,
            "failed": failed,
            "open": engine.pop("asked", 0) - answered - failed,
            **engine,
        }

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


async def _from_thread(stream: TargetStream) -> AsyncGenerator[Block]:
    """Read a source that may block, such as standard input, in a thread of its own.

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
            for block in stream.blocks():
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
