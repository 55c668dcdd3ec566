"""How many queries at a time a server takes: found from what it held, left if that was wrong."""

from __future__ import annotations

import random

import pytest
from support.effort import sample
from support.limited import REFUSED, AtATime, on_busy_machine, varying
from support.simnet import ONE, Simulation, names, truth

from auditor.resolve.bulk.server.pressure import Pressure
from auditor.resolve.bulk.server.trial import Belief, Verdict
from auditor.resolve.bulk.server.window_limit import WindowLimit


def _answer(limit: WindowLimit, now: float) -> None:
    """Have the limit answered often enough to be borne, and look at it."""
    queries = limit.queries or 0
    limit.on_answers(4 * queries, queries)
    limit.poll(now)


def test_a_limit_that_was_found_much_too_low_is_left_within_few_windows() -> None:
    limit = WindowLimit()
    limit.lower(4, 5, 1.0)
    assert limit.queries == 3
    # The least that was too much is close, and believed for a second.
    _answer(limit, 1.0)
    assert limit.queries == 4
    _answer(limit, 1.0)
    _answer(limit, 1.5)
    assert limit.queries == 4
    steps = 0
    while (limit.queries or 0) < 50:
        _answer(limit, 3.0)
        steps += 1
    assert steps <= 12


def test_a_step_that_is_refused_is_taken_back_at_once_and_halved() -> None:
    limit = WindowLimit()
    limit.queries = 40
    _answer(limit, 1.0)
    assert limit.queries == 51
    for _ in range(8):
        limit.on_refused(1.1)
    assert (limit.queries, limit.reached_at) == (40, 1.1)
    _answer(limit, 1.2)
    assert limit.queries == 45


def test_a_limit_is_lowered_a_little_by_names_that_were_refused_and_are_answered_later() -> None:
    limit = WindowLimit()
    limit.queries = 100
    limit.poll(1.0)
    for _ in range(4):
        limit.on_recovered(1.0, 1.1)
    assert limit.queries == 96
    # What failed before that says nothing of the new limit.
    for _ in range(8):
        limit.on_recovered(1.05, 1.2)
    assert limit.queries == 96


def test_a_name_that_fails_within_a_known_limit_is_asked_again_without_a_trial() -> None:
    pressure = Pressure()
    pressure.on_answers(100, 5, 0.5)
    pressure.window.lower(50, 51, 1.0)
    found = pressure.on_failure(47, 1.1, 1.2, tried=None, calm=False, alive=False)
    assert found is Belief.AGAIN
    assert pressure.poll_trial(10.0, 40, 0, ripe=False, idle=False) is None
    assert pressure.trial is None


@pytest.mark.parametrize("refused_later", [0, 10])
def test_what_a_server_held_is_not_what_is_left_after_its_answers(refused_later: int) -> None:
    pressure = Pressure()
    pressure.on_answers(100, 5, 0.5)
    for _ in range(20):
        pressure.on_failure(70, 1.0, 1.02, tried=None, calm=False, alive=False)
    # Of 70 in flight 40 were answered in the same batch, and few are left.
    pressure.on_answers(40, 10, 1.0)
    pressure.on_held(70 + refused_later)
    assert pressure.poll_trial(1.02, 10, 20, ripe=True, idle=False) is Verdict.BEGUN
    # The rest of what was refused comes while the trial has begun.
    for _ in range(refused_later):
        pressure.on_failure(5, 1.0, 1.03, tried=None, calm=False, alive=False)
    pressure.on_held(10)
    trial = pressure.trial
    assert trial is not None
    for _ in range(4):
        pressure.on_recovered(1.02, 1.03, 1.05)
    assert pressure.poll_trial(1.05, 4, 16, ripe=True, idle=False) is Verdict.OVERLOAD
    assert pressure.window.queries == 48


def test_a_limit_beyond_which_queries_are_dropped_follows_what_is_lost() -> None:
    limit = WindowLimit()
    limit.lower(50, 51, 1.0)
    limit.on_lost(1.1, 1.2)
    limit.lower(50, 51, 1.0, noticed_s=0.3)
    before = limit.queries or 0
    # Some are lost on any path.
    limit.on_answers(500, before)
    for _ in range(14):
        limit.on_lost(1.1, 1.2)
    assert limit.queries == before
    limit.on_lost(1.1, 1.2)
    assert limit.queries == int(before * 0.96)


@pytest.mark.parametrize("seed", sample(range(3)))
@pytest.mark.parametrize(("limit", "rcode"), [(20, REFUSED), (150, REFUSED), (64, None)])
def test_a_limit_is_used_on_a_busy_machine_as_well(
    limit: int, rcode: int | None, seed: int
) -> None:
    chance = random.Random(seed)
    server = AtATime(limit, rcode, within=varying(0.02, chance))
    questions = names(400 * limit)
    with Simulation({ONE: on_busy_machine(server, chance, 1000.0)}) as world:
        assert world.ask(questions) == {question: truth(question) for question in questions}
        # A reply is read after 22.5 ms on average, if the machine does not stand still.
        assert world.loop.now - 1000.0 < 1.25 * len(questions) * 0.0225 / limit
        assert len(world.queries) < 1.1 * len(questions)
        assert list(world.engine.limits_found()[f"{ONE}:53"]) == ["at_a_time", "setting"]
