"""The findings of `auditor check` about servers that disagree."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditor.findings.judge import Finding, judge_servers
from auditor.output.record import with_findings

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.checks.server_agreement import ServerAnswers
    from auditor.findings.rules import RuleSet
    from auditor.output.record_types import Record

__all__ = ["with_disagreement"]


def with_disagreement(
    record: Record, server_answers: Sequence[ServerAnswers], rule_set: RuleSet
) -> Record:
    """Return a record with the findings about its servers, and the verdict that follows."""
    findings = [
        Finding(noted["code"], noted["severity"], noted["subject"]) for noted in record["findings"]
    ]
    findings = sorted(
        {*findings, *judge_servers(server_answers, rule_set)},
        key=lambda finding: (finding.code, finding.subject),
    )
    return with_findings(record, findings)
