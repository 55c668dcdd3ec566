"""Maps of the IPv4 space that was audited, one for each block.

A block lies in one /16 and has a cell for each address, if every target has a row. Neighbouring
/16s make one block with a cell for each /24, and so does every /16 when there are too many
targets; when prefixes are counted by /16, the whole IPv4 space is one block with these cells.
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.findings.judge import VERDICTS
from auditor.views.report.rows import WIDTHS
from auditor.wire.addresses import V4

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from auditor.views.report.aggregate import PrefixCounts, ScanAggregate

__all__ = ["MapBlock", "blocks", "network"]

#: Maps on a page; of more blocks, those with the most targets.
_MAX_MAPS: Final = 64
_OCTET: Final = 8
_ADDRESS, _FINE, _COARSE = 32, 24, 16


class MapBlock(NamedTuple):
    """A prefix with `cell` bits to a cell, and its targets by verdict, in VERDICTS' order."""

    first: int
    length: int
    cell: int
    verdicts: tuple[int, ...]

    @property
    def text(self) -> str:
        """The prefix."""
        return network(V4, self.length, self.first >> (WIDTHS[V4] - self.length))

    @property
    def end(self) -> int:
        """The number of the address after the last one."""
        return self.first + (1 << (WIDTHS[V4] - self.length))


def network(version: int, length: int, number: int) -> str:
    """Return the prefix whose first `length` bits are `number`, as text."""
    first = number << (WIDTHS[version] - length)
    packed = first.to_bytes(WIDTHS[version] // _OCTET, "big")
    return str(ip_network((packed, length)))


def blocks(gathered: ScanAggregate) -> tuple[list[MapBlock], int]:
    """Return the blocks with the most targets, by address, and how many others there are."""
    found = {
        number: prefix
        for (version, _, number), prefix in gathered.prefixes.items()
        if version == V4
    }
    if not found:
        return [], 0
    if gathered.lengths[V4] == _COARSE:
        return [MapBlock(0, 0, _COARSE, _sum(found.values()))], 0
    every = []
    for run in _runs(sorted(found)):
        single = run[0] >> _OCTET == run[-1] >> _OCTET and gathered.complete
        length = _covering(run[0], run[-1])
        length = length if single else min(length, _COARSE)
        bits = WIDTHS[V4] - length
        first = run[0] << _OCTET >> bits << bits
        verdicts = _sum(found[number] for number in run)
        every.append(MapBlock(first, length, _ADDRESS if single else _FINE, verdicts))
    every.sort(key=lambda block: (-sum(block.verdicts), block.first))
    return sorted(every[:_MAX_MAPS]), len(every[_MAX_MAPS:])


def _runs(numbers: Sequence[int]) -> Iterator[list[int]]:
    """Yield the /24s, which are sorted, of each run of neighbouring /16s in one /8."""
    run: list[int] = []
    for number in numbers:
        if run:
            here, last = number >> _OCTET, run[-1] >> _OCTET
            if here > last + 1 or here >> _OCTET != last >> _OCTET:
                yield run
                run = []
        run.append(number)
    yield run


def _covering(first: int, last: int) -> int:
    """Return the length of the longest prefix that has both of two /24s in it."""
    return _FINE - (first ^ last).bit_length()


def _sum(prefixes: Iterable[PrefixCounts]) -> tuple[int, ...]:
    totals = [0] * len(VERDICTS)
    for prefix in prefixes:
        totals = [a + b for a, b in zip(totals, prefix.verdicts, strict=True)]
    return tuple(totals)
