"""Token bucket: how fast queries may leave. No clock in here: calls are told the time.

Waiting here happens before a query is sent, so it can never count against that query's
timeout.
"""

from __future__ import annotations

from typing import Final

__all__ = ["TokenBucket"]

#: Seconds of its rate that a bucket holds: enough to hide the loop's own jitter, little
#: enough that no second ever sees more than 2 % above the rate.
_BURST_S: Final = 0.02

#: Tolerance for rounding: after `delay` seconds a token is always granted.
_EPSILON: Final = 1e-6


class TokenBucket:
    """Grants `rate` queries a second; None grants all.

    Tokens come in evenly, and at most a fiftieth of a second's worth (one at least) is
    held for later: an idle minute is not made up for. `within`: another bucket that each token
    is taken from as well.
    """

    __slots__ = ("_held", "_most", "_rate", "_then", "_within")

    def __init__(
        self, rate: float | None, now: float, *, within: TokenBucket | None = None
    ) -> None:
        self._within = within
        self._rate = rate
        self._most = max(1.0, (rate or 0.0) * _BURST_S)
        self._held = self._most
        self._then = now

    def take_tokens(self, wanted: int, now: float) -> int:
        """Take up to `wanted` tokens; return how many were granted."""
        if self._within is not None:
            wanted = self._within.take_tokens(wanted, now)
        if self._rate is None:
            return wanted
        self._refill(now)
        granted = min(wanted, int(self._held + _EPSILON))
        self._held = max(self._held - granted, 0.0)
        if self._within is not None:
            self._within.give_back(wanted - granted)
        return granted

    def give_back(self, tokens: int) -> None:
        """Return tokens that were granted and not used."""
        if self._within is not None:
            self._within.give_back(tokens)
        self._held = min(self._held + tokens, self._most)

    def delay(self, now: float) -> float:
        """Return the seconds from `now` until a token is there; 0 if one is."""
        delay = 0.0 if self._within is None else self._within.delay(now)
        if self._rate is None:
            return delay
        self._refill(now)
        return max(delay, (1.0 - self._held) / self._rate)

    def set_rate(self, rate: float | None, now: float) -> None:
        """Go on at another rate."""
        self._refill(now)
        self._rate = rate
        self._most = max(1.0, (rate or 0.0) * _BURST_S)
        self._held = min(self._held, self._most)
        self._then = max(self._then, now)

    def _refill(self, now: float) -> None:
        if now > self._then and self._rate is not None:
            self._held = min(self._held + (now - self._then) * self._rate, self._most)
            self._then = now
