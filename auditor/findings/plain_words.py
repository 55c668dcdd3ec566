"""A record in one sentence: which receivers refuse mail from the address, and why.

Based on the findings and the published rules of receivers alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from auditor.findings.catalogue import entry
from auditor.findings.entry import SEVERITIES
from auditor.findings.receivers import CODES_OF_FACTS, FACTS, matching_rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from auditor.findings.receivers import Receiver, Rule

__all__ = ["cause", "headline", "most_severe_first"]

_RANK: Final[dict[str, int]] = {severity: rank for rank, severity in enumerate(SEVERITIES)}
NOTHING_WRONG: Final = "No problems found."

#: The effects of rules on mail, strictest first.
_VERBS: Final = {
    "refuse": "refuses mail from this address",
    "defer": "defers mail from this address",
    "junk": "files mail from this address as spam",
    "score": "counts it against mail from this address",
}
#: Findings about PTR names published by mistake, and about others to be replaced.
_NEVER_MEANT: Final = ("PTR_DOT_MISSING", "PTR_IN_ARPA")
NAMES_TO_REPLACE: Final = (*_NEVER_MEANT, "PTR_INVALID_NAME", "PTR_UNKNOWN_TLD", "PTR_GENERIC")
#: Receivers that are named after the first.
_MOST_NAMED: Final = 3

#: Clauses for findings, with the subject as {0}; codes without a clause use their title.
_TEXTS: Final = {
    "PTR_MISSING": "it has no PTR record",
    "DELEGATION_MISSING": "the zone {0} is not delegated: {zone} denies it",
    "PTR_ALIAS_TO_HOST": "its reverse name is an alias of a host, with no PTR record there",
    "PTR_UNDETERMINED": "its PTR record cannot be looked up ({status})",
    "PTR_BOGUS": "its PTR record fails DNSSEC validation",
    "PTR_DOT_MISSING": "the PTR name {0} lacks its final dot in the zone file",
    "PTR_IN_ARPA": "the PTR name {0} is one of the reverse tree",
    "PTR_GENERIC": "the PTR name {0} looks like that of a customer's line",
    "PTR_INVALID_NAME": "the PTR name {0} is no host name",
    "PTR_UNKNOWN_TLD": "the PTR name {0} is not one of the public DNS",
    "PTR_UNEXPECTED": "its PTR name is not {0}, as expected",
    "FORWARD_MISSING": "{0} has no {type} record",
    "FORWARD_MISMATCH": "{0} leads to {addresses}, and not back to it",
    "FORWARD_BOGUS": "the addresses of {0} fail DNSSEC validation",
    "FORWARD_UNDETERMINED": "the addresses of {0} cannot be looked up ({status})",
    "HELO_NOT_FQDN": "the HELO name {0} is no fully qualified host name",
    "HELO_UNRESOLVABLE": "the HELO name {0} has no {type} record",
    "HELO_MISMATCH": "the HELO name {0} has other addresses",
    "SPF_FAIL": "SPF of {0} does not authorise it (fail)",
    "SPF_SOFTFAIL": "SPF of {0} does not authorise it (softfail)",
    "SPF_NONE": "{0} has no SPF record",
    "SPF_PERMERROR": "the SPF record of {0} has an error",
    "SPF_MULTIPLE_RECORDS": "{0} has more than one SPF record",
    "SPF_BOGUS": "the SPF record of {0} fails DNSSEC validation",
    "SPF_UNDETERMINED": "SPF of {0} cannot be evaluated now",
}


def headline(record: Mapping[str, Any], chosen: Iterable[Receiver]) -> str:
    """Return the sentence about a record; `chosen`: the receivers whose rules apply."""
    findings = most_severe_first(record["findings"])
    matching = matching_rules(record, chosen)
    if matching and not _is_beside(findings, matching):
        return _refusal(record, findings, matching)
    if not findings:
        return NOTHING_WRONG
    text = cause(record, findings[0])
    if not text.startswith(findings[0]["subject"]):  # a name keeps its case
        text = text[0].upper() + text[1:]
    return f"{text}."


def most_severe_first(findings: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Return findings by severity, those of one in the order that they have."""
    return sorted(findings, key=lambda finding: -_RANK[finding["severity"]])


def cause(record: Mapping[str, Any], finding: Mapping[str, str]) -> str:
    """Return a finding of a record as a clause."""
    code, subject = finding["code"], finding["subject"]
    template = _TEXTS.get(code)
    if template is None:
        title = entry(code).title
        about = "" if subject == record["target"] else f" ({subject})"
        return f"{title[0].lower() if title[:2].istitle() else title[0]}{title[1:]}{about}"
    forward = next(
        (name for name in (record["iprev"] or {"names": []})["names"] if name["name"] == subject),
        {"status": (record["ptr"] or {"status": ""})["status"], "addresses": []},
    )
    return template.format(
        subject,
        status=forward["status"],
        addresses=", ".join(forward["addresses"]),
        zone=(record["ptr"] or {}).get("zone") or "the parent zone",
        type="AAAA" if ":" in record["target"] else "A",
    )


def _is_beside(
    findings: Sequence[Mapping[str, str]], matching: Sequence[tuple[Receiver, Rule]]
) -> bool:
    """Tell whether the rules only score other findings, and there is an error besides."""
    if not findings or any(rule.effect != "score" for _, rule in matching):
        return False
    counted = {code for _, rule in matching for fact in rule.when for code in CODES_OF_FACTS[fact]}
    return findings[0]["severity"] == "error" and findings[0]["code"] not in counted


def _refusal(
    record: Mapping[str, Any],
    findings: Sequence[Mapping[str, str]],
    matching: Sequence[tuple[Receiver, Rule]],
) -> str:
    """Return the strictest effect of the rules, and its reason."""
    receiver, rule = min(matching, key=_strictness)
    reason = _reason(record, findings, rule)
    others = [
        other
        for other, its in matching
        if its.effect == rule.effect and its.when == rule.when and other is not receiver
        if its.is_certain
    ]
    names = list(dict.fromkeys(_short(other) for other in others))
    reply = f" ({rule.reply})" if rule.reply else ""
    sentence = f"{_short(receiver)} {_VERBS[rule.effect]}{reply}{_condition(rule)}: {reason}."
    if not names:
        return sentence
    if len(names) > _MOST_NAMED:
        names = [*names[: _MOST_NAMED - 1], f"{len(names) - _MOST_NAMED + 1} others"]
    listed = " and ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else names)
    return f"{sentence} So {'do' if len(names) > 1 else 'does'} {listed}."


def _strictness(matched: tuple[Receiver, Rule]) -> tuple[bool, int]:
    _, rule = matched
    return not rule.is_certain, list(_VERBS).index(rule.effect)


def _condition(rule: Rule) -> str:
    """Return under which condition a rule applies, "" for none."""
    if rule.unless:
        return f" unless {rule.unless}"
    return f" with {rule.option}" if rule.option else ""


def _reason(record: Mapping[str, Any], findings: Sequence[Mapping[str, str]], rule: Rule) -> str:
    """Return why a rule applies: the finding behind it, or else its fact."""
    facts = [fact for fact in FACTS if fact in rule.when]
    for fact in facts:
        for finding in findings:
            if finding["code"] in CODES_OF_FACTS[fact]:
                return cause(record, _deeper(finding, findings))
    return FACTS[facts[0]]


def _deeper(finding: Mapping[str, str], findings: Sequence[Mapping[str, str]]) -> Mapping[str, str]:
    """Return the finding that explains why a name has no address: it is a mistake."""
    for code in _NEVER_MEANT:
        for other in findings:
            if (other["code"], other["subject"]) == (code, finding["subject"]):
                return other
    return finding


def _short(receiver: Receiver) -> str:
    return receiver.name.partition(",")[0]
