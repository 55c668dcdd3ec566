"""The short paths of the bulk engine: common questions to bytes, common replies to answers.

Only what is met a million times stands here; `Queries` and `quick_answer` leave the rest to
`wire` and `interpret`, and a test holds both ways together.
"""

from __future__ import annotations

import random
import socket
from string import ascii_lowercase, ascii_uppercase
from struct import Struct
from typing import TYPE_CHECKING, Final

from auditor.resolve.answer import Answer
from auditor.wire.codes import AAAA, NODATA, NOERROR, NXDOMAIN, PTR, A
from auditor.wire.message import IN
from auditor.wire.names import encode_name
from auditor.wire.reverse import address_text

if TYPE_CHECKING:
    from auditor.resolve.answer import Rdata

__all__ = ["Queries", "Replies"]

#: Entries of a memo before it starts anew: a bound, far above what one run's zones need.
_MOST: Final = 4096
_HEADER: Final = 12
_FIXED: Final = Struct("!IH")  # TTL and length of the RDATA
_TYPE_CLASS: Final = Struct("!2H")

_LABELS: Final = tuple(bytes((size,)) for size in range(64))
_LONGEST: Final = 63


class Queries:
    """Owner names to the question section of a query, in one letter case of many.

    Neighbours share their parent (a /24 its reverse zone, hosts their domain), so that is
    encoded once. Where the server returns names as they were sent, each parent and each
    first label gets letters in random case (draft-vixie-dnsext-dns0x20): an answer that
    nobody saw the question of would have to guess them.
    """

    __slots__ = ("_mixed", "_parents", "_random", "_types")

    def __init__(self, seed: random.Random | None = None) -> None:
        self._random = seed or random.SystemRandom()
        self._parents: dict[str, tuple[bytes, bytes]] = {}
        self._types: dict[int, bytes] = {}
        self._mixed = [self._table() for _ in range(64)]

    def question(self, name: str, rdtype: int, case: int | None = None) -> bytes:
        """Return name, type and class as they stand in a query.

        `case`: any number to have letters in mixed case, None for lower case. Raises
        WireError for what is no name.
        """
        kind = self._types.get(rdtype)
        if kind is None:
            kind = self._types[rdtype] = _TYPE_CLASS.pack(rdtype, IN)
        head, _, rest = name.partition(".")
        pair = self._parents.get(rest)
        if pair is None:
            if not rest or "\\" in name:
                return encode_name(name) + kind
            pair = self._learn(rest)
        size = len(head)
        if not 0 < size <= _LONGEST or "\\" in head or size + len(pair[0]) > _LONGEST_NAME:
            return encode_name(name) + kind
        if case is None:
            return _LABELS[size] + head.encode() + pair[0] + kind
        return _LABELS[size] + head.encode().translate(self._mixed[case & 63]) + pair[1] + kind

    def _learn(self, parent: str) -> tuple[bytes, bytes]:
        if len(self._parents) >= _MOST:
            self._parents.clear()
        plain = encode_name(parent)
        mixed = bytearray(plain)
        start = 0
        while plain[start]:
            end = start + 1 + plain[start]
            for place in range(start + 1, end):
                if self._random.getrandbits(1):
                    mixed[place : place + 1] = mixed[place : place + 1].upper()
            start = end
        pair = self._parents[parent] = (plain, bytes(mixed))
        return pair

    def _table(self) -> bytes:
        chosen = "".join(letter for letter in ascii_lowercase if self._random.getrandbits(1))
        return bytes.maketrans(chosen.encode(), chosen.upper().encode())


_LONGEST_NAME: Final = 254  # with the length octet of the first label: 255 (RFC 1035 §2.3.4)

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

#: How the one record of a common reply begins: its owner is the question's name.
_STARTS: Final = {rdtype: b"\xc0\x0c" + _TYPE_CLASS.pack(rdtype, IN) for rdtype in (A, AAAA, PTR)}

_WORD_CHARACTERS: Final = (ascii_lowercase + ascii_uppercase + "0123456789-_").encode()
_LOWER: Final = bytes.maketrans(ascii_uppercase.encode(), ascii_lowercase.encode())
_NEW: Final = tuple.__new__


class Replies:
    """Replies to answers, for those that most replies are like; None for all others."""

    __slots__ = ("_negative", "_suffixes")

    def __init__(self) -> None:
        self._suffixes: dict[bytes, str] = {}
        self._negative: dict[tuple[bytes, bytes], Answer] = {}

    def read(self, data: bytes, end: int, rdtype: int) -> Answer | None:
        """Return the answer of a reply whose question ends at `end`, if the path is short.

        The caller has seen that the ID and the question are its own. A reply with one
        record, owned by the question's name, or with none at all and something seen before
        behind the question.
        """
        head = data[2:8]
        kind = _HEADS.get(head)
        if kind == _ONE:
            if not data.startswith(_STARTS.get(rdtype, b"\xff"), end):
                return None
            ttl, size = _FIXED.unpack_from(data, end + 6) if len(data) >= end + 12 else (0, 0)
            start = end + 12
            if ttl > 0x7FFFFFFF or len(data) < start + size:  # noqa: PLR2004 - RFC 2181 §8
                return None
            record = self._record(data[start : start + size], rdtype)
            if record is None:
                return None
            return _NEW(Answer, (NOERROR, (record,), (), "", ttl, None))
        if kind is None:
            return None
        return self._negative.get((head, data[end:]))

    def learn(self, data: bytes, end: int, answer: Answer) -> None:
        """Remember what a negative reply came to: neighbours' replies end in the same bytes.

        What stands behind the question is the SOA, whose owner is a pointer into the
        question, and the OPT record; both mean the same for the next name of the zone.
        """
        kind = _HEADS.get(data[2:8])
        if kind in {_EMPTY, _NOWHERE} and answer.status in {NODATA, NXDOMAIN}:
            if len(self._negative) >= _MOST:
                self._negative.clear()
            self._negative[data[2:8], data[end:]] = answer._replace(how=None)

    def _record(self, rdata: bytes, rdtype: int) -> Rdata | None:
        if rdtype == PTR:
            return self._name(rdata)
        if rdtype == A:
            return socket.inet_ntoa(rdata) if len(rdata) == 4 else None  # noqa: PLR2004 - IPv4
        if rdtype == AAAA:
            return address_text(rdata) if len(rdata) == 16 else None  # noqa: PLR2004 - IPv6
        return None

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
        if not label or cut > _LONGEST + 1 or len(wire) > _LONGEST_NAME + 1:
            return None
        if not label.isalnum() and label.translate(None, _WORD_CHARACTERS):
            return None
        return label.translate(_LOWER).decode("ascii") + suffix

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
        text = "".join("." + label.translate(_LOWER).decode("ascii") for label in labels)
        self._suffixes[wire] = text
        return text
