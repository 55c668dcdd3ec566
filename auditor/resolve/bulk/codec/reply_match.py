"""Matches a packet with the query that it replies to, by its octets, before it is decoded."""

from __future__ import annotations

from typing import Final

from auditor.wire.codes import FORMERR, NOTIMP

__all__ = ["HEADER_OCTETS", "echoes", "is_response", "refusal"]

HEADER_OCTETS: Final = 12  #: octets before the question
_TYPE_CLASS_OCTETS: Final = 4

#: QR and opcode in the third octet, and what they are in a response to a standard query.
_QR_OPCODE_MASK: Final = 0xF8
_RESPONSE: Final = 0x80

#: RCODEs with which old servers refuse EDNS, some with nothing but a header (RFC 6891 §7).
_EDNS_REFUSALS: Final = {1: FORMERR, 4: NOTIMP}


def is_response(data: bytes) -> bool:
    """Tell whether a packet with a whole header is the response to a standard query."""
    return data[2] & _QR_OPCODE_MASK == _RESPONSE


def refusal(data: bytes, *, plain: bool) -> str | None:
    """Return the status of a reply that is nothing but a header, with FORMERR or NOTIMP.

    `plain`: the query carried no EDNS. Then nothing excuses a reply that does not hold the
    question, which is all that a forger who guesses port and ID has to invent.
    """
    return _EDNS_REFUSALS.get(data[3] & 0x0F) if len(data) == HEADER_OCTETS and not plain else None


def echoes(data: bytes, asked: bytes) -> bool:
    """Tell whether a packet holds a question as it was sent, but for the letters' case."""
    end = HEADER_OCTETS + len(asked)
    cut = end - _TYPE_CLASS_OCTETS
    return (
        data[cut:end] == asked[-_TYPE_CLASS_OCTETS:]
        and data[HEADER_OCTETS:cut].lower() == asked[:-_TYPE_CLASS_OCTETS].lower()
    )
