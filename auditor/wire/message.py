"""DNS messages: queries out, replies in (RFC 1035 §4, EDNS of RFC 6891).

Bytes to plain values, and a question to bytes; `resolve.response` judges what a reply means for a
question. Reading is bounded: a message has at most 65,535 octets and `MAX_RECORDS` records, a name
255 octets, and anything that breaks the format raises `WireError` with the offset. Three things
are tolerated:

- authority and additional sections that break off: the answer section is complete, and
  `Message.incomplete` is true;
- octets after the last record, as in BIND and Unbound: everything before them is complete;
- a record cut off in a message with TC set. The data of such a message must not be used, but
  the caller must learn that it is truncated.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Final, NamedTuple

from auditor.errors import WireError
from auditor.wire.codes import OPT
from auditor.wire.records import (
    FIXED,
    IN,
    SMALLEST_RECORD,
    Edns,
    Rdata,
    Record,
    Soa,
    read_name,
    read_section,
)

__all__ = [
    "EDNS_SIZE",
    "IN",
    "MAX_MESSAGE",
    "MAX_RECORDS",
    "Edns",
    "Message",
    "Rdata",
    "Record",
    "Soa",
    "decode_message",
    "encode_query",
]

#: UDP payload size that is announced, in octets (the DNS flag day of 2020).
EDNS_SIZE: Final = 1232
MAX_MESSAGE: Final = 0xFFFF  #: octets: the limit of the length field of TCP (RFC 1035 §4.2.2)
#: A message full of A records, the smallest records queried, holds 4,094.
MAX_RECORDS: Final = 4096

_QR: Final = 0x8000
_OPCODE: Final = 0x7800
_AA: Final = 0x0400
_TC: Final = 0x0200
_RD: Final = 0x0100
_CD: Final = 0x0010
_RCODE: Final = 0x000F

_HEADER: Final = struct.Struct("!6H")
_QUESTION: Final = struct.Struct("!2H")
_SHORT: Final = struct.Struct("!H")
_SMALLEST_QUESTION: Final = 1 + _QUESTION.size
_COUNTS: Final = 4  # offset of the four counts in the header


class Message(NamedTuple):
    """A decoded message, names canonical.

    `flags`: the second 16 bits of the header as sent. `rcode`: 12 bits, the upper eight from
    the OPT record, which is in `edns` and in none of the sections. `question`: (name, type,
    class) each. `incomplete`: the authority or the additional section is broken, and they hold
    the records before the fault; or neither was read.
    """

    id: int
    flags: int
    rcode: int
    question: tuple[tuple[str, int, int], ...]
    answer: tuple[Record, ...]
    authority: tuple[Record, ...]
    additional: tuple[Record, ...]
    edns: Edns | None
    incomplete: bool = False

    @property
    def header_rcode(self) -> int:
        """The lower four bits of `rcode`, those in the header."""
        return self.flags & _RCODE

    @property
    def is_reply(self) -> bool:
        """Whether this is the response to a standard query: neither a query nor an update."""
        return self.flags & (_QR | _OPCODE) == _QR

    @property
    def authoritative(self) -> bool:
        """AA: the server is authoritative for the name of the question."""
        return self.flags & _AA != 0

    @property
    def truncated(self) -> bool:
        """TC: records are missing, and those present may be any part of them."""
        return self.flags & _TC != 0


def encode_query(
    qid: int,
    name_wire: bytes,
    rdtype: int,
    *,
    recurse: bool = True,
    edns_size: int | None = EDNS_SIZE,
    checking_disabled: bool = False,
) -> bytes:
    """Return a query for one question of class IN; `name_wire` as from `encode_name`.

    `recurse` sets RD, `checking_disabled` CD (RFC 4035 §3.2.2). `edns_size` is the UDP payload
    size announced in an OPT record; None sends a query without EDNS.
    """
    flags = (_RD if recurse else 0) | (_CD if checking_disabled else 0)
    head, tail = _around_name(rdtype, flags, edns_size)
    return _SHORT.pack(qid) + head + name_wire + tail


@lru_cache(maxsize=64)
def _around_name(rdtype: int, flags: int, edns_size: int | None) -> tuple[bytes, bytes]:
    """Return the octets between the ID and the name of a query, and those after the name."""
    head = struct.pack("!5H", flags, 1, 0, 0, int(edns_size is not None))
    tail = _QUESTION.pack(rdtype, IN)
    if edns_size is not None:
        tail += b"\0" + FIXED.pack(OPT, edns_size, 0, 0)
    return head, tail


def decode_message(data: bytes, *, answer_only: bool = False) -> Message:
    """Return the message in `data`. Raises WireError, and nothing else, if it is malformed.

    `answer_only`: without the sections after the answer section, so that it is `incomplete`.
    """
    size = len(data)
    if not _HEADER.size <= size <= MAX_MESSAGE:
        raise WireError("not the size of a DNS message", min(size, MAX_MESSAGE))
    qid, flags, questions, answers, authorities, additionals = _HEADER.unpack_from(data)
    question: list[tuple[str, int, int]] = []
    answer: list[Record] = []
    authority: list[Record] = []
    additional: list[Record] = []
    opts: list[Edns] = []
    names: dict[int, str] = {}
    incomplete = answer_only
    try:
        least = _HEADER.size + questions * _SMALLEST_QUESTION + answers * SMALLEST_RECORD
        _check_counts(answers, least, size)
        position = _read_questions(data, questions, names, question)
        position = read_section(data, position, answers, names, records=answer, opts=opts)
    except WireError:
        if not flags & _TC:
            raise
        incomplete = True
    if not incomplete:
        try:
            others = authorities + additionals
            _check_counts(answers + others, others * SMALLEST_RECORD, size - position)
            position = read_section(
                data, position, authorities, names, records=authority, opts=opts
            )
            read_section(data, position, additionals, names, records=additional, opts=opts)
        except WireError:
            incomplete = True
    rcode = flags & _RCODE
    edns = opts[0] if opts else None
    if edns is not None:
        rcode |= edns.upper_rcode << 4
    return Message(
        qid,
        flags,
        rcode,
        tuple(question),
        tuple(answer),
        tuple(authority),
        tuple(additional),
        edns,
        incomplete,
    )


def _check_counts(records: int, least: int, size: int) -> None:
    """Refuse counts of more records than fit into the message, before reading them."""
    if records > MAX_RECORDS or least > size:
        raise WireError("more records announced than there can be", _COUNTS)


def _read_questions(
    data: bytes, count: int, names: dict[int, str], question: list[tuple[str, int, int]]
) -> int:
    """Read the question section into `question` and return the offset after it."""
    position = _HEADER.size
    for _ in range(count):
        name, position = read_name(data, position, names)
        try:
            rdtype, rdclass = _QUESTION.unpack_from(data, position)
        except struct.error:
            raise WireError("a question that runs past the end", len(data)) from None
        question.append((name, rdtype, rdclass))
        position += _QUESTION.size
    return position
