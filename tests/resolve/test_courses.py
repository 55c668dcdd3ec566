"""Courses through the whole engine, on a simulated network and clock: each ends once, truly."""

from __future__ import annotations

import errno
import random
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.simnet import Query, Reply, Simulation, names, respond, truth

from auditor.resolve.answer import Answer, Question
from auditor.resolve.upstream import Health
from auditor.wire.codes import (
    MALFORMED,
    NOERROR,
    PTR,
    REFUSED,
    SERVFAIL,
    TIMEOUT,
    TRUNCATED,
    UNREACHABLE,
    A,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

ONE = "192.0.2.1"
TWO = "192.0.2.2"
THREE = "192.0.2.3"
RTT = 0.01


def honest(query: Query) -> Sequence[Reply]:
    return [Reply(RTT, respond(query))]


def mute(_query: Query) -> Sequence[Reply]:
    return []


def saying(rcode: int) -> Callable[[Query], Sequence[Reply]]:
    return lambda query: [Reply(RTT, respond(query, rcode))]


def slow(seconds: float) -> Callable[[Query], Sequence[Reply]]:
    return lambda query: [Reply(seconds, respond(query))]


def _statuses(answers: dict[Question, Answer]) -> Counter[str]:
    return Counter(answer.status for answer in answers.values())


def _asked(world: Simulation, question: Question) -> list[str]:
    """Return the servers that were asked a question, in order."""
    return [address for address, query in world.queries if query.name == question.name]


class Havoc:
    """A server behind a path that loses, repeats, delays, damages and forges at random."""

    def __init__(self, chance: random.Random, *, harm: float, damage: bool) -> None:
        self._chance = chance
        self._harm = harm
        self._faults = [self._lose, self._repeat, self._delay, self._refuse, self._forge]
        if damage:
            self._faults.append(self._damage)

    def __call__(self, query: Query) -> Sequence[Reply]:
        if query.name.endswith(".invalid") or self._chance.random() >= self._harm:
            return [Reply(RTT * self._chance.uniform(0.5, 1.5), respond(query))]
        return self._chance.choice(self._faults)(query)

    def _lose(self, _query: Query) -> list[Reply]:
        return []

    def _repeat(self, query: Query) -> list[Reply]:
        return [Reply(RTT * number, respond(query)) for number in (1, 1, 30)]

    def _delay(self, query: Query) -> list[Reply]:
        return [Reply(self._chance.expovariate(2.0), respond(query))]

    def _refuse(self, query: Query) -> list[Reply]:
        after = self._chance.choice([RTT, 0.3])
        kinds: list[int | None] = [1, 2, 4, 5, None]
        rcode = self._chance.choice(kinds)
        return [Reply(after, respond(query, rcode, truncated=rcode is None))]

    def _forge(self, query: Query) -> list[Reply]:
        true = respond(query)
        false = [
            true[:2] + bytes([true[2] & 0x7F]) + true[3:],
            bytes([true[0] ^ 1]) + true[1:],
            true[:13] + b"?" + true[14:],
            true[: self._chance.randrange(12)],
            b"",
        ]
        return [Reply(RTT, self._chance.choice(false)), Reply(2 * RTT, true)]

    def _damage(self, query: Query) -> list[Reply]:
        data = bytearray(respond(query))
        data[self._chance.randrange(len(data))] ^= 1 << self._chance.randrange(8)
        return [Reply(RTT, bytes(data))]


FAILURES = {SERVFAIL, REFUSED, TIMEOUT, "FORMERR", "NOTIMP"}


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 1 << 32))
def test_every_question_ends_once_and_with_the_truth_whatever_the_path_does(seed: int) -> None:
    chance = random.Random(seed)
    servers = {
        address: Havoc(chance, harm=chance.choice([0.05, 0.3, 0.9]), damage=False)
        for address in [ONE, TWO, THREE][: chance.randint(1, 3)]
    }
    options: dict[str, Any] = {
        "tries": chance.randint(1, 4),
        "timeout": chance.choice([0.3, 2.0]),
        "concurrency": chance.choice([None, 1, 7, 500]),
    }
    with Simulation(servers, **options) as world:
        for count in (1, 300):
            for question, answer in world.ask(names(count, f"zone{count}.net")).items():
                assert answer == truth(question) or answer.status in FAILURES
        world.drain()
        world.check_books()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1 << 32))
def test_every_question_ends_once_when_replies_are_damaged(seed: int) -> None:
    chance = random.Random(seed)
    servers = {address: Havoc(chance, harm=0.5, damage=True) for address in (ONE, TWO)}
    with Simulation(servers) as world:
        # A damaged reply may be a sound reply to the same question, so any status is.
        world.ask(names(300))
        world.drain()
        world.check_books()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 1 << 32))
def test_every_question_ends_once_while_servers_come_and_go(seed: int) -> None:
    chance = random.Random(seed)
    with Simulation({ONE: honest, TWO: honest}, timeout=0.5, concurrency=64) as world:
        for round_ in range(6):
            world.submit(names(400, f"round{round_}.net"))
            world.servers[ONE] = chance.choice([honest, mute, None, slow(0.2), saying(2)])
            world.servers[TWO] = chance.choice([honest, mute, None])
            until = world.loop.now + chance.uniform(0.0, 3.0)
            world.run(lambda until=until: world.loop.now > until or _all_there(world))  # type: ignore[misc]
        world.servers = {ONE: honest, TWO: honest}
        world.run(lambda: _all_there(world))
        assert len({question for question, _ in world.delivered}) == len(world.delivered) == 2400
        for question, answer in world.delivered:
            assert answer == truth(question) or answer.status in FAILURES | {UNREACHABLE}
        world.drain()
        world.check_books()


def _all_there(world: Simulation) -> bool:
    return len(world.delivered) == world.engine.counters()["asked"]


def test_without_faults_nothing_is_asked_twice() -> None:
    with Simulation({ONE: honest}) as world:
        questions = names(3000)
        assert world.ask(questions) == {question: truth(question) for question in questions}
        world.drain()
        world.check_books()
        count = world.engine.counters()
        assert (count["sent"], count["received"], count["lost"]) == (3000, 3000, 0)


def test_a_lost_query_is_sent_again_long_before_the_timeout() -> None:
    times: Counter[str] = Counter()

    def loses_the_first(query: Query) -> Sequence[Reply]:
        times[query.name] += 1
        lost = query.name.startswith("n7.") and times[query.name] == 1
        return [] if lost else honest(query)

    with Simulation({ONE: loses_the_first}, timeout=5.0) as world:
        begin = world.loop.now
        world.ask(names(8, "warm.net"))
        world.ask(names(8))
        assert world.loop.now - begin < 5.5
        begin = world.loop.now
        assert _statuses(world.ask(names(8, "again.net")))[TIMEOUT] == 0
        assert world.loop.now - begin < 0.2
        world.drain()
        world.check_books()


def test_another_server_is_asked_first_and_all_of_them_before_one_twice() -> None:
    with Simulation({ONE: mute, TWO: mute, THREE: mute}, tries=5, timeout=0.2) as world:
        (question,) = names(1)
        assert world.ask([question])[question].status == TIMEOUT
        asked = _asked(world, question)
        assert len(asked) == 5
        assert set(asked[:3]) == {ONE, TWO, THREE}
        assert all(one != two for one, two in pairwise(asked))


@pytest.mark.parametrize("tries", [1, 2, 3, 5])
def test_no_question_is_asked_more_often_than_tries_say(tries: int) -> None:
    with Simulation({ONE: mute, TWO: mute}, tries=tries, timeout=0.2) as world:
        (question,) = names(1)
        begin = world.loop.now
        assert world.ask([question])[question].status == TIMEOUT
        assert len(_asked(world, question)) == tries
        # Given up after `tries` times `timeout`, and a tick or two to notice.
        assert tries * 0.2 <= world.loop.now - begin <= tries * 0.2 + 0.1


def test_a_late_answer_to_an_earlier_try_is_taken() -> None:
    with Simulation({ONE: slow(1.5), TWO: mute}, timeout=0.6, tries=3) as world:
        (question,) = names(1)
        world.servers[ONE] = slow(1.5)
        assert world.ask([question]) == {question: truth(question)}
        assert len(_asked(world, question)) > 1
        world.drain()
        world.check_books()


def test_a_path_that_becomes_longer_is_learnt_and_not_asked_twice_for_ever() -> None:
    with Simulation({ONE: honest}, timeout=2.0) as world:
        world.ask(names(500, "near.net"))
        world.servers[ONE] = slow(0.4)
        world.ask(names(500, "far.net"))
        before = world.engine.counters()["retried"]
        world.ask(names(500, "later.net"))
        assert world.engine.counters()["retried"] == before


@pytest.mark.parametrize(("rcode", "status"), [(2, SERVFAIL), (5, REFUSED)])
def test_what_one_server_cannot_say_another_one_is_asked(rcode: int, status: str) -> None:
    with Simulation({ONE: saying(rcode), TWO: honest}) as world:
        questions = names(200)
        assert world.ask(questions) == {question: truth(question) for question in questions}
        world.servers[TWO] = saying(rcode)
        assert _statuses(world.ask(names(50, "other.net"))) == {status: 50}


def test_the_most_telling_failure_is_kept() -> None:
    with Simulation({ONE: saying(5), TWO: saying(2), THREE: saying(5)}) as world:
        assert _statuses(world.ask(names(30))) == {SERVFAIL: 30}


def test_one_server_alone_is_not_asked_again_what_it_has_failed_at() -> None:
    with Simulation({ONE: saying(2)}) as world:
        assert _statuses(world.ask(names(10))) == {SERVFAIL: 10}
        assert world.engine.counters()["sent"] == 10


def test_a_failure_of_an_earlier_try_does_not_end_a_later_one() -> None:
    # The first says SERVFAIL after the second was asked, whose answer is then on its way.
    late_failure = {ONE: lambda query: [Reply(0.8, respond(query, 2))], TWO: slow(0.4)}
    with Simulation(late_failure, timeout=0.5, tries=2) as world:
        questions = [question for question in names(20) if truth(question).status == NOERROR]
        found = world.ask(questions)
        assert found == {question: truth(question) for question in questions}
        world.drain()
        world.check_books()


def test_garbage_is_asked_for_again_and_is_malformed_in_the_end() -> None:
    def garbage(query: Query) -> Sequence[Reply]:
        data = respond(query)
        return [Reply(RTT, data[:4] + b"\0\1\xff\xff" + data[8:])]

    with Simulation({ONE: garbage}, tries=3) as world:
        assert _statuses(world.ask(names(5))) == {MALFORMED: 5}
        assert world.engine.counters()["sent"] == 15


def test_a_packet_that_cannot_be_sent_ends_as_unreachable_and_holds_up_nothing() -> None:
    tried: Counter[bytes] = Counter()

    def kernel(packet: bytes) -> int:
        if b"\x02n3" not in packet:
            return 0
        tried[packet[12:16]] += 1
        return errno.EMSGSIZE

    with Simulation({ONE: honest}, kernel=kernel, tries=3, timeout=0.5) as world:
        found = world.ask(names(100))
        unreachable = [q.name for q, answer in found.items() if answer.status == UNREACHABLE]
        assert unreachable == ["n3.example.net"]
        assert sum(tried.values()) == 3
        world.drain()
        world.check_books()


def test_no_room_in_the_kernel_costs_time_and_nothing_else() -> None:
    chance = random.Random(1)

    def kernel(_packet: bytes) -> int:
        return chance.choice([0, 0, 0, errno.ENOBUFS, errno.EAGAIN])

    with Simulation({ONE: honest}, kernel=kernel) as world:
        questions = names(1000)
        assert world.ask(questions) == {question: truth(question) for question in questions}
        world.drain()
        world.check_books()
        assert world.engine.counters()["retried"] == 0


def test_a_packet_filter_that_lets_nothing_out_benches_the_server() -> None:
    with Simulation({ONE: honest}, kernel=lambda _packet: errno.EPERM) as world:
        world.submit(names(100))
        world.run(lambda: bool(world.failures))
        assert str(world.failures[0]).endswith("192.0.2.1:53 is not reachable")
        assert world.engine._upstreams[0].health is Health.BENCHED


def test_a_single_question_to_nobody_is_unreachable() -> None:
    with Simulation({ONE: None}, tries=3, timeout=0.5) as world:
        assert _statuses(world.ask(names(1))) == {UNREACHABLE: 1}


def test_silence_from_one_and_a_refusal_from_the_other_is_a_timeout() -> None:
    with Simulation({ONE: None, TWO: mute}, tries=2, timeout=0.5) as world:
        assert _statuses(world.ask(names(1))) == {TIMEOUT: 1}


# --- Without EDNS


def test_a_server_that_refuses_edns_is_asked_without_and_soon_from_the_start() -> None:
    def old(query: Query) -> Sequence[Reply]:
        if query.edns:
            return [Reply(RTT, respond(query, 1)[:4] + bytes(8))]
        return honest(query)

    with Simulation({ONE: old, TWO: mute}) as world:
        world.engine._upstreams[1].health = Health.OUT
        questions = names(500)
        assert world.ask(questions) == {question: truth(question) for question in questions}
        assert world.engine._upstreams[0].plain
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
            asked = _asked(world, question)
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
        assert world.engine._upstreams[0].plain
    seen.clear()
    with Simulation({ONE: moody}) as world:
        for question in names(10, "a.net") + names(10, "b.net") + names(10, "c.net"):
            assert world.ask([question]) == {question: truth(question)}
        assert len(seen) == 3
        assert not world.engine._upstreams[0].plain


# --- Letters' case


def test_mixed_case_is_given_up_for_a_server_that_changes_it() -> None:
    def shouting(query: Query) -> Sequence[Reply]:
        return honest(query._replace(question=query.question[:-4].upper() + query.question[-4:]))

    with Simulation({ONE: shouting}, timeout=0.2) as world:
        world.engine._upstreams[0].mixed_case = True
        questions = names(300)
        assert world.ask(questions) == {question: truth(question) for question in questions}
        assert not world.engine._upstreams[0].mixed_case
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
        world.engine._upstreams[0].mixed_case = True
        questions = names(30)
        assert world.ask(questions) == {question: truth(question) for question in questions}
        assert world.engine._upstreams[0].mixed_case
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
        assert _statuses(world.ask(names(5))) == {TRUNCATED: 5}


def test_what_a_server_says_over_tcp_is_its_word() -> None:
    def cut(query: Query) -> Sequence[Reply]:
        return [Reply(RTT, respond(query, truncated=True))]

    with Simulation({ONE: cut}, tcp=lambda _question: Answer(SERVFAIL)) as world:
        assert _statuses(world.ask(names(5))) == {SERVFAIL: 5}


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
        found = _statuses(world.ask(names(500)))
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
        assert _statuses(found) == {TIMEOUT: 4096}
        # Until the first few zones have died, some windows' worth are asked again.
        window = world.engine._upstreams[0].window.size
        assert len(world.queries) - sent < 4096 + 4 * window
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
            assert _statuses(world.ask(questions[start : start + 16])) == {SERVFAIL: 16}
        assert len(world.queries) - sent < 256 + 64


def test_one_good_answer_brings_a_dead_zone_back() -> None:
    with Simulation({ONE: _silent_below("dead.net")}, tries=3, timeout=0.5) as world:
        world.ask(names(200, "warm.net"))
        world.ask(names(100, "dead.net"))
        one, two, three = (Question(f"{name}.dead.net", A) for name in ("one", "two", "three"))
        world.ask([one])
        assert len(_asked(world, one)) == 1
        world.servers[ONE] = honest
        world.ask([two])
        world.servers[ONE] = _silent_below("dead.net")
        world.ask([three])
        assert len(_asked(world, three)) == 3


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
        before = world.engine._upstreams[0].window.size
        world.ask(names(500, "dead.net"))
        assert world.engine._upstreams[0].window.size >= before
