"""The records of targets that nobody could audit: unread, and not absent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import zstandard

from auditor.audit import Auditor
from auditor.errors import WorkersError
from auditor.findings.judge import Ruling
from auditor.output.record import trace_entry
from auditor.resolve.answer import Answer
from auditor.run.tally import Tally
from auditor.workers.orders import Result
from auditor.workers.shards import unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.resolve.answer import Question
    from auditor.run.scan import GivenUp
    from auditor.settings import Settings
    from auditor.targets.target import Target
    from auditor.workers.shards import Shard

__all__ = ["abandon", "not_audited"]

#: What is known of every question.
_UNKNOWN = Answer("UNREACHABLE")


def abandon(shard: Shard, settings: Settings) -> Result:
    """Return what a shard comes to if no server can be reached for any of its targets."""
    ruling = Ruling(severities=settings.severities, select=settings.select, ignore=settings.ignore)
    auditor = Auditor(settings, ruling)
    tally = Tally()
    lines = bytearray()
    for block in unpack(shard):
        for target in block:
            record, asked = _audit(auditor, target)
            tally.note(record)
            if settings.trace:
                record["trace"] = [trace_entry(question, _UNKNOWN) for question in asked]
            lines += orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    frame = zstandard.ZstdCompressor().compress(lines)
    return Result(shard.number, (frame,), tally, "", 0, {})


def not_audited(given_up: Sequence[GivenUp]) -> WorkersError:
    """Return what a run comes to that had to give targets up."""
    first, *others = given_up
    size = sum(each.records for each in given_up)
    return WorkersError(
        f"{size:,} target{'s' * (size > 1)} could not be audited ({first.targets}"
        f"{', …' if others else ''}): {first.why}; --resume tries again"
    )


def _audit(auditor: Auditor, target: Target) -> tuple[Any, list[Question]]:
    """Take a target through its stages; return the record and what it asked."""
    steps = auditor.audit(target)
    answers: Sequence[Answer] | None = None
    asked: list[Question] = []
    try:
        while True:
            # A generator's first send must be None.
            questions = steps.send(answers)  # type: ignore[arg-type]
            asked += questions
            answers = [_UNKNOWN] * len(questions)
    except StopIteration as end:
        return end.value, asked
