"""Notes on answers for `auditor check`: names outside of all zone files, and why servers failed.

In an audit from zone files, names outside of them are no fault of any server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

import click

from auditor.cli.formatting import paragraph, severity_style
from auditor.findings.catalogue import entry
from auditor.quoting import printable
from auditor.wire.codes import SETTLED, extended_error, type_name
from auditor.wire.reverse import is_reverse

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from auditor.output.record_types import Finding, Record
    from auditor.resolve.answer import Answer, Question, Steps

__all__ = ["noting", "split_findings", "unfiled"]

T = TypeVar("T")

_NOT_AUTHORITATIVE: Final = 20  # RFC 8914 §4.21
_MAX_NOTE_CHARACTERS: Final = 1024  # a name and three zones


def noting(steps: Steps[T], outside: dict[str, str], errors: dict[str, str]) -> Steps[T]:
    """Run the steps, and note two kinds of failed lookups.

    `outside` gets the names that no zone file covers, each with the text of its answer; `errors`
    the other failures, each with its extended error (RFC 8914).
    """
    try:
        questions = next(steps)
        while True:
            answers = yield questions
            for question, answer in zip(questions, answers, strict=True):
                for code, text in answer.how.ede if answer.how is not None else ():
                    _note(question, answer, (code, text), outside, errors)
            questions = steps.send(answers)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]


def _note(
    question: Question,
    answer: Answer,
    error: tuple[int, str],
    outside: dict[str, str],
    errors: dict[str, str],
) -> None:
    code, text = error[0], printable(error[1], _MAX_NOTE_CHARACTERS)
    if answer.how is not None and answer.how.transport == "file":
        if code == _NOT_AUTHORITATIVE:
            outside[question.name] = text
    elif answer.status not in SETTLED:
        about = f"{question.name} {type_name(question.rdtype)}: {answer.status}"
        errors[about] = extended_error(code, text)


def split_findings(
    record: Record, outside: Mapping[str, str]
) -> tuple[list[Finding], list[Finding]]:
    """Return the genuine findings, and the findings that are only due to a missing zone file."""
    lacking = [finding for finding in record["findings"] if _only_lacks(finding, outside)]
    return [finding for finding in record["findings"] if finding not in lacking], lacking


def _only_lacks(finding: Finding, outside: Mapping[str, str]) -> bool:
    """Tell whether a finding is undetermined because of a name that no zone file covers."""
    about = entry(finding["code"])
    if not about.undetermined or not outside:
        return False
    if about.subject == "address":
        return any(map(is_reverse, outside))
    # A policy refers to names of other domains.
    return finding["subject"] in outside or finding["code"] == "SPF_UNDETERMINED"


def unfiled(finding: Finding) -> Iterator[str]:
    """Yield the lines about a finding whose only reason is that a zone file is not there."""
    shown = click.style(finding["severity"], **severity_style(finding["severity"]))
    yield f"  {click.style(finding['code'], bold=True)} {shown}: {finding['subject']}"
    yield paragraph("No zone file covers a name that had to be looked up (see the evidence).", 4)
    yield paragraph("Remedy: Add the file of its zone, or check without --zones.", 4)
