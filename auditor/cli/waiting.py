"""Notice at a terminal while a command waits for servers that do not answer."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from auditor.cli.console import print_message
from auditor.wire.codes import type_name

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from auditor.resolve.answer import Answer, Question, Steps
    from auditor.settings import Server

__all__ = ["WaitNotice"]

T = TypeVar("T")

#: Seconds after which, and between which, the notice is printed.
_PATIENCE_S: Final = 2.0


class WaitNotice:
    """Prints at a terminal what a slow command waits for; `servers` are the ones asked."""

    def __init__(self, servers: Sequence[Server], *, at_terminal: bool) -> None:
        self._servers = ", ".join(map(str, servers)) or "the system's resolvers"
        self._at_terminal = at_terminal
        self._pending: Sequence[Question] = ()

    def noting(self, steps: Steps[T]) -> Steps[T]:
        """Run the steps, and remember their last questions."""
        answers: Sequence[Answer] | None = None
        while True:
            try:
                # A generator's first send must be None.
                self._pending = steps.send(answers)  # type: ignore[arg-type]
            except StopIteration as end:
                return end.value  # type: ignore[no-any-return]
            answers = yield self._pending

    async def until_done(self, work: Awaitable[T]) -> T:
        """Await `work`, and print regularly what it waits for."""
        if not self._at_terminal:
            return await work
        loop = asyncio.get_running_loop()
        timer: asyncio.TimerHandle | None = None

        def notify() -> None:
            nonlocal timer
            print_message(f"auditor: waiting for {self._awaited()}")
            timer = loop.call_later(_PATIENCE_S, notify)

        timer = loop.call_later(_PATIENCE_S, notify)
        try:
            return await work
        finally:
            timer.cancel()

    def _awaited(self) -> str:
        if not self._pending:
            return f"the first answer of {self._servers}"
        name, rdtype = self._pending[0]
        more = f" and {len(self._pending) - 1:,} more" if len(self._pending) > 1 else ""
        return f"the {type_name(rdtype)} record of {name}{more}"
