"""An event loop whose clock jumps to the next timer instead of waiting for it.

    assert run_virtual(main()) == expected

So a test of patience takes no time, and takes the same turn each time. What waits for
another thread still waits for it. A loop with nothing left to wait for fails the test.
"""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine

__all__ = ["run_virtual"]

T = TypeVar("T")

_SECONDS: Final = 10.0  # for a thread to say something


class _Selector(selectors.DefaultSelector):
    """Never waits for time to pass: it makes it pass."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            events = super().select(_SECONDS)
            assert events, "nothing is left that could wake the loop"
            return events
        events = super().select(0)
        if not events:
            self.now += max(timeout, 0.0)
        return events


class _Loop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._virtual = _Selector()
        super().__init__(self._virtual)

    def time(self) -> float:
        return self._virtual.now

    async def shutdown_default_executor(
        self,
        timeout: float | None = None,  # noqa: ASYNC109 - the loop's own signature
    ) -> None:
        """Wait for the threads, however busy the machine: the time would be over at once."""
        del timeout
        await super().shutdown_default_executor()


def run_virtual(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on such a loop; its clock starts at 0."""
    with asyncio.Runner(loop_factory=_Loop) as runner:
        return runner.run(coroutine)
