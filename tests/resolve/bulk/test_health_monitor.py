"""Which servers are used: the check, the bench, and the way back, by a clock of the test's."""

from __future__ import annotations

import asyncio
import logging
import struct
from typing import TYPE_CHECKING, Any

import dns.flags
import dns.message
import dns.name
import dns.rrset
import pytest
from support.simnet import (
    ONE,
    RTT,
    TWO,
    Query,
    Reply,
    Simulation,
    honest,
    mute,
    names,
    respond,
    truth,
)

from auditor.errors import AuditorError, NoServerError
from auditor.resolve.answer import Answer, Question
from auditor.resolve.bulk.retry_policy import RetryPolicy
from auditor.resolve.bulk.server.health_monitor import HealthMonitor
from auditor.resolve.bulk.server.nameserver import Health, NameServer
from auditor.settings import Server
from auditor.wire.codes import NS, type_name
from auditor.wire.names import encode_name

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    Run = Callable[[Coroutine[Any, Any, None]], None]


class Bench:
    """A keeper, its servers, and a record of what it does."""

    def __init__(self, count: int = 1, *, tries: int = 3, timeout: float = 0.05) -> None:
        self.nameservers = [
            NameServer(
                number,
                Server(f"192.0.2.{number + 1}"),
                concurrency=100,
                timeout=timeout,
                qps=None,
                now=0.0,
            )
            for number in range(count)
        ]
        self.probes: list[tuple[int, bool]] = []
        self.taken_back: list[int] = []
        self.failures: list[AuditorError] = []
        self.reply: Callable[[NameServer, Question, bool], bytes | None] = lambda *_: None
        #: What is said of the root's name servers, which `probes` leaves out.
        self.root: Callable[[NameServer, Question, bool], bytes | None] = _refused
        self.keeper = HealthMonitor(
            self.nameservers,
            RetryPolicy(tries, timeout),
            probe=self._probe,
            take_back=lambda nameserver: self.taken_back.append(nameserver.number),
            fail=self.failures.append,
        )

    def _probe(self, nameserver: NameServer, question: Question, plain: bool) -> None:  # noqa: FBT001 - a callback
        if question.rdtype == NS:
            data = self.root(nameserver, question, plain)
        else:
            self.probes.append((nameserver.number, plain))
            data = self.reply(nameserver, question, plain)
        if data is not None:
            asked = encode_name(question.name) + struct.pack("!2H", question.rdtype, 1)
            asked = data[12 : 12 + len(asked)] or asked
            nameserver.on_heard(0.0)
            self.keeper.on_probe(nameserver, (asked, 0.0, plain), data, 0.01)

    def healths(self) -> list[Health]:
        return [one.health for one in self.nameservers]


def _reply(question: Question, rcode: int = 3, *data: str) -> bytes:
    rdtype = type_name(question.rdtype)
    reply = dns.message.make_response(dns.message.make_query(question.name, rdtype))
    reply.set_rcode(dns.rcode.Rcode(rcode))
    if data:
        owner = dns.name.from_text(question.name)
        reply.answer.append(dns.rrset.from_text(owner, 60, "IN", rdtype, *data))
    return reply.to_wire()


def _refused(_one: NameServer, question: Question, _plain: bool) -> bytes:  # noqa: FBT001 - a callback
    return _reply(question, 5)


def _saying(
    rcode: int, *data: str, refers: bool = False, truncated: bool = False
) -> Callable[[NameServer, Question, bool], bytes]:
    def reply(_one: NameServer, question: Question, _plain: bool) -> bytes:  # noqa: FBT001 - a callback
        message = dns.message.from_wire(_reply(question, rcode, *data))
        if refers:
            message.authority.append(dns.rrset.from_text(".", 60, "IN", "NS", "ns.example."))
        if truncated:
            message.flags |= dns.flags.TC
        return message.to_wire()

    return reply


# --- The check


def test_an_honest_server_passes_with_one_question(run: Run) -> None:
    async def main() -> None:
        bench = Bench()
        bench.reply = lambda _, question, __: _reply(question)
        await bench.keeper.check_servers()
        assert (bench.probes, bench.healths()) == ([(0, False)], [Health.GOOD])
        assert bench.nameservers[0].can.mixed_case
        assert not bench.nameservers[0].can.plain
        bench.keeper.require_one()

    run(main())


@pytest.mark.parametrize("rcode", [0, 2, 3, 5])
def test_any_reply_without_an_address_will_do(run: Run, rcode: int) -> None:
    async def main() -> None:
        bench = Bench()
        bench.reply = lambda _, question, __: _reply(question, rcode)
        await bench.keeper.check_servers()
        assert bench.healths() == [Health.GOOD]

    run(main())


#: What a server says of the root's name servers, and what is said of it then.
ROOT_REPLIES: dict[str, tuple[Any, str]] = {
    "answers": (_saying(0, "a.root-servers.example."), ""),
    "refuses": (_saying(5), ""),
    "refers": (_saying(0, refers=True), ""),
    "is truncated": (_saying(0, truncated=True), ""),
    "fails": (_saying(2), ""),
    "says no data": (_saying(0), "denies what must exist"),
    "says no such name": (_saying(3), "denies what must exist"),
    "says nothing": (lambda *_: None, "does not answer for the root"),
}


@pytest.mark.parametrize("root", ROOT_REPLIES)
def test_a_server_that_denies_what_must_exist_is_named_and_left_out(run: Run, root: str) -> None:
    async def main() -> None:
        bench = Bench()
        bench.reply = lambda _, question, __: _reply(question)
        bench.root, complaint = ROOT_REPLIES[root]
        await bench.keeper.check_servers()
        assert bench.healths() == [Health.LEFT_OUT if complaint else Health.GOOD]
        assert complaint in bench.keeper.complaints.get(0, "")

    run(main())


@pytest.mark.parametrize("local", [2, 0], ids=["and all else", "but not its own names"])
def test_a_server_that_fails_whatever_it_is_asked_is_left_out(run: Run, local: int) -> None:
    def reply(_one: NameServer, question: Question, _plain: bool) -> bytes:  # noqa: FBT001 - a callback
        return _reply(question, local if question.name == "localhost" else 2)

    async def main() -> None:
        bench = Bench()
        bench.reply, bench.root = reply, _saying(2)
        await bench.keeper.check_servers()
        complaints = {0: "answers SERVFAIL to everything"} if local else {}
        assert bench.keeper.complaints == complaints

    run(main())


def test_liars_and_mutes_are_named_and_left_out(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    def reply(nameserver: NameServer, question: Question, _plain: bool) -> bytes | None:  # noqa: FBT001 - a callback
        return [_reply(question), _reply(question, 0, "192.0.2.80"), None][nameserver.number]

    async def main() -> None:
        bench = Bench(3)
        bench.reply = reply
        await bench.keeper.check_servers()
        assert bench.healths() == [Health.GOOD, Health.LEFT_OUT, Health.LEFT_OUT]
        bench.keeper.require_one()
        bench.nameservers[0].health = Health.LEFT_OUT
        with pytest.raises(NoServerError, match=r"192\.0\.2\.2:53 makes up .*; 192\.0\.2\.3:53"):
            bench.keeper.require_one()

    caplog.set_level(logging.WARNING, "auditor")
    run(main())
    assert [record.getMessage() for record in caplog.records] == [
        "server 192.0.2.2:53 makes up answers for names that do not exist: left out",
        "server 192.0.2.3:53 does not answer: left out",
    ]


def test_every_check_asks_for_another_name_that_cannot_exist(run: Run) -> None:
    asked: list[str] = []

    def reply(_one: NameServer, question: Question, _plain: bool) -> None:  # noqa: FBT001 - a callback
        asked.append(question.name)

    async def main() -> None:
        bench = Bench(tries=4)
        bench.reply = reply
        await bench.keeper.check_servers()

    run(main())
    assert len(set(asked)) == len(asked) == 4
    assert all(name.endswith(".invalid") for name in asked)


@pytest.mark.parametrize("whole", [True, False])
def test_a_server_that_refuses_edns_is_asked_without(run: Run, *, whole: bool) -> None:
    def reply(_one: NameServer, question: Question, plain: bool) -> bytes:  # noqa: FBT001 - a callback
        if plain:
            return _reply(question)
        return _reply(question, 1) if whole else _reply(question, 1)[:12]

    async def main() -> None:
        bench = Bench()
        bench.reply = reply
        await bench.keeper.check_servers()
        assert bench.probes == [(0, False), (0, True)]
        assert bench.healths() == [Health.GOOD]
        assert bench.nameservers[0].can.plain

    run(main())


def test_a_server_that_hears_nothing_with_edns_is_asked_without(run: Run) -> None:
    async def main() -> None:
        bench = Bench(tries=3)
        bench.reply = lambda _, question, plain: _reply(question) if plain else None
        await bench.keeper.check_servers()
        assert [plain for _, plain in bench.probes] == [False, False, True, False]
        assert bench.nameservers[0].can.plain

    run(main())


def test_a_lossy_path_does_not_take_edns_from_a_server(run: Run) -> None:
    async def main() -> None:
        bench = Bench(tries=3)
        bench.reply = lambda _, question, __: _reply(question) if len(bench.probes) > 2 else None
        await bench.keeper.check_servers()
        assert bench.healths() == [Health.GOOD]
        assert not bench.nameservers[0].can.plain

    run(main())


def test_a_server_that_is_not_there_is_found_out_without_waiting(run: Run) -> None:
    async def main() -> None:
        bench = Bench(timeout=60.0)
        bench.reply = lambda nameserver, _, __: bench.keeper.on_refused(nameserver, 0.0)
        async with asyncio.timeout(10):
            await bench.keeper.check_servers()
        with pytest.raises(NoServerError, match="is not reachable"):
            bench.keeper.require_one()

    run(main())


def test_a_late_reply_to_the_check_before_is_judged_by_its_own_question(run: Run) -> None:
    async def main() -> None:
        bench = Bench()
        asked = encode_name("AbCd.invalid") + b"\0\1\0\1"

        def reply(nameserver: NameServer, _question: Question, _plain: bool) -> None:  # noqa: FBT001 - a callback
            data = b"\0\0\x84\3\0\1" + bytes(6) + asked
            bench.keeper.on_probe(nameserver, (asked, 0.0, False), data, 0.01)

        bench.reply = reply
        await bench.keeper.check_servers()
        assert bench.nameservers[0].can.mixed_case

    run(main())


# --- The bench


def _owing(bench: Bench, now: float = 0.0) -> None:
    for nameserver in bench.nameservers:
        nameserver.round_trip.add_sample(0.001)
        nameserver.on_sent(5, now)


def test_a_silent_server_is_probed_before_it_is_benched() -> None:
    bench = Bench(2)
    _owing(bench)
    bench.nameservers[1].on_heard(0.1)
    now = 0.0
    while bench.healths()[0] is Health.GOOD:
        assert now < 10.0
        bench.keeper.poll_servers(now)
        now += 0.02
    assert bench.probes[:2] == [(0, False), (0, False)]
    assert (bench.taken_back, bench.healths()[1]) == ([0], Health.GOOD)
    assert 1.0 < now < 4.0


def test_a_server_that_answers_its_probes_is_not_benched_however_silent_its_names_are() -> None:
    bench = Bench()
    bench.reply = lambda _, question, __: _reply(question)
    for step in range(1000):
        _owing(bench, step * 0.02)
        bench.keeper.poll_servers(step * 0.02)
    assert bench.healths() == [Health.GOOD]
    assert 5 < len(bench.probes) < 30


def test_refusals_without_a_reply_between_them_bench_at_once() -> None:
    bench = Bench()
    for _ in range(7):
        bench.keeper.on_refused(bench.nameservers[0], 1.0)
    bench.nameservers[0].on_heard(1.0)
    for _ in range(7):
        bench.keeper.on_refused(bench.nameservers[0], 1.0)
    assert bench.healths() == [Health.GOOD]
    bench.keeper.on_refused(bench.nameservers[0], 1.0, times=5)
    assert (bench.healths(), bench.taken_back) == ([Health.SUSPENDED], [0])


def test_a_benched_server_is_probed_until_it_answers(caplog: pytest.LogCaptureFixture) -> None:
    bench = Bench(2)
    bench.keeper.on_refused(bench.nameservers[0], 1.0, times=8)
    caplog.clear()
    for step in range(50, 500):
        bench.keeper.poll_servers(step * 0.02)
    probes = len(bench.probes)
    assert 10 < probes < 25
    bench.reply = lambda _, question, __: _reply(question)
    bench.keeper.poll_servers(20.0)
    assert bench.healths() == [Health.GOOD, Health.GOOD]
    assert [record.getMessage() for record in caplog.records] == [
        "server 192.0.2.1:53 answers again"
    ]


def test_when_all_are_gone_for_long_whoever_asks_is_told_each_time() -> None:
    bench = Bench(2)
    for nameserver in bench.nameservers:
        bench.keeper.on_refused(nameserver, 1.0, times=8)
    bench.keeper.poll_servers(10.9)
    assert bench.failures == []
    bench.keeper.poll_servers(11.1)
    message = (
        "no server answers any more: 192.0.2.1:53 is not reachable; 192.0.2.2:53 is not reachable"
    )
    assert [str(error) for error in bench.failures] == [message]
    bench.keeper.poll_servers(21.0)  # whoever has asked since waits as long
    assert len(bench.failures) == 1
    bench.keeper.poll_servers(21.2)
    assert [str(error) for error in bench.failures] == [message] * 2


def test_one_that_comes_back_in_time_saves_the_run() -> None:
    bench = Bench(2)
    for nameserver in bench.nameservers:
        bench.keeper.on_refused(nameserver, 1.0, times=8)
    bench.reply = lambda nameserver, question, _: _reply(question) if nameserver.number else None
    for now in (10.9, 11.5, 30.0):
        bench.keeper.poll_servers(now)
    assert bench.failures == []
    # The time counts anew when that one goes as well.
    bench.reply = lambda *_: None
    bench.keeper.on_refused(bench.nameservers[1], 40.0, times=8)
    bench.keeper.poll_servers(49.0)
    assert bench.failures == []
    bench.keeper.poll_servers(51.0)
    assert len(bench.failures) == 1


# --- With the whole engine


@pytest.mark.parametrize("gone", [mute, None], ids=["mute", "refused"])
def test_what_a_benched_server_owes_is_asked_of_the_other(gone: Any) -> None:
    with Simulation({ONE: gone, TWO: honest}, tries=1, timeout=9.0) as world:
        questions = names(500)
        assert world.ask(questions, limit=20.0) == {
            question: truth(question) for question in questions
        }
        assert world.engine._nameservers[0].health is Health.SUSPENDED
        world.drain()
        world.check_books()


def test_a_lone_server_that_comes_back_answers_everything() -> None:
    with Simulation({ONE: honest}, tries=2, timeout=5.0) as world:
        world.ask(names(500, "warm.net"))
        world.servers[ONE] = None
        questions = names(300)
        world.submit(questions)
        until = world.loop.now + 5.0
        world.run(lambda: world.loop.now > until)
        assert world.engine._nameservers[0].health is Health.SUSPENDED
        assert len(world.delivered) == 500
        world.servers[ONE] = honest
        world.run(lambda: len(world.delivered) == 800)
        assert dict(world.delivered[500:]) == {question: truth(question) for question in questions}
        world.drain()
        world.check_books()


def test_late_replies_of_a_benched_server_are_taken() -> None:
    gate: list[Query] = []

    def stalls(query: Query) -> Sequence[Reply]:
        gate.append(query)
        return []

    with Simulation({ONE: honest}, tries=2, timeout=8.0) as world:
        world.ask(names(500, "warm.net"))
        world.servers[ONE] = stalls
        questions = names(20)
        world.submit(questions)
        world.run(lambda: world.engine._nameservers[0].health is Health.SUSPENDED)
        asked = [query for query in gate if not query.name.endswith(".invalid")]
        sent = world.engine.counters()["sent"]
        for one in world.engine._nameservers[0].sockets:
            for query in asked:
                entry = one.outstanding.get(query.id)
                if entry is not None and entry[-1] == query.question:
                    one.datagrams.arrived.append(respond(query))  # type: ignore[attr-defined]
            world.loop.readers[one.datagrams.sock]()
        assert dict(world.delivered[500:]) == {one: truth(one) for one in questions}
        assert world.engine.counters()["sent"] == sent


def test_a_question_over_tcp_is_not_taken_back_with_the_rest() -> None:
    with Simulation({ONE: honest}, timeout=4.0) as world:
        world.ask(names(200, "warm.net"))
        world.servers[ONE] = lambda query: [Reply(RTT, respond(query, truncated=True))]
        held: list[Any] = []
        world.engine._tcp.queue_query = held.append  # type: ignore[assignment,method-assign]
        questions = names(10)
        world.submit(questions)
        world.run(lambda: len(held) == 10)
        keeper = world.engine._health_monitor
        keeper.on_refused(world.engine._nameservers[0], world.loop.now, times=8)
        assert not world.engine._retries.retry_queue
        for query in held:
            world.engine._on_tcp_answers([(query, Answer("NXDOMAIN"))] * 2)
        assert len(world.delivered) == 210
