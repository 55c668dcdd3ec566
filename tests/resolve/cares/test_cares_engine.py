"""The aiodns lane against a faulty server: what it says in every case.

What c-ares hides (see the head of `cares.py`) is asserted here, so that a c-ares which hides
less shows as a failure. Servers, limits and ends are in `test_cares_limits`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import dns.message
import dns.rcode
import pytest
from support import faults
from support.faults import answer
from support.faulty import Asked, FaultyServer, always, dead_port, first, mute_port
from support.lane import MAIL, SHORT, ZONE, asked, one

from auditor.resolve.answer import Answer, Question
from auditor.settings import Server
from auditor.wire.codes import AAAA, CNAME, MX, NS, PTR, SOA, SPF, TXT, A
from auditor.wire.message import Soa

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.faults import Exchange


@pytest.fixture(autouse=True)
def _no_noise(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """Let no test leave a word of asyncio's about tasks or exceptions that nobody looked at."""
    yield
    assert [*caplog.get_records("call"), *caplog.records] == []


# --- What it says


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        (MAIL, Answer("NOERROR", ("192.0.2.1", "192.0.2.2"), ttl=300)),
        (Question("mail.example.net", AAAA), Answer("NOERROR", ("2001:db8::25",), ttl=60)),
        (
            Question("www.example.net", A),
            Answer(
                "NOERROR",
                ("192.0.2.1", "192.0.2.2"),
                ("www.example.net",),
                "mail.example.net",
                40,
            ),
        ),
        (Question("www.example.net", CNAME), Answer("NOERROR", ("mail.example.net",), ttl=40)),
        (
            Question("7.2.0.192.in-addr.arpa", PTR),
            Answer(
                "NOERROR",
                ("a.example.net", "b.example.net", "odd\\.name\\009.example.net"),
                ttl=300,
            ),
        ),
        (
            Question("example.net", MX),
            Answer("NOERROR", ((10, "mx.example.net"), (20, "mx2.example.net")), ttl=300),
        ),
        (Question("null.example.net", MX), Answer("NOERROR", ((0, "."),), ttl=300)),
        (Question("zone.example.net", NS), Answer("NOERROR", ("ns.example.net",), ttl=300)),
        (
            Question(".", SOA),
            Answer(
                "NOERROR",
                (Soa("ns.invalid", "hostmaster.invalid", 1, 7200, 900, 1209600, 300),),
                ttl=300,
            ),
        ),
    ],
)
def test_records_of_every_type(question: Question, expected: Answer) -> None:
    with FaultyServer(ZONE) as server:
        assert asked(server, question) == [expected]


def test_what_is_not_there_has_no_ttl_and_no_chain() -> None:
    """c-ares hands on nothing but a code: neither the SOA nor the aliases."""
    with FaultyServer(ZONE) as server:
        assert asked(
            server,
            Question("gone.example.net", A),
            Question("mail.example.net", MX),
            Question("dangling.example.net", A),
        ) == [Answer("NXDOMAIN"), Answer("NODATA"), Answer("NXDOMAIN")]


def test_the_strings_of_a_txt_record_come_joined() -> None:
    with FaultyServer(ZONE) as server:
        (reply,) = asked(server, Question("txt.example.net", TXT))
    assert reply.records == ((b"v=spf1 -all",), (b"\xc3\xa4",))


@pytest.mark.parametrize("code", ["SERVFAIL", "REFUSED", "FORMERR", "NOTIMP"])
def test_failures_are_told_apart(code: str) -> None:
    assert one(always(faults.rcode(code))) == Answer(code)


@pytest.mark.parametrize("code", ["YXDOMAIN", "NOTAUTH", "BADVERS"])
def test_a_code_that_c_ares_has_no_error_for_is_servfail(code: str) -> None:
    assert one(always(faults.rcode(code))) == Answer("SERVFAIL")


@pytest.mark.parametrize(
    "action",
    [faults.garbage(b"\xff" * 40), faults.cut(3), faults.compression_loop, faults.wrong_counts],
)
def test_a_reply_that_is_none_is_malformed(action: faults.Action) -> None:
    assert one(always(action)) == Answer("MALFORMED")


@pytest.mark.parametrize(
    "actions",
    [
        (),
        (faults.wrong_id,),
        (faults.wrong_question,),
        (faults.answer_from_another_port,),
    ],
)
def test_silence_and_replies_to_something_else_end_in_a_timeout(
    actions: tuple[faults.Action, ...],
) -> None:
    assert one(always(*actions), **SHORT) == Answer("TIMEOUT")


def test_nobody_there_is_unreachable() -> None:
    with dead_port() as port:
        assert asked([Server("127.0.0.1", port)]) == [Answer("UNREACHABLE")]


def test_a_port_that_nobody_reads_times_out() -> None:
    with mute_port() as port:
        assert asked([Server("127.0.0.1", port)], **SHORT) == [Answer("TIMEOUT")]


@pytest.mark.parametrize("action", [faults.empty, faults.referral])
def test_a_referral_cannot_be_told_from_no_data(action: faults.Action) -> None:
    assert one(always(action)) == Answer("NODATA")


def test_letters_of_another_case_are_the_same_name() -> None:
    assert one(always(faults.case_changed)).records == ("192.0.2.1", "192.0.2.2")


def test_a_lost_packet_is_asked_for_again() -> None:
    with FaultyServer(ZONE, first(times=1)) as server:
        assert asked(server, timeout=0.05, tries=3)[0].status == "NOERROR"
        assert len(server.queries) == 2


async def _formerr_without_edns(exchange: Exchange) -> None:
    """Act as a server from before EDNS that repeats the question."""
    if exchange.query.edns < 0:
        await answer(exchange)
        return
    message = dns.message.make_response(exchange.query)
    message.use_edns(-1)
    message.set_rcode(dns.rcode.FORMERR)
    exchange.send(message.to_wire())


def test_a_server_from_before_edns_is_asked_without() -> None:
    assert one(always(_formerr_without_edns)).status == "NOERROR"


def test_one_that_does_not_even_repeat_the_question_is_malformed() -> None:
    """The bulk engine takes a bare header for what it is."""
    assert one(always(faults.formerr_to_edns)) == Answer("MALFORMED")


# --- Names that c-ares does not ask for


@pytest.mark.parametrize(
    "name",
    ["<script>.example.net", "a\\000b.example.net", "a b.example.net", "\\195\\164.example.net"],
)
def test_a_name_that_no_host_has_is_refused_without_asking(name: str) -> None:
    with FaultyServer(ZONE) as server:
        assert asked(server, Question(name, A)) == [Answer("FORMERR")]
        assert server.queries == []


@pytest.mark.parametrize(
    "name",
    [
        "_spf.example.net",
        "*.example.net",
        "7.0/26.2.0.192.in-addr.arpa",
        "a\\.b.example.net",
        f"{'x' * 63}.example.net",
    ],
)
def test_a_name_that_some_have_is_asked_for_as_it_is(name: str) -> None:
    with FaultyServer(ZONE) as server:
        assert asked(server, Question(name, TXT)) == [Answer("NXDOMAIN")]
        assert [query.asked for query in server.queries] == [Asked(name, "TXT")]


def test_a_type_that_it_cannot_read_is_not_implemented() -> None:
    with FaultyServer(ZONE) as server:
        outcome = asked(server, Question("example.net", SPF), MAIL)
        assert [reply.status for reply in outcome] == ["NOTIMP", "NOERROR"]
        assert outcome.counters == {"asked": 2, "answered": 1, "failed": 1}


# --- Truncated replies


@pytest.mark.parametrize("action", [faults.truncate, faults.truncate_with_data])
def test_a_truncated_reply_is_asked_for_over_tcp(action: faults.Action) -> None:
    with FaultyServer(ZONE, always(action)) as server:
        assert asked(server)[0].records == ("192.0.2.1", "192.0.2.2")
        assert [query.transport for query in server.queries] == ["udp", "tcp"]


@pytest.mark.parametrize("rdtype", [PTR, TXT])
def test_a_thousand_records_come_over_tcp(rdtype: int) -> None:
    with FaultyServer(ZONE, always(faults.many(1000))) as server:
        (reply,) = asked(server, Question("big.example.net", rdtype))
    assert (reply.status, len(reply.records)) == ("NOERROR", 1000)
    assert list(reply.records) == sorted(set(reply.records))


@pytest.mark.parametrize("action", [faults.truncate, faults.truncate_with_data])
def test_where_tcp_is_refused_a_truncated_reply_is_no_answer(action: faults.Action) -> None:
    assert one(always(action), tcp=False) == Answer("UNREACHABLE")


def test_where_tcp_ends_without_a_word_a_truncated_reply_is_no_answer() -> None:
    def plan(_asked: Asked, transport: str, _nth: int) -> list[faults.Action]:
        return [faults.truncate] if transport == "udp" else [faults.close]

    assert one(plan) == Answer("UNREACHABLE")


def test_where_tcp_hangs_a_truncated_reply_is_no_answer() -> None:
    def plan(_asked: Asked, transport: str, _nth: int) -> list[faults.Action]:
        return [faults.truncate] if transport == "udp" else []

    assert one(plan, **SHORT) == Answer("TIMEOUT")
