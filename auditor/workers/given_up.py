"""Records of targets that were given up: their lookups are undetermined, not absent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson
import zstandard

from auditor.errors import WorkersError
from auditor.findings.rules import RuleSet
from auditor.output.record import trace_entry
from auditor.output.tally import Tally
from auditor.pipeline.target import TargetAuditor
from auditor.resolve.answer import Answer
from auditor.workers.messages import Result
from auditor.workers.shards import unpack

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.resolve.answer import Question
    from auditor.run.scan import GivenUp
    from auditor.settings import Settings
    from auditor.targets.target import Target
    from auditor.workers.shards import Shard

__all__ = ["give_up_shard", "not_audited"]

#: The answer to every question.
_UNKNOWN = Answer("UNREACHABLE")


def give_up_shard(shard: Shard, settings: Settings, skip: int = 0) -> Result:
    """Return the result of a shard whose targets after `skip` cannot be audited."""
    rule_set = RuleSet.from_settings(settings)
    auditor = TargetAuditor(settings, rule_set)
    tally = Tally()
    lines = bytearray()
    for block in unpack(shard, skip):
        for target in block:
            record, asked = _audit(auditor, target)
            tally.count_record(record)
            if settings.trace:
                record["trace"] = [trace_entry(question, _UNKNOWN) for question in asked]
            lines += orjson.dumps(record, option=orjson.OPT_APPEND_NEWLINE)
    frame = zstandard.ZstdCompressor().compress(lines)
    return Result(shard.number, (frame,), tally, "", 0, {})


def not_audited(given_up: Sequence[GivenUp]) -> WorkersError:
    """Return the error of a run that had to give targets up."""
    first, *others = given_up
    size = sum(given.records for given in given_up)
    return WorkersError(
        f"{size:,} target{'s' * (size > 1)} could not be audited ({first.targets}"
        f"{', …' if others else ''}): {first.why}; --resume tries again"
    )


def _audit(auditor: TargetAuditor, target: Target) -> tuple[Any, list[Question]]:
    """Take a target through its stages; return the record and what it asked."""
    steps = auditor.audit(target)
    asked: list[Question] = []
    try:
        questions = next(steps)
        while True:
            asked += questions
            questions = steps.send([_UNKNOWN] * len(questions))
    except StopIteration as end:
        return end.value, asked
