"""Advice about targets, all that `auditor check` looks up for it included."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auditor.checks.follow_up import FollowUpFacts, follow_up
from auditor.findings.advice import Advice, advise
from auditor.findings.rules import RuleSet
from auditor.pipeline.target import TargetAuditor
from auditor.settings import Settings
from auditor.targets.stream import TargetStream
from support.stepping import driven

if TYPE_CHECKING:
    from collections.abc import Callable

    from auditor.resolve.answer import Answer, Question, Steps
    from auditor.targets.target import Target

__all__ = ["about", "advised"]


def advised(
    answer: Callable[[Question], Answer],
    *targets: str,
    helo: str = "",
    mail_from: tuple[str, ...] = (),
) -> dict[str, list[tuple[str, str, Advice]]]:
    """Return the advice about targets, as (code, subject, advice) by target."""
    auditor = TargetAuditor(Settings(helo=helo or None, mail_from=mail_from), RuleSet())
    blocks = TargetStream(targets).blocks()
    return {
        target.text: about(auditor, target, answer, helo) for block in blocks for target in block
    }


def about(
    auditor: TargetAuditor, target: Target, answer: Callable[[Question], Answer], helo: str
) -> list[tuple[str, str, Advice]]:
    """Return the advice about a target, as (code, subject, advice)."""
    (record, known), _ = driven(_examined(auditor, target, helo), answer)
    return [
        (finding["code"], finding["subject"], advise(record, finding, known))
        for finding in record["findings"]
    ]


def _examined(
    auditor: TargetAuditor, target: Target, helo: str
) -> Steps[tuple[Any, FollowUpFacts]]:
    record = yield from auditor.audit(target)
    return record, (yield from follow_up(record, helo))
