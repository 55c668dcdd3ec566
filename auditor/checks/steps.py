"""Runs several stages side by side (see `Steps` in facts.py)."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.checks.facts import Steps
    from auditor.resolve.answer import Answer, Question

__all__ = ["together"]

T = TypeVar("T")


def together(stages: Sequence[Steps[T]]) -> Steps[list[T]]:
    """Run several stages side by side: the questions that each has now go out in one round.

    Returns their facts in the order of `stages`.
    """
    if not stages:
        return []
    if len(stages) == 1:
        return [(yield from stages[0])]
    facts: dict[int, T] = {}
    running = list(enumerate(stages))
    # The first send to a generator must be None; afterwards it gets its answers.
    answers: list[Sequence[Answer] | None] = [None] * len(running)
    while True:
        waiting: list[tuple[int, Steps[T]]] = []
        questions: list[Question] = []
        ends = [0]
        for (index, stage), got in zip(running, answers, strict=True):
            try:
                questions += stage.send(got)  # type: ignore[arg-type]
            except StopIteration as end:
                facts[index] = end.value
            else:
                waiting.append((index, stage))
                ends.append(len(questions))
        if not waiting:
            return [facts[index] for index in range(len(stages))]
        received = yield questions
        answers = [received[start:end] for start, end in pairwise(ends)]
        running = waiting
