"""Interval sets against sets of integers."""

from __future__ import annotations

from ipaddress import ip_network
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from auditor.wire.address_set import Interval, address_count, by_version, take_range, union

_INTERVALS = st.lists(
    st.tuples(st.integers(0, 40), st.integers(0, 9)).map(lambda p: (p[0], p[0] + p[1])), max_size=8
)


def _members(ranges: list[Interval]) -> set[int]:
    return {number for first, last in ranges for number in range(first, last + 1)}


def _is_normal(ranges: list[Interval]) -> bool:
    ends = [end for pair in ranges for end in pair]
    gaps = pairwise(ranges)
    return ends == sorted(ends) and all(low[1] + 1 < high[0] for low, high in gaps)


@given(_INTERVALS)
def test_joining_gives_the_union_with_gaps_between_intervals(ranges: list[Interval]) -> None:
    merged = union(ranges)

    assert _members(merged) == _members(ranges)
    assert _is_normal(merged)
    assert address_count(merged) == len(_members(ranges))


@given(_INTERVALS, st.integers(0, 50), st.integers(0, 20))
def test_taking_moves_what_lies_between(ranges: list[Interval], first: int, length: int) -> None:
    rest = union(ranges)
    wanted = _members(ranges) & set(range(first, first + length + 1))

    taken = take_range(rest, first, first + length)

    assert _members(taken) == wanted
    assert _members(rest) == _members(ranges) - wanted
    assert _is_normal(taken)
    assert _is_normal(rest)


def test_networks_go_by_version_and_mapped_addresses_are_ipv4() -> None:
    networks = ["192.0.2.0/25", "192.0.2.128/25", "::ffff:192.0.3.0/120", "2001:db8::/127"]

    assert by_version(map(ip_network, networks)) == {
        4: [(0xC0000200, 0xC00003FF)],
        6: [(0x20010DB8 << 96, (0x20010DB8 << 96) + 1)],
    }
    everything = by_version([ip_network("::/0")])
    assert everything[4] == [(0, 0xFFFF_FFFF)]
    assert address_count(everything[6]) == 2**128 - 2**32
    assert by_version([]) == {}
