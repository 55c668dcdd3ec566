"""The event loop of commands and blocking calls, and garbage collection at fixed intervals."""

from __future__ import annotations

import asyncio
import contextlib
import gc
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine

__all__ = ["garbage_collected_by_clock", "new_loop", "run_loop"]

T = TypeVar("T")

#: Seconds between two collections while a scan goes on.
_GC_INTERVAL_S: Final = 20.0


def run_loop(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine to its end on a uvloop event loop."""
    with asyncio.Runner(loop_factory=new_loop) as runner:
        return runner.run(main)


def new_loop() -> asyncio.AbstractEventLoop:
    """Return a uvloop event loop that runs only this program's tasks (`is_own`)."""
    from uvloop import Loop  # noqa: PLC0415 - loaded where a loop is needed

    class OwnLoop(Loop):
        """An event loop of our own: a callback may sleep for some microseconds."""

        is_own = True

    return OwnLoop()


@contextlib.asynccontextmanager
async def garbage_collected_by_clock() -> AsyncIterator[None]:
    """Collect cyclic garbage by the clock instead of by the number of objects.

    A scan makes hundreds of objects a target and hardly any cycles, yet the collector would
    walk over the cache again and again: a third of all CPU time. For the command line, whose
    process is its own; a library leaves its host's collector alone.
    """
    loop = asyncio.get_running_loop()
    timer: asyncio.TimerHandle | None = None

    def collect() -> None:
        nonlocal timer
        gc.collect()
        timer = loop.call_later(_GC_INTERVAL_S, collect)

    gc.freeze()
    gc.disable()
    timer = loop.call_later(_GC_INTERVAL_S, collect)
    try:
        yield
    finally:
        timer.cancel()
        # Moves all objects to the oldest generation, so that no collection is due at once.
        gc.freeze()
        gc.enable()
        gc.unfreeze()
