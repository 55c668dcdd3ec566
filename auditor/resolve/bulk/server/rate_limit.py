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

#: Seconds after which nearly all losses have been noticed, and answered when asked again.
_LOSS_NOTICED_S: Final = 0.5

#: Seconds over which loss is judged: servers count by the second.
_JUDGEMENT_S: Final = 1.0

#: The share and the number of lost queries that start the search for a rate; the share of that
#: loss that may remain at the rate found, and from which on nothing has changed; and the share of
#: queries below which loss is low.
_HIGH_LOSS_SHARE: Final = 0.12
_MIN_LOST_QUERIES: Final = 15
_LOSS_LEFT_SHARE: Final = 0.4
_LOSS_UNCHANGED_SHARE: Final = 0.8
_LOW_LOSS_SHARE: Final = 0.04

#: The share of the answered rate that is sent, so that no second is over the limit.
_SAFETY_FACTOR: Final = 0.95

#: Seconds without loss until a higher rate is tried, and the largest step. Within `_CLOSE_FACTOR`
#: of a rate that was too high, more is tried only after `_PATIENCE_S`, doubling.
_PROBE_AFTER_S: Final = 2.0
_MAX_PROBE_FACTOR: Final = 1.25
#: The step, without waiting, while no rate has been too high since the first, or while the lowest
#: that was is more than `_FAR_FACTOR` times the rate.
_CLIMB_FACTOR: Final = 1.5
_FAR_FACTOR: Final = 2.0
_CLOSE_FACTOR: Final = 1.04
_PATIENCE_S: Final = 5.0
_MAX_PATIENCE_S: Final = 240.0
_NO_CEILING: Final = inf

#: The share of what a higher rate adds that must be answered.
_WORTHWHILE_SHARE: Final = 0.5

#: Seconds without a search for a rate after the loss turned out to be that of the path.
_NO_SEARCH_S: Final = 30.0

#: The share of what is answered in the best quarter of a second that is in any other, if it is not
#: the second that the server counts by.
_STEADY_SHARE: Final = 0.4

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
        self._blocked = _NO_SEARCH_S
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

    def is_lossy(self, now: float, seconds: float = _KEPT_S) -> bool:
        """Tell whether so much has been lost of late that silence says nothing about a name."""
        seen = self._seen(now - seconds, now)
        return seen.share >= _LOW_LOSS_SHARE and seen.lost >= _MIN_LOST_QUERIES

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

    def take_back_loss(self) -> None:
        """Count a query less as lost, one of the latest: it has been answered after all."""
        for entry in reversed(self._bins):
            if entry[2]:
                entry[2] -= 1
                break

    def poll_rate(self, now: float) -> bool:
        """Look at what came of the queries lately, many times a second."""
        before = self.rate
        if self._phase is _Phase.OPEN:
            self._look_for(now)
        elif now >= self._since + _JUDGEMENT_S + _LOSS_NOTICED_S + _BIN_S:
            seen = self._seen(
                max(now - _LOSS_NOTICED_S - _JUDGEMENT_S, self._since), now - _LOSS_NOTICED_S
            )
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
        if seen.lost >= _MIN_LOST_QUERIES and seen.share >= _HIGH_LOSS_SHARE:
            self.lossy_at = now
            if now >= self._next_fewer and self._is_steady(now):
                self._try_fewer(seen, now)
            else:
                self._try(seen, now)
        self._next = max(self._next, now + _BIN_S)

    def _best(self, now: float) -> _Seen:
        """Return the loss of late, with the most that was answered in any second."""
        begin = now - _KEPT_S
        whole = self._seen(begin, now - _LOSS_NOTICED_S)
        ends = [entry[0] + _BIN_S for entry in self._bins]
        rates = [self._seen(end - _JUDGEMENT_S, end).rate for end in ends]
        return whole._replace(rate=max(rates, default=0.0))

    def _is_steady(self, now: float) -> bool:
        """Tell whether queries are answered all the time, and not just at some time of a second."""
        bins, end = self._bins, now - now % _BIN_S
        ends = [end - _BIN_S * number for number in range(int(_JUDGEMENT_S / _BIN_S))]
        # The first one is left out: it may be one in the middle of which the scan began.
        counts = [self._seen(end - _BIN_S, end).rate for end in ends if end - _BIN_S > bins[0][0]]
        return min(counts, default=inf) >= _STEADY_SHARE * max(answered for _, answered, _ in bins)

    def _seen(self, begin: float, end: float) -> _Seen:
        answered = lost = 0.0
        for start, good, bad in self._bins:
            if begin - _BIN_S / 2 <= start < end - _BIN_S / 2:
                answered += good
                lost += bad
        return _Seen(answered / _JUDGEMENT_S, lost / max(answered + lost, 1.0), int(lost))

    def _try(self, seen: _Seen, now: float) -> None:
        self._before = seen
        self._is_low = self._phase is _Phase.OPEN
        self._phase = _Phase.TRIED
        self._since = now
        self._ceiling = _NO_CEILING if self.rate is None else self.rate
        # Little may be answered because little was asked.
        self.rate = max(seen.rate * _SAFETY_FACTOR, (self.rate or 0.0) * _LOSS_LEFT_SHARE, 1.0)

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
        if seen.share < max(
            _LOSS_LEFT_SHARE * self._before.share, _HIGH_LOSS_SHARE
        ) and self._is_steady(now):
            self._next = now + _KEPT_S
        else:
            self._try(self._best(now), now)

    def _judge_trial(self, seen: _Seen, now: float) -> None:
        before = self._before
        if seen.share <= max(_LOSS_LEFT_SHARE * before.share, _LOW_LOSS_SHARE):
            self._found(self.rate or 1.0, now)
            self._climb(seen, now)
        elif (
            not self._is_refused
            and seen.share >= _LOSS_UNCHANGED_SHARE * before.share
            and seen.rate >= before.rate * _LOSS_LEFT_SHARE
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
        if seen.share > (_LOW_LOSS_SHARE if probed else _HIGH_LOSS_SHARE) and seen.lost > 1:
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
        elif now >= self._next and seen.rate > rate * _LOSS_LEFT_SHARE:
            self._probe(rate, now)

    def _go_down(self, now: float) -> None:
        """Keep to less than what has been too much."""
        rate = self.rate or 1.0
        self.lossy_at = now
        self._ceiling = rate
        self._is_low = False
        borne = self._borne if self._phase is _Phase.PROBED else rate * _SAFETY_FACTOR
        self._found(max(borne, 1.0), now)

    def _found(self, rate: float, now: float) -> None:
        self.rate = rate
        self._phase = _Phase.FOUND
        self._since = now
        self._next = now + _PROBE_AFTER_S

    def _climb(self, seen: _Seen, now: float) -> None:
        """Try a higher rate at once if this one is hardly what the server takes."""
        rate = self.rate or 1.0
        if self._is_far(rate) and seen.rate > rate * _LOSS_LEFT_SHARE:
            self._probe(rate, now)

    def _is_far(self, rate: float) -> bool:
        """Tell whether nothing like this rate has been too much."""
        return self._is_low or _FAR_FACTOR * rate < self._ceiling < _NO_CEILING

    def _probe(self, rate: float, now: float) -> None:
        """Try a higher rate, half way to the least that was too much, forgotten after a while."""
        up = _CLIMB_FACTOR if self._is_far(rate) else _MAX_PROBE_FACTOR
        target = min(rate * up, (rate + self._ceiling) / 2)
        if target < rate * _CLOSE_FACTOR:
            self._ceiling = _NO_CEILING
            self._patience = min(self._patience * 2, _MAX_PATIENCE_S)
            self._next = now + self._patience
            return
        self._borne = rate
        answered = min(self._best(now).rate, rate)
        self._worth = answered * (1 + _WORTHWHILE_SHARE * (target / rate - 1))
        self._phase = _Phase.PROBED
        self._since = now
        self.rate = target
