"""The bulk engine and servers that do wrong: one answer a question, with its true status."""

from __future__ import annotations

import asyncio
import re
import struct
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from support import faults, servers
from support.asking import ask, assert_sums, opened, until
from support.effort import sample
from support.faults import Gate, answer, delay, truncate
from support.faulty import Asked, Chaos, FaultyServer, always, dead_port, first, mute_port

from auditor.errors import NoServerError
from auditor.resolve.answer import Answer, Question
from auditor.resolve.bulk.engine import BulkEngine
from auditor.settings import Server
from auditor.wire.codes import (
    FORMERR,
    MALFORMED,
    NODATA,
    NOERROR,
    NOTIMP,
    NXDOMAIN,
    PTR,
    REFUSED,
    SERVFAIL,
    TIMEOUT,
    TRUNCATED,
    TXT,
    UNREACHABLE,
    A,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from support.faults import Action
    from support.faulty import Plan

    Run = Callable[[Coroutine[Any, Any, Any]], Any]

ZONE: Final = """
$ORIGIN example.net.
mail A 192.0.2.1
www CNAME mail
""" + "".join(f"h{number} A 192.0.2.{number}\n" for number in range(200))
MAIL: Final = Question("mail.example.net", A)
RIGHT: Final = Answer(NOERROR, ("192.0.2.1",), ttl=300)
FAST: Final[dict[str, Any]] = {"timeout": 0.25, "tries": 2, "check": False}


def _all_hosts() -> list[Question]:
    return [Question(f"h{number}.example.net", A) for number in range(200)]


def _engine(*ports: int, **options: Any) -> BulkEngine:
    return BulkEngine([Server("127.0.0.1", port) for port in ports], **{**FAST, **options})


async def _ask(
    engine: BulkEngine, questions: Sequence[Question] = (MAIL,)
) -> tuple[list[Answer], dict[str, int]]:
    """Return the answers and the counts, which add up."""
    async with opened(engine):
        answers = await ask(engine, questions)
    count = dict(engine.counters())
    assert_sums(count, asked=len(questions))
    return answers, count


#: What the server does with every query over UDP (TCP is sound), and what becomes of it.
CASES: dict[str, tuple[list[Action], str]] = {
    "answer": ([answer], NOERROR),
    "answer twice": ([answer, answer], NOERROR),
    "from another port": ([faults.answer_from_another_port], TIMEOUT),
    "servfail": ([faults.rcode("SERVFAIL")], SERVFAIL),
    "refused": ([faults.rcode("REFUSED")], REFUSED),
    "formerr": ([faults.rcode("FORMERR")], FORMERR),
    "notimp": ([faults.rcode("NOTIMP")], NOTIMP),
    "notauth": ([faults.rcode("NOTAUTH")], "NOTAUTH"),
    "nxdomain without SOA": ([faults.rcode("NXDOMAIN")], NXDOMAIN),
    "badvers": ([faults.rcode("BADVERS")], "BADVERS"),
    "extended error": ([faults.extended_error(22)], SERVFAIL),
    "formerr to EDNS": ([faults.formerr_to_edns], NOERROR),
    "silent to EDNS": ([faults.silent_to_edns], TIMEOUT),
    "truncated": ([truncate], NOERROR),
    "truncated with data": ([faults.truncate_with_data], NOERROR),
    "empty": ([faults.empty], NODATA),
    "referral": ([faults.referral], SERVFAIL),
    "several records": ([faults.many(5)], NOERROR),
    "invented": ([faults.invent("192.0.2.1")], NOERROR),
    "wrong ID": ([faults.wrong_id], TIMEOUT),
    "wrong ID first": ([faults.wrong_id, answer], NOERROR),
    "wrong question": ([faults.wrong_question], TIMEOUT),
    "wrong question first": ([faults.wrong_question, answer], NOERROR),
    "another case": ([faults.case_changed], NOERROR),
    "echo": ([faults.echo], TIMEOUT),
    "echo first": ([faults.echo, answer], NOERROR),
    "nothing": ([], TIMEOUT),
    "no octets": ([faults.garbage(b"")], TIMEOUT),
    "no octets first": ([faults.garbage(b""), answer], NOERROR),
    "few octets": ([faults.garbage(b"\0" * 11)], TIMEOUT),
    "zeros": ([faults.garbage(bytes(12))], TIMEOUT),
    "many octets": ([faults.garbage(b"x" * 5000), answer], NOERROR),
    "cut": ([faults.cut(16)], MALFORMED),
    "compression loop": ([faults.compression_loop], MALFORMED),
    "wrong counts": ([faults.wrong_counts], MALFORMED),
    "slow": ([delay(0.1), answer], NOERROR),
    "closed": ([faults.close], TIMEOUT),
}


@pytest.mark.parametrize("name", CASES)
def test_every_fault_has_its_status(run: Run, name: str) -> None:
    actions, status = CASES[name]
    with FaultyServer(ZONE, always(*actions)) as server:
        (found,), _ = run(_ask(_engine(server.port)))
    assert found.status == status
    assert bool(found.records) == (status == NOERROR)
    if status == NOERROR and name != "several records":
        assert found.records == RIGHT.records


def test_every_fault_there_is_is_among_the_cases() -> None:
    used = set(re.findall(r"\w+", Path(__file__).read_text("utf-8")))
    assert set(faults.__all__) - {"Action", "Held"} <= used


def test_what_is_not_a_reply_is_counted_by_its_kind(run: Run) -> None:
    kinds = {
        "strays": [faults.wrong_id],
        "forged": [faults.wrong_question],
        "duplicates": [answer],
    }
    for kind, actions in kinds.items():
        plan = always(*actions, answer)
        if kind == "duplicates":
            plan = always(answer, answer)
        with FaultyServer(ZONE, plan) as server:
            answers, count = run(_ask_and_linger(server))
        assert answers == [RIGHT]
        assert (count[kind], count["accepted"], count["received"]) == (1, 1, 2), kind


async def _ask_and_linger(server: FaultyServer) -> tuple[list[Answer], dict[str, int]]:
    """Ask, and wait until both packets of the reply have come."""
    engine = _engine(server.port)
    async with opened(engine):
        answers = await ask(engine, [MAIL])
        await until(lambda: engine.counters()["received"] >= 2)
    assert_sums(engine.counters(), asked=1)
    return answers, dict(engine.counters())


def test_a_reply_that_was_overtaken_is_taken(run: Run) -> None:
    def plan(asked: Asked, _transport: str, _nth: int) -> Sequence[Action]:
        return [faults.hold] if asked.name == "h1.example.net" else [answer]

    with FaultyServer(ZONE, plan) as server:
        questions = _all_hosts()[1:3]
        answers, count = run(_ask(_engine(server.port, timeout=2.0), questions))
    assert [found.records for found in answers] == [("192.0.2.1",), ("192.0.2.2",)]
    assert count["sent"] == 2


@pytest.mark.parametrize(
    ("actions", "status"),
    [([faults.close], TRUNCATED), ([answer], NOERROR), ([faults.rcode("REFUSED")], REFUSED)],
    ids=["breaks off", "answers", "refuses"],
)
def test_a_truncated_reply_is_what_tcp_makes_of_it(
    run: Run, actions: list[Action], status: str
) -> None:
    def plan(_asked: Asked, transport: str, _nth: int) -> Sequence[Action]:
        return [truncate] if transport == "udp" else actions

    with FaultyServer(ZONE, plan) as server:
        answers, count = run(_ask(_engine(server.port)))
    assert [found.status for found in answers] == [status]
    assert (count["tcp"], count["sent"]) == (1, 1)


def test_truncated_without_tcp_is_truncated(run: Run) -> None:
    with FaultyServer(ZONE, always(truncate), tcp=False) as server:
        answers, _ = run(_ask(_engine(server.port)))
    assert [found.status for found in answers] == [TRUNCATED]


def test_many_records_come_over_tcp(run: Run) -> None:
    with FaultyServer(ZONE, always(faults.many(200))) as server:
        answers, count = run(_ask(_engine(server.port), [Question("many.example.net", PTR)]))
    assert [len(found.records) for found in answers] == [200]
    assert count["tcp"] == 1


def test_a_datagram_longer_than_was_asked_for_is_read_over_tcp(run: Run) -> None:
    async def too_long(exchange: faults.Exchange) -> None:
        await faults.many(200)(exchange._replace(transport="tcp"))

    async def main(server: FaultyServer) -> tuple[list[Answer], dict[str, int]]:
        return await _ask(_engine(server.port), [Question("many.example.net", TXT)])

    with FaultyServer(ZONE, always(too_long)) as server:
        answers, count = run(main(server))
    assert [len(found.records) for found in answers] == [200]
    assert (count["tcp"], count["accepted"]) == (1, 1)


def test_extended_errors_are_in_the_trace(run: Run) -> None:
    with FaultyServer(ZONE, always(faults.extended_error(22, "lame"))) as server:
        (found,), _ = run(_ask(_engine(server.port, trace=True)))
    assert found.how is not None
    assert (found.how.ede, found.how.transport) == (((22, "lame"),), "udp")


def _bare(rcode: int, *, to_plain: bool) -> Plan:
    """Return a plan that replies with nothing but a header: to all, or to queries with EDNS."""

    async def bare(exchange: faults.Exchange) -> None:
        if to_plain or exchange.query.edns >= 0:
            exchange.send(struct.pack("!6H", exchange.query.id, 0x8000 | rcode, 0, 0, 0, 0))
        else:
            await faults.answer(exchange)

    return always(bare)


@pytest.mark.parametrize(("rcode", "status"), [(1, NOERROR), (2, TIMEOUT), (4, NOERROR)])
def test_a_bare_header_is_believed_only_where_it_refuses_edns(
    run: Run, rcode: int, status: str
) -> None:
    with FaultyServer(ZONE, _bare(rcode, to_plain=False)) as server:
        (found,), _ = run(_ask(_engine(server.port)))
    assert found.status == status


@pytest.mark.parametrize("rcode", [1, 4])
def test_a_bare_header_ends_no_question_that_was_asked_without_edns(run: Run, rcode: int) -> None:
    with FaultyServer(ZONE, _bare(rcode, to_plain=True)) as server:
        (found,), count = run(_ask(_engine(server.port)))
    assert found.status == TIMEOUT
    assert count["forged"] > 0


@pytest.mark.parametrize("seed", sample(range(6), fewest=2))
def test_a_damaged_reply_has_one_answer_whatever_it_is(run: Run, seed: int) -> None:
    with FaultyServer(ZONE, first(faults.corrupt(seed), times=2)) as server:
        answers, _ = run(_ask(_engine(server.port, tries=3), _all_hosts()))
    assert len(answers) == 200
    assert {found.status for found in answers} >= {NOERROR}


@pytest.mark.parametrize("seed", sample(range(3)))
def test_loss_repetition_and_reordering_lose_no_answer(run: Run, seed: int) -> None:
    chaos = Chaos(seed, lose=0.2, repeat=0.1, reorder=0.1, patience=2)
    with FaultyServer(ZONE, chaos) as server:
        answers, count = run(_ask(_engine(server.port, tries=4, timeout=2.0), _all_hosts()))
    assert [found.records for found in answers] == [(f"192.0.2.{n}",) for n in range(200)]
    assert count["retried"] > 0


@pytest.mark.parametrize("name", ["SERVFAIL", "REFUSED"])
def test_what_one_server_refuses_another_answers(run: Run, name: str) -> None:
    with FaultyServer(ZONE, always(faults.rcode(name))) as bad, FaultyServer(ZONE) as good:
        answers, _ = run(_ask(_engine(bad.port, good.port, timeout=2.0), _all_hosts()))
    assert {found.status for found in answers} == {NOERROR}


# --- Nobody there


def test_where_nobody_listens_a_question_is_unreachable(run: Run) -> None:
    with dead_port() as port:
        answers, _ = run(_ask(_engine(port)))
    assert [found.status for found in answers] == [UNREACHABLE]


def test_where_nobody_reads_a_question_times_out(run: Run) -> None:
    with mute_port() as port:
        answers, count = run(_ask(_engine(port)))
    assert [found.status for found in answers] == [TIMEOUT]
    assert count["lost"] == count["sent"] == 2


@pytest.mark.parametrize("gone", [dead_port, mute_port], ids=["dead", "mute"])
def test_one_server_that_is_gone_costs_no_answer(run: Run, gone: Any) -> None:
    with gone() as port, FaultyServer(ZONE) as good:
        engine = _engine(port, good.port, timeout=2.0, tries=3)
        answers, _ = run(_ask(engine, _all_hosts()))
    assert {found.status for found in answers} == {NOERROR}


def test_when_the_only_server_goes_the_engine_says_so(run: Run) -> None:
    async def main(port: int) -> None:
        engine = _engine(port, timeout=30.0)
        failure: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        engine.on_failure(failure.set_result)
        async with opened(engine):
            engine.submit(_all_hosts(), lambda _pairs: None)
            await until(lambda: not engine._health_monitor.usable())
            engine._health_monitor.poll_servers(engine._loop.time() + 11.0)
            assert isinstance(await failure, NoServerError)

    with dead_port() as port:
        run(main(port))


# --- Time


def test_an_answer_that_comes_after_the_retry_is_taken(run: Run) -> None:
    gate = Gate()

    def plan(_asked: Asked, _transport: str, nth: int) -> Sequence[Action]:
        return [delay(gate), answer] if nth == 1 else []

    async def main(server: FaultyServer) -> None:
        engine = _engine(server.port, timeout=2.0, tries=4)
        engine_loop = asyncio.get_running_loop()
        async with opened(engine):
            engine._nameservers[0].round_trip.add_sample(0.001)
            asking = asyncio.create_task(ask(engine, [MAIL]))
            await engine_loop.run_in_executor(None, server.wait_for, 2)
            gate.open()
            assert await asking == [RIGHT]
        assert_sums(engine.counters(), asked=1)

    with FaultyServer(ZONE, plan) as server:
        run(main(server))


# --- A server that limits its rate


def test_nsds_rate_limit_loses_no_answer(run: Run, tmp_path: Path) -> None:
    # 200 a second in its default, for NXDOMAIN in one zone; what is above is dropped or slipped.
    zone = "$TTL 300\n@ SOA ns host 1 3600 600 86400 60\n@ NS ns\nns A 192.0.2.1\n"
    (tmp_path / "limited.example.zone").write_text(zone, "utf-8")
    questions = [Question(f"n{number}.limited.example", PTR) for number in range(2000)]
    with servers.nsd(tmp_path) as server:
        engine = BulkEngine([Server("127.0.0.1", server.port)])
        answers, count = run(_ask(engine, questions))
    assert {found.status for found in answers} == {NXDOMAIN}
    assert count["answered"] == 2000
    assert count["tcp"] > 0


_OPT: Final = b"\0\0\x29\x04\xd0"


@pytest.mark.parametrize(
    "tail",
    [
        _OPT + bytes(6) + _OPT + bytes(6),
        b"\1a" + _OPT + bytes(6),
        _OPT + bytes(5) + b"\6\0\x0f\0\7\0\x16",
        _OPT + b"\1" + bytes(5),
        _OPT + bytes(5) + b"\5\0\x0f\0\1\0",
        _OPT + bytes(4) + b"\1\0",
    ],
    ids=["two", "not at the root", "overrun", "extended rcode", "one octet", "cut off"],
)
@pytest.mark.parametrize("trace", [False, True])
def test_an_odd_opt_record_spoils_no_answer_traced_or_not(
    run: Run, tail: bytes, *, trace: bool
) -> None:
    async def odd(exchange: faults.Exchange) -> None:
        reply = exchange.message()
        reply.use_edns(edns=False)
        wire = exchange.pack(reply)
        count = 2 if tail.count(_OPT) == 2 else 1
        exchange.send(wire[:10] + count.to_bytes(2) + wire[12:] + tail)

    with FaultyServer(ZONE, always(odd)) as server:
        (found,), _ = run(_ask(_engine(server.port, trace=trace)))
    assert found._replace(how=None) == RIGHT
