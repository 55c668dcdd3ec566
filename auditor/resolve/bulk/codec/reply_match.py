"""Matches a packet with its query by header and question, before it is decoded."""

from __future__ import annotations

from typing import Final

from auditor.wire.codes import FORMERR, NOTIMP

__all__ = ["HEADER_OCTETS", "echoes", "is_response", "refusal"]

HEADER_OCTETS: Final = 12  #: octets before the question
_TYPE_CLASS_OCTETS: Final = 4

#: QR and opcode in the third octet, and their value in a response to a standard query.
_QR_OPCODE_MASK: Final = 0xF8
_RESPONSE: Final = 0x80

#: RCODEs of servers without EDNS; some send only a header (RFC 6891 §7).
_EDNS_REFUSALS: Final = {1: FORMERR, 4: NOTIMP}


def is_response(data: bytes) -> bool:
    """Tell whether a packet of at least a header is a response to a standard query."""
    return data[2] & _QR_OPCODE_MASK == _RESPONSE


def refusal(data: bytes, *, plain: bool) -> str | None:
    """Return FORMERR or NOTIMP for a reply that is only a header with that RCODE, else None.

    `plain`: the query carried no EDNS. Then a reply without the question is never accepted,
    since it could be forged by guessing port and ID.
    """
    return _EDNS_REFUSALS.get(data[3] & 0x0F) if len(data) == HEADER_OCTETS and not plain else None


def echoes(data: bytes, asked: bytes) -> bool:
    """Tell whether a packet repeats the question that was sent, ignoring letter case."""
    end = HEADER_OCTETS + len(asked)
    cut = end - _TYPE_CLASS_OCTETS
    return (
        data[cut:end] == asked[-_TYPE_CLASS_OCTETS:]
        and data[HEADER_OCTETS:cut].lower() == asked[:-_TYPE_CLASS_OCTETS].lower()
    )
