"""Detects outages of a server, as opposed to silent names.

During an outage silence is no evidence against any name or zone. Time is an argument.
"""

from __future__ import annotations

import math
from typing import Final

__all__ = ["Presence"]

#: An outage: so many seconds between the sending of two answered queries, with unanswered queries
#: about so many zones between them.
_OUTAGE_MIN_S: Final = 0.4
_OUTAGE_MIN_ZONES: Final = 3


class Presence:
    """When a server has answered.

    `answered_until`: when the newest answered query was sent. `outage`: start and end of the
    outage that has just ended; the reader resets it to None. `next_probe`: when a silent server
    may be probed next.
    """

    def __init__(self) -> None:
        self.answered_until = -math.inf
        self.next_probe = 0.0
        self.outage: tuple[float, float] | None = None
        #: Zones of unanswered queries sent since then, up to _OUTAGE_MIN_ZONES.
        self._silent_zones: set[str] = set()

    @property
    def has_ever_answered(self) -> bool:
        """Whether any query has been answered."""
        return self.answered_until > -math.inf

    def on_answered(self, sent_at: float, usual: float) -> None:
        """Note an answer to a query sent then; `usual`: retransmission timeout in seconds."""
        gap = sent_at - self.answered_until
        if gap <= 0:
            return
        if gap > max(_OUTAGE_MIN_S, 4 * usual) and len(self._silent_zones) >= _OUTAGE_MIN_ZONES:
            self.outage = (self.answered_until, sent_at)
        self.answered_until = sent_at
        self._silent_zones.clear()

    def on_silence(self, zone: str, sent_at: float) -> None:
        """Note an unanswered query about a zone, sent then."""
        if sent_at > self.answered_until and len(self._silent_zones) < _OUTAGE_MIN_ZONES:
            self._silent_zones.add(zone)
