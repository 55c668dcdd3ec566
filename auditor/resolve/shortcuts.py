"""The short paths of the bulk engine: common questions to bytes, common replies to answers.

Only what is met a million times stands here; `Queries` and `Replies` leave the rest to
`wire` and `interpret`, and a test holds both ways together.
"""

from __future__ import annotations

import random
from itertools import repeat
from socket import inet_ntoa
from string import ascii_lowercase, ascii_uppercase
from struct import Struct
from typing import TYPE_CHECKING, Final, TypeAlias

from auditor.errors import WireError
from auditor.resolve.answer import Answer, Question
from auditor.resolve.interpret import interpret
from auditor.wire.codes import AAAA, NODATA, NOERROR, NXDOMAIN, PTR, TXT, A
from auditor.wire.message import IN, decode_message
from auditor.wire.names import encode_name
from auditor.wire.reverse import address_text

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from auditor.resolve.answer import Rdata

__all__ = ["Queries", "Replies"]

#: Entries of a memo before it starts anew: a bound, far above what one run's zones need.
_MOST: Final = 4096
_HEADER: Final = 12
_LABEL: Final = _HEADER + 1  # where the characters of the question's first label begin
_START: Final = 16  # octets of type and class asked for, and of a record up to its RDATA
_TYPE_CLASS: Final = Struct("!2H")
_MOST_TTL: Final = 0x7FFFFFFF  # RFC 2181 §8

_LABELS: Final = tuple(bytes((size,)) for size in range(64))
_LONGEST: Final = 63
_LABEL_END: Final = _LONGEST + 1
_SHORT: Final = 3  # characters of an octet's label in a reverse zone
_NO_CASE: Final = repeat(0)


class Queries:
    """Owner names to the question section of a query, in one letter case of many.

    Neighbours share their parent (a /24 its reverse zone, hosts their domain), so that is
    encoded once. Where the server returns names as they were sent, each parent and each
    first label gets letters in random case (draft-vixie-dnsext-dns0x20): an answer that
    nobody saw the question of would have to guess them.
    """

    __slots__ = ("_labels", "_mixed", "_mixed_tails", "_random", "_tails")

    def __init__(self, seed: random.Random | None = None) -> None:
        self._random = seed or random.SystemRandom()
        #: By type, then by what follows the first label: that, encoded, with type and class.
        self._tails: dict[int, dict[str, bytes]] = {}
        self._mixed_tails: dict[int, dict[str, bytes]] = {}
        self._mixed = [self._table() for _ in range(64)]
        self._labels: dict[str, bytes] = {}

    def question(self, name: str, rdtype: int, case: int | None = None) -> bytes:
        """Return name, type and class as they stand in a query.

        `case`: any number to have letters in mixed case, None for lower case. Raises
        WireError for what is no name.
        """
        (found,) = self.questions([Question(name, rdtype)], None if case is None else [case])
        if not found:
            raise WireError(f"{name!r} is no name")
        return found

    def questions(
        self, batch: Iterable[Question], cases: Iterable[int] | None = None
    ) -> list[bytes]:
        """Return what `question` does of each; nothing for what is no name.

        `cases`: a number each, as `question` takes it; None for lower case.
        """
        found: list[bytes] = []
        labels = self._labels
        mixed = self._mixed if cases is not None else None
        tails = self._tails if cases is None else self._mixed_tails
        for (name, rdtype), case in zip(batch, cases or _NO_CASE, strict=False):
            head, _, rest = name.partition(".")
            label = labels.get(head) or self._label(head)
            try:
                tail = tails[rdtype][rest]
            except KeyError:
                tail = None
            if not label or tail is None:
                found.append(self._question(name, rdtype, mixed=mixed is not None))
            elif mixed is None:
                found.append(label + tail)
            else:
                # The length before the characters is below any letter.
                found.append(label.translate(mixed[case & 63]) + tail)
        return found

    def _label(self, head: str) -> bytes:
        """Return a first label with its length; nothing if it is none, or none so simple."""
        if not head or len(head) > _LONGEST or not head.isascii() or "\\" in head:
            return b""
        label = _LABELS[len(head)] + head.encode()
        # Those of reverse zones are all there are of this size; others are seldom met again.
        if len(head) <= _SHORT:
            _remember(self._labels, head, label)
        return label

    def _question(self, name: str, rdtype: int, *, mixed: bool) -> bytes:
        """Encode a name whole, and remember what its neighbours will share."""
        kind = _TYPE_CLASS.pack(rdtype, IN)
        try:
            whole = encode_name(name) + kind
        except WireError:
            return b""
        tail = whole[whole[0] + 1 :]
        rest = name.partition(".")[2]
        # A parent that would leave no room for a longest label is not worth a short path.
        if mixed and rest and len(tail) <= _LONGEST_TAIL and "\\" not in name:
            tail = self._in_mixed_case(tail[:-4]) + kind
            _remember(self._mixed_tails.setdefault(rdtype, {}), rest, tail)
            return whole[: whole[0] + 1] + tail
        if rest and len(tail) <= _LONGEST_TAIL and "\\" not in name:
            _remember(self._tails.setdefault(rdtype, {}), rest, tail)
        return whole

    def _in_mixed_case(self, plain: bytes) -> bytes:
        mixed = bytearray(plain)
        start = 0
        while plain[start]:
            end = start + 1 + plain[start]
            for place in range(start + 1, end):
                if self._random.getrandbits(1):
                    mixed[place : place + 1] = mixed[place : place + 1].upper()
            start = end
        return bytes(mixed)

    def _table(self) -> bytes:
        chosen = "".join(letter for letter in ascii_lowercase if self._random.getrandbits(1))
        return bytes.maketrans(chosen.encode(), chosen.upper().encode())


#: With a label of 63 octets before it, a name of 255 (RFC 1035 §2.3.4); type and class.
_LONGEST_TAIL: Final = 255 - 64 + 4
_LONGEST_NAME: Final = 255


def _remember(memo: dict[str, bytes], key: str, value: bytes) -> None:
    if len(memo) >= _MOST:
        memo.clear()
    memo[key] = value


_ONE, _EMPTY, _NOWHERE = range(3)


def _heads() -> dict[bytes, int]:
    """Return the flags and first two counts of the replies that have a short path.

    A response to a standard query, not truncated, one question; AA, RD, RA, AD and CD as
    they may be.
    """
    heads = {}
    for bits in range(32):
        flags = 0x8000 | (bits & 1) << 10 | (bits >> 1 & 1) << 8  # AA, RD
        flags |= (bits >> 2 & 1) << 7 | (bits >> 3 & 1) << 5 | (bits >> 4) << 4  # RA, AD, CD
        for rcode, answers, kind in ((0, 1, _ONE), (0, 0, _EMPTY), (3, 0, _NOWHERE)):
            heads[Struct("!3H").pack(flags | rcode, 1, answers)] = kind
    return heads


_HEADS: Final = _heads()
_ONES: Final = frozenset(head for head, kind in _HEADS.items() if kind == _ONE)

#: How the one record of a common reply begins: its owner is the question's name.
_POINTER: Final = b"\xc0\x0c"
_STARTS: Final = {rdtype: _POINTER + _TYPE_CLASS.pack(rdtype, IN) for rdtype in (A, AAAA, PTR, TXT)}

_WORD_CHARACTERS: Final = (ascii_lowercase + ascii_uppercase + "0123456789-_").encode()
_NEW: Final = tuple.__new__

#: TTL, octets of RDATA, type; a type of 0 is that of a record with no short path.
_Start: TypeAlias = tuple[int, int, int]
_NO_START: Final = (0, 0, 0)


class Replies:
    """Replies to answers, for those that most replies are like; None for all others."""

    __slots__ = ("_negative", "_starts", "_suffixes")

    def __init__(self) -> None:
        self._suffixes: dict[bytes, str] = {}
        #: Type and class asked for and a record up to its RDATA: what `_start` says of it.
        self._starts: dict[bytes, _Start] = {}
        self._negative: dict[bytes, Answer] = {}

    def read(self, packets: Sequence[bytes], asked: Sequence[bytes]) -> list[Answer | None]:
        """Return the answers of replies; None for each that has no short path.

        `asked` are the question sections: the caller has seen that IDs and questions are its
        own. Short is the path of a reply with one record, owned by the question's name, and
        of one with none at all and something seen before around the question's first label.

        What stands behind that one record is not looked at, as octets behind the last record
        are not: it cannot change the answer, only break off. (An OPT record there could make
        another RCODE of NOERROR; none of those comes with the records asked for.)
        """
        found: list[Answer | None] = []
        add = found.append
        ones, starts, negative, suffixes = _ONES, self._starts, self._negative, self._suffixes
        for data, question in zip(packets, asked, strict=True):
            if data[2:8] not in ones:
                # Of kinds that have no short path nothing is remembered.
                add(negative.get(data[2:_LABEL] + data[_LABEL + data[_HEADER] :]))
                continue
            end = _HEADER + len(question)
            start = starts.get(data[end - 4 : end + 12])
            end += 12
            if start is None:
                start, end = self._start(data, question, end)
            ttl, size, rdtype = start
            rdata = data[end : end + size]
            if len(rdata) != size:
                add(None)
            elif rdtype == PTR and size:
                # `_name`, without the call where it needs none: this is done a million times.
                cut = rdata[0] + 1
                label = rdata[1:cut]
                suffix = suffixes.get(rdata[cut:])
                if (
                    suffix is not None
                    and 1 < cut <= _LABEL_END
                    and (label.isalnum() or not label.translate(None, _WORD_CHARACTERS))
                ):
                    record = label.lower().decode() + suffix
                    add(_NEW(Answer, (NOERROR, (record,), (), "", ttl, None)))
                else:
                    add(self._answer(rdata, ttl, rdtype))
            else:
                add(self._answer(rdata, ttl, rdtype))
        return found

    def _start(self, data: bytes, question: bytes, end: int) -> tuple[_Start, int]:
        """Return what the record of a reply begins with, and where its RDATA does.

        `end`: where it would, were its owner a pointer. It may be there in full: BIND has it
        so where the letters' case is another.
        """
        size = len(question) - 4
        owner = _HEADER + len(question)
        record = owner + size
        plain = question[:size].lower()
        # In lower case as a rule, whatever the letters of the question.
        if data.startswith(plain, owner) or data[owner:record].lower() == plain:
            key = question[size:] + _POINTER + data[record : record + 10]
            end = record + 10
        else:
            key = data[end - _START : end]
        return self._starts.get(key) or self._learn_start(key), end

    def _answer(self, rdata: bytes, ttl: int, rdtype: int) -> Answer | None:
        record: Rdata | None = None
        if rdtype == PTR:
            record = self._name(rdata)
        elif rdtype == A and len(rdata) == 4:  # noqa: PLR2004 - IPv4
            record = inet_ntoa(rdata)
        elif rdtype == AAAA and len(rdata) == 16:  # noqa: PLR2004 - IPv6
            record = address_text(rdata)
        elif rdtype == TXT and rdata and rdata[0] == len(rdata) - 1:
            record = (rdata[1:],)  # of one string, as most are
        if record is None:
            return None
        return _NEW(Answer, (NOERROR, (record,), (), "", ttl, None))

    def _learn_start(self, start: bytes) -> _Start:
        """Return TTL, octets of RDATA and type of a record that starts like this."""
        found = _NO_START
        rdtype = int.from_bytes(start[:2])
        usual = _STARTS.get(rdtype)
        if usual is not None and start[4:].startswith(usual) and len(start) == _START:
            ttl, size = int.from_bytes(start[10:14]), int.from_bytes(start[14:])
            if ttl <= _MOST_TTL and size <= _LONGEST_NAME:
                found = (ttl, size, rdtype)
        if len(self._starts) >= _MOST:
            self._starts.clear()
        self._starts[start] = found
        return found

    def learn(self, data: bytes, rdtype: int, answer: Answer) -> None:
        """Remember what a negative reply came to: neighbours' replies are the same.

        All but the ID and the characters of the question's first label is what is known
        again: the SOA's owner is a pointer into the question, so where it leads must be the
        same too. `answer` is what the reply means for a question of type `rdtype`.
        """
        kind = _HEADS.get(data[2:8])
        if kind not in {_EMPTY, _NOWHERE} or answer.status not in {NODATA, NXDOMAIN}:
            return
        rest = data[_LABEL + data[_HEADER] :]
        # That nothing depends on these characters is tried with some that no name has.
        other = data[:_LABEL] + b"\xff" * data[_HEADER] + rest
        answer = answer._replace(how=None)
        try:
            message = decode_message(other)
        except WireError:
            return
        if interpret(message, Question(message.question[0][0], rdtype)) != answer:
            return
        if len(self._negative) >= _MOST:
            self._negative.clear()
        self._negative[data[2:_LABEL] + rest] = answer

    def _name(self, wire: bytes) -> str | None:
        """Return an uncompressed name of letters, digits, hyphens and underscores."""
        if not wire:
            return None
        cut = wire[0] + 1
        suffix = self._suffixes.get(wire[cut:])
        if suffix is None:
            suffix = self._suffix(wire[cut:])
            if suffix is None:
                return None
        label = wire[1:cut]
        if not label.isalnum() and (not label or label.translate(None, _WORD_CHARACTERS)):
            return None
        if cut > _LONGEST + 1 or len(wire) > _LONGEST_NAME:
            return None
        return label.lower().decode() + suffix

    def _suffix(self, wire: bytes) -> str | None:
        """Return ".example.net" for what follows a first label, remembered, or None."""
        labels = []
        start = 0
        while start < len(wire) - 1:
            size = wire[start]
            label = wire[start + 1 : start + 1 + size]
            if not 0 < size <= _LONGEST or label.translate(None, _WORD_CHARACTERS):
                return None
            labels.append(label)
            start += 1 + size
        if start != len(wire) - 1 or wire[start]:
            return None
        if len(self._suffixes) >= _MOST:
            self._suffixes.clear()
        text = "".join("." + label.lower().decode() for label in labels)
        self._suffixes[wire] = text
        return text
