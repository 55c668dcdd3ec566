"""The TCP lane, on virtual time: what servers say, what they do not, and which is asked next."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import pytest
from support.simnet import Query, names, respond, truth
from support.tcpnet import (
    RTT,
    Dropping,
    Far,
    Mute,
    Refusing,
    Saying,
    Sending,
    Wire,
    WorkerRun,
    right,
)
from support.virtual_time import run_virtual

from auditor.resolve.answer import Question
from auditor.resolve.bulk.server.nameserver import Health
from auditor.wire.codes import (
    FORMERR,
    MALFORMED,
    PTR,
    REFUSED,
    SERVFAIL,
    TIMEOUT,
    TRUNCATED,
    UNREACHABLE,
)

if TYPE_CHECKING:
    from collections.abc import Callable


# --- What a server says


def test_an_alias_its_negative_ttl_and_the_way_are_read_as_from_a_datagram() -> None:
    question = Question("7.100.51.198.in-addr.arpa", PTR)
    section = b"\x017\x03100\x0251\x03198\x07in-addr\x04arpa\0\0\x0c\0\1"
    alias = b"\xc0\x0c\0\5\0\1\0\0\1\x2c\0\x0b\x087-subnet\xc0\x0e"
    start = 12 + len(section) + len(alias) - 11
    name = start.to_bytes(2)
    soa = (
        bytes([0xC0 | name[0], name[1]])
        + b"\0\6\0\1\0\0\0\x78\0\x16\0\0"
        + bytes(16)
        + b"\0\0\0\x3c"
    )

    def make(query: Query) -> bytes:
        head = query.id.to_bytes(2) + b"\x84\3\0\1\0\1\0\1\0\0"
        return head + section + alias + soa

    async def main() -> None:
        lane = WorkerRun(Sending(make), trace=True)
        answer = (await lane.ask([question]))[question]
        assert answer.status == "NXDOMAIN"
        assert answer.chain == (question.name,)
        assert answer.ttl == 60
        assert answer.how is not None
        assert (answer.how.server, answer.how.transport) == ("192.0.2.1:53", "tcp")
        assert answer.how.rtt_ms == pytest.approx(1000 * RTT)

    run_virtual(main())


def test_a_failure_is_asked_of_another_server_and_the_last_word_is_what_one_said() -> None:
    async def main() -> None:
        assert right(await WorkerRun(Saying(2), Far()).ask(names(20)))
        (answer,) = (await WorkerRun(Saying(2), Refusing(), tries=2).ask(names(1))).values()
        assert answer.status == SERVFAIL
        (answer,) = (await WorkerRun(Refusing(), Saying(5), tries=2).ask(names(1))).values()
        assert answer.status == REFUSED
        far = Saying(2)
        (answer,) = (await WorkerRun(far).ask(names(1))).values()
        assert answer.status == SERVFAIL
        assert len(far.queries) == 1

    run_virtual(main())


def test_no_more_servers_are_asked_than_there_are_tries() -> None:
    async def main() -> None:
        fars = [Saying(2) for _ in range(6)]
        await WorkerRun(*fars, tries=3).ask(names(1))
        assert sum(len(far.queries) for far in fars) == 3

    run_virtual(main())


@pytest.mark.parametrize("bare", [True, False])
def test_edns_refused_is_asked_again_without_of_the_same_server(*, bare: bool) -> None:
    async def main() -> None:
        far, other = Saying(1, bare=bare, with_edns_only=True), Far()
        assert right(await WorkerRun(far, other).ask(names(3)))
        assert [query.edns for query in far.queries] == [True] * 3 + [False] * 3
        assert other.queries == []
        answers = await WorkerRun(Saying(1, bare=bare)).ask(names(1))
        # Without EDNS it has no excuse for a reply that does not hold the question.
        assert [answer.status for answer in answers.values()] == [TIMEOUT if bare else FORMERR]

    run_virtual(main())


def test_a_server_that_is_known_to_lack_edns_is_not_asked_with_it() -> None:
    async def main() -> None:
        far = Far()
        lane = WorkerRun(far)
        lane.nameservers[0].can.plain = True
        await lane.ask(names(3))
        assert not any(query.edns for query in far.queries)

    run_virtual(main())


def test_truncated_over_tcp_is_truncated() -> None:
    async def main() -> None:
        far = Sending(lambda query: respond(query, truncated=True))
        answers = await WorkerRun(far).ask(names(3))
        assert {answer.status for answer in answers.values()} == {TRUNCATED}

    run_virtual(main())


def test_a_reply_that_cannot_be_read_is_malformed() -> None:
    async def main() -> None:
        far = Sending(lambda query: respond(query)[:6] + b"\0\7" + respond(query)[8:])
        answers = await WorkerRun(far).ask(names(3))
        assert {answer.status for answer in answers.values()} == {MALFORMED}

    run_virtual(main())


#: What replies to nothing, by what it is.
STRAYS: Final[dict[str, Callable[[Query], bytes]]] = {
    "another ID": lambda query: respond(query._replace(id=query.id ^ 0x5555)),
    "a query": lambda query: query.id.to_bytes(2) + b"\1\0\0\1" + bytes(6) + query.question,
    "another question": lambda query: respond(
        query._replace(question=b"\1x" + query.question[1 + query.question[0] :])
    ),
    "another type": lambda query: respond(
        query._replace(question=query.question[:-4] + b"\0\x0c\0\1")
    ),
    "no octets": lambda _query: b"",
    "few octets": lambda query: query.id.to_bytes(2) + b"\x84" + bytes(8),
}


@pytest.mark.parametrize("kind", STRAYS)
def test_what_replies_to_nothing_is_counted_and_passed_over(kind: str) -> None:
    class Both(Far):
        def asked(self, wire: Wire, query: Query) -> None:
            if len(self.queries) <= 10:
                wire.reply(STRAYS[kind](query))
            wire.reply(respond(query))

    async def main() -> None:
        far = Both()
        lane = WorkerRun(far)
        assert right(await lane.ask(names(15)))
        assert (lane.counters.tcp_received, lane.counters.tcp_accepted) == (25, 15)
        assert len(far.wires) == 1

    run_virtual(main())


@pytest.mark.parametrize("kind", STRAYS)
def test_a_server_that_sends_nothing_else_is_given_up(kind: str) -> None:
    async def main() -> None:
        lane = WorkerRun(Sending(STRAYS[kind]), timeout=0.5, tries=2)
        answers = await lane.ask(names(100))
        assert {answer.status for answer in answers.values()} <= {MALFORMED, TIMEOUT}
        assert lane.counters.tcp_accepted == 0

    run_virtual(main())


def test_letters_may_come_back_in_another_case() -> None:
    def shout(query: Query) -> bytes:
        return respond(query._replace(question=query.question[:-4].upper() + query.question[-4:]))

    async def main() -> None:
        assert right(await WorkerRun(Sending(shout)).ask(names(5)))

    run_virtual(main())


# --- Nobody there


def test_what_is_not_dns_is_given_up_soon() -> None:
    async def main() -> None:
        lane = WorkerRun(Sending(lambda _query: b"\0\0" * 40, framed=False), timeout=2.0, tries=3)
        answers = await lane.ask(names(50))
        assert {answer.status for answer in answers.values()} == {MALFORMED}
        assert lane.loop.time() < 2.0

    run_virtual(main())


def test_a_closed_port_is_unreachable_soon_and_at_once_from_then_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        far = Refusing()
        lane = WorkerRun(far)
        answers = await lane.ask(names(1000))
        assert {answer.status for answer in answers.values()} == {UNREACHABLE}
        assert len(far.wires) == 5
        assert lane.loop.time() < 2.0
        await lane.ask(names(1000, "later.net"))
        assert len(far.wires) == 5
        await lane.rest()

    with caplog.at_level(logging.WARNING, "auditor"):
        run_virtual(main())
    message = "server 192.0.2.1:53 cannot be asked over TCP: connections are refused or closed"
    assert caplog.messages == [message]


def test_the_trace_names_the_server_that_said_nothing() -> None:
    async def main() -> None:
        lane = WorkerRun(Refusing(), trace=True, tries=2)
        for zone in ("first.net", "later.net"):
            for answer in (await lane.ask(names(2, zone))).values():
                assert answer.status == UNREACHABLE
                assert answer.how is not None
                assert (answer.how.server, answer.how.transport) == ("192.0.2.1:53", "tcp")

    run_virtual(main())


def test_a_server_that_comes_back_is_found_by_a_single_question_now_and_then() -> None:
    async def main() -> None:
        far = Refusing(6)
        lane = WorkerRun(far)
        await lane.ask(names(10))
        await asyncio.sleep(6)
        answers = await lane.ask(names(10, "later.net"))
        assert {answer.status for answer in answers.values()} == {UNREACHABLE}
        assert len(far.wires) == 6
        await asyncio.sleep(6)
        found = await lane.ask(names(10, "again.net"))
        assert sorted(answer.status for answer in found.values()).count(UNREACHABLE) == 9
        assert right(await lane.ask(names(10, "back.net")))

    run_virtual(main())


def test_a_port_that_is_closed_for_a_moment_costs_nothing() -> None:
    async def main() -> None:
        assert right(await WorkerRun(Refusing(3)).ask(names(100)))

    run_virtual(main())


def test_a_black_hole_costs_all_tries_once_and_then_nothing() -> None:
    async def main() -> None:
        far = Dropping()
        lane = WorkerRun(far, timeout=2.0, tries=5)
        answers = await lane.ask(names(1000))
        assert {answer.status for answer in answers.values()} == {TIMEOUT}
        assert 10.0 <= lane.loop.time() < 12.0
        begin = lane.loop.time()
        for number in range(20):
            await lane.ask(names(100, f"later{number}.net"))
        assert lane.loop.time() - begin < 0.5
        assert far.most_at_once() == 1
        await lane.rest()

    run_virtual(main())


def test_a_server_that_reads_and_never_answers_has_all_tries_time() -> None:
    async def main() -> None:
        lane = WorkerRun(Mute(), timeout=1.0, tries=3)
        answers = await lane.ask(names(50))
        assert {answer.status for answer in answers.values()} == {TIMEOUT}
        assert 3.0 <= lane.loop.time() < 5.0
        await lane.rest()

    run_virtual(main())


@pytest.mark.parametrize("gone", [Refusing, Dropping, Mute])
def test_where_one_server_is_no_help_another_is_asked(gone: type[Far]) -> None:
    async def main() -> None:
        bad, good = gone(), Far()
        lane = WorkerRun(bad, good, timeout=1.0)
        assert right(await lane.ask(names(300), server=0))
        assert lane.loop.time() < 3.0
        assert len(good.queries) == 300

    run_virtual(main())


def test_the_server_that_truncated_is_asked_first_unless_it_is_left_out() -> None:
    async def main() -> None:
        one, two = Far(), Far()
        lane = WorkerRun(one, two)
        await lane.ask(names(10), server=1)
        assert (len(one.queries), len(two.queries)) == (0, 10)
        lane.nameservers[1].health = Health.LEFT_OUT
        await lane.ask(names(10, "later.net"), server=1)
        assert (len(one.queries), len(two.queries)) == (10, 10)
        lane.nameservers[0].health = Health.SUSPENDED
        assert right(await lane.ask(names(10, "again.net"), server=1))
        assert len(one.queries) == 20

    run_virtual(main())


def test_a_question_that_breaks_every_connection_takes_no_other_with_it() -> None:
    class Fragile(Far):
        def asked(self, wire: Wire, query: Query) -> None:
            if query.name.startswith("n7."):
                wire.end()
                wire.replied = 1 << 30
            elif wire.replied < 1 << 30:
                super().asked(wire, query)

    async def main() -> None:
        answers = await WorkerRun(Fragile()).ask(names(200))
        wrong = {
            question.name: answer.status
            for question, answer in answers.items()
            if answer != truth(question)
        }
        assert wrong == {"n7.example.net": UNREACHABLE}

    run_virtual(main())
