"""The judgement of one reply, situation by situation."""

from __future__ import annotations

import random
from itertools import pairwise

import pytest

from auditor.resolve.answer import MAX_CHAIN, Answer, Provenance, Question, alias_of
from auditor.resolve.response import interpret, matches
from auditor.wire.codes import AAAA, CNAME, DNAME, NS, OPT, PTR, SOA, TXT, A
from auditor.wire.message import IN, Edns, Message, Rdata, Record, Soa

QR, AA, TC, RA = 0x8000, 0x0400, 0x0200, 0x0080
CHAOS = 3

ASKED = "7.100.51.198.in-addr.arpa"
OWNER = "7.0/26.100.51.198.in-addr.arpa"
QUESTION = Question(ASKED, PTR)


def rr(name: str, rdtype: int, rdata: Rdata, ttl: int = 300, rdclass: int = IN) -> Record:
    return Record(name, rdtype, rdclass, ttl, rdata)


def soa(zone: str, ttl: int = 3600, minimum: int = 900) -> Record:
    return rr(zone, SOA, Soa("ns." + zone, "hostmaster." + zone, 1, 2, 3, 4, minimum), ttl)


def reply(
    *answer: Record,
    authority: tuple[Record, ...] = (),
    rcode: int = 0,
    flags: int = QR | AA,
    question: tuple[tuple[str, int, int], ...] = ((ASKED, PTR, IN),),
    edns: Edns | None = None,
) -> Message:
    return Message(7, flags | rcode & 15, rcode, question, answer, authority, (), edns)


def chain_of(length: int, end: str = "end.example") -> list[Record]:
    """Return CNAMEs from the asked name to `end`, over `length` aliases."""
    names = [ASKED, *(f"a{n}.example" for n in range(1, length)), end]
    return [rr(owner, CNAME, target) for owner, target in pairwise(names)]


ALIAS = rr(ASKED, CNAME, OWNER, 200)
NAME = rr(OWNER, PTR, "mail.example.net", 100)
REVERSE = "100.51.198.in-addr.arpa"
DELEGATION = rr(REVERSE, NS, "ns.customer.example")

SITUATIONS = {
    "one record": (
        reply(rr(ASKED, PTR, "mail.example.net")),
        Answer("NOERROR", ("mail.example.net",), ttl=300),
    ),
    "several unsorted records, one of them twice": (
        reply(
            rr(ASKED, PTR, "c.example", 500),
            rr(ASKED, PTR, "a.example", 400),
            rr(ASKED, PTR, "c.example", 500),
            rr(ASKED, PTR, "b.example", 450),
        ),
        Answer("NOERROR", ("a.example", "b.example", "c.example"), ttl=400),
    ),
    "records of other owners, types and classes beside it": (
        reply(
            rr("8.100.51.198.in-addr.arpa", PTR, "other.example", 1),
            rr(ASKED, TXT, (b"text",), 1),
            rr(ASKED, PTR, b"\1x\0", 1, CHAOS),
            rr(ASKED, PTR, "mail.example.net"),
        ),
        Answer("NOERROR", ("mail.example.net",), ttl=300),
    ),
    "a CNAME beside the record that was asked for": (
        reply(rr(ASKED, PTR, "mail.example.net"), ALIAS),
        Answer("NOERROR", ("mail.example.net",), ttl=300),
    ),
    "an alias and its end": (
        reply(ALIAS, NAME),
        Answer("NOERROR", ("mail.example.net",), (ASKED,), OWNER, 100),
    ),
    "an alias with a shorter TTL than its end": (
        reply(rr(ASKED, CNAME, OWNER, 50), NAME),
        Answer("NOERROR", ("mail.example.net",), (ASKED,), OWNER, 50),
    ),
    "an alias behind its end": (
        reply(NAME, ALIAS),
        Answer("NOERROR", ("mail.example.net",), (ASKED,), OWNER, 100),
    ),
    "an alias of a DNAME, synthesised with TTL 0": (
        reply(
            rr(REVERSE, DNAME, "block.example"),
            rr(ASKED, CNAME, "7.block.example", 0),
            rr("7.block.example", PTR, "mail.example.net"),
        ),
        Answer("NOERROR", ("mail.example.net",), (ASKED,), "7.block.example", 0),
    ),
    "two aliases at one name: always the same one": (
        reply(rr(ASKED, CNAME, "z.example"), rr(ASKED, CNAME, "y.example")),
        Answer("NOERROR", (), (ASKED,), "y.example", 300),
    ),
    "an alias of class CHAOS": (
        reply(rr(ASKED, CNAME, OWNER, 9, CHAOS), authority=(soa(REVERSE),)),
        Answer("NODATA", ttl=900, zone=REVERSE),
    ),
    "an alias that leads out of the reply": (
        reply(ALIAS),
        Answer("NOERROR", (), (ASKED,), OWNER, 200),
    ),
    "the same with a delegation for the end": (
        reply(ALIAS, authority=(DELEGATION,), flags=QR),
        Answer("NOERROR", (), (ASKED,), OWNER, 200),
    ),
    "an alias that leads elsewhere, with the SOA of the alias's own zone": (
        reply(rr(ASKED, CNAME, "mail.example"), authority=(soa(REVERSE),)),
        Answer("NOERROR", (), (ASKED,), "mail.example", 300),
    ),
    "the longest chain": (
        reply(*chain_of(MAX_CHAIN), rr("end.example", PTR, "mail.example")),
        Answer(
            "NOERROR",
            ("mail.example",),
            (ASKED, *(f"a{n}.example" for n in range(1, MAX_CHAIN))),
            "end.example",
            300,
        ),
    ),
    "a loop": (
        reply(rr(ASKED, CNAME, "a.example"), rr("a.example", CNAME, ASKED)),
        Answer("SERVFAIL", (), (ASKED, "a.example"), ASKED),
    ),
    "a loop that does not come back to the question": (
        reply(
            rr(ASKED, CNAME, "a.example"),
            rr("a.example", CNAME, "b.example"),
            rr("b.example", CNAME, "a.example"),
        ),
        Answer("SERVFAIL", (), (ASKED, "a.example", "b.example"), "a.example"),
    ),
    "an alias of itself": (
        reply(rr(ASKED, CNAME, ASKED)),
        Answer("SERVFAIL", (), (ASKED,), ASKED),
    ),
    "NODATA by its SOA": (
        reply(authority=(soa(REVERSE, 600, 900),)),
        Answer("NODATA", ttl=600, zone=REVERSE),
    ),
    "NODATA by the SOA of the root": (
        reply(authority=(soa("."),)),
        Answer("NODATA", ttl=900, zone="."),
    ),
    "NODATA with records of other types": (
        reply(rr(ASKED, TXT, (b"text",)), authority=(soa(REVERSE),)),
        Answer("NODATA", ttl=900, zone=REVERSE),
    ),
    "NODATA without anything": (reply(), Answer("NODATA")),
    "NODATA from the zone's own server, with its NS records": (
        reply(authority=(DELEGATION,)),
        Answer("NODATA"),
    ),
    "NODATA behind an alias": (
        reply(ALIAS, authority=(soa(REVERSE),)),
        Answer("NODATA", (), (ASKED,), OWNER, 200, zone=REVERSE),
    ),
    "NODATA behind an alias into another zone of the same server": (
        reply(rr(ASKED, CNAME, "a.example", 5000), authority=(soa("example"),)),
        Answer("NODATA", (), (ASKED,), "a.example", 900, zone="example"),
    ),
    "a referral": (reply(authority=(DELEGATION,), flags=QR), Answer("SERVFAIL")),
    "a referral up to the root": (
        reply(authority=(rr(".", NS, "a.root-servers.net"),), flags=QR),
        Answer("SERVFAIL"),
    ),
    "NODATA from a recursor: its SOA and NS records": (
        reply(authority=(DELEGATION, soa(REVERSE)), flags=QR | RA),
        Answer("NODATA", ttl=900, zone=REVERSE),
    ),
    "NXDOMAIN by its SOA": (
        reply(authority=(DELEGATION, soa(REVERSE)), rcode=3),
        Answer("NXDOMAIN", ttl=900, zone=REVERSE),
    ),
    "NXDOMAIN without an SOA": (reply(rcode=3), Answer("NXDOMAIN")),
    "NXDOMAIN with the SOA of a zone that it cannot be in": (
        reply(authority=(soa("00.51.198.in-addr.arpa"),), rcode=3),
        Answer("NXDOMAIN"),
    ),
    "NXDOMAIN at the end of an alias": (
        reply(ALIAS, authority=(soa(REVERSE),), rcode=3),
        Answer("NXDOMAIN", (), (ASKED,), OWNER, 200, zone=REVERSE),
    ),
    "NXDOMAIN at the end of an alias, without an SOA": (
        reply(ALIAS, rcode=3),
        Answer("NXDOMAIN", (), (ASKED,), OWNER),
    ),
    "NXDOMAIN that carries records all the same": (
        reply(rr(ASKED, PTR, "mail.example.net"), authority=(soa(REVERSE),), rcode=3),
        Answer("NXDOMAIN", ttl=900, zone=REVERSE),
    ),
    "SERVFAIL": (reply(rcode=2), Answer("SERVFAIL")),
    "SERVFAIL behind an alias": (
        reply(ALIAS, rcode=2),
        Answer("SERVFAIL", (), (ASKED,), OWNER),
    ),
    "REFUSED with a referral to the root": (
        reply(authority=(rr(".", NS, "a.root-servers.net"),), rcode=5, flags=QR),
        Answer("REFUSED"),
    ),
    "FORMERR": (reply(rcode=1), Answer("FORMERR")),
    "NOTIMP": (reply(rcode=4), Answer("NOTIMP")),
    "another RCODE": (reply(rcode=9), Answer("NOTAUTH")),
    "an extended RCODE": (reply(rcode=16), Answer("BADVERS")),
    "an RCODE without a name": (reply(rcode=3841), Answer("RCODE3841")),
    "TC with nothing": (reply(flags=QR | TC), Answer("TRUNCATED")),
    "TC with data": (
        reply(rr(ASKED, PTR, "mail.example.net"), flags=QR | TC),
        Answer("TRUNCATED"),
    ),
    "TC with an alias": (reply(ALIAS, flags=QR | TC), Answer("TRUNCATED")),
    "TC with an SOA": (
        reply(authority=(soa(REVERSE),), flags=QR | TC, rcode=3),
        Answer("TRUNCATED"),
    ),
}


@pytest.mark.parametrize(("message", "expected"), SITUATIONS.values(), ids=SITUATIONS)
def test_reply_is_judged(message: Message, expected: Answer) -> None:
    assert interpret(message, QUESTION) == expected


@pytest.mark.parametrize(("message", "expected"), SITUATIONS.values(), ids=SITUATIONS)
def test_order_of_records_makes_no_difference(message: Message, expected: Answer) -> None:
    shuffled = list(message.answer)
    for seed in range(10):
        random.Random(seed).shuffle(shuffled)
        assert interpret(message._replace(answer=tuple(shuffled)), QUESTION) == expected


@pytest.mark.parametrize("length", [MAX_CHAIN + 1, MAX_CHAIN + 2, 1000])
def test_chain_that_is_too_long_is_servfail(length: int) -> None:
    answer = interpret(reply(*chain_of(length), rr("end.example", PTR, "mail.example")), QUESTION)
    assert answer.status == "SERVFAIL"
    assert len(answer.chain) == MAX_CHAIN
    assert answer.records == ()


def test_alias_out_of_the_reply_says_where_to_ask_and_nothing_else_does() -> None:
    asked_on = {name for name, (m, _) in SITUATIONS.items() if alias_of(interpret(m, QUESTION))}
    assert asked_on == {
        "two aliases at one name: always the same one",
        "an alias that leads out of the reply",
        "the same with a delegation for the end",
        "an alias that leads elsewhere, with the SOA of the alias's own zone",
    }


def test_question_for_a_cname_is_answered_not_followed() -> None:
    question = Question("www.example", CNAME)
    message = reply(rr("www.example", CNAME, "a.example"), rr("a.example", CNAME, "b.example"))
    assert interpret(message, question) == Answer("NOERROR", ("a.example",), ttl=300)
    assert interpret(reply(), question) == Answer("NODATA")


def test_zone_whose_name_follows_an_escaped_dot_is_not_above() -> None:
    message = reply(authority=(soa("b.example"),), rcode=3)
    assert interpret(message, Question(r"a.b.example", A)).ttl == 900
    assert interpret(message, Question(r"a\.b.example", A)).ttl is None
    assert interpret(message, Question(r"a\\.b.example", A)).ttl == 900
    assert interpret(message, Question("ab.example", A)).ttl is None


def test_extended_errors_go_to_how() -> None:
    edns = Edns(0, 0, 1232, dnssec_ok=False, ede=((22, "lame"), (23, "")))
    how = Provenance("192.0.2.1:53", "udp", 2, 1.5)
    for message in (reply(rcode=2, edns=edns), reply(flags=QR | TC, edns=edns)):
        assert interpret(message, QUESTION, how).how == how._replace(ede=edns.ede)
        assert interpret(message, QUESTION).how is None
    plain = reply(edns=edns._replace(ede=()))
    assert interpret(plain, QUESTION, how).how is how


@pytest.mark.parametrize(
    ("message", "fits"),
    [
        (reply(), True),
        (reply(rcode=2, flags=QR | TC), True),
        (reply(flags=0), False),
        (reply(flags=QR | 5 << 11), False),
        (reply(question=()), False),
        (reply(question=((ASKED, PTR, IN),) * 2), False),
        (reply(question=((ASKED, AAAA, IN),)), False),
        (reply(question=((ASKED, OPT, IN),)), False),
        (reply(question=((ASKED, PTR, CHAOS),)), False),
        (reply(question=((OWNER, PTR, IN),)), False),
    ],
)
def test_reply_matches_by_exactly_the_question_asked(message: Message, fits: object) -> None:
    assert matches(message, QUESTION) is fits
