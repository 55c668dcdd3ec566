"""One name server that is asked for its own zones; what it does not answer is handed back."""

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
    """Asks a server. `hand_back` takes what it has not answered, with who asked.

    `recurse`: it looks further, and is asked to. `is_alive`: it has not fallen silent;
    `is_foreign`: it serves no own zone.
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
        """Open the sockets. Raises AuditorError if there is no way to the server."""
        await self.engine.start()
        self.is_alive = True

    @property
    def load(self) -> int:
        """How many questions it has not answered yet."""
        return len(self._waiting)

    def asked_already(self, questions: Sequence[Question]) -> list[Question]:
        """Return those of the questions that are on their way."""
        if self._waiting.keys().isdisjoint(questions):
            return []
        return [question for question in questions if question in self._waiting]

    def submit(self, questions: Sequence[Question], deliver: AnswerCallback) -> None:
        """Ask the server questions that are not on their way to it."""
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
        """Hand back everything: the server says nothing any more."""
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
    """Return only the first alias of an answer: where it leads another server may decide."""
    target = answer.chain[1] if len(answer.chain) > 1 else answer.canonical
    return Answer(NOERROR, (), answer.chain[:1], target, answer.ttl, answer.how)
