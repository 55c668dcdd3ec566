"""Outbound hosts: the addresses in results and in lists, with the kind of PTR name they have."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from auditor.wire.address_set import overlaps, take_range, uncovered, union
from auditor.wire.addresses import V4, V6, format_address, number_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from auditor.wire.address_set import Interval

__all__ = ["PTR_KINDS", "HostRun", "Hosts"]

#: Kinds of a host's PTR: a name, a generic name, none, a failed lookup; or not known, since the
#: host is only listed.
PTR_KINDS: Final = ("named", "generic", "missing", "undetermined", "not_audited")
_DENIED: Final = frozenset({"NXDOMAIN", "NODATA"})


class HostRun(NamedTuple):
    """Neighbouring hosts with the same kind of PTR."""

    version: int
    first: int
    last: int
    ptr: str


class Hosts:
    """The hosts, by IP version and PTR."""

    __slots__ = ("_listed", "_numbers")

    def __init__(self, listed: Iterable[tuple[int, int, int]] = ()) -> None:
        spans = list(listed)
        self._listed = {
            version: union((first, last) for ip, first, last in spans if ip == version)
            for version in (V4, V6)
        }
        self._numbers: dict[tuple[int, str], list[int]] = {}

    def __bool__(self) -> bool:
        return bool(self._numbers) or any(self._listed.values())

    @property
    def are_audited(self) -> bool:
        """Whether there are hosts of results."""
        return bool(self._numbers)

    def add_records(self, records: Iterable[Mapping[str, Any]]) -> list[str]:
        """Take the addresses of results; return the domains among their targets."""
        domains = []
        for record in records:
            if record["kind"] == "domain":
                domains.append(record["target"])
            elif record["kind"] == "ip":
                address = record["target"]
                key = V6 if ":" in address else V4, _ptr_kind(record)
                self._numbers.setdefault(key, []).append(number_of(address))
        for key, numbers in self._numbers.items():
            self._numbers[key] = sorted(set(numbers))
        return domains

    def count_by_ptr(self, version: int, first: int, last: int) -> dict[str, int]:
        """Return how many hosts there are in a range, by PTR; all that are audited."""
        shares = {}
        for kind in PTR_KINDS[:-1]:
            numbers = self._numbers.get((version, kind), ())
            shares[kind] = bisect_right(numbers, last) - bisect_left(numbers, first)
        return shares

    def first(self, version: int, first: int, last: int, kind: str, most: int) -> list[str]:
        """Return the first hosts of a range with that kind of PTR."""
        numbers = self._numbers.get((version, kind), [])
        start = bisect_left(numbers, first)
        end = min(bisect_right(numbers, last), start + most)
        return [format_address(version, number) for number in numbers[start:end]]

    def outside(self, version: int, covered: list[Interval]) -> Iterator[HostRun]:
        """Yield the hosts that are in none of the ranges, in order."""
        runs: list[HostRun] = []
        listed = list(self._listed[version])
        for kind in PTR_KINDS[:-1]:
            for first, last in _runs(self._numbers.get((version, kind), ())):
                take_range(listed, first, last)
                runs += [
                    HostRun(version, *gap, kind) for gap in uncovered(covered, first, last)
                ]  # fmt: skip
        runs += [
            HostRun(version, *gap, PTR_KINDS[-1])
            for first, last in listed
            for gap in uncovered(covered, first, last)
        ]
        yield from sorted(runs)

    def covered(self, version: int, ranges: list[Interval]) -> int:
        """Return how many hosts are in any of the ranges."""
        every = union(
            [
                *self._listed[version],
                *(
                    run
                    for kind in PTR_KINDS[:-1]
                    for run in _runs(self._numbers.get((version, kind), ()))
                ),
            ]
        )
        return sum(
            high - low + 1 for first, last in every for low, high in overlaps(ranges, first, last)
        )


def _ptr_kind(record: Mapping[str, Any]) -> str:
    status = record["ptr"]["status"]
    if status == "NOERROR":
        is_generic = any(finding["code"] == "PTR_GENERIC" for finding in record["findings"])
        return "generic" if is_generic else "named"
    return "missing" if status in _DENIED else "undetermined"


def _runs(numbers: Sequence[int]) -> Iterator[Interval]:
    """Yield sorted numbers as intervals."""
    first = last = -2
    for number in numbers:
        if number != last + 1:
            if first >= 0:
                yield first, last
            first = number
        last = number
    if first >= 0:
        yield first, last
