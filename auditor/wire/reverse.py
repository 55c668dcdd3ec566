"""Addresses, their canonical text, and the names they have in the reverse trees.

`in-addr.arpa` (RFC 1035 §3.5), `ip6.arpa` (RFC 3596 §2.5) and the owner names of
classless delegations (RFC 2317). Addresses are text, or packed octets in network order.
"""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from struct import Struct
from typing import Final, Literal, TypeAlias

__all__ = [
    "ClasslessStyle",
    "address_of",
    "address_text",
    "classless_owner",
    "parent",
    "reverse_name",
]

#: How the extra label of RFC 2317 is spelt: `0/26`, `0-26`, `0_26`, or `0-63`.
ClasslessStyle: TypeAlias = Literal["slash", "dash", "underscore", "range"]

_SEPARATORS: Final[dict[str, str]] = {"slash": "/", "dash": "-", "underscore": "_"}
_IN_ADDR: Final = ".in-addr.arpa"
_IP6: Final = ".ip6.arpa"
_OCTETS: Final = frozenset(map(str, range(256)))

_GROUPS: Final = Struct("!8H")
_MAPPED: Final = bytes(10) + b"\xff\xff"
_COMPATIBLE: Final = bytes(12)
# The longest run is looked for first (RFC 5952 §4.2.1), never a single group (§4.2.2).
_ZERO_RUNS: Final = tuple(":" + "0:" * groups for groups in range(8, 1, -1))

# Thirty-two nibbles, last one first.
_NIBBLES: Final = re.compile(r"[0-9a-f](?:\.[0-9a-f]){31}")
_EXTRA: Final = re.compile(r"([0-9]{1,3})([-/_])([0-9]{1,3})")

_CLASSFUL_BITS: Final = 24  # what RFC 2317 divides is a /24
_IPV4_BITS: Final = 32


def address_text(packed: bytes) -> str:
    """Return the canonical text of 4 or 16 octets (RFC 5952), as `inet_ntop` of the glibc has it.

    IPv4-mapped and IPv4-compatible addresses end in dotted form (RFC 5952 §5).
    """
    if len(packed) == 4:  # noqa: PLR2004 - IPv4
        return "%d.%d.%d.%d" % tuple(packed)  # noqa: UP031 - quicker than an f-string here
    head = packed[:12]
    if head == _MAPPED:
        return "::ffff:" + address_text(packed[12:])
    if head == _COMPATIBLE and packed[12:14] != b"\0\0":
        return "::" + address_text(packed[12:])
    text = ":%x:%x:%x:%x:%x:%x:%x:%x:" % _GROUPS.unpack(packed)  # noqa: UP031 - as above
    if ":0:0:" in text:
        for run in _ZERO_RUNS:
            if run in text:
                text = text.replace(run, "::", 1)
                break
    # The colons that were added at the ends go, those of a run at the end stay.
    start = 0 if text.startswith("::") else 1
    return text[start:] if text.endswith("::") else text[start:-1]


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


def address_of(name: str) -> str | None:
    """Return the address that a canonical owner name stands for, or None.

    Only whole addresses, not the names of blocks. Of RFC 2317 owners those under
    `in-addr.arpa`: the last octet, one more label, and the other three octets. The label
    may be any word; a range or a prefix must hold the octet, and a number alone is
    ambiguous, since it might as well be an octet.
    """
    if name.endswith(_IN_ADDR):
        labels = name[: -len(_IN_ADDR)].split(".")
        if len(labels) == 5 and _delegates(labels[1], labels[0]):  # noqa: PLR2004 - RFC 2317
            del labels[1]
        if len(labels) == 4 and _OCTETS.issuperset(labels):  # noqa: PLR2004 - IPv4
            return f"{labels[3]}.{labels[2]}.{labels[1]}.{labels[0]}"
    elif name.endswith(_IP6):
        nibbles = name[: -len(_IP6)]
        if _NIBBLES.fullmatch(nibbles):
            return address_text(bytes.fromhex(nibbles[::-2]))
    return None


def _delegates(label: str, octet: str) -> bool:
    """Tell whether an RFC 2317 label can hold an octet (both as they stand in the name)."""
    if octet not in _OCTETS or label.isdigit() or "\\" in label:
        return False
    spelt = _EXTRA.fullmatch(label)
    if spelt is None:
        return True
    first, value, last = int(spelt[1]), int(octet), int(spelt[3])
    # `0-26` may be the octets 0 to 26 or the prefix 0/26: one of them must hold.
    if spelt[2] == "-" and first <= value <= last:
        return True
    if not _CLASSFUL_BITS <= last <= _IPV4_BITS:
        return False
    return first <= value < first + (1 << _IPV4_BITS - last)


def classless_owner(address: str, prefix_length: int, style: ClasslessStyle = "slash") -> str:
    """Return the owner name that RFC 2317 §4 gives an IPv4 address in a block below a /24.

    `198.51.100.7` in a /26 is `7.0/26.100.51.198.in-addr.arpa`. Raises ValueError for what
    is not an IPv4 address, and for prefixes other than /25 to /32.
    """
    octets = address.split(".")
    if len(octets) != 4 or not _OCTETS.issuperset(octets):  # noqa: PLR2004 - IPv4
        raise ValueError(f"not an IPv4 address: {address!r}")
    if not _CLASSFUL_BITS < prefix_length <= _IPV4_BITS:
        raise ValueError(f"a classless delegation is a /25 to a /32, not a /{prefix_length}")
    size = 1 << _IPV4_BITS - prefix_length
    first = int(octets[3]) // size * size
    if style == "range":
        label = f"{first}-{first + size - 1}"
    else:
        label = f"{first}{_SEPARATORS[style]}{prefix_length}"
    return f"{octets[3]}.{label}.{octets[2]}.{octets[1]}.{octets[0]}{_IN_ADDR}"


def parent(name: str) -> str:
    """Return a canonical name without its first label; the root's parent is the root."""
    if "\\" not in name:
        return name.partition(".")[2] or "."
    position = 0
    while position < len(name) and name[position] != ".":
        # `\\DDD` has no dot, so skipping one character after the backslash is enough.
        position += 2 if name[position] == "\\" else 1
    return name[position + 1 :] or "."
