"""Policies as terms: what they are, where they stand, and as strict as `check_host`."""

from __future__ import annotations

import time

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from support.effort import examples, sample
from support.spf_answers import V4, V6, Zone, check

from auditor.spf.parser import MAX_PROBLEMS, parse_policy
from auditor.wire.codes import TXT


def test_a_policy_is_its_terms_in_order_with_their_places() -> None:
    text = "V=SPF1  a -MX:x.net/24//64 ip4:192.0.2.1/24 redirect=%{d}.net  x.y=%{i} "
    policy = parse_policy(text)

    assert policy.problems == ()
    assert [(term.kind, term.qualifier, term.spec) for term in policy.terms] == [
        ("a", "+", None),
        ("mx", "-", "x.net"),
        ("ip4", "+", None),
        ("redirect", "", "%{d}.net"),
        ("unknown", "", "%{i}"),
    ]
    assert [text[term.start : term.end] for term in policy.terms] == [t.text for t in policy.terms]
    assert [term.kind for term in policy.mechanisms] == ["a", "mx", "ip4"]
    assert (policy.redirect, policy.exp) == (policy.terms[3], None)
    assert policy.terms[1].result == "fail"
    assert (policy.terms[1].bits, policy.terms[1].bits6) == (24, 64)
    assert (policy.terms[0].bits, policy.terms[0].bits6) == (32, 128)
    assert policy.terms[4].name == "x.y"


def test_a_network_is_the_addresses_that_match() -> None:
    four, six, single = parse_policy(
        "v=spf1 ip4:192.0.2.77/24 ip6:2001:db8::1/127 ip4:0.0.0.1"
    ).terms

    assert four.span == (0xC0000200, 0xC00002FF)
    assert four.address == 0xC000024D
    assert six.span == (0x20010DB8 << 96, (0x20010DB8 << 96) + 1)
    assert single.span == (1, 1)


@pytest.mark.parametrize(
    ("term", "macros"),
    [
        ("a:x.net", ""),
        ("exists:%{IR}.%{v}.%{d2}", "ivd"),
        ("include:%{l-}.%{o}", "lo"),
        ("a:%{S}.net", "s"),
        ("mx:%{h}", "h"),
        ("a:%%{d}%_%-.net", ""),
        ("ptr", ""),
        ("exp=%{p}.%{h}", "ph"),
    ],
)
def test_a_term_says_which_macros_it_uses(term: str, macros: str) -> None:
    (parsed,) = parse_policy(f"v=spf1 {term}").terms
    assert parsed.macros == frozenset(macros)


@pytest.mark.parametrize(
    ("term", "message"),
    [
        ("prt", "unknown mechanism prt: did you mean ptr?"),
        ("IPv4:192.0.2.1", "unknown mechanism IPv4: did you mean ip4?"),
        ("foo:2001:db8::1", "unknown mechanism foo: did you mean ip6?"),
        ("moo", "unknown mechanism moo"),
        ("=a", "= is no qualifier: use one of + - ? ~"),
        ("-", "no mechanism: a qualifier or colon alone"),
        ("192.0.2.1", "an address without its mechanism: use ip4:"),
        ("192.0.2.0/24", "an address without its mechanism: use ip4:"),
        ("a:192.0.2.1", "an address where a domain is expected: use ip4:"),
        ("a:", "no domain where one is expected"),
        ("a:localhost", "not a domain name with a top label: localhost"),
        ("a/33", "a prefix length of 33: IPv4 has 32 bits"),
        ("mx//129", "a prefix length of 129: IPv6 has 128 bits"),
        ("a:x.net/" + "9" * 5000, "a prefix length of " + "9" * 64 + "...: IPv4 has 32 bits"),
        ("ip4:", "ip4 needs an address: ip4:ADDRESS"),
        ("ip4:192.0.2.256", "not an IPv4 address: 192.0.2.256"),
        ("ip4:192.0.2.01", "not an IPv4 address: 192.0.2.01"),
        ("ip4:192.0.2.0/024", "not an IPv4 network: 192.0.2.0/024"),
        ("ip4:192.0.2.0//24", "ip4 takes one prefix length, after one slash"),
        ("ip4:2001:db8::1", "not an IPv4 address: use ip6:"),
        ("ip6:192.0.2.1", "not an IPv6 address: use ip4:"),
        ("ip6:fe80::1%eth0", "not an IPv6 address: fe80::1%eth0"),
        ("all:x.net", "all takes no argument"),
        ("all/24", "all takes no prefix length"),
        ("exists:x.net/24", "exists takes no prefix length"),
        ("include", "include needs a domain: include:DOMAIN"),
        ("all,", "a comma at its end: terms are separated by spaces alone"),
        ("x=%{q}", "not a macro: %{q}"),
        ("exists:%{c}.net", "%{c} outside of an explanation: %{c}.net"),
        ("redirect=", "no domain where one is expected"),
        ("a\tmx", "a control character (\\009) in a term"),
        ("a:b\u00fc.net", "an octet outside ASCII (\\195) in a term"),
    ],
    ids=lambda text: text[:24],
)
def test_a_problem_says_where_it_is_and_what_was_expected(term: str, message: str) -> None:
    policy = parse_policy(f"v=spf1 a {term} -all")

    ((position, text, said),) = policy.problems
    assert (position, text) == (9, term.encode().decode("latin-1"))
    assert said == message
    assert [t.kind for t in policy.terms] == ["a", "all"]


def test_a_known_modifier_stands_once() -> None:
    policy = parse_policy("v=spf1 redirect=a.net x=1 x=2 Redirect=b.net exp=a.net exp=a.net")

    assert [problem.position for problem in policy.problems] == [30, 55]
    assert policy.redirect is not None
    assert policy.redirect.spec == "a.net"


@pytest.mark.parametrize("text", ["", "v=spf10 a", "v=spf2.0/pra a", " v=spf1 a", "\ud800"])
def test_what_does_not_start_with_the_version_is_no_policy(text: str) -> None:
    assert parse_policy(text).problems[0].message == "does not start with v=spf1"


def test_every_problem_is_found_but_their_number_is_bounded() -> None:
    assert len(parse_policy("v=spf1 b c d/24 e").problems) == 4
    assert len(parse_policy("v=spf1 " + "x " * 30_000).problems) == MAX_PROBLEMS


@pytest.mark.parametrize(
    "piece",
    ["ip4:1.2.3.4 ", "/1", "//1", "1", "%", "%{d", "a-", "=", "x=", ":", "1:", "%.", "\xff", ","],
)
@pytest.mark.parametrize("start", sample(["", "a:", "a:x.net/", "ip6:", "exp=", "x="], fewest=3))
def test_a_policy_of_64_kib_is_parsed_in_linear_time(start: str, piece: str) -> None:
    started = time.process_time()

    parse_policy(f"v=spf1 {start}{piece * (65_000 // len(piece))}!".encode("latin-1"))

    assert time.process_time() - started < 2  # quadratic work takes minutes


_NAMES = st.sampled_from(
    ["x.net", "x.net.", "x", "x..net", "x.n-t", "x.n-", "x.4", "a:b.net", "x_y.net", "x/24.net", ""]
)
_MACROS = st.sampled_from(
    ["%{d}", "%{i2r-}", "%{D0}", "%{c}", "%{L+-.,/_=}", "%{p", "%%", "%_", "%-", "%a", "%{h}.net"]
)
_SPECS = st.one_of(_NAMES, st.builds("{}{}".format, _MACROS, _NAMES), _MACROS)
_CIDR = st.sampled_from(
    ["", "", "/0", "/32", "/33", "/024", "//64", "//128", "//129", "/24//64", "/", "//", "/1/2"]
)
_ADDRESSES = st.sampled_from(
    [
        *("1.2.3.4", "1.2.3.04", "1.2.3", "1.2.3.256", "::1.2.3.4", "::01.2.3.4", "::ffff:1.2.3.4"),
        *("::", "::1", ":::", "1:2:3:4:5:6:7::", "1::2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8", "12345::1"),
        *("ABCD::g", "fe80::1%e", "1:2:3:4:5:6:1.2.3.4"),
    ]
)
_KINDS = st.sampled_from(
    ["a", "A", "mx", "ptr", "exists", "include", "Include", "all", "ip4", "IP4", "ip6", "ip", "v"]
)
_TERMS = st.one_of(
    st.builds(
        "{}{}{}{}".format,
        st.sampled_from(["", "", "+", "-", "~", "?", "=", "--"]),
        _KINDS,
        st.one_of(st.just(""), st.builds(":{}".format, st.one_of(_SPECS, _ADDRESSES))),
        _CIDR,
    ),
    st.builds(
        "{}={}".format,
        st.sampled_from(["redirect", "exp", "EXP", "x", "x-y_z.1", "1x", ""]),
        st.one_of(_SPECS, _ADDRESSES),
    ),
)
_RECORDS = st.builds(
    " ".join, st.lists(st.one_of(_TERMS, st.sampled_from(["", ","])), max_size=3)
).map(str.encode)


@st.composite
def _mutated(draw: st.DrawFn) -> bytes:
    """Draw a record with an octet dropped, doubled or replaced."""
    record = bytearray(draw(_RECORDS) or b"a")
    place = draw(st.integers(0, len(record) - 1))
    octet = draw(st.one_of(st.sampled_from(b" :/%{}.-+=,0aA~"), st.integers(0, 255)))
    how = draw(st.integers(0, 2))
    record[place : place + (how > 0)] = [octet] * (how < 2)
    return bytes(record)


@given(st.one_of(_RECORDS, _mutated()))
@settings(max_examples=examples(600))
@example(b"include:d.example.net")
@example(b"include:%{d}")
@example(b"exists:%{h} redirect=%{d}")
@example(b"x=%{c}")
@example(b"+exists")
def test_a_policy_has_a_problem_exactly_if_check_host_gives_permerror_for_it(tail: bytes) -> None:
    # Whoever matches the first term passes, unless the rest is no policy.
    record = f"v=spf1 ip4:{V4} ip6:{V6} ".encode() + tail
    zone = Zone({"d.example.net": {TXT: [(record,)]}})
    results = {check(zone.answer, address, "d.example.net").fact.result for address in (V4, V6)}

    assert results == ({"permerror"} if parse_policy(record).problems else {"pass"})
