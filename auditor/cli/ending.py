"""How a run is brought to an early end: by signals, by its deadline."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from auditor.run.scan import AnyScan

__all__ = ["NOT_FINISHED", "Ending"]

NOT_FINISHED: Final = 3

#: Seconds that a run may take to finish what is under way after it was told to stop, and
#: between two looks whether it has.
_GRACE: Final = 5.0
_LOOK: Final = 0.05


class Ending:
    """Ends `work`, a run of `scan`, before its time; `why` says why, "" as long as it does not.

    `stopping` is called with that when it begins, `drop` when even what is under way is to
    be given up: after a time of grace, or when somebody insists.
    """

    def __init__(
        self,
        scan: AnyScan,
        work: asyncio.Future[None],
        *,
        stopping: Callable[[str], None],
        drop: Callable[[], None],
    ) -> None:
        self.why = ""
        self._scan = scan
        self._work = work
        self._stopping = stopping
        self._drop = drop
        self._signals = 0
        self._patience: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def heeded(self, seconds: float | None) -> Iterator[None]:
        """Heed signals meanwhile, and a deadline in so many seconds."""
        loop = asyncio.get_running_loop()
        heard = []
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is signal.SIG_IGN:
                continue  # as nohup and a shell's & want it
            with contextlib.suppress(NotImplementedError):  # no signals on Windows' loops
                loop.add_signal_handler(number, self._on_signal)
                heard.append(number)
        timer = None
        if seconds is not None:
            timer = loop.call_later(max(seconds, 0.0), self._begin, "deadline")
        try:
            yield
        finally:
            if timer is not None:
                timer.cancel()
            if self._patience is not None:
                self._patience.cancel()
            if self._signals:
                # The process is about to end as it was told: one more is no news.
                for number in heard:
                    loop.remove_signal_handler(number)
                    signal.signal(number, signal.SIG_IGN)

    def _on_signal(self) -> None:
        """Finish what is under way; the second time drop it; the third time just go."""
        self._signals += 1
        if self._signals == 1 and not self.why:
            self._begin("interrupted")
        elif self._signals <= 2:  # noqa: PLR2004 - see above
            self.give_up()
        else:
            # A disk that does not answer holds on to the thread that writes.
            os._exit(NOT_FINISHED)

    def give_up(self) -> None:
        """End the work, whatever is under way."""
        self._drop()
        self._work.cancel()

    def _begin(self, why: str) -> None:
        if self.why or self._work.done():
            return
        self.why = why
        self._scan.stop()
        self._stopping(why)
        self._patience = asyncio.ensure_future(self._end())

    async def _end(self) -> None:
        """End the work when nothing is under way, at the latest after a time of grace."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _GRACE
        while self._scan.open_targets and loop.time() < until:  # noqa: ASYNC110 - rare, and soon over
            await asyncio.sleep(_LOOK)
        self.give_up()
