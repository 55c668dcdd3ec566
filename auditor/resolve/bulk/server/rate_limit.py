"""Finds the rate limit of one server: the queries a second beyond which it drops or refuses.

A rate limit (Unbound's `ip-ratelimit`, a cloud's packets a second) shows as loss that a smaller
window does not cure. Loss on the path looks the same, except that it persists at a lower rate. So
the rate at which queries were answered is tried for a while, and kept if the loss ends. No clock
in here: calls are told the time.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from math import inf
from typing import Final, NamedTuple

__all__ = ["RateLimit"]

#: Seconds that queries are counted together for, and for how long counts are kept.
_BIN_S: Final = 0.25
_KEPT_S: Final = 4.0

#: Seconds after which nearly all that was lost has been noticed, and answered when asked again.
_NOTICED_S: Final = 0.5

#: Seconds over which loss is judged: servers count by the second.
_JUDGED_S: Final = 1.0

#: The share of queries lost, and their number, from which on a rate is looked for; the share of
#: that loss that may be left where it was found, and from which on nothing has changed.
_MUCH: Final = 0.12
_ENOUGH: Final = 15
_LEFT: Final = 0.4
_UNCHANGED: Final = 0.8
_LITTLE: Final = 0.04

#: The part of what was answered that is asked for, so that no second is over the limit.
_BELOW: Final = 0.95

#: Seconds without loss until a higher rate is tried, and by how much at most; what is close
#: enough to the rate that was too much, so that more is tried again only after so many seconds,
#: doubling.
_PROBE_S: Final = 2.0
_PROBE_UP: Final = 1.25
#: By how much, without waiting, while nothing has been too much since the rate was first tried, or
#: while the least that was is far away: more than so many times the rate.
_CLIMB: Final = 1.5
_FAR: Final = 2.0
_CLOSE: Final = 1.04
_PATIENCE_S: Final = 5.0
_MOST_PATIENCE_S: Final = 240.0
_NO_CEILING: Final = inf

#: The share of what a higher rate adds that must be answered.
_WORTHWHILE_SHARE: Final = 0.5

#: Seconds for which no rate is looked for after the loss turned out to be the path's own.
_BLOCKED_S: Final = 30.0

#: The share of what is answered in the best quarter of a second that is in any other, if it is not
#: the second that the server counts by.
_STEADY: Final = 0.4

#: Seconds until fewer queries at a time are tried again, if they have not ended the loss for good.
_FEWER_AGAIN_S: Final = 10.0


class _Phase(Enum):
    OPEN = auto()  # no limit is known
    FEWER = auto()  # fewer queries at a time are being tried first
    TRIED = auto()  # a rate is being tried
    FOUND = auto()  # a rate was found
    PROBED = auto()  # a somewhat higher one is being tried


class _Seen(NamedTuple):
    """Queries of some time: answered a second, and the share that was lost."""

    rate: float
    share: float
    lost: int


class RateLimit:
    """The rate that a server takes, None for any.

    A query counts as lost if it was silent, or refused, and the same question was answered when
    it was asked again. `poll_rate` returns whether `rate` has changed.
    """

    def __init__(self) -> None:
        self.rate: float | None = None
        #: When much was last lost.
        self.lossy_at = -inf
        self._phase = _Phase.OPEN
        #: When each began, and how many queries sent in it were answered and lost.
        self._bins: deque[list[float]] = deque()
        self._since = 0.0
        self._next = self._next_fewer = 0.0
        #: Queries answered a second at best, shortly before fewer at a time were tried.
        self.peak = 0.0
        self._before = _Seen(0.0, 0.0, 0)
        self._patience = _PATIENCE_S
        #: The least rate that was too much, and the one before that which is being tried.
        self._ceiling = _NO_CEILING
        self._borne = 0.0
        #: What must be answered a second at that rate for it to be kept.
        self._worth = 0.0
        self._blocked = _BLOCKED_S
        #: Whether nothing has been too much since: the rate is what was answered in the turmoil.
        self._is_low = False
        #: Whether the server has said that it was too much: no path does.
        self._is_refused = False

    @property
    def is_found(self) -> bool:
        """Whether the rate is one that has been borne."""
        return self._phase in {_Phase.FOUND, _Phase.PROBED}

    @property
    def tries_fewer(self) -> bool:
        """Whether fewer queries at a time are being tried: that may end the loss as well."""
        return self._phase is _Phase.FEWER

    @property
    def is_tried(self) -> bool:
        """Whether the rate is being tried."""
        return self._phase is _Phase.TRIED

    def is_lossy(self, now: float) -> bool:
        """Tell whether so much has been lost of late that silence says nothing about a name."""
        seen = self._seen(now - _KEPT_S, now)
        return seen.share >= _LITTLE and seen.lost >= _ENOUGH

    def on_answers(self, count: int, now: float) -> None:
        """Note answers."""
        bins = self._bins
        if not bins or now >= bins[-1][0] + _BIN_S:
            bins.append([now - now % _BIN_S, 0.0, 0.0])
            while bins[0][0] < now - _KEPT_S:
                bins.popleft()
        bins[-1][1] += count

    def on_lost(self, sent_at: float) -> None:
        """Note that a query of that time was lost."""
        for entry in reversed(self._bins):
            if entry[0] <= sent_at:
                # Perhaps of a time after that, in which nothing was answered.
                entry[2] += 1
                break

    def poll_rate(self, now: float) -> bool:
        """Look at what came of the queries lately, many times a second."""
        before = self.rate
        if self._phase is _Phase.OPEN:
            self._look_for(now)
        elif now >= self._since + _JUDGED_S + _NOTICED_S + _BIN_S:
            seen = self._seen(max(now - _NOTICED_S - _JUDGED_S, self._since), now - _NOTICED_S)
            if self._phase is _Phase.FEWER:
                self._judge_fewer(seen, now)
            elif self._phase is _Phase.TRIED:
                self._judge_trial(seen, now)
            else:
                self._watch(seen, now)
        return self.rate != before

    def suggest(self, now: float) -> None:
        """Take up what is answered for the rate: a smaller window has not helped."""
        self.lossy_at = now
        self._is_refused = True
        seen = self._best(now)
        if self._phase is _Phase.OPEN and seen.rate:
            self._try(seen, now)
        elif self.is_found:
            self._go_down(now)

    def _look_for(self, now: float) -> None:
        if now < self._next:
            return
        seen = self._best(now)
        if seen.lost >= _ENOUGH and seen.share >= _MUCH:
            self.lossy_at = now
            if now >= self._next_fewer and self._is_steady(now):
                self._try_fewer(seen, now)
            else:
                self._try(seen, now)
        self._next = max(self._next, now + _BIN_S)

    def _best(self, now: float) -> _Seen:
        """Return the loss of late, with the most that was answered in any second."""
        begin = now - _KEPT_S
        whole = self._seen(begin, now - _NOTICED_S)
        ends = [entry[0] + _BIN_S for entry in self._bins]
        rates = [self._seen(end - _JUDGED_S, end).rate for end in ends]
        return whole._replace(rate=max(rates, default=0.0))

    def _is_steady(self, now: float) -> bool:
        """Tell whether queries are answered all the time, and not just at some time of a second."""
        bins, end = self._bins, now - now % _BIN_S
        ends = [end - _BIN_S * number for number in range(int(_JUDGED_S / _BIN_S))]
        # The first one is left out: it may be one in the middle of which the scan began.
        counts = [self._seen(end - _BIN_S, end).rate for end in ends if end - _BIN_S > bins[0][0]]
        return min(counts, default=inf) >= _STEADY * max(answered for _, answered, _ in bins)

    def _seen(self, begin: float, end: float) -> _Seen:
        answered = lost = 0.0
        for start, good, bad in self._bins:
            if begin - _BIN_S / 2 <= start < end - _BIN_S / 2:
                answered += good
                lost += bad
        return _Seen(answered / _JUDGED_S, lost / max(answered + lost, 1.0), int(lost))

    def _try(self, seen: _Seen, now: float) -> None:
        self._before = seen
        self._is_low = self._phase is _Phase.OPEN
        self._phase = _Phase.TRIED
        self._since = now
        self._ceiling = _NO_CEILING if self.rate is None else self.rate
        # Little may be answered because little was asked.
        self.rate = max(seen.rate * _BELOW, (self.rate or 0.0) * _LEFT, 1.0)

    def _try_fewer(self, seen: _Seen, now: float) -> None:
        self._before = seen
        self._phase = _Phase.FEWER
        self._since = now
        self._next_fewer = now + _FEWER_AGAIN_S
        self.peak = max(answered for _, answered, _ in self._bins) / _BIN_S
        # What is sent from now on is counted apart.
        self._bins.append([now, 0.0, 0.0])

    def _judge_fewer(self, seen: _Seen, now: float) -> None:
        self._phase = _Phase.OPEN
        if seen.share < max(_LEFT * self._before.share, _MUCH) and self._is_steady(now):
            self._next = now + _KEPT_S
        else:
            self._try(self._best(now), now)

    def _judge_trial(self, seen: _Seen, now: float) -> None:
        before = self._before
        if seen.share <= max(_LEFT * before.share, _LITTLE):
            self._found(self.rate or 1.0, now)
            self._climb(seen, now)
        elif (
            not self._is_refused
            and seen.share >= _UNCHANGED * before.share
            and seen.rate >= before.rate * _LEFT
            and self._is_steady(now)
        ):
            # As much is lost of less: it is the path that loses it.
            self.rate = None
            self._phase = _Phase.OPEN
            self._next = now + self._blocked
            self._blocked *= 2
        else:
            self._try(seen, now)

    def _watch(self, seen: _Seen, now: float) -> None:
        """Lower the rate if there is loss again; raise it now and then if there is none."""
        rate = self.rate or 1.0
        probed = self._phase is _Phase.PROBED
        if seen.share > (_LITTLE if probed else _MUCH) and seen.lost > 1:
            self._go_down(now)
        elif probed and seen.rate < self._worth:
            # Most of what was added is not answered: lost, as will be noticed later, or not asked.
            self._ceiling = rate
            self._is_low = False
            self._found(self._borne, now)
        elif probed:
            # More than what was too much once is borne: it was something else.
            self._is_low |= self._ceiling == _NO_CEILING
            self._found(rate, now)
            self._climb(seen, now)
        elif now >= self._next and seen.rate > rate * _LEFT:
            self._probe(rate, now)

    def _go_down(self, now: float) -> None:
        """Keep to less than what has been too much."""
        rate = self.rate or 1.0
        self.lossy_at = now
        self._ceiling = rate
        self._is_low = False
        borne = self._borne if self._phase is _Phase.PROBED else rate * _BELOW
        self._found(max(borne, 1.0), now)

    def _found(self, rate: float, now: float) -> None:
        self.rate = rate
        self._phase = _Phase.FOUND
        self._since = now
        self._next = now + _PROBE_S

    def _climb(self, seen: _Seen, now: float) -> None:
        """Try a higher rate at once if this one is hardly what the server takes."""
        rate = self.rate or 1.0
        if self._is_far(rate) and seen.rate > rate * _LEFT:
            self._probe(rate, now)

    def _is_far(self, rate: float) -> bool:
        """Tell whether nothing like this rate has been too much."""
        return self._is_low or _FAR * rate < self._ceiling < _NO_CEILING

    def _probe(self, rate: float, now: float) -> None:
        """Try a higher rate, half way to the least that was too much, forgotten after a while."""
        up = _CLIMB if self._is_far(rate) else _PROBE_UP
        target = min(rate * up, (rate + self._ceiling) / 2)
        if target < rate * _CLOSE:
            self._ceiling = _NO_CEILING
            self._patience = min(self._patience * 2, _MOST_PATIENCE_S)
            self._next = now + self._patience
            return
        self._borne = rate
        answered = min(self._best(now).rate, rate)
        self._worth = answered * (1 + _WORTHWHILE_SHARE * (target / rate - 1))
        self._phase = _Phase.PROBED
        self._since = now
        self.rate = target
