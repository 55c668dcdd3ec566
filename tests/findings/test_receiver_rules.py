"""The severities that findings have by the rules of the receivers that were chosen."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from auditor.findings.receiver_rules import ReceiverRulings
from auditor.findings.receivers import receivers, select_receivers
from auditor.findings.rules import RuleSet

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from auditor.findings.entry import Severity

_TWO_FACTS: Final = """
[strict]
name = "Strict"
source = "https://example.net/rules"
published = "2026"
seen = 2026-01-31
sure = "read"
rules = [{ when = ["generic-name", "spf-softfail"], effect = "refuse" }]
"""


def _rulings(
    *names: str, own: Path | None = None, rule_set: RuleSet | None = None
) -> ReceiverRulings:
    return ReceiverRulings(select_receivers(names, own), rule_set or RuleSet(), ())


def _of(rulings: ReceiverRulings, *facts: str) -> Mapping[str, Severity]:
    return rulings.of_facts(frozenset(facts)).severities


def test_what_is_refused_is_an_error_what_depends_a_warning_and_all_else_a_notice() -> None:
    gmail = _rulings("gmail")
    found = _of(gmail, "no-ptr", "spf-none", "generic-name")
    assert found["PTR_MISSING"] == "error"
    assert found["SPF_NONE"] == "warning"  # accepted if DKIM passes
    assert found["PTR_GENERIC"] == "notice"
    assert found["PTR_MULTIPLE"] == found["SPF_SYNTAX"] == "notice"


def test_the_strictest_of_several_receivers_counts() -> None:
    assert _of(_rulings("gmail", "gmx"), "generic-name")["PTR_GENERIC"] == "error"
    assert _of(_rulings("gmx", "gmail"), "spf-fail")["SPF_FAIL"] == "error"
    assert _of(_rulings("proofpoint"), "no-ptr")["PTR_MISSING"] == "warning"
    # With an option that the operator has to set.
    assert _of(_rulings("postfix"), "no-ptr")["PTR_MISSING"] == "warning"


def test_a_finding_whose_fact_does_not_hold_is_a_notice() -> None:
    """As SPF of the HELO name, where receivers look at MAIL FROM."""
    assert _of(_rulings("gmx"), "no-ptr")["SPF_FAIL"] == "notice"


def test_a_rule_for_ipv6_counts_for_ipv6_alone() -> None:
    rulings = _rulings("exchange-online")
    assert _of(rulings, "no-ptr")["PTR_MISSING"] == "notice"
    assert _of(rulings, "no-ptr", "ipv6")["PTR_MISSING"] == "error"
    assert rulings.of_confirmed(4).severities["PTR_MISSING"] == "notice"
    assert rulings.of_confirmed(6).severities["PTR_MISSING"] == "error"


def test_what_could_not_be_determined_and_wrong_lines_stay_what_they_are() -> None:
    rule_set = RuleSet()
    found = _of(_rulings("proofpoint", "postfix"), "temporary")
    for code in ("PTR_UNDETERMINED", "FORWARD_UNDETERMINED", "SPF_UNDETERMINED", "TARGET_INVALID"):
        assert found[code] == rule_set.severities[code]


def test_a_rule_of_several_facts_counts_only_where_all_hold(tmp_path: Path) -> None:
    (own := tmp_path / "own.toml").write_text(_TWO_FACTS)
    rulings = _rulings("strict", own=own)
    assert _of(rulings, "generic-name")["PTR_GENERIC"] == "notice"
    both = _of(rulings, "generic-name", "spf-softfail")
    assert both["PTR_GENERIC"] == both["SPF_SOFTFAIL"] == "error"
    assert not rulings.are_simple(helo_given=False)


def test_built_in_rules_are_decided_by_codes_unless_a_helo_identity_is_given() -> None:
    for key in receivers():
        assert _rulings(key).are_simple(helo_given=False)
    assert not _rulings("gmail").are_simple(helo_given=True)
    assert _rulings("proofpoint").are_simple(helo_given=True)


def test_what_the_user_says_of_a_code_holds_and_what_is_left_out_stays_out() -> None:
    chosen = select_receivers(["gmail"])
    rule_set = RuleSet({"ptr_missing": "info"}, ignore=["SPF"])
    found = ReceiverRulings(chosen, rule_set, ["ptr_missing"]).of_facts(frozenset({"no-ptr"}))
    assert found.severities["PTR_MISSING"] == "info"
    assert "SPF_FAIL" not in found.severities
