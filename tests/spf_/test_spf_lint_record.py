"""Lint of one record: each finding has an example, and a near miss that is none.

Also tests `lint/problems.py` and `outline.py`.
"""

from __future__ import annotations

import pytest
from support.spf_answers import Given, Zone
from support.spf_worlds import finish

from auditor.spf.lint.policy import LintReport, Problem, lint
from auditor.spf.lint.problems import MAX_ALIKE

#: All that the examples name, so that only their text is at fault.
WORLD: dict[str, dict[str, Given]] = {
    "apex": {"A": "192.0.2.10", "AAAA": "2001:db8::10", "MX": [(10, "mx.example.net")]},
    "mx": {"A": "192.0.2.11", "AAAA": "2001:db8::11"},
    "spf": {"TXT": "v=spf1 ip4:198.51.100.0/24 -all"},
    "why": {"TXT": "%{i} is not one of %{d}"},
}


def _lint(policy: str, **names: dict[str, Given]) -> LintReport:
    given = {**WORLD, **names}
    given["apex"] = {**given["apex"], "TXT": policy}
    return finish(lint("example.net"), Zone.of(**given).answer)


def _codes(report: LintReport) -> list[str]:
    assert {domain for _, domain in report.findings} <= {"example.net"}
    return [code for code, _ in report.findings]


EXAMPLES: list[tuple[str, str]] = [
    ("v=spf1 ipv4:192.0.2.1 -all", "SPF_SYNTAX"),
    ("v=spf1 ip4:192.0.2.1/33 -all", "SPF_SYNTAX"),
    ("v=spf1 redirect=spf.example.net redirect=spf.example.net", "SPF_SYNTAX"),
    ("v=spf1 ip4:192.0.2.1 -all\t", "SPF_NOT_ASCII"),
    ("v=spf1 +all", "SPF_PASS_ALL"),
    ("v=spf1 all", "SPF_PASS_ALL"),
    ("v=spf1 ip4:0.0.0.0/0 -all", "SPF_PASS_ALL"),
    ("v=spf1 ip6:::/0 -all", "SPF_PASS_ALL"),
    ("v=spf1 a/0 -all", "SPF_PASS_ALL"),
    ("v=spf1 a//0 -all", "SPF_PASS_ALL"),
    ("v=spf1 ip4:192.0.2.1", "SPF_NO_ALL"),
    ("v=spf1", "SPF_NO_ALL"),
    ("v=spf1 ip4:192.0.2.1 ?all", "SPF_NEUTRAL_ALL"),
    ("v=spf1 -all ip4:192.0.2.1", "SPF_TERM_AFTER_ALL"),
    ("v=spf1 -all redirect=spf.example.net", "SPF_REDIRECT_IGNORED"),
    ("v=spf1 redirect=spf.example.net ~all", "SPF_REDIRECT_IGNORED"),
    ("v=spf1 ptr -all", "SPF_PTR_MECHANISM"),
    ("v=spf1 ?ptr:example.net -all", "SPF_PTR_MECHANISM"),
    ("v=spf1 ip4:198.50.0.0/15 -all", "SPF_WIDE_RANGE"),
    ("v=spf1 ip6:2001:db8::/31 -all", "SPF_WIDE_RANGE"),
    ("v=spf1 a/15 -all", "SPF_WIDE_RANGE"),
    ("v=spf1 mx//31 -all", "SPF_WIDE_RANGE"),
    ("v=spf1 a a -all", "SPF_DUPLICATE_TERM"),
    ("v=spf1 a -a:EXAMPLE.net. -all", "SPF_DUPLICATE_TERM"),
    ("v=spf1 ip4:192.0.2.1 ip4:192.0.2.1/32 -all", "SPF_DUPLICATE_TERM"),
    ("v=spf1 ip4:192.0.2.0/24 -IP4:192.0.2.0/24 -all", "SPF_DUPLICATE_TERM"),
    ("v=spf1 ip4:192.0.2.77/24 -all", "SPF_HOST_BITS"),
    ("v=spf1 ip6:2001:db8::1/48 -all", "SPF_HOST_BITS"),
    ("v=spf1 ip4:192.0.2.0/24 -ip4:192.0.2.1 -all", "SPF_TERM_COVERED"),
    ("v=spf1 ip4:192.0.2.1 ip4:192.0.2.0/24 -all", "SPF_TERM_COVERED"),
    ("v=spf1 ip4:192.0.2.0/25 ip4:192.0.2.128/25 ip4:192.0.2.0/24 -all", "SPF_TERM_COVERED"),
    ("v=spf1 ip6:2001:db8::/48 a ip6:2001:db8::1 -all", "SPF_TERM_COVERED"),
    ("v=spf1 ip4=192.0.2.1 -all", "SPF_UNKNOWN_MODIFIER"),
    ("v=spf1 -all v=spf1", "SPF_UNKNOWN_MODIFIER"),
    ("v=spf1 exists:%{l}._spf.%{d} -all", "SPF_ODD_MACRO"),
    ("v=spf1 exists:%{S}._spf.%{d} -all", "SPF_ODD_MACRO"),
    ("v=spf1 exists:%{h}._spf.%{d} -all", "SPF_ODD_MACRO"),
    ("v=spf1 exists:%{p}._spf.%{d} -all", "SPF_ODD_MACRO"),
    ("v=spf1 redirect=%{l1r}._spf.example.net", "SPF_ODD_MACRO"),
    ("v=spf1 -all exp=nothing.example.net", "SPF_EXP_WITHOUT_TEXT"),
]

NEAR_MISSES: list[str] = [
    "v=spf1 -all",
    "V=SPF1   A   -ALL ",
    "v=spf1 ip4:192.0.2.1/32 ip6:2001:db8::1/128 ~all",
    "v=spf1 redirect=spf.example.net",
    "v=spf1 ?include:spf.example.net -all",
    "v=spf1 -ip4:0.0.0.0/0 -all",
    "v=spf1 ~ip4:198.0.0.0/8 -all",
    "v=spf1 ip4:198.51.0.0/16 ip6:2001:db8::/32 a/16//32 -all",
    "v=spf1 a a/24 a:mx.example.net mx -all",
    "v=spf1 ip4:192.0.2.0/25 ip4:192.0.2.128/25 -all",
    "v=spf1 -ip4:192.0.2.1 ip4:192.0.2.0/24 -all",
    "v=spf1 ip4:192.0.2.1 -ip4:192.0.2.0/28 ip4:192.0.2.0/24 -all",
    "v=spf1 ip4:192.0.2.1 ip6:::192.0.2.1 -all",
    "v=spf1 exists:%{ir}.%{v}._spf.%{d2} -all",
    "v=spf1 -all ra=postmaster rp=100 rr=all",
    "v=spf1 -all exp=why.example.net",
    "v=spf1 -all exp=%{l}.why.example.net",
    "v=spf1 include:spf.example.net mx -all",
]


@pytest.mark.parametrize(("policy", "code"), EXAMPLES)
def test_what_is_wrong_with_a_record_is_found_and_nothing_else(policy: str, code: str) -> None:
    assert _codes(_lint(policy)) == [code]


@pytest.mark.parametrize("policy", NEAR_MISSES)
def test_what_only_looks_wrong_is_no_finding(policy: str) -> None:
    report = _lint(policy)

    assert report.problems == ()
    assert report.policies == 1


def test_a_problem_says_where_it_is_and_what() -> None:
    (problem,) = _lint("v=spf1 mx ip4:192.0.2.300 -all").problems

    assert problem == Problem(
        "SPF_SYNTAX",
        "example.net",
        "ip4:192.0.2.300",
        10,
        25,
        "not an IPv4 address: 192.0.2.300",
    )


def test_hostile_text_is_printable_in_a_problem() -> None:
    (problem,) = _lint("v=spf1 \x1b[31mred -all").problems

    assert problem.code == "SPF_NOT_ASCII"
    assert problem.term == r"\027[31mred"
    assert problem.note.isprintable()


@pytest.mark.parametrize(
    ("policy", "note"),
    [
        ("v=spf1 include=spf.example.net -all", "ignored: did you mean include:spf.example.net"),
        ("v=spf1 moo=cow -all", "ignored"),
        ("v=spf1 a -a -all", "the same stands at octet 8"),
        (
            "v=spf1 ip4:192.0.2.0/24 ip4:192.0.2.1 -all",
            "matches nothing: ip4:192.0.2.0/24 stands before it",
        ),
        ("v=spf1 ip4:192.0.2.1 ip4:192.0.2.0/24 -all", "ip4:192.0.2.0/24 covers it"),
        ("v=spf1 ip4:198.50.0.0/15 -all", "authorises 131,072 addresses"),
        ("v=spf1 ip6:2001:db8::/31 -all", "authorises 2^97 addresses"),
        ("v=spf1 -all mx", "never evaluated: after -all"),
        ("v=spf1 ip4:0.0.0.0/0 -all", "every IPv4 address passes"),
    ],
)
def test_a_note_says_what_exactly_is_meant(policy: str, note: str) -> None:
    assert [problem.note for problem in _lint(policy).problems] == [note]


def test_a_record_that_cannot_be_read_is_not_said_to_have_no_end() -> None:
    assert _codes(_lint("v=spf1 mx -all.")) == ["SPF_SYNTAX"]


def test_networks_that_cover_each_other_are_named_once() -> None:
    report = _lint("v=spf1 ip4:192.0.2.0/26 ip4:192.0.2.0/24 ip4:192.0.2.0/25 -all")

    assert [(p.code, p.term) for p in report.problems] == [
        ("SPF_TERM_COVERED", "ip4:192.0.2.0/25"),
        ("SPF_TERM_COVERED", "ip4:192.0.2.0/26"),
    ]


def test_of_very_many_problems_only_so_many_are_named() -> None:
    problems = _lint("v=spf1" + " a" * 1000 + " -all").problems

    assert [p.code for p in problems].count("SPF_DUPLICATE_TERM") == MAX_ALIKE


def _strings(*strings: bytes) -> list[tuple[str, int | None]]:
    zone = Zone({"example.net": {16: [strings]}})
    report = finish(lint("example.net"), zone.answer)
    return [(p.term, p.start) for p in report.problems if p.code == "SPF_STRINGS_JOINED"]


@pytest.mark.parametrize(
    "strings",
    [
        (b"v=spf1 ip4:192.0.2.1", b"ip4:192.0.2.2 -all"),
        (b"v=spf1 ip4:192.0.2.1", b"-ip4:192.0.2.2 -all"),
        (b"v=spf1 ip4:192.0.2.1 a:x.example", b"all"),
        (b"v=spf1 mx", b"redirect=x.example"),
    ],
)
def test_strings_that_run_together_are_found(strings: tuple[bytes, ...]) -> None:
    ((term, start),) = _strings(*strings)

    assert start == strings[0].rindex(b" ") + 1
    assert b"".join(strings)[start:].decode().startswith(term)


@pytest.mark.parametrize(
    "strings",
    [
        (b"v=spf1 ip4:192.0.2.1 ", b"ip4:192.0.2.2 -all"),
        (b"v=spf1 ip4:192.0.2.1", b" ip4:192.0.2.2 -all"),
        (b"v=spf1 ip4:192.0.2.1 -", b"all"),
        (b"v=spf1 ip4:192.0.2", b".1 -a", b"ll"),
        (b"v=spf1 include:spf.", b"mx.example -all"),
        (b"v=spf1 include:spf", b"allofus.example -all"),
    ],
)
def test_strings_that_are_meant_to_be_joined_are_not(strings: tuple[bytes, ...]) -> None:
    assert _strings(*strings) == []
