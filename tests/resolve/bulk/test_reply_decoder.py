"""The short paths say what the long way says, wherever they say anything.

Also tests `query_encoder.py`, `reply_sets.py` and `reply_negatives.py`.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import dns.rrset
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.effort import examples

from auditor.errors import WireError
from auditor.resolve.answer import Answer, Question
from auditor.resolve.bulk.codec import query_encoder as queries_file
from auditor.resolve.bulk.codec import reply_decoder as decoder_file
from auditor.resolve.bulk.codec import reply_negatives as negatives_file
from auditor.resolve.bulk.codec import reply_runs as runs_file
from auditor.resolve.bulk.codec.query_encoder import QueryEncoder
from auditor.resolve.bulk.codec.reply_decoder import ReplyDecoder
from auditor.resolve.bulk.codec.reply_negatives import decode_negative
from auditor.resolve.bulk.codec.reply_sets import decode_set
from auditor.resolve.response import interpret
from auditor.wire.codes import AAAA, MX, NODATA, NXDOMAIN, PTR, TXT, A, type_name
from auditor.wire.message import decode_message
from auditor.wire.names import encode_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from auditor.resolve.answer import Rdata
    from auditor.wire.message import Message

LABELS = st.sampled_from(
    ["a", "7", "host-7", "_spf", "x" * 63, "x" * 64, "", "A", r"a\.b", r"\032", "é", "ß", "*", "\\"]
)
NAMES = st.builds(".".join, st.lists(LABELS, max_size=6))
LONG_NAMES = st.builds(
    lambda sizes: ".".join("x" * size for size in sizes),
    st.lists(st.integers(1, 63), min_size=3, max_size=5),
)


# --- Queries


def _encoded(name: str, rdtype: int) -> bytes | None:
    try:
        return encode_name(name) + rdtype.to_bytes(2) + b"\0\1"
    except WireError:
        return None


def _short(queries: QueryEncoder, name: str, rdtype: int, case: int | None) -> bytes | None:
    try:
        return queries.question(name, rdtype, case)
    except WireError:
        return None


QUERIES = QueryEncoder(random.Random(5))


@given(NAMES | LONG_NAMES, st.sampled_from([A, PTR, TXT, 65]), st.none() | st.integers(0, 65535))
@example("é.100.51.198.in-addr.arpa", PTR, None)
@example("a..", A, None)
@example(".", A, 3)
def test_a_question_is_encoded_as_any_name_is(name: str, rdtype: int, case: int | None) -> None:
    # Its neighbour first, so that the short path is there to be taken.
    _short(QUERIES, "b." + name.partition(".")[2], rdtype, case)
    expected = _encoded(name, rdtype)
    for _ in range(2):
        found = _short(QUERIES, name, rdtype, case)
        if case is None or found is None or expected is None:
            assert found == expected
        else:
            # Type and class are no letters, whatever octets they are.
            assert (found[:-4].lower(), found[-4:]) == (expected[:-4].lower(), expected[-4:])


@given(st.lists(NAMES | LONG_NAMES, max_size=20), st.booleans())
def test_a_batch_is_encoded_as_each_of_its_questions(names: list[str], is_mixed: bool) -> None:  # noqa: FBT001 - a parameter of the test
    batch = [Question(name, PTR) for name in names]
    found = QueryEncoder().questions(batch, range(len(batch)) if is_mixed else None)
    if is_mixed:
        found = [question[:-4].lower() + question[-4:] for question in found]
    expected = [_encoded(name, PTR) or b"" for name in names]
    if is_mixed:
        expected = [question[:-4].lower() + question[-4:] for question in expected]
    assert found == expected


def test_letters_are_mixed_in_the_first_label_and_in_its_parent() -> None:
    queries = QueryEncoder(random.Random(1))
    found = {queries.question("abcdefgh.ijklmnop.net", A, case) for case in range(64)}
    assert len(found) > 8
    heads = {question[1:9] for question in found}
    assert len(heads) > 8
    assert any(question[10:18] != question[10:18].lower() for question in found)
    assert queries.question("abcdefgh.ijklmnop.net", A) == _encoded("abcdefgh.ijklmnop.net", A)


def test_a_parent_has_the_same_letters_for_each_type() -> None:
    queries = QueryEncoder(random.Random(1))
    address = queries.question("mx.abcdefghijklmnop.net", A, 5)
    policy = queries.question("mx.abcdefghijklmnop.net", TXT, 5)
    assert address[:-4] == policy[:-4] != address[:-4].lower()


def test_the_memo_of_parents_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queries_file, "_MEMO_ENTRIES", 10)
    queries = QueryEncoder()
    for number in range(100):
        for case in (None, 1):
            queries.question(f"a.zone-{number}.net", A, case)
    assert len(queries._parents) <= 10
    assert len(queries._mixed_parents) <= 10


# --- Replies

QUESTIONS = [
    Question("7.100.51.198.in-addr.arpa", PTR),
    Question("8.100.51.198.in-addr.arpa", PTR),
    Question("12.100.51.198.in-addr.arpa", PTR),
    Question("7.101.51.198.in-addr.arpa", PTR),
    Question("mail.example.net", A),
    Question("mail.example.org", A),
    Question("mail.example.net", AAAA),
    Question("mail.example.net", TXT),
    Question("mail.example.net", MX),
]
DATA = {
    PTR: ["mail.example.net.", "host-7.dyn.example.net.", ".", "net.", r"odd\032name.net.", "A.B."],
    A: ["192.0.2.1", "198.51.100.255"],
    AAAA: ["2001:db8::1", "::ffff:192.0.2.1"],
    TXT: ['"v=spf1 -all"', '""', '"one" "two"', '"v=spf1 \\255 <b>"'],
    MX: ["10 mail.example.net."],
}


def _reply(question: Question, chance: random.Random) -> bytes:
    """Return one of the replies that a server may give, common or not."""
    query = dns.message.make_query(
        question.name, type_name(question.rdtype), use_edns=chance.choice([0, -1])
    )
    reply = dns.message.make_response(query)
    owner = query.question[0].name
    reply.flags |= chance.choice([0, dns.flags.AA, dns.flags.RA, dns.flags.AD, dns.flags.TC])
    reply.set_rcode(dns.rcode.Rcode(chance.choice([0, 0, 0, 3, 3, 2, 5, 16])))
    for _ in range(chance.choice([0, 0, 1, 1, 1, 2, 3])):
        rdtype = chance.choice([question.rdtype] * 6 + [A])
        ttl = chance.choice([0, 300, 0x7FFFFFFF])
        data = chance.choice(DATA[rdtype])
        where = chance.choice([owner] * 6 + [owner.parent()])
        reply.answer.append(dns.rrset.from_text(where, ttl, "IN", type_name(rdtype), data))
    if chance.random() < 0.6:
        zone = chance.choice([owner, owner.parent(), owner.parent().parent(), query_root()])
        soa = "ns.example.net. host.example.net. 1 2 3 4 60"
        kind = chance.choice(["SOA", "SOA", "NS"])
        text = soa if kind == "SOA" else "ns.example.net."
        reply.authority.append(dns.rrset.from_text(zone, 300, "IN", kind, text))
    wire = reply.to_wire()
    if chance.random() < 0.3:
        wire += chance.randbytes(chance.randrange(1, 20))
    return wire


def query_root() -> dns.name.Name:
    return dns.name.root


def _long_way(data: bytes, question: Question) -> Answer | None:
    """Return what the codec and the judgement make of a reply; None if it is no message."""
    try:
        return interpret(decode_message(data), question)
    except WireError:
        return None


def _asked(question: Question) -> bytes:
    """Return the question as it stands in query and reply."""
    return encode_name(question.name) + question.rdtype.to_bytes(2) + b"\0\1"


def _decode(data: bytes, question: Question) -> Answer | None:
    """Return what the short path makes of a reply."""
    (answer,) = ReplyDecoder().decode_replies([data], [_asked(question)])
    return answer


def _check(replies: ReplyDecoder, data: bytes, question: Question) -> bool:
    """Hold the short path against the long way; return whether it was taken."""
    asked = _asked(question)
    if not data.startswith(asked, 12):
        return False  # the receiver sees to that before it asks
    (found,) = replies.decode_replies([data], [asked])
    expected = _long_way(data, question)
    assert found is None or found == expected
    return found is not None


@settings(max_examples=examples(400))
@given(st.integers(0, 1 << 32))
def test_the_short_path_says_what_the_long_way_says(seed: int) -> None:
    chance = random.Random(seed)
    replies = ReplyDecoder()
    for _ in range(20):
        question = chance.choice(QUESTIONS)
        data = bytearray(_reply(question, chance))
        for _ in range(3):
            _check(replies, bytes(data), question)
            # Damaged anywhere but in the ID; often by what a count, length or pointer has.
            place = chance.randrange(2, len(data))
            data[place] = chance.choice([0, 1, 0xC0, 0x0C, 0xFF, chance.randrange(256)])
            if chance.random() < 0.1:
                del data[chance.randrange(12, len(data) + 1) :]


def _record(owner: bytes, rdtype: int, rdata: bytes, ttl: int = 0) -> bytes:
    fixed = rdtype.to_bytes(2) + b"\0\1" + ttl.to_bytes(4) + len(rdata).to_bytes(2)
    return owner + fixed + rdata


#: What may stand behind an answer section: OPT records as they should not be, records that
#: break off or point nowhere, and such as are well.
OPTIONS = st.sampled_from(
    [b"", b"\0\x0f\0\2\0\x16", b"\0\x0f\0\0", b"\0\x0f\0\1\0", b"\0\x0a\0\xff", b"\0\x0f\0"]
)
OWNERS = st.sampled_from([b"\0", b"\0", b"\xc0\x0c", b"\1a\0", b"\xff\xff", b"\xc0"])
TAILS = st.lists(
    st.builds(
        _record,
        OWNERS,
        st.just(41),
        st.lists(OPTIONS, max_size=3).map(b"".join),
        st.sampled_from([0, 0, 0x8000, 0x01000000, 0xFF000000]),
    )
    | st.builds(_record, OWNERS, st.sampled_from([A, PTR, TXT, 2, 6]), st.binary(max_size=24))
    | st.binary(max_size=12),
    max_size=4,
)
COUNTS = st.tuples(st.integers(0, 4), st.integers(0, 4)) | st.sampled_from([(0, 65535), (4096, 1)])


@settings(max_examples=examples(400))
@given(
    st.sampled_from(QUESTIONS),
    st.sampled_from([(1, 0), (1, 0), (0, 0), (0, 3), (1, 3), (0, 2)]),
    st.sampled_from(["", "100.51.198.in-addr.arpa.", "example.net."]),
    st.tuples(TAILS, COUNTS),
)
def test_odd_records_behind_the_answer_make_no_difference_to_what_a_reply_means(
    question: Question,
    kind: tuple[int, int],
    soa: str,
    behind: tuple[list[bytes], tuple[int, int]],
) -> None:
    answers, rcode = DATA[question.rdtype][: kind[0]], kind[1]
    whole = _of(question, *answers, rcode=rcode, soa=soa)
    tail, counts = behind
    authorities = int.from_bytes(whole[8:10]) + counts[0]
    wire = whole[:8] + authorities.to_bytes(2) + counts[1].to_bytes(2) + whole[12:]
    wire += b"".join(tail)
    replies = ReplyDecoder()
    taken = [_check(replies, wire, question) for _ in range(2)]
    if answers and not rcode:
        # The record asked for is there and whole.
        expected = _long_way(whole, question)
        assert expected is not None
        assert _long_way(wire, question) == expected
        assert taken == [question.rdtype != MX] * 2


def _of(question: Question, *answers: str, rcode: int = 0, soa: str = "") -> bytes:
    reply = dns.message.make_response(
        dns.message.make_query(question.name, type_name(question.rdtype))
    )
    reply.set_rcode(dns.rcode.Rcode(rcode))
    owner = reply.question[0].name
    for data in answers:
        reply.answer.append(dns.rrset.from_text(owner, 300, "IN", type_name(question.rdtype), data))
    if soa:
        text = "ns.example.net. host.example.net. 1 2 3 4 60"
        reply.authority.append(dns.rrset.from_text(soa, 300, "IN", "SOA", text))
    return reply.to_wire()


@pytest.mark.parametrize(
    ("question", "data", "record"),
    [
        (QUESTIONS[0], "Mail.Example.NET.", "mail.example.net"),
        (QUESTIONS[0], "localhost.", "localhost"),
        (QUESTIONS[4], "192.0.2.1", "192.0.2.1"),
        (QUESTIONS[6], "2001:DB8::1", "2001:db8::1"),
        (QUESTIONS[7], '"v=spf1 a -all"', (b"v=spf1 a -all",)),
    ],
)
def test_one_record_takes_the_short_path(question: Question, data: str, record: Rdata) -> None:
    found = ReplyDecoder().decode_replies([_of(question, data)], [_asked(question)])
    assert found == [Answer("NOERROR", (record,), ttl=300)]


@pytest.mark.parametrize(
    ("question", "data", "records"),
    [
        (QUESTIONS[0], ["b.example.net.", "A.example.net."], ("a.example.net", "b.example.net")),
        (QUESTIONS[4], DATA[A], tuple(DATA[A])),
        (QUESTIONS[7], ['"b" "c"', '"a"'], ((b"a",), (b"b", b"c"))),
    ],
)
def test_several_records_are_read_without_what_stands_behind_them(
    question: Question, data: list[str], records: tuple[Rdata, ...]
) -> None:
    wire = _of(question, *data, soa="example.net.")
    assert _decode(wire[:-8], question) == Answer("NOERROR", records, ttl=300)


@pytest.mark.parametrize(
    ("names", "is_simple"),
    [
        (["mail.example.net.", "WWW.Example.net.", "a.EXAMPLE.net."], True),
        (["localhost.", "mail.example.net."], True),
        (["mail.example.net.", "a.b.example.net."], True),
        (["mail.example.net.", "a.100.51.198.in-addr.arpa."], False),
        (["mail.example.net.", r"odd\032name.example.net."], False),
        (["mail.example.net.", "net."], False),
    ],
)
def test_names_that_share_their_end_are_read_as_a_set(names: list[str], is_simple: bool) -> None:  # noqa: FBT001 - a parameter of the test
    question = QUESTIONS[0]
    wire, asked = _of(question, *names), _asked(question)
    simple = decode_set(wire, asked, ReplyDecoder()._suffix)
    assert (simple is not None) == is_simple
    assert _decode(wire, question) == _long_way(wire, question)
    _hold_damaged_sets_to_the_long_way(wire, asked, question)


def _hold_damaged_sets_to_the_long_way(wire: bytes, asked: bytes, question: Question) -> None:
    whole = decode_set(wire, asked, ReplyDecoder()._suffix)
    for place in range(12 + len(asked), len(wire)):
        for octet in (0, 1, 3, 48, 63, 64, 0xC0, 0xFF, wire[place] + 1 & 0xFF):
            damaged = wire[:place] + bytes([octet]) + wire[place + 1 :]
            found = decode_set(damaged, asked, ReplyDecoder()._suffix)
            assert found is None or found == _long_way(damaged, question)
    for end in range(12 + len(asked), len(wire)):
        cut = decode_set(wire[:end], asked, ReplyDecoder()._suffix)
        assert cut is None or cut == whole == _long_way(wire[:end], question)


def test_an_alias_is_read_with_the_records_it_leads_to() -> None:
    question, target = QUESTIONS[0], "7.0-63.100.51.198.in-addr.arpa"
    reply = dns.message.from_wire(_of(question))
    for owner, kind, data in (
        (question.name, "CNAME", f"{target}."),
        (target, "PTR", "mail.example.net."),
    ):
        reply.answer.append(dns.rrset.from_text(f"{owner}.", 300, "IN", kind, data))
    expected = Answer("NOERROR", ("mail.example.net",), (question.name,), target, 300)
    wire, asked = reply.to_wire(), _asked(question)
    assert _decode(wire, question) == expected
    assert decode_set(wire, asked, ReplyDecoder()._suffix) == expected
    _hold_damaged_sets_to_the_long_way(wire, asked, question)


def test_an_alias_that_leads_out_of_the_reply_is_left_to_the_long_way() -> None:
    question = QUESTIONS[0]
    reply = dns.message.from_wire(_of(question))
    for owner, data in ((question.name, "a.example.net."), ("a.example.net", "b.example.net.")):
        reply.answer.append(dns.rrset.from_text(owner + ".", 300, "IN", "CNAME", data))
    assert _decode(reply.to_wire(), question) is None


@pytest.mark.parametrize(("rcode", "status"), [(0, NODATA), (3, NXDOMAIN)])
def test_a_negative_answer_is_decoded_once_for_its_neighbours(
    monkeypatch: pytest.MonkeyPatch, rcode: int, status: str
) -> None:
    decoded: list[bytes] = []

    def counted(data: bytes, asked: bytes, suffix: Callable[[bytes], str | None]) -> Answer | None:
        decoded.append(data)
        return decode_negative(data, asked, suffix)

    monkeypatch.setattr(decoder_file, "decode_negative", counted)
    replies = ReplyDecoder()
    zone = "100.51.198.in-addr.arpa."
    questions = (QUESTIONS[0], QUESTIONS[1], QUESTIONS[2], QUESTIONS[1])
    wires = [_of(question, rcode=rcode, soa=zone) for question in questions]
    expected = Answer(status, ttl=60, zone=zone.removesuffix("."))
    assert replies.decode_replies(wires, list(map(_asked, questions))) == [expected] * 4
    # A first label of another length moves everything that pointers lead to.
    assert len(decoded) == 2


@pytest.mark.parametrize("rcode", [0, 3])
@pytest.mark.parametrize("zone", ["100.51.198.in-addr.arpa.", "198.in-addr.arpa."])
@pytest.mark.parametrize("has_opt", [False, True])
def test_the_soa_of_a_zone_above_is_read_without_the_general_decoder(
    monkeypatch: pytest.MonkeyPatch,
    rcode: int,
    zone: str,
    has_opt: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    def fail(data: bytes) -> Message:
        raise WireError(f"{len(data)} octets for the general decoder")

    monkeypatch.setattr(negatives_file, "decode_message", fail)
    question, neighbour = QUESTIONS[0], QUESTIONS[1]
    asked = _asked(question)
    # With names that are whole, that end in the question's, and in each other's.
    for names in ("ns.example.net. host.example.net.", f"ns.{zone} x.ns.{zone}", "a.b. b."):
        reply = dns.message.from_wire(_of(question, rcode=rcode))
        soa = f"{names} 1 2 3 4 60"
        reply.authority.append(dns.rrset.from_text(zone, 300, "IN", "SOA", soa))
        if has_opt:
            reply.use_edns(0, options=[dns.edns.EDEOption(dns.edns.EDECode.NOT_AUTHORITATIVE)])
        wire = reply.to_wire()
        expected = Answer(NXDOMAIN if rcode else NODATA, ttl=60, zone=zone.removesuffix("."))
        assert decode_negative(wire, asked, ReplyDecoder()._suffix) == expected
        for place in (8, 9, 10, 11, *range(12 + len(asked), len(wire))):
            for octet in (0, 1, 3, 63, 64, 0xC0, 0xFF, wire[place] + 1 & 0xFF):
                damaged = wire[:place] + bytes([octet]) + wire[place + 1 :]
                found = decode_negative(damaged, asked, ReplyDecoder()._suffix)
                other = damaged[:13] + b"8" + damaged[14:]
                assert found is None or found == _long_way(damaged, question)
                assert found is None or found == _long_way(other, neighbour)
        for end in range(12 + len(asked), len(wire)):
            found = decode_negative(wire[:end], asked, ReplyDecoder()._suffix)
            assert found is None or found == _long_way(wire[:end], question)


@pytest.mark.parametrize("is_spelt_out", [True, False])
def test_a_negative_answer_about_one_name_alone_is_not_taken_for_its_neighbours(
    is_spelt_out: bool,  # noqa: FBT001 - a parameter of the test
) -> None:
    replies = ReplyDecoder()
    first, second = QUESTIONS[0], QUESTIONS[1]
    # The SOA of the first name itself says nothing about the second.
    wire = _of(first, rcode=3, soa=first.name + ".")
    end = 12 + len(encode_name(first.name)) + 4
    if is_spelt_out:
        soa = b"\2ns\0\4host\0" + b"\0\0\0\x3c" * 5
        wire = wire[:end] + _record(encode_name(first.name), 6, soa, 300) + wire[-11:]
    neighbour = wire[:13] + b"8" + wire[14:]
    for _ in range(2):
        assert not _check(replies, neighbour, second)
        assert not _check(replies, wire, first)
    assert _long_way(wire, first) == Answer(NXDOMAIN, ttl=60, zone=first.name)


def test_counts_are_part_of_what_is_remembered() -> None:
    replies = ReplyDecoder()
    question = QUESTIONS[0]
    wire = bytearray(_of(question, rcode=3, soa="100.51.198.in-addr.arpa."))
    _check(replies, bytes(wire), question)
    assert wire[8:12] == b"\0\1\0\0"
    wire[9], wire[11] = 0, 1  # the same octets, but now the SOA is additional
    assert _check(replies, bytes(wire), question)
    assert len(replies._negative) == 2


@pytest.mark.parametrize("size", [1, 64, 65, 128, 192, 255])
def test_a_label_of_an_impossible_length_has_no_short_path(size: int) -> None:
    question = QUESTIONS[0]
    wire = bytearray(_of(question, "mail.example.net."))
    end = 12 + len(encode_name(question.name)) + 4
    wire[end + 12] = size
    assert not _check(ReplyDecoder(), bytes(wire), question)


def test_the_memos_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs_file, "MEMO_ENTRIES", 10)
    replies = ReplyDecoder()
    for number in range(50):
        question = Question(f"a.zone-{number}.net", PTR)
        _check(replies, _of(question, f"mail.zone-{number}.net."), question)
        _check(replies, _of(question, rcode=3, soa=f"zone-{number}.net."), question)
        wire = bytearray(_of(question, "mail.example.net."))
        wire[12 + len(encode_name(question.name)) + 4 + 9] = number  # the TTL
        _check(replies, bytes(wire), question)
    memos = (replies._negative, replies._starts, replies._suffixes)
    sizes: Callable[[dict[bytes, Answer]], int] = len
    assert sizes(replies._negative) > 0
    assert all(len(memo) <= 10 for memo in memos)
