"""An engine that answers when the test says so, or at once, and remembers what it was asked."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from auditor.errors import AuditorError
    from auditor.resolve.answer import Answer, AnswerCallback, Question

__all__ = ["FakeEngine"]


class FakeEngine:
    """Implements `Engine`. `zone` says what to answer; `at_once`: within `submit` already.

    `asked` is every question in the order submitted, `open` those that are not answered.
    `waiting` is what `backlog` says. A question that is submitted while it is open fails.
    """

    def __init__(self, zone: Callable[[Question], Answer], *, at_once: bool = False) -> None:
        self.asked: list[Question] = []
        self.open: dict[Question, AnswerCallback] = {}
        self.waiting = 0
        self.started = self.closed = False
        self.fail: Callable[[AuditorError], None] | None = None
        self.wake: Callable[[], None] | None = None
        self._zone = zone
        self._at_once = at_once
        self._answered = 0

    async def start(self) -> None:
        self.started = True

    def submit(self, questions: Sequence[Question], deliver: AnswerCallback) -> None:
        for question in questions:
            assert question not in self.open, f"{question} was asked twice at the same time"
            self.open[question] = deliver
        self.asked += questions
        if self._at_once:
            self.reply(questions)

    def reply(self, questions: Iterable[Question] | None = None) -> None:
        """Answer these questions, one batch for each who waits; without any, all open ones."""
        batches: dict[AnswerCallback, list[tuple[Question, Answer]]] = {}
        for question in list(self.open) if questions is None else list(questions):
            deliver = self.open.pop(question)
            batches.setdefault(deliver, []).append((question, self._zone(question)))
            self._answered += 1
        for deliver, pairs in batches.items():
            deliver(pairs)

    def backlog(self) -> int:
        return self.waiting

    def on_room(self, wake: Callable[[], None]) -> None:
        self.wake = wake

    def on_failure(self, fail: Callable[[AuditorError], None]) -> None:
        self.fail = fail

    def counters(self) -> Mapping[str, int]:
        return {"asked": len(self.asked), "answered": self._answered}

    async def close_engine(self) -> None:
        self.closed = True
        self.open.clear()
