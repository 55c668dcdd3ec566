"""Addresses as octets, as numbers and as text: one canonical text for each.

RFC 5952 for IPv6. An IPv4-mapped address ends in dotted form (RFC 5952 §5). The form
`::a.b.c.d` for other addresses in ::/96 is deprecated (RFC 4291 §2.5.5.1): these are written
in hex like the rest, unlike in the C library.
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
    "is_global",
    "number_of",
    "parse_address",
]

V4: Final = 4
V6: Final = 6
#: ::ffff:0:0/96, the IPv4-mapped addresses (RFC 4291 §2.5.5.2).
MAPPED_PREFIX: Final = bytes(10) + b"\xff\xff"

_IPV4_OCTETS: Final = 4
_ZEROS: Final = bytes(12)

_THIS_NETWORK_OR_WHOLLY_SPECIAL: Final = frozenset(
    {"0", "10", "127", *map(str, range(224, 256))}  # multicast, class E, broadcast
)
#: First octet → (mask, value) for the next two octets, of the special blocks that start with it.
_SPECIAL_V4: Final = {
    "100": ((0xC000, 0x4000),),  # 100.64.0.0/10: carrier-grade NAT (RFC 6598)
    "169": ((0xFF00, 0xFE00),),  # 169.254.0.0/16: link-local (RFC 3927)
    "172": ((0xF000, 0x1000),),  # 172.16.0.0/12: private (RFC 1918)
    "192": (
        (0xFF00, 0xA800),  # 192.168.0.0/16: private (RFC 1918)
        (0xFFFF, 0x0000),  # 192.0.0.0/24: IETF protocol assignments
    ),
    "198": ((0xFE00, 0x1200),),  # 198.18.0.0/15: benchmarking (RFC 2544)
}
#: 2001::/23, IETF protocol assignments (Teredo, benchmarking, ORCHID): second group below it.
_ASSIGNMENTS_END: Final = 0x200


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
    """Return an address as a number. Raises OSError if the text is not an address."""
    return int.from_bytes(inet_pton(AF_INET6 if ":" in address else AF_INET, address))


def parse_address(text: str) -> tuple[int, int] | None:
    """Return (version, number) of an address, None if `text` is not an address.

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


def is_global(address: str, version: int) -> bool:
    """Tell whether an address (canonical text, `version` 4 or 6) can be reached from the internet.

    By the IANA special-purpose registries (RFC 6890), and multicast. Two deviations, on purpose:
    the documentation blocks (RFC 5737, RFC 3849, RFC 9637) pass as global, because they are
    meant for examples and tests; and a global assignment inside a block that is not global (such
    as 192.0.0.9, RFC 7723) counts as not global, since no mail server can have one.
    """
    if version == V4:
        first, _, rest = address.partition(".")
        if first in _THIS_NETWORK_OR_WHOLLY_SPECIAL:
            return False
        blocks = _SPECIAL_V4.get(first)
        if blocks is None:
            return True
        second, third, _ = rest.split(".")
        octets = int(second) << 8 | int(third)
        return all(octets & mask != value for mask, value in blocks)
    # Only 2000::/3 is assigned as global unicast (RFC 4291 §2.4, IANA).
    if address[4:5] != ":" or address[0] not in "23":
        return False
    if not address.startswith("2001:"):
        return True
    second = address[5 : address.index(":", 5)] if ":" in address[5:] else address[5:]
    return int(second or "0", 16) >= _ASSIGNMENTS_END
