"""Fast decoder of common replies, a batch at a time.

`ReplyDecoder` leaves all other replies to `wire` and `response`; a test checks that both give the
same answers. Each step is done for the whole batch before the next, so that most loops run in C.
"""

from __future__ import annotations

from collections import defaultdict
from itertools import compress, groupby, repeat
from operator import add
from struct import Struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from auditor.errors import WireError
from auditor.resolve.answer import Answer, Question
from auditor.resolve.bulk.codec.reply_negatives import decode_negative
from auditor.resolve.bulk.codec.reply_runs import (
    ADDRESS_OCTETS,
    ADDRESS_READERS,
    HEADER_OCTETS,
    MEMO_REPLY_OCTETS,
    POINTER,
    WORD_CHARACTERS,
    RunDecoder,
    make_answers,
    memoise,
)
from auditor.resolve.bulk.codec.reply_sets import decode_set
from auditor.resolve.response import interpret
from auditor.wire.codes import NOERROR, PTR, TXT
from auditor.wire.message import IN, decode_message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.resolve.answer import Rdata

__all__ = ["ReplyDecoder"]

_FIRST_LABEL_AT: Final = HEADER_OCTETS + 1  # offset of the characters of the question's first label
_MAX_TTL_S: Final = 0x7FFFFFFF  # RFC 2181 §8
_MAX_LABEL_OCTETS: Final = 63

#: Least number of consecutive replies of one length that are decoded as a run.
_MIN_RUN_REPLIES: Final = 8
_MAX_NAME_OCTETS: Final = 255

_ONE_RECORD, _NO_DATA, _NX_DOMAIN, _SEVERAL_RECORDS = range(4)

#: Most answer records on the fast path, where authority and additional sections are not decoded.
_MAX_RECORDS: Final = 16


def _common_headers() -> dict[bytes, int]:
    """Return the flags and first two counts of replies on the fast path.

    A response to a standard query, not truncated, with one question; any AA, RD, RA, AD and CD.
    """
    heads = {}
    several = [(0, answers, _SEVERAL_RECORDS) for answers in range(2, _MAX_RECORDS + 1)]
    for bits in range(32):
        flags = 0x8000 | (bits & 1) << 10 | (bits >> 1 & 1) << 8  # AA, RD
        flags |= (bits >> 2 & 1) << 7 | (bits >> 3 & 1) << 5 | (bits >> 4) << 4  # RA, AD, CD
        for rcode, answers, kind in (
            (0, 1, _ONE_RECORD),
            (0, 0, _NO_DATA),
            (3, 0, _NX_DOMAIN),
            *several,
        ):
            heads[Struct("!3H").pack(flags | rcode, 1, answers)] = kind
    return heads


_COMMON_HEADERS: Final = _common_headers()
_ONE_RECORD_HEADERS: Final = frozenset(
    head for head, kind in _COMMON_HEADERS.items() if kind == _ONE_RECORD
)

#: A record from its type to RDLENGTH, and with the first octet of its RDATA.
_FIXED: Final = Struct("!HHLH")
_RECORD_OCTETS: Final = _FIXED.size + 1
_TYPE_CLASS_OCTETS: Final = 4
_KEY_OCTETS: Final = _TYPE_CLASS_OCTETS + len(POINTER) + _RECORD_OCTETS

#: From RDATA to a record, for types without names in RDATA; of TXT only one string.
_RDATA_READERS: Final[dict[int, Callable[[bytes], Rdata]]] = {
    **ADDRESS_READERS,
    TXT: lambda rdata: (rdata[1:],),
}


class _RecordStart(NamedTuple):
    """The beginning of a record; type 0 if it is not decoded on the fast path.

    `label`: octets of RDATA up to the end of its first label, if it is a name, else 0;
    `rest`: the number of octets after that.
    """

    rdtype: int = 0
    ttl: int = 0
    label: int = 0
    rest: int = 0


_UNSUPPORTED: Final = _RecordStart()


class _Columns(NamedTuple):
    """Replies with one record: offset of RDATA, octets of its first label and of the rest, TTL."""

    packets: Sequence[bytes]
    places: Sequence[int]
    labels: Sequence[int]
    tails: Sequence[bytes]
    ttls: Sequence[int]


class ReplyDecoder:
    """Decodes common replies into answers; None for all others."""

    __slots__ = ("_is_uncompressed", "_negative", "_runs", "_starts", "_suffixes")

    def __init__(self) -> None:
        self._suffixes: dict[bytes, str] = {}
        self._starts: dict[bytes, _RecordStart] = {}
        self._negative: dict[bytes, Answer] = {}
        self._runs = RunDecoder()
        #: Whether the owner of the last record was uncompressed.
        self._is_uncompressed = False

    def decode_replies(
        self, packets: Sequence[bytes], asked: Sequence[bytes]
    ) -> list[Answer | None]:
        """Return the answers of replies; None for each that the fast path does not support.

        `asked`: the question sections as sent, which replies must repeat including letter case.
        Runs of replies that differ in little but ID and question are decoded at once
        (`RunDecoder`); then all replies with one record at the question's name; then one by one
        RRsets and, memoised for names with the same parent, negative answers.

        Sections after the answer are not decoded: they cannot change it here, nor in the general
        decoder (`interpret`).
        """
        decoded: list[Answer | None] = []
        unknown: list[int] = []
        read = end = 0
        for _, same in groupby(map(len, packets)):
            start, end = end, end + len(list(same))
            if end - start < _MIN_RUN_REPLIES:
                continue
            answers = self._runs.decode_run(packets[start:end], asked[start:end])
            if answers is None:
                unknown.append(start)
                continue
            decoded += self._decode_each(packets[read:start], asked[read:start])
            decoded += answers
            read = end
        decoded += self._decode_each(packets[read:], asked[read:])
        for at in unknown:
            answer = decoded[at]
            if answer is not None:
                self._runs.learn_reply(packets[at], asked[at], answer)
        return decoded

    def _decode_each(self, packets: Sequence[bytes], asked: Sequence[bytes]) -> list[Answer | None]:
        """Decode replies that are not a run."""
        if not packets:
            return []
        heads = [data[2:8] for data in packets]
        echoes = list(map(bytes.startswith, packets, asked, repeat(HEADER_OCTETS)))
        if _ONE_RECORD_HEADERS.issuperset(heads) and all(echoes):
            return self._decode_single_records(packets, asked)
        ones = [
            echoed and head in _ONE_RECORD_HEADERS
            for echoed, head in zip(echoes, heads, strict=True)
        ]
        found = iter(
            self._decode_single_records(list(compress(packets, ones)), list(compress(asked, ones)))
        )
        return [
            next(found) if one else self._decode_set_or_negative(data, query) if echoed else None
            for one, echoed, data, query in zip(ones, echoes, packets, asked, strict=True)
        ]

    def _decode_single_records(
        self, packets: Sequence[bytes], asked: Sequence[bytes]
    ) -> list[Answer | None]:
        """Decode replies with one record."""
        if not packets:
            return []
        starts, places = self._locate_rdata(packets, asked, is_uncompressed=self._is_uncompressed)
        rdtypes, ttls, labels, rests = zip(*starts, strict=True)
        if 0 in rdtypes:
            starts, places = self._locate_other_owners(packets, asked, starts, places)
            rdtypes, ttls, labels, rests = zip(*starts, strict=True)
        tails = [
            data[place + label : place + label + rest]
            for data, place, label, rest in zip(packets, places, labels, rests, strict=True)
        ]
        columns = _Columns(packets, places, labels, tails, ttls)
        kinds = set(rdtypes)
        if len(kinds) == 1 and 0 not in kinds and list(map(len, tails)) == list(rests):
            return self._answers(rdtypes[0], columns)
        alike: dict[int, list[int]] = defaultdict(list)
        for at, (rdtype, tail, rest) in enumerate(zip(rdtypes, tails, rests, strict=True)):
            # A cut-off record is left to the general decoder.
            if rdtype and len(tail) == rest:
                alike[rdtype].append(at)
        answers: list[Answer | None] = [None] * len(packets)
        for rdtype, ats in alike.items():
            parts = _Columns._make([[column[at] for at in ats] for column in columns])
            for at, answer in zip(ats, self._answers(rdtype, parts), strict=True):
                answers[at] = answer
        return answers

    def _locate_rdata(
        self, packets: Sequence[bytes], asked: Sequence[bytes], *, is_uncompressed: bool
    ) -> tuple[list[_RecordStart], list[int]]:
        """Return the beginning of each reply's record, and the offset of its RDATA.

        `is_uncompressed`: whether the owner is uncompressed, or a compression pointer.
        """
        if is_uncompressed:
            places, keys = _locate_uncompressed(packets, asked)
        else:
            places = [HEADER_OCTETS + len(POINTER) + _FIXED.size + size for size in map(len, asked)]
            keys = [
                data[place + 1 - _KEY_OCTETS : place + 1]
                for data, place in zip(packets, places, strict=True)
            ]
        starts: list[Any] = list(map(self._starts.get, keys))
        if None in starts:
            starts = [self._starts.get(key) or self._parse_start(key) for key in keys]
        return starts, places

    def _locate_other_owners(
        self,
        packets: Sequence[bytes],
        asked: Sequence[bytes],
        starts: list[_RecordStart],
        places: list[int],
    ) -> tuple[list[_RecordStart], list[int]]:
        """Return the same after locating the records whose owner is in the other form.

        Servers stick to one form: BIND does not compress an owner whose letter case differs from
        the question's.
        """
        others = self._locate_rdata(packets, asked, is_uncompressed=not self._is_uncompressed)
        if _UNSUPPORTED not in others[0]:
            self._is_uncompressed = not self._is_uncompressed
            return others
        both = zip(
            zip(starts, places, strict=True), zip(others[0], others[1], strict=True), strict=True
        )
        better = [one if one[0].rdtype else other for one, other in both]
        return [start for start, _ in better], [place for _, place in better]

    def _parse_start(self, key: bytes) -> _RecordStart:
        """Parse the beginning of a record, and memoise it by its octets."""
        record = key[-_RECORD_OCTETS:]
        owner = key[:-_RECORD_OCTETS]
        if len(record) < _RECORD_OCTETS or owner not in {
            b"",
            record[:_TYPE_CLASS_OCTETS] + POINTER,
        }:
            # Not memoised: it may hold anything, such as the letters of a name.
            return _UNSUPPORTED
        found = _UNSUPPORTED
        (rdtype, rdclass, ttl, size), first = _FIXED.unpack(record[:-1]), record[-1]
        if rdclass == IN and ttl <= _MAX_TTL_S and 0 < size <= _MAX_NAME_OCTETS:
            if rdtype == PTR and 0 < first <= _MAX_LABEL_OCTETS and first + 1 < size:
                found = _RecordStart(rdtype, ttl, first + 1, size - first - 1)
            elif size == ADDRESS_OCTETS.get(rdtype) or (rdtype == TXT and first == size - 1):
                found = _RecordStart(rdtype, ttl, 0, size)
        memoise(self._starts, key, found)
        return found

    def _answers(self, rdtype: int, replies: _Columns) -> list[Answer | None]:
        """Return the answers of replies with one record of this type."""
        ttls = replies.ttls
        if rdtype != PTR:
            return make_answers(zip(map(_RDATA_READERS[rdtype], replies.tails), strict=True), ttls)
        heads = [
            data[place + 1 : place + label]
            for data, place, label, _, _ in zip(*replies, strict=True)
        ]
        suffixes: list[Any] = list(map(self._suffixes.get, replies.tails))
        if None in suffixes:
            suffixes = [
                self._suffix(tail) if suffix is None else suffix
                for tail, suffix in zip(replies.tails, suffixes, strict=True)
            ]
        text = b"\n".join(heads)
        if None not in suffixes and len(text.translate(None, WORD_CHARACTERS)) == len(heads) - 1:
            # Plain labels: only the separators are left.
            names = map(add, text.lower().decode().split("\n"), suffixes)
            return make_answers(zip(names, strict=True), ttls)
        return [
            None
            if suffix is None or head.translate(None, WORD_CHARACTERS)
            else Answer(NOERROR, (head.lower().decode() + suffix,), ttl=ttl)
            for head, suffix, ttl in zip(heads, suffixes, ttls, strict=True)
        ]

    def _suffix(self, wire: bytes) -> str | None:
        """Return ".example.net" for the octets after a first label; None if not a plain name."""
        if wire in self._suffixes:
            return self._suffixes[wire]
        size = wire[0] if wire else 0
        label, rest = wire[1 : 1 + size], wire[1 + size :]
        if not 0 < size <= _MAX_LABEL_OCTETS or label.translate(None, WORD_CHARACTERS):
            return "" if wire == b"\0" else None
        # Different names share their last labels.
        suffix = self._suffix(rest)
        if suffix is None:
            return None
        text = f".{label.lower().decode()}{suffix}"
        memoise(self._suffixes, wire, text)
        return text

    def _decode_set_or_negative(self, data: bytes, asked: bytes) -> Answer | None:
        """Decode a reply with several records, perhaps a CNAME among them, or with none."""
        kind = _COMMON_HEADERS.get(data[2:8])
        if kind == _SEVERAL_RECORDS:
            return decode_set(data, asked, self._suffix) or _decode_general(data)
        if kind is None or len(data) > MEMO_REPLY_OCTETS:
            return None
        # The key leaves out the ID and the characters of the question's first label. Its length
        # is part of the key, since the SOA's owner is a pointer into the question.
        key = data[2:_FIRST_LABEL_AT] + data[_FIRST_LABEL_AT + data[HEADER_OCTETS] :]
        answer = self._negative.get(key)
        if answer is None:
            answer = decode_negative(data, asked, self._suffix)
            if answer is not None:
                memoise(self._negative, key, answer)
        return answer


def _decode_general(data: bytes) -> Answer | None:
    """Decode a reply with several records with the general decoder; None if it has no answer."""
    try:
        message = decode_message(data, answer_only=True)
    except WireError:
        return None
    ((name, rdtype, _),) = message.question
    answer = interpret(message, Question(name, rdtype))
    return answer if answer.records else None


def _locate_uncompressed(
    packets: Sequence[bytes], asked: Sequence[bytes]
) -> tuple[list[int], list[bytes]]:
    """Return the offsets of the RDATA after uncompressed owners, and the octets before RDATA.

    Empty octets if the owner is not the question's name. Its letter case is ignored: most
    servers send that of the zone.
    """
    places = [
        HEADER_OCTETS + 2 * size + _FIXED.size - _TYPE_CLASS_OCTETS for size in map(len, asked)
    ]
    # Owner, type and class must be those of the question. No type on the fast path is changed
    # by lower-casing its octets.
    spans = [
        data[HEADER_OCTETS + len(one) : HEADER_OCTETS + 2 * len(one)]
        for data, one in zip(packets, asked, strict=True)
    ]
    keys = [
        data[place + 1 - _RECORD_OCTETS : place + 1]
        for data, place in zip(packets, places, strict=True)
    ]
    if b"".join(spans).lower() != b"".join(asked).lower():
        same = [span.lower() == one.lower() for span, one in zip(spans, asked, strict=True)]
        keys = [key if is_same else b"" for key, is_same in zip(keys, same, strict=True)]
    return places, keys
