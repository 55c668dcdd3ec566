"""The lane for what does not fit a datagram: TCP, by aiodns.

Truncated replies are few, so c-ares does here what it does well: connect, reuse, read. The
bulk engine goes on meanwhile. A flood of them (a server that limits its rate over UDP) waits
in line here, a few dozen being asked at a time.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from auditor.errors import AuditorError
from auditor.resolve.answer import Answer
from auditor.wire.codes import UNREACHABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.resolve.answer import Question
    from auditor.resolve.attempts import Course, Policy
    from auditor.resolve.cares import Cares
    from auditor.settings import Server

__all__ = ["Streams"]

_log = logging.getLogger("auditor")

_AT_ONCE: Final = 64


class Streams:
    """Asks the questions of courses over TCP. `on_answer` is given what came of each.

    `servers` is called when the lane is first needed: those that are in use by then.
    """

    def __init__(
        self,
        servers: Callable[[], Sequence[Server]],
        policy: Policy,
        on_answer: Callable[[Course, Answer], None],
    ) -> None:
        self._servers = servers
        self._policy = policy
        self._on_answer = on_answer
        self._lane: Cares | None = None
        self._waiting: list[Course] = []
        self._courses: dict[Question, list[Course]] = {}
        self._broken = False
        self._closed = False

    async def start(self) -> None:
        """Open the lane, when the first reply was truncated, and ask what waits for it."""
        # pycares costs a tenth of a second to import, and most runs need no TCP at all.
        from auditor.resolve.cares import Cares  # noqa: PLC0415 - see above

        lane = Cares(
            self._servers(),
            concurrency=_AT_ONCE,
            timeout=self._policy.timeout,
            tries=self._policy.tries,
            tcp=True,
        )
        try:
            await lane.start()
        except AuditorError as error:
            # What was truncated stays so; the rest of the run needs no TCP.
            _log.warning("no TCP for truncated replies: %s", error)
            self._broken = True
        else:
            self._lane = lane
        waiting, self._waiting = self._waiting, []
        if not self._closed:
            for course in waiting:
                self.ask(course)

    @property
    def is_open(self) -> bool:
        """Whether `ask` may be called; otherwise `wait`, and see to it that `start` runs."""
        return self._lane is not None or self._broken

    def backlog(self) -> int:
        """Return how many questions wait for their turn: more than TCP can take at once."""
        return len(self._waiting) + (self._lane.backlog() if self._lane else 0)

    def wait(self, course: Course) -> bool:
        """Keep a course until the lane is open; return whether `start` must be called."""
        self._waiting.append(course)
        return len(self._waiting) == 1

    def ask(self, course: Course) -> None:
        """Ask a course's question over TCP."""
        if self._lane is None:
            self._on_answer(course, Answer(UNREACHABLE))
            return
        same = self._courses.setdefault(course.question, [])
        same.append(course)
        if len(same) == 1:
            self._lane.submit([course.question], self._deliver)

    async def close(self) -> None:
        """Close the lane; nothing is answered any more."""
        self._closed = True
        if self._lane is not None:
            await self._lane.close()

    def _deliver(self, pairs: Sequence[tuple[Question, Answer]]) -> None:
        for question, answer in pairs:
            for course in self._courses.pop(question):
                self._on_answer(course, answer)
