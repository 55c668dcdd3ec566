"""Addresses and prefixes to their names in the reverse trees, and back.

`in-addr.arpa` (RFC 1035 §3.5), `ip6.arpa` (RFC 3596 §2.5) and the names of classless delegations
below in-addr.arpa (RFC 2317). Addresses are text, names canonical.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import Final, NamedTuple

from auditor.wire.addresses import V4, V6

__all__ = [
    "Prefix",
    "classless_address",
    "classless_block",
    "is_reverse",
    "reverse_name",
    "reverse_prefix",
]

_IN_ADDR: Final = ".in-addr.arpa"
_IP6: Final = ".ip6.arpa"
#: Suffixes of all names in the reverse trees.
_REVERSE_TREES: Final = (_IN_ADDR, _IP6)
_OCTETS: Final = frozenset(map(str, range(256)))

# Up to thirty-two nibbles, last one first.
_NIBBLES: Final = re.compile(r"[0-9a-f](?:\.[0-9a-f]){0,31}")
#: The extra label of RFC 2317: `0/26`, `0-26`, `0_26`, or `0-63`.
_EXTRA: Final = r"([0-9]{1,3})([-/_])([0-9]{1,3})"

_CLASSFUL_BITS: Final = 24  # RFC 2317 divides a /24
_IPV4_BITS: Final = 32
_V4_LABELS: Final = 4


class Prefix(NamedTuple):
    """The prefix of `length` bits that begins with the address `first`, of IP `version`."""

    version: int
    first: int
    length: int


def reverse_name(address: str) -> str:
    """Return the owner name of an address in its reverse tree.

    Raises ValueError when `address` is not an address.
    """
    octets = address.split(".")
    if len(octets) == 4 and _OCTETS.issuperset(octets):  # noqa: PLR2004 - IPv4
        return f"{octets[3]}.{octets[2]}.{octets[1]}.{octets[0]}.in-addr.arpa"
    try:
        v6 = IPv6Address(address)
    except ValueError:
        v6 = None
    if v6 is None or v6.scope_id is not None:
        raise ValueError(f"not an IP address: {address!r}")
    return ".".join(v6.packed.hex()[::-1]) + _IP6


def is_reverse(name: str) -> bool:
    """Whether a name is in a reverse tree, where hosts have no names (RFC 3172 §2)."""
    return f".{name}".endswith(_REVERSE_TREES)


def reverse_prefix(name: str) -> Prefix | None:
    """Return the prefix of a name in lower case, mostly a single address; None if it has none."""
    if name.endswith(_IN_ADDR):
        labels = name[: -len(_IN_ADDR)].split(".")
        if len(labels) > _V4_LABELS or not _OCTETS.issuperset(labels):
            return None
        octets = bytes(map(int, reversed(labels)))
        return Prefix(V4, int.from_bytes(octets.ljust(4, b"\0")), 8 * len(octets))
    nibbles = name.removesuffix(_IP6)
    if nibbles == name or not _NIBBLES.fullmatch(nibbles):
        return None
    digits = nibbles[::-2]
    return Prefix(V6, int(digits.ljust(32, "0"), 16), 4 * len(digits))


def classless_address(name: str) -> str | None:
    """Return the address of a name in a classless delegation (RFC 2317), or None.

    The last octet, one more label, and the other three octets. The label may be any word; a range
    or a prefix must contain the octet, and a number alone is ambiguous, since it might be an
    octet.
    """
    labels = name[: -len(_IN_ADDR)].split(".") if name.endswith(_IN_ADDR) else []
    if len(labels) != _V4_LABELS + 1 or not _delegates(labels[1], labels[0]):
        return None
    del labels[1]
    return ".".join(reversed(labels)) if _OCTETS.issuperset(labels) else None


def classless_block(name: str) -> str | None:
    """Return the range or prefix, as text, of the apex of a classless delegation."""
    labels = name[: -len(_IN_ADDR)].split(".") if name.endswith(_IN_ADDR) else []
    if len(labels) != _V4_LABELS or not _OCTETS.issuperset(labels[1:]):
        return None
    spelt = re.fullmatch(_EXTRA, labels[0])
    if spelt is None or spelt[1] not in _OCTETS:
        return None
    first, last = int(spelt[1]), int(spelt[3])
    address = ".".join([*reversed(labels[1:]), spelt[1]])
    is_prefix = _CLASSFUL_BITS < last <= _IPV4_BITS and not first % (1 << _IPV4_BITS - last)
    # `0-31` are 32 addresses, `0-26` is a prefix: a range is as large as a prefix can be.
    is_range = spelt[2] == "-" and first < last and spelt[3] in _OCTETS
    if is_range and not (is_prefix and (last - first + 1).bit_count() > 1):
        return f"{address}-{last}"
    return f"{address}/{last}" if is_prefix else None


def _delegates(label: str, octet: str) -> bool:
    """Tell whether the range of an RFC 2317 label can contain an octet (both as text)."""
    if octet not in _OCTETS or label.isdigit() or "\\" in label:
        return False
    spelt = re.fullmatch(_EXTRA, label)
    if spelt is None:
        return True
    first, value, last = int(spelt[1]), int(octet), int(spelt[3])
    # `0-26` may be the octets 0 to 26 or the prefix 0/26: one of them must contain it.
    if spelt[2] == "-" and first <= value <= last:
        return True
    if not _CLASSFUL_BITS <= last <= _IPV4_BITS:
        return False
    return first <= value < first + (1 << _IPV4_BITS - last)
