"""Whether several servers say the same: each was asked the same questions by itself.

For a person who looks into one target (`auditor check`). A scan asks every question once, of
whichever server has room, so it learns nothing of this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from auditor.resolve.answer import Question
from auditor.wire.codes import AAAA, MX, PTR, SETTLED, TXT, A
from auditor.wire.reverse import reverse_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auditor.resolve.answer import Answer

__all__ = ["Said", "questions_about"]


class Said(NamedTuple):
    """What each server, by its name, answered to a question; those that are not there lack."""

    question: Question
    answers: Mapping[str, Answer]

    @property
    def differs(self) -> bool:
        """Whether two servers that know say different things; a failure says nothing."""
        known = [answer for answer in self.answers.values() if answer.status in SETTLED]
        return len({(answer.status, answer.records) for answer in known}) > 1


def questions_about(record: Mapping[str, Any]) -> list[Question]:
    """Return what the servers should agree about: PTR and forward, or what a domain publishes."""
    target = record["target"]
    if record["kind"] == "domain":
        return [Question(target, rdtype) for rdtype in (A, AAAA, MX, TXT)]
    if record["kind"] == "ip":
        forward = AAAA if ":" in target else A
        names = [name["name"] for name in record["iprev"]["names"]]
        return [
            Question(reverse_name(target), PTR),
            *(Question(name, forward) for name in names),
        ]
    return []
