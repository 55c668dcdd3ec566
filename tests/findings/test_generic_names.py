"""Tests `encoded_address.py` and `plain_names.py`."""

from __future__ import annotations

import json
from ipaddress import IPv4Address, IPv6Address
from time import process_time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.data import DATA, WHY_NOT

from auditor.findings import encoded_address
from auditor.findings.encoded_address import encodes_address
from auditor.findings.generic_names import generic_words, is_generic, perhaps_generic

if TYPE_CHECKING:
    import random

# Shapes as networks use them, all made up: (name, address).
ENCODED = [
    ("c-198-51-100-7.hsd1.example.net", "198.51.100.7"),
    ("cpe-198-51-100-7.city.res.example.com", "198.51.100.7"),
    ("198-51-100-7.lightspeed.example.net", "198.51.100.7"),
    ("host-198-51-100-7.business.example.org", "198.51.100.7"),
    ("7-100-51-198.static.example.it", "198.51.100.7"),
    ("7.100.51.198.dyn.example.se", "198.51.100.7"),
    ("ip-198_51_100_7.example.ch", "198.51.100.7"),
    ("198x51x100x7.static-business.example.ru", "198.51.100.7"),
    ("a198b51c100d7.example.at", "198.51.100.7"),
    ("net-198-51.host-100-7.example.fr", "198.51.100.7"),
    ("100-7.net198-51.example.fr", "198.51.100.7"),
    ("51-198-7-100.example.net", "198.51.100.7"),
    ("198051100007.cust.example.br", "198.51.100.7"),
    ("ip198051100007.example.br", "198.51.100.7"),
    ("007100051198.example.br", "198.51.100.7"),
    ("198051-100007.example.br", "198.51.100.7"),
    ("198-051-100-007.example.jp", "198.51.100.7"),
    ("198511007.example.jp", "198.51.100.7"),
    ("p198511007.example.jp", "198.51.100.7"),
    ("pc6336407.dip0.example.de", "198.51.100.7"),
    ("c6336407.example.de", "198.51.100.7"),
    ("0xc6336407.example.de", "198.51.100.7"),
    ("076433c6.example.de", "198.51.100.7"),
    ("c6-33-64-07.example.de", "198.51.100.7"),
    ("static-c6-33-64-7.example.de", "198.51.100.7"),
    ("7.64.33.c6.example.de", "198.51.100.7"),
    ("deadbeef.example.de", "222.173.190.239"),
    ("host-100-7.example.net", "198.51.100.7"),
    ("host100x7.example.net", "198.51.100.7"),
    ("7.100.51.example.net", "198.51.100.7"),
    ("ppp-51-100-7.example.net", "198.51.100.7"),
    ("u100007.example.net", "198.51.100.7"),
    ("2001-db8-1-2-a1b2-c3d4-e5f6-7.example.net", "2001:db8:1:2:a1b2:c3d4:e5f6:7"),
    ("2001-0db8-0001-0002-a1b2-c3d4-e5f6-0007.example.net", "2001:db8:1:2:a1b2:c3d4:e5f6:7"),
    ("20010db800010002a1b2c3d4e5f60007.example.net", "2001:db8:1:2:a1b2:c3d4:e5f6:7"),
    ("a1b2-c3d4-e5f6-7.v6.example.net", "2001:db8:1:2:a1b2:c3d4:e5f6:7"),
    ("a1b2c3d4e5f60007.v6.example.net", "2001:db8:1:2:a1b2:c3d4:e5f6:7"),
    ("ip-e5f60007.v6.example.net", "2001:db8:1:2:a1b2:c3d4:e5f6:7"),
    ("7.0.0.0.6.f.5.e.4.d.3.c.2.b.1.a.v6.example.net", "2001:db8:1:2:a1b2:c3d4:e5f6:7"),
    ("70006f5e.example.net", "2001:db8:1:2:a1b2:c3d4:e5f6:7"),
    ("2001-db8--7.example.net", "2001:db8::7"),
    ("node-2001-db8-0-0-0-0-0-7.example.net", "2001:db8::7"),
    ("2001x0db8x0000x0000x0000x0000x0000x0007.example.net", "2001:db8::7"),
    # The last octet first, the rest in the next label.
    ("7.red-198-51-100.pooles.example.net", "198.51.100.7"),
    ("line007.100-51-198.mc.example.ca", "198.51.100.7"),
    # Three octets and a serial number.
    ("host-198-51-100-c12.example.net", "198.51.100.7"),
    ("s3012.net198-51-100.example.net", "198.51.100.7"),
    ("100-51-198-4711.example.net", "198.51.100.7"),
    # The whole address, whatever else the name says.
    ("out198-51-100-7.mail.example.net", "198.51.100.7"),
]

# Names that someone chose, for the address beside them.
CHOSEN = [
    ("mail.example.net", "198.51.100.7"),
    ("mail7.example.net", "198.51.100.7"),
    ("mx1.example.net", "198.51.100.1"),
    ("mx-1-2.example.net", "198.51.1.2"),
    ("smtp-100.example.net", "198.51.100.7"),
    ("mail100.dc7.example.net", "198.51.100.7"),
    ("out-7.mta100.example.net", "198.51.100.7"),
    ("host-198-51-100-8.example.net", "198.51.100.7"),
    ("relay51.example198.net", "198.51.100.7"),
    ("cafe.example.net", "198.51.202.254"),
    ("a.b.c.d.example.net", "198.51.100.7"),
    ("365.example.net", "198.51.100.7"),
    ("mail-2024-10-7.example.net", "198.51.100.7"),
    ("mx.1234.example.net", "1.2.3.4"),
    ("mail7.example.net", "2001:db8::7"),
    ("mx0-7.example.net", "2001:db8::7"),
    ("2001-db8--75.example.net", "2001:db8::7"),
    ("20010db8000000000000000000000075.example.net", "2001:db8::7"),
    ("a1b2.example.net", "2001:db8:1:2:a1b2:c3d4:e5f6:7"),
    ("2001-db8-1-2.example.net", "2001:db8:1:2:a1b2:c3d4:e5f6:7"),
    ("mail--gate.example.net", "2001:db8::7"),
    # Hosts of mail services, which number them by the end of the address.
    ("a100-7.smtp-out.example.com", "198.51.100.7"),
    ("e100-7.smtp-out.eu-west-9.example.com", "198.51.100.7"),
    ("m100-7.example.com", "198.51.100.7"),
    ("so100-7.mailservice.example", "198.51.100.7"),
    ("m100-7.mymailgate.net", "198.51.100.7"),
    ("h100-7.smtp-hub.com", "198.51.100.7"),
    ("mta-51-100-7.transactional.example", "198.51.100.7"),
    ("mail100-7.dc31.example.com", "198.51.100.7"),
    ("out100-7.us.a.example.com", "198.51.100.7"),
    ("bounce-100-7.campaigns.example.com", "198.51.100.7"),
    ("o198511007x3.outbound-mail.example.net", "198.51.100.7"),
    ("mail-oln198051100007.outbound.example.com", "198.51.100.7"),
    ("mx-c6336407.example.com", "198.51.100.7"),
    ("relay-198-51-100-c12.example.net", "198.51.100.7"),
    ("smtp-a1b2-c3d4-e5f6-7.example.net", "2001:db8:1:2:a1b2:c3d4:e5f6:7"),
    # Zero groups are in every second address.
    ("host-0-0-0-7.example.net", "2001:db8::7"),
    ("host00000007.example.net", "2001:db8::7"),
    ("70000000.example.net", "2001:db8::7"),
    ("host-0-0-0-0-0-12.example.net", "2001:db8::12"),
]


@pytest.mark.parametrize(("name", "address"), ENCODED)
def test_a_name_that_holds_the_address_encodes_it(name: str, address: str) -> None:
    assert encodes_address(name, address)
    assert is_generic(name, address) == "it encodes the address"


@pytest.mark.parametrize(("name", "address"), CHOSEN)
def test_a_chosen_name_does_not_encode_the_address(name: str, address: str) -> None:
    assert not encodes_address(name, address)


@pytest.mark.parametrize(
    ("name", "word"),
    [
        ("host-7.dyn.example.net", "dyn"),
        ("dynamic.example.net", "dynamic"),
        ("mail.dynamic.example.net", "dynamic"),
        ("dhcp7.example.co.uk", "dhcp"),
        ("a.adsl.example.com.br", "adsl"),
        ("ppp_17.example.net", "ppp"),
        ("x.pppoe-west.example.net", "pppoe"),
        ("dialup42.example.net", "dialup"),
        ("gpon3.ftth.example.net", "gpon"),
        ("cable-17.example.net", "cable"),
        ("pool-3.example.net", "pool"),
        ("gw.customer.example.net", "customer"),
        ("host.pool.example.net", "pool"),
        ("client42.example.net", "client"),
        ("x.res.home.example.net", "res"),
        ("dslgw14poold234.example.net", "dslgw"),
        ("r12poold234.example.net", "poold"),
        ("modemcable090.mc.example.net", "modemcable"),
        ("dynhost7.example.net", "dynhost"),
        ("7.cust-vdslpool.example.net", "vdslpool"),
        ("p5483.dip.example.net", "dip"),
        ("p5483.dip0.example.net", "dip0"),
        ("no-reverse-dns-configured.com", "no-reverse-dns-configured"),
        ("rdns-not-set.net", "rdns-not-set"),
    ],
)
def test_a_word_for_a_customers_line_is_told(name: str, word: str) -> None:
    assert generic_words(name) == word
    assert is_generic(name, "198.51.100.7") == f"it says {word!r}"


@pytest.mark.parametrize(
    "name",
    [
        "mail.example.net",
        "poolmail.example.net",
        "dynamite.example.net",
        "customer-mail.example.net",
        "mail3.customer.example.net",
        "smtp-pool-3.example.net",
        "mobile.example.net",
        "home.example.net",
        "static.example.net",
        "static-7.example.net",
        "mail.dyn.net",
        "mail.dyn-7.net",
        "mail.cable.co.uk",
        "mx1.adsl.com.br",
        "dyn.net",
        "dhcp",
        "xn--dyn-7ka.example.net",
        "mx.pool.ntp.org",
        ".",
        "cust1234-1.in.example.net",
        "cust1234-1.eu.mailfilter.example",
        "pool-7.smtp-hub.com",
        "unknown.net",
        "mail.dip.example.net",
        "dip-core1.example.net",
        "dip7.example.net",
        "dip.net",
        "dialogue7.example.net",
        "dynamics.example.net",
        "whirlpool7.example.net",
        "pppa165.example.net",
        "carpool12.example.net",
        "hosted-by.net",
        "hosted-byron.example.net",
        "norfolk.example.net",
        "nodename7.example.net",
        "known.example.net",
        "mail.undefined.example.net",
        "names.example.net",
        "set.example.net",
    ],
)
def test_a_domains_own_name_and_a_word_for_something_else_are_not_told(name: str) -> None:
    assert generic_words(name) is None
    assert is_generic(name, "198.51.100.7") is None


@pytest.mark.parametrize(
    "head",
    [
        *("hosted-by", "hostedby", "no-rdns", "nordns", "no-reverse-dns", "no-ptr", "no-dns-yet"),
        *("no-reverse-dns-configured", "no-ptr-record", "noname", "missing-rdns", "without-ptr"),
        *("reverse-not-set", "reverse-is-not-set", "rdns-not-configured", "ptr-unset"),
        *("reverse-dns-not-available", "hostname-not-found", "undefined", "unknown", "unset"),
        *("unnamed", "unconfigured", "not-assigned", "not-allocated", "not-in-use", "not-used"),
        *("please-set-reverse-dns", "set-your-rdns", "change-me", "placeholder", "default-rdns"),
        *("unknown-12", "no_rdns", "notassigned7"),
    ],
)
def test_a_first_label_that_says_that_nobody_named_the_address_is_told(head: str) -> None:
    name = f"{head}.example.net"
    assert is_generic(name, "198.51.100.7") == f"it says {head!r}"
    assert is_generic(f"{head}.customers.example.co.uk", "2001:db8::7") == f"it says {head!r}"
    for heads in ([head, "mail"], ["mail", head]):
        names = [f"{label}.example.net" for label in heads]
        found = perhaps_generic(names, heads, ["198.51.100.7", "198.51.100.9"])
        assert found[heads.index(head)]


@pytest.mark.skipif(DATA is None, reason=WHY_NOT)
def test_real_names_are_told_apart() -> None:
    assert DATA is not None
    lines = (DATA / "ptr-names.ndjson").read_text(encoding="utf-8").splitlines()
    flagged: dict[str, list[bool]] = {"good": [], "generic": []}
    for row in map(json.loads, lines):
        flagged[row["label"]].append(is_generic(row["ptr"].lower(), row["ip"]) is not None)

    assert sum(flagged["good"]) <= 0.01 * len(flagged["good"])
    assert sum(flagged["generic"]) >= 0.98 * len(flagged["generic"])


def test_a_name_that_says_static_is_generic_only_with_the_address_in_it() -> None:
    assert is_generic("static.example.net", "198.51.100.7") is None
    assert is_generic("static-198-51-100-7.example.net", "198.51.100.7") is not None


ADDRESSES_V4 = st.integers(0x01000000, 0xDFFFFFFF).map(lambda value: str(IPv4Address(value)))
ADDRESSES_V6 = st.integers(0x2000 << 112, (0x4000 << 112) - 1).map(
    lambda value: str(IPv6Address(value))
)


def _encodings_v4(address: str, shuffler: random.Random) -> list[str]:
    """Return every form that the docstring of `encodes_address` promises."""
    octets = address.split(".")
    backwards = octets[::-1]
    shuffled = shuffler.sample(octets, 4)
    padded = [octet.zfill(3) for octet in octets]
    coded = [f"{int(octet):02x}" for octet in octets]
    forms = ["".join(padded), "".join(padded[::-1])]
    for separator in "-._x":
        forms += [separator.join(order) for order in (octets, backwards, shuffled, padded)]
        forms += [separator.join(order) for order in (octets[1:], backwards[:3])]
        forms += [separator.join(order) for order in (coded, coded[::-1])]
        forms.append(separator.join([f"{int(octet):x}" for octet in octets]))
        if len("".join(octets[2:])) >= 3:
            forms += [separator.join(order) for order in (octets[2:], backwards[:2])]
    forms += ["".join(coded), "".join(coded[::-1]), "in".join(octets), "-ip-".join(backwards)]
    forms += ["".join(padded[1:]), "".join(padded[2:])]
    if len("".join(octets)) >= 7:
        forms += ["".join(octets), "".join(backwards)]
    return forms


def _encodings_v6(address: str) -> list[str]:
    exploded = IPv6Address(address).exploded
    nibbles = exploded.replace(":", "")
    groups = [group.lstrip("0") or "0" for group in exploded.split(":")]
    telling = [count for count in range(2, 9) if count == 8 or _tells(groups[-count:])]
    forms = [nibbles[-4 * count :] for count in telling]
    forms += [form[::-1] for form in forms]
    forms += [".".join(form) for form in forms]
    for separator in "-._x":
        forms.append(separator.join(exploded.split(":")))
        forms += [separator.join(groups[-count:]) for count in telling]
    forms += [address.replace(":", separator) for separator in "-_x" if address[-1] != ":"]
    return forms


def _tells(groups: list[str]) -> bool:
    """Whether the last groups of an address are enough to tell it by."""
    given = [group for group in groups if group != "0"]
    return len(given) >= 4 or (len(given) >= 2 and len("".join(given)) >= 5)


@given(ADDRESSES_V4, st.randoms(use_true_random=False))
def test_every_documented_form_of_an_ipv4_address_is_recognised(
    address: str, shuffler: random.Random
) -> None:
    for form in _encodings_v4(address, shuffler):
        for name in (f"{form}.example.net", f"ip-{form}.example.net", f"host-{form}-u.example.net"):
            assert encodes_address(name, address), name


@given(ADDRESSES_V6)
def test_every_documented_form_of_an_ipv6_address_is_recognised(address: str) -> None:
    for form in _encodings_v6(address):
        for name in (f"{form}.host.net", f"ip-{form}.host.net", f"host-{form}-u.host.net"):
            assert encodes_address(name, address), name


WORDS = st.sampled_from(["mail", "mx", "smtp", "out", "relay", "gw", "node", "www", "fra", "nyc"])


@given(
    st.lists(WORDS, min_size=1, max_size=3),
    st.integers(0, 999),
    st.one_of(ADDRESSES_V4, ADDRESSES_V6),
)
def test_a_numbered_mail_host_never_encodes_an_address(
    words: list[str], number: int, address: str
) -> None:
    name = f"{'-'.join(words)}{number}.example.net"
    assert not encodes_address(name, address)
    assert is_generic(name, address) is None


#: Octets that are two letters in hex, so that no part of them is a decimal number.
LETTERED = st.sampled_from([int(one + two, 16) for one in "abcdef" for two in "abcdef"])


@given(st.lists(LETTERED, min_size=4, max_size=4), ADDRESSES_V4)
def test_a_name_in_hex_encodes_no_address_but_its_own(octets: list[int], other: str) -> None:
    name = f"{bytes(octets).hex()}.host.net"
    own = ".".join(map(str, octets))
    assert encodes_address(name, own)
    assert encodes_address(name, other) is (other in {own, ".".join(map(str, octets[::-1]))})


@given(st.text(max_size=255), st.one_of(ADDRESSES_V4, ADDRESSES_V6))
def test_garbage_is_judged_without_an_exception(name: str, address: str) -> None:
    assert is_generic(name, address) in {None, "it encodes the address"} or generic_words(name)


@pytest.mark.parametrize("address", ["1.1.1.1", "198.51.100.7", "2001:db8::", "2001:db8::1"])
@pytest.mark.parametrize(
    "name",
    [
        "1" * 255,
        "1." * 127,
        "1-" * 127,
        "100-8." * 42,
        "a.b." * 63,
        "0" * 255,
        "0." * 127,
        "dyn." * 63,
        "--" * 127,
        "pool-" * 51,
        "x1" * 127,
    ],
)
def test_a_hostile_name_takes_no_longer_than_its_length_allows(name: str, address: str) -> None:
    started = process_time()
    for _ in range(20):
        is_generic(name, address)
    # About 2 ms where it was written; a search that backtracks would take minutes.
    assert process_time() - started < 1


@given(
    st.lists(st.integers(0, 255), min_size=4, max_size=4),
    st.lists(
        st.sampled_from(["{0}", "{1}", "{2}", "{3}", "-", ".", "x", "1", "host"]), max_size=12
    ),
)
def test_the_way_for_plain_names_finds_nothing_that_the_other_does_not(
    octets: list[int], parts: list[str]
) -> None:
    texts = [str(octet) for octet in octets]
    name = "".join(parts).format(*texts)
    address = ".".join(texts)
    found = encodes_address(name, address)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(encoded_address, "_holds_plainly", lambda *_: False)
        assert encodes_address(name, address) == found
