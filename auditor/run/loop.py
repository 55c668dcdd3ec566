"""The event loop that commands and blocking calls run on, and its garbage."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

__all__ = ["new_loop", "run_loop", "seldom_collected"]

T = TypeVar("T")

#: Seconds between two collections while a scan goes on.
_BETWEEN: Final = 20.0


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on uvloop, or on asyncio's own loop where there is none."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main)


def new_loop() -> asyncio.AbstractEventLoop:
    """Return a loop of uvloop's, or of asyncio's own where there is none."""
    try:
        from uvloop import new_event_loop  # noqa: PLC0415 - absent on Windows
    except ImportError:
        return asyncio.new_event_loop()
    return new_event_loop()


@contextlib.asynccontextmanager
async def seldom_collected() -> AsyncIterator[None]:
    """Collect cyclic garbage by the clock instead of by the number of objects.

    A scan makes hundreds of objects a target and next to no cycles, yet the collector would
    walk over the cache again and again: a third of all CPU time. For the command line, whose
    process is its own; a library leaves its host's collector alone.
    """
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle | None = None

    def collect() -> None:
        nonlocal timer
        gc.collect()
        timer = loop.call_later(_BETWEEN, collect)

    gc.freeze()
    gc.disable()
    timer = loop.call_later(_BETWEEN, collect)
    try:
        yield
    finally:
        timer.cancel()
        # What there is now counts as old: no collection is due at once.
        gc.freeze()
        gc.enable()
        gc.unfreeze()
