"""Detects outages of a server, as opposed to names that are silent.

While the server answers nothing at all, silence says nothing about any name or zone. No clock in
here: calls are told the time.
"""

from __future__ import annotations

import math
from typing import Final

__all__ = ["Presence"]

#: Seconds from one query that was answered to the next, with queries about so many zones in
#: between that were not, from which on it was no name's silence but an outage.
_OUTAGE_MIN_S: Final = 0.4
_OUTAGE_MIN_ZONES: Final = 3


class Presence:
    """When a server has answered.

    `answered_until`: when the newest query was sent that was answered. `outage`: the one that
    has just ended, with its start and end; the reader sets it to None.
    `next_probe`: when a probe may next be sent to a server that is silent.
    """

    def __init__(self) -> None:
        self.answered_until = -math.inf
        self.next_probe = 0.0
        self.outage: tuple[float, float] | None = None
        #: Zones of queries sent since then that were not answered: a few.
        self._silent_zones: set[str] = set()

    @property
    def has_ever_answered(self) -> bool:
        """Whether anything has been answered at all."""
        return self.answered_until > -math.inf

    def on_answered(self, sent_at: float, usual: float) -> None:
        """Note an answer, to a query sent then; answers take `usual` seconds at most."""
        gap = sent_at - self.answered_until
        if gap <= 0:
            return
        if gap > max(_OUTAGE_MIN_S, 4 * usual) and len(self._silent_zones) >= _OUTAGE_MIN_ZONES:
            self.outage = (self.answered_until, sent_at)
        self.answered_until = sent_at
        self._silent_zones.clear()

    def on_silence(self, zone: str, sent_at: float) -> None:
        """Note that a query about a zone has gone unanswered."""
        if sent_at > self.answered_until and len(self._silent_zones) < _OUTAGE_MIN_ZONES:
            self._silent_zones.add(zone)
