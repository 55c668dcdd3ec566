"""Adapter from a `Resolver` to an engine, for programs that answer the questions themselves."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from auditor.errors import AuditorError
from auditor.wire.codes import SETTLED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from auditor.resolve.answer import AnswerCallback, Question, Resolver

__all__ = ["ResolverEngine"]


class ResolverEngine:
    """Passes each batch of questions to a resolver, in concurrent calls.

    An exception of the resolver ends the run, as AuditorError.
    """

    def __init__(self, resolver: Resolver) -> None:
        self._resolver = resolver
        self._calls: set[asyncio.Task[None]] = set()
        self._fail: Callable[[AuditorError], None] | None = None
        self._asked = self._answered = self._failed = 0

    async def start(self) -> None:
        """Do nothing: the resolver needs no start."""

    def submit(self, questions: Sequence[Question], deliver: AnswerCallback) -> None:
        """Have the questions answered; see `Engine`."""
        self._asked += len(questions)
        call = asyncio.get_running_loop().create_task(self._answer(tuple(questions), deliver))
        self._calls.add(call)
        call.add_done_callback(self._calls.discard)

    async def _answer(self, questions: Sequence[Question], deliver: AnswerCallback) -> None:
        try:
            answers = await self._resolver.resolve_many(questions)
            pairs = list(zip(questions, answers, strict=True))
        except Exception as error:  # noqa: BLE001 - of a program's own code: anything
            # Not delivered, so that nothing is cached; `fail` informs the caller.
            self._failed += len(questions)
            if self._fail is not None:
                self._fail(AuditorError(f"the resolver failed: {type(error).__name__}: {error}"))
            return
        failed = sum(answer.status not in SETTLED for answer in answers)
        self._failed += failed
        self._answered += len(questions) - failed
        deliver(pairs)

    def backlog(self) -> int:
        """Return 0: all questions are passed on at once."""
        return 0

    def on_room(self, wake: Callable[[], None]) -> None:
        """Do nothing: there is always room."""

    def on_failure(self, fail: Callable[[AuditorError], None]) -> None:
        """Have `fail` called when the resolver raises."""
        self._fail = fail

    def counters(self) -> Mapping[str, int]:
        """Return how many questions were asked, answered and failed."""
        return {"asked": self._asked, "answered": self._answered, "failed": self._failed}

    async def close_engine(self) -> None:
        """Cancel all unfinished calls."""
        calls = list(self._calls)
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
