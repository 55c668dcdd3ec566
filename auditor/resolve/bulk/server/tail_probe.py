"""Tail probes: a few more queries when a full window is silent; and the wait for rate tokens.

Questions wait for a token of the rate limit, or for room in a full congestion window. If all
queries in flight are about silent names, no answer makes room before their timeouts
(`NameServer.overtaken`). So when a full window has been silent for longer than an RTT, a few more
queries are sent (like TCP's tail loss probe, RFC 8985 §7), and not the next ones in the queue,
since neighbours are silent together.
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

#: The share of the queue moved to its end: golden ratio, so repeated moves reach new places.
_ROTATED_SHARE: Final = 0.382
#: Most questions moved to the end of the queue: more than a silent neighbourhood has.
_MAX_ROTATED: Final = 4096

#: Least seconds between two checks of windows: a tick of a loop's clock.
_MIN_WAIT_S: Final = 0.001


class TailProbe:
    """Waits until more can be sent.

    `queue`: the unsent questions; `come_back` is called with the seconds until there is a token,
    `pump` when a window has been given more room.
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
        """Schedule sending for the next token, if one is missing, and a check of full windows."""
        now = loop.time()
        delays = [
            delay
            for nameserver in self._nameservers
            if nameserver.room() > 0 and (delay := nameserver.bucket.delay(now)) > 0
        ]
        if delays:
            self._send_later(min(delays))
        if self._timer is None:
            self._schedule_check(loop, now)

    def cancel_timer(self) -> None:
        """Cancel the check of full windows."""
        if self._timer is not None:
            self._timer.cancel()

    def _schedule_check(self, loop: asyncio.AbstractEventLoop, now: float) -> None:
        times = [
            when for nameserver in self._nameservers if (when := nameserver.stuck_at()) is not None
        ]
        # Before the first answer it is unknown how long they take.
        if times and min(times) < math.inf:
            delay = max(min(times) - now, _MIN_WAIT_S)
            self._timer = loop.call_later(delay, self._check_windows, loop)

    def _check_windows(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give silent full windows some room, and rotate the queue."""
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
            self._schedule_check(loop, now)
