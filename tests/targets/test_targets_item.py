"""Tests `item_hints.py`."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.errors import TargetError
from auditor.targets.domains import Name
from auditor.targets.item import SlashMeaning, SpanEntry, parse_item, read_item
from auditor.targets.spans import Span
from auditor.targets.target import Origin, Target
from auditor.wire.addresses import format_address

ORIGIN = Origin("list.txt", 7)
V4 = st.integers(0, 0xFFFFFFFF)
V6 = st.integers(1 << 64, (1 << 128) - 1)


def v4(text: str) -> int:
    return int(IPv4Address(text))


def v6(text: str) -> int:
    return int(IPv6Address(text))


@pytest.mark.parametrize(
    ("text", "target"),
    [
        ("198.51.100.7", ("198.51.100.7", "ip", 4)),
        ("0.0.0.0", ("0.0.0.0", "ip", 4)),
        ("2001:DB8:0:0:0:0:0:7", ("2001:db8::7", "ip", 6)),
        ("2001:db8::0", ("2001:db8::", "ip", 6)),
        ("::", ("::", "ip", 6)),
        ("::192.0.2.1", ("::c000:201", "ip", 6)),
        ("::ffff:198.51.100.7", ("198.51.100.7", "ip", 4)),
        ("198.51.100.7/32", ("198.51.100.7", "ip", 4)),
        ("2001:db8::7/128", ("2001:db8::7", "ip", 6)),
        ("198.51.100.7-198.51.100.7", ("198.51.100.7", "ip", 4)),
        ("Example.NET.", ("example.net", "domain", 0)),
        ("bücher.example", ("xn--bcher-kva.example", "domain", 0)),
        ("203.0.113.7-static.example.net", ("203.0.113.7-static.example.net", "domain", 0)),
        ("203.0.113.7-büro.example", ("203.0.113.xn--7-bro-mva.example", "domain", 0)),
        ("a-b.example.net", ("a-b.example.net", "domain", 0)),
        ("\u00a0example.net\u00a0", ("example.net", "domain", 0)),
        ("7.100.51.198.in-addr.arpa", ("198.51.100.7", "ip", 4)),
        ("7.100.51.198.IN-ADDR.ARPA.", ("198.51.100.7", "ip", 4)),
        ("_dmarc.e164.arpa", ("_dmarc.e164.arpa", "domain", 0)),
    ],
)
def test_an_item_becomes_a_target(text: str, target: tuple[str, str, int]) -> None:
    assert (*target, ORIGIN, None) == read_item(text, ORIGIN)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("198.51.100.0/24", Span(4, v4("198.51.100.0"), v4("198.51.100.255"))),
        ("0.0.0.0/0", Span(4, 0, 0xFFFFFFFF)),
        ("2001:db8::/112", Span(6, v6("2001:db8::"), v6("2001:db8::ffff"))),
        ("::ffff:198.51.100.0/120", Span(4, v4("198.51.100.0"), v4("198.51.100.255"))),
        ("::ffff:0:0/96", Span(4, 0, 0xFFFFFFFF)),
        ("198.51.100.7-198.51.101.9", Span(4, v4("198.51.100.7"), v4("198.51.101.9"))),
        ("198.51.100.7 - 198.51.100.9", Span(4, v4("198.51.100.7"), v4("198.51.100.9"))),
        ("198.51.100.7-20", Span(4, v4("198.51.100.7"), v4("198.51.100.20"))),
        ("198.51.100.7 -\t20", Span(4, v4("198.51.100.7"), v4("198.51.100.20"))),
        ("2001:db8::7-2001:db8::9", Span(6, v6("2001:db8::7"), v6("2001:db8::9"))),
        ("2001:db8::1-2001:db8::1:0", Span(6, v6("2001:db8::1"), v6("2001:db8::1:0"))),
        ("100.51.198.in-addr.arpa", Span(4, v4("198.51.100.0"), v4("198.51.100.255"))),
        ("10.in-addr.arpa", Span(4, v4("10.0.0.0"), v4("10.255.255.255"))),
        (
            "0.0.0.0." + "0." * 16 + "8.b.d.0.1.0.0.2.ip6.arpa",
            Span(6, v6("2001:db8::"), v6("2001:db8::ffff")),
        ),
        ("::ffff:192.0.2.1-192.0.2.3", Span(4, v4("192.0.2.1"), v4("192.0.2.3"))),
    ],
)
def test_a_prefix_or_a_range_becomes_a_span(text: str, span: Span) -> None:
    assert SpanEntry(span, ORIGIN) == read_item(text, ORIGIN)


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", "is empty; expected an address, a prefix, a range a-b or a domain"),
        (
            "198.51.100.7/24",
            (
                "'198.51.100.7/24' has host bits set; the network is 198.51.100.0/24, "
                "the address alone is 198.51.100.7"
            ),
        ),
        ("2001:db8::7/120", "the network is 2001:db8::/120"),
        (
            "2001:db8::/64",
            (
                "'2001:db8::/64' is shorter than /112: its 18,446,744,073,709,551,616 addresses "
                "are too many to look up one by one; expected /112 to /128"
            ),
        ),
        ("2001:db8::/111", "is shorter than /112: its 131,072 addresses"),
        ("::/0", "is shorter than /112"),
        ("198.51.100.0/33", "has no prefix length from 0 to 32 after the slash"),
        ("198.51.100.0/", "has no prefix length"),
        ("198.51.100.0/024", "has leading zeros; expected decimal octets without them, '198.51"),
        ("198.51.100.0/٣", "has no prefix length"),
        ("198.51.100.0/255.255.255.0", "has a netmask; expected a prefix, '198.51.100.0/24'"),
        ("198.51.100.0 255.255.254.0", "has a netmask; expected a prefix, '198.51.100.0/23'"),
        ("198.51.100.0/0.0.0.255", "has a netmask; expected a prefix, '198.51.100.0/24'"),
        ("198.51.100.0/255.0.255.0", "has no prefix length"),
        ("198.51.100.*", "has a wildcard; expected a prefix, '198.51.100.0/24'"),
        ("198.51.*.*", "has a wildcard; expected a prefix, '198.51.0.0/16'"),
        ("198.51.100.x", "has a wildcard; expected a prefix, '198.51.100.0/24'"),
        ("198.51.X.x", "has a wildcard; expected a prefix, '198.51.0.0/16'"),
        ("198.51.100.7/255.255.255.0", "has a netmask; expected a prefix, '198.51.100.0/24'"),
        (
            "198.51.100.7..198.51.100.9",
            "has dots between; expected a range, '198.51.100.7-198.51.100.9'",
        ),
        (
            "2001:db8::1..2001:db8::9",
            "has dots between; expected a range, '2001:db8::1-2001:db8::9'",
        ),
        ("198.51.100/24", "has too few octets; expected a prefix, '198.51.100.0/24'"),
        ("198.51.100.", "has too few octets; expected a prefix, '198.51.100.0/24'"),
        ("10/8", "has too few octets; expected a prefix, '10.0.0.0/8'"),
        (
            "\uff11\uff19\uff18.51.100.7",
            "has letters of another width; expected plain ones, '198.51.100.7'",
        ),
        ("*.example.net", "begins with a wildcard; expected the domain, 'example.net'"),
        (".example.net", "begins with a dot; expected the domain, 'example.net'"),
        ("unknown[198.51.100.7]", "found 198.51.100.7 in it"),
        ("ip4:198.51.100.0/24", "is a term of an SPF record; expected what it names, '198.51."),
        ("a:mail.example.net/24", "a term of an SPF record; expected what it names, 'mail.exa"),
        ("ip6:2001:db8::/32", "is a term of an SPF record; expected one address, prefix"),
        ("example.net/path", "has a path; expected only its host, 'example.net'"),
        ("//example.net", "has a path; expected only its host, 'example.net'"),
        ("http:/example.net/x", "has a path; expected only its host, 'example.net'"),
        ("198.51.100.7.", "ends in a dot; expected the address, '198.51.100.7'"),
        ("a@[198.51.100.7]", "is an e-mail address; expected its address, '198.51.100.7'"),
        ("<a@[IPv6:2001:db8::7]>", "expected its address, '2001:db8::7'"),
        ("+include:_spf.example.net", "a term of an SPF record; expected what it names, '_spf"),
        ("198.51.100.1\u2013198.51.100.9", "has a dash (\u2013) that is no hyphen; expected a ra"),
        ("'198.51.100.1',", "has punctuation around it; expected what is inside, '198.51.100.1'"),
        ("198.51.100.1:", "has punctuation around it; expected what is inside, '198.51.100.1'"),
        ("2001:db8::1:", "has punctuation around it; expected what is inside, '2001:db8::1'"),
        ("\u201cexample.net\u201d", "has punctuation around it; expected what is inside, 'exa"),
        ("\u200e198.51.100.1\u200b", "punctuation around it; expected what is inside, '198.51"),
        ("<postmaster@example.net>", "is an e-mail address; expected its domain, 'example.net'"),
        ("mailto:a@example.net?subject=x", "is an e-mail address; expected its domain, 'exa"),
        ("https://198.51.100.5:8443/x", "is a URL (https); expected only its host, '198.51.100.5'"),
        ("smtp://[2001:db8::1]:25", "is a URL (smtp); expected only its host, '2001:db8::1'"),
        ("http://", "is a URL (http); expected one address, prefix"),
        (
            "Jan 3 mx postfix/smtpd[3]: reject: RCPT from unknown[198.51.100.7]: 450 [2001:db8::7]",
            "has more than one item on the line; found 198.51.100.7, 2001:db8::7 in it",
        ),
        (
            "7.0/26.100.51.198.in-addr.arpa",
            "is a name of a classless delegation (RFC 2317); expected what it stands for, '",
        ),
        (
            "64-127.100.51.198.in-addr.arpa",
            "expected what it stands for, '198.51.100.64-127'",
        ),
        ("0_26.100.51.198.in-addr.arpa", "expected what it stands for, '198.51.100.0/26'"),
        (
            "mail.100.51.198.in-addr.arpa",
            (
                "is in the reverse tree, but not the name of an address or a prefix; "
                "expected one such as 5.2.0.192.in-addr.arpa, or the address itself"
            ),
        ),
        ("07.100.51.198.in-addr.arpa", "is in the reverse tree, but not the name of"),
        ("in-addr.arpa", "is in the reverse tree, but not the name of"),
        ("8.b.d.0.1.0.0.2.ip6.arpa", "is shorter than /112: its 79,228,162,514,264,337,593,"),
        ("2001:db8::/129", "has no prefix length from 0 to 128"),
        ("198.51.100/44", "has no address before the slash; expected an address, a prefix"),
        ("fe80::1%eth0", "is a scoped address; expected one address, prefix, range a-b or domain"),
        ("fe80::%1/120", "is a scoped address"),
        ("198.51.100.9-198.51.100.7", "runs backwards; expected the lower address first"),
        ("198.51.100.9-8", "runs backwards"),
        ("198.51.100.9-2001:db8::1", "mixes IPv4 and IPv6"),
        ("::fffe:0:0-::ffff:192.0.2.1", "mixes IPv4 and IPv6"),
        ("2001:db8::-2001:db8::1:0", "has 65,537 addresses, too many"),
        ("198.51.100.7-256", "is not a range: no address after the dash"),
        ("198.51.100.7-198.51.100.300", "is not a range: no address after the dash"),
        ("198.51.100.7-", "is not a range: no address after the dash"),
        ("2001:db8::7-20", "is not a range: no address after the dash"),
        ("198.51.100.300-198.51.100.7", "is not a range: no address before the dash"),
        ("198.51.100.1 198.51.100.2", "has more than one item on the line"),
        ("198.51.100.1,198.51.100.2", "has more than one item on the line"),
        ("a.example;b.example", "has more than one item on the line"),
        ("198.51.100.0 /24", "has a space beside the slash; expected a prefix, '198.51.100.0/24'"),
        ("user@example.net", "is an e-mail address; expected its domain, 'example.net'"),
        (
            "http://www.example.net/x?y",
            "is a URL (http); expected only its host, 'www.example.net'",
        ),
        ("https://u:p@example.net", "is a URL (https); expected only its host, 'example.net'"),
        ("example.net:25", "has a port; expected only its host, 'example.net'"),
        ("198.51.100.7:25", "has a port; expected"),
        ("[2001:db8::1]:25", "has a port; expected"),
        ("[2001:db8::1]", "has punctuation around it; expected what is inside, '2001:db8::1'"),
        ("2001:db8:::1", "is not an IPv6 address"),
        ("1.2.3.4.5", "ends in a number and is no IPv4 address"),
        ("300.1.2.3", "ends in a number and is no IPv4 address"),
        ("010.0.0.1", "has leading zeros; expected decimal octets without them, '10.0.0.1'"),
        ("localhost", "is a single label"),
        ("example.net\0", "has '\\x00' in it"),
        ("\x1b]0;owned\x07", "has more than one item"),
    ],
)
def test_what_is_no_item_becomes_an_invalid_target_that_says_why(text: str, error: str) -> None:
    target = read_item(text, ORIGIN)
    assert isinstance(target, Target)
    assert (target.kind, target.version, target.origin) == ("invalid", 0, ORIGIN)
    assert error in str(target.error)
    assert "\n" not in str(target.error)


def test_a_long_item_is_cut_in_the_target_and_in_the_message() -> None:
    target = read_item("x" * 100_000, ORIGIN)
    assert isinstance(target, Target)
    assert len(target.text) == 200
    assert len(str(target.error)) < 300


def test_without_bounds_an_ipv6_prefix_may_have_any_size() -> None:
    assert parse_item("::/0", bounded=False) == Span(6, 0, (1 << 128) - 1)
    assert parse_item("::-2001:db8::", bounded=False) == Span(6, 0, v6("2001:db8::"))


@given(V4, st.integers(0, 32))
def test_an_ipv4_prefix_is_what_ipaddress_says(number: int, length: int) -> None:
    network = IPv4Network((number, length), strict=False)
    expected = Span(4, int(network[0]), int(network[-1]))
    assert expected == parse_item(str(network))


@given(V6, st.integers(112, 128))
def test_an_ipv6_prefix_is_what_ipaddress_says(number: int, length: int) -> None:
    network = IPv6Network((number, length), strict=False)
    expected = Span(6, int(network[0]), int(network[-1]))
    assert expected == parse_item(str(network)) == parse_item(network.exploded.upper())


@given(V4, st.integers(0, 31))
def test_a_prefix_with_host_bits_is_refused_exactly_if_ipaddress_refuses_it(
    number: int, length: int
) -> None:
    text = f"{IPv4Address(number)}/{length}"
    try:
        IPv4Network(text)
    except ValueError:
        with pytest.raises(TargetError, match=str(IPv4Network(text, strict=False))):
            parse_item(text)
    else:
        assert isinstance(parse_item(text), Span)


@given(st.sampled_from([4, 6]), st.data())
def test_a_range_is_its_two_ends(version: int, data: st.DataObject) -> None:
    first = data.draw(V4 if version == 4 else V6)
    last = min(first + data.draw(st.integers(0, 65_535)), (1 << (32 if version == 4 else 128)) - 1)
    low, high = format_address(version, first), format_address(version, last)
    assert (
        Span(version, first, last) == parse_item(f"{low}-{high}") == parse_item(f"{low} - {high}")
    )


@given(st.integers(0, 255), st.integers(0, 255))
def test_a_short_range_ends_in_the_same_24(first: int, last: int) -> None:
    text = f"198.51.100.{first}-{last}"
    if last < first:
        with pytest.raises(TargetError, match="runs backwards"):
            parse_item(text)
    else:
        assert parse_item(text) == parse_item(f"198.51.100.{first}-198.51.100.{last}")


PIECES = st.lists(
    st.one_of(
        st.sampled_from(["198.51.100.7", "::1", "2001:db8::", "example", "net", "::ffff:1.2.3.4"]),
        st.sampled_from([*"-/.:%@[]# \t,;0159afx_*\0\x1b\n", "ü", "://", "/24", "/112"]),
        st.text(max_size=3),
    ),
    max_size=8,
).map("".join)


@given(V4 | V6)
def test_a_reverse_name_is_its_address(number: int) -> None:
    address = IPv4Address(number) if number < 1 << 32 else IPv6Address(number)
    assert parse_item(address.reverse_pointer.upper() + ".") == parse_item(str(address))


@given(V4, st.sampled_from([8, 16, 24]))
def test_a_short_reverse_name_is_its_prefix(number: int, length: int) -> None:
    network = IPv4Network((number, length), strict=False)
    labels = str(network[0]).split(".")[: length // 8]
    assert parse_item(".".join([*reversed(labels), "in-addr.arpa"])) == parse_item(str(network))


@pytest.mark.parametrize(
    ("text", "slash", "span"),
    [
        ("192.0.2.5/24", "either", Span(4, v4("192.0.2.5"), v4("192.0.2.5"))),
        ("192.0.2.0/24", "either", Span(4, v4("192.0.2.0"), v4("192.0.2.255"))),
        ("192.0.2.5/24", "address", Span(4, v4("192.0.2.5"), v4("192.0.2.5"))),
        ("192.0.2.0/24", "address", Span(4, v4("192.0.2.0"), v4("192.0.2.0"))),
        ("2001:db8::5/64", "address", Span(6, v6("2001:db8::5"), v6("2001:db8::5"))),
        ("2001:db8::/32", "address", Span(6, v6("2001:db8::"), v6("2001:db8::"))),
    ],
)
def test_an_address_with_a_length_may_be_the_address(
    text: str, slash: SlashMeaning, span: Span
) -> None:
    assert parse_item(text, slash=slash) == span


SUGGESTION = re.compile(r"; expected [^']*, '(.*)'$")
WRONG = st.builds(
    "{0}{1}{2}".format,
    st.sampled_from(
        ["", "<a@", "https://", "smtp://u@", "ip4:", "a:", "[", '"', "mailto:x@", "- ", "5.0/26."]
    ),
    st.sampled_from(
        ["192.0.2.5", "192.000.002.005", "2001:db8::1", "example.net", "192.0.2.*", "192.0.2.0"]
    ),
    st.sampled_from(
        ["", ">", ":25", "/x", "]:53", "?a=b", '",', "/255.255.255.0", "\u20139", " /24", "/24,"]
    ),
)


@given(WRONG | PIECES)
def test_what_a_message_suggests_is_accepted(text: str) -> None:
    entry = read_item(text.strip(), ORIGIN)
    found = isinstance(entry, Target) and SUGGESTION.search(entry.error or "")
    if found:
        following = read_item(found[1], ORIGIN)
        assert isinstance(following, SpanEntry) or following.kind != "invalid"


@given(WRONG | PIECES)
def test_what_a_message_suggests_is_wanted(text: str) -> None:
    def is_address(item: Span | Name) -> bool:
        return isinstance(item, Span) and item.first == item.last

    try:
        parse_item(text, wanted=is_address)
    except TargetError as error:
        found = SUGGESTION.search(str(error))
        assert not found or is_address(parse_item(found[1]))


@given(PIECES)
def test_garbage_gives_a_target_a_span_or_an_invalid_target_and_nothing_else(text: str) -> None:
    entry = read_item(text, ORIGIN)
    if isinstance(entry, SpanEntry):
        assert entry.span.size > 1
    elif entry.kind == "invalid":
        assert entry.error
        assert entry.error.isprintable()
        assert entry.text.isprintable()
        with pytest.raises(TargetError):
            parse_item(text)
    else:
        assert entry == read_item(entry.text, ORIGIN)


@given(PIECES)
def test_the_short_way_of_reading_agrees_with_the_parser(text: str) -> None:
    try:
        item = parse_item(text)
    except TargetError:
        return
    entry = read_item(text, ORIGIN)
    if isinstance(item, Name):
        assert isinstance(entry, Target)
        assert item.text == entry.text
    elif isinstance(entry, SpanEntry):
        assert item == entry.span
    else:
        assert format_address(item.version, item.first) == entry.text
