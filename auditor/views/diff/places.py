"""Which findings are new or fixed between two results, and in which prefix most of them are.

    places = FindingPlaces()
    places.count_change(change)    # each object of `change`
    for finding in places.changed_findings(): finding.code, finding.added, finding.prefix

Memory is bounded: /24s and /48s beyond a limit are counted without their places, codes beyond one
not at all.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from auditor.views.prefixes import CELL_BITS, WIDTH, Prefix, split_address
from auditor.wire.addresses import V4, V6

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auditor.views.prefixes import Network

__all__ = ["FindingChange", "FindingPlaces"]

_MAX_CODES: Final = 512
_MAX_NETWORKS: Final = 1 << 16
#: The share of the changes that counts as most.
_MOST: Final = 0.75
#: Shorter prefixes belong to many networks, and do not locate a change.
_MIN_LENGTH: Final = {V4: 8, V6: 16}


class FindingChange(NamedTuple):
    """How often a finding is new and fixed; `prefix` holds `inside` of the more frequent kind.

    It is the longest prefix with three quarters of them; None if there is no such prefix.
    """

    code: str
    added: int
    removed: int
    prefix: Prefix | None
    inside: int


class FindingPlaces:
    """Counts new and fixed findings, by code and network."""

    def __init__(self, limit: int = _MAX_NETWORKS) -> None:
        self._counts: dict[str, list[int]] = {}
        self._networks: dict[tuple[str, int], Counter[Network]] = {}
        self._limit = limit
        self._size = 0

    def count_change(self, change: Mapping[str, Any]) -> None:
        """Count the findings of a change (see `changes.change`)."""
        findings = change["findings"]
        if not (findings["added"] or findings["removed"]):
            return
        place = split_address(change["target"]) if change["kind"] == "ip" else None
        for column, key in enumerate(("added", "removed")):
            for code in {finding["code"] for finding in findings[key]}:
                counts = self._counts.get(code)
                if counts is None:
                    if len(self._counts) >= _MAX_CODES:
                        continue
                    counts = self._counts[code] = [0, 0]
                counts[column] += 1
                if place is not None:
                    self._place(code, column, place[0])

    def _place(self, code: str, column: int, network: Network) -> None:
        networks = self._networks.setdefault((code, column), Counter())
        if network not in networks:
            if self._size >= self._limit:
                return
            self._size += 1
        networks[network] += 1

    def changed_findings(self) -> list[FindingChange]:
        """Return the new and fixed findings, the most frequent first."""
        changes = []
        for code, (added, removed) in self._counts.items():
            column = int(removed > added)
            prefix = _most(self._networks.get((code, column), Counter()), (added, removed)[column])
            inside = prefix.size if prefix else 0
            changes.append(FindingChange(code, added, removed, prefix, inside))
        return sorted(changes, key=lambda change: (-max(change.added, change.removed), change.code))


def _most(networks: Counter[Network], total: int) -> Prefix | None:
    """Return the longest prefix of a /24 or /48 or less with most of `total` addresses in it."""
    versions: Counter[int] = Counter()
    for (version, _), count in networks.items():
        versions[version] += count
    for version, size in versions.most_common(1):
        if size < _MOST * total:
            break
        inside = {number: count for (ip, number), count in networks.items() if ip == version}
        bits = CELL_BITS[version]
        # By the first bits that all have: the half with most of them, as long as there is one.
        shift = (min(inside) ^ max(inside)).bit_length()
        while shift:
            halves: Counter[int] = Counter()
            for number, count in inside.items():
                halves[number >> (shift - 1)] += count
            ((half, count),) = halves.most_common(1)
            if count < _MOST * total:
                break
            inside = {number: n for number, n in inside.items() if number >> (shift - 1) == half}
            shift = (min(inside) ^ max(inside)).bit_length()
        first = (min(inside) >> shift << shift) << (WIDTH[version] - bits)
        if bits - shift >= _MIN_LENGTH[version]:
            return Prefix(version, first, bits - shift, sum(inside.values()))
    return None
