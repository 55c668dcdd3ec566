from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

from hypothesis import example, given
from hypothesis import strategies as st

from auditor.targets.spans import Span, span_targets
from auditor.targets.target import Origin

ORIGIN = Origin("list.txt", 3)
LAST_V6 = (1 << 128) - 1
# Groups that are often zero, so that `::` has much to choose from (RFC 5952 §4.2).
GROUPS = st.lists(st.one_of(st.just(0), st.just(0), st.integers(0, 0xFFFF)), min_size=8, max_size=8)


def joined(groups: list[int]) -> int:
    return int.from_bytes(b"".join(group.to_bytes(2) for group in groups))


def ipaddress_text(number: int) -> str:
    """Return the text of an IPv6 address that is not IPv4-mapped, which differs by version."""
    return str(IPv6Address(number))


@given(st.integers(0, 0xFFFFFFFF), st.integers(1, 1500))
@example(0xC63364FE, 3)
@example(0xFFFFFF00, 256)
def test_a_span_of_ipv4_is_every_address_in_order(first: int, count: int) -> None:
    count = min(count, 0x1_0000_0000 - first)
    expected = [str(IPv4Address(first + index)) for index in range(count)]
    targets = span_targets(4, first, count, ORIGIN)
    assert expected == [target.text for target in targets]
    assert all(target[1:] == ("ip", 4, ORIGIN, None) for target in targets)


@given(GROUPS.map(joined), st.integers(1, 1500))
@example(0, 300)
@example(0x2001_0DB8_0000_0001_0001_0001_0001_FFF0, 40)
@example(0x2001_0DB8_0000_0001_0001_0001_0000_0000, 2)
@example(0x2001_0DB8_FFFF_FFFF_FFFF_FFFF_FFFF_FFFE, 300)
def test_a_span_of_ipv6_is_every_address_in_order(first: int, count: int) -> None:
    count = min(count, LAST_V6 + 1 - first)
    if first < 1 << 48 <= first + (1 << 49):  # keep clear of the mapped block
        first = first & 0xFFFF
    expected = [ipaddress_text(first + index) for index in range(count)]
    targets = span_targets(6, first, count, ORIGIN)
    assert expected == [target.text for target in targets]
    assert all(target[1:] == ("ip", 6, ORIGIN, None) for target in targets)


def test_a_span_knows_its_size() -> None:
    assert Span(4, 0, 0xFFFFFFFF).size == 1 << 32
