"""Pipeline: takes blocks of targets through their stages, with back-pressure, in input order.

A block asks all of its questions at once, so there is one wait per batch and no task per
target. Targets with late answers are split off and wait separately: the pipeline is bounded by
open targets and buffered bytes, never by a slow block.

Under a rate limit, a block is started in pieces, only as many targets as can be queried soon, and
queries are sent in that order. So the first record comes early, and an interrupted run wastes few
queries.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Final, NamedTuple

import orjson

from auditor.output.record import trace_entry
from auditor.pipeline.job import Job, JobAnswers, TimeSlice, split_late
from auditor.pipeline.line_writer import LineWriter
from auditor.quoting import printable_line
from auditor.resolve.cache import large_octets

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence

    from auditor.output.record_types import Record
    from auditor.output.tally import Tally
    from auditor.pipeline.fastpath.block import BlockFastPath
    from auditor.pipeline.fastpath.fast_path import FastPath
    from auditor.pipeline.fastpath.results import Fallback
    from auditor.pipeline.reorder import BlockSlots
    from auditor.resolve.answer import Answer, Question, Steps
    from auditor.resolve.resolver import CachingResolver, PendingBatch
    from auditor.targets.target import Block, Target

__all__ = ["Limits", "Pipeline", "no_rate"]

#: Seconds of queries at the allowed rate that may wait to be sent before no more targets are
#: started. Enough that there is always a query to send; most targets have three rounds of
#: questions, and so are finished in about a second and a half.
_MAX_QUEUE_S: Final = 0.25


class Limits(NamedTuple):
    """Limits that keep the memory of the pipeline flat.

    `open_targets`: started and not finished; `backlog`: questions that the engine has taken
    and not sent, above which no block is started; `buffered`: bytes of lines kept in memory
    until the lines before them are finished; `unwritten`: bytes that wait for a slow reader;
    `held`: octets of large answers that open targets hold, above which no block is started.
    """

    open_targets: int = 24_576
    backlog: int = 512
    buffered: int = 24 << 20
    unwritten: int = 4 << 20
    held: int = 16 << 20


def no_rate() -> float | None:
    """Return None: no limit on queries per second."""
    return None


class _DroppedError(Exception):
    """Ends the run without finishing the targets in progress."""


class Pipeline:
    """Audits blocks and writes their lines in input order.

    `audit` returns the stages of a target; `fast_path` is for common targets, None for none;
    `tally` counts finished records; `write` is given whole lines: while it is slow, no more
    targets are started, but answers are still taken. With `trace`, each record ends with the
    lookups made for it. `rate` returns the queries per second that can be sent now, None
    without a limit.
    """

    def __init__(
        self,
        resolver: CachingResolver,
        audit: Callable[[Target], Steps[Record]],
        write: Callable[[bytes], Awaitable[None]],
        *,
        tally: Tally,
        fast_path: FastPath | None = None,
        trace: bool = False,
        limits: Limits | None = None,
        rate: Callable[[], float | None] = no_rate,
    ) -> None:
        self.open_targets = 0
        self._held = 0
        self._resolver = resolver
        self._audit = audit
        self._tally = tally
        self._fast_path = None if trace else fast_path
        self._trace = trace
        self._limits = limits or Limits()
        self._rate = rate
        self._room = asyncio.Event()
        self._lines = LineWriter(
            write, self._room.set, buffered=self._limits.buffered, unwritten=self._limits.unwritten
        )
        self._stopped = False
        self._end: Callable[[Exception], None] | None = None
        self._dropped = False
        self._trouble: Exception | None = None
        self._group: asyncio.TaskGroup | None = None

    async def audit_blocks(self, blocks: AsyncIterator[Block] | Iterator[Block]) -> None:
        """Audit all blocks. Cancelling this leaves no task and no temporary file behind.

        Raises what `write` and the iteration of `blocks` raise.
        """
        if self._dropped:
            return
        engine = self._resolver.engine
        engine.on_room(self._room.set)
        failure: asyncio.Future[None] = asyncio.get_running_loop().create_future()

        def fail(error: Exception) -> None:
            if not failure.done():
                failure.set_exception(error)

        self._end = fail
        engine.on_failure(fail)
        writer = asyncio.create_task(self._lines.write_until_end())
        try:
            async with asyncio.TaskGroup() as watching:
                watch = watching.create_task(_first_end(failure, writer))
                async with asyncio.TaskGroup() as self._group:
                    await self._read_blocks(blocks)
                watch.cancel()
            if self._trouble is not None:
                raise self._trouble
        except BaseExceptionGroup as group:
            error = _first(group)
            if not isinstance(error, _DroppedError):
                raise error from None
        finally:
            # Whatever ended the run, lines that are finished in order are still written.
            self._group = None
            self._lines.end_of_lines()
            failure.cancel()
            try:
                await writer
            finally:
                self._lines.uncount_unwritten(self._tally)

    def finish_early(self) -> None:
        """Start no more targets: the run ends when those in progress are finished."""
        self._stopped = True
        self._room.set()

    def abort(self) -> None:
        """End the run at once, after writing the lines that are finished in order."""
        self.finish_early()
        self._dropped = True
        if self._end is not None:
            self._end(_DroppedError())

    async def _read_blocks(self, blocks: AsyncIterator[Block] | Iterator[Block]) -> None:
        """Start every block. Errors of the input are raised once the targets before are done."""
        try:
            if isinstance(blocks, AsyncIterator):
                following = blocks.__anext__
                while not self._stopped:
                    await self._begin_block(await following())
                return
            for block in blocks:
                await self._begin_block(block)
                if self._stopped:
                    return
        except StopAsyncIteration:
            return
        except Exception as error:  # noqa: BLE001 - raised again by `audit_blocks`
            self._trouble = error

    async def _begin_block(self, block: Block) -> None:
        """Start a block as soon as there is room for it, in pieces under a rate limit."""
        start = 0
        while start < len(block):
            # At least once, so that the tasks of earlier blocks get to run.
            await asyncio.sleep(0)
            while not self._has_room(size := min(len(block) - start, max(1, self._most_queued()))):
                self._room.clear()
                await self._room.wait()
            if self._stopped:
                return
            self._open_block(block[start : start + size] if size < len(block) else block)
            start += size

    def _most_queued(self) -> int:
        """Return how many questions may wait to be sent before no more targets are started."""
        rate, most = self._rate(), self._limits.backlog
        return most if rate is None else max(1, min(most, int(rate * _MAX_QUEUE_S)))

    def _has_room(self, size: int) -> bool:
        """Tell whether `size` targets can be started; True once the run has stopped."""
        if self._stopped or not self.open_targets:
            return self._stopped or not self._lines.is_full
        return (
            not self._lines.is_full
            and self.open_targets + size <= self._limits.open_targets
            and self._held <= self._limits.held
            and self._resolver.engine.backlog() <= self._most_queued()
        )

    def _open_block(self, block: Block) -> None:
        """Start all targets of a block."""
        self.open_targets += len(block)
        slots = self._lines.reorder.open_block(len(block))
        if self._fast_path is not None and self._group is not None:
            for rounds in self._fast_path.start_block(block):
                self._group.create_task(self._run_fast_path(slots, rounds))
            return
        jobs: list[Job] = []
        for index, target in enumerate(block):
            job = Job(index, self._audit(target), trace=self._trace)
            if self._advance(slots, job, None):
                jobs.append(job)
        self._lines.hand_over()
        if jobs:
            self._spawn(slots, jobs)

    async def _run_fast_path(self, slots: BlockSlots, rounds: BlockFastPath) -> None:
        """Take a block through the fast path; run the targets that fall back as jobs."""
        while True:
            self._take_lines(slots, rounds)
            turn = TimeSlice()
            jobs = []
            for fallback in rounds.results.fallbacks:
                job = self._resume_job(slots, fallback)
                if job is not None:
                    jobs.append(job)
                await turn.yield_when_over()
            self._lines.hand_over()
            if jobs:
                self._spawn(slots, jobs)
            if not rounds.questions:
                return
            batch = self._resolver.start_batch(rounds.questions)
            await batch.wait_for_most()
            rounds.take_answers(batch.answers)

    def _take_lines(self, slots: BlockSlots, rounds: BlockFastPath) -> None:
        results = rounds.results
        self.open_targets -= len(results.lines)
        for (verdict, codes, status, failed), times in results.counts.items():
            self._tally.count_equal_records("ip", verdict, codes, status, times, failed=failed)
        self._lines.reorder.put_lines(slots, results.lines)

    def _resume_job(self, slots: BlockSlots, fallback: Fallback) -> Job | None:
        """Return the job of a target that falls back, resumed with its answers."""
        job = Job(fallback.place, self._audit(fallback.target), trace=False)
        if not self._advance(slots, job, None):
            return None
        for question, answer in fallback.known:
            if list(job.questions) != [question]:
                break
            if not self._advance(slots, job, (answer,)):
                return None
        return job

    def _spawn(self, slots: BlockSlots, jobs: list[Job]) -> None:
        if self._group is None:
            raise RuntimeError("the pipeline is not running")
        self._group.create_task(self._run_jobs(slots, jobs))

    async def _run_jobs(self, slots: BlockSlots, jobs: list[Job]) -> None:
        """Take targets of a block through their rounds; those with late answers wait separately."""
        while jobs:
            batch, asked = self._ask(jobs)
            await batch.wait_for_most()
            late: list[JobAnswers] = []
            if batch.pending:
                asked, late = split_late(asked, batch)
            if late and self._group is not None:
                self._group.create_task(self._wait_for_late(slots, late, batch))
            jobs = await self._step(slots, asked, batch)

    async def _wait_for_late(
        self, slots: BlockSlots, late: list[JobAnswers], batch: PendingBatch
    ) -> None:
        """Wait for the late answers of a batch; continue targets whose answers are complete."""
        while late:
            await batch.wait_for_most()
            asked, late = split_late(late, batch)
            if asked:
                jobs = await self._step(slots, asked, batch)
                if jobs:
                    self._spawn(slots, jobs)

    def _ask(self, jobs: list[Job]) -> tuple[PendingBatch, list[JobAnswers]]:
        questions: list[Question] = []
        asked: list[JobAnswers] = []
        start = 0
        for job in jobs:
            questions += job.questions
            end = len(questions)
            asked.append((job, start, end))
            start = end
        return self._resolver.start_batch(questions), asked

    async def _step(
        self, slots: BlockSlots, asked: list[JobAnswers], batch: PendingBatch
    ) -> list[Job]:
        """Give each target its answers; return the targets with more questions."""
        jobs: list[Job] = []
        answers = batch.answers
        turn = TimeSlice()
        for job, start, end in asked:
            # `split_late` lets only complete answers through.
            got: list[Answer] = answers[start:end]  # type: ignore[assignment]
            if job.trace is not None:
                job.trace += zip(job.questions, got, strict=True)
            if self._advance(slots, job, got):
                jobs.append(job)
            await turn.yield_when_over()
        self._lines.hand_over()
        return jobs

    def _advance(self, slots: BlockSlots, job: Job, answers: Sequence[Answer] | None) -> bool:
        """Run a target to its next questions, or to its end; return whether it has questions."""
        if answers is not None and (octets := large_octets(answers)):
            job.held += octets
            self._held += octets
        try:
            # A generator's first send must be None.
            job.questions = job.steps.send(answers)  # type: ignore[arg-type]
        except StopIteration as end:
            self._finish(slots, job, end.value)
            return False
        return True

    def _finish(self, slots: BlockSlots, job: Job, record: Record) -> None:
        self._tally.count_record(record)
        whole: object = record
        if job.trace is not None:
            whole = {**record, "trace": [trace_entry(*pair) for pair in job.trace]}
        line = orjson.dumps(whole, option=orjson.OPT_APPEND_NEWLINE)
        # A copy, since the line may be buffered: the bytes that orjson returns keep its work
        # space alive, 4 KB for a line of 300 octets.
        self._lines.reorder.put_line(slots, job.index, bytes(memoryview(printable_line(line))))
        self.open_targets -= 1
        self._held -= job.held


async def _first_end(*ends: asyncio.Future[None]) -> None:
    """Return when one of the futures is done, raising its exception if it has one."""
    done, _ = await asyncio.wait(ends, return_when=asyncio.FIRST_COMPLETED)
    for end in done:
        end.result()


def _first(group: BaseExceptionGroup) -> BaseException:
    """Return the exception that ended the run: a task group wraps it."""
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
