"""Decodes the common kinds of replies fast, a batch at a time.

`ReplyDecoder` leaves all other replies to `wire` and `response`; a test checks that both give the
same answers. Each step is done for the whole batch before the next one, so that nearly all of
them are loops in C.
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
    made,
    remember,
)
from auditor.resolve.bulk.codec.reply_sets import decode_set
from auditor.resolve.response import interpret
from auditor.wire.codes import NOERROR, PTR, TXT
from auditor.wire.message import IN, decode_message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.resolve.answer import Rdata

__all__ = ["ReplyDecoder"]

_FIRST_LABEL_AT: Final = (
    HEADER_OCTETS + 1
)  # where the characters of the question's first label begin
_MAX_TTL_S: Final = 0x7FFFFFFF  # RFC 2181 §8
_MAX_LABEL_OCTETS: Final = 63

#: Fewest replies of one length in a row that are decoded as a run.
_MIN_RUN_REPLIES: Final = 8
_MAX_NAME_OCTETS: Final = 255

_ONE, _EMPTY, _NOWHERE, _SEVERAL = range(4)

#: Records of an answer that is read without what stands behind them, at most.
_MAX_RECORDS: Final = 16


def _common_headers() -> dict[bytes, int]:
    """Return the flags and first two counts of the replies that have a short path.

    A response to a standard query, not truncated, one question; AA, RD, RA, AD and CD as
    they may be.
    """
    heads = {}
    several = [(0, answers, _SEVERAL) for answers in range(2, _MAX_RECORDS + 1)]
    for bits in range(32):
        flags = 0x8000 | (bits & 1) << 10 | (bits >> 1 & 1) << 8  # AA, RD
        flags |= (bits >> 2 & 1) << 7 | (bits >> 3 & 1) << 5 | (bits >> 4) << 4  # RA, AD, CD
        for rcode, answers, kind in ((0, 1, _ONE), (0, 0, _EMPTY), (3, 0, _NOWHERE), *several):
            heads[Struct("!3H").pack(flags | rcode, 1, answers)] = kind
    return heads


_COMMON_HEADERS: Final = _common_headers()
_ONE_RECORD_HEADERS: Final = frozenset(
    head for head, kind in _COMMON_HEADERS.items() if kind == _ONE
)

#: A record from its type to RDLENGTH; with it goes the first octet of its RDATA.
_FIXED: Final = Struct("!HHLH")
_RECORD_OCTETS: Final = _FIXED.size + 1
_TYPE_CLASS_OCTETS: Final = 4
_KEY_OCTETS: Final = _TYPE_CLASS_OCTETS + len(POINTER) + _RECORD_OCTETS

#: RDATA to a record, of types whose RDATA holds no name; of TXT, one string, as most are.
_RDATA_READERS: Final[dict[int, Callable[[bytes], Rdata]]] = {
    **ADDRESS_READERS,
    TXT: lambda rdata: (rdata[1:],),
}


class _Start(NamedTuple):
    """What the beginning of a record says of the rest; a type of 0: it has no short path.

    `label`: octets of RDATA up to the end of its first label, where it is a name, else 0;
    `rest`: the octets behind that.
    """

    rdtype: int = 0
    ttl: int = 0
    label: int = 0
    rest: int = 0


_NO_START: Final = _Start()


class _Columns(NamedTuple):
    """Replies with one record: where its RDATA is, see `_Start`, the octets of `rest`, its TTL."""

    packets: Sequence[bytes]
    places: Sequence[int]
    labels: Sequence[int]
    tails: Sequence[bytes]
    ttls: Sequence[int]


class ReplyDecoder:
    """Replies to answers, for those that most replies are like; None for all others."""

    __slots__ = ("_in_full", "_negative", "_runs", "_starts", "_suffixes")

    def __init__(self) -> None:
        self._suffixes: dict[bytes, str] = {}
        self._starts: dict[bytes, _Start] = {}
        self._negative: dict[bytes, Answer] = {}
        self._runs = RunDecoder()
        #: Whether the owner of the last record was written out.
        self._in_full = False

    def decode_replies(
        self, packets: Sequence[bytes], asked: Sequence[bytes]
    ) -> list[Answer | None]:
        """Return the answers of replies; None for each that has no short path.

        `asked` are the question sections as sent; a reply that does not repeat its own, letter
        for letter, has no short path. Short is that of a reply with one record, owned by the
        question's name, and of one with none at all and something seen before around the
        question's first label. Shorter still is that of replies in a row that differ in little
        but their IDs and questions (`RunDecoder`). One with several records is decoded by itself.

        What stands behind the records asked for is not looked at: it cannot change the answer,
        nor does it where replies are read in full (`interpret`).
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
            decoded += self._read_each(packets[read:start], asked[read:start])
            decoded += answers
            read = end
        decoded += self._read_each(packets[read:], asked[read:])
        for at in unknown:
            answer = decoded[at]
            if answer is not None:
                self._runs.learn_reply(packets[at], asked[at], answer)
        return decoded

    def _read_each(self, packets: Sequence[bytes], asked: Sequence[bytes]) -> list[Answer | None]:
        """Read replies that are no run."""
        if not packets:
            return []
        heads = [data[2:8] for data in packets]
        echoes = list(map(bytes.startswith, packets, asked, repeat(HEADER_OCTETS)))
        if _ONE_RECORD_HEADERS.issuperset(heads) and all(echoes):
            return self._read_ones(packets, asked)
        ones = [
            echoed and head in _ONE_RECORD_HEADERS
            for echoed, head in zip(echoes, heads, strict=True)
        ]
        found = iter(self._read_ones(list(compress(packets, ones)), list(compress(asked, ones))))
        return [
            next(found) if one else self._read_other(data, query) if echoed else None
            for one, echoed, data, query in zip(ones, echoes, packets, asked, strict=True)
        ]

    def _read_ones(self, packets: Sequence[bytes], asked: Sequence[bytes]) -> list[Answer | None]:
        """Read replies with one record."""
        if not packets:
            return []
        starts, places = self._locate(packets, asked, in_full=self._in_full)
        rdtypes, ttls, labels, rests = zip(*starts, strict=True)
        if 0 in rdtypes:
            starts, places = self._locate_others(packets, asked, starts, places)
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
            # A record that breaks off has no short path.
            if rdtype and len(tail) == rest:
                alike[rdtype].append(at)
        answers: list[Answer | None] = [None] * len(packets)
        for rdtype, ats in alike.items():
            parts = _Columns._make([[column[at] for at in ats] for column in columns])
            for at, answer in zip(ats, self._answers(rdtype, parts), strict=True):
                answers[at] = answer
        return answers

    def _locate(
        self, packets: Sequence[bytes], asked: Sequence[bytes], *, in_full: bool
    ) -> tuple[list[_Start], list[int]]:
        """Return what each reply's record begins with, and where its RDATA does.

        `in_full`: if the record's owner is written out, else if it is a pointer.
        """
        if in_full:
            places, keys = _owners_in_full(packets, asked)
        else:
            places = [HEADER_OCTETS + len(POINTER) + _FIXED.size + size for size in map(len, asked)]
            keys = [
                data[place + 1 - _KEY_OCTETS : place + 1]
                for data, place in zip(packets, places, strict=True)
            ]
        starts: list[Any] = list(map(self._starts.get, keys))
        if None in starts:
            starts = [self._starts.get(key) or self._learn_start(key) for key in keys]
        return starts, places

    def _locate_others(
        self,
        packets: Sequence[bytes],
        asked: Sequence[bytes],
        starts: list[_Start],
        places: list[int],
    ) -> tuple[list[_Start], list[int]]:
        """Return the same with those located that have their owner in the other way.

        Which of them is a server's habit: BIND writes it out where the letters' case differs
        from the question's.
        """
        others = self._locate(packets, asked, in_full=not self._in_full)
        if _NO_START not in others[0]:
            self._in_full = not self._in_full
            return others
        both = zip(
            zip(starts, places, strict=True), zip(others[0], others[1], strict=True), strict=True
        )
        better = [one if one[0].rdtype else other for one, other in both]
        return [start for start, _ in better], [place for _, place in better]

    def _learn_start(self, key: bytes) -> _Start:
        """Return what a record begins with, for the octets that it depends on."""
        record = key[-_RECORD_OCTETS:]
        owner = key[:-_RECORD_OCTETS]
        if len(record) < _RECORD_OCTETS or owner not in {
            b"",
            record[:_TYPE_CLASS_OCTETS] + POINTER,
        }:
            # Not remembered: it may hold anything, such as the letters of a name.
            return _NO_START
        found = _NO_START
        (rdtype, rdclass, ttl, size), first = _FIXED.unpack(record[:-1]), record[-1]
        if rdclass == IN and ttl <= _MAX_TTL_S and 0 < size <= _MAX_NAME_OCTETS:
            if rdtype == PTR and 0 < first <= _MAX_LABEL_OCTETS and first + 1 < size:
                found = _Start(rdtype, ttl, first + 1, size - first - 1)
            elif size == ADDRESS_OCTETS.get(rdtype) or (rdtype == TXT and first == size - 1):
                found = _Start(rdtype, ttl, 0, size)
        remember(self._starts, key, found)
        return found

    def _answers(self, rdtype: int, replies: _Columns) -> list[Answer | None]:
        """Return the answers of replies with a record of this type."""
        ttls = replies.ttls
        if rdtype != PTR:
            return made(zip(map(_RDATA_READERS[rdtype], replies.tails), strict=True), ttls)
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
            # Nothing but words: what separates them is all that is left.
            names = map(add, text.lower().decode().split("\n"), suffixes)
            return made(zip(names, strict=True), ttls)
        return [
            None
            if suffix is None or head.translate(None, WORD_CHARACTERS)
            else Answer(NOERROR, (head.lower().decode() + suffix,), ttl=ttl)
            for head, suffix, ttl in zip(heads, suffixes, ttls, strict=True)
        ]

    def _suffix(self, wire: bytes) -> str | None:
        """Return ".example.net" for what follows a first label, None if it is no such name."""
        if wire in self._suffixes:
            return self._suffixes[wire]
        size = wire[0] if wire else 0
        label, rest = wire[1 : 1 + size], wire[1 + size :]
        if not 0 < size <= _MAX_LABEL_OCTETS or label.translate(None, WORD_CHARACTERS):
            return "" if wire == b"\0" else None
        # Names that have little in common still share their last labels.
        suffix = self._suffix(rest)
        if suffix is None:
            return None
        text = f".{label.lower().decode()}{suffix}"
        remember(self._suffixes, wire, text)
        return text

    def _read_other(self, data: bytes, asked: bytes) -> Answer | None:
        """Read a reply with several records, an alias perhaps, or with none."""
        kind = _COMMON_HEADERS.get(data[2:8])
        if kind == _SEVERAL:
            return decode_set(data, asked, self._suffix) or _read_several(data)
        if kind is None or len(data) > MEMO_REPLY_OCTETS:
            return None
        # All but the ID and the characters of the question's first label is what is known again:
        # the SOA's owner is a pointer into the question, so where it leads must be the same too.
        key = data[2:_FIRST_LABEL_AT] + data[_FIRST_LABEL_AT + data[HEADER_OCTETS] :]
        answer = self._negative.get(key)
        if answer is None:
            answer = decode_negative(data, asked, self._suffix)
            if answer is not None:
                remember(self._negative, key, answer)
        return answer


def _read_several(data: bytes) -> Answer | None:
    """Return the answer of a reply with the records that were asked for, else None."""
    try:
        message = decode_message(data, answer_only=True)
    except WireError:
        return None
    ((name, rdtype, _),) = message.question
    answer = interpret(message, Question(name, rdtype))
    return answer if answer.records else None


def _owners_in_full(
    packets: Sequence[bytes], asked: Sequence[bytes]
) -> tuple[list[int], list[bytes]]:
    """Return where the RDATA of records begins whose owners are written out, and what is before.

    Nothing is before it if that is not what the owner is. Its letters may be in any case,
    whatever the question's are: as a rule it has those of the zone.
    """
    places = [
        HEADER_OCTETS + 2 * size + _FIXED.size - _TYPE_CLASS_OCTETS for size in map(len, asked)
    ]
    # Owner, type and class should be those of the question. None of the types that have a
    # short path are letters, so it does no harm to have them all in lower case.
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
