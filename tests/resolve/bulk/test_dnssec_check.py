"""What does not validate is told from what fails, with one query that has CD set."""

from __future__ import annotations

import random
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from support.effort import examples
from support.limited import AtATime, PerSecond, broken_zones
from support.simnet import (
    ONE,
    RTT,
    TWO,
    Query,
    Reply,
    Simulation,
    honest,
    names,
    respond,
    saying,
    statuses,
    truth,
)

from auditor.resolve.answer import Answer, Question
from auditor.resolve.bulk.dnssec_check import rounds_needed
from auditor.wire.codes import BOGUS, PTR, REFUSED, SERVFAIL, A

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

QUESTION = Question("mail.example.net", A)


def hiding(query: Query) -> Sequence[Reply]:
    """Give what is bogus to those only who check for themselves."""
    return [Reply(RTT, respond(query, None if query.unchecked else 2))]


def _asked(world: Simulation, question: Question = QUESTION) -> list[bool]:
    return [query.unchecked for _, query in world.queries if query.name == question.name]


def test_what_is_answered_without_validation_only_is_bogus() -> None:
    with Simulation({ONE: hiding}) as world:
        assert world.ask([QUESTION])[QUESTION] == Answer(BOGUS)
        # One with CD, and one that shows that the failure has not passed: of a server of which
        # nothing is known, twice.
        assert _asked(world) == [False, True, False, True, False]
        world.drain()
        world.check_books()
        counts = world.engine.counters()
        assert (counts["failed"], counts["persisted"], counts["retried"]) == (1, 1, 4)


def test_a_failure_is_confirmed_later_than_a_resolver_repeats_it() -> None:
    with Simulation({ONE: hiding}) as world:
        world.ask([QUESTION])
        failed = [query.now for _, query in world.queries if not query.unchecked]
        assert all(later - earlier > 1.0 for earlier, later in pairwise(failed))


@pytest.mark.parametrize(
    ("answered", "passed", "rounds"),
    [(0, 0, 2), (128, 0, 1), (128, 6, 3), (128, 50, 10), (128, 100, 23)],
)
def test_the_more_failures_pass_the_more_often_is_one_confirmed(
    answered: int, passed: int, rounds: int
) -> None:
    assert rounds_needed(answered, passed) == rounds


def _one_zone(query: Query) -> Sequence[Reply]:
    return hiding(query) if query.name.endswith(".bogus.net") else honest(query)


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5])
@pytest.mark.parametrize("spared", [(True,), ()], ids=["answered with CD", "failing with CD too"])
def test_failures_at_random_are_never_taken_for_bogus(
    share: float, spared: tuple[bool, ...]
) -> None:
    chance = random.Random(f"{share} {spared}")

    def erratic(query: Query) -> Sequence[Reply]:
        if query.unchecked not in spared and chance.random() < share:
            return [Reply(RTT, respond(query, 2))]
        return _one_zone(query)

    with Simulation({ONE: erratic}) as world:
        bogus = names(4, "bogus.net")
        found = world.ask(names(examples(1000)) + bogus, limit=600.0)
        assert {q for q in found if found[q].status == BOGUS} <= set(bogus)
        if spared:
            assert statuses({q: found[q] for q in bogus}) == {BOGUS: 4}
        world.drain()
        world.check_books()


def test_a_server_that_begins_to_fail_at_random_makes_nothing_bogus() -> None:
    chance = random.Random(2)

    def erratic(query: Query) -> Sequence[Reply]:
        is_sound = query.unchecked or query.name.endswith("warm.net")
        return saying(2)(query) if not is_sound and chance.random() < 0.3 else honest(query)

    with Simulation({ONE: erratic}) as world:
        # Names that fail by themselves among others: so many in flight are borne.
        world.servers[ONE] = broken_zones(lambda name: name.endswith("broken.net"))
        world.ask(names(1000, "warm.net") + names(100, "broken.net") + names(1000, "warm2.net"))
        world.servers[ONE] = erratic
        for number in range(30):
            questions = names(10, f"z{number}.net")
            assert world.ask(questions) == {question: truth(question) for question in questions}


@pytest.mark.parametrize("limit", [AtATime(20, 2, seconds=RTT), PerSecond(300, 2)])
def test_behind_a_limit_nothing_but_what_is_bogus_is(limit: AtATime | PerSecond) -> None:
    def limited(query: Query) -> Sequence[Reply]:
        beyond = limit(query)
        return beyond if beyond[0].data[3] & 15 == 2 else _one_zone(query)

    with Simulation({ONE: limited}) as world:
        bogus = names(40, "bogus.net")
        questions = [*names(600), *bogus, *names(600, "later.net")]
        found = world.ask(questions, limit=600.0)
        assert {q for q in found if found[q].status == BOGUS} == set(bogus)
        assert {q for q in found if found[q] != truth(q)} == set(bogus)
        world.drain()
        world.check_books()


def test_nobody_who_is_silent_confirms_a_failure() -> None:
    def falling_silent(query: Query) -> Sequence[Reply]:
        if query.name != QUESTION.name:
            return honest(query)
        was_unchecked = any(seen.unchecked for _, seen in world.queries[:-1])
        return [] if was_unchecked and not query.unchecked else hiding(query)

    with Simulation({ONE: falling_silent}, tries=2) as world:
        world.ask(names(20))
        world.submit([QUESTION, *names(2000, "beside.net")])
        world.run(lambda: QUESTION in dict(world.delivered), 60.0)
        assert dict(world.delivered)[QUESTION].status == SERVFAIL


def test_a_denial_without_validation_is_bogus_too() -> None:
    denied = next(q for q in names(2000) if truth(q).status == "NXDOMAIN")
    with Simulation({ONE: hiding}) as world:
        assert world.ask([denied])[denied].status == BOGUS


def test_a_failure_that_has_passed_is_an_answer() -> None:
    def once(query: Query) -> Sequence[Reply]:
        first = not any(seen.name == query.name for _, seen in world.queries[:-1])
        return [Reply(RTT, respond(query, 2 if first else None))]

    with Simulation({ONE: once}) as world:
        assert world.ask([QUESTION])[QUESTION] == truth(QUESTION)
        world.drain()
        world.check_books()
        assert world.engine.counters()["failed"] == 0


@pytest.mark.parametrize("rcode", [2, 5])
def test_what_fails_without_validation_too_is_no_bogus(rcode: int) -> None:
    def refusing(query: Query) -> Sequence[Reply]:
        return [Reply(RTT, respond(query, rcode if query.unchecked else 2))]

    with Simulation({ONE: refusing}) as world:
        assert world.ask([QUESTION])[QUESTION].status == SERVFAIL
        assert _asked(world) == [False, True]
        world.drain()
        world.check_books()


def test_no_other_failure_is_asked_without_validation() -> None:
    with Simulation({ONE: saying(5)}) as world:
        assert world.ask([QUESTION])[QUESTION].status == REFUSED
        assert not any(_asked(world))


def test_a_lost_query_without_validation_is_sent_again() -> None:
    chance = random.Random(3)

    def lossy(query: Query) -> Sequence[Reply]:
        return hiding(query) if chance.random() < 0.6 else []

    with Simulation({ONE: lossy}) as world:
        world.ask(names(20, "warm.net"))
        assert world.ask([QUESTION])[QUESTION].status == BOGUS
        world.drain()
        world.check_books()


def test_one_of_two_resolvers_that_does_not_validate_gives_the_answer() -> None:
    with Simulation({ONE: hiding, TWO: honest}) as world:
        questions = names(50)
        assert world.ask(questions) == {question: truth(question) for question in questions}


def test_a_truncated_reply_without_validation_is_asked_for_over_tcp() -> None:
    def cut(query: Query) -> Sequence[Reply]:
        if query.unchecked:
            return [Reply(RTT, respond(query, truncated=True))]
        return [Reply(RTT, respond(query, 2))]

    with Simulation({ONE: cut}) as world:
        assert world.ask([QUESTION])[QUESTION].status == BOGUS
        assert world.over_tcp == [QUESTION] * 2


def _of_zone(bogus: Callable[[str], bool]) -> Callable[[Query], Sequence[Reply]]:
    def behave(query: Query) -> Sequence[Reply]:
        fails = not (query.unchecked and bogus(query.name))
        return [Reply(RTT, respond(query, 2 if fails else None))]

    return behave


def _reverse(count: int) -> list[Question]:
    return [Question(f"{number}.100.51.198.in-addr.arpa", PTR) for number in range(count)]


def test_a_whole_zone_that_does_not_validate_is_bogus_name_by_name() -> None:
    def one_zone(query: Query) -> Sequence[Reply]:
        return hiding(query) if query.name.endswith("arpa") else honest(query)

    with Simulation({ONE: one_zone}) as world:
        world.ask(names(2000, "warm.net"))
        begin = len(world.queries)
        assert statuses(world.ask(_reverse(256))) == {BOGUS: 256}
        # Each is asked for three times, and once more to see whether it was the pressure.
        assert len(world.queries) - begin <= 256 * 4 + 64
        world.drain()
        world.check_books()


def test_a_dead_zone_costs_few_queries_without_validation() -> None:
    with Simulation({ONE: _of_zone(lambda _: False)}) as world:
        questions = _reverse(256)
        for start in range(0, 256, 16):
            part = questions[start : start + 16]
            assert statuses(world.ask(part)) == {SERVFAIL: 16}
        assert sum(query.unchecked for _, query in world.queries) <= 32


def test_queries_of_a_dead_zone_that_are_lost_without_validation_are_sent_again() -> None:
    chance = random.Random(7)

    def lossy(query: Query) -> Sequence[Reply]:
        is_lost = query.unchecked and chance.random() < 0.5
        return [] if is_lost else hiding(query)

    with Simulation({ONE: lossy}) as world:
        questions = _reverse(256)
        assert statuses(world.ask(questions, limit=60.0)) == {BOGUS: 256}
        world.drain()
        world.check_books()


def test_a_server_that_is_silent_without_validation_ends_the_question_all_the_same() -> None:
    def silent(query: Query) -> Sequence[Reply]:
        return [] if query.unchecked else [Reply(RTT, respond(query, 2))]

    with Simulation({ONE: silent}, tries=3) as world:
        assert statuses(world.ask(_reverse(64), limit=60.0)) == {SERVFAIL: 64}
        world.drain()
        world.check_books()
