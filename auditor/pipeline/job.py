"""A target in the pipeline that runs as a generator: its questions, its memory, its time slice."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.output.record_types import Record
    from auditor.resolve.answer import Answer, Question, Steps
    from auditor.resolve.resolver import PendingBatch

__all__ = ["Job", "JobAnswers", "TimeSlice", "split_late"]

#: Seconds after which a task that processes many targets yields to the event loop. One target
#: takes microseconds, or milliseconds if it has thousands of names.
_TIME_SLICE_S: Final = 0.02


class Job:
    """One target in progress: its index in the block, its stages, and their current questions.

    `held`: octets of the large answers that it was given.
    """

    __slots__ = ("held", "index", "questions", "steps", "trace")

    def __init__(self, index: int, steps: Steps[Record], *, trace: bool) -> None:
        self.index = index
        self.steps = steps
        self.questions: Sequence[Question] = ()
        self.held = 0
        self.trace: list[tuple[Question, Answer]] | None = [] if trace else None


#: A job, and the start and end of its answers in the batch.
JobAnswers: TypeAlias = tuple[Job, int, int]


class TimeSlice:
    """Yields to the event loop from time to time while a long list is processed."""

    __slots__ = ("_loop", "_until")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._until = self._loop.time() + _TIME_SLICE_S

    async def yield_when_over(self) -> None:
        """Let other tasks run if this one has used up its time slice."""
        if self._loop.time() > self._until:
            await asyncio.sleep(0)
            self._until = self._loop.time() + _TIME_SLICE_S


def split_late(
    asked: list[JobAnswers], batch: PendingBatch
) -> tuple[list[JobAnswers], list[JobAnswers]]:
    """Split targets into those with all of their answers, and those that wait for some."""
    answers = batch.answers
    done: list[JobAnswers] = []
    late: list[JobAnswers] = []
    for entry in asked:
        _, start, end = entry
        (late if None in answers[start:end] else done).append(entry)
    return done, late
