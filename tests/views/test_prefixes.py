"""Faults collapse into prefixes of which every address in the results has them."""

from __future__ import annotations

import ipaddress
import random
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples
from views.making import address, finding

from auditor.views.prefixes import PrefixFaults, prefixes_of, split_address
from auditor.wire.addresses import V4, V6

MISSING: Final = ("PTR_MISSING",)
GENERIC: Final = ("PTR_GENERIC",)


def _shown(faults: PrefixFaults) -> dict[str, list[str]]:
    return {each.code: list(map(str, each.prefixes)) for each in faults.collapsed()}


def _network(text: str) -> tuple[int, int]:
    place = split_address(text)
    assert place is not None
    return place[0]


def _fill(faults: PrefixFaults, prefix: str, codes: tuple[str, ...]) -> None:
    for network in ipaddress.IPv4Network(prefix).subnets(new_prefix=24):
        faults.add_addresses(_network(str(network.network_address)), codes, range(256))


def test_neighbouring_networks_with_one_fault_are_one_prefix() -> None:
    faults = PrefixFaults()
    for prefix in ("185.12.88.0/21", "185.12.96.0/19"):
        _fill(faults, prefix, MISSING)
    _fill(faults, "185.12.128.0/18", ())
    (found,) = faults.collapsed()
    assert list(map(str, found.prefixes)) == ["185.12.96.0/19", "185.12.88.0/21"]
    assert (found.addresses, found.scattered, found.rows) == (10_240, 0, 2)


def test_a_prefix_reaches_no_further_than_the_results() -> None:
    faults = PrefixFaults()
    faults.add_addresses(_network("192.0.2.0"), MISSING, range(64, 128))
    faults.add_addresses(_network("192.0.3.0"), MISSING, range(1, 255))
    assert _shown(faults) == {"PTR_MISSING": ["192.0.3.0/24", "192.0.2.64/26"]}


def test_within_a_network_a_fault_ends_at_addresses_without_it() -> None:
    faults = PrefixFaults()
    faults.add_addresses(_network("192.0.2.0"), MISSING, range(128))
    faults.add_addresses(_network("192.0.2.0"), (*GENERIC, *MISSING), range(160, 192))
    faults.add_addresses(_network("192.0.2.0"), (), (*range(128, 160), 255))
    assert _shown(faults) == {
        "PTR_MISSING": ["192.0.2.0/25", "192.0.2.160/27"],
        "PTR_GENERIC": ["192.0.2.160/27"],
    }


def test_single_addresses_are_counted_as_scattered() -> None:
    faults = PrefixFaults()
    faults.add_addresses(_network("192.0.2.0"), MISSING, (1, 77, 201))
    faults.add_addresses(_network("192.0.2.0"), (), (2, 78, 202))
    (found,) = faults.collapsed()
    assert found[2:] == (0, 3, 0, ())


def test_an_address_audited_twice_has_a_fault_if_it_had_it_both_times() -> None:
    faults = PrefixFaults()
    faults.add_addresses(_network("192.0.2.0"), MISSING, range(20))
    faults.add_addresses(_network("192.0.2.0"), (), (16,))
    assert _shown(faults) == {"PTR_MISSING": ["192.0.2.0/28"]}


def test_ipv6_is_collapsed_to_where_the_results_are() -> None:
    faults = PrefixFaults()
    for subnet in range(16):
        for number in ("2001:db8:1::", "2001:db8:8::", "2001:db8:9::"):
            network, _ = split_address(number) or ((V6, 0), 0)
            codes = MISSING if number != "2001:db8:1::" or subnet < 8 else ()
            faults.add_addresses(network, codes, [(subnet << 76) + n for n in range(4)])
    assert _shown(faults) == {"PTR_MISSING": ["2001:db8:8::/47", "2001:db8:1::/49"]}


def test_records_are_taken_one_at_a_time_and_remarks_are_no_faults() -> None:
    faults = PrefixFaults()
    for n in range(8):
        found = [finding("PTR_MISSING"), finding("PTR_MULTIPLE", "notice")]
        faults.count_record(address(f"192.0.2.{n}", "fail", findings=found))
    assert [(each.code, each.severity, str(*each.prefixes)) for each in faults.collapsed()] == [
        ("PTR_MISSING", "error", "192.0.2.0/29")
    ]


@settings(max_examples=examples(100))
@given(
    st.lists(st.tuples(st.integers(0, 1023), st.sampled_from([(), MISSING, GENERIC])), max_size=60)
)
def test_prefixes_hold_no_address_without_the_fault_and_none_is_lost(
    some: list[tuple[int, tuple[str, ...]]],
) -> None:
    codes = dict(some)
    faults = PrefixFaults()
    for number, code in codes.items():
        faults.add_addresses((V4, 0xC00000 + (number >> 8)), code, (number & 255,))
    totals = {"PTR_MISSING": 0, "PTR_GENERIC": 0}
    for found in faults.collapsed():
        seen: set[int] = set()
        for prefix in found.prefixes:
            network = ipaddress.IPv4Network(str(prefix))
            inside = {n for n in codes if ipaddress.IPv4Address(0xC0000000 + n) in network}
            assert all(found.code in codes[n] for n in inside)
            assert prefix.size == len(inside)
            assert not seen & inside
            seen |= inside
        assert found.addresses == len(seen)
        totals[found.code] = found.addresses + found.scattered
    for name, total in totals.items():
        assert total == sum(name in each for each in codes.values())


def test_the_order_of_the_input_does_not_matter() -> None:
    order = [(third, n) for third in range(8) for n in range(0, 256, 3)]
    found = []
    for _ in range(2):
        faults = PrefixFaults()
        for third, n in order:
            faults.add_addresses((V4, 0xC00000 + third), MISSING if n < 128 else (), (n,))
        found.append(_shown(faults))
        random.Random(1).shuffle(order)
    assert found[0] == found[1]


@pytest.mark.parametrize("version", [V4, V6])
def test_what_is_beyond_the_limits_is_counted(version: int) -> None:
    faults = PrefixFaults(limit=4, v6_limit=6)
    for number in range(8):
        faults.add_addresses((version, number), MISSING, (1, 2))
    assert faults.beyond == (8 if version == V4 else 10)
    assert len(faults.cells) == 4
    (found,) = faults.collapsed()
    assert found.addresses + found.scattered + faults.beyond == 16


def test_networks_are_named_as_the_fewest_prefixes() -> None:
    networks = [(V4, 0xC00000 + n) for n in (0, 1, 2, 3, 5)] + [(V6, 0x20010DB80000)]
    assert [f"{each} {each.size}" for each in prefixes_of(networks)] == [
        "192.0.0.0/22 4",
        "192.0.5.0/24 1",
        "2001:db8::/48 1",
    ]
