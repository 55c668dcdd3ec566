"""Whose policy `check_host` asks for, and what it makes of what is found there."""

from __future__ import annotations

import subprocess
import sys

import pytest
from support.spf_answers import V4, Zone, check, mailed

from auditor.resolve.answer import Question
from auditor.spf.check_host import sender_of
from auditor.spf.result import SpfFact
from auditor.wire.codes import TXT, A


@pytest.mark.parametrize(
    "helo",
    [
        *["localhost", "a..b", "", ".", "a b.c", "<mail.example.net>"],
        *["[192.0.2.1]", "192.0.2.1", "[IPv6:2001:db8::1]", "192.0.2.1:25", "[192.0.2.1]:25"],
        *["mail.example.net:25", "http://mail.example.net/"],
    ],
)
def test_a_helo_that_is_no_domain_is_none_and_asks_nothing(helo: str) -> None:
    course = check(Zone({}).answer, V4, helo)

    assert course.fact.result == "none"
    assert course.rounds == []


def test_a_helo_is_shown_printable_where_it_is_no_domain() -> None:
    assert check(Zone({}).answer, V4, "H\xe9 \ud800").fact.domain == r"h\195\169 \\ud800"


def test_the_domain_is_asked_for_in_its_canonical_form() -> None:
    zone = Zone.of(apex={"TXT": "v=spf1 -all"})

    fact = check(zone.answer, V4, "EXAMPLE.net.").fact

    assert (fact.identity, fact.domain, fact.result) == ("helo", "example.net", "fail")
    assert zone.asked == [Question("example.net", TXT)]


@pytest.mark.parametrize(
    ("mail_from", "sender"),
    [
        ("example.net", "postmaster@example.net"),
        ("@example.net", "postmaster@example.net"),
        ("me@example.net", "me@example.net"),
        ("", ""),
        ("me@", "me@"),
    ],
)
def test_a_domain_stands_for_its_postmaster(mail_from: str, sender: str) -> None:
    assert sender_of(mail_from) == sender


def test_a_sender_without_a_domain_is_none() -> None:
    assert check(Zone({}).answer, V4, sender="me@").fact.result == "none"


def test_a_quoted_local_part_may_contain_an_at_sign() -> None:
    zone = Zone(
        {
            "example.net": {TXT: [(b"v=spf1 exists:%{l1r+}.%{o} -all",)]},
            '"x@y.example.net': {A: ["127.0.0.2"]},
        }
    )

    assert check(zone.answer, V4, sender='"x@y+z"@example.net').fact.result == "pass"


def test_an_ipv4_mapped_address_is_an_ipv4_address() -> None:
    assert mailed("v=spf1 ip4:192.0.2.1 -all", f"::ffff:{V4}").result == "pass"


def test_no_policy_is_none_and_pyspf_is_not_even_loaded() -> None:
    script = (
        "import sys\n"
        "from auditor.resolve.answer import Answer\n"
        "from auditor.spf.check_host import check_host\n"
        "steps = check_host('192.0.2.1', 'helo', '', 'example.net')\n"
        "next(steps)\n"
        "try:\n"
        "    steps.send([Answer('NOERROR', ((b'v=spf10',), (b'else',)))])\n"
        "except StopIteration as end:\n"
        "    print(end.value.result, 'spf' in sys.modules, 'dns' in sys.modules)\n"
    )
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)

    assert run.stdout.split() == ["none", "False", "False"]


@pytest.mark.parametrize("status", ["NODATA", "NXDOMAIN"])
def test_absence_of_txt_is_none(status: str) -> None:
    zone = Zone({"example.net": {TXT: status}})

    fact = check(zone.answer, V4, "example.net").fact

    assert fact == SpfFact("helo", "example.net", "none", None, 0, 0, None, None)


@pytest.mark.parametrize("status", ["SERVFAIL", "REFUSED", "TIMEOUT", "TRUNCATED", "MALFORMED"])
def test_a_failed_txt_lookup_is_temperror_and_not_none(status: str) -> None:
    fact = check(Zone({"example.net": {TXT: status}}).answer, V4, "example.net").fact

    assert (fact.result, fact.explanation) == ("temperror", f"TXT of example.net: {status}")


def test_a_policy_is_found_in_any_case_and_in_pieces() -> None:
    zone = Zone({"example.net": {TXT: [(b"V=S", b"PF1 IP4:192.0.", b"2.1 -ALL"), (b"v=spf1x",)]}})

    fact = check(zone.answer, V4, "example.net").fact

    assert (fact.result, fact.mechanism) == ("pass", "IP4:192.0.2.1")
    assert fact.record == "V=SPF1 IP4:192.0.2.1 -ALL"


def test_two_policies_are_permerror_without_a_record() -> None:
    zone = Zone.of(apex={"TXT": ["v=spf1 +all", "v=spf1 -all"]})

    fact = check(zone.answer, V4, "example.net").fact

    assert (fact.result, fact.record) == ("permerror", None)
    assert fact.explanation == "2 SPF records at example.net, expected one"


def test_a_policy_of_type_99_alone_is_none() -> None:
    zone = Zone({"example.net": {99: [(b"v=spf1 -all",)]}})

    assert check(zone.answer, V4, "example.net").fact.result == "none"


def test_a_policy_outside_ascii_is_permerror_and_shown_escaped() -> None:
    fact = mailed("v=spf1 a:caf\xe9.example.net -all \\")

    assert (fact.result, fact.record) == ("permerror", r"v=spf1 a:caf\233.example.net -all \\")


@pytest.mark.parametrize("term", ["ip4:192.0.2.1\n", "\tall", "ip6:2001:db8::1\x00", "x=\x7f"])
def test_a_control_character_is_permerror_wherever_it_stands(term: str) -> None:
    assert mailed(f"v=spf1 ip4:{V4} {term}").result == "permerror"


@pytest.mark.parametrize(
    ("policy", "result", "mechanism"),
    [
        ("v=spf1 +Ip4:192.0.2.0/24 -all", "pass", "+Ip4:192.0.2.0/24"),
        ("v=spf1 ip4:198.51.100.0/24 ~ALL", "softfail", "~ALL"),
        ("v=spf1 ?include:good.example.net -all", "neutral", "?include:good.example.net"),
        ("v=spf1 include:bad.example.net ?all", "neutral", "?all"),
        ("v=spf1 include:bad.example.net", "neutral", None),
        ("v=spf1", "neutral", None),
        ("v=spf1 redirect=good.example.net", "pass", "ip4:192.0.2.1/32"),
        ("v=spf1 redirect=open.example.net", "neutral", None),
        ("v=spf1 redirect=bad.example.net ~all", "softfail", "~all"),
        ("v=spf1 include:self.example.net -all", "pass", "include:self.example.net"),
    ],
)
def test_the_mechanism_is_the_term_that_decided(
    policy: str, result: str, mechanism: str | None
) -> None:
    fact = mailed(
        policy,
        good={"TXT": "v=spf1 ip4:192.0.2.1/32 -all"},
        bad={"TXT": "v=spf1 ip4:198.51.100.1 -all"},
        open={"TXT": "v=spf1 ip4:198.51.100.1"},
        self={"TXT": "v=spf1 ip4:192.0.2.1 include:self.example.net -all"},
    )

    assert (fact.result, fact.mechanism) == (result, mechanism)


@pytest.mark.parametrize(
    ("policy", "lookups", "voids"),
    [
        ("v=spf1 ip4:192.0.2.1 a mx -all", 0, 0),
        ("v=spf1 ip4:192.0.2.1 redirect=one.example.net", 0, 0),
        ("v=spf1 redirect=one.example.net", 2, 1),
        ("v=spf1 include:one.example.net ptr -all", 3, 2),
        ("v=spf1 a a ip4:192.0.2.1 mx", 2, 0),
        ("v=spf1 exp=no.example.net -all", 0, 0),
    ],
)
def test_lookups_and_voids_are_counted_up_to_the_deciding_term(
    policy: str, lookups: int, voids: int
) -> None:
    fact = mailed(policy, apex={"A": "198.51.100.1"}, one={"TXT": "v=spf1 a -all"})

    assert (fact.lookups, fact.voids) == (lookups, voids)
