"""Replies that are read by the batch say what each says by itself, in runs and out of them."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

import dns.edns
import dns.message
import dns.rdatatype
import dns.rrset
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples

from auditor.errors import WireError
from auditor.resolve.answer import Answer, Question
from auditor.resolve.bulk.codec import reply_runs as runs_file
from auditor.resolve.bulk.codec.reply_decoder import ReplyDecoder
from auditor.resolve.response import interpret
from auditor.wire.codes import AAAA, PTR, TXT, A, type_name
from auditor.wire.message import decode_message
from auditor.wire.names import encode_name

if TYPE_CHECKING:
    from collections.abc import Sequence

_OPT = 11  # octets of the record at the end of each reply
_PARENTS = ("100.51.198.in-addr.arpa", "8.b.d.0.1.0.0.2.ip6.arpa", "hosts.example.net")
_RDATA = {
    PTR: "Host-{0:03}.Example.NET.",
    A: "192.0.2.{0}",
    AAAA: "2001:db8::{0:03}",
    TXT: '"v=spf1 a -all"',
}


def _several(rdtype: int, *numbers: int) -> list[str]:
    """Return different records of a type."""
    if rdtype == TXT:
        return [f'"{number % 3}"' for number in range(len(numbers))]
    return [_RDATA[rdtype].format(number) for number in numbers]


def _asked(question: Question, *, upper: bool = False) -> bytes:
    name = encode_name(question.name)
    return (name.upper() if upper else name) + question.rdtype.to_bytes(2) + b"\0\1"


def _reply(question: Question, asked: bytes, *rdata: str, in_full: bool = False) -> bytes:
    """Return what a server says: records, or an SOA that points into the question."""
    query = dns.message.make_query(question.name, type_name(question.rdtype), use_edns=0)
    reply = dns.message.make_response(query)
    owner = reply.question[0].name
    if rdata:
        kind = type_name(question.rdtype)
        reply.answer.append(dns.rrset.from_text(owner, 300, "IN", kind, *rdata))
    else:
        soa = "ns.example.net. host.example.net. 1 2 3 4 60"
        reply.authority.append(dns.rrset.from_text(owner.parent(), 300, "IN", "SOA", soa))
    wire = reply.to_wire()
    wire = wire[:12] + asked + wire[12 + len(asked) :]
    if in_full and rdata:
        end = 12 + len(asked)
        assert wire[end : end + 2] == b"\xc0\x0c"
        wire = wire[:end] + asked[:-4].lower() + wire[end + 2 :]
    return wire


def _each_by_itself(question: Question, asked: bytes, data: bytes) -> Answer | None:
    """Return what a reply means; None if it is malformed, or not to this question."""
    if not data.startswith(asked, 12):
        return None
    try:
        return interpret(decode_message(data), question)
    except WireError:
        return None


def _neighbours(parent: str, rdtype: int, count: int, first: int = 100) -> list[Question]:
    return [Question(f"{number}.{parent}", rdtype) for number in range(first, first + count)]


def _read(
    replies: ReplyDecoder,
    questions: Sequence[Question],
    asked: Sequence[bytes],
    wires: Sequence[bytes],
) -> list[Answer | None]:
    """Read a batch as the receiver does, and hold it against what each says by itself."""
    expected = [_each_by_itself(*one) for one in zip(questions, asked, wires, strict=True)]
    found = replies.decode_replies(wires, asked)
    assert len(found) == len(wires)
    for one, answer in zip(found, expected, strict=True):
        assert one is None or one == answer
    return found


def _count_runs(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Return the list into which the lengths of runs go that were read at once."""
    taken: list[int] = []
    read = runs_file.RunDecoder.decode_run

    def counted(
        self: runs_file.RunDecoder, packets: Sequence[bytes], asked: Sequence[bytes]
    ) -> list[Answer] | None:
        found = read(self, packets, asked)
        if found is not None:
            taken.append(len(found))
        return found

    monkeypatch.setattr(runs_file.RunDecoder, "decode_run", counted)
    return taken


@pytest.mark.parametrize("form", ["", "upper", "upper, in full"])
@pytest.mark.parametrize("rdtype", sorted(_RDATA))
def test_neighbours_are_read_at_once_from_the_second_batch_on(
    monkeypatch: pytest.MonkeyPatch, rdtype: int, form: str
) -> None:
    taken = _count_runs(monkeypatch)
    replies = ReplyDecoder()
    for first in (100, 120, 140):
        questions = _neighbours(_PARENTS[0], rdtype, 20, first)
        asked = [_asked(question, upper="upper" in form) for question in questions]
        wires = [
            _reply(question, one, _RDATA[rdtype].format(first + at), in_full="in full" in form)
            for at, (question, one) in enumerate(zip(questions, asked, strict=True))
        ]
        assert None not in _read(replies, questions, asked, wires)
    assert taken == [20, 20]


@pytest.mark.parametrize("rdtype", [A, PTR, AAAA])
def test_neighbours_with_several_records_are_read_at_once(
    monkeypatch: pytest.MonkeyPatch, rdtype: int
) -> None:
    taken = _count_runs(monkeypatch)
    replies = ReplyDecoder()
    for first in (100, 120, 140):
        questions = _neighbours(_PARENTS[0], rdtype, 20, first)
        asked = [_asked(question) for question in questions]
        wires = [
            _reply(question, one, *_several(rdtype, first + 60 + at, first + at, first + 30 + at))
            for at, (question, one) in enumerate(zip(questions, asked, strict=True))
        ]
        found = _read(replies, questions, asked, wires)
        assert [len(answer.records) for answer in found if answer] == [3] * 20
    assert taken == [20, 20]


def test_names_that_end_in_what_differs_are_no_run(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = _count_runs(monkeypatch)
    replies = ReplyDecoder()
    questions = _neighbours(_PARENTS[0], PTR, 12)
    asked = [_asked(question) for question in questions]
    wires = [
        _reply(question, one, f"h{at + 10}.net.", f"a.h{at + 10}.net.")
        for at, (question, one) in enumerate(zip(questions, asked, strict=True))
    ]
    for _ in range(3):
        assert None not in _read(replies, questions, asked, wires)
    assert taken == []


def test_negative_neighbours_are_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    taken = _count_runs(monkeypatch)
    replies = ReplyDecoder()
    for parent in _PARENTS[:2]:
        questions = _neighbours(parent, TXT, 20)
        asked = [_asked(question) for question in questions]
        wires = [_reply(*one) for one in zip(questions, asked, strict=True)]
        assert None not in _read(replies, questions, asked, wires)
        assert taken == []
        assert None not in _read(replies, questions, asked, wires)
        assert taken == [20]
        taken.clear()


def test_a_neighbour_of_another_zone_is_no_part_of_a_negative_run(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    taken = _count_runs(monkeypatch)
    replies = ReplyDecoder()
    questions = _neighbours("a.example.net", TXT, 12)
    asked = [_asked(question) for question in questions]
    wires = [_reply(*one) for one in zip(questions, asked, strict=True)]
    for _ in range(2):
        _read(replies, questions, asked, wires)
    assert taken == [12]
    # Of the same length, and with the same octets behind the question.
    questions[5] = Question("105.b.example.net", TXT)
    asked[5] = _asked(questions[5])
    wires[5] = wires[5][:12] + asked[5] + wires[5][12 + len(asked[5]) :]
    found = replies.decode_replies(wires, asked)
    assert taken == [12]
    assert [answer.zone for answer in found if answer] == [
        f"{'b' if at == 5 else 'a'}.example.net" for at in range(12)
    ]


def test_whoever_asked_for_another_type_is_not_answered_by_a_run() -> None:
    replies = ReplyDecoder()
    questions = _neighbours(_PARENTS[2], A, 12)
    asked = [_asked(question) for question in questions]
    wires = [
        _reply(question, one, f"192.0.2.{at}")
        for at, (question, one) in enumerate(zip(questions, asked, strict=True))
    ]
    _read(replies, questions, asked, wires)
    questions[7] = questions[7]._replace(rdtype=TXT)
    asked[7] = _asked(questions[7])
    wires[7] = wires[7][:12] + asked[7] + wires[7][12 + len(asked[7]) :]
    found = replies.decode_replies(wires, asked)
    assert found[7] is None
    assert found.count(None) == 1


@pytest.mark.parametrize("rdtype", sorted(_RDATA))
@pytest.mark.parametrize("missing", [1, 2, 4, 12])
def test_replies_that_break_off_are_no_run(rdtype: int, missing: int) -> None:
    replies = ReplyDecoder()
    questions = _neighbours(_PARENTS[0], rdtype, 12)
    asked = [_asked(question) for question in questions]
    wires = [
        # Without the OPT record at the end.
        wire[:11] + b"\0" + wire[12:-_OPT]
        for wire in (
            _reply(question, one, _RDATA[rdtype].format(100 + at))
            for at, (question, one) in enumerate(zip(questions, asked, strict=True))
        )
    ]
    for _ in range(2):
        assert None not in _read(replies, questions, asked, wires)
    cut = [wire[:-missing] for wire in wires]
    assert _read(replies, questions, asked, cut) == [None] * 12


def test_a_pointer_means_something_else_behind_a_label_of_another_length() -> None:
    replies = ReplyDecoder()
    questions = _neighbours(_PARENTS[0], TXT, 9, first=1)
    long = _neighbours(_PARENTS[0], TXT, 9, first=100)
    asked, long_asked = ([_asked(one) for one in some] for some in (questions, long))
    wires = [_reply(*one) for one in zip(long, long_asked, strict=True)]
    for _ in range(3):
        found = _read(replies, long, long_asked, wires)
    assert None not in found
    behind = wires[0][12 + len(long_asked[0]) :]
    short = [wire[:12] + one + behind for wire, one in zip(wires, asked, strict=True)]
    _read(replies, questions, asked, short)


@settings(max_examples=examples(100))
@given(st.integers(0, 1 << 32))
def test_a_batch_says_what_each_of_its_replies_says(seed: int) -> None:
    chance = random.Random(seed)
    replies = ReplyDecoder()
    upper, is_in_full = chance.random() < 0.3, chance.random() < 0.3
    for _ in range(6):
        questions: list[Question] = []
        for _ in range(chance.randrange(1, 4)):
            parent, rdtype = chance.choice(_PARENTS), chance.choice(sorted(_RDATA))
            first = chance.choice([95, 100, 150])
            questions += _neighbours(parent, rdtype, chance.choice([1, 7, 8, 30]), first)
        asked = [_asked(question, upper=upper) for question in questions]
        records = chance.choice([0, 0, 1, 1, 1, 2, 3])
        wires = []
        for question, one in zip(questions, asked, strict=True):
            numbers = [chance.randrange(100, 250) for _ in range(records)]
            rdata = _several(question.rdtype, *numbers)
            in_full = is_in_full and records == 1
            data = bytearray(_reply(question, one, *rdata, in_full=in_full))
            data[:2] = chance.randbytes(2)
            # What is behind the records is not looked at, nor how many of that there are.
            end = len(data) - _OPT
            if chance.random() < 0.02:
                data[chance.choice([*range(2, 8), *range(12, end)])] = chance.choice(
                    [0, 1, 10, 0xC0, 0x0C, 0xFF]
                )
            if chance.random() < 0.01:
                del data[chance.randrange(12, end) :]
            wires.append(bytes(data))
        for _ in range(2):
            _read(replies, questions, asked, wires)
