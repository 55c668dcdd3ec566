"""Round-trip time of a name server, and the retransmission timeout (RFC 6298).

Measurements are arguments.
"""

from __future__ import annotations

import math

__all__ = ["RttEstimator"]


class RttEstimator:
    """Smoothed round-trip time of one server and the timeout that follows (RFC 6298).

    `least` and `most` bound the timeout, in seconds. Only first attempts are measured: an answer
    can be matched with its attempt, but retransmissions are sent in bad moments.
    """

    __slots__ = ("_is_assumed", "_least", "_most", "_variation", "smoothed")

    def __init__(self, least: float, most: float) -> None:
        self.smoothed: float | None = None
        self._variation = 0.0
        self._is_assumed = False
        self._least = least
        self._most = most

    def add_sample(self, seconds: float) -> None:
        """Add an RTT sample in seconds (RFC 6298 §2.2, §2.3)."""
        if self.smoothed is None or self._is_assumed:
            self.smoothed, self._variation = seconds, seconds / 2
            self._is_assumed = False
            return
        self._variation += (abs(self.smoothed - seconds) - self._variation) / 4
        self.smoothed += (seconds - self.smoothed) / 8

    def assume_rtt(self, seconds: float) -> None:
        """Assume an RTT in seconds until the first sample."""
        self.add_sample(seconds)
        self._is_assumed = True

    @property
    def usual(self) -> float:
        """SRTT + 4 * RTTVAR in seconds: the upper bound of nearly all RTTs; infinite before any."""
        if self.smoothed is None:
            return math.inf
        return self.smoothed + 4 * self._variation

    @property
    def timeout(self) -> float:
        """The retransmission timeout (RTO) in seconds; `most` before any answer."""
        if self.smoothed is None:
            return self._most
        return min(max(self.usual, self._least), self._most)
