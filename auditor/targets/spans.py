"""Spans of addresses as numbers, and their canonical text in bulk.

`item` parses the text of items. `span_targets` is on the hot path of a scan.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.targets.target import Target
from auditor.wire.addresses import V4, V6, format_address

if TYPE_CHECKING:
    from auditor.targets.target import Origin

__all__ = ["Span", "span_targets"]

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


def span_targets(version: int, first: int, count: int, origin: Origin) -> list[Target]:
    """Return targets for `count` addresses from `first` on."""
    targets: list[Target] = []
    while count > 0:
        low = first & _BYTE
        take = min(count, 256 - low)
        if version == V4:
            prefix = format_address(V4, first)[: -len(_DECIMAL[low])]
            table = _DECIMAL
        else:
            prefix, table = _shared_v6(first)
        kind = "ip"
        targets += [
            _NEW(Target, (prefix + tail, kind, version, origin, None))
            for tail in table[low : low + take]
        ]
        if version == V6 and not first & 0xFFFF:
            # A last group of 0 may be among the zeros that `::` replaces.
            targets[-take] = Target(format_address(V6, first), "ip", V6, origin)
        first += take
        count -= take
    return targets


def _shared_v6(number: int) -> tuple[str, tuple[str, ...]]:
    """Return the common start of the texts of 256 addresses in a row, and their endings.

    With a last group other than 0 the zeros that `::` replaces are among the seven groups
    before it (RFC 5952 §4.2.3), so everything up to the last colon is the same.
    """
    before = format_address(V6, number >> 16 << 16 | 1)[:-1]
    high = number >> 8 & _BYTE
    return (before + _HEX[high], _HEX_PADDED) if high else (before, _HEX)
