"""`auditor spf`: the tree, the addresses that pass, the findings; ranges; one address; JSON.

Also tests `spf_json.py`, `spf_report.py`, `spf_text.py` and `spf_text_hosts.py`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import click
import pytest
from cli.driving import ZONES, Ended, at_terminal
from support.fleet import targets

from auditor.findings.catalogue import entry

if TYPE_CHECKING:
    from collections.abc import Callable

ELEVEN = "spf-11-lookups.example.net"


@pytest.fixture
def spf(call: Callable[..., Ended]) -> Callable[..., Ended]:
    """Run `auditor spf` over the example fleet."""
    return lambda *arguments: call("spf", "--zones", ZONES, *arguments)


@pytest.fixture
def data(spf: Callable[..., Ended]) -> Callable[..., dict[str, Any]]:
    """Run it with --json, and return the object."""

    def run(*arguments: str) -> dict[str, Any]:
        ended = spf("--json", *arguments)
        assert (ended.code, ended.err) == (0, "")
        found: dict[str, Any] = json.loads(ended.out)
        return found

    return run


def test_a_healthy_policy_is_shown_with_its_includes_and_addresses(
    spf: Callable[..., Ended],
) -> None:
    ended = spf("example.com")

    assert (ended.code, ended.err) == (0, "")
    assert ended.out.splitlines() == [
        "example.com  2 lookups, 0 void",
        "",
        "  Record",
        "    v=spf1 include:_spf.example.net include:_spf.example.com -all",
        "",
        "  Terms, with the lookups (10 at most) and void lookups (2 at most) up to each",
        "      1     0  include:_spf.example.net",
        "                 ip4:198.51.100.16/28 ip4:198.51.100.32/29",
        "                   ip6:2001:db8:100:25::/123",
        "                 -all",
        "      2     0  include:_spf.example.com",
        "                 ip4:203.0.113.0/28",
        "                 -all",
        "               -all",
        "",
        "  Authorised",
        "    IPv4  40 addresses in 2 ranges",
        "          198.51.100.16 - 198.51.100.39          24",
        "          203.0.113.0/28                         16",
        "    IPv6  32 addresses in 1 range",
        "          2001:db8:100:25::/123          32",
        "",
        "  No problems found.",
    ]


def test_the_tree_tells_where_the_lookups_come_from(spf: Callable[..., Ended]) -> None:
    lines = spf(ELEVEN).out.splitlines()

    assert lines[0] == f"{ELEVEN}  11 lookups, 0 void  1 error"
    assert "      1     0  include:_five.example.net  (6 lookups in all)" in lines
    assert "      7     0  include:_four.example.net  (5 lookups in all)" in lines
    assert "     11     0    a:mx-9.example.net" in lines


def test_a_finding_has_its_place_reason_remedy_and_line(spf: Callable[..., Ended]) -> None:
    text = " ".join(spf("spf-syntax.example.org").out.split())

    known = entry("SPF_SYNTAX")
    place = "octets 8 to 25: ipv4:198.51.100.65 (unknown mechanism ipv4: did you mean ip4?)"
    for part in (
        f"SPF_SYNTAX error: spf-syntax.example.org {known.title}. {place}",
        f"Why it matters: {known.why}",
        f"Remedy: {known.remedy}",
        'spf-syntax.example.org. IN TXT "v=spf1 ip4:198.51.100.65 -all"',
    ):
        assert part in text


def test_trouble_stands_beside_the_term_that_has_it(spf: Callable[..., Ended]) -> None:
    assert "include:no-spf.example.org  no policy" in spf("spf-include-none.example.org").out
    assert "include:spf-loop.example.org  loop" in spf("spf-loop.example.org").out
    assert "a:gone-1.example.net  no addresses" in spf("spf-nothing.example.org").out
    assert "1 term after all, never evaluated" in spf("spf-behind.example.org").out
    assert "a syntax error: permerror" in spf("spf-syntax.example.org").out


@pytest.mark.parametrize(
    ("domain", "message"),
    [
        ("no-spf.example.org", "NODATA: no SPF record"),
        ("nowhere.example.org", "NXDOMAIN: no SPF record"),
        ("two-spf.example.org", "NOERROR: 2 SPF records at two-spf.example.org, expected one"),
        ("example.edu", "REFUSED: TXT of example.edu: REFUSED"),
    ],
)
def test_without_a_policy_it_says_what_there_is(
    spf: Callable[..., Ended], domain: str, message: str
) -> None:
    ended = spf(domain)

    assert ended.code == 0
    assert f"  Record\n    {message}\n" in ended.out
    assert "Authorised" not in ended.out


def test_a_range_is_shown_part_by_part(spf: Callable[..., Ended]) -> None:
    ended = spf(
        "example.com", "--range", "203.0.113.0/27", "--range", "198.51.100.38-198.51.100.41"
    )

    _, _, shown = ended.out.partition("-all\n\n")
    assert shown.splitlines() == [
        "  203.0.113.0/27",
        "    203.0.113.0/28  pass  (2 lookups, 0 void)",
        "        by include:_spf.example.com > ip4:203.0.113.0/28",
        "    203.0.113.16/28  fail  (2 lookups, 0 void)",
        "        by -all",
        "",
        "  198.51.100.38 - 198.51.100.41",
        "    198.51.100.38/31  pass  (1 lookup, 0 void)",
        "        by include:_spf.example.net > ip4:198.51.100.32/29",
        "    198.51.100.40/31  fail  (2 lookups, 0 void)",
        "        by -all",
        "",
        "  No problems found.",
    ]


def test_a_range_of_any_size_is_taken(data: Callable[..., dict[str, Any]]) -> None:
    (found,) = data("example.com", "--range", "::/0")["ranges"]

    assert (found["first"], found["last"]) == ("::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff")
    assert {part["result"] for part in found["parts"]} == {"pass", "fail"}


def test_what_depends_on_the_sender_is_decided_once_one_is_given(
    data: Callable[..., dict[str, Any]],
) -> None:
    arguments = ("users.example.com", "--range", "192.0.2.0/30")

    def results(*more: str) -> list[str | None]:
        (found,) = data(*arguments, *more)["ranges"]
        return [part["result"] for part in found["parts"]]

    assert results() == [None]
    assert results("--sender", "alice") == ["pass"]
    assert results("--sender", "mallory@users.example.com") == ["fail"]


def test_what_depends_on_each_address_is_decided_one_by_one(
    data: Callable[..., dict[str, Any]],
) -> None:
    domain = "spf-exists.example.net"  # lets 198.51.100.196 pass
    (found,) = data(domain, "--range", "198.51.100.192/29", "--sender", "me")["ranges"]

    assert [(p["first"], p["last"], p["result"]) for p in found["parts"]] == [
        ("198.51.100.192", "198.51.100.195", "fail"),
        ("198.51.100.196", "198.51.100.196", "pass"),
        ("198.51.100.197", "198.51.100.199", "fail"),
    ]


def test_an_undecided_part_says_what_it_depends_on(spf: Callable[..., Ended]) -> None:
    text = " ".join(spf("users.example.com", "--range", "192.0.2.0/24").out.split())

    assert "192.0.2.0/24 undecided (1 lookup, 0 void) depends on the sender" in text
    assert "exists:%{l}._known.%{d}; see --sender and --ip" in text


def test_one_address_is_explained_term_by_term(spf: Callable[..., Ended]) -> None:
    ended = spf(
        "users.example.com", "--ip", "192.0.2.7", "--sender", "alice", "--helo", "h.example"
    )

    _, _, shown = ended.out.partition("exp=_why.%{d}\n\n")
    assert shown.splitlines()[:6] == [
        "  192.0.2.7  pass by exists:%{l}._known.%{d} (1 lookup, 0 void)",
        "    MAIL FROM alice@users.example.com, HELO h.example",
        "    Terms, with the lookups and void lookups up to each",
        "      1     0  exists:%{l}._known.%{d}: match",
        "                 A of alice._known.users.example.com: 127.0.0.2",
        "               -all: not reached",
    ]


def test_the_explanation_of_a_fail_is_shown(spf: Callable[..., Ended]) -> None:
    out = spf("users.example.com", "--ip", "192.0.2.7").out

    assert "192.0.2.7  fail by -all (1 lookup, 1 void)" in out
    assert "postmaster@users.example.com may not send from 192.0.2.7" in out


@pytest.mark.parametrize("domain", [ELEVEN, "spf-syntax.example.org", "spf-loop.example.org"])
def test_a_permerror_is_explained(
    spf: Callable[..., Ended], data: Callable[..., dict[str, Any]], domain: str
) -> None:
    assert "192.0.2.9  permerror" in spf(domain, "--ip", "192.0.2.9").out
    (found,) = data(domain, "--ip", "192.0.2.9")["check_host"]
    steps = found["policy"]["steps"]
    assert found["policy"]["error"] or [s for s in steps if s["outcome"] == "error"]


def test_json_has_every_key_and_exact_numbers(data: Callable[..., dict[str, Any]]) -> None:
    found = data("example.com", "--range", "203.0.113.0/28", "--ip", "203.0.113.1")

    assert list(found) == [
        *("domain", "status", "record", "explanation", "lookups", "voids", "complete", "tree"),
        *("authorised", "findings", "ranges", "check_host"),
    ]
    assert found["tree"]["terms"][1] == {
        "term": "include:_spf.example.com",
        "target": "_spf.example.com",
        "lookups": 2,
        "voids": {"ipv4": 0, "ipv6": 0},
        "reached": True,
        "trouble": None,
        "policy": {"domain": "_spf.example.com", "terms": []},
    }
    assert found["authorised"]["ipv6"] == {
        "addresses": 32,
        "undecided": 0,
        "ranges": [{"first": "2001:db8:100:25::", "last": "2001:db8:100:25::1f", "addresses": 32}],
    }
    assert found["ranges"] == [
        {
            "first": "203.0.113.0",
            "last": "203.0.113.15",
            "parts": [
                {
                    "first": "203.0.113.0",
                    "last": "203.0.113.15",
                    "result": "pass",
                    "mechanism": "include:_spf.example.com",
                    "path": [
                        {"domain": "example.com", "term": "include:_spf.example.com"},
                        {"domain": "_spf.example.com", "term": "ip4:203.0.113.0/28"},
                    ],
                    "lookups": 2,
                    "voids": 0,
                    "explanation": None,
                }
            ],
        }
    ]
    (explained,) = found["check_host"]
    assert (explained["result"], explained["sender"]) == ("pass", "postmaster@example.com")
    assert [step["outcome"] for step in explained["policy"]["steps"]] == [
        "no match",
        "match",
        "not reached",
    ]


def test_json_numbers_are_exact_beyond_64_bits(data: Callable[..., dict[str, Any]]) -> None:
    found = data("spf-world.example.org")

    assert found["authorised"]["ipv6"]["addresses"] == 1 << 128
    assert found["findings"] == [
        {
            "code": "SPF_PASS_ALL",
            "severity": "error",
            "subject": "spf-world.example.org",
            "term": "+all",
            "start": 10,
            "end": 14,
            "note": "every address passes",
        }
    ]


def test_json_without_a_policy_has_the_same_keys(data: Callable[..., dict[str, Any]]) -> None:
    assert list(data("no-spf.example.org")) == list(data("example.com"))
    assert data("no-spf.example.org")["tree"] is None


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--fail-on", "error"), 1),
        (("--fail-on", "error", "--ignore", "SPF_TOO_MANY_LOOKUPS"), 0),
        (("--fail-on", "warning", "--select", "PTR"), 0),
        ((), 0),
    ],
)
def test_the_exit_code_is_by_the_findings_that_count(
    spf: Callable[..., Ended], arguments: tuple[str, ...], code: int
) -> None:
    assert spf(ELEVEN, *arguments).code == code
    assert spf("example.com", *arguments).code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing to show: give a domain"),
        (("no_domain",), "is a single label; expected a domain such as example.net"),
        (("192.0.2.1",), "is an address; expected a domain"),
        (("example.com", "--range", "300.0.0.0/8"), "--range: "),
        (("example.com", "--range", "192.0.2.1/24"), "has host bits set"),
        (("example.com", "--range", "example.net"), "expected a prefix or a range a-b"),
        (("example.com", "--ip", "192.0.2.0/24"), "is not one address; use --range"),
        (("example.com", "--ip", "x"), "--ip: "),
        (("example.com", "--ip", "192.0.2"), "'192.0.2' ends in a number and is no IPv4 address"),
        (("example.com", "--range", "http://a.net"), "is a URL (http); expected one address, "),
        (("example.com", "--sender", "me"), "--sender says nothing without --ip or --range"),
        (("example.com", "--helo", "h.example"), "--helo says nothing without --ip or --range"),
        (
            ("example.com", "--ip", "192.0.2.1", "--sender", "me@example.org"),
            "is not an address of",
        ),
    ],
)
def test_a_command_line_that_cannot_work_is_one_line_and_exit_2(
    spf: Callable[..., Ended], arguments: tuple[str, ...], message: str
) -> None:
    ended = spf(*arguments)

    assert (ended.code, ended.out) == (2, "")
    assert message in ended.err
    assert len(ended.err.splitlines()) == 1


def _domains() -> list[str]:
    return [name for name in targets() if name.startswith("spf-")]


def test_every_specimen_of_the_fleet_is_readable_at_80_columns_and_plain(
    spf: Callable[..., Ended],
) -> None:
    domains = _domains()
    assert len(domains) > 20
    for domain in domains:
        out = spf(domain).out + spf(domain, "--range", "198.51.100.0/24", "--ip", "::1").out
        assert out.isascii()
        assert "\x1b" not in out
        for line in out.splitlines():
            assert len(line) <= 80 or " IN TXT " in line or " " not in line.strip(), line


def test_an_internationalised_domain_is_taken(spf: Callable[..., Ended]) -> None:
    assert spf("bücher.example.org").out.startswith("xn--bcher-kva.example.org  1 lookup")


def test_colours_are_for_a_terminal() -> None:
    arguments = ("spf", "--zones", ZONES, ELEVEN, "--ip", "192.0.2.1")
    with at_terminal(*arguments, on=("stdout",), columns=80) as (_, screen):
        shown = screen.read_all()

    assert "\x1b[31m\x1b[1merror\x1b[0m" in shown
    plain = click.unstyle(shown).replace("\r\n", "\n")
    assert f"{ELEVEN}  11 lookups, 0 void  1 error\n" in plain


def test_no_colour_where_none_is_wanted() -> None:
    arguments = ("spf", "--zones", ZONES, ELEVEN)
    with at_terminal(*arguments, on=("stdout",), env={"NO_COLOR": "1"}) as (_, screen):
        assert "\x1b" not in screen.read_all()
