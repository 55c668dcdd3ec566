"""Tail probes: a few more queries when a full window is silent; and the wait for rate tokens.

Questions wait either for a token of the rate limit, or for room in full windows. Answers make
room, unless everything in flight is about silent names: then nothing would move until the
timeouts, since no answer can overtake them (`NameServer.overtaken`). So when a full window has been
silent for longer than answers take, a few more queries go out (as TCP's tail loss probe does,
RFC 8985 §7), and not those next in the queue: neighbours are silent together.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Sequence

    from auditor.resolve.bulk.send_queue import SendQueue
    from auditor.resolve.bulk.server.nameserver import NameServer

__all__ = ["TailProbe"]

#: The share of the queue moved to its end: by the golden ratio, so a few turns reach new places.
_ROTATED_SHARE: Final = 0.382
#: Questions that go to the end of the line at most: many more than neighbours have.
_MAX_ROTATED: Final = 4096

#: Least seconds between two checks of windows: a tick of a loop's clock.
_MIN_WAIT_S: Final = 0.001


class TailProbe:
    """Waits until more can be sent.

    `queue`: the questions that were never sent; `come_back` is told in how many seconds there
    will be a token, `pump` is called when a window has been given more room.
    """

    def __init__(
        self,
        nameservers: Sequence[NameServer],
        queue: SendQueue,
        come_back: Callable[[float], None],
        pump: Callable[[], None],
    ) -> None:
        self._nameservers = nameservers
        self._queue = queue
        self._send_later = come_back
        self._send_all = pump
        self._timer: asyncio.TimerHandle | None = None

    def wait(self, loop: asyncio.AbstractEventLoop) -> None:
        """Come back when there is a token, if that is what is lacking, or a window is stuck."""
        now = loop.time()
        delays = [
            delay
            for nameserver in self._nameservers
            if nameserver.room() > 0 and (delay := nameserver.bucket.delay(now)) > 0
        ]
        if delays:
            self._send_later(min(delays))
        if self._timer is None:
            self._watch(loop, now)

    def cancel_timer(self) -> None:
        """Wait no longer."""
        if self._timer is not None:
            self._timer.cancel()

    def _watch(self, loop: asyncio.AbstractEventLoop, now: float) -> None:
        times = [
            when for nameserver in self._nameservers if (when := nameserver.stuck_at()) is not None
        ]
        # Before the first answer it is unknown how long they take.
        if times and min(times) < math.inf:
            delay = max(min(times) - now, _MIN_WAIT_S)
            self._timer = loop.call_later(delay, self._look, loop)

    def _look(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give stuck windows some room, and whatever stands next in line a place further back."""
        self._timer = None
        now = loop.time()
        stuck = False
        for nameserver in self._nameservers:
            when = nameserver.stuck_at()
            if when is not None and when <= now:
                nameserver.allow_more()
                stuck = True
        if stuck:
            self._queue.rotate(min(int(len(self._queue) * _ROTATED_SHARE), _MAX_ROTATED))
            self._send_all()
        else:
            self._watch(loop, now)
