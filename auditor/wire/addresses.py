"""Addresses as octets, as numbers and as text: one canonical text for each.

RFC 5952 for IPv6. An IPv4-mapped address ends in dotted form (RFC 5952 §5). The form
`::a.b.c.d` for the other addresses in ::/96 is deprecated (RFC 4291 §2.5.5.1): those are
written in hex like the rest, where the C library writes them with dots.
"""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_ntoa, inet_ntop, inet_pton
from typing import Final

__all__ = [
    "MAPPED_PREFIX",
    "V4",
    "V6",
    "address_text",
    "format_address",
    "number_of",
    "parse_address",
]

V4: Final = 4
V6: Final = 6
#: ::ffff:0:0/96, the IPv4-mapped addresses (RFC 4291 §2.5.5.2).
MAPPED_PREFIX: Final = bytes(10) + b"\xff\xff"

_IPV4_OCTETS: Final = 4
_ZEROS: Final = bytes(12)


def address_text(packed: bytes) -> str:
    """Return the canonical text of 4 or 16 octets."""
    if len(packed) == _IPV4_OCTETS:
        return inet_ntoa(packed)
    if packed.startswith(_ZEROS):
        high, low = int.from_bytes(packed[12:14]), int.from_bytes(packed[14:])
        if high:
            return f"::{high:x}:{low:x}"
    return inet_ntop(AF_INET6, packed)


def format_address(version: int, number: int) -> str:
    """Return the canonical text of an address as IP version (4 or 6) and number."""
    return address_text(number.to_bytes(_IPV4_OCTETS if version == V4 else 16))


def number_of(address: str) -> int:
    """Return the number of an address. Raises OSError if the text is none."""
    return int.from_bytes(inet_pton(AF_INET6 if ":" in address else AF_INET, address))


def parse_address(text: str) -> tuple[int, int] | None:
    """Return (version, number) of an address, None if `text` is none.

    An IPv4-mapped address is the IPv4 address in it: it stands for an IPv4 connection
    seen through an IPv6 socket, its PTR record is in in-addr.arpa, and SPF "MUST" treat
    it so (RFC 7208 §5).
    """
    try:
        if ":" not in text:
            return V4, int.from_bytes(inet_pton(AF_INET, text))
        packed = inet_pton(AF_INET6, text)
    except (OSError, ValueError):  # ValueError: a NUL, a lone surrogate
        return None
    if packed.startswith(MAPPED_PREFIX):
        return V4, int.from_bytes(packed[12:])
    return V6, int.from_bytes(packed)
