"""Names that take seconds to fail among others: few queries for each, and no wait for them all."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import pytest
from support.simnet import ONE, RTT, Reply, Simulation, respond, statuses, truth

from auditor.resolve.answer import Question
from auditor.resolve.bulk.server.pressure import Pressure
from auditor.resolve.bulk.server.trial import Belief, Trial
from auditor.wire.codes import SERVFAIL as SERVFAIL_STATUS
from auditor.wire.codes import A

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from support.simnet import Query

_SERVFAIL = 2

#: Queries that the server takes a second.
_RATE = 20_000.0


def _questions(count: int, every: int) -> tuple[list[Question], set[str]]:
    """Return questions in zones of 256, and the names of those that fail: each `every`-th."""
    found = [Question(f"n{n % 256}.z{n // 256}.net", A) for n in range(count)]
    return found, {question.name for question in found[every // 2 :: every]}


def _failing_after(seconds: float, ill: set[str]) -> Callable[[Query], Sequence[Reply]]:
    """Return a server that answers one after the other, and says SERVFAIL of some after a while."""
    free = 0.0

    def answer(query: Query) -> Sequence[Reply]:
        nonlocal free
        if query.name in ill:
            return [Reply(seconds, respond(query, _SERVFAIL))]
        free = max(free, query.now) + 1 / _RATE
        return [Reply(free - query.now + RTT, respond(query))]

    return answer


@pytest.mark.parametrize(
    ("count", "every", "seconds", "rounds"),
    [(8192, 100, 5.0, 3), (8192, 10, 5.0, 3), (4096, 20, 0.7, 3)],
)
def test_names_that_fail_slowly_are_repeated_together(
    count: int, every: int, seconds: float, rounds: int
) -> None:
    questions, ill = _questions(count, every)
    with Simulation({ONE: _failing_after(seconds, ill)}) as world:
        found = world.ask(questions)
        assert {q.name for q in questions if found[q] != truth(q)} == ill
        assert statuses(found)[SERVFAIL_STATUS] == len(ill)
        # Asked, asked again, and asked without validation: all at the same time.
        assert world.loop.now - 1000.0 < rounds * seconds + 4.0
        asked = sum(query.name in ill for _, query in world.queries)
        assert asked <= 7.5 * len(ill)
        assert world.engine.limits_found() == {}
        world.drain()
        world.check_books()


def test_a_limit_whose_failures_come_late_makes_no_name_fail() -> None:
    chance, taken = random.Random(1), dict[int, int]()
    questions, ill = _questions(2048, 50)

    def answer(query: Query) -> Sequence[Reply]:
        """Say SERVFAIL two seconds late beyond 500 queries a second, and of some names."""
        if query.name not in ill:
            second = int(query.now)
            taken[second] = taken.get(second, 0) + 1
            if taken[second] <= 500:
                return [Reply(RTT, respond(query))]
        return [Reply(chance.uniform(1.8, 2.4), respond(query, _SERVFAIL))]

    with Simulation({ONE: answer}) as world:
        found = world.ask(questions)
        assert {q.name for q in questions if found[q] != truth(q)} == ill
        assert len(world.queries) < 2.6 * len(questions)
        world.drain()
        world.check_books()


def _slow_ones_are_own(pressure: Pressure) -> None:
    """Have sixteen names fail slowly, and once more in a trial."""
    pressure.on_answers(100, 5, 0.5)
    for _ in range(16):
        pressure.on_failure(5, 0.5, 1.0, tried=None, calm=True, alive=True, slow=True)
    pressure.poll_trial(2.5, 0, 16, ripe=True, idle=True)
    for _ in range(16):
        pressure.on_failure(5, 2.5, 4.0, tried=1, calm=True, alive=True, slow=True)
    pressure.poll_trial(4.0, 0, 0, ripe=False, idle=True)


def test_slow_failures_need_no_trial_once_one_has_shown_that_they_stay() -> None:
    pressure = Pressure()
    _slow_ones_are_own(pressure)
    first = pressure.on_failure(9, 3.0, 5.0, tried=None, calm=False, alive=True, slow=True)
    again = pressure.on_failure(9, 6.0, 8.0, tried=9, calm=False, alive=True, slow=True)
    assert (first, again) == (Belief.AGAIN, Belief.OWN)
    # Others say nothing about load, but some of them do.
    at_once = pressure.on_failure(9, 8.0, 8.0, tried=9, calm=False, alive=True, slow=False)
    assert at_once is Belief.DOUBTFUL


def test_slow_failures_that_pass_are_doubted_again() -> None:
    pressure = Pressure()
    _slow_ones_are_own(pressure)
    for _ in range(5):
        pressure.on_recovered(5.0, 6.0, 6.0, slow=True)
    again = pressure.on_failure(9, 6.0, 8.0, tried=9, calm=False, alive=True, slow=True)
    assert again is Belief.DOUBTFUL


def test_a_trial_sends_slow_queries_a_few_at_a_time_and_more_from_moment_to_moment() -> None:
    trial = Trial(8, 1.0)
    assert [trial.take_slow(100, 0.02, 1.0 + 0.01 * step) for step in range(10)] == [
        *(8, 0, 16, 0, 32, 0, 64, 0, 64, 0)
    ]


def test_failures_that_a_resolver_remembers_make_no_name_fail() -> None:
    # Beyond 200 queries a second SERVFAIL comes late, and is said again at once for 5 seconds.
    chance, taken = random.Random(5), dict[int, int]()
    remembered: dict[str, tuple[float, float]] = {}
    questions, _ = _questions(1024, 50)

    def answer(query: Query) -> Sequence[Reply]:
        found, until = remembered.get(query.name, (0.0, 0.0))
        if query.now < until:
            return [Reply(max(found - query.now, 0.0005), respond(query, _SERVFAIL))]
        second = int(query.now)
        taken[second] = taken.get(second, 0) + 1
        if taken[second] <= 200:
            return [Reply(RTT, respond(query))]
        found = query.now + chance.uniform(0.6, 0.8)
        remembered[query.name] = (found, found + 5.0)
        return [Reply(found - query.now, respond(query, _SERVFAIL))]

    with Simulation({ONE: answer}) as world:
        found = world.ask(questions)
        assert found == {question: truth(question) for question in questions}
        world.drain()
        world.check_books()


def test_a_zone_that_fails_slowly_is_dead_before_its_names_have_failed() -> None:
    questions, _ = _questions(4096, 100)
    ill = {question.name for question in questions if question.name.endswith(".z7.net")}
    with Simulation({ONE: _failing_after(5.0, ill)}) as world:
        found = world.ask(questions)
        assert {q.name for q in questions if found[q] != truth(q)} == ill
        assert world.loop.now - 1000.0 < 4.0


def test_a_dead_zone_stays_so_while_its_neighbours_answer() -> None:
    questions = [
        Question(f"{n % 256}.{n // 256}.51.198.in-addr.arpa", A)
        for n in (*range(256, 512), *range(60 * 256))
    ]
    ill = {
        question.name for question in questions if question.name.endswith(".1.51.198.in-addr.arpa")
    }
    questions = list(dict.fromkeys(questions))
    with Simulation({ONE: _failing_after(5.0, ill)}, qps=2000) as world:
        world.ask(questions)
        assert {a.status for q, a in world.delivered if q.name in ill} == {"TIMEOUT"}
