"""How stages are put side by side (see `Steps` in facts.py)."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.checks.facts import Steps
    from auditor.resolve.answer import Question

__all__ = ["together"]

T = TypeVar("T")


def together(stages: Sequence[Steps[T]]) -> Steps[list[T]]:
    """Run several stages abreast: the questions that each has now go out in one round.

    Returns their facts in the order of `stages`.
    """
    if not stages:
        return []
    if len(stages) == 1:
        return [(yield from stages[0])]
    facts: dict[int, T] = {}
    waiting: list[tuple[int, Steps[T], Sequence[Question]]] = []

    def step(index: int, stage: Steps[T], answers: object) -> None:
        try:
            # The first send to a generator must be None; afterwards it gets its answers.
            questions = stage.send(answers)  # type: ignore[arg-type]
        except StopIteration as end:
            facts[index] = end.value
        else:
            waiting.append((index, stage, questions))

    for index, stage in enumerate(stages):
        step(index, stage, None)
    while waiting:
        asked, waiting = waiting, []
        answers = yield [question for _, _, questions in asked for question in questions]
        start = 0
        for index, stage, questions in asked:
            end = start + len(questions)
            step(index, stage, answers[start:end])
            start = end
    return [facts[index] for index in range(len(stages))]
