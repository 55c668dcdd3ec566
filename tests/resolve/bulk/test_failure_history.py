"""Failures that pass by themselves: no limit is taken for their cause, and few are believed.

So does Unbound fail whose authority limits the rate of its responses (RRL): after some tries it
says SERVFAIL, whatever else it is asked, and at times it says so again for five seconds.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from support.effort import sample
from support.limited import SERVFAIL
from support.simnet import ONE, Reply, Simulation, names, respond, truth

from auditor.resolve.bulk.server.failure_history import FailureHistory
from auditor.resolve.bulk.server.pressure import Pressure
from auditor.resolve.bulk.server.trial import Belief, Verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from support.simnet import Query

LOOKUP_S = 0.08
REPEATED_S = 5.0


class _LosesAnswers:
    """Takes some 80 ms for an answer; fails in one of `every`, and repeats a sixth of those."""

    def __init__(self, chance: random.Random, every: int) -> None:
        self._chance = chance
        self._every = every
        #: By name: when it has failed, and until when it does again.
        self._failed: dict[str, tuple[float, float]] = {}

    def __call__(self, query: Query) -> Sequence[Reply]:
        chance = self._chance
        ends, until = self._failed.get(query.name, (0.0, 0.0))
        if query.now < until:
            return [Reply(max(ends - query.now, 0.0002), respond(query, SERVFAIL))]
        if chance.randrange(self._every):
            return [Reply(min(chance.expovariate(1 / LOOKUP_S), 0.6), respond(query))]
        took = chance.uniform(0.3, 1.1)
        ends = query.now + took
        self._failed[query.name] = ends, ends + (0.0 if chance.randrange(6) else REPEATED_S)
        return [Reply(took, respond(query, SERVFAIL))]


@pytest.mark.parametrize("seed", sample(range(12), fewest=4))
def test_failures_that_pass_cost_neither_a_limit_nor_answers(seed: int) -> None:
    questions, concurrency = names(12_000), 128
    server = _LosesAnswers(random.Random(seed), 140)
    with Simulation({ONE: server}, concurrency=concurrency) as world:
        assert world.ask(questions) == {question: truth(question) for question in questions}
        assert world.engine.limits_found() == {}
        took = world.loop.now - 1000.0
        assert took < 1.2 * len(questions) * LOOKUP_S / concurrency + 2 * REPEATED_S


def _trial_of(failures: int, answers: int) -> Pressure:
    """Return what is known after so many failures among so many answers have passed in a trial."""
    pressure = Pressure()
    pressure.on_answers(100, 40, 0.5)
    for _ in range(failures):
        pressure.on_failure(60, 1.0, 1.5, tried=None, calm=True, alive=True, early=True)
    pressure.on_answers(answers, 60, 1.5)
    assert pressure.poll_trial(3.0, 0, failures, ripe=True, idle=False) is Verdict.BEGUN
    for _ in range(4):
        pressure.on_recovered(1.5, 3.0, 3.1)
    assert pressure.poll_trial(3.1, 0, failures, ripe=True, idle=False) is Verdict.OVERLOAD
    return pressure


@pytest.mark.parametrize(("answers", "is_limit"), [(300, False), (60, True)])
def test_failures_that_pass_show_a_limit_only_if_they_are_many(
    answers: int, *, is_limit: bool
) -> None:
    pressure = _trial_of(8, answers)
    assert (pressure.window.queries is not None) is is_limit
    found = pressure.on_failure(60, 4.0, 5.0, tried=None, calm=True, alive=True, early=True)
    assert found is Belief.AGAIN
    # A failure that the server may repeat is not believed, nor does it begin a trial.
    again = pressure.on_failure(60, 6.1, 6.1, tried=61, calm=True, alive=True, early=True)
    assert again is (Belief.DOUBTFUL if is_limit else Belief.AGAIN)


@pytest.mark.parametrize("tried", [None, 40])
def test_a_failure_within_a_known_limit_is_not_waited_out(tried: int | None) -> None:
    pressure = _trial_of(8, 300)
    pressure.is_paced = True
    found = pressure.on_failure(60, 6.1, 6.1, tried=tried, calm=True, alive=True, early=True)
    assert found is (Belief.DOUBTFUL if tried else Belief.AGAIN)
    assert pressure.doubts == 1


def test_many_failures_at_once_are_not_taken_for_those_that_pass() -> None:
    history = FailureHistory()
    history.on_answers(128)
    history.on_passed(slow=False, limited=False)
    found = [history.judge(first=True, slow=False, passes=True) for _ in range(20)]
    assert found == [Belief.AGAIN] * 8 + [None] * 12


def test_the_last_answers_of_a_run_may_be_failures_that_pass() -> None:
    history = FailureHistory()
    history.on_answers(1000)
    history.on_passed(slow=False, limited=False)
    for _ in range(20):
        history.judge(first=True, slow=False, passes=True)
    assert history.judge(first=False, slow=False, passes=True) is Belief.AGAIN


def test_failures_do_not_count_as_passing_if_they_were_a_limits() -> None:
    history = FailureHistory()
    history.on_answers(128)
    history.on_passed(slow=False, limited=True)
    assert history.judge(first=True, slow=False, passes=True) is None
    history.on_passed(slow=False, limited=False)
    assert history.judge(first=True, slow=False, passes=True) is Belief.AGAIN
    assert history.judge(first=True, slow=False, passes=False) is None
    history.on_limit()
    assert history.judge(first=True, slow=False, passes=True) is None
