"""Drivers of `Steps`: over a resolver, with answers at hand, or several concurrently."""

from __future__ import annotations

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
    """Run steps to their end with answers that are available at once; return their result."""
    try:
        questions = next(steps)
        while True:
            questions = steps.send([answer(question) for question in questions])
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def together(stages: Sequence[Steps[T]]) -> Steps[list[T]]:
    """Run several stages concurrently: the questions of all are sent in one round.

    Returns their results in the order of `stages`.
    """
    if not stages:
        return []
    if len(stages) == 1:
        return [(yield from stages[0])]
    facts: dict[int, T] = {}
    questions: list[Question] = []
    #: Unfinished stages: index, generator, and the end of its questions in the round.
    running: list[tuple[int, Steps[T], int]] = []
    for index, stage in enumerate(stages):
        try:
            questions += next(stage)
        except StopIteration as end:
            facts[index] = end.value
        else:
            running.append((index, stage, len(questions)))
    while len(running) > 1:
        answers = yield questions
        asked, running, questions = running, [], []
        first = 0
        for index, stage, after in asked:
            try:
                questions += stage.send(answers[first:after])
            except StopIteration as end:
                facts[index] = end.value
            else:
                running.append((index, stage, len(questions)))
            first = after
    for index, stage, _ in running:  # only one is left
        facts[index] = yield from _run_to_end(stage, questions)
    return [facts[index] for index in range(len(stages))]


def _run_to_end(stage: Steps[T], questions: Sequence[Question]) -> Steps[T]:
    """Run a stage that has yielded `questions` to its end."""
    try:
        while True:
            questions = stage.send((yield questions))
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
