"""Every server asked by itself, for `auditor check` with several of them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, cast

from auditor.checks.agreement import Said, questions_about
from auditor.cli.driven import driven
from auditor.errors import NoServerError
from auditor.findings.judge import Finding, judge_servers, verdict

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.findings.entry import Severity
    from auditor.findings.judge import Ruling
    from auditor.output.record import Record
    from auditor.resolve.answer import Answer, Question, Steps
    from auditor.settings import Settings

__all__ = ["ask_each", "with_disagreement"]


async def ask_each(settings: Settings, records: Sequence[Record]) -> list[list[Said]]:
    """Return for each record what every server says about its target.

    One server after the other, so that no rate is exceeded. One that does not answer at all
    has been told of before, and is passed over.
    """
    questions = [questions_about(record) for record in records]
    all_of_them = list(dict.fromkeys(question for some in questions for question in some))
    said: dict[Question, dict[str, Answer]] = {question: {} for question in all_of_them}
    for server in settings.servers:
        try:
            answers = await driven(replace(settings, servers=(server,)), _asked(all_of_them))
        except NoServerError:
            continue
        for question, answer in zip(all_of_them, answers, strict=True):
            said[question][str(server)] = answer
    return [[Said(question, said[question]) for question in some] for some in questions]


def _asked(questions: Sequence[Question]) -> Steps[Sequence[Answer]]:
    return (yield questions)


def with_disagreement(record: Record, said: Sequence[Said], ruling: Ruling) -> Record:
    """Return a record with the findings about its servers, and the verdict that follows."""
    found = [
        Finding(one["code"], cast("Severity", one["severity"]), one["subject"])
        for one in record["findings"]
    ]
    found = sorted({*found, *judge_servers(said, ruling)}, key=lambda one: (one.code, one.subject))
    return {
        **record,
        "verdict": verdict(found),
        "findings": [one._asdict() for one in found],
    }
