"""Round-trip time of a name server, and the retransmission timeout (RFC 6298).

No clock in here: measurements are passed in.
"""

from __future__ import annotations

import math

__all__ = ["RttEstimator"]


class RttEstimator:
    """Smoothed round-trip time of one server and the timeout that follows (RFC 6298).

    `least` and `most` bound the timeout, in seconds. Only first tries are measured: which
    try an answer belongs to is known here, but a retry is a sample of a bad moment. Until then
    it is what was supposed, if anything.
    """

    __slots__ = ("_is_supposed", "_least", "_most", "_variation", "smoothed")

    def __init__(self, least: float, most: float) -> None:
        self.smoothed: float | None = None
        self._variation = 0.0
        self._is_supposed = False
        self._least = least
        self._most = most

    def add_sample(self, seconds: float) -> None:
        """Take one measurement (RFC 6298 §2.2, §2.3)."""
        if self.smoothed is None or self._is_supposed:
            self.smoothed, self._variation = seconds, seconds / 2
            self._is_supposed = False
            return
        self._variation += (abs(self.smoothed - seconds) - self._variation) / 4
        self.smoothed += (seconds - self.smoothed) / 8

    def suppose(self, seconds: float) -> None:
        """Go by so many seconds until the first measurement."""
        self.add_sample(seconds)
        self._is_supposed = True

    @property
    def usual(self) -> float:
        """Seconds that nearly all answers take no longer than; infinite before any."""
        if self.smoothed is None:
            return math.inf
        return self.smoothed + 4 * self._variation

    @property
    def timeout(self) -> float:
        """Seconds after which a first try counts as unanswered; `most` before any answer."""
        if self.smoothed is None:
            return self._most
        return min(max(self.usual, self._least), self._most)
