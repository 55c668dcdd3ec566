"""Shares one engine between several runs, each with its own callbacks.

An engine has one callback of each kind; a share of the engine gives each run its own.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from auditor.errors import AuditorError
    from auditor.resolve.answer import AnswerCallback, Engine, Question

__all__ = ["EngineShare", "SharedEngine"]


class EngineShare:
    """The view of one run of a shared engine that is started already. Implements `Engine`."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.submit: Callable[[Sequence[Question], AnswerCallback], None] = engine.submit
        self.backlog = engine.backlog
        self.wake: Callable[[], None] = _ignore
        self.fail: Callable[[AuditorError], None] = _ignore

    async def start(self) -> None:
        """Do nothing: the engine is started already."""

    async def close_engine(self) -> None:
        """Do nothing: other runs use the engine."""

    def on_room(self, wake: Callable[[], None]) -> None:
        """Have `wake` called when there is room."""
        self.wake = wake

    def on_failure(self, fail: Callable[[AuditorError], None]) -> None:
        """Have `fail` called when no server is left."""
        self.fail = fail

    def counters(self) -> Mapping[str, int]:
        """Return the counters of the whole engine."""
        return self._engine.counters()


class SharedEngine:
    """Starts and closes an engine, and calls the callbacks of every share."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._shares: set[EngineShare] = set()

    async def start(self) -> None:
        """Start the engine. Raises AuditorError if it cannot work at all."""
        await self.engine.start()
        self.engine.on_room(self._wake)
        self.engine.on_failure(self._fail)

    async def close_engine(self) -> None:
        """Close the engine."""
        await self.engine.close_engine()

    @contextmanager
    def share(self) -> Iterator[EngineShare]:
        """Yield a share for one run."""
        share = EngineShare(self.engine)
        self._shares.add(share)
        try:
            yield share
        finally:
            self._shares.discard(share)

    def _wake(self) -> None:
        for share in tuple(self._shares):
            share.wake()

    def _fail(self, error: AuditorError) -> None:
        for share in tuple(self._shares):
            share.fail(error)


def _ignore(*_: object) -> None:
    """Stand in for a callback that has not been set."""
