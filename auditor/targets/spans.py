"""Spans of addresses as numbers, and their canonical text, one by one and in bulk.

No parsing of items here: `parse` does that. `span_targets` is the hot path of a scan.
"""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_ntop, inet_pton
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.targets.target import Target

if TYPE_CHECKING:
    from auditor.targets.target import Origin

__all__ = ["Span", "address_text", "parse_address", "span_targets"]

V4: Final = 4
V6: Final = 6
#: ::ffff:0:0/96, the IPv4-mapped addresses (RFC 4291 §2.5.5.2).
MAPPED: Final = bytes(10) + b"\xff\xff"

_DECIMAL: Final = tuple(map(str, range(256)))
_HEX: Final = tuple(f"{number:x}" for number in range(256))
_HEX_PADDED: Final = tuple(f"{number:02x}" for number in range(256))
_NEW: Final = tuple.__new__
_BYTE: Final = 0xFF


class Span(NamedTuple):
    """The addresses `first` to `last`, both included, of IP `version` 4 or 6."""

    version: int
    first: int
    last: int

    @property
    def size(self) -> int:
        """The number of addresses."""
        return self.last - self.first + 1


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
    if packed.startswith(MAPPED):
        return V4, int.from_bytes(packed[12:])
    return V6, int.from_bytes(packed)


def address_text(version: int, number: int) -> str:
    """Return the canonical text of an address (RFC 5952 for IPv6)."""
    if version == V4:
        return inet_ntop(AF_INET, number.to_bytes(4))
    if number >> 48:
        return inet_ntop(AF_INET6, number.to_bytes(16))
    # The C library writes ::a.b.c.d and ::ffff:a.b.c.d with dots here. The first form is
    # deprecated (RFC 4291 §2.5.5.1), so RFC 5952 §5 has no business with it: plain hex.
    low = [f"{number >> shift & 0xFFFF:x}" for shift in (32, 16, 0)]
    while low and low[0] == "0":
        del low[0]
    return "::" + ":".join(low)


def span_targets(version: int, first: int, count: int, origin: Origin) -> list[Target]:
    """Return targets for `count` addresses from `first` on."""
    targets: list[Target] = []
    while count > 0:
        low = first & _BYTE
        take = min(count, 256 - low)
        if version == V4:
            prefix = inet_ntop(AF_INET, first.to_bytes(4))[: -len(_DECIMAL[low])]
            table = _DECIMAL
        else:
            prefix, table = _shared_v6(first)
        kind = "ip"
        targets += [
            _NEW(Target, (prefix + tail, kind, version, origin, None))
            for tail in table[low : low + take]
        ]
        if version == V6 and not first & 0xFFFF:
            # A last group of 0 may be part of the zeros that `::` stands for.
            targets[-take] = Target(address_text(V6, first), "ip", V6, origin)
        first += take
        count -= take
    return targets


def _shared_v6(number: int) -> tuple[str, tuple[str, ...]]:
    """Return what the texts of a run of 256 addresses share, and the table of their tails.

    With a last group other than 0 the zeros that `::` replaces are among the seven groups
    before it (RFC 5952 §4.2.3), so everything up to the last colon is the same.
    """
    before = address_text(V6, number >> 16 << 16 | 1)[:-1]
    high = number >> 8 & _BYTE
    return (before + _HEX[high], _HEX_PADDED) if high else (before, _HEX)
