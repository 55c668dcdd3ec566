"""Special-purpose addresses (RFC 6890): which ones the public internet can reach.

The IANA special-purpose registries (RFC 6890) and multicast. Two deviations, on purpose:
the documentation blocks (RFC 5737, RFC 3849, RFC 9637) pass as global, because they are
meant for examples and tests; and a global assignment inside a block that is not global (such as
192.0.0.9, RFC 7723) counts as not global, since no mail server can have one.
"""

from __future__ import annotations

from typing import Final

__all__ = ["is_global"]

_THIS_NETWORK_OR_WHOLLY_SPECIAL: Final = frozenset(
    {"0", "10", "127", *map(str, range(224, 256))}  # multicast, class E, broadcast
)
#: First octet → (mask, value) of the special blocks that start with it, of the next two octets.
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


def is_global(address: str, version: int) -> bool:
    """Whether the address (canonical text, `version` 4 or 6) is one for the public internet."""
    if version == 4:  # noqa: PLR2004 - IP versions
        first, _, rest = address.partition(".")
        if first in _THIS_NETWORK_OR_WHOLLY_SPECIAL:
            return False
        blocks = _SPECIAL_V4.get(first)
        if blocks is None:
            return True
        second, third, _ = rest.split(".")
        octets = int(second) << 8 | int(third)
        return all(octets & mask != value for mask, value in blocks)
    # Only 2000::/3 is given out as global unicast (RFC 4291 §2.4, IANA).
    if address[4:5] != ":" or address[0] not in "23":
        return False
    if not address.startswith("2001:"):
        return True
    second = address[5 : address.index(":", 5)] if ":" in address[5:] else address[5:]
    return int(second or "0", 16) >= _ASSIGNMENTS_END
