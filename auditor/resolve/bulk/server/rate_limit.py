"""Finds the rate limit of one server: the queries a second beyond which it drops or refuses.

A rate limit (Unbound's `ip-ratelimit`, a cloud's packets a second) shows as loss that a smaller
window does not end. Loss on the path looks the same, except that it persists at a lower rate. So
the rate at which queries were answered is tried for a while, and kept if the loss ends. Time is an
argument.
"""

from __future__ import annotations

from collections import deque
from enum import Enum, auto
from math import inf
from typing import Final, NamedTuple

__all__ = ["RateLimit"]

#: Seconds of a bin of counts, and for which bins are kept.
_BIN_S: Final = 0.25
_KEPT_S: Final = 4.0

#: Seconds after which nearly all lost queries have timed out and been answered on retransmission.
_LOSS_NOTICED_S: Final = 0.5

#: Seconds over which loss is measured: servers count by the second.
_JUDGEMENT_S: Final = 1.0

#: The share and the number of lost queries that start the search for a rate; of that loss, the
#: share that may remain at the rate found, and from which it counts as unchanged; and the share
#: of queries below which loss is low.
_HIGH_LOSS_SHARE: Final = 0.12
_MIN_LOST_QUERIES: Final = 15
_LOSS_LEFT_SHARE: Final = 0.4
_LOSS_UNCHANGED_SHARE: Final = 0.8
_LOW_LOSS_SHARE: Final = 0.04

#: The rate tried, as a share of the answered rate, so that no second exceeds the limit.
_SAFETY_FACTOR: Final = 0.95

#: Seconds without loss until a higher rate is tried, and the largest step. Within `_CLOSE_FACTOR`
#: of a rate that was too high, more is tried only after `_MIN_REPROBE_S`, doubling.
_PROBE_AFTER_S: Final = 2.0
_MAX_PROBE_FACTOR: Final = 1.25
#: The step, without waiting, while no rate has been too high since the first, or the lowest such
#: rate is more than `_FAR_FACTOR` times the current one.
_CLIMB_FACTOR: Final = 1.5
_FAR_FACTOR: Final = 2.0
_CLOSE_FACTOR: Final = 1.04
_MIN_REPROBE_S: Final = 5.0
_MAX_REPROBE_S: Final = 240.0
_NO_CEILING: Final = inf

#: The share of the queries added by a higher rate that must be answered.
_WORTHWHILE_SHARE: Final = 0.5

#: Seconds without a search for a rate after the loss turned out to be the path's own.
_NO_SEARCH_S: Final = 30.0

#: Answers in each bin as a share of those in the best one, if there is no limit by the second.
_STEADY_SHARE: Final = 0.4

#: Seconds until fewer queries at a time are tried again.
_FEWER_AGAIN_S: Final = 10.0


class _Phase(Enum):
    OPEN = auto()  # no limit is known
    FEWER = auto()  # fewer queries at a time are being tried first
    TRIED = auto()  # a rate is being tried
    FOUND = auto()  # a rate was found
    PROBED = auto()  # a higher rate than the one found is being tried


class _Sample(NamedTuple):
    """Queries of a period: answers a second, and share and number of the lost ones."""

    rate: float
    share: float
    lost: int


class RateLimit:
    """The rate limit of a server: `rate` in queries a second, None for none.

    A query counts as lost if it timed out or was refused, and its retransmission was answered.
    `poll_rate` returns whether `rate` has changed.
    """

    def __init__(self) -> None:
        self.rate: float | None = None
        #: When loss was last high.
        self.lossy_at = -inf
        self._phase = _Phase.OPEN
        #: Bins: start, answers, and queries sent in it that were lost.
        self._bins: deque[list[float]] = deque()
        self._since = 0.0
        self._next = self._next_fewer = 0.0
        #: Queries answered a second at best, shortly before fewer at a time were tried.
        self.peak = 0.0
        self._before = _Sample(0.0, 0.0, 0)
        self._reprobe_s = _MIN_REPROBE_S
        #: The least rate that was too high, and the sustained one before the rate being probed.
        self._ceiling = _NO_CEILING
        self._borne = 0.0
        #: Answers a second required for the probed rate to be kept.
        self._required_rate = 0.0
        self._no_search_s = _NO_SEARCH_S
        #: Whether no rate has been too high since the first one, which was measured under overload.
        self._is_low = False
        #: Whether the server has refused queries, so that it is not loss on the path.
        self._is_refused = False

    @property
    def is_found(self) -> bool:
        """Whether the rate has been sustained."""
        return self._phase in {_Phase.FOUND, _Phase.PROBED}

    @property
    def tries_fewer(self) -> bool:
        """Whether fewer queries at a time are being tried, which may end the loss as well."""
        return self._phase is _Phase.FEWER

    @property
    def is_tried(self) -> bool:
        """Whether the rate is being tried."""
        return self._phase is _Phase.TRIED

    def is_lossy(self, now: float, seconds: float = _KEPT_S) -> bool:
        """Tell whether recent loss is so high that silence is no evidence against a name."""
        seen = self._sample(now - seconds, now)
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
        """Note that a query sent then was lost."""
        for entry in reversed(self._bins):
            if entry[0] <= sent_at:
                # Or sent in a later bin that has no answers.
                entry[2] += 1
                break

    def take_back_loss(self) -> None:
        """Subtract a recent lost query, which has been answered late."""
        for entry in reversed(self._bins):
            if entry[2]:
                entry[2] -= 1
                break

    def poll_rate(self, now: float) -> bool:
        """Update the rate from recent answers and losses, many times a second."""
        before = self.rate
        if self._phase is _Phase.OPEN:
            self._detect_loss(now)
        elif now >= self._since + _JUDGEMENT_S + _LOSS_NOTICED_S + _BIN_S:
            seen = self._sample(
                max(now - _LOSS_NOTICED_S - _JUDGEMENT_S, self._since), now - _LOSS_NOTICED_S
            )
            if self._phase is _Phase.FEWER:
                self._judge_fewer(seen, now)
            elif self._phase is _Phase.TRIED:
                self._judge_trial(seen, now)
            else:
                self._adjust_rate(seen, now)
        return self.rate != before

    def suggest(self, now: float) -> None:
        """Try the answered rate as the limit: a smaller window has not helped."""
        self.lossy_at = now
        self._is_refused = True
        seen = self._recent_loss_and_peak(now)
        if self._phase is _Phase.OPEN and seen.rate:
            self._try_rate(seen, now)
        elif self.is_found:
            self._lower_rate(now)

    def _detect_loss(self, now: float) -> None:
        if now < self._next:
            return
        seen = self._recent_loss_and_peak(now)
        if seen.lost >= _MIN_LOST_QUERIES and seen.share >= _HIGH_LOSS_SHARE:
            self.lossy_at = now
            if now >= self._next_fewer and self._is_steady(now):
                self._try_fewer(seen, now)
            else:
                self._try_rate(seen, now)
        self._next = max(self._next, now + _BIN_S)

    def _recent_loss_and_peak(self, now: float) -> _Sample:
        """Return recent loss, with the most answers in any second as the rate."""
        begin = now - _KEPT_S
        whole = self._sample(begin, now - _LOSS_NOTICED_S)
        ends = [entry[0] + _BIN_S for entry in self._bins]
        rates = [self._sample(end - _JUDGEMENT_S, end).rate for end in ends]
        return whole._replace(rate=max(rates, default=0.0))

    def _is_steady(self, now: float) -> bool:
        """Tell whether answers are spread over each second, not only in part of it."""
        bins, end = self._bins, now - now % _BIN_S
        ends = [end - _BIN_S * number for number in range(int(_JUDGEMENT_S / _BIN_S))]
        # The first bin is left out: it may be incomplete.
        counts = [self._sample(end - _BIN_S, end).rate for end in ends if end - _BIN_S > bins[0][0]]
        return min(counts, default=inf) >= _STEADY_SHARE * max(answered for _, answered, _ in bins)

    def _sample(self, begin: float, end: float) -> _Sample:
        answered = lost = 0.0
        for start, good, bad in self._bins:
            if begin - _BIN_S / 2 <= start < end - _BIN_S / 2:
                answered += good
                lost += bad
        return _Sample(answered / _JUDGEMENT_S, lost / max(answered + lost, 1.0), int(lost))

    def _try_rate(self, seen: _Sample, now: float) -> None:
        self._before = seen
        self._is_low = self._phase is _Phase.OPEN
        self._phase = _Phase.TRIED
        self._since = now
        self._ceiling = _NO_CEILING if self.rate is None else self.rate
        # The answered rate may be low because few queries were sent.
        self.rate = max(seen.rate * _SAFETY_FACTOR, (self.rate or 0.0) * _LOSS_LEFT_SHARE, 1.0)

    def _try_fewer(self, seen: _Sample, now: float) -> None:
        self._before = seen
        self._phase = _Phase.FEWER
        self._since = now
        self._next_fewer = now + _FEWER_AGAIN_S
        self.peak = max(answered for _, answered, _ in self._bins) / _BIN_S
        # Count queries sent from now on in a new bin.
        self._bins.append([now, 0.0, 0.0])

    def _judge_fewer(self, seen: _Sample, now: float) -> None:
        self._phase = _Phase.OPEN
        if seen.share < max(
            _LOSS_LEFT_SHARE * self._before.share, _HIGH_LOSS_SHARE
        ) and self._is_steady(now):
            self._next = now + _KEPT_S
        else:
            self._try_rate(self._recent_loss_and_peak(now), now)

    def _judge_trial(self, seen: _Sample, now: float) -> None:
        before = self._before
        if seen.share <= max(_LOSS_LEFT_SHARE * before.share, _LOW_LOSS_SHARE):
            self._keep_rate(self.rate or 1.0, now)
            self._raise_if_far(seen, now)
        elif (
            not self._is_refused
            and seen.share >= _LOSS_UNCHANGED_SHARE * before.share
            and seen.rate >= before.rate * _LOSS_LEFT_SHARE
            and self._is_steady(now)
        ):
            # The same share is lost at a lower rate: it is loss on the path.
            self.rate = None
            self._phase = _Phase.OPEN
            self._next = now + self._no_search_s
            self._no_search_s *= 2
        else:
            self._try_rate(seen, now)

    def _adjust_rate(self, seen: _Sample, now: float) -> None:
        """Lower the rate after loss; raise it now and then without loss."""
        rate = self.rate or 1.0
        probed = self._phase is _Phase.PROBED
        if seen.share > (_LOW_LOSS_SHARE if probed else _HIGH_LOSS_SHARE) and seen.lost > 1:
            self._lower_rate(now)
        elif probed and seen.rate < self._required_rate:
            # Most added queries are not answered: lost, which is noticed later, or not sent.
            self._ceiling = rate
            self._is_low = False
            self._keep_rate(self._borne, now)
        elif probed:
            # A rate above one that was too high is sustained: that had another cause.
            self._is_low |= self._ceiling == _NO_CEILING
            self._keep_rate(rate, now)
            self._raise_if_far(seen, now)
        elif now >= self._next and seen.rate > rate * _LOSS_LEFT_SHARE:
            self._probe(rate, now)

    def _lower_rate(self, now: float) -> None:
        """Go below a rate that was too high."""
        rate = self.rate or 1.0
        self.lossy_at = now
        self._ceiling = rate
        self._is_low = False
        borne = self._borne if self._phase is _Phase.PROBED else rate * _SAFETY_FACTOR
        self._keep_rate(max(borne, 1.0), now)

    def _keep_rate(self, rate: float, now: float) -> None:
        self.rate = rate
        self._phase = _Phase.FOUND
        self._since = now
        self._next = now + _PROBE_AFTER_S

    def _raise_if_far(self, seen: _Sample, now: float) -> None:
        """Try a higher rate at once if this one is far below the limit."""
        rate = self.rate or 1.0
        if self._is_far(rate) and seen.rate > rate * _LOSS_LEFT_SHARE:
            self._probe(rate, now)

    def _is_far(self, rate: float) -> bool:
        """Tell whether this rate is far below any that was too high."""
        return self._is_low or _FAR_FACTOR * rate < self._ceiling < _NO_CEILING

    def _probe(self, rate: float, now: float) -> None:
        """Try a higher rate, at most half way to `_ceiling`, which is forgotten if it is close."""
        up = _CLIMB_FACTOR if self._is_far(rate) else _MAX_PROBE_FACTOR
        target = min(rate * up, (rate + self._ceiling) / 2)
        if target < rate * _CLOSE_FACTOR:
            self._ceiling = _NO_CEILING
            self._reprobe_s = min(self._reprobe_s * 2, _MAX_REPROBE_S)
            self._next = now + self._reprobe_s
            return
        self._borne = rate
        answered = min(self._recent_loss_and_peak(now).rate, rate)
        self._required_rate = answered * (1 + _WORTHWHILE_SHARE * (target / rate - 1))
        self._phase = _Phase.PROBED
        self._since = now
        self.rate = target
