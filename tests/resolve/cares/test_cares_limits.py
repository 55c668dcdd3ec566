"""The aiodns lane: its servers, NSD among them, its limits, and how it ends."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING

import pytest
from support import faults, servers
from support.effort import sample
from support.faults import Gate, answer, delay
from support.faulty import Asked, FaultyServer, always, dead_port, mute_port, per_name
from support.fleet import FLEET
from support.lane import MAIL, SHORT, ZONE, ask, asked

from auditor.resolve.answer import Answer, Question
from auditor.resolve.cares import engine as cares
from auditor.resolve.cares.engine import CaresEngine
from auditor.resolve.zones.engine import ZoneFileEngine
from auditor.settings import Server
from auditor.wire.codes import AAAA, MX, PTR, SPF, TXT, A

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence
    from typing import Any

    from support.faults import Exchange
    from support.processes import Server as NameServer


@pytest.fixture(autouse=True)
def _no_noise(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Let no test leave a word of asyncio's about tasks or exceptions that nobody looked at."""
    yield
    assert [*caplog.get_records("call"), *caplog.records] == []


# --- Servers


def test_a_dead_server_among_several_costs_no_answer() -> None:
    questions = [Question(f"{number}.example.net", A) for number in range(30)]
    with dead_port() as port, FaultyServer(ZONE) as server:
        named = [Server("127.0.0.1", port), Server(server.address, server.port)]
        outcome = asked(named, MAIL, *questions)
    assert (
        outcome
        == [Answer("NOERROR", ("192.0.2.1", "192.0.2.2"), ttl=300)] + [Answer("NXDOMAIN")] * 30
    )


@pytest.fixture(scope="module")
def name_server() -> Iterator[NameServer]:
    with servers.nsd(FLEET / "zones") as server:
        yield server


def _hidden(question: Question, known: Answer) -> Answer:
    """Return what c-ares lets through of an answer."""
    status = known.status
    if status != "NOERROR":
        return Answer(status)
    records = known.records
    if question.rdtype == TXT:
        records = tuple(sorted((b"".join(strings),) for strings in records))  # type: ignore[arg-type]
    return known._replace(records=records)


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_it_says_what_the_zone_files_say(name_server: NameServer, address: str) -> None:
    if address not in name_server.addresses:
        pytest.skip("no IPv6 on this machine")
    names = ["example.net", "example.org", "mx-1.example.net", "mx-2.example.net", "lan"]
    names += ["no-such.example.net", "www.example.org", "example.com", "spf.example.org"]
    hosts = (0, 1, 7, 16, 17, 20, 25, 64, 65, 66, 70, 130, 200, 255)
    reverse = [Question(f"{host}.100.51.198.in-addr.arpa", PTR) for host in hosts]
    questions = [Question(name, rdtype) for name in names for rdtype in (A, AAAA, MX, TXT)]

    async def main() -> tuple[list[Answer], list[Answer]]:
        files = ZoneFileEngine(FLEET / "zones")
        await files.start()
        known = [
            _hidden(question, files.answer(question)._replace(how=None))
            for question in [*questions, *reverse]
        ]
        engine = CaresEngine([Server(address, name_server.port)])
        return list(await ask(engine, [*questions, *reverse])), known

    found, known = asyncio.run(main())
    assert found == known
    assert {reply.status for reply in known} >= {"NOERROR", "NODATA", "NXDOMAIN"}
    assert any(reply.chain for reply in known)


def test_a_server_that_falls_silent_and_comes_back(name_server: NameServer) -> None:
    async def main() -> list[str]:
        engine = CaresEngine([Server("127.0.0.1", name_server.port)], timeout=0.05, tries=1)
        statuses: list[str] = []
        await engine.start()
        for paused in (False, True, False):
            if paused:
                name_server.pause()
            reply = asyncio.get_running_loop().create_future()
            name = Question(f"mx-{len(statuses) + 1}.example.net", A)
            engine.submit([name], lambda pairs, reply=reply: reply.set_result(pairs[0][1]))  # type: ignore[misc]
            statuses.append((await reply).status)
            if paused:
                name_server.resume()
        await engine.close_engine()
        return statuses

    assert asyncio.run(main()) == ["NOERROR", "TIMEOUT", "NOERROR"]


# --- Limits


class _Counting:
    """An action that notes how many queries are being answered at a time."""

    def __init__(self) -> None:
        self.now = self.most = 0

    async def __call__(self, exchange: Exchange) -> None:
        self.now += 1
        self.most = max(self.most, self.now)
        # A few turns of the server's loop, in which more would come if they were sent.
        for _ in range(5):
            await asyncio.sleep(0.001)
        self.now -= 1
        await answer(exchange)


@pytest.mark.parametrize("concurrency", [1, 5])
def test_no_more_queries_are_in_flight_than_allowed(concurrency: int) -> None:
    counting = _Counting()
    questions = [Question(f"{number}.example.net", A) for number in range(30)]
    with FaultyServer(ZONE, always(counting)) as server:
        outcome = asked(server, *questions, concurrency=concurrency)
        assert outcome == [Answer("NXDOMAIN")] * 30
        assert len(server.queries) == 30
    assert counting.most == concurrency


def test_what_waits_for_its_turn_is_the_backlog(
    run: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    gate = Gate()
    questions = [Question(f"{number}.example.net", A) for number in range(20)]

    async def main(server: FaultyServer) -> None:
        engine = CaresEngine([Server(server.address, server.port)], concurrency=4)
        await engine.start()
        woken = []
        engine.on_room(lambda: woken.append(engine.backlog()))
        done = asyncio.Event()
        answers: list[Answer] = []

        def deliver(pairs: Sequence[tuple[Question, Answer]]) -> None:
            answers.extend(reply for _, reply in pairs)
            if len(answers) == 20:
                done.set()

        engine.submit(questions, deliver)
        await asyncio.to_thread(server.wait_for, 4)
        assert (engine.in_flight(), engine.backlog(), len(server.queries)) == (4, 16, 4)
        assert woken == []
        gate.open()
        await done.wait()
        assert woken[-1] == 0
        assert max(woken) < 4
        assert engine.counters() == {"asked": 20, "answered": 20, "failed": 0}
        await engine.close_engine()

    with FaultyServer(ZONE, always(delay(gate), answer)) as server:
        run(main(server))


def test_the_rate_is_kept_as_the_server_counts_it() -> None:
    rate = 200.0
    questions = [Question(f"{number}.example.net", A) for number in range(40)]
    with FaultyServer(ZONE) as server:
        assert asked(server, *questions, qps=rate) == [Answer("NXDOMAIN")] * 40
        times = sorted(query.at for query in server.queries)
    burst = rate / 50
    # However late the machine is, the whole cannot have come faster than this.
    assert times[-1] - times[0] >= (len(times) - 1 - burst) / rate


def test_waiting_for_a_token_is_no_part_of_a_query_s_time() -> None:
    questions = [Question(f"{number}.example.net", A) for number in range(8)]
    with FaultyServer(ZONE) as server:
        # The last one waits for longer than c-ares would.
        outcome = asked(server, *questions, qps=20.0, **SHORT)
        times = sorted(query.at for query in server.queries)
    assert outcome == [Answer("NXDOMAIN")] * 8
    assert times[-1] - times[0] > 0.3


def test_waiting_for_others_is_no_part_of_a_query_s_time() -> None:
    """Three silent names go before, each until its time is over."""
    silent = {f"silent-{number}.example.net": () for number in range(3)}
    questions = [Question(name, A) for name in silent]
    with FaultyServer(ZONE, per_name(silent)) as server:
        outcome = asked(server, *questions, MAIL, concurrency=1, **SHORT)
    assert [reply.status for reply in outcome] == ["TIMEOUT"] * 3 + ["NOERROR"]


def test_c_ares_forgets_what_it_has_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps answers itself, without a bound: so it is made to forget now and then."""
    monkeypatch.setattr(cares, "_QUERIES_PER_CHANNEL", 10)

    async def main(server: FaultyServer) -> list[int]:
        engine = CaresEngine([Server(server.address, server.port)])
        await engine.start()
        seen = []
        for _ in range(25):
            reply = asyncio.get_running_loop().create_future()
            engine.submit([MAIL], lambda pairs, reply=reply: reply.set_result(pairs[0][1]))  # type: ignore[misc]
            assert (await reply).status == "NOERROR"
            seen.append(len(server.queries))
        await engine.close_engine()
        return seen

    with FaultyServer(ZONE) as server:
        seen = asyncio.run(main(server))
    # Asked when it was new, and again after each ten.
    assert seen == [1] * 9 + [2] * 10 + [3] * 6


def test_forgetting_costs_no_answer_that_is_on_its_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cares, "_QUERIES_PER_CHANNEL", 7)
    questions = [Question(f"{number}.example.net", A) for number in range(100)]
    with FaultyServer(ZONE) as server:
        assert asked(server, *questions, concurrency=20) == [Answer("NXDOMAIN")] * 100
        # Not how often: c-ares repeats what a busy machine is slow to answer.
        assert {query.asked.name for query in server.queries} == {q.name for q in questions}


# --- The end


def _threads() -> int:
    """Return how many threads there are but the one that pycares keeps for closing channels."""
    return sum("safe_shutdown" not in thread.name for thread in threading.enumerate())


@pytest.mark.parametrize("qps", [None, 10.0])
def test_closing_drops_what_is_outstanding_undelivered(
    run: Callable[[Coroutine[Any, Any, None]], None], qps: float | None
) -> None:
    delivered: list[object] = []
    threads = _threads()

    async def main() -> None:
        with mute_port() as port:
            engine = CaresEngine([Server("127.0.0.1", port)], concurrency=10, qps=qps)
            await engine.start()
            questions = [Question(f"{number}.example.net", A) for number in range(50)]
            engine.submit([*questions, Question("x.example.net", SPF)], delivered.append)
            await asyncio.sleep(0)
            await engine.close_engine()
            await engine.close_engine()  # once more is no matter
            assert engine.backlog() == 0
        for _ in range(10):
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run(main())
    assert delivered == []
    assert _threads() <= threads


def test_closing_in_the_middle_of_answers(
    run: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    delivered: list[object] = []
    questions = [Question(f"{number}.example.net", A) for number in range(200)]

    async def main(server: FaultyServer) -> None:
        engine = CaresEngine([Server(server.address, server.port)])
        await engine.start()
        some = asyncio.Event()

        def deliver(pairs: Sequence[tuple[Question, Answer]]) -> None:
            delivered.extend(pairs)
            some.set()

        engine.submit(questions, deliver)
        await some.wait()
        await engine.close_engine()
        known = len(delivered)
        for _ in range(10):
            await asyncio.sleep(0)
        assert len(delivered) == known

    with FaultyServer(ZONE) as server:
        run(main(server))


def test_an_engine_that_was_asked_nothing_closes() -> None:
    async def main() -> None:
        engine = CaresEngine([Server("127.0.0.1", 1)])
        await engine.start()
        await engine.close_engine()

    asyncio.run(main())


@pytest.mark.parametrize("action", sample([faults.garbage(b"\xff" * 40), faults.compression_loop]))
def test_one_malformed_reply_costs_no_other_question_its_answer(action: faults.Action) -> None:
    """C-ares gives up all that is in flight to a server whose reply it cannot read."""
    names = [f"h{number}.example.net" for number in range(256)]
    broken = set(names[::64])
    zone = "".join(f"{name}. 300 A 192.0.2.1\n" for name in names)

    def plan(query: Asked, transport: str, number: int) -> Sequence[faults.Action]:
        del transport, number
        return (action,) if query.name in broken else (answer,)

    with FaultyServer(zone, plan) as server:
        found = asked(server, *[Question(name, A) for name in names])
    statuses = {name: reply.status for name, reply in zip(names, found, strict=True)}
    assert statuses == {name: "MALFORMED" if name in broken else "NOERROR" for name in names}
