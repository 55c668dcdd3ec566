"""Text of `auditor check`: the evidence of a record, its findings, and their remedies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from auditor.checks.server_agreement import rdata_text
from auditor.cli.advice_text import advice_lines, place_lines
from auditor.cli.check_receivers import receiver_rule_lines
from auditor.cli.check_zones import split_findings, unfiled
from auditor.cli.formatting import counted, paragraph, severity_style, time_span, verdict_style
from auditor.findings.advice import advise
from auditor.findings.catalogue import entry
from auditor.findings.plain_words import NAMES_TO_REPLACE, most_severe_first
from auditor.wire.codes import SETTLED, type_name
from auditor.zones.placing import is_registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from auditor.checks.follow_up import FollowUpFacts
    from auditor.checks.reverse_zone import Lifetime, ReverseZone
    from auditor.checks.server_agreement import ServerAnswers
    from auditor.cli.checked import Checked
    from auditor.findings.receivers import Receiver
    from auditor.output.record_types import (
        DomainFacts,
        HeloLookup,
        Iprev,
        PtrLookup,
        Record,
        SpfCheck,
    )

__all__ = ["describe"]

#: The column, after the margin, where the text of a line of evidence begins.
_COLUMN: Final = 7
#: What explains a finding about a policy, if that is not one itself.
_NEARLY: Final = {"SPF_NONE": "SPF_NEAR_MISS"}


def describe(checked: Checked, explained: set[str], chosen: Sequence[Receiver]) -> Iterator[str]:
    """Yield the lines that explain a record.

    A finding whose code is in `explained` is only named; the codes of this record are added to it.
    `chosen`: the receivers whose rules are shown.
    """
    record, known, zone, outside, errors, disagreements = checked
    verdict = record["verdict"]
    head = click.style(record["target"], bold=True)
    yield f"{head}  {click.style(verdict.upper(), **verdict_style(verdict))}"
    yield paragraph(checked.headline(chosen), hanging=2 if record["error"] else 0)
    if not record["error"]:
        yield ""
        yield "  Evidence"
    yield from _evidence(record)
    if zone is not None:
        yield from _zone(zone, denied_by=(record["ptr"]["zone"] if record["ptr"] else None) or "")
    for answers in disagreements:
        if answers.differs:
            yield from _disagreement(answers)
    for note in outside.values():
        yield _fact(4, "Zones", note)
    for lookup, error in errors.items():
        yield _fact(4, "Why", f"{lookup}: {error}")
    findings, lacking = split_findings(record, outside)
    for undetermined in lacking:
        yield ""
        yield from unfiled(undetermined)
    published: set[str] = set()
    for finding in most_severe_first(findings):
        yield ""
        yield from _finding(finding, known, explained, _replacing(finding, findings))
        yield from _contact_lines(finding, zone)
        yield from _deciding(record["spf"], finding)
        yield from advice_lines(advise(record, finding, known), published)
    rule_lines = list(receiver_rule_lines(record, checked.applicable(chosen)))
    if rule_lines:
        yield ""
        yield from rule_lines


def _contact_lines(finding: Mapping[str, str], zone: ReverseZone | None) -> Iterator[str]:
    """Yield whom to write to about a missing PTR record or delegation."""
    about = {
        "PTR_MISSING": "There is no such name in the zone",
        "DELEGATION_MISSING": "It is not delegated by the zone",
    }
    if zone is not None and zone.contact and finding["code"] in about:
        yield paragraph(f"{about[finding['code']]} {zone.name}: write to {zone.contact}.", 4)


def _evidence(record: Record) -> Iterator[str]:
    if record["ptr"] is not None and record["iprev"] is not None:
        yield from _address(4, record["ptr"], record["iprev"])
    if record["helo"] is not None:
        yield _helo(record["helo"])
    for spf in record["spf"]:
        yield from _spf(spf)
    if record["domain"] is not None:
        yield from _domain(record["domain"])


def _fact(margin: int, label: str, text: str) -> str:
    return paragraph(f"{label:<{_COLUMN}}{text}", margin, hanging=_COLUMN)


def _address(margin: int, ptr: PtrLookup, iprev: Iprev) -> Iterator[str]:
    # Unread is not absent.
    names = ", ".join(ptr["names"]) or ("no name" if ptr["status"] in SETTLED else "not known")
    denied = f" in the zone {ptr['zone']}" if ptr["zone"] else ""
    yield _fact(margin, "PTR", f"{ptr['status']}: {names}{denied}")
    if ptr["chain"]:
        yield _fact(margin, "", "alias: " + " -> ".join((*ptr["chain"], ptr["owner"])))
    yield _fact(margin, "FCrDNS", f"{iprev['result']} (iprev)")
    for name in iprev["names"]:
        outcome = ", ".join(name["addresses"]) or name["status"]
        back = "points back" if name["confirms"] else "does not point back"
        if name["status"] not in SETTLED:
            back = "not known whether it points back"
        yield paragraph(f"{name['name']} -> {outcome}: {back}", margin + _COLUMN, hanging=2)


def _zone(zone: ReverseZone, denied_by: str) -> Iterator[str]:
    """Yield who can change the PTR record, and how long changes take.

    `denied_by`: the zone that denied it, "" if none did.
    """
    if zone.name:
        servers = f", run by {', '.join(zone.servers)}" if zone.servers else ""
        mailbox = f"; contact {zone.contact}" if zone.contact else ""
        yield _fact(4, "Zone", f"{zone.name}{servers}{mailbox}")
        if denied_by == zone.name and is_registry(denied_by):
            yield _fact(4, "", "a registry's, which delegates no zone for the address")
    if zone.lifetimes:
        shown = ", ".join(map(_lifetime, zone.lifetimes))
        longest = time_span(max(lifetime.seconds for lifetime in zone.lifetimes))
        left = "" if zone.exact else " (a resolver shows the rest of a TTL)"
        yield _fact(4, "TTL", f"{shown}: changes take up to {longest}{left}")


def _lifetime(lifetime: Lifetime) -> str:
    name = "" if lifetime.type == "PTR" else f" of {lifetime.name}"
    return f"{lifetime.type}{name} {time_span(lifetime.seconds)}"


def _helo(helo: HeloLookup) -> str:
    outcome = (
        ", ".join(helo["addresses"])
        or helo["status"]
        or "no fully qualified host name, not looked up"
    )
    unread = helo["status"] is not None and helo["status"] not in SETTLED
    back = "not known" if unread else "has the address" if helo["confirms"] else "another address"
    leads = f": {back}" if helo["addresses"] or unread else ""
    return _fact(4, "HELO", f"{helo['name']} -> {outcome}{leads}")


def _spf(spf: SpfCheck) -> Iterator[str]:
    by = f" by {spf['mechanism']}" if spf["mechanism"] else ""
    cost = f" ({counted(spf['lookups'], 'lookup')}, {spf['voids']} void)" if spf["record"] else ""
    yield _fact(4, "SPF", f"{spf['identity']} {spf['domain']}: {spf['result']}{by}{cost}")
    for text in (spf["record"], spf["explanation"]):
        if text:
            yield paragraph(text, 4 + _COLUMN, hanging=2)


def _domain(domain: DomainFacts) -> Iterator[str]:
    yield _fact(4, "A/AAAA", domain["addresses"]["status"])
    for address in domain["addresses"]["list"]:
        yield f"      {address['address']}"
        yield from _address(8, address["ptr"], address["iprev"])
    yield _fact(4, "MX", domain["mx"]["status"])
    for host in domain["mx"]["hosts"]:
        yield f"      {host['preference']} {host['name']}: {host['status']}"
        for address in host["addresses"]:
            yield f"        {address['address']}"
            yield from _address(10, address["ptr"], address["iprev"])
    spf = domain["spf"]
    yield _fact(4, "SPF", spf["record"] or f"{spf['status']}: no single SPF record")


def _disagreement(answers: ServerAnswers) -> Iterator[str]:
    name, rdtype = answers.question
    yield _fact(4, "Differ", f"{name} {type_name(rdtype)}")
    for server, answer in answers.answers.items():
        records = ", ".join(map(rdata_text, answer.records))
        text = f"{server} -> {answer.status}" + (f": {records}" if records else "")
        yield paragraph(text, 4 + _COLUMN, hanging=2)


def _finding(
    finding: Mapping[str, str], known: FollowUpFacts, explained: set[str], instead: str = ""
) -> Iterator[str]:
    """Yield what a finding is, why it matters and what to do; the latter two once for each code.

    `instead` is the finding whose remedy replaces the name, and so applies here as well.
    """
    code, severity, subject = finding["code"], finding["severity"], finding["subject"]
    about = entry(code)
    shown = click.style(severity, **severity_style(severity))
    yield f"  {click.style(code, bold=True)} {shown}: {subject}"
    if code in explained:
        yield paragraph(f"{about.title} (explained above).", 4)
    else:
        yield paragraph(f"{about.title}.", 4)
        yield paragraph(f"Why it matters: {about.why}", 4)
        if not instead:
            explained.add(code)
            yield paragraph(f"Remedy: {about.remedy}", 4)
    if instead:
        yield paragraph(f"Remedy: that of {instead}, since the name is to be replaced.", 4)
    for (other, domain), problems in known.problems.items():
        if (other, domain) in {(code, subject), (_NEARLY.get(code), subject)} or (
            code == "SPF_PERMERROR" and entry(other).severity == "error"
        ):
            for problem in problems:
                yield from place_lines(problem)


def _replacing(finding: Mapping[str, Any], findings: Sequence[Mapping[str, Any]]) -> str:
    """Return the code of the finding that replaces the name of this one, or ""."""
    if not finding["code"].startswith("FORWARD_"):
        return ""
    codes = {other["code"] for other in findings if other["subject"] == finding["subject"]}
    return next((code for code in NAMES_TO_REPLACE if code in codes), "")


def _deciding(facts: Sequence[Mapping[str, Any]], finding: Mapping[str, str]) -> Iterator[str]:
    """Yield which term of a policy gave a result that a finding is about."""
    for fact in facts:
        code = f"SPF_{fact['result']}".upper()
        if (code, fact["domain"]) == (finding["code"], finding["subject"]) and fact["mechanism"]:
            text = f"Decided by {fact['mechanism']} of the policy for {fact['identity']}."
            yield paragraph(text, 4)
