"""Whether servers agree: compares their answers to the same questions.

Used by `auditor check`, and for a sample of a scan, which otherwise sends each question to one
server.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from auditor.quoting import printable
from auditor.resolve.answer import Question
from auditor.wire.codes import AAAA, MX, PTR, SETTLED, TXT, A
from auditor.wire.reverse import reverse_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auditor.resolve.answer import Answer, Rdata

__all__ = ["ServerAnswers", "questions_about", "rdata_text"]


class ServerAnswers(NamedTuple):
    """The answers of servers, by their names, to a question; a server may be missing."""

    question: Question
    answers: Mapping[str, Answer]

    @property
    def differs(self) -> bool:
        """Whether two servers gave different answers; failures do not count."""
        known = [answer for answer in self.answers.values() if answer.status in SETTLED]
        return len({(answer.status, answer.records) for answer in known}) > 1


def questions_about(record: Mapping[str, Any]) -> list[Question]:
    """Return the questions of a record to compare: PTR and forward, or those of a domain."""
    target = record["target"]
    if record["kind"] == "domain":
        return [Question(target, rdtype) for rdtype in (A, AAAA, MX, TXT)]
    if record["kind"] == "ip":
        forward = AAAA if ":" in target else A
        names = [name["name"] for name in record["iprev"]["names"]]
        return [Question(reverse_name(target), PTR), *(Question(name, forward) for name in names)]
    return []


def rdata_text(record: Rdata) -> str:
    """Return a record as it is shown: an address, a name, an MX, or the texts of a TXT."""
    if not isinstance(record, tuple):
        return str(record)
    parts = [part.decode("latin-1") if isinstance(part, bytes) else str(part) for part in record]
    return printable(("" if isinstance(record[0], bytes) else " ").join(parts))
