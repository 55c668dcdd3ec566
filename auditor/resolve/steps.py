"""Runs steps, which ask without knowing how: over a resolver, at once, or several side by side."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Sequence

    from auditor.resolve.answer import Answer, Question, Steps

__all__ = ["answer_steps", "answer_steps_at_once", "together"]

T = TypeVar("T")
Q = TypeVar("Q")
A = TypeVar("A")


async def answer_steps(
    steps: Generator[Sequence[Q], Sequence[A], T],
    answer: Callable[[Sequence[Q]], Awaitable[Sequence[A]]],
) -> T:
    """Run steps to their end; `answer` returns the answers to questions, in order."""
    try:
        questions = next(steps)
        while True:
            questions = steps.send(await answer(questions))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def answer_steps_at_once(steps: Steps[T], answer: Callable[[Question], Answer]) -> T:
    """Run steps to their end with answers that need no waiting; return their result."""
    try:
        questions = next(steps)
        while True:
            questions = steps.send([answer(question) for question in questions])
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


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
