"""Counts final answers and delivers them to the callbacks that wait for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditor.resolve.answer import Answer
from auditor.resolve.bulk.deferred import DOUBTFUL
from auditor.wire.codes import BOGUS, FORMERR, SETTLED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.resolve.answer import AnswerCallback, Question
    from auditor.resolve.bulk.counters import Counters
    from auditor.resolve.bulk.pending_query import PendingQuery

__all__ = ["Deliveries"]


class Deliveries:
    """Delivers answers. `awaited`: the number of questions without one."""

    def __init__(self, counters: Counters) -> None:
        self.awaited = 0
        self._counters = counters

    def hand_over(
        self, pairs: Sequence[tuple[Question, Answer]], deliver: AnswerCallback, *, failed: int = 0
    ) -> None:
        """Deliver answers to one callback; `failed`: the number of failures among them."""
        count = len(pairs)
        self.awaited -= count
        self._counters.failed += failed
        self._counters.answered += count - failed
        deliver(pairs)

    def deliver_answer(self, query: PendingQuery, answer: Answer) -> None:
        """Deliver the answer of a pending query."""
        if answer.how is not None:
            answer = answer._replace(how=answer.how._replace(attempts=query.sent))
        failed = answer.status not in SETTLED
        self._counters.recovered += bool(query.doubted_by) and not failed
        self._counters.persisted += answer.status in DOUBTFUL or answer.status == BOGUS
        self.hand_over([(query.question, answer)], query.deliver, failed=failed)

    def refuse(self, question: Question, deliver: AnswerCallback) -> None:
        """Answer a question whose owner is not a valid name."""
        self.hand_over([(question, Answer(FORMERR))], deliver, failed=1)
