"""Queries through the whole engine, on a simulated network and clock: each ends once, truly.

Also tests `answered_tries.py`, `silences.py`, `sender.py`, `send_queue.py` and `timers.py`.
"""

from __future__ import annotations

import errno
import random
from collections import Counter
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.effort import examples
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
    saying,
    slow,
    statuses,
    truth,
)

from auditor.resolve.bulk.server.nameserver import Health
from auditor.wire.codes import (
    MALFORMED,
    NOERROR,
    REFUSED,
    SERVFAIL,
    TIMEOUT,
    UNREACHABLE,
)

if TYPE_CHECKING:
    from collections.abc import Sequence


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


# BOGUS is a SERVFAIL that went away without validation, as it may here by chance.
FAILURES = {SERVFAIL, REFUSED, TIMEOUT, "FORMERR", "NOTIMP", "BOGUS"}


@settings(max_examples=examples(40))
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


@settings(max_examples=examples(20))
@given(st.integers(0, 1 << 32))
def test_every_question_ends_once_when_replies_are_damaged(seed: int) -> None:
    chance = random.Random(seed)
    servers = {address: Havoc(chance, harm=0.5, damage=True) for address in (ONE, TWO)}
    with Simulation(servers) as world:
        # A damaged reply may be a sound reply to the same question, so any status is.
        world.ask(names(300))
        world.drain()
        world.check_books()


@settings(max_examples=examples(20))
@example(39467)  # what failed again in a trial may be asked only later
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
        assert statuses(world.ask(names(8, "again.net")))[TIMEOUT] == 0
        assert world.loop.now - begin < 0.2
        world.drain()
        world.check_books()


def test_another_server_is_asked_first_and_all_of_them_before_one_twice() -> None:
    with Simulation({ONE: mute, TWO: mute, THREE: mute}, tries=5, timeout=0.2) as world:
        (question,) = names(1)
        assert world.ask([question])[question].status == TIMEOUT
        asked = asked_of(world, question)
        assert len(asked) == 5
        assert set(asked[:3]) == {ONE, TWO, THREE}
        assert all(one != two for one, two in pairwise(asked))


@pytest.mark.parametrize("tries", [1, 2, 3, 5])
def test_no_question_is_asked_more_often_than_tries_say(tries: int) -> None:
    with Simulation({ONE: mute, TWO: mute}, tries=tries, timeout=0.2) as world:
        (question,) = names(1)
        begin = world.loop.now
        assert world.ask([question])[question].status == TIMEOUT
        assert len(asked_of(world, question)) == tries
        # Given up after `tries` times `timeout`, and a tick or two to notice.
        assert tries * 0.2 <= world.loop.now - begin <= tries * 0.2 + 0.1


def test_a_late_answer_to_an_earlier_try_is_taken() -> None:
    with Simulation({ONE: slow(1.5), TWO: mute}, timeout=0.6, tries=3) as world:
        (question,) = names(1)
        world.servers[ONE] = slow(1.5)
        assert world.ask([question]) == {question: truth(question)}
        assert len(asked_of(world, question)) > 1
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
def test_what_one_server_cannot_say_another_one_isasked_of(rcode: int, status: str) -> None:
    with Simulation({ONE: saying(rcode), TWO: honest}) as world:
        questions = names(200)
        assert world.ask(questions) == {question: truth(question) for question in questions}
        world.servers[TWO] = saying(rcode)
        assert statuses(world.ask(names(50, "other.net"))) == {status: 50}


def test_the_most_telling_failure_is_kept() -> None:
    with Simulation({ONE: saying(5), TWO: saying(2), THREE: saying(5)}) as world:
        assert statuses(world.ask(names(30))) == {SERVFAIL: 30}


def _asked_again(world: Simulation) -> int:
    """Return how many queries were retries, not counting those without validation."""
    unchecked = sum(query.unchecked for _, query in world.queries)
    return world.engine.counters()["retried"] - unchecked


def test_one_server_alone_that_answers_nothing_is_believed_soon() -> None:
    with Simulation({ONE: saying(2)}) as world:
        assert statuses(world.ask(names(10), limit=2.0)) == {SERVFAIL: 10}
        assert _asked_again(world) <= 20
        # From then on it is.
        assert statuses(world.ask(names(300, "more.net"))) == {SERVFAIL: 300}
        assert _asked_again(world) <= 20


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
        assert statuses(world.ask(names(5))) == {MALFORMED: 5}
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
        assert world.engine._nameservers[0].health is Health.SUSPENDED


def test_a_single_question_to_nobody_is_unreachable() -> None:
    with Simulation({ONE: None}, tries=3, timeout=0.5) as world:
        assert statuses(world.ask(names(1))) == {UNREACHABLE: 1}


def test_silence_from_one_and_a_refusal_from_the_other_is_a_timeout() -> None:
    with Simulation({ONE: None, TWO: mute}, tries=2, timeout=0.5) as world:
        assert statuses(world.ask(names(1))) == {TIMEOUT: 1}


@settings(max_examples=examples(20))
@given(st.integers(0, 1 << 32))
@example(254)
def test_every_question_ends_once_where_servers_refuse_late_what_they_do_not_serve(
    seed: int,
) -> None:
    chance = random.Random(seed)
    concurrency = chance.choice([None, 2, 5, 20])
    addresses = [ONE, TWO][: chance.choice([1, 1, 2])]

    def server(query: Query) -> Sequence[Reply]:
        if query.name.endswith(".served.net"):
            return honest(query) if chance.random() < 0.9 else []
        if query.name.endswith(".invalid"):
            return saying(5)(query)
        if chance.random() >= 0.8:
            return []
        return [Reply(chance.choice([0.01, 0.06, 0.2, 0.4, 1.0]), respond(query, 5))]

    tries = chance.choice([2, 5])
    with Simulation(
        dict.fromkeys(addresses, server), concurrency=concurrency, tries=tries, timeout=0.5
    ) as world:
        for begin in range(0, 512, 64):
            refused = names(512, "other.net")[begin : begin + 9]
            asked = refused + names(512, "served.net")[begin + 9 : begin + 64]
            assert set(world.ask(asked)) == set(asked)
        world.drain()
        world.check_books()
