"""Addresses as octets, numbers and text: every address has one text, wherever it came from."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

import dns.ipv4
import dns.ipv6
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from auditor.targets.item import read_item
from auditor.targets.target import Origin, Target
from auditor.wire.addresses import address_text, format_address, number_of, parse_address

PACKED4 = st.binary(min_size=4, max_size=4)
# Zero groups are what makes IPv6 text difficult (RFC 5952 §4.2).
PACKED6 = st.lists(
    st.sampled_from([b"\0\0", b"\0\0", b"\0\1", b"\xff\xff"]) | st.binary(min_size=2, max_size=2),
    min_size=8,
    max_size=8,
).map(b"".join)
MAPPED = bytes(10) + b"\xff\xff"


@given(PACKED4)
def test_ipv4_text_is_the_one_of_dnspython(packed: bytes) -> None:
    assert address_text(packed) == dns.ipv4.inet_ntoa(packed) == str(IPv4Address(packed))


@given(PACKED6)
@example(bytes(16))
@example(bytes(15) + b"\1")
@example(bytes(13) + b"\1\0\0")
@example(b"\xfe\x80" + bytes(14))
@example(bytes(10) + b"\xff\xff" + bytes(4))
@example(bytes(10) + b"\xff\xff\x01\x02\x03\x04")
@example(bytes(12) + b"\x01\x02\x03\x04")
@example(b"\0\1" * 7 + b"\0\0")
def test_ipv6_text_is_rfc_5952(packed: bytes) -> None:
    text = address_text(packed)
    if packed.startswith(MAPPED):
        assert text == f"::ffff:{address_text(packed[12:])}"
    else:
        assert text == str(IPv6Address(packed))
    if not packed.startswith(bytes(12)):
        assert text == dns.ipv6.inet_ntoa(packed)


def test_a_deprecated_ipv4_compatible_address_is_written_in_hex() -> None:
    assert address_text(bytes(12) + b"\xc0\0\2\7") == "::c000:207"


@given(PACKED4 | PACKED6)
def test_an_address_has_one_text_from_octets_from_numbers_and_from_input(packed: bytes) -> None:
    text = address_text(packed)
    version = 4 if len(packed) == 4 else 6
    assert format_address(version, int.from_bytes(packed)) == text
    assert number_of(text) == int.from_bytes(packed) == int(ip_address(text))
    target = read_item(str(ip_address(packed)), Origin("list.txt", 1))
    assert isinstance(target, Target)
    # A mapped address is the IPv4 address in it when it is a target.
    assert target.text == (address_text(packed[12:]) if packed.startswith(MAPPED) else text)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("198.51.100.7", (4, 0xC6336407)),
        ("2001:DB8::7", (6, 0x2001_0DB8 << 96 | 7)),
        ("::ffff:198.51.100.7", (4, 0xC6336407)),
        ("::ffff:c633:6407", (4, 0xC6336407)),
        ("::198.51.100.7", (6, 0xC6336407)),
        ("198.51.100.07", None),
        ("198.51.100", None),
        ("fe80::1%eth0", None),
        ("198.51.100.7\0", None),
        ("\ud800", None),
        ("", None),
    ],
)
def test_an_address_is_read_as_inet_pton_reads_it(text: str, found: tuple[int, int] | None) -> None:
    assert found == parse_address(text)
