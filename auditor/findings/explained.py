"""A finding explained: why it matters, what to do, what to publish."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from auditor.findings.advice import advise
from auditor.findings.catalogue import entry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auditor.checks.follow_up import FollowUpFacts
    from auditor.findings.entry import Severity

__all__ = ["ExplainedFinding", "explain_finding"]


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
