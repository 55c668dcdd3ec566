"""Silent names among others: what they cost those that are answered.

Also tests `dead_zones.py` and `tail_probe.py`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from support.effort import sample
from support.limited import PerSecond
from support.simnet import ONE, RTT, Reply, Simulation, honest, mute, names, respond, statuses

from auditor.resolve.answer import Question
from auditor.resolve.bulk.dead_zones import DeadZones
from auditor.wire.codes import TIMEOUT, A

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from support.simnet import Query

#: Answers a second, which 100 queries in flight get out of a server that is so far away.
_RATE = 10_000.0


def _busy() -> Callable[[Query], Sequence[Reply]]:
    """Return a server that answers one after the other, but nothing below `ill*.net`."""
    free = 0.0

    def answer(query: Query) -> Sequence[Reply]:
        nonlocal free
        if ".ill" in query.name:
            return []
        free = max(free, query.now) + 1 / _RATE
        return [Reply(free - query.now + RTT, respond(query))]

    return answer


def _warm(world: Simulation) -> None:
    """Let the window find its size."""
    world.ask(names(2000, "warm.net"))


def _seconds(world: Simulation, questions: list[Question]) -> float:
    """Return how long it takes until all but silent names are answered."""
    left = {question for question in questions if ".ill" not in question.name}
    begin, seen = world.loop.now, len(world.delivered)
    world.submit(questions)

    def done() -> bool:
        nonlocal seen
        left.difference_update([question for question, _ in world.delivered[seen:]])
        seen = len(world.delivered)
        return not left

    world.run(done)
    return world.loop.now - begin


def _zones() -> list[Question]:
    """Return twenty zones of a block each, every fifth of them silent."""
    found: list[Question] = []
    for number in range(20):
        found += names(256, f"{'ill' if number % 5 == 1 else 'well'}{number}.net")
    return found


def _scattered() -> list[Question]:
    """Return many names, one in ten of which is silent, and each zone has some of those."""
    return [
        Question(f"n{number}.{'ill' if number % 10 == 3 else 'well'}{number % 97}.net", A)
        for number in range(5120)
    ]


@pytest.mark.parametrize(
    ("questions", "most"),
    sample(
        [
            pytest.param(_zones, 1.5, id="zones"),
            pytest.param(_scattered, 1.2, id="scattered"),
        ]
    ),
)
def test_silent_names_hold_up_the_others_but_little(
    questions: Callable[[], list[Question]], most: float
) -> None:
    asked = questions()
    with Simulation({ONE: _busy()}) as world:
        _warm(world)
        alone = _seconds(world, names(len(asked), "alone.net"))
        before = len(world.delivered)
        assert _seconds(world, asked) < most * alone
        world.run(lambda: len(world.delivered) == before + len(asked))
        world.drain()
        world.check_books()


def test_what_is_asked_again_leaves_room_for_what_was_not_asked_yet() -> None:
    with Simulation({ONE: _busy()}, concurrency=64) as world:
        _warm(world)
        server = world.engine._nameservers[0]
        held: list[int] = []
        world.submit([*names(300, "ill.net"), *names(3000, "well.net")])

        def first_tries_are_sent() -> bool:
            held.append(server.in_flight.later)
            return not world.engine._sender.queue

        world.run(first_tries_are_sent)
        assert 0 < max(held) <= server.window.size / 4


def test_a_window_full_of_silent_names_is_exceeded_by_a_few_and_not_for_ever() -> None:
    with Simulation({ONE: _busy()}) as world:
        _warm(world)
        server = world.engine._nameservers[0]
        size = server.window.size
        world.submit(names(4000, "ill.net"))
        most = 0

        def a_try_is_taken_for_lost() -> bool:
            nonlocal most
            most = max(most, server.in_flight.count)
            return bool(world.engine._retries.retry_queue)

        world.run(a_try_is_taken_for_lost)
        assert size < most <= 1.7 * size


def test_others_go_before_the_rest_of_what_has_filled_the_window_in_vain() -> None:
    with Simulation({ONE: _busy()}) as world:
        _warm(world)
        world.submit([*names(800, "ill.net"), *names(800, "well.net")])
        world.run(lambda: len(world.delivered) > 2000)
        # Before any of them was taken for lost.
        assert world.engine.counters()["retried"] == 0
        assert not world.engine._retries.retry_queue


def test_what_waits_to_be_asked_again_is_not_when_its_zone_has_died_meanwhile() -> None:
    with Simulation({ONE: _busy()}, tries=5, timeout=0.5) as world:
        _warm(world)
        window, sent = int(world.engine._nameservers[0].window.size), len(world.queries)
        assert statuses(world.ask(names(1000, "ill.net"))) == {TIMEOUT: 1000}
        assert len(world.queries) - sent < 1000 + window
        world.drain()
        world.check_books()


def test_what_waits_is_asked_again_when_its_zone_is_found_to_be_back() -> None:
    with Simulation({ONE: _busy()}, tries=5, timeout=0.5) as world:
        _warm(world)
        world.submit(names(1000, "ill.net"))
        world.run(lambda: world.engine._retries.dead.is_dead("n0.ill.net", world.loop.now))
        world.servers[ONE] = honest
        world.submit([Question("new.ill.net", A)])
        world.run(lambda: len(world.delivered) == 3001)
        assert TIMEOUT not in statuses(dict(world.delivered[2000:]))


def test_a_closed_engine_looks_at_its_windows_no_more() -> None:
    with Simulation({ONE: mute}) as world:
        server = world.engine._nameservers[0]
        server.round_trip.add_sample(RTT)
        world.submit(names(500))
        assert server.stuck_at() is not None
        world.engine._tcp.close = lambda: None  # type: ignore[method-assign]
        asyncio.run(world.engine.close_engine())
        assert not world.loop.step()


def test_answers_are_noted_by_zone_and_neighbours_that_are_zones_are_told_apart() -> None:
    dead = DeadZones()
    for number in range(16):
        for zone in ("one.net", "two.net", "100.51.198.in-addr.arpa"):
            dead.on_failure(f"{number}.{zone}", 1.0)
    dead.on_answers(["200.100.51.198.in-addr.arpa", "7.100.51.198.in-addr.arpa", "two.net"])
    assert not dead.is_dead("9.100.51.198.in-addr.arpa", 2.0)
    assert not dead.is_dead("9.two.net", 2.0)
    assert dead.is_dead("9.one.net", 2.0)
    dead.on_answers(["www.one.net"])
    assert not dead


def test_what_is_remembered_of_names_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditor.resolve.bulk.dead_zones._MAX_PARENTS", 10)
    dead = DeadZones()
    dead.on_answers([f"{n}.{n}.51.198.in-addr.arpa" for n in range(100)])
    assert 0 < len(dead._zones) <= 10


def test_names_lost_to_a_limit_are_asked_again_as_soon_as_it_is_kept_to() -> None:
    # Of each second's queries the first 500 are answered, and every tenth of the others.
    limited = PerSecond(500, factor=10, seconds=0.02)
    silent = {f"n{number}.well{number}.net" for number in range(0, 97, 4)}

    def answer(query: Query) -> Sequence[Reply]:
        return [] if query.name in silent else limited(query)

    questions = [Question(f"n{n}.well{n % 97}.net", A) for n in range(3072)]
    with Simulation({ONE: answer}) as world:
        _answer_all_but(world, questions, silent)
        # What is lost to it waits for no timeout of ten seconds.
        assert world.loop.now - 1000.0 < 8.5
        world.run(lambda: len(world.delivered) == len(questions))
        assert {q.name for q, answer in world.delivered if answer.status == TIMEOUT} == silent
        # Silent names are given up after as many rounds, most of which are short.
        assert world.loop.now - 1000.0 < 30.0
        world.drain()
        world.check_books()


def _answer_all_but(world: Simulation, questions: list[Question], silent: set[str]) -> None:
    world.submit(questions)
    world.run(lambda: len(world.delivered) >= len(questions) - len(silent))
