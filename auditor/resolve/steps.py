"""Runs steps: what asks without knowing how is given its answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Sequence

__all__ = ["answer_steps"]

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
