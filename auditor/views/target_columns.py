"""The columns that follow from an address, worked out once for those of a /24."""

from __future__ import annotations

from typing import Final

from auditor.output.columns import octets_of, prefix_of, sort_key_of

__all__ = ["TargetColumns"]

#: By the last part of an IPv4 address: its octet, and how it ends a sort key.
_LAST: Final = {b"%d" % octet: (bytes((octet,)), b"%02x" % octet) for octet in range(256)}
_MAX_MEMO_ENTRIES: Final = 1 << 16


class TargetColumns:
    """Gives the values of the columns `address`, `sort_key` and `prefix`."""

    def __init__(self) -> None:
        #: By all but the last part of an IPv4 address: the values without what the last part adds.
        self._known: dict[bytes, tuple[bytes, bytes, bytes]] = {}

    def of(self, target: bytes) -> tuple[bytes, bytes, bytes]:
        """Return the values for an address. Raises ValueError for what is none."""
        network, _, last = target.rpartition(b".")
        known, ends = self._known.get(network), _LAST.get(last)
        if known is not None and ends is not None:
            return known[0] + ends[0], known[1] + ends[1], known[2]
        text = target.decode()
        address = octets_of(text)
        sort_key, prefix = sort_key_of(text).encode(), prefix_of(text).encode()
        if b":" not in target:
            if len(self._known) >= _MAX_MEMO_ENTRIES:
                self._known.clear()
            self._known[network] = address[:-1], sort_key[:-2], prefix
        return address, sort_key, prefix
