"""The bulk engine where datagrams are truncated: one answer a question, whatever TCP is like."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any, Final

import pytest
from support import faults
from support.asking import Inbox, ask, assert_sums, opened, until
from support.faults import Gate, answer, close, delay, hold, truncate
from support.faulty import Asked, Chaos, FaultyServer

from auditor.resolve.answer import Answer, Question
from auditor.resolve.bulk.engine import BulkEngine
from auditor.settings import Server
from auditor.wire.codes import NODATA, NOERROR, NXDOMAIN, SERVFAIL, TIMEOUT, TRUNCATED, TXT, A

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from support.faults import Action, Exchange

    Run = Callable[[Coroutine[Any, Any, Any]], Any]

ZONE: Final = """
www.example.net. CNAME gone.example.net.
""" + "".join(f"h{number}.example.net. A 192.0.2.{number}\n" for number in range(200))
HOSTS: Final = [Question(f"h{number}.example.net", A) for number in range(200)]


def _tcp_only(*actions: Action) -> Callable[[Asked, str, int], Sequence[Action]]:
    """Truncate over UDP, and do this over TCP."""
    return lambda _asked, transport, _nth: [truncate] if transport == "udp" else actions


def _ask(
    run: Run, server: FaultyServer, questions: Sequence[Question], **options: Any
) -> tuple[list[Answer], dict[str, int]]:
    """Return the answers and the counts, which add up."""
    options = {"check": False, "timeout": 5.0, "tries": 2, **options}
    engine = BulkEngine([Server("127.0.0.1", server.port)], **options)

    async def main() -> list[Answer]:
        async with opened(engine):
            return await ask(engine, questions)

    answers = run(main())
    count = dict(engine.counters())
    assert_sums(count, asked=len(questions))
    assert count["tcp_accepted"] <= min(count["tcp_sent"], count["tcp_received"])
    assert count["tcp_lost"] == count["tcp_sent"] - count["tcp_accepted"]
    return answers, count


def _right(answers: Sequence[Answer]) -> bool:
    return [found.records for found in answers] == [(f"192.0.2.{n}",) for n in range(len(answers))]


def test_answers_over_tcp_are_those_of_datagrams(run: Run) -> None:
    names = ("h1", "www", "gone", "", "*")
    questions = [
        Question(f"{name}.example.net".lstrip("."), rdtype) for name in names for rdtype in (A, TXT)
    ]
    with FaultyServer(ZONE) as server:
        by_datagram, _ = _ask(run, server, questions)
        server.plan = _tcp_only(answer)
        over_tcp, count = _ask(run, server, questions)
    assert over_tcp == by_datagram
    assert {found.status for found in over_tcp} == {NOERROR, NODATA, NXDOMAIN}
    assert over_tcp[2] == Answer(
        NXDOMAIN, (), ("www.example.net",), canonical="gone.example.net", ttl=300, zone="."
    )
    assert count["tcp"] == count["tcp_sent"] == count["tcp_received"] == len(questions)


def test_the_trace_says_which_server_it_was_and_what_it_explained(run: Run) -> None:
    with FaultyServer(ZONE, _tcp_only(faults.extended_error(22, "lame"))) as server:
        ((found,), _) = _ask(run, server, HOSTS[:1], trace=True)
    assert found.status == SERVFAIL
    assert found.how is not None
    assert (found.how.server, found.how.transport) == (f"127.0.0.1:{server.port}", "tcp")
    assert found.how.ede == ((22, "lame"),)


def test_replies_that_overtake_each_other_reach_their_questions(run: Run) -> None:
    number = itertools.count(1)

    def plan(_asked: Asked, transport: str, _nth: int) -> Sequence[Action]:
        if transport == "udp":
            return [truncate]
        # The last to arrive lets all of them go.
        return [hold] if next(number) < 50 else [answer]

    with FaultyServer(ZONE, plan) as server:
        answers, _ = _ask(run, server, [*HOSTS[150:]], concurrency=50)
    assert [found.records for found in answers] == [(f"192.0.2.{n}",) for n in range(150, 200)]


@pytest.mark.parametrize("after", [1, 7])
def test_a_server_that_closes_after_a_few_answers_answers_all(run: Run, after: int) -> None:
    number = itertools.count(1)

    def plan(_asked: Asked, transport: str, _nth: int) -> Sequence[Action]:
        if transport == "udp":
            return [truncate]
        return [answer] if next(number) % after else [answer, close]

    with FaultyServer(ZONE, plan) as server:
        answers, count = _ask(run, server, HOSTS)
    assert _right(answers)
    assert count["tcp_lost"] < 400


def test_a_single_connection_that_breaks_costs_no_answer(run: Run) -> None:
    number = itertools.count()

    def plan(_asked: Asked, transport: str, _nth: int) -> Sequence[Action]:
        if transport == "udp":
            return [truncate]
        return [close] if next(number) == 0 else [answer]

    with FaultyServer(ZONE, plan) as server:
        answers, _ = _ask(run, server, HOSTS)
    assert _right(answers)


@pytest.mark.parametrize(
    "fault",
    [
        faults.wrong_id,
        faults.wrong_question,
        faults.echo,
        faults.garbage(b""),
        faults.garbage(b"x" * 11),
        faults.garbage(bytes(5000)),
    ],
    ids=["wrong ID", "wrong question", "echo", "no octets", "few octets", "many octets"],
)
def test_what_is_no_reply_is_dropped_and_the_reply_taken(run: Run, fault: Action) -> None:
    with FaultyServer(ZONE, _tcp_only(fault, answer)) as server:
        answers, count = _ask(run, server, HOSTS[:10])
    assert _right(answers)
    assert count["tcp_received"] - count["tcp_accepted"] in range(1, 11)


@pytest.mark.parametrize(
    "fault",
    [
        faults.wrong_id,
        faults.garbage(b"\xff" * 40),
        faults.cut(16),
        faults.compression_loop,
        faults.wrong_counts,
        truncate,
        close,
    ],
)
def test_truncated_it_stays_where_tcp_brings_nothing_better(run: Run, fault: Action) -> None:
    async def still_truncated(exchange: Exchange) -> None:
        await truncate(exchange._replace(transport="udp"))

    fault = still_truncated if fault is truncate else fault
    with FaultyServer(ZONE, _tcp_only(fault)) as server:
        answers, _ = _ask(run, server, HOSTS[:5], timeout=0.2)
    assert {found.status for found in answers} == {TRUNCATED}


def test_a_slow_answer_holds_up_no_other(run: Run) -> None:
    gate = Gate()

    def plan(asked: Asked, transport: str, _nth: int) -> Sequence[Action]:
        if transport == "udp":
            return [truncate]
        return [delay(gate), answer] if asked.name == "h0.example.net" else [answer]

    async def main(port: int) -> None:
        engine = BulkEngine([Server("127.0.0.1", port)], check=False, timeout=60.0)
        async with opened(engine):
            inbox = Inbox()
            engine.submit(HOSTS, inbox.deliver)
            await inbox.wait(199)
            assert HOSTS[0] not in inbox.answers
            gate.open()
            await inbox.wait(200)
            assert inbox.answers[HOSTS[0]].status == NOERROR

    with FaultyServer(ZONE, plan) as server:
        run(main(server.port))


def test_what_tcp_does_not_help_with_is_asked_by_datagram_again(run: Run) -> None:
    # Silence from a server that sends truncated replies else: it limits its rate.
    dropped = {f"h{number}.example.net" for number in range(0, 200, 2)}

    def plan(asked: Asked, transport: str, nth: int) -> Sequence[Action]:
        if transport == "tcp":
            return []
        if asked.name in dropped:
            return [] if nth == 1 else [answer]
        return [truncate]

    with FaultyServer(ZONE, plan) as server:
        answers, count = _ask(run, server, HOSTS[:20], timeout=0.15, tries=3)
    for number, found in enumerate(answers):
        assert found.status == (TRUNCATED if number % 2 else NOERROR), number
    assert count["tcp"] > 10
    assert TIMEOUT not in {found.status for found in answers}


def test_rates_hold_for_both_ways_together(run: Run) -> None:
    with FaultyServer(ZONE, _tcp_only(answer)) as server:
        begin = time.monotonic()
        answers, count = _ask(run, server, HOSTS[:30], qps=100.0, timeout=0.1, tries=1)
        seconds = time.monotonic() - begin
        assert len(server.queries) == 60
    assert _right(answers)
    assert count["tcp"] == 30
    # Two may go at once; a loop that was late makes nothing up.
    assert seconds > (60 - 2) / 100


def test_the_rate_of_one_server_holds_no_other_up(run: Run) -> None:
    with FaultyServer(ZONE, _tcp_only(answer)) as one, FaultyServer(ZONE) as two:

        async def main() -> list[Answer]:
            servers = [Server("127.0.0.1", server.port) for server in (one, two)]
            engine = BulkEngine(servers, check=False, server_qps=60.0)
            async with opened(engine):
                return await ask(engine, HOSTS[:40])

        begin = time.monotonic()
        assert _right(run(main()))
        seconds = time.monotonic() - begin
        for server in (one, two):
            assert seconds > (len(server.queries) - 2) / 60
        assert sum(query.transport == "tcp" for query in one.queries) > 5
        assert len(two.queries) > 10


@pytest.mark.parametrize("most", [1, 3])
def test_no_more_queries_are_in_flight_than_were_allowed(run: Run, most: int) -> None:
    gate = Gate()

    async def main(server: FaultyServer) -> None:
        engine = BulkEngine(
            [Server("127.0.0.1", server.port)], check=False, concurrency=most, timeout=60.0
        )
        async with opened(engine):
            inbox = Inbox()
            engine.submit(HOSTS[:20], inbox.deliver)
            await until(lambda: sum(query.transport == "tcp" for query in server.queries) == most)
            assert engine._tcp.in_flight == most
            assert sum(nameserver.in_flight.count for nameserver in engine._nameservers) == 0
            gate.open()
            await inbox.wait(20)

    with FaultyServer(ZONE, _tcp_only(delay(gate), answer)) as server:
        run(main(server))


@pytest.mark.parametrize("seed", range(2))
def test_chance_on_one_way_and_truncation_lose_no_answer(run: Run, seed: int) -> None:
    chaos = Chaos(seed, lose=0.2, repeat=0.1, reorder=0.1, patience=2)

    def plan(asked: Asked, transport: str, nth: int) -> Sequence[Action]:
        actions = chaos(asked, transport, nth)
        cut = transport == "udp" and hash((seed, asked.name)) % 2
        return [truncate] if actions and cut else actions

    with FaultyServer(ZONE, plan) as server:
        answers, count = _ask(run, server, HOSTS, tries=4)
    assert _right(answers)
    assert count["tcp"] > 50
