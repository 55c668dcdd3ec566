"""Messages of a zone transfer (AXFR, RFC 5936): the records and the TSIG record of each."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.errors import WireError
from auditor.wire.message import MAX_MESSAGE
from auditor.wire.records import Record, read_name, read_section

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.wire.records import Edns

__all__ = ["TSIG", "TransferMessage", "read_transfer_message"]

TSIG: Final = 250
_HEADER: Final = struct.Struct("!6H")
_QUESTION_FIXED: Final = 4  # type and class, octets
_RCODE: Final = 0x000F
_QR: Final = 0x8000


class TransferMessage(NamedTuple):
    """One message of a transfer: the records of its answer section.

    `signature`: the TSIG record, the last one of the message, and `signed`: the number of octets
    before it; None and 0 without one.
    """

    id: int
    is_reply: bool
    rcode: int
    records: Sequence[Record]
    signature: Record | None
    signed: int


def read_transfer_message(data: bytes) -> TransferMessage:
    """Return the content of a message. Raises WireError."""
    if not _HEADER.size <= len(data) <= MAX_MESSAGE:
        raise WireError("not the size of a DNS message", min(len(data), MAX_MESSAGE))
    qid, flags, questions, answers, authorities, additionals = _HEADER.unpack_from(data)
    names: dict[int, str] = {}
    opts: list[Edns] = []
    records: list[Record] = []
    position = _HEADER.size
    for _ in range(questions):
        _, position = read_name(data, position, names)
        position += _QUESTION_FIXED
    position = read_section(data, position, answers, names, records=records, opts=opts)
    others: list[Record] = []
    position = read_section(data, position, authorities, names, records=others, opts=opts)
    signature = None
    signed = 0
    for number in range(additionals):
        others.clear()
        start = position
        position = read_section(data, position, 1, names, records=others, opts=opts)
        if number == additionals - 1 and others and others[0].rdtype == TSIG:
            signature, signed = others[0], start
    return TransferMessage(qid, flags & _QR != 0, flags & _RCODE, records, signature, signed)
