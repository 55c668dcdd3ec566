"""Runs the steps of a stage with answers that are there at once."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

    from auditor.resolve.answer import Answer, Question, Steps

__all__ = ["settle"]

T = TypeVar("T")


def settle(steps: Steps[T], answer: Callable[[Question], Answer]) -> T:
    """Run steps to their end; return their result."""
    try:
        questions = next(steps)
        while True:
            questions = steps.send([answer(question) for question in questions])
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
