"""Tests `entries/spf_errors.py`, `entries/spf_warnings.py` and `findings/entry.py`."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auditor.checks.facts import ForwardName, IprevFact, PtrFact
from auditor.findings.catalogue import ENTRIES
from auditor.findings.entries import spf_errors as spf_broken
from auditor.findings.entries import spf_warnings as spf_unwise
from auditor.findings.entry import SEVERITIES, Severity
from auditor.findings.judge import VERDICTS, Finding, fails, judge_invalid, judge_ip, verdict
from auditor.findings.rules import RuleSet
from auditor.spf.result import SpfFact
from auditor.targets.target import Origin, Target
from auditor.wire.reverse import reverse_name

if TYPE_CHECKING:
    from random import Random

IP = "198.51.100.7"
NAME = "mail.example.net"
PARENT = "100.51.198.in-addr.arpa"
UNDOTTED = f"{NAME}.{PARENT}"
RULING = RuleSet()


def reverse(*names: str, status: str = "", wildcard: str = "") -> PtrFact:
    status = status or ("NOERROR" if names else "NXDOMAIN")
    return PtrFact(status, names, (), reverse_name(IP), wildcard=wildcard)


def confirmed(name: str = NAME, alias: str = "") -> ForwardName:
    return ForwardName(name, "NOERROR", (IP,), confirms=True, alias=alias)


def unconfirmed(name: str, status: str = "NXDOMAIN") -> ForwardName:
    addresses = ("192.0.2.1",) if status == "NOERROR" else ()
    return ForwardName(name, status, addresses, confirms=False)


def forward(*names: ForwardName, none: str = "permerror") -> IprevFact:
    if any(name.confirms for name in names):
        return IprevFact("pass", names)
    unread = any(name.status not in {"NOERROR", "NODATA", "NXDOMAIN"} for name in names)
    return IprevFact("temperror" if unread else "fail" if names else none, names)


def policy(result: str, domain: str = NAME, record: str | None = "v=spf1 -all") -> SpfFact:
    return SpfFact("helo", domain, result, None, 0, 0, record, None)


class Ip(NamedTuple):
    """The facts of an address, all well unless said otherwise."""

    target: str = IP
    ptr: PtrFact = reverse(NAME)
    iprev: IprevFact = forward(confirmed())
    spf: tuple[SpfFact, ...] = (policy("pass"),)
    expected: str = ""

    def found(self, rule_set: RuleSet = RULING) -> list[Finding]:
        version = 6 if ":" in self.target else 4
        return judge_ip(
            self.target,
            version,
            self.ptr,
            self.iprev,
            self.spf,
            expected=self.expected,
            rule_set=rule_set,
        )

    def codes(self) -> list[tuple[str, str]]:
        return [(code, subject) for code, _, subject in self.found()]


def named(*names: str) -> Ip:
    """Return the facts of an address with names that all confirm it."""
    return Ip(ptr=reverse(*names), iprev=forward(*map(confirmed, names[:10])))


ELEVEN = tuple(f"mail{letter}.example.net" for letter in "abcdefghijk")

#: What shows a finding, and what just does not: (facts, findings as code and subject).
IPS = [
    (Ip(), []),
    (Ip(spf=()), []),
    # PTR
    (
        Ip(ptr=reverse(status="BOGUS"), iprev=forward(none="temperror"), spf=()),
        [("PTR_BOGUS", IP)],
    ),
    (Ip(iprev=forward(unconfirmed(NAME, "BOGUS")), spf=()), [("FORWARD_BOGUS", NAME)]),
    (
        Ip(spf=(policy("temperror")._replace(explanation="TXT of a.example: BOGUS"),)),
        [("SPF_BOGUS", NAME)],
    ),
    (
        Ip(spf=(policy("temperror")._replace(explanation="TXT of a.example: SERVFAIL"),)),
        [("SPF_UNDETERMINED", NAME)],
    ),
    (Ip(expected=NAME), []),
    (Ip(expected="old.example.net"), [("PTR_UNEXPECTED", "old.example.net")]),
    (
        Ip(ptr=reverse(), iprev=forward(), spf=(), expected=NAME),
        [("PTR_MISSING", IP)],
    ),
    (Ip(ptr=reverse(), iprev=forward(), spf=()), [("PTR_MISSING", IP)]),
    (Ip(ptr=reverse(status="NODATA"), iprev=forward(), spf=()), [("PTR_MISSING", IP)]),
    *(
        (
            Ip(ptr=reverse(status=status), iprev=forward(none="temperror"), spf=()),
            [("PTR_UNDETERMINED", IP)],
        )
        for status in ("SERVFAIL", "TIMEOUT", "UNREACHABLE", "MALFORMED", "TRUNCATED", "RCODE3841")
    ),
    *(
        (
            Ip(ptr=reverse(status=status), iprev=forward(none="temperror"), spf=()),
            [("PTR_UNDETERMINED", IP), ("SERVER_LAME", IP)],
        )
        for status in ("REFUSED", "NOTAUTH")
    ),
    (
        Ip(
            ptr=PtrFact("NODATA", (), (reverse_name(IP),), NAME, is_host_alias=True),
            iprev=forward(),
            spf=(),
        ),
        [("PTR_ALIAS_TO_HOST", IP)],
    ),
    (
        Ip(ptr=reverse(UNDOTTED), iprev=forward(unconfirmed(UNDOTTED)), spf=()),
        [("FORWARD_MISSING", UNDOTTED), ("PTR_DOT_MISSING", UNDOTTED)],
    ),
    # Whatever a lookup says, in the reverse tree there is no host name.
    (named(UNDOTTED), [("PTR_DOT_MISSING", UNDOTTED)]),
    (named(f"relay.{PARENT}"), [("PTR_IN_ARPA", f"relay.{PARENT}")]),
    (named("7.100.51.199.in-addr.arpa"), [("PTR_IN_ARPA", "7.100.51.199.in-addr.arpa")]),
    (named("mail.ip6.arpa"), [("PTR_IN_ARPA", "mail.ip6.arpa")]),
    (
        named("mail.example.net.1.168.192.in-addr.arpa"),
        [("PTR_IN_ARPA", "mail.example.net.1.168.192.in-addr.arpa")],
    ),
    (named("mail.example.net", "mx.example.net"), [("PTR_MULTIPLE", IP)]),
    (named(*ELEVEN[:10]), [("PTR_MULTIPLE", IP)]),
    (named(*ELEVEN), [("PTR_TOO_MANY", IP)]),
    (named(*ELEVEN[:10], "zz.dyn.example.net"), [("PTR_TOO_MANY", IP)]),
    (named("host-7.dyn.example.net"), [("PTR_GENERIC", "host-7.dyn.example.net")]),
    (
        named("host-7.dyn.example.net", "mail.example.net"),
        [("PTR_GENERIC", "host-7.dyn.example.net"), ("PTR_MULTIPLE", IP)],
    ),
    (named("198-51-100-7.example.net"), [("PTR_GENERIC", "198-51-100-7.example.net")]),
    (named("198-51-100-8.example.net"), []),
    (named("mail.dyn.net"), []),
    (named("mail_7.example.net"), [("PTR_INVALID_NAME", "mail_7.example.net")]),
    (named("mx-7.example.net"), []),
    (named("-mx.example.net"), [("PTR_INVALID_NAME", "-mx.example.net")]),
    (named("mx-.example.net"), [("PTR_INVALID_NAME", "mx-.example.net")]),
    (named("-.example.net"), [("PTR_INVALID_NAME", "-.example.net")]),
    (named("mail-7.example.net"), []),
    (named(r"mail\032seven.example.net"), [("PTR_INVALID_NAME", r"mail\032seven.example.net")]),
    (named("."), [("PTR_INVALID_NAME", ".")]),
    (named("192.0.2.9"), [("PTR_INVALID_NAME", "192.0.2.9")]),
    (named("mail.local"), [("PTR_UNKNOWN_TLD", "mail.local")]),
    (named("localhost"), [("PTR_UNKNOWN_TLD", "localhost")]),
    (named("mail.example"), [("PTR_UNKNOWN_TLD", "mail.example")]),
    (named("mail.xn--p1ai"), []),
    (
        Ip(ptr=reverse(NAME, wildcard="*.100.51.198.in-addr.arpa")),
        [("PTR_WILDCARD", "*.100.51.198.in-addr.arpa")],
    ),
    # Forward
    (Ip(iprev=forward(unconfirmed(NAME)), spf=()), [("FORWARD_MISSING", NAME)]),
    (Ip(iprev=forward(unconfirmed(NAME, "NODATA")), spf=()), [("FORWARD_MISSING", NAME)]),
    (Ip(iprev=forward(unconfirmed(NAME, "NOERROR")), spf=()), [("FORWARD_MISMATCH", NAME)]),
    (Ip(iprev=forward(unconfirmed(NAME, "TIMEOUT")), spf=()), [("FORWARD_UNDETERMINED", NAME)]),
    (
        Ip(iprev=forward(unconfirmed(NAME, "REFUSED")), spf=()),
        [("FORWARD_UNDETERMINED", NAME), ("SERVER_LAME", NAME)],
    ),
    (
        Ip(
            ptr=reverse("a.example.net", "b.example.net"),
            iprev=forward(unconfirmed("a.example.net"), unconfirmed("b.example.net", "NOERROR")),
        ),
        [
            ("FORWARD_MISMATCH", "b.example.net"),
            ("FORWARD_MISSING", "a.example.net"),
            ("PTR_MULTIPLE", IP),
        ],
    ),
    (
        Ip(
            ptr=reverse("a.example.net", NAME),
            iprev=forward(unconfirmed("a.example.net"), confirmed()),
        ),
        [("FORWARD_PARTIAL", "a.example.net"), ("PTR_MULTIPLE", IP)],
    ),
    (
        Ip(
            ptr=reverse("a.example.net", NAME),
            iprev=forward(unconfirmed("a.example.net", "NOERROR"), unconfirmed(NAME, "SERVFAIL")),
        ),
        [
            ("FORWARD_PARTIAL", "a.example.net"),
            ("FORWARD_UNDETERMINED", NAME),
            ("PTR_MULTIPLE", IP),
        ],
    ),
    (
        Ip(
            ptr=reverse("a.example.net", NAME),
            iprev=forward(unconfirmed("a.example.net", "TIMEOUT"), confirmed()),
        ),
        [("PTR_MULTIPLE", IP)],
    ),
    (Ip(iprev=forward(confirmed(alias="real.example.net"))), [("FORWARD_CNAME", NAME)]),
    # SPF
    (Ip(spf=(policy("none", record=None),)), []),
    (
        Ip(spf=(policy("none", record=None)._replace(identity="mailfrom"),)),
        [("SPF_NONE", NAME)],
    ),
    (Ip(spf=(policy("none", "localhost", record=None)._replace(identity="mailfrom"),)), []),
    (Ip(spf=(policy("fail"),)), [("SPF_FAIL", NAME)]),
    (Ip(spf=(policy("softfail"),)), [("SPF_SOFTFAIL", NAME)]),
    (Ip(spf=(policy("neutral"),)), [("SPF_NEUTRAL", NAME)]),
    (Ip(spf=(policy("permerror"),)), [("SPF_PERMERROR", NAME)]),
    (Ip(spf=(policy("permerror", record=None),)), [("SPF_MULTIPLE_RECORDS", NAME)]),
    (Ip(spf=(policy("temperror"),)), [("SPF_UNDETERMINED", NAME)]),
    (Ip(spf=(policy("temperror", record=None),)), [("SPF_UNDETERMINED", NAME)]),
    (Ip(spf=(policy("fail"), policy("fail"))), [("SPF_FAIL", NAME)]),
    (
        Ip(
            spf=(
                policy("softfail", "b.example"),
                policy("none", "c.example"),
                policy("fail", "a.example"),
            )
        ),
        [("SPF_FAIL", "a.example"), ("SPF_SOFTFAIL", "b.example")],
    ),
    (Ip(spf=(policy("pass")._replace(differs="permerror"),)), [("SPF_VERIFIERS_DIFFER", NAME)]),
    # Target
    (Ip(target="10.0.0.7"), [("TARGET_NOT_GLOBAL", "10.0.0.7")]),
    (Ip(target="fe80::7"), [("TARGET_NOT_GLOBAL", "fe80::7")]),
    (Ip(target="2001:db8::7"), []),
    (Ip(target="9.0.0.7"), []),
]


@pytest.mark.parametrize(("facts", "expected"), IPS)
def test_facts_of_an_address_show_these_findings(
    facts: Ip, expected: list[tuple[str, str]]
) -> None:
    assert expected == facts.codes()


INVALID = Target("not a target", "invalid", 0, Origin("list.txt", 3), "expected an address")


def test_a_line_that_is_no_target_is_a_finding_of_its_own() -> None:
    assert judge_invalid(INVALID, RULING) == [Finding("TARGET_INVALID", "error", "not a target")]
    assert judge_invalid(INVALID, RuleSet(ignore=["TARGET"])) == []


def test_every_code_of_the_catalogue_is_shown_by_some_facts_above() -> None:
    shown = {code for _, expected in IPS for code, _ in expected} | {"TARGET_INVALID"}
    of_domains = ("ADDRESS_", "MX_", "HELO_")  # see test_judge_domain.py and checks/test_helo.py
    of_lint = {known.code for known in (*spf_broken.ENTRIES, *spf_unwise.ENTRIES)}
    assert shown == {
        known.code
        for known in ENTRIES
        if not known.code.startswith(of_domains) and known.code not in of_lint
        if not known.beyond_scan  # see test_judge_servers.py
    }


NOTHING_KNOWN = Ip(
    ptr=reverse(status="REFUSED"), iprev=forward(none="temperror"), spf=(policy("fail"),)
)


def test_codes_that_are_not_selected_or_ignored_are_not_found() -> None:
    assert [found.code for found in NOTHING_KNOWN.found(RuleSet(select=["PTR"]))] == [
        "PTR_UNDETERMINED"
    ]
    assert [found.code for found in NOTHING_KNOWN.found(RuleSet(ignore=["PTR", "SPF_FAIL"]))] == [
        "SERVER_LAME"
    ]


def test_the_severity_is_the_one_of_the_ruling() -> None:
    raised = RuleSet(severities={"PTR_UNDETERMINED": "error", "SPF_FAIL": "info"})
    assert NOTHING_KNOWN.found(raised) == [
        Finding("PTR_UNDETERMINED", "error", IP),
        Finding("SERVER_LAME", "warning", IP),
        Finding("SPF_FAIL", "info", NAME),
    ]


@pytest.mark.parametrize(
    ("facts", "rule_set", "expected"),
    [
        (Ip(), RULING, "pass"),
        (named("mail.example.net", "mx.example.net"), RULING, "pass"),
        (named("host-7.dyn.example.net"), RULING, "warn"),
        (named("host-7.dyn.example.net"), RuleSet(ignore=["PTR_GENERIC"]), "pass"),
        (named("host-7.dyn.example.net"), RuleSet({"PTR_GENERIC": "error"}), "fail"),
        (NOTHING_KNOWN, RULING, "fail"),
        (NOTHING_KNOWN, RuleSet(ignore=["SPF"]), "unknown"),
        (NOTHING_KNOWN, RuleSet({"PTR_UNDETERMINED": "info"}, ignore=["SPF"]), "unknown"),
        (NOTHING_KNOWN, RuleSet(ignore=["SPF", "PTR"]), "warn"),
        (NOTHING_KNOWN, RuleSet(ignore=["SPF", "PTR", "SERVER"]), "pass"),
    ],
)
def test_the_verdict_is_fail_then_unknown_then_warn_then_pass(
    facts: Ip, rule_set: RuleSet, expected: str
) -> None:
    assert expected == verdict(facts.found(rule_set))


FINDINGS = st.builds(
    Finding,
    st.sampled_from([entry.code for entry in ENTRIES]),
    st.sampled_from(SEVERITIES),
    st.sampled_from([IP, NAME]),
)


@given(st.lists(FINDINGS, max_size=6), st.randoms(use_true_random=False))
def test_the_verdict_does_not_depend_on_the_order_of_the_findings(
    findings: list[Finding], shuffler: Random
) -> None:
    shuffled = shuffler.sample(findings, len(findings))
    assert verdict(findings) == verdict(shuffled)
    assert verdict(findings) in VERDICTS


def test_a_severity_reaches_the_threshold_of_its_own_and_of_lesser_ones() -> None:
    for rank, severity in enumerate(SEVERITIES):
        for other_rank, threshold in enumerate(SEVERITIES):
            assert fails(threshold, [SEVERITIES[0], severity], ["pass"]) is (
                rank >= other_rank or other_rank == 0
            )
        assert not fails("never", [severity], ["fail", "unknown"])


@pytest.mark.parametrize(
    ("verdicts", "failed"),
    [([], False), (["pass", "warn"], False), (["pass", "unknown"], True), (["fail"], True)],
)
def test_what_is_undetermined_or_fails_is_what_fail_on_unknown_means(
    verdicts: list[str], *, failed: bool
) -> None:
    assert fails("unknown", ["warning"], verdicts) is failed


def test_the_severities_are_those_of_the_type() -> None:
    assert get_args(Severity) == SEVERITIES


NAMES = st.one_of(
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=255),
    st.sampled_from([NAME, ".", "localhost", r"a\.b.example.net", "x" * 255]),
)
STATUSES = st.sampled_from(["NOERROR", "NODATA", "NXDOMAIN", "SERVFAIL", "REFUSED", "RCODE4095"])
RESULTS = st.sampled_from(["none", "neutral", "pass", "fail", "softfail", "temperror", "permerror"])


FACTS = st.builds(
    Ip,
    target=st.sampled_from([IP, "10.0.0.7", "2001:db8::7", "fe80::7"]),
    ptr=st.builds(PtrFact, STATUSES, st.lists(NAMES, max_size=14).map(tuple), st.just(()), NAMES),
    iprev=st.builds(
        IprevFact,
        st.sampled_from(["pass", "fail", "temperror", "permerror"]),
        st.lists(
            st.builds(ForwardName, NAMES, STATUSES, st.just(()), st.booleans(), NAMES), max_size=10
        ).map(tuple),
    ),
    spf=st.lists(st.builds(policy, RESULTS, NAMES, st.sampled_from([None, "v=spf1"]))).map(tuple),
)


@given(FACTS)
def test_any_facts_give_sorted_findings_without_duplicates_and_never_an_exception(
    facts: Ip,
) -> None:
    found = facts.found()
    order = [(code, subject) for code, _, subject in found]
    assert order == sorted(set(order))
    assert all(RULING.severities[code] == severity for code, severity, _ in found)
