"""Messages against dnspython: what it writes we read, and what it refuses does no harm."""

from __future__ import annotations

import random
import time
from typing import TYPE_CHECKING, Any

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdatatype
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.oracle import dns_wire, opaque, our_message, read_by_dnspython

from auditor.errors import WireError
from auditor.wire.addresses import address_text
from auditor.wire.codes import AAAA, CNAME, DNAME, MX, NS, OPT, PTR, SOA, SPF, TXT, A
from auditor.wire.message import (
    IN,
    MAX_MESSAGE,
    MAX_RECORDS,
    Edns,
    Message,
    Record,
    Soa,
    decode_message,
    encode_query,
)
from auditor.wire.names import encode_name, text_of

if TYPE_CHECKING:
    from collections.abc import Callable

QR, AA, TC = 0x8000, 0x0400, 0x0200

# Few labels, so that names share suffixes and are compressed against each other.
NAMES = st.lists(
    st.sampled_from([b"a", b"mail", b"example", b"com", b"\0.\\ \xff", b"x" * 62]), max_size=4
).map(text_of) | st.lists(st.binary(min_size=1, max_size=20), max_size=5).map(text_of)
U8, U16, U32 = st.integers(0, 0xFF), st.integers(0, 0xFFFF), st.integers(0, 0xFFFFFFFF)
TTLS = st.integers(0, 0x7FFFFFFF)
STRINGS = st.lists(st.binary(max_size=255), min_size=1, max_size=4).map(tuple)
RDATA: dict[int, st.SearchStrategy[Any]] = {
    A: st.binary(min_size=4, max_size=4).map(address_text),
    AAAA: st.binary(min_size=16, max_size=16).map(address_text),
    MX: st.tuples(U16, NAMES),
    SOA: st.builds(Soa, NAMES, NAMES, U32, U32, U32, U32, U32),
    SPF: STRINGS,
    TXT: STRINGS,
    **dict.fromkeys([CNAME, DNAME, NS, PTR], NAMES),
}
OTHER = U16.filter(lambda rdtype: rdtype not in {*RDATA, OPT})


def records_of(rdtype: int) -> st.SearchStrategy[Record]:
    return st.builds(Record, NAMES, st.just(rdtype), st.just(IN), TTLS, RDATA[rdtype])


KNOWN = st.sampled_from(sorted(RDATA)).flatmap(records_of)
RECORDS = KNOWN | st.builds(Record, NAMES, OTHER, U16, TTLS, st.binary(max_size=40))
PRINTABLE = st.text(st.characters(codec="utf-8").filter(str.isprintable), max_size=30)
EDNS = st.builds(
    Edns, U8, U8, U16, st.booleans(), st.lists(st.tuples(U16, PRINTABLE), max_size=3).map(tuple)
)


@st.composite
def messages(draw: Callable[..., Any], records: st.SearchStrategy[Record] = RECORDS) -> Message:
    # Opcode QUERY and no TC: of another opcode dnspython reads the sections its own way.
    flags = draw(U16) & ~0x7800 & ~TC
    edns = draw(st.none() | EDNS)
    rcode = flags & 15 | (edns.upper_rcode << 4 if edns else 0)
    question = draw(st.lists(st.tuples(NAMES, U16, U16), max_size=2).map(tuple))
    answer, authority, additional = [
        draw(st.lists(records, max_size=5).map(tuple)) for _ in range(3)
    ]
    return Message(draw(U16), flags, rcode, question, answer, authority, additional, edns)


def reply(
    *records: bytes, flags: int = QR, question: str = "a.example", counts: tuple[int, ...] = ()
) -> bytes:
    """Return a hand-made reply for PTR: each of `records` is one, all in the answer section."""
    header = b"".join(n.to_bytes(2) for n in (7, flags, 1, *(counts or (len(records), 0, 0))))
    return header + encode_name(question) + b"\0\x0c\0\1" + b"".join(records)


def record(rdtype: int, rdata: bytes, *, ttl: int = 300, rdclass: int = IN) -> bytes:
    """Return the wire form of a record whose owner is a pointer to the question."""
    fixed = rdtype.to_bytes(2) + rdclass.to_bytes(2) + ttl.to_bytes(4) + len(rdata).to_bytes(2)
    return b"\xc0\x0c" + fixed + rdata


@given(messages())
def test_what_dnspython_writes_reads_as_the_same_facts(message: Message) -> None:
    assert decode_message(dns_wire(message)) == message


@given(messages(KNOWN))
def test_what_dnspython_reads_are_our_facts(message: Message) -> None:
    wire = dns_wire(message)
    assert decode_message(wire) == our_message(read_by_dnspython(wire))


@st.composite
def mutated(draw: Callable[..., Any]) -> bytes:
    wire = bytearray(dns_wire(draw(messages())))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(wire) - 1))
        # Pointers, small lengths and counts do more harm than any other octet.
        octets = draw(st.sampled_from([b"\xc0\x0c", b"\xc0", b"\0", b"\1", b""]) | st.binary())
        wire[at : at + draw(st.integers(0, 3))] = octets
    return bytes(wire)


@given(mutated() | st.binary(max_size=200))
def test_garbage_is_a_message_that_stays_the_same_or_a_wire_error(wire: bytes) -> None:
    try:
        message = decode_message(wire)
    except WireError as error:
        offset = error.offset
    else:
        assert decode_message(dns_wire(message)) == message._replace(incomplete=False)
        return
    assert 0 <= offset <= len(wire)
    assert len(wire) < 12 or not wire[2] & 2, "truncated messages are read all the same"


@given(mutated())
def test_mutants_that_dnspython_takes_are_read_alike(wire: bytes) -> None:
    if len(wire) < 12 or wire[2] & 0x7A:
        return  # not a query, or truncated
    try:
        theirs = read_by_dnspython(wire)
    except Exception:  # noqa: BLE001 - whatever it says no with; the other tests judge ours
        return
    assert opaque(decode_message(wire)) == our_message(theirs)


@given(messages())
def test_message_cut_at_any_octet_has_its_whole_answer_section_or_is_a_wire_error(
    message: Message,
) -> None:
    wire = dns_wire(message)
    for size in range(len(wire)):
        try:
            cut = decode_message(wire[:size])
        except WireError as error:
            offset = error.offset
        else:
            assert cut.incomplete
            assert cut.answer == message.answer
            assert cut.authority == message.authority[: len(cut.authority)]
            continue
        assert 0 <= offset <= size


@given(messages())
def test_truncated_message_cut_at_any_octet_still_says_so(message: Message) -> None:
    wire = bytearray(dns_wire(message))
    wire[2] |= TC >> 8
    for size in range(12, len(wire)):
        cut = decode_message(bytes(wire[:size]))
        assert cut.truncated
        assert cut.question == message.question[: len(cut.question)]
        assert cut.answer == message.answer[: len(cut.answer)]


@given(messages(), st.binary(max_size=20))
def test_octets_behind_the_last_record_change_nothing(message: Message, junk: bytes) -> None:
    assert decode_message(dns_wire(message) + junk) == message


@given(NAMES, U16, U16, st.booleans(), st.none() | st.integers(512, 4096))
def test_query_is_the_one_of_dnspython(
    name: str, qid: int, rdtype: int, recurse: Any, size: int | None
) -> None:
    wire = encode_query(qid, encode_name(name), rdtype, recurse=recurse, edns_size=size)
    theirs = read_by_dnspython(wire)
    assert our_message(theirs) == decode_message(wire)
    assert theirs.to_wire() == wire
    assert (theirs.id, theirs.question[0].rdtype, theirs.question[0].rdclass) == (qid, rdtype, IN)
    assert theirs.flags == (dns.flags.RD if recurse else 0)
    assert theirs.edns == (-1 if size is None else 0)
    assert size in (None, theirs.payload)


def test_query_announces_1232_octets_and_asks_for_recursion_unless_told_otherwise() -> None:
    read = decode_message(encode_query(9, encode_name("example"), TXT))
    assert read == Message(
        9, 0x0100, 0, (("example", TXT, IN),), (), (), (), Edns(0, 0, 1232, dnssec_ok=False, ede=())
    )
    assert not read.is_reply


def test_flags_are_told_apart() -> None:
    assert decode_message(reply()).is_reply
    assert not decode_message(reply(flags=QR | 4 << 11)).is_reply
    assert decode_message(reply(flags=QR | AA)).authoritative
    assert not decode_message(reply(flags=QR | TC)).authoritative
    assert decode_message(reply(flags=QR | TC)).truncated
    assert not decode_message(reply(flags=QR | AA)).truncated


@pytest.mark.parametrize(
    ("ttl", "read"), [(0x7FFFFFFF, 0x7FFFFFFF), (0x80000000, 0), (2**32 - 1, 0)]
)
def test_ttl_with_the_top_bit_set_is_0(ttl: int, read: int) -> None:
    message = decode_message(reply(record(PTR, b"\1b\0", ttl=ttl)))
    assert message.answer == (Record("a.example", PTR, IN, read, "b"),)


def test_other_classes_are_kept_and_their_addresses_left_raw() -> None:
    chaos = 3
    message = decode_message(
        reply(
            record(A, b"\1b\0\0\7", rdclass=chaos),
            record(TXT, b"\4NSD4", rdclass=chaos),
        )
    )
    assert message.answer == (
        Record("a.example", A, chaos, 300, b"\1b\0\0\7"),
        Record("a.example", TXT, chaos, 300, (b"NSD4",)),
    )


@pytest.mark.parametrize(
    ("rdtype", "rdata"),
    [
        (A, b""),
        (A, b"\1\2\3"),
        (A, b"\1\2\3\4\5"),
        (AAAA, bytes(15)),
        (AAAA, bytes(17)),
        (PTR, b""),
        (PTR, b"\1b"),
        (PTR, b"\1b\0\0"),
        (PTR, b"\2b\0"),
        (PTR, b"\xc0\xff"),
        (MX, b""),
        (MX, b"\0\x0a"),
        (MX, b"\0\x0a\1b\0\0"),
        (TXT, b""),
        (TXT, b"\2b"),
        (TXT, b"\1bb"),
        (SOA, b"\0\0" + bytes(19)),
        (SOA, b"\0\0" + bytes(21)),
        (SOA, b"\0"),
    ],
)
def test_rdata_that_does_not_fit_its_type_breaks_the_message(rdtype: int, rdata: bytes) -> None:
    wire = reply(record(rdtype, rdata), record(TXT, b"\1x"))
    with pytest.raises(WireError):
        decode_message(wire)
    with pytest.raises(dns.exception.DNSException):
        read_by_dnspython(wire)


def opt(*options: tuple[int, bytes], owner: bytes = b"\0", ttl: int = 0) -> bytes:
    rdata = b"".join(c.to_bytes(2) + len(text).to_bytes(2) + text for c, text in options)
    return owner + b"\0\x29\x04\xd0" + ttl.to_bytes(4) + len(rdata).to_bytes(2) + rdata


def test_opt_gives_the_upper_rcode_and_the_extended_errors() -> None:
    options = ((10, b"cookie!!"), (15, b"\0\x16lame delegation"), (15, b"\0\x17"))
    message = decode_message(reply(opt(*options, ttl=0x01008000), flags=QR))
    assert message.rcode == 16
    assert message.answer == message.additional == ()
    assert message.edns == Edns(1, 0, 1232, True, ((22, "lame delegation"), (23, "")))  # noqa: FBT003 - a field


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        (b"caf\xc3\xa9", "caf\u00e9"),
        (b"ended by NUL\0", "ended by NUL"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"\xed\xa0\x80", "\ufffd\ufffd\ufffd"),
        (b"\x1b[2J\r\n", "\ufffd[2J\ufffd\ufffd"),
        ("\u202egnp".encode(), "\ufffdgnp"),
    ],
)
def test_extended_error_text_is_safe_to_print(text: bytes, safe: str) -> None:
    edns = decode_message(reply(opt((15, b"\0\0" + text)))).edns
    assert edns is not None
    assert edns.ede == ((0, safe),)


BROKEN_OPTIONS = {
    "two OPT records": opt() + opt((15, b"\0\7")),
    "an OPT record that is not at the root": opt(owner=b"\1a\0"),
    "an extended error of no octet": opt((15, b"")),
    "an extended error of one octet": opt((15, b"\0")),
    "an option without its length": b"\0\0\x29\x04\xd0\0\0\0\0\0\3\0\x0f\0",
    "an option that runs past its record": b"\0\0\x29\x04\xd0\0\0\0\0\0\5\0\x0f\0\2\0",
}


@pytest.mark.parametrize("records", BROKEN_OPTIONS.values(), ids=BROKEN_OPTIONS)
def test_a_broken_option_spoils_nothing(records: bytes) -> None:
    count = 2 if records.startswith(opt()) else 1
    message = decode_message(reply(records + record(A, b"\1\2\3\4"), counts=(0, 0, count + 1)))
    assert not message.incomplete
    assert [one.rdata for one in message.additional] == ["1.2.3.4"]
    assert message.edns is None or message.edns.ede == ()


def test_what_stands_before_a_broken_option_is_read() -> None:
    edns = decode_message(reply(opt((15, b"\0\x16lame"), (15, b"\0"), (15, b"\0\7")))).edns
    assert edns is not None
    assert edns.ede == ((22, "lame"), (7, ""))


@pytest.mark.parametrize("pointer", [b"\xc0\x1b", b"\xc0\x1d", b"\xff\xff", b"\xc0"])
def test_owner_that_points_to_itself_or_forward_breaks_the_message(pointer: bytes) -> None:
    wire = reply(pointer + record(PTR, b"\1b\0")[2:])
    assert wire.index(pointer) == 12 + 11 + 4
    with pytest.raises(WireError):
        decode_message(wire)


def test_answer_of_a_thousand_records_is_read_whole() -> None:
    names = [f"host-{n}.dyn.example.net" for n in range(1000)]
    facts = tuple(Record("7.100.51.198.in-addr.arpa", PTR, IN, 60, name) for name in names)
    question = (("7.100.51.198.in-addr.arpa", PTR, IN),)
    message = Message(1, QR | AA, 0, question, facts, (), (), None)
    assert decode_message(dns_wire(message)) == message


def test_message_full_of_the_smallest_answers_is_read_whole() -> None:
    count = (MAX_MESSAGE - 12 - 5) // 16
    wire = reply(*[record(A, n.to_bytes(4)) for n in range(count)], question=".")
    message = decode_message(wire)
    assert len(wire) > MAX_MESSAGE - 16
    assert len(message.answer) == count <= MAX_RECORDS
    assert message.answer[-1].rdata == address_text((count - 1).to_bytes(4))


def test_more_records_than_anyone_needs_are_refused_before_they_are_read() -> None:
    empty = b"\0\xff\0\0\1\0\0\0\0\0\0"
    assert decode_message(reply(empty * MAX_RECORDS, counts=(MAX_RECORDS, 0, 0))).answer
    with pytest.raises(WireError, match="announced"):
        decode_message(reply(empty * (MAX_RECORDS + 1), counts=(MAX_RECORDS + 1, 0, 0)))
    more = decode_message(reply(empty * (MAX_RECORDS + 1), counts=(MAX_RECORDS, 1, 0)))
    assert (more.incomplete, more.authority) == (True, ())
    with pytest.raises(WireError, match="announced"):
        decode_message(reply(counts=(1, 0, 0)))


def test_message_longer_than_any_message_is_refused_unread() -> None:
    with pytest.raises(WireError, match="size"):
        decode_message(reply() + bytes(MAX_MESSAGE))


def costly() -> bytes:
    """Return the dearest message: each name starts elsewhere, and is as long as can be."""
    ladder = b"\1a" * 126 + b"\0"  # a record may start its name at any of its labels
    parts = [record(65280, ladder) for _ in range(60)]
    starts = [
        12 + 5 + sum(map(len, parts[:n])) + 12 + 2 * step for n in range(60) for step in range(126)
    ]
    room = (MAX_MESSAGE - 17 - sum(map(len, parts))) // 14
    for n in range(room):
        owner, target = (0xC000 | starts[(2 * n + k) % len(starts)] for k in (0, 1))
        parts.append(owner.to_bytes(2) + record(PTR, target.to_bytes(2))[2:])
    return reply(*parts, question=".")


def test_dearest_message_is_read_in_bounded_time() -> None:
    wire = costly()
    assert len(wire) > MAX_MESSAGE - 64
    before = time.process_time()
    message = decode_message(wire)
    assert time.process_time() - before < 1
    assert len(message.answer) > 3000


def test_random_bytes_behind_a_header_are_a_wire_error_in_no_time() -> None:
    noise = random.Random(20).randbytes(207_725)
    before = time.process_time()
    for size in (207_725, MAX_MESSAGE, 4096, 512, 40):
        for flags in (QR, QR | TC):
            wire = flags.to_bytes(2) * 2 + noise[:size]
            try:
                decode_message(wire)
            except WireError:
                continue
            assert flags & TC
    assert time.process_time() - before < 1
