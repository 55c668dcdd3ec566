"""The bulk engine on real sockets: limits, order of events, opening and closing.

Also tests `deliveries.py`, `reply_match.py` and `scheduler.py`.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import pytest
from support import faults, servers
from support.asking import Inbox, ask, assert_sums, opened, until
from support.faults import Gate, answer, delay, truncate
from support.faulty import Asked, FaultyServer, always
from support.fleet import FLEET
from support.simnet import ONE, TWO, Query, Reply, Simulation, honest, names, respond, truth

from auditor.resolve.answer import Answer, Question
from auditor.resolve.bulk.engine import BulkEngine
from auditor.resolve.bulk.server import nameserver
from auditor.resolve.bulk.udp.datagram import LoopDatagrams, open_socket
from auditor.settings import Server
from auditor.wire.codes import FORMERR, NODATA, NOERROR, NXDOMAIN, SERVFAIL, TXT, A

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from support.faults import Action
    from support.processes import Server as RealServer

    Run = Callable[[Coroutine[Any, Any, Any]], Any]

ZONE: Final = (
    "$ORIGIN example.net.\nwww CNAME mail\nout CNAME elsewhere.example.org.\nmail A 192.0.2.1\n"
    + "".join(f"h{number} A 192.0.2.{number}\n" for number in range(250))
)


def _hosts(count: int = 250) -> list[Question]:
    return [Question(f"h{number}.example.net", A) for number in range(count)]


def _engine(*ports: int, **options: Any) -> BulkEngine:
    return BulkEngine([Server("127.0.0.1", port) for port in ports], **options)


# --- Answers


def test_answers_of_all_kinds(run: Run) -> None:
    async def main(port: int) -> None:
        engine = _engine(port)
        async with opened(engine):
            questions = [
                Question("h7.example.net", A),
                Question("h7.example.net", TXT),
                Question("gone.example.net", A),
                Question("www.example.net", A),
                Question("www.example.net", TXT),
            ]
            found = await ask(engine, questions)
        assert [answer.status for answer in found] == [NOERROR, NODATA, NXDOMAIN, NOERROR, NODATA]
        assert found[0] == Answer(NOERROR, ("192.0.2.7",), ttl=300)
        assert found[3] == Answer(
            NOERROR, ("192.0.2.1",), ("www.example.net",), "mail.example.net", 300
        )
        assert found[4].chain == ("www.example.net",)
        assert_sums(engine.counters(), asked=5)

    with FaultyServer(ZONE) as server:
        run(main(server.port))


def test_the_portable_sockets_do_as_well(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    async def main(port: int) -> None:
        engine = _engine(port)
        async with opened(engine):
            assert {answer.status for answer in await ask(engine, _hosts())} == {NOERROR}

    def portable(address: str, port: int) -> LoopDatagrams:
        return LoopDatagrams(open_socket(address, port))

    monkeypatch.setattr(nameserver, "open_datagrams", portable)
    with FaultyServer(ZONE) as server:
        run(main(server.port))


def test_a_socket_that_wakes_us_for_nothing_is_listened_to_anew(run: Run) -> None:
    async def main(port: int) -> None:
        engine = _engine(port, check=False)
        async with opened(engine):
            (one,) = engine._nameservers
            for each in one.sockets:
                # What libuv does after an error that no call has told us of.
                engine._loop.remove_reader(each.datagrams.sock)
                engine._receive(one, each)
            assert {one.status for one in await ask(engine, _hosts())} == {NOERROR}

    with FaultyServer(ZONE) as server:
        run(main(server.port))


def test_what_is_no_name_is_formerr_and_costs_no_query(run: Run) -> None:
    async def main(port: int) -> None:
        engine = _engine(port, check=False)
        inbox = Inbox()
        bad = [Question(f"a..{number}", A) for number in range(300)]
        async with opened(engine):
            engine.submit([*bad, Question("h1.example.net", A)], inbox.deliver)
            await inbox.wait(301)
        assert {inbox.answers[question].status for question in bad} == {FORMERR}
        assert engine.counters()["sent"] == 1
        assert_sums(engine.counters(), asked=301)

    with FaultyServer(ZONE) as server:
        run(main(server.port))


def test_whoever_is_handed_an_answer_may_ask_on_at_once(run: Run) -> None:
    async def main(port: int) -> None:
        engine = _engine(port, concurrency=3)
        inbox = Inbox()
        waiting = _hosts()

        def deliver(pairs: Sequence[tuple[Question, Answer]]) -> None:
            inbox.deliver(pairs)
            for _ in pairs:
                if waiting:
                    # Every other one is answered before it is sent.
                    bad = Question(f"..{len(waiting)}", A)
                    engine.submit([bad, waiting.pop()], deliver)

        async with opened(engine):
            engine.submit([waiting.pop(), Question("..0", A)], deliver)
            await inbox.wait(len(_hosts()) * 2)
        assert_sums(engine.counters(), asked=len(inbox.answers))

    with FaultyServer(ZONE) as server:
        run(main(server.port))


def test_the_trace_says_how_an_answer_was_come_by(run: Run) -> None:
    def plan(asked: Asked, transport: str, nth: int) -> Sequence[Action]:
        if asked.name == "h1.example.net" and transport == "udp":
            return [truncate]
        if asked.name == "h2.example.net" and nth == 1:
            return []
        return [answer]

    async def main(port: int) -> None:
        engine = _engine(port, trace=True)
        async with opened(engine):
            plain, tcp, again = await ask(engine, [_hosts()[n] for n in range(3)])
        assert plain.how is not None
        assert tcp.how is not None
        assert again.how is not None
        assert (plain.how.server, plain.how.transport) == (f"127.0.0.1:{port}", "udp")
        assert plain.how.attempts >= 1
        # A loop that keeps time in milliseconds may not see one pass.
        assert 0 <= plain.how.rtt_ms < 10_000
        assert tcp.how.transport == "tcp"
        # More than these on a busy machine.
        assert again.how.transport == "udp"
        assert again.how.attempts >= 2

    with FaultyServer(ZONE, plan) as server:
        run(main(server.port))


def test_without_trace_no_answer_says_how(run: Run) -> None:
    async def main(port: int) -> None:
        engine = _engine(port)
        async with opened(engine):
            found = await ask(engine, [*_hosts(5), Question("gone.example.net", A)])
        assert {answer.how for answer in found} == {None}

    with FaultyServer(ZONE, always(truncate)) as server:
        run(main(server.port))


def test_more_is_asked_for_when_the_queue_runs_low(run: Run) -> None:
    async def main(port: int) -> None:
        engine = _engine(port)
        inbox = Inbox()
        waiting = _hosts()
        lowest = []

        def more() -> None:
            lowest.append(engine.backlog())
            if waiting:
                engine.submit([waiting.pop()], inbox.deliver)

        async with opened(engine):
            engine.on_room(more)
            engine.submit([waiting.pop()], inbox.deliver)
            await inbox.wait(250)
        assert max(lowest) < 256

    with FaultyServer(ZONE) as server:
        run(main(server.port))


@pytest.fixture(scope="module")
def nsd() -> Iterator[RealServer]:
    with servers.nsd(FLEET / "zones") as server:
        yield server


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_both_families_of_addresses(run: Run, nsd: RealServer, address: str) -> None:
    if address not in nsd.addresses:
        pytest.skip(f"no {address} here")

    async def main() -> list[Answer]:
        engine = BulkEngine([Server(address, nsd.port)])
        async with opened(engine):
            return await ask(engine, [Question("mx-1.example.net", A)])

    assert [found.records for found in run(main())] == [("198.51.100.16",)]


# --- Limits


@pytest.mark.parametrize("ports", [1, 3])
def test_concurrency_bounds_what_is_in_flight_at_all_servers_together(run: Run, ports: int) -> None:
    gate = Gate()

    async def main(several: list[FaultyServer]) -> None:
        engine = _engine(*(one.port for one in several), concurrency=7, check=False, timeout=30.0)
        inbox = Inbox()
        async with opened(engine):
            engine.submit(_hosts(100), inbox.deliver)
            await until(lambda: sum(len(one.queries) for one in several) >= 7)
            assert sum(one.in_flight.count for one in engine._nameservers) == 7
            assert engine.backlog() == 93
            gate.open()
            await inbox.wait(100)

    plan = always(delay(gate), answer)
    several = [FaultyServer(ZONE, plan) for _ in range(ports)]
    for one in several:
        one.__enter__()
    try:
        run(main(several))
    finally:
        for one in several:
            one.__exit__(None, None, None)


@pytest.mark.parametrize(
    ("options", "servers", "rate"),
    [
        ({"qps": 100.0}, 1, 100.0),
        ({"qps": 100.0}, 2, 100.0),
        ({"server_qps": 100.0}, 2, 200.0),
        ({"qps": 150.0, "server_qps": 100.0}, 2, 150.0),
    ],
)
def test_rates_hold_in_every_second_and_are_reached(
    options: dict[str, Any], servers: int, rate: float
) -> None:
    addresses = [ONE, TWO][:servers]
    with Simulation(dict.fromkeys(addresses, honest), **options) as world:
        questions = names(1000)
        begin = world.loop.now
        assert world.ask(questions) == {question: truth(question) for question in questions}
        assert world.loop.now - begin == pytest.approx(1000 / rate, rel=0.05)
        _hold_rates(world, rate, options.get("server_qps", rate))


def test_retries_count_in_the_rate() -> None:
    times: Counter[str] = Counter()

    def forgetful(query: Query) -> Sequence[Reply]:
        times[query.name] += 1
        return honest(query) if times[query.name] > 1 else []

    with Simulation({ONE: forgetful}, qps=100.0, timeout=1.0, tries=5) as world:
        world.ask(names(300))
        _hold_rates(world, 100.0, 100.0)


def _hold_rates(world: Simulation, rate: float, server_rate: float) -> None:
    """Assert that no second has seen more queries, probes aside, than 2 % above the rate."""
    for address, bound in ((None, rate), (ONE, server_rate), (TWO, server_rate)):
        times = [
            query.now
            for to, query in world.queries
            if address in {None, to} and not query.name.endswith(".invalid")
        ]
        for start, now in enumerate(times):
            end = start + int(bound * 1.02) + 1
            assert end >= len(times) or times[end] > now + 1.0 - 1e-6


def test_a_server_without_tokens_leaves_the_others_theirs() -> None:
    # The second one is slow, so it has less room in its window than the first all the time.
    slow = {ONE: honest, TWO: lambda query: [Reply(0.4, respond(query))]}
    with Simulation(slow, server_qps=50.0) as world:
        begin = world.loop.now
        world.ask(names(500))
        assert world.loop.now - begin < 1.2 * 500 / 100.0 + 0.5


def test_a_waiting_retry_for_one_server_does_not_spin_the_loop() -> None:
    # Both are full or forbidden for what waits: what is left may only be sent to the second.
    def second(query: Query) -> Sequence[Reply]:
        return [Reply(1.5, respond(query))]

    with Simulation({ONE: lambda _query: [], TWO: second}, concurrency=2, timeout=2.0) as world:
        found = world.ask(names(4), limit=60.0)
        assert set(found) == set(names(4))


def test_a_referral_is_servfail_with_and_without_trace(run: Run) -> None:
    async def main(port: int, *, trace: bool) -> str:
        engine = _engine(port, trace=trace, check=False)
        async with opened(engine):
            (found,) = await ask(engine, [Question("mail.example.net", A)])
        return found.status

    with FaultyServer(ZONE, always(faults.referral)) as server:
        for trace in (True, False):
            assert run(main(server.port, trace=trace)) == SERVFAIL
