"""Reverse names both ways, against ipaddress and dnspython."""

from __future__ import annotations

import ipaddress

import dns.reversename
import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.wire.addresses import address_text, format_address
from auditor.wire.names import normalise
from auditor.wire.reverse import (
    classless_address,
    classless_block,
    reverse_name,
    reverse_prefix,
)

PACKED4 = st.binary(min_size=4, max_size=4)
# Zero groups are what makes IPv6 text difficult.
PACKED6 = st.lists(
    st.sampled_from([b"\0\0", b"\0\0", b"\0\1", b"\xff\xff"]) | st.binary(min_size=2, max_size=2),
    min_size=8,
    max_size=8,
).map(b"".join)


def address_of(name: str) -> str | None:
    """Return the address of a name that is of one address."""
    prefix = reverse_prefix(name)
    if prefix is None or prefix.length != (32 if prefix.version == 4 else 128):
        return classless_address(name)
    return format_address(prefix.version, prefix.first)


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


@pytest.mark.parametrize(
    ("owner", "block"),
    [
        ("0/26.100.51.198.in-addr.arpa", "198.51.100.0/26"),
        ("64_26.100.51.198.in-addr.arpa", "198.51.100.64/26"),
        ("0-26.100.51.198.in-addr.arpa", "198.51.100.0/26"),
        ("0-31.100.51.198.in-addr.arpa", "198.51.100.0-31"),
        ("64-127.100.51.198.in-addr.arpa", "198.51.100.64-127"),
        ("64-26.100.51.198.in-addr.arpa", "198.51.100.64/26"),
        ("7/26.100.51.198.in-addr.arpa", None),
        ("0/24.100.51.198.in-addr.arpa", None),
        ("0/33.100.51.198.in-addr.arpa", None),
        ("0-256.100.51.198.in-addr.arpa", None),
        ("00/26.100.51.198.in-addr.arpa", None),
        ("0/26.51.198.in-addr.arpa", None),
        ("0/26.100.51.198.ip6.arpa", None),
        ("sub.100.51.198.in-addr.arpa", None),
    ],
)
def test_the_apex_of_a_classless_delegation_is_a_block(owner: str, block: str | None) -> None:
    assert classless_block(owner) == block
