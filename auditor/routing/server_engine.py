"""Engine for one authoritative server; questions that it does not answer are handed back."""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING

from auditor.resolve.answer import Answer
from auditor.resolve.bulk.engine import BulkEngine
from auditor.wire.codes import NOERROR, SETTLED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from auditor.errors import AuditorError
    from auditor.resolve.answer import AnswerCallback, Question
    from auditor.resolve.token_bucket import TokenBucket
    from auditor.settings import Server, Settings

__all__ = ["ServerEngine"]


class _OneServer(BulkEngine):
    """A bulk engine for one server: without a check, and within the rate of the whole run."""

    def __init__(
        self,
        server: Server,
        settings: Settings,
        *,
        bucket: TokenBucket,
        server_qps: float | None,
        recurse: bool,
    ) -> None:
        super().__init__(
            [server],
            concurrency=settings.concurrency,
            qps=settings.qps,
            server_qps=server_qps,
            timeout=settings.timeout,
            tries=settings.tries,
            check=False,
            trace=settings.trace,
        )
        self.pool.share_rate(bucket)
        self.pool.recurse = recurse
        self._retries.dnssec_checks.is_off = not recurse


class ServerEngine:
    """Asks one server; `hand_back` takes unanswered questions with their `deliver`.

    `recurse`: it offers recursion, so queries have RD set. `is_alive`: it has not stopped
    answering; `is_foreign`: it serves none of the user's own zones.
    """

    def __init__(
        self,
        server: Server,
        settings: Settings,
        hand_back: Callable[[Sequence[Question], AnswerCallback], None],
        *,
        bucket: TokenBucket,
        server_qps: float | None,
        recurse: bool,
    ) -> None:
        self.engine = _OneServer(
            server, settings, bucket=bucket, server_qps=server_qps, recurse=recurse
        )
        self.is_alive = False
        self.is_foreign = False
        self._hand_back = hand_back
        self._waiting: dict[Question, AnswerCallback] = {}
        self.engine.on_failure(self._give_up)

    async def start(self) -> None:
        """Open the sockets. Raises AuditorError if the server is unreachable."""
        await self.engine.start()
        self.is_alive = True

    @property
    def load(self) -> int:
        """The number of outstanding questions."""
        return len(self._waiting)

    def asked_already(self, questions: Sequence[Question]) -> list[Question]:
        """Return those of the questions that are in flight."""
        if self._waiting.keys().isdisjoint(questions):
            return []
        return [question for question in questions if question in self._waiting]

    def submit(self, questions: Sequence[Question], deliver: AnswerCallback) -> None:
        """Ask the server questions that are not in flight to it."""
        self._waiting.update(zip(questions, repeat(deliver)))
        self.engine.submit(questions, self._on_answers)

    def _on_answers(self, pairs: Sequence[tuple[Question, Answer]]) -> None:
        answered: dict[AnswerCallback, list[tuple[Question, Answer]]] = {}
        failed: dict[AnswerCallback, list[Question]] = {}
        for question, answer in pairs:
            deliver = self._waiting.pop(question)
            if answer.status in SETTLED:
                first = _first_alias(answer) if answer.chain else answer
                answered.setdefault(deliver, []).append((question, first))
            else:
                failed.setdefault(deliver, []).append(question)
        for deliver, answered_pairs in answered.items():
            deliver(answered_pairs)
        for deliver, questions in failed.items():
            self._hand_back(questions, deliver)

    def _give_up(self, error: AuditorError) -> None:
        """Hand back all questions: the server has stopped answering."""
        del error
        self.is_alive = False
        for deliver, questions in _by_deliver(self._waiting.items()).items():
            self._hand_back(questions, deliver)
        self._waiting.clear()


def _by_deliver(
    waiting: Iterable[tuple[Question, AnswerCallback]],
) -> dict[AnswerCallback, list[Question]]:
    by_callback: dict[AnswerCallback, list[Question]] = {}
    for question, deliver in waiting:
        by_callback.setdefault(deliver, []).append(question)
    return by_callback


def _first_alias(answer: Answer) -> Answer:
    """Return only the first alias of an answer: its target may be another server's."""
    target = answer.chain[1] if len(answer.chain) > 1 else answer.canonical
    return Answer(NOERROR, (), answer.chain[:1], target, answer.ttl, answer.how)
