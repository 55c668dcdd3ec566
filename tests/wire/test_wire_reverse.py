"""Reverse names both ways, against ipaddress and dnspython."""

from __future__ import annotations

import ipaddress
from typing import get_args

import dns.ipv4
import dns.ipv6
import dns.reversename
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from auditor.wire.names import is_hostname, normalise
from auditor.wire.reverse import (
    ClasslessStyle,
    address_of,
    address_text,
    classless_owner,
    parent,
    reverse_name,
)

PACKED4 = st.binary(min_size=4, max_size=4)
# Zero groups are what makes IPv6 text difficult.
PACKED6 = st.lists(
    st.sampled_from([b"\0\0", b"\0\0", b"\0\1", b"\xff\xff"]) | st.binary(min_size=2, max_size=2),
    min_size=8,
    max_size=8,
).map(b"".join)
STYLES: tuple[ClasslessStyle, ...] = get_args(ClasslessStyle)


@given(PACKED4)
def test_ipv4_text_is_the_one_of_dnspython(packed: bytes) -> None:
    assert address_text(packed) == dns.ipv4.inet_ntoa(packed) == str(ipaddress.IPv4Address(packed))


@given(PACKED6)
@example(bytes(16))
@example(bytes(15) + b"\1")
@example(b"\xfe\x80" + bytes(14))
@example(bytes(10) + b"\xff\xff" + bytes(4))
@example(bytes(10) + b"\xff\xff\x01\x02\x03\x04")
@example(bytes(12) + b"\x01\x02\x03\x04")
@example(b"\0\1" * 7 + b"\0\0")
def test_ipv6_text_is_the_one_of_dnspython(packed: bytes) -> None:
    text = address_text(packed)
    assert text == dns.ipv6.inet_ntoa(packed)
    assert ipaddress.IPv6Address(text).packed == packed


@given(PACKED4 | PACKED6)
def test_reverse_name_is_the_one_of_dnspython_and_leads_back(packed: bytes) -> None:
    address = address_text(packed)
    name = reverse_name(address)
    theirs = ipaddress.ip_address(packed)
    # dnspython puts mapped addresses under in-addr.arpa; ipaddress has the plain rule.
    assert name == theirs.reverse_pointer
    if not (isinstance(theirs, ipaddress.IPv6Address) and theirs.ipv4_mapped):
        assert name + "." == dns.reversename.from_address(address).to_text()
    assert normalise(name) == name
    assert address_of(name) == address


@pytest.mark.parametrize("address", ["2001:DB8:0::7", "2001:db8:0:0:0:0:0:7"])
def test_any_spelling_of_an_ipv6_address_has_the_one_reverse_name(address: str) -> None:
    assert address_of(reverse_name(address)) == "2001:db8::7"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "198.51.100",
        "198.51.100.256",
        "198.51.100.07",
        "198.51.100.7.1",
        "198.51.100.-7",
        "198.51.100.7\n",
        "198.51.100.\u0667",
        "a.b.c.d",
        "::g",
        "fe80::1%eth0",
        "example.com",
    ],
)
def test_what_is_no_address_has_no_reverse_name(text: str) -> None:
    with pytest.raises(ValueError, match="not an IP address"):
        reverse_name(text)


@pytest.mark.parametrize(
    "owner",
    [
        "7.0/26.100.51.198.in-addr.arpa",
        "7.0-26.100.51.198.in-addr.arpa",
        "7.0_26.100.51.198.in-addr.arpa",
        "7.0-63.100.51.198.in-addr.arpa",
        "7.0-7.100.51.198.in-addr.arpa",
        "7.7/32.100.51.198.in-addr.arpa",
        "7.0/24.100.51.198.in-addr.arpa",
        "7.subnet0.100.51.198.in-addr.arpa",
        "7.customer-a.100.51.198.in-addr.arpa",
    ],
)
def test_owners_of_a_classless_delegation_stand_for_their_address(owner: str) -> None:
    assert address_of(owner) == "198.51.100.7"


def test_prefix_written_with_a_hyphen_reaches_beyond_its_second_number() -> None:
    assert address_of("40.0-26.100.51.198.in-addr.arpa") == "198.51.100.40"
    assert address_of("64.0-26.100.51.198.in-addr.arpa") is None


@pytest.mark.parametrize(
    "owner",
    [
        ".",
        "in-addr.arpa",
        "ip6.arpa",
        "100.51.198.in-addr.arpa",
        "7.100.51.198.in-addr.arpa.example",
        "7.100.51.198.in-addr.example",
        "07.100.51.198.in-addr.arpa",
        "256.100.51.198.in-addr.arpa",
        "x.100.51.198.in-addr.arpa",
        "7.100.51.198xin-addr.arpa",
        "7.0.100.51.198.in-addr.arpa",  # which of the two is the octet?
        "7.64-127.100.51.198.in-addr.arpa",  # not in the range
        "7.64/26.100.51.198.in-addr.arpa",
        "7.0/23.100.51.198.in-addr.arpa",
        "7.0/33.100.51.198.in-addr.arpa",
        "x.0/26.100.51.198.in-addr.arpa",
        "0/26.100.51.198.in-addr.arpa",
        "7.0/26.1.100.51.198.in-addr.arpa",
        r"7.a\.b.100.51.198.in-addr.arpa",
        "8.b.d.0.1.0.0.2.ip6.arpa",
        reverse_name("2001:db8::7").replace("7", "g", 1),
        reverse_name("2001:db8::7").replace("7.", "77", 1),
        "0." + reverse_name("2001:db8::7"),
    ],
)
def test_names_of_blocks_and_other_names_stand_for_no_address(owner: str) -> None:
    assert address_of(owner) is None


@given(st.text(max_size=90), st.sampled_from(["", ".in-addr.arpa", ".ip6.arpa"]))
def test_any_text_is_an_owner_or_none(text: str, tail: str) -> None:
    found = address_of(text + tail)
    if found is not None:
        assert str(ipaddress.ip_address(found)) == found


@given(PACKED4, st.integers(25, 32), st.sampled_from(STYLES))
def test_classless_owners_lead_back_in_every_style(
    packed: bytes, prefix_length: int, style: ClasslessStyle
) -> None:
    address = address_text(packed)
    owner = classless_owner(address, prefix_length, style)
    assert address_of(owner) == address
    block = ipaddress.ip_network((packed, prefix_length), strict=False)
    assert owner.split(".")[1].startswith(str(block[0].packed[3]))
    assert not is_hostname(owner) or style in {"dash", "range"}


@pytest.mark.parametrize(
    ("style", "owner"),
    [
        ("slash", "70.64/27.100.51.198.in-addr.arpa"),
        ("dash", "70.64-27.100.51.198.in-addr.arpa"),
        ("underscore", "70.64_27.100.51.198.in-addr.arpa"),
        ("range", "70.64-95.100.51.198.in-addr.arpa"),
    ],
)
def test_classless_owner_is_spelt_as_asked(style: ClasslessStyle, owner: str) -> None:
    assert classless_owner("198.51.100.70", 27, style) == owner


@pytest.mark.parametrize(
    ("address", "prefix_length"),
    [("198.51.100.7", 24), ("198.51.100.7", 33), ("2001:db8::7", 26), ("198.51.100", 26)],
)
def test_only_blocks_below_a_24_are_delegated_classless(address: str, prefix_length: int) -> None:
    with pytest.raises(ValueError, match=r"not an? "):
        classless_owner(address, prefix_length)


@pytest.mark.parametrize(
    ("name", "above"),
    [
        ("7.100.51.198.in-addr.arpa", "100.51.198.in-addr.arpa"),
        ("com", "."),
        (".", "."),
        (r"a\.b.example", "example"),
        (r"a\\.example", "example"),
        (r"a\\\.b.example", "example"),
        (r"a\032.b\.c.example", r"b\.c.example"),
        (r"a\.b", "."),
    ],
)
def test_parent_drops_one_label_and_knows_escapes(name: str, above: str) -> None:
    assert parent(name) == above
