"""Early end of a run: by signals, or by its deadline."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING, Final

from auditor.errors import NOT_FINISHED

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from auditor.run.scan import AnyScan

__all__ = ["Shutdown"]

#: Seconds that a run that stops early may take to finish the targets in progress (one second more
#: is for writing the partial output), and how often that is checked.
_GRACE_PERIOD_S: Final = 4.0
_POLL_INTERVAL_S: Final = 0.05


class Shutdown:
    """Ends `work`, a run of `scan`, early; `why` is the reason, "" as long as there is none.

    `stopping` is called with the reason when it begins, `drop` when even the targets in progress
    are dropped: after the grace period, or at the second signal.
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
    def signals_handled(self, seconds: float | None) -> Iterator[None]:
        """Handle signals while the context is open, and a deadline in so many seconds."""
        loop = asyncio.get_running_loop()
        heard = []
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is signal.SIG_IGN:
                continue  # ignored by nohup or by a shell's &: stay ignored
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
                # The process is about to end: a further signal changes nothing.
                for number in heard:
                    loop.remove_signal_handler(number)
                    signal.signal(number, signal.SIG_IGN)

    def _on_signal(self) -> None:
        """Finish the targets in progress; at the second signal drop them; at the third exit."""
        self._signals += 1
        if self._signals == 1 and not self.why:
            self._begin("interrupted")
        elif self._signals <= 2:  # noqa: PLR2004 - see above
            self.give_up()
        else:
            # A hung disk would block the thread that writes, and with it a normal exit.
            os._exit(NOT_FINISHED)

    def give_up(self) -> None:
        """End the work at once, dropping the targets in progress."""
        self._drop()
        self._scan.abort()
        self._work.cancel()

    def _begin(self, why: str) -> None:
        if self.why or self._work.done():
            return
        self.why = why
        self._scan.finish_early()
        self._stopping(why)
        self._patience = asyncio.ensure_future(self._end())

    async def _end(self) -> None:
        """End the work when no target is in progress, at the latest after the grace period."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _GRACE_PERIOD_S
        while self._scan.open_targets and loop.time() < until:  # noqa: ASYNC110 - rare, and soon over
            await asyncio.sleep(_POLL_INTERVAL_S)
        self.give_up()
