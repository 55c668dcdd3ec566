"""Token bucket: limits the rate of queries. Time is an argument.

Queries wait for a token before they are sent, so this never counts against their timeouts.
"""

from __future__ import annotations

from typing import Final

__all__ = ["TokenBucket"]

#: Capacity of a bucket, in seconds of its rate: enough to hide the jitter of the loop, and never
#: more than 2 % above the rate in any second.
_BURST_S: Final = 0.02

#: Tolerance for rounding: after `delay` seconds a token is always granted.
_EPSILON: Final = 1e-6


class TokenBucket:
    """Grants `rate` queries a second; None grants all.

    Tokens are added evenly; the bucket holds at most those of `_BURST_S` seconds, and at least
    one. `within`: another bucket from which each token is taken as well.
    """

    __slots__ = ("_capacity", "_rate", "_refilled_at", "_tokens", "_within")

    def __init__(
        self, rate: float | None, now: float, *, within: TokenBucket | None = None
    ) -> None:
        self._within = within
        self._rate = rate
        self._capacity = max(1.0, (rate or 0.0) * _BURST_S)
        self._tokens = self._capacity
        self._refilled_at = now

    def take_tokens(self, wanted: int, now: float) -> int:
        """Take up to `wanted` tokens; return how many were granted."""
        if self._within is not None:
            wanted = self._within.take_tokens(wanted, now)
        if self._rate is None:
            return wanted
        self._refill(now)
        granted = min(wanted, int(self._tokens + _EPSILON))
        self._tokens = max(self._tokens - granted, 0.0)
        if self._within is not None:
            self._within.give_back(wanted - granted)
        return granted

    def give_back(self, tokens: int) -> None:
        """Return tokens that were granted and not used."""
        if self._within is not None:
            self._within.give_back(tokens)
        self._tokens = min(self._tokens + tokens, self._capacity)

    def delay(self, now: float) -> float:
        """Return the seconds from `now` until a token is available; 0 if one is."""
        delay = 0.0 if self._within is None else self._within.delay(now)
        if self._rate is None:
            return delay
        self._refill(now)
        return max(delay, (1.0 - self._tokens) / self._rate)

    def set_rate(self, rate: float | None, now: float) -> None:
        """Change the rate."""
        self._refill(now)
        self._rate = rate
        self._capacity = max(1.0, (rate or 0.0) * _BURST_S)
        self._tokens = min(self._tokens, self._capacity)
        self._refilled_at = max(self._refilled_at, now)

    def _refill(self, now: float) -> None:
        if now > self._refilled_at and self._rate is not None:
            self._tokens = min(
                self._tokens + (now - self._refilled_at) * self._rate, self._capacity
            )
            self._refilled_at = now
