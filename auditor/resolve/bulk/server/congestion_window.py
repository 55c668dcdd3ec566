"""Congestion window: how many queries one server may have unanswered.

No clock in here: calls are told the time. It adapts to how fast answers come at which size, and
to how many queries are lost.
A test puts windows in front of servers and paths of many kinds (`tests/support/netsim`).
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

__all__ = ["CongestionWindow"]

#: The window's least and first size, and one that is not too large for anyone: half of what a
#: socket buffer of 208 KiB holds (247 small packets), and many in each system call.
_MIN_QUERIES: Final = 8.0
_FIRST_QUERIES: Final = 32.0
_SMALL_QUERIES: Final = 128.0

#: By how many queries a window grows within a round trip, at most: they come on top of what
#: goes out for each answer, all in one burst.
_GROWTH_QUERIES: Final = 128.0

#: A round lasts so many seconds at least, and until a window's answers are in.
_ROUND_S: Final = 0.025

#: The share of a round's answers that came while the window was full; with less it was
#: something else that held queries back. Not all: answers are read in several goes.
_FULL_SHARE: Final = 0.3


#: Seconds for which a size rests at most.
_MAX_REST_S: Final = 0.5


class _Phase(NamedTuple):
    """How the size is varied: rounds at rest and at another size, of so many `answers` at least.

    `up`: by what share of itself it grows in a step.
    """

    resting: int
    trying: int
    answers: int
    up: float


_DOUBLING: Final = _Phase(resting=1, trying=2, answers=128, up=1.0)
_STEADY: Final = _Phase(resting=8, trying=4, answers=1000, up=0.25)

#: Queries that a step up adds at most: twice as many each time that it was worth it, few again
#: after one that was not. What they are too many by must find room in the buffer.
_MAX_STEP_QUERIES: Final = 256.0
_FIRST_STEP_QUERIES: Final = 128.0
#: What is left in a step down.
_STEP_DOWN_FACTOR: Final = 0.85

#: What part of its own share a step must change the rate by, to be kept upwards or to be
#: taken back downwards.
_WORTHWHILE_SHARE: Final = 0.24
_MISSED_SHARE: Final = 0.2

#: Loss is noticed late, by silence: from so many seconds and two round trips after the size
#: was halved, it is that of the smaller size.
_LOSS_NOTICED_S: Final = 0.1
_LOSS_NOTICED_ROUND_TRIPS: Final = 2

#: Answers that it takes to tell loss from chance.
_ENOUGH_ANSWERS: Final = 256

#: What part of the rate and of the loss must be left to say that halving brought nothing.
_RATE_FELL_SHARE: Final = 0.75
_LOSS_STAYED_SHARE: Final = 0.5
#: The part of the size that is left after loss that halving has ended.
_RESUME_SHARE: Final = 0.75

#: The share of queries lost that is never laid to our own bursts, also where those are so
#: small that hardly anyone drops them.
_TOLERATED_LOSS: Final = 0.01
_TOLERATED_LOSS_IF_SMALL: Final = 0.3

#: How much of what a round shows of the path's own loss is believed.
_LEARNING_SHARE: Final = 1 / 16


class _Count:
    """Answers and losses over some rounds."""

    __slots__ = ("answers", "lost", "rounds", "seconds")

    def __init__(self) -> None:
        self.answers = self.lost = self.rounds = 0
        self.seconds = 0.0

    def add_round(self, answers: int, lost: int, seconds: float) -> None:
        """Add a round."""
        self.answers += answers
        self.lost += lost
        self.seconds += seconds
        self.rounds += 1

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.answers / self.seconds

    @property
    def share(self) -> float:
        """What part of the queries was lost."""
        return self.lost / (self.answers + self.lost)


class _Halved(NamedTuple):
    """The size that was halved, the rate and loss there, and the size to continue with."""

    size: float
    seen: _Count
    resume: float


class CongestionWindow:
    """How many queries one server may have unanswered: what it can take, and no more.

    The size doubles while answers come faster for it. Later it is tried now and then whether
    a somewhat larger one speeds them up, or a smaller one does as well. So it ends just above
    rate times round trip: at some 128 next to a server, in the thousands behind a long path,
    and a resolver whose answers take long for reasons of their own gets as many as speed it
    up. No step is a burst: the size grows as answers come.

    Loss halves the size. If then it stays while the answers get fewer, we were not its cause:
    the size is restored, and so much loss is taken for the path's own.
    """

    __slots__ = (
        "_answers",
        "_back",
        "_halved",
        "_held",
        "_last",
        "_loss",
        "_lost",
        "_most",
        "_phase",
        "_settled",
        "_settling",
        "_since",
        "_start",
        "_step_queries",
        "_target",
        "_trial",
        "_up",
        "_whole",
        "size",
    )

    def __init__(self, most: int, now: float) -> None:
        self.size = min(_FIRST_QUERIES, float(most))
        self._most = float(most)
        self._phase = _DOUBLING
        self._step_queries = _MAX_STEP_QUERIES
        self._up = True
        #: While another size is tried: the one to go back to, and that with its rate that it
        #: is compared to.
        self._back: float | None = None
        self._start = (self.size, 0.0)
        self._halved: _Halved | None = None
        self._settled = now
        self._settling = True
        #: The small size is not worth being tried in rounds: it is grown into at once.
        self._target = min(_SMALL_QUERIES, float(most))
        self._loss = 0.0
        self._last, self._trial = _Count(), _Count()
        self._answers = self._held = self._lost = 0
        #: Answers that end the round: a window's, or several. They take whole round trips, in
        #: whatever bursts they come.
        self._whole = int(self.size)
        self._since = now

    def set_max_size(self, most: int) -> None:
        """Keep to another greatest size from now on."""
        self._most = float(most)
        self._target = min(self._target, self._most)
        self.size = min(self.size, self._most)

    def disregard(self, until: float, now: float) -> None:
        """Judge nothing by what is answered until then: something else holds queries back."""
        self._settled = max(self._settled, until)
        self._last, self._trial = _Count(), _Count()
        self._answers = self._held = self._lost = 0
        self._whole = int(self.size)
        self._since = now

    def on_answers(self, count: int, now: float, *, full: bool) -> None:
        """Take note of `count` answers; `full`: the window was what held back more queries."""
        self._answers += count
        if full:
            self._held += count
        if self.size < self._target and (full or self.size >= _SMALL_QUERIES):
            growth = count * min(1.0, _GROWTH_QUERIES / self.size)
            self.size = min(self.size + growth, self._target)
        if self._answers >= self._whole:
            size = int(self.size)
            whole = self._answers - (self._answers - self._whole) % size
            if now - self._since >= _ROUND_S:
                self._end_round(whole, now)
            else:
                self._whole = whole + size

    def on_loss(self, count: int = 1) -> None:
        """Take note of queries that were lost: the same question, asked again, was answered.

        A negative count takes back what turned out to be slow.
        """
        self._lost = max(self._lost + count, 0)

    def _end_round(self, answers: int, now: float) -> None:
        lost, seconds = self._lost, now - self._since
        limited = self._held >= _FULL_SHARE * self._answers
        # What came beyond whole windows belongs to the next round.
        self._answers -= answers
        self._held = self._answers if limited else 0
        self._lost = 0
        self._whole = int(self.size)
        self._since = now
        if not limited or now < self._settled:
            # It says nothing about this size.
            self._last, self._trial = _Count(), _Count()
            return
        self._trial.add_round(answers, lost, seconds)
        # Losses are noticed in clumps: two rounds are judged together.
        lately, self._last = self._last, _Count()
        self._last.add_round(answers, lost, seconds)
        lately.add_round(answers, lost, seconds)
        if lately.answers < _ENOUGH_ANSWERS:
            lately = self._trial
        if self._halved is not None:
            self._see_why(*self._halved)
        elif self._is_lossy(lately):
            self._halve(lately, now)
        elif self._settling:
            # The answers of this round were still those to the size before.
            self._settling = self.size < self._target
            self._trial = _Count()
        else:
            self._vary()

    def _is_lossy(self, lately: _Count) -> bool:
        """Tell whether more is lost than is usual on this path."""
        if lately.answers < _ENOUGH_ANSWERS:
            return False
        tolerated = _TOLERATED_LOSS + 1.25 * self._loss
        if self.size <= _SMALL_QUERIES:
            tolerated = max(tolerated, _TOLERATED_LOSS_IF_SMALL)
        usual = tolerated * (lately.answers + lately.lost)
        if lately.lost > usual + 3 * math.sqrt(usual + 1):
            return True
        self._loss += (lately.share - self._loss) * _LEARNING_SHARE
        return False

    def _halve(self, lately: _Count, now: float) -> None:
        """Answer loss with half the size, and see what that brings."""
        self._phase = _STEADY
        self._step_queries = _FIRST_STEP_QUERIES
        if self.size <= _MIN_QUERIES:
            self._loss = lately.share
            return
        resume = self.size * _RESUME_SHARE
        if self._up and self._back is not None:
            resume = self._back
        self._halved = _Halved(self.size, lately, resume)
        self._back = None
        self._settled = now + _LOSS_NOTICED_S + _LOSS_NOTICED_ROUND_TRIPS * self.size / lately.rate
        self._resize(self.size / 2)

    def _see_why(self, size: float, before: _Count, resume: float) -> None:
        """Find out what halving the size has brought, as soon as enough answers show it."""
        trial = self._trial
        if trial.answers < _ENOUGH_ANSWERS or trial.rounds < 2:  # noqa: PLR2004 - see `lately`
            return
        self._halved = None
        # As many answers from half as many queries: the server was full, and still may be.
        self._up = trial.rate <= _RATE_FELL_SHARE * before.rate
        if not self._up:
            self._resize(self.size)
        elif trial.share > _LOSS_STAYED_SHARE * before.share:
            self._loss = (before.share + trial.share) / 2
            self._phase = _DOUBLING
            self._step_queries = _MAX_STEP_QUERIES
            self._resize(size)
        else:
            self._resize(resume)

    def _vary(self) -> None:
        """Try another size after some rounds, and keep it or not after some more."""
        phase, trial = self._pace(), self._trial
        size, rate = self._start
        if trial.answers < phase.answers:
            return
        if self._back is None:
            if trial.rounds < phase.resting and trial.seconds < _MAX_REST_S:
                return
            # A server that has become slower is not helped by more.
            if self.size > _SMALL_QUERIES and trial.rate < _RATE_FELL_SHARE * rate:
                self._up = False
            self._start = (self.size, trial.rate)
        else:
            if trial.rounds < phase.trying:
                return
            change = self.size / size - 1
            if self._up:
                kept = self.size <= _SMALL_QUERIES or trial.rate > rate * (
                    1 + _WORTHWHILE_SHARE * change
                )
                self._step_queries = min(2 * self._step_queries, _MAX_STEP_QUERIES)
            else:
                kept = trial.rate >= rate * (1 + _MISSED_SHARE * change)
            if self._up or trial.rate > rate:
                self._start = (self.size, trial.rate)
            if not kept:
                self._go_back()
                return
        self._step()

    def _pace(self) -> _Phase:
        """Return the stage; a small window may always double."""
        return _DOUBLING if self.size < _SMALL_QUERIES else self._phase

    def _step(self) -> None:
        """Try a larger size, or a smaller one; where there is none, rest."""
        size = self.size
        if self._up:
            step = min(self._step_queries, size * self._pace().up)
            target = min(size + step, self._most)
        else:
            target = max(size * _STEP_DOWN_FACTOR, min(size, _SMALL_QUERIES))
        if target != size:
            self._back = size
            self._resize(target)
        else:
            self._go_back()

    def _go_back(self) -> None:
        """Rest at the size before the step, and try the other direction next."""
        size = self.size if self._back is None else self._back
        self._back = None
        self._phase = _STEADY
        self._step_queries = _FIRST_STEP_QUERIES
        self._up = not self._up
        self._resize(size)

    def _resize(self, target: float) -> None:
        self._target = min(max(target, min(_MIN_QUERIES, self._most)), self._most)
        self.size = min(self.size, self._target)
        self._settling = True
        self._trial = _Count()
