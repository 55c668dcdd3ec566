"""How fast queries may leave, and when one is late. No clock in here: calls are told the time.

Waiting here happens before a query is sent, so it can never count against that query's
timeout.
"""

from __future__ import annotations

from typing import Final

__all__ = ["RoundTrip", "TokenBucket", "Window"]

#: Seconds of its rate that a bucket holds: enough to hide the loop's own jitter, little
#: enough that no second ever sees more than 2 % above the rate.
_BURST: Final = 0.02


class TokenBucket:
    """Grants `rate` queries a second; None grants all.

    Tokens come in evenly, and at most a fiftieth of a second's worth (one at least) is
    held for later: an idle minute is not made up for.
    """

    __slots__ = ("_held", "_most", "_rate", "_then")

    def __init__(self, rate: float | None, now: float) -> None:
        self._rate = rate
        self._most = max(1.0, (rate or 0.0) * _BURST)
        self._held = self._most
        self._then = now

    def take(self, wanted: int, now: float) -> int:
        """Take up to `wanted` tokens; return how many were granted."""
        if self._rate is None:
            return wanted
        self._refill(now)
        granted = min(wanted, int(self._held))
        self._held -= granted
        return granted

    def give_back(self, tokens: int) -> None:
        """Return tokens that were granted and not used."""
        self._held = min(self._held + tokens, self._most)

    def delay(self, now: float) -> float:
        """Return the seconds from `now` until a token is there; 0 if one is."""
        if self._rate is None:
            return 0.0
        self._refill(now)
        return max(0.0, (1.0 - self._held) / self._rate)

    def _refill(self, now: float) -> None:
        if now > self._then and self._rate is not None:
            self._held = min(self._held + (now - self._then) * self._rate, self._most)
            self._then = now


class RoundTrip:
    """Smoothed round-trip time of one server and the timeout that follows (RFC 6298).

    `least` and `most` bound the timeout, in seconds. Only first tries are measured: which
    try an answer belongs to is known here, but a retry is a sample of a bad moment.
    """

    __slots__ = ("_least", "_most", "_variation", "smoothed")

    def __init__(self, least: float, most: float) -> None:
        self.smoothed: float | None = None
        self._variation = 0.0
        self._least = least
        self._most = most

    def note(self, seconds: float) -> None:
        """Take one measurement (RFC 6298 §2.2, §2.3)."""
        if self.smoothed is None:
            self.smoothed, self._variation = seconds, seconds / 2
            return
        self._variation += (abs(self.smoothed - seconds) - self._variation) / 4
        self.smoothed += (seconds - self.smoothed) / 8

    @property
    def timeout(self) -> float:
        """Seconds after which a first try counts as unanswered; `most` before any answer."""
        if self.smoothed is None:
            return self._most
        return min(max(self.smoothed + 4 * self._variation, self._least), self._most)


#: The window's least and first size; 64 in flight reach every server's ceiling on a path
#: without delay, and none of them drops a burst of 32.
_LEAST_WINDOW: Final = 8.0
_FIRST_WINDOW: Final = 32.0

#: A round is judged when it is at least this long, in seconds, and had a window's answers.
_ROUND: Final = 0.004

#: By how much the rate must have grown for a larger window to be kept: while it doubles,
#: and later when it is probed.
_WORTH_DOUBLING: Final = 1.2
_WORTH_PROBING: Final = 1.06
_PROBE: Final = 1.25
_ROUNDS_BETWEEN_PROBES: Final = 16

#: The share of queries lost that is laid to the path and not to our own bursts, at first.
_TOLERANCE: Final = 0.01


class Window:
    """How many queries one server may have unanswered: what it can take, and no more.

    The size doubles while answers come faster for it, and is probed now and then later on.
    So it ends just above rate times round trip: at some 64 next to a server, in the
    thousands behind a long path, and a resolver whose answers take long for reasons of
    their own gets as many as speed it up. It grows by one an answer at most, so a larger
    window never means a burst of its own size.

    Loss halves the size, once a round. If that does not lessen the loss, we are not its
    cause: the size is restored and so much loss is tolerated from then on.
    """

    __slots__ = (
        "_answers",
        "_before",
        "_best_rate",
        "_doubling",
        "_full",
        "_halved",
        "_lost",
        "_most",
        "_rounds",
        "_since",
        "_target",
        "_tolerance",
        "size",
    )

    def __init__(self, most: int, now: float) -> None:
        self.size = min(_FIRST_WINDOW, float(most))
        self._most = float(most)
        self._target = self.size
        self._before = self.size
        self._doubling = True
        self._best_rate = 0.0
        self._tolerance = _TOLERANCE
        self._halved: tuple[float, float] | None = None
        self._rounds = 0
        self._answers = self._lost = 0
        self._full = True
        self._since = now

    def on_answers(self, count: int, now: float, *, full: bool) -> None:
        """Take note of `count` answers; `full`: the window was what held back more queries."""
        self._answers += count
        self._full = self._full and full
        if self.size < self._target:
            self.size = min(self.size + count, self._target)
        if self._answers >= self.size and now - self._since >= _ROUND:
            self._judge(now)

    def on_loss(self, count: int = 1) -> None:
        """Take note of queries that were lost: the same question, asked again, was answered.

        A negative count takes back what turned out to be slow.
        """
        self._lost = max(self._lost + count, 0)

    def _judge(self, now: float) -> None:
        """End a round: keep the size, or change it."""
        rate = self._answers / (now - self._since)
        share = self._lost / (self._answers + self._lost)
        if share > self._tolerance:
            self._on_lossy_round(share)
        elif self._full:
            self._halved = None
            self._on_good_round(rate)
        self._answers = self._lost = 0
        self._full = True
        self._since = now

    def _on_lossy_round(self, share: float) -> None:
        self._doubling = False
        self._rounds = 0
        if self._halved is not None and share > self._halved[1] / 2:
            size, _ = self._halved
            self._tolerance = 1.5 * share
            self._halved = None
            self._resize(size)
            return
        self._halved = (self.size, share)
        self._best_rate = 0.0
        self.size = max(self.size / 2, _LEAST_WINDOW)
        self._resize(self.size)

    def _on_good_round(self, rate: float) -> None:
        if self.size < self._target:
            return
        worth = _WORTH_DOUBLING if self._doubling else _WORTH_PROBING
        if rate > self._best_rate * worth:
            self._best_rate = rate
            self._before = self.size
            self._rounds = 0
            self._resize(self.size * (2 if self._doubling else _PROBE))
            return
        if self._before < self.size:
            # The last step up brought nothing: take it back.
            self._doubling = False
            self.size = self._before
            self._resize(self.size)
        self._best_rate += (rate - self._best_rate) / 4
        self._rounds += 1
        if self._rounds >= _ROUNDS_BETWEEN_PROBES:
            self._rounds = 0
            self._before = self.size
            self._resize(self.size * _PROBE)

    def _resize(self, target: float) -> None:
        self._target = min(max(target, _LEAST_WINDOW), self._most)
        self.size = min(self.size, self._target)
