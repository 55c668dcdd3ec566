"""Drives stages without a pipeline: questions out, answers from a function, the result back."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from auditor.resolve.answer import Answer, Question, Steps

__all__ = ["driven"]

T = TypeVar("T")


def driven(steps: Steps[T], answer: Callable[[Question], Answer]) -> tuple[T, list[list[Question]]]:
    """Run a stage to its end; return what it returned and the questions of each round."""
    rounds: list[list[Question]] = []
    answers = None
    while True:
        try:
            questions = next(steps) if answers is None else steps.send(answers)
        except StopIteration as end:
            return end.value, rounds
        rounds.append(list(questions))
        answers = [answer(question) for question in questions]
