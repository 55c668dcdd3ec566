"""The rules of receivers: each fires for the record it is about, and for no other."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any, Final

import pytest

from auditor.errors import UsageError
from auditor.findings.catalogue import ENTRIES
from auditor.findings.receivers import (
    CODES_OF_FACTS,
    FACTS,
    Receiver,
    Rule,
    facts_of,
    matching_rules,
    receivers,
    select_receivers,
)

if TYPE_CHECKING:
    from pathlib import Path

_RULES: Final = [
    pytest.param(receiver, rule, id=f"{receiver.key}-{'-'.join(sorted(rule.when))}")
    for receiver in receivers().values()
    for rule in receiver.rules
]


def _record(**changes: Any) -> dict[str, Any]:
    """Return the record of an address that every receiver is content with, but for changes."""
    clean = {
        "target": "192.0.2.7",
        "kind": "ip",
        "findings": [],
        "ptr": {"status": "NOERROR", "names": ["mail.example.net"]},
        "helo": None,
        "iprev": {"result": "pass", "names": []},
        "spf": [{"identity": "mailfrom", "result": "pass"}],
    }
    return {**clean, **changes}


def _spf(result: str, identity: str = "mailfrom") -> dict[str, Any]:
    return {"spf": [{"identity": identity, "result": result}]}


def _helo(name: str, status: str | None = "NOERROR", *, confirms: bool = False) -> dict[str, Any]:
    return {"helo": {"name": name, "status": status, "addresses": [], "confirms": confirms}}


#: For each fact what makes a record of a clean one that has it.
_MAKING: Final[dict[str, dict[str, Any]]] = {
    "no-ptr": {"ptr": {"status": "NXDOMAIN", "names": []}, "iprev": {"result": "permerror"}},
    "unconfirmed": {"iprev": {"result": "fail"}},
    "generic-name": {"findings": [{"code": "PTR_GENERIC"}]},
    "temporary": {"iprev": {"result": "temperror"}},
    "ipv6": {"target": "2001:db8::7"},
    "spf-fail": _spf("fail"),
    "spf-softfail": _spf("softfail"),
    "spf-none": _spf("none"),
    "spf-permerror": _spf("permerror"),
    "helo-not-fqdn": _helo("localhost", None),
    "helo-unresolvable": _helo("gone.example.net", "NXDOMAIN"),
    "helo-mismatch": _helo("mx.example.net"),
}


@pytest.mark.parametrize("fact", FACTS)
def test_a_fact_holds_where_it_was_made_and_alone(fact: str) -> None:
    assert facts_of(_record(**_MAKING[fact])) == {fact}


@pytest.mark.parametrize(("receiver", "rule"), _RULES)
def test_a_rule_fires_for_its_facts_and_not_for_a_clean_address(
    receiver: Receiver, rule: Rule
) -> None:
    changes: dict[str, Any] = {}
    for fact in rule.when:
        changes |= _MAKING[fact]
    assert (receiver, rule) in matching_rules(_record(**changes), [receiver])
    assert matching_rules(_record(), [receiver]) == []


def test_a_rule_was_looked_up_within_a_year() -> None:
    for receiver in receivers().values():
        for rule in receiver.rules:
            age = dt.datetime.now(dt.UTC).date() - rule.seen
            assert age < dt.timedelta(days=365), f"{receiver.key}: look at {rule.source} again"
            assert rule.source.startswith("https://")
            assert rule.published, rule.source


def test_a_failed_lookup_is_temporary_and_not_missing() -> None:
    record = _record(ptr={"status": "SERVFAIL", "names": []}, iprev={"result": "temperror"})
    assert facts_of(record) == {"temporary"}


def test_a_helo_name_without_a_policy_is_nothing_that_a_receiver_acts_on() -> None:
    assert facts_of(_record(**_spf("none", "helo"))) == set()
    assert facts_of(_record(**_spf("fail", "helo"))) == {"spf-fail"}
    both = [*_spf("fail", "helo")["spf"], *_spf("pass")["spf"]]
    assert facts_of(_record(spf=both)) == set()


def test_a_helo_name_that_could_not_be_looked_up_is_not_called_unresolvable() -> None:
    assert facts_of(_record(**_helo("mx.example.net", "SERVFAIL"))) == set()


def test_domains_and_invalid_lines_concern_no_receiver() -> None:
    for kind in ("domain", "invalid"):
        assert facts_of({"kind": kind, "ptr": None, "iprev": None}) == set()


def test_receivers_are_chosen_by_key() -> None:
    assert [receiver.key for receiver in select_receivers([" GMX", "gmail"])] == ["gmx", "gmail"]
    assert len(select_receivers([])) == len(receivers())
    with pytest.raises(UsageError, match=r"none is called 'gmial'; expected one of .*gmail"):
        select_receivers(["gmial"])


_OWN: Final = """
[gmail]
name = "My copy"
source = "https://example.net/rules"
published = "2026"
seen = 2026-01-31
sure = "read"
rules = [{ when = ["no-ptr", "ipv6"], effect = "score", points = 3, threshold = 5 }]
"""


def test_a_file_of_ones_own_replaces_receivers_by_key(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(_OWN)
    found = receivers(own)
    assert found.keys() == receivers().keys()
    (rule,) = found["gmail"].rules
    assert (rule.points, rule.threshold, rule.reply) == (3.0, 5.0, "")
    assert rule.seen == dt.date(2026, 1, 31)
    assert receivers()["gmail"].name != "My copy"
    own.write_text(_OWN.replace("My copy", "Another"))
    assert receivers(own)["gmail"].name == "Another"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("[gmail]", "gmail", "not TOML"),
        ('["no-ptr", "ipv6"]', '["no-pointer"]', "`when` must list facts out of no-ptr"),
        ('["no-ptr", "ipv6"]', "[]", "`when` must list facts"),
        ('"score"', '"grumble"', "`effect` must be one of refuse, defer, junk, score"),
        (", threshold = 5", "", "`points` and `threshold` belong to the effect score"),
        ('"score"', '"junk"', "`points` and `threshold` belong to the effect score"),
        ("2026-01-31", '"lately"', "`seen` must be a date"),
        ('"read"', '"maybe"', "`sure` must be one of read, quoted"),
        ("source =", "sauce =", "unknown key 'sauce'"),
        ('source = "https://example.net/rules"\n', "", "needs a `source`"),
        ('name = "My copy"', "", "needs a name and a list of rules"),
        ("[gmail]", "gmx = 1\n[gmail]", "expected a table with name, source, seen and rules"),
        ("points = 3", "pints = 3", "unknown key 'pints'"),
        ("points = 3", 'points = "3"', "`points` and `threshold` must be numbers"),
        ("threshold = 5", "threshold = [5]", "`points` and `threshold` must be numbers"),
        ("points = 3", "points = true", "`points` and `threshold` must be numbers"),
        ("[gmail]", f"[gmail]\nx = {'[' * 5000}", "not TOML: nested too deeply"),
        ("[gmail]", '"\\u001b" = 1\n[gmail]', r"own\.toml: \\x1b: expected a table"),
        ("[{ when", '["x", { when', "rule 1: expected a table"),
    ],
)
def test_a_fault_in_a_file_is_named_with_its_place(
    tmp_path: Path, old: str, new: str, message: str
) -> None:
    own = tmp_path / "own.toml"
    own.write_text(_OWN.replace(old, new))
    with pytest.raises(UsageError, match=message):
        receivers(own)


def test_nothing_of_a_file_moves_the_cursor(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text(_OWN.replace("My copy", "\\u001b[2J").replace("https", "\\u009b"))
    gmail = receivers(own)["gmail"]
    assert gmail.name == r"\x1b[2J"
    assert gmail.rules[0].source.startswith(r"\x9b")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml: cannot be read"):
        receivers(tmp_path / "none.toml")
    (tmp_path / "odd.toml").write_bytes(b"\xff")
    with pytest.raises(UsageError, match="not TOML: not UTF-8 text"):
        receivers(tmp_path / "odd.toml")


def test_each_fact_is_joined_to_findings() -> None:
    assert CODES_OF_FACTS.keys() == FACTS.keys()
    codes = {entry.code for entry in ENTRIES}
    assert {"PTR_MISSING", "PTR_GENERIC", "SPF_FAIL"} <= codes
