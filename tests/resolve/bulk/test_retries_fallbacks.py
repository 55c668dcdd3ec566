"""Queries that go another way: without EDNS, in lower case, over TCP; and dead zones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.simnet import (
    ONE,
    RTT,
    THREE,
    TWO,
    Query,
    Reply,
    Simulation,
    asked_of,
    honest,
    mute,
    names,
    respond,
    statuses,
    truth,
)

from auditor.resolve.answer import Answer, Question
from auditor.resolve.bulk.server.nameserver import Health
from auditor.wire.codes import (
    MALFORMED,
    PTR,
    SERVFAIL,
    TIMEOUT,
    TRUNCATED,
    UNREACHABLE,
    A,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

# --- Without EDNS


def test_a_server_that_refuses_edns_is_asked_without_and_soon_from_the_start() -> None:
    def old(query: Query) -> Sequence[Reply]:
        if query.edns:
            return [Reply(RTT, respond(query, 1)[:4] + bytes(8))]
        return honest(query)

    with Simulation({ONE: old, TWO: mute}) as world:
        world.engine._nameservers[1].health = Health.LEFT_OUT
        questions = names(500)
        assert world.ask(questions) == {question: truth(question) for question in questions}
        assert world.engine._nameservers[0].can.plain
        before = len(world.queries)
        world.ask(names(100, "later.net"))
        assert not any(query.edns for _, query in world.queries[before:])
        world.drain()
        world.check_books()


def test_the_query_without_edns_goes_to_the_server_that_refused_it() -> None:
    def old(query: Query) -> Sequence[Reply]:
        return [Reply(RTT, respond(query, 1))] if query.edns else honest(query)

    with Simulation({ONE: old, TWO: old, THREE: old}) as world:
        for question in names(20):
            world.ask([question])
        for question in names(2):
            asked = asked_of(world, question)
            assert len(asked) == 2
            assert len(set(asked)) == 1


def test_one_formerr_does_not_take_edns_from_a_server() -> None:
    seen: set[str] = set()

    def moody(query: Query) -> Sequence[Reply]:
        if query.name.startswith("n1") and query.name not in seen:
            seen.add(query.name)
            return [Reply(RTT, respond(query, 1))]
        return honest(query)

    with Simulation({ONE: moody}) as world:
        for question in names(40):
            assert world.ask([question]) == {question: truth(question)}
        assert len(seen) == 11
        # Ten in a row did so, and there are servers that mean it.
        assert world.engine._nameservers[0].can.plain
    seen.clear()
    with Simulation({ONE: moody}) as world:
        for question in names(10, "a.net") + names(10, "b.net") + names(10, "c.net"):
            assert world.ask([question]) == {question: truth(question)}
        assert len(seen) == 3
        assert not world.engine._nameservers[0].can.plain


# --- Letters' case


def test_mixed_case_is_given_up_for_a_server_that_changes_it() -> None:
    def shouting(query: Query) -> Sequence[Reply]:
        return honest(query._replace(question=query.question[:-4].upper() + query.question[-4:]))

    with Simulation({ONE: shouting}, timeout=0.2) as world:
        world.engine._nameservers[0].can.mixed_case = True
        questions = names(300)
        assert world.ask(questions) == {question: truth(question) for question in questions}
        assert not world.engine._nameservers[0].can.mixed_case
        count = world.engine.counters()
        assert count["forged"] >= 8
        assert count["retried"] == count["forged"]
        world.drain()
        world.check_books()


def test_a_single_reply_in_another_case_is_dropped_and_the_query_repeated() -> None:
    def once(query: Query) -> Sequence[Reply]:
        lower = query.question[:-4].lower() + query.question[-4:]
        if query.name.startswith("n5.") and query.question != lower:
            return honest(query._replace(question=lower))
        return honest(query)

    with Simulation({ONE: once}, timeout=0.2) as world:
        world.engine._nameservers[0].can.mixed_case = True
        questions = names(30)
        assert world.ask(questions) == {question: truth(question) for question in questions}
        assert world.engine._nameservers[0].can.mixed_case
        assert world.engine.counters()["forged"] <= 1


# --- Truncated


def test_a_truncated_reply_is_asked_for_over_tcp() -> None:
    def cut(query: Query) -> Sequence[Reply]:
        return [Reply(RTT, respond(query, truncated=True))]

    with Simulation({ONE: cut}) as world:
        questions = names(20)
        assert world.ask(questions) == {question: truth(question) for question in questions}
        assert sorted(world.over_tcp) == sorted(questions)
        world.drain()
        world.check_books()


@pytest.mark.parametrize("status", [TIMEOUT, UNREACHABLE, MALFORMED, "FORMERR"])
def test_truncated_it_stays_where_tcp_does_not_help(status: str) -> None:
    def cut(query: Query) -> Sequence[Reply]:
        return [Reply(RTT, respond(query, truncated=True))]

    with Simulation({ONE: cut}, tcp=lambda _question: Answer(status)) as world:
        assert statuses(world.ask(names(5))) == {TRUNCATED: 5}


def test_what_a_server_says_over_tcp_is_its_word() -> None:
    def cut(query: Query) -> Sequence[Reply]:
        return [Reply(RTT, respond(query, truncated=True))]

    with Simulation({ONE: cut}, tcp=lambda _question: Answer(SERVFAIL)) as world:
        assert statuses(world.ask(names(5))) == {SERVFAIL: 5}


def _limiting(query: Query) -> Sequence[Reply]:
    """Drop every other query, and send the rest back truncated and empty."""
    return [Reply(RTT, respond(query, truncated=True))] if query.id % 2 else []


def test_what_a_server_drops_to_limit_its_rate_is_asked_over_tcp() -> None:
    with Simulation({ONE: honest}) as world:
        world.ask(names(100, "warm.net"))
        world.servers[ONE] = _limiting
        questions = names(2000)
        assert world.ask(questions) == {question: truth(question) for question in questions}
        assert len(world.over_tcp) == len(set(world.over_tcp)) == 2000


def test_where_tcp_is_closed_a_dropped_query_is_repeated() -> None:
    with Simulation({ONE: honest}, tcp=lambda _question: Answer(UNREACHABLE), tries=3) as world:
        world.ask(names(100, "warm.net"))
        world.servers[ONE] = _limiting
        found = statuses(world.ask(names(500)))
        assert set(found) <= {TRUNCATED, TIMEOUT}
        # Dropped three times in a row, one of eight never hears anything.
        assert found[TRUNCATED] > 300
        world.drain()
        world.check_books()


# --- Dead zones


def _reverse(count: int, network: str) -> list[Question]:
    return [
        Question(f"{number % 256}.{number // 256}.{network}.in-addr.arpa", PTR)
        for number in range(count)
    ]


def _silent_below(zone: str) -> Callable[[Query], Sequence[Reply]]:
    return lambda query: [] if query.name.endswith(zone) else honest(query)


def test_a_dead_sixteen_is_asked_about_once_a_name_and_ends_soon() -> None:
    with Simulation({ONE: _silent_below("51.198.in-addr.arpa")}, tries=3, timeout=2.0) as world:
        world.ask(names(2000, "warm.net"))
        begin, sent = world.loop.now, len(world.queries)
        found = world.ask(_reverse(4096, "51.198"))
        assert statuses(found) == {TIMEOUT: 4096}
        # Until the first few zones have died, some windows' worth are asked again.
        window = world.engine._nameservers[0].window.size
        assert len(world.queries) - sent < 4096 + 8 * window
        # Three tries of two seconds each, a window after the other, would be this many.
        assert world.loop.now - begin < 3 * 2.0 * 4096 / window / 4
        world.drain()
        world.check_books()


def test_names_that_fail_with_servfail_are_asked_of_one_server_only() -> None:
    def dead(query: Query) -> Sequence[Reply]:
        broken = query.name.endswith("100.51.198.in-addr.arpa")
        return [Reply(RTT, respond(query, 2 if broken else None))]

    with Simulation({ONE: dead, TWO: dead}) as world:
        sent = len(world.queries)
        questions = [Question(f"{number}.100.51.198.in-addr.arpa", PTR) for number in range(256)]
        for start in range(0, 256, 16):
            assert statuses(world.ask(questions[start : start + 16])) == {SERVFAIL: 16}
        # The first few are also asked for without validation.
        assert len(world.queries) - sent < 256 + 64 + 16


def test_a_dead_zone_has_its_turn_while_others_use_up_the_rate() -> None:
    with Simulation({ONE: _silent_below("dead.net")}, tries=3, timeout=0.5, qps=400) as world:
        world.ask(names(200, "dead.net"))
        one = Question("one.dead.net", A)
        world.submit(names(10_000, "busy.net"))
        world.submit([one])
        assert world.engine._sender.hopeless
        # The others take 25 seconds.
        world.run(lambda: any(question == one for question, _ in world.delivered), 2.0)


def test_what_is_for_one_server_has_its_turn_while_another_could_use_up_the_rate() -> None:
    servers = {ONE: _silent_below("lost.net"), TWO: honest}
    with Simulation(servers, tries=5, timeout=2.0, qps=400) as world:
        world.ask(names(100, "warm.net"))
        world.engine._nameservers[0].window.size = 128.0
        lost = names(200, "lost.net")
        world.submit([*lost, *names(10_000, "busy.net")])
        found = world.delivered
        world.run(lambda: {*lost} <= {question for question, _ in found}, 5.0)


def test_one_good_answer_brings_a_dead_zone_back() -> None:
    with Simulation({ONE: _silent_below("dead.net")}, tries=3, timeout=0.5) as world:
        world.ask(names(200, "warm.net"))
        world.ask(names(100, "dead.net"))
        one, two, three = (Question(f"{name}.dead.net", A) for name in ("one", "two", "three"))
        world.ask([one])
        assert len(asked_of(world, one)) == 1
        world.servers[ONE] = honest
        world.ask([two])
        world.servers[ONE] = _silent_below("dead.net")
        world.ask([three])
        assert len(asked_of(world, three)) == 3


def test_a_slow_zone_is_not_a_dead_one() -> None:
    def thinks(query: Query) -> Sequence[Reply]:
        return [Reply(0.9 if query.name.endswith("slow.net") else RTT, respond(query))]

    with Simulation({ONE: thinks}, timeout=2.0) as world:
        world.ask(names(2000, "warm.net"))
        questions = names(300, "slow.net")
        assert world.ask(questions) == {question: truth(question) for question in questions}


def test_a_silent_zone_does_not_shrink_the_window_for_the_others() -> None:
    with Simulation({ONE: _silent_below("dead.net")}, timeout=0.5) as world:
        world.ask(names(3000, "warm.net"))
        before = world.engine._nameservers[0].window.size
        world.ask(names(500, "dead.net"))
        assert world.engine._nameservers[0].window.size >= before
