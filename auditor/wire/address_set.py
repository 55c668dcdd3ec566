"""Sets of addresses as sorted, disjoint intervals of integers, both ends included.

A set is a list of (first, last) pairs with a gap between neighbours. The cost of an operation
grows with the number of intervals, never with that of addresses.
"""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable
    from ipaddress import IPv4Network, IPv6Network

__all__ = [
    "EVERYTHING",
    "Interval",
    "add_range",
    "address_count",
    "by_version",
    "intersection",
    "overlaps",
    "take_range",
    "uncovered",
    "union",
]

Interval: TypeAlias = tuple[int, int]

#: All addresses of an IP version.
EVERYTHING: Final[dict[int, Interval]] = {4: (0, (1 << 32) - 1), 6: (0, (1 << 128) - 1)}

_MAPPED: Final[Interval] = (0xFFFF << 32, 0xFFFF << 32 | 0xFFFF_FFFF)  # ::ffff:0:0/96


def union(ranges: Iterable[Interval]) -> list[Interval]:
    """Return the union of any intervals."""
    merged: list[Interval] = []
    low = high = -1
    for first, last in sorted(ranges):
        if merged and first <= high + 1:
            if last > high:
                high = last
                merged[-1] = (low, high)
            continue
        low, high = first, last
        merged.append((low, high))
    return merged


def take_range(ranges: list[Interval], first: int, last: int) -> list[Interval]:
    """Remove the addresses from `first` to `last` from a set, in place, and return them."""
    start = bisect_left(ranges, (first,))
    if start and ranges[start - 1][1] >= first:
        start -= 1
    end = bisect_left(ranges, (last + 1,), start)
    if start == end:
        return []
    taken = ranges[start:end]
    low, _ = taken[0]
    _, high = taken[-1]
    rest = []
    if low < first:
        rest.append((low, first - 1))
        taken[0] = (first, taken[0][1])
    if high > last:
        rest.append((last + 1, high))
        taken[-1] = (taken[-1][0], last)
    ranges[start:end] = rest
    return taken


def add_range(ranges: list[Interval], first: int, last: int) -> None:
    """Add the addresses from `first` to `last` to a set, in place."""
    start = bisect_left(ranges, (first,))
    if start and ranges[start - 1][1] >= first - 1:
        start -= 1
    end = bisect_left(ranges, (last + 2,), start)
    if start < end:
        first, last = min(first, ranges[start][0]), max(last, ranges[end - 1][1])
    ranges[start:end] = [(first, last)]


def overlaps(ranges: list[Interval], first: int, last: int) -> list[Interval]:
    """Return the part of a set from `first` to `last`."""
    start = bisect_left(ranges, (first,))
    if start and ranges[start - 1][1] >= first:
        start -= 1
    end = bisect_left(ranges, (last + 1,), start)
    part = ranges[start:end]
    if part:
        low, high = part[0]
        if low < first:
            part[0] = (first, high)
        low, high = part[-1]
        if high > last:
            part[-1] = (low, last)
    return part


def intersection(some: list[Interval], others: list[Interval]) -> list[Interval]:
    """Return the intersection of two sets."""
    if len(some) > len(others):
        some, others = others, some
    return [part for first, last in some for part in overlaps(others, first, last)]


def uncovered(ranges: list[Interval], first: int, last: int) -> list[Interval]:
    """Return the addresses from `first` to `last` that are in no range of a set."""
    gaps = []
    for low, high in overlaps(ranges, first, last):
        if first < low:
            gaps.append((first, low - 1))
        first = high + 1
    return [*gaps, (first, last)] if first <= last else gaps


def address_count(ranges: Iterable[Interval]) -> int:
    """Return the number of addresses in a set."""
    return sum(last - first + 1 for first, last in ranges)


def by_version(networks: Iterable[IPv4Network | IPv6Network]) -> dict[int, list[Interval]]:
    """Return the addresses of networks by IP version; IPv4-mapped ones are IPv4.

    As in SPF (RFC 7208 §5). A version without addresses is left out.
    """
    by_ip: dict[int, list[Interval]] = {4: [], 6: []}
    for network in networks:
        by_ip[network.version].append(
            (int(network.network_address), int(network.broadcast_address))
        )
    v6 = union(by_ip[6])
    start, _ = _MAPPED
    mapped = [(first - start, last - start) for first, last in take_range(v6, *_MAPPED)]
    sets = {4: union([*by_ip[4], *mapped]), 6: v6}
    return {version: ranges for version, ranges in sets.items() if ranges}
