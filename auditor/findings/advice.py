"""Advice: the DNS records to publish against the findings of a record, and their explanations.

All lines of a record come from the same decisions (the name of an address, the text of a policy),
so that the advice of two findings never conflicts. A line with a value that only the owner knows is
a draft: a comment with placeholders in angle brackets.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from auditor.checks.follow_up import FollowUpFacts
from auditor.errors import WireError
from auditor.findings.advice_address import NeededRecords, needed_records
from auditor.findings.advice_domain import mx_lines
from auditor.findings.advice_policy import (
    alias_note,
    policy_lines,
    policy_text_lines,
    with_wildcard,
)
from auditor.findings.catalogue import entry, zone_lines

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from auditor.findings.entry import Severity
    from auditor.spf.lint.correction import Correction

__all__ = [
    "Advice",
    "ExplainedFinding",
    "advise",
    "advise_policy",
    "explain_finding",
    "is_draft",
]

_PLACEHOLDER: Final = re.compile(r"(?<!\\)<")
_NONE_SEES: Final = "No receiver on the internet sees this address: publish nothing for it."


class Advice(NamedTuple):
    """What to publish against one finding.

    `lines` are records of a master file (RFC 1035 §5.1) with absolute owners; `drafts` are
    comments, which become records when the parts in angle brackets are filled in.
    `notes` are sentences that belong to them.
    """

    lines: tuple[str, ...] = ()
    drafts: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


class ExplainedFinding(NamedTuple):
    """A finding of a record with its entry in the catalogue, and what to publish against it.

    `publish` are lines that a zone takes as they are (RFC 1035 §5.1); `drafts` are comments that
    become lines when the parts in angle brackets are filled in; `notes` belong to them.
    """

    code: str
    severity: Severity
    subject: str
    title: str
    why: str
    remedy: str
    publish: tuple[str, ...]
    drafts: tuple[str, ...]
    notes: tuple[str, ...]


def is_draft(line: str) -> bool:
    """Tell whether a line has a placeholder: an angle bracket in a name is escaped."""
    return _PLACEHOLDER.search(line) is not None


def advise(
    record: Mapping[str, Any], finding: Mapping[str, str], known: FollowUpFacts | None = None
) -> Advice:
    """Return what to publish against a finding of a record; `known`: what else was looked up.

    Nothing for a record with invalid names, which no scan has written.
    """
    try:
        return _advice(record, finding["code"], finding["subject"], known or FollowUpFacts())
    except (WireError, ValueError):
        return Advice()


def explain_finding(
    record: Mapping[str, Any], finding: Mapping[str, Any], known: FollowUpFacts
) -> ExplainedFinding:
    """Explain a finding of a record; `known`: what was looked up for the advice."""
    about = entry(finding["code"])
    advice = advise(record, finding, known)
    return ExplainedFinding(
        finding["code"],
        finding["severity"],
        finding["subject"],
        about.title,
        about.why,
        about.remedy,
        advice.lines,
        advice.drafts,
        advice.notes,
    )


def advise_policy(code: str, domain: str, correction: Correction | None, owner: str) -> Advice:
    """Return what to publish against a finding about a policy, by its text alone.

    `owner` is the owner of the policy: the end of the aliases of the domain.
    """
    if entry(code).undetermined:
        return Advice()
    try:
        lines, notes = policy_text_lines(code, owner, correction)
    except WireError:
        return Advice()
    aliased = (alias_note(domain, owner),) if lines and owner != domain else ()
    return _sorted(lines, (*notes, *aliased))


def _advice(record: Mapping[str, Any], code: str, subject: str, known: FollowUpFacts) -> Advice:
    try:
        if entry(code).undetermined:
            return Advice()
    except KeyError:  # of a later version
        return Advice()
    needed = needed_records(record, code, subject, known)
    if needed is not None:
        return _of_address(needed, known)
    lines, notes = (
        mx_lines(record, code, subject, known)
        or policy_lines(record, code, subject, known)
        or ((), ())
    )
    if not lines and not notes:
        lines = zone_lines(code, subject=subject)
    return _sorted(lines, notes)


def _of_address(needed: NeededRecords, known: FollowUpFacts) -> Advice:
    if not needed.is_global:
        return Advice(notes=(_NONE_SEES,))
    facts = {"host": needed.host} if needed.host else {}
    if needed.owner:
        facts["reverse"] = needed.owner
    # A PTR record is published only together with the address record that confirms it.
    lines = zone_lines("PTR_MISSING", address=needed.address, **facts)
    kept = tuple(
        line for line in lines if (needed.lacks_ptr if " IN PTR " in line else needed.lacks_address)
    )
    published = kept, needed.notes
    named = {needed.owner} if needed.lacks_ptr else set()
    for name in sorted(named | {needed.host} if needed.lacks_address else named):
        published = with_wildcard(published, name, known)
    return _sorted(*published)


def _sorted(lines: Sequence[str], notes: Sequence[str]) -> Advice:
    """Return lines as such, or all of them as drafts if one of them is."""
    if any(map(is_draft, lines)):
        return Advice((), tuple(f"; {line}" for line in lines), tuple(notes))
    return Advice(tuple(lines), (), tuple(notes))
