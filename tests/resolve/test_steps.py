"""Stages side by side: one round of questions for all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.stepping import driven

from auditor.resolve.answer import Answer, Question
from auditor.resolve.steps import together
from auditor.wire.codes import A

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from auditor.resolve.answer import Steps


def _stage(name: str, rounds: Sequence[int]) -> Steps[list[str]]:
    """Ask so many questions in each round; return the answers, and insist on one for each."""
    seen: list[str] = []
    for turn, count in enumerate(rounds):
        questions = [Question(f"{name}-{turn}-{number}", A) for number in range(count)]
        answers = yield questions
        assert len(answers) == count
        seen += [answer.canonical for answer in answers]
    return seen


def _echo(question: Question) -> Answer:
    return Answer("NOERROR", (), (), question.name)


def _expected(name: str, rounds: Sequence[int]) -> list[str]:
    return [
        f"{name}-{turn}-{number}" for turn, count in enumerate(rounds) for number in range(count)
    ]


@given(st.lists(st.lists(st.integers(0, 4), max_size=4), max_size=6))
def test_each_stage_gets_its_own_answers_and_the_facts_keep_their_order(
    plans: list[list[int]],
) -> None:
    stages = [_stage(str(number), rounds) for number, rounds in enumerate(plans)]
    facts, asked = driven(together(stages), _echo)
    assert facts == [_expected(str(number), rounds) for number, rounds in enumerate(plans)]
    # As many rounds as the longest needs, with all that is asked in it at a time.
    assert len(asked) == max(map(len, plans), default=0)
    for turn, questions in enumerate(asked):
        wanted = sum(rounds[turn] for rounds in plans if turn < len(rounds))
        assert len(questions) == wanted


def test_no_stages_no_questions() -> None:
    assert driven(together([]), _echo) == ([], [])


def test_stages_within_stages_share_the_round() -> None:
    def outer(name: str) -> Steps[list[list[str]]]:
        return (yield from together([_stage(name + "a", [1, 1]), _stage(name + "b", [2])]))

    facts, asked = driven(together([outer("x"), outer("y")]), _echo)
    assert [len(questions) for questions in asked] == [6, 2]
    assert facts[1] == [["ya-0-0", "ya-1-0"], ["yb-0-0", "yb-0-1"]]


def test_what_a_stage_raises_comes_out() -> None:
    def broken() -> Generator[Sequence[Question], Sequence[Answer], list[str]]:
        yield [Question("a", A)]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        driven(together([broken(), _stage("x", [1, 1])]), _echo)
