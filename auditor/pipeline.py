"""Blocks of targets through their stages: bounded, cancellable, in order.

A block asks all of its questions at once, so there is one wait per batch and no task per
target. Whatever of a batch is late is split off and goes on by itself; what bounds the
pipeline is open targets and waiting bytes, never a slow block (DESIGN §2).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from itertools import chain
from typing import TYPE_CHECKING, NamedTuple, TypeAlias

import orjson

from auditor.errors import OutputError
from auditor.output.record import trace_entry
from auditor.output.reorder import Reorder

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from auditor.checks.facts import Steps
    from auditor.errors import AuditorError
    from auditor.express import Express, Left, Rounds
    from auditor.output.record import Record
    from auditor.output.reorder import Slots
    from auditor.resolve.answer import Answer, Question
    from auditor.resolve.lookup import Batch, Lookup
    from auditor.run.tally import Tally
    from auditor.targets.target import Block, Target

__all__ = ["Limits", "Pipeline"]


class Limits(NamedTuple):
    """What keeps the pipeline's memory flat.

    `open_targets`: begun and not finished; `backlog`: questions that the engine has taken
    and not sent, above which no block is begun; `buffered`: bytes of lines that wait for
    their turn in memory; `unwritten`: bytes ready for a reader that is slow.
    """

    open_targets: int = 24_576
    backlog: int = 512
    buffered: int = 24 << 20
    unwritten: int = 4 << 20


class _Job:
    """One target under way: its place in the block, its stages, what they ask now."""

    __slots__ = ("index", "questions", "steps", "trace")

    def __init__(self, index: int, steps: Steps[Record], *, trace: bool) -> None:
        self.index = index
        self.steps = steps
        self.questions: Sequence[Question] = ()
        self.trace: list[tuple[Question, Answer]] | None = [] if trace else None


#: A job with where its answers stand in the batch that it takes part in.
_Asked: TypeAlias = tuple[_Job, int, int]


class Pipeline:
    """Audits blocks and writes their lines in input order.

    `audit` makes the stages of a target; `express` is the short way, where there is one;
    `tally` counts what is finished; `write` is given whole lines, and may take its time: it
    holds back the input, not the answers
    already asked for. With `trace`, each record ends with the lookups made for it.
    """

    def __init__(
        self,
        lookup: Lookup,
        audit: Callable[[Target], Steps[Record]],
        write: Callable[[bytes], Awaitable[None]],
        *,
        tally: Tally,
        express: Express | None = None,
        trace: bool = False,
        limits: Limits | None = None,
    ) -> None:
        self.open_targets = 0
        self._lookup = lookup
        self._audit = audit
        self._write = write
        self._tally = tally
        self._express = None if trace else express
        self._trace = trace
        self._limits = limits or Limits()
        self._reorder = Reorder(self._limits.buffered)
        self._ready: list[bytes] = []
        self._unwritten = 0
        self._room = asyncio.Event()
        self._lines = asyncio.Event()
        self._ended = False
        self._trouble: Exception | None = None
        self._group: asyncio.TaskGroup | None = None

    async def run(self, blocks: AsyncIterator[Block] | Iterator[Block]) -> None:
        """Audit all blocks. Cancelling this leaves no task and no temporary file behind.

        Raises what `write` and the iteration of `blocks` raise.
        """
        engine = self._lookup.engine
        engine.on_room(self._room.set)
        failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def fail(error: AuditorError) -> None:
            if not failure.done():
                failure.set_exception(error)

        engine.on_failure(fail)
        writer = asyncio.create_task(self._keep_writing())
        try:
            async with asyncio.TaskGroup() as watching:
                watch = watching.create_task(_first_end(failure, writer))
                async with asyncio.TaskGroup() as self._group:
                    await self._take_in(blocks)
                watch.cancel()
            if self._trouble is not None:
                raise self._trouble
        except BaseExceptionGroup as group:
            raise _first(group) from None
        finally:
            # Whatever ended the run: what has been finished in order is still written.
            self._group = None
            self._ended = True
            self._lines.set()
            failure.cancel()
            try:
                await writer
            finally:
                self._forget()
                self._reorder.close()

    async def _take_in(self, blocks: AsyncIterator[Block] | Iterator[Block]) -> None:
        """Begin every block. What the input raises waits until all that was begun is done."""
        try:
            if isinstance(blocks, AsyncIterator):
                following = blocks.__anext__
                while True:
                    await self._begin(await following())
            for block in blocks:
                await self._begin(block)
        except StopAsyncIteration:
            return
        except Exception as error:  # noqa: BLE001 - raised again by `run`
            self._trouble = error

    async def _begin(self, block: Block) -> None:
        """Start a block as soon as there is room for it."""
        limits = self._limits
        # At least once, so that what was begun before gets its turn on the loop.
        await asyncio.sleep(0)
        while self._unwritten > limits.unwritten or (
            self.open_targets
            and (
                self.open_targets + len(block) > limits.open_targets
                or self._lookup.engine.backlog() > limits.backlog
            )
        ):
            self._room.clear()
            await self._room.wait()
        self.open_targets += len(block)
        slots = self._reorder.open(len(block))
        if self._express is not None and self._group is not None:
            self._group.create_task(self._rush(slots, self._express.begin(block)))
            return
        jobs: list[_Job] = []
        for index, target in enumerate(block):
            job = _Job(index, self._audit(target), trace=self._trace)
            if self._go_on(slots, job, None):
                jobs.append(job)
        self._hand_over()
        if jobs:
            self._spawn(slots, jobs)

    async def _rush(self, slots: Slots, rounds: Rounds) -> None:
        """Take a block the short way; what is late or out of the ordinary is left behind."""
        while True:
            self._take_lines(slots, rounds)
            jobs = [job for left in rounds.left if (job := self._taken_over(slots, left))]
            self._hand_over()
            if jobs:
                self._spawn(slots, jobs)
            if not rounds.questions:
                return
            batch = self._lookup.start(rounds.questions)
            await batch.settle()
            rounds.step(batch.answers)

    def _take_lines(self, slots: Slots, rounds: Rounds) -> None:
        self.open_targets -= len(rounds.lines)
        for (verdict, codes, status), times in rounds.alike.items():
            self._tally.count("ip", verdict, codes, status, times)
        self._reorder.put_all(slots, rounds.lines)

    def _taken_over(self, slots: Slots, left: Left) -> _Job | None:
        """Return the job of a target that goes on the long way, at where it has got to."""
        job = _Job(left.place, self._audit(left.target), trace=False)
        if not self._go_on(slots, job, None):
            return None
        for question, answer in left.known:
            if list(job.questions) != [question]:
                break
            if not self._go_on(slots, job, (answer,)):
                return None
        return job

    def _spawn(self, slots: Slots, jobs: list[_Job]) -> None:
        if self._group is None:
            raise RuntimeError("the pipeline is not running")
        self._group.create_task(self._work(slots, jobs))

    async def _work(self, slots: Slots, jobs: list[_Job]) -> None:
        """Take some targets of a block through their rounds, leaving late ones behind."""
        while jobs:
            batch, asked = self._ask(jobs)
            await batch.settle()
            late: list[_Asked] = []
            if batch.pending:
                asked, late = _split(asked, batch)
            if late and self._group is not None:
                self._group.create_task(self._wait(slots, late, batch))
            jobs = self._step(slots, asked, batch)

    async def _wait(self, slots: Slots, late: list[_Asked], batch: Batch) -> None:
        """Wait for the stragglers of a batch, sending on what arrives together."""
        while late:
            await batch.settle()
            asked, late = _split(late, batch)
            if asked:
                jobs = self._step(slots, asked, batch)
                if jobs:
                    self._spawn(slots, jobs)

    def _ask(self, jobs: list[_Job]) -> tuple[Batch, list[_Asked]]:
        questions: list[Question] = []
        asked: list[_Asked] = []
        start = 0
        for job in jobs:
            questions += job.questions
            end = len(questions)
            asked.append((job, start, end))
            start = end
        return self._lookup.start(questions), asked

    def _step(self, slots: Slots, asked: list[_Asked], batch: Batch) -> list[_Job]:
        """Give each target its answers; return those that ask on."""
        jobs: list[_Job] = []
        answers = batch.answers
        for job, start, end in asked:
            # `_split` lets only complete answers through.
            got: list[Answer] = answers[start:end]  # type: ignore[assignment]
            if job.trace is not None:
                job.trace += zip(job.questions, got, strict=True)
            if self._go_on(slots, job, got):
                jobs.append(job)
        self._hand_over()
        return jobs

    def _go_on(self, slots: Slots, job: _Job, answers: Sequence[Answer] | None) -> bool:
        """Run a target to its next questions, or to its end; return whether it goes on."""
        try:
            # A generator's first send must be None.
            job.questions = job.steps.send(answers)  # type: ignore[arg-type]
        except StopIteration as end:
            self._finish(slots, job, end.value)
            return False
        return True

    def _finish(self, slots: Slots, job: _Job, record: Record) -> None:
        self._tally.note(record)
        whole: object = record
        if job.trace is not None:
            whole = {**record, "trace": [trace_entry(*pair) for pair in job.trace]}
        line = orjson.dumps(whole, option=orjson.OPT_APPEND_NEWLINE)
        # A copy, since it may have to wait: what orjson returns holds on to its work space,
        # 4 KB for a line of 300 octets.
        self._reorder.put(slots, job.index, bytes(memoryview(line)))
        self.open_targets -= 1

    def _hand_over(self) -> None:
        """Pass on what has reached the head of the line, and wake whoever waits for it."""
        most = self._limits.unwritten
        while self._unwritten <= most and (lines := self._reorder.take(most)):
            chunk = b"".join(lines)
            self._ready.append(chunk)
            self._unwritten += len(chunk)
            self._lines.set()
        self._room.set()

    async def _keep_writing(self) -> None:
        while True:
            await self._lines.wait()
            self._lines.clear()
            while self._ready:
                chunks, self._ready = self._ready, []
                chunk = b"".join(chunks)
                await self._write(chunk)
                self._unwritten -= len(chunk)
                self._hand_over()
            if self._ended:
                # Nobody will finish the block whose turn it is: what it begins with is good.
                if begun := b"".join(self._reorder.take_begun()):
                    await self._write(begun)
                return

    def _forget(self) -> None:
        """Take back from the tally what was finished and will not be written by this run."""
        with suppress(OutputError):  # of the spill: what is there stays counted
            for lines in chain(self._ready, self._reorder.rest()):
                for line in lines.splitlines():
                    self._tally.forget(orjson.loads(line))


def _split(asked: list[_Asked], batch: Batch) -> tuple[list[_Asked], list[_Asked]]:
    """Tell the targets whose answers are all there from those that must wait."""
    answers = batch.answers
    done: list[_Asked] = []
    late: list[_Asked] = []
    for entry in asked:
        _, start, end = entry
        (late if None in answers[start:end] else done).append(entry)
    return done, late


async def _first_end(*ends: asyncio.Future[None]) -> None:
    """Return when one of these ends, raising what it ended with."""
    done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for end in done:
        end.result()


def _first(group: BaseExceptionGroup) -> BaseException:
    """Return the exception that ended the run: a task group wraps it."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
