"""Congestion window: how many queries may be in flight to one server.

It adapts to the rate of answers at different sizes, and to loss. Time is an argument. A test
simulates servers and paths of many kinds (`tests/support/netsim`).
"""

from __future__ import annotations

import math
from typing import Final, NamedTuple

__all__ = ["CongestionWindow"]

#: The least and the initial size, and one that no server finds too large: half of what a socket
#: buffer of 208 KiB holds (247 small packets), and many in each system call.
_MIN_QUERIES: Final = 8.0
_FIRST_QUERIES: Final = 32.0
_SMALL_QUERIES: Final = 128.0

#: Most queries that a window grows by within an RTT: they are sent in one burst, besides one query
#: for each answer.
_GROWTH_QUERIES: Final = 128.0

#: Least seconds of a round, which also lasts until a window of answers has come.
_ROUND_S: Final = 0.025

#: If fewer of a round's answers came while the window was full, something else limited the queries.
#: Not 1, since answers are read in several batches.
_FULL_SHARE: Final = 0.3


#: Most seconds at one size between two trials of another.
_MAX_REST_S: Final = 0.5


class _Phase(NamedTuple):
    """How the size is varied: rounds at rest and at another size, of at least `answers` each.

    `up`: growth per step, as a share of the size.
    """

    resting: int
    trying: int
    answers: int
    up: float


_DOUBLING: Final = _Phase(resting=1, trying=2, answers=128, up=1.0)
_STEADY: Final = _Phase(resting=8, trying=4, answers=1000, up=0.25)

#: Most queries that a step up adds: doubled after each step that was kept, reset after one that was
#: not. The excess must fit in the server's socket buffer.
_MAX_STEP_QUERIES: Final = 256.0
_FIRST_STEP_QUERIES: Final = 128.0
#: The remaining share of the size after a step down.
_STEP_DOWN_FACTOR: Final = 0.85

#: The change of the answer rate, relative to the change of the size, from which a step up is kept,
#: or a step down is undone.
_WORTHWHILE_SHARE: Final = 0.24
_MISSED_SHARE: Final = 0.2

#: Loss is noticed late, by timeouts: seconds and RTTs after halving until the measured loss is that
#: of the smaller size.
_LOSS_NOTICED_S: Final = 0.1
_LOSS_NOTICED_ROUND_TRIPS: Final = 2

#: Least answers for a significant loss rate.
_ENOUGH_ANSWERS: Final = 256

#: After halving: the share of the answer rate above which the server was saturated, and the share
#: of the loss above which the window was not its cause.
_RATE_FELL_SHARE: Final = 0.75
_LOSS_STAYED_SHARE: Final = 0.5
#: The share of the size to resume with after loss that halving has ended.
_RESUME_SHARE: Final = 0.75

#: The share of lost queries that is never attributed to bursts; also of bursts so small that hardly
#: any server drops them.
_TOLERATED_LOSS: Final = 0.01
_TOLERATED_LOSS_IF_SMALL: Final = 0.3

#: Weight of a round in the moving average of the path's own loss.
_LEARNING_SHARE: Final = 1 / 16


class _RoundTotals:
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
        """The share of queries that was lost."""
        return self.lost / (self.answers + self.lost)


class _Halved(NamedTuple):
    """The size before halving, rate and loss at it, and the size to resume with."""

    size: float
    seen: _RoundTotals
    resume: float


class CongestionWindow:
    """Congestion window of one server, in queries.

    The size doubles while this raises the rate of answers. Later a somewhat larger one is tried
    now and then, and kept if it raises the rate, or a smaller one, kept if the rate stays. So it
    converges just above the bandwidth-delay product (rate times RTT): some 128 next to a server,
    thousands behind a long path, and as many as speed up a resolver that is slow by itself. The
    size grows as answers come, without bursts.

    Loss halves the size. If the loss stays while the rate falls, the window was not its cause: the
    size is restored, and that loss counts as the path's own.
    """

    __slots__ = (
        "_answers",
        "_answers_while_full",
        "_halved",
        "_ignored_until",
        "_last",
        "_lost",
        "_max_size",
        "_path_loss",
        "_phase",
        "_previous_size",
        "_reference",
        "_round_answers",
        "_round_began",
        "_settling",
        "_step_queries",
        "_target",
        "_trial",
        "_up",
        "size",
    )

    def __init__(self, most: int, now: float) -> None:
        self.size = min(_FIRST_QUERIES, float(most))
        self._max_size = float(most)
        self._phase = _DOUBLING
        self._step_queries = _MAX_STEP_QUERIES
        self._up = True
        #: While another size is tried: the one to go back to; size and rate to compare with.
        self._previous_size: float | None = None
        self._reference = (self.size, 0.0)
        self._halved: _Halved | None = None
        self._ignored_until = now
        self._settling = True
        #: The small size needs no trial rounds: the window grows to it at once.
        self._target = min(_SMALL_QUERIES, float(most))
        self._path_loss = 0.0
        self._last, self._trial = _RoundTotals(), _RoundTotals()
        self._answers = self._answers_while_full = self._lost = 0
        #: Answers that end the round: one or more windows, which take whole RTTs however bursty
        #: they arrive.
        self._round_answers = int(self.size)
        self._round_began = now

    def set_max_size(self, most: int) -> None:
        """Change the greatest size."""
        self._max_size = float(most)
        self._target = min(self._target, self._max_size)
        self.size = min(self.size, self._max_size)

    def disregard(self, until: float, now: float) -> None:
        """Ignore rounds until then: something else limits the queries."""
        self._ignored_until = max(self._ignored_until, until)
        self._last, self._trial = _RoundTotals(), _RoundTotals()
        self._answers = self._answers_while_full = self._lost = 0
        self._round_answers = int(self.size)
        self._round_began = now

    def on_answers(self, count: int, now: float, *, full: bool) -> None:
        """Note `count` answers; `full`: whether the window limited the queries."""
        self._answers += count
        if full:
            self._answers_while_full += count
        if self.size < self._target and (full or self.size >= _SMALL_QUERIES):
            growth = count * min(1.0, _GROWTH_QUERIES / self.size)
            self.size = min(self.size + growth, self._target)
        if self._answers >= self._round_answers:
            size = int(self.size)
            whole = self._answers - (self._answers - self._round_answers) % size
            if now - self._round_began >= _ROUND_S:
                self._end_round(whole, now)
            else:
                self._round_answers = whole + size

    def on_loss(self, count: int = 1) -> None:
        """Note lost queries: those whose retransmission was answered.

        A negative count corrects this for queries that were slow, not lost.
        """
        self._lost = max(self._lost + count, 0)

    def _end_round(self, answers: int, now: float) -> None:
        lost, seconds = self._lost, now - self._round_began
        limited = self._answers_while_full >= _FULL_SHARE * self._answers
        # Answers beyond whole windows belong to the next round.
        self._answers -= answers
        self._answers_while_full = self._answers if limited else 0
        self._lost = 0
        self._round_answers = int(self.size)
        self._round_began = now
        if not limited or now < self._ignored_until:
            # The round is not representative of this size.
            self._last, self._trial = _RoundTotals(), _RoundTotals()
            return
        self._trial.add_round(answers, lost, seconds)
        # Losses are noticed in clusters, so two rounds are evaluated together.
        lately, self._last = self._last, _RoundTotals()
        self._last.add_round(answers, lost, seconds)
        lately.add_round(answers, lost, seconds)
        if lately.answers < _ENOUGH_ANSWERS:
            lately = self._trial
        if self._halved is not None:
            self._evaluate_halving(*self._halved)
        elif self._is_lossy(lately):
            self._halve(lately, now)
        elif self._settling:
            # The answers of this round belong to the previous size.
            self._settling = self.size < self._target
            self._trial = _RoundTotals()
        else:
            self._vary_size()

    def _is_lossy(self, lately: _RoundTotals) -> bool:
        """Tell whether the loss is significantly above the path's own."""
        if lately.answers < _ENOUGH_ANSWERS:
            return False
        tolerated = _TOLERATED_LOSS + 1.25 * self._path_loss
        if self.size <= _SMALL_QUERIES:
            tolerated = max(tolerated, _TOLERATED_LOSS_IF_SMALL)
        usual = tolerated * (lately.answers + lately.lost)
        if lately.lost > usual + 3 * math.sqrt(usual + 1):
            return True
        self._path_loss += (lately.share - self._path_loss) * _LEARNING_SHARE
        return False

    def _halve(self, lately: _RoundTotals, now: float) -> None:
        """Halve the size because of loss, and begin to measure the effect."""
        self._phase = _STEADY
        self._step_queries = _FIRST_STEP_QUERIES
        if self.size <= _MIN_QUERIES:
            self._path_loss = lately.share
            return
        resume = self.size * _RESUME_SHARE
        if self._up and self._previous_size is not None:
            resume = self._previous_size
        self._halved = _Halved(self.size, lately, resume)
        self._previous_size = None
        self._ignored_until = (
            now + _LOSS_NOTICED_S + _LOSS_NOTICED_ROUND_TRIPS * self.size / lately.rate
        )
        self._resize(self.size / 2)

    def _evaluate_halving(self, size: float, before: _RoundTotals, resume: float) -> None:
        """Evaluate halving as soon as there are enough answers: keep, restore or resume."""
        trial = self._trial
        if trial.answers < _ENOUGH_ANSWERS or trial.rounds < 2:  # noqa: PLR2004 - see `lately`
            return
        self._halved = None
        # The same rate with half as many in flight: the server was saturated.
        self._up = trial.rate <= _RATE_FELL_SHARE * before.rate
        if not self._up:
            self._resize(self.size)
        elif trial.share > _LOSS_STAYED_SHARE * before.share:
            self._path_loss = (before.share + trial.share) / 2
            self._phase = _DOUBLING
            self._step_queries = _MAX_STEP_QUERIES
            self._resize(size)
        else:
            self._resize(resume)

    def _vary_size(self) -> None:
        """Try another size after some rounds; after some more keep it or go back."""
        phase, trial = self._current_phase(), self._trial
        size, rate = self._reference
        if trial.answers < phase.answers:
            return
        if self._previous_size is None:
            if trial.rounds < phase.resting and trial.seconds < _MAX_REST_S:
                return
            # If the server has become slower, try a smaller size next.
            if self.size > _SMALL_QUERIES and trial.rate < _RATE_FELL_SHARE * rate:
                self._up = False
            self._reference = (self.size, trial.rate)
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
                self._reference = (self.size, trial.rate)
            if not kept:
                self._go_back()
                return
        self._step()

    def _current_phase(self) -> _Phase:
        """Return the current phase; a small window may always double."""
        return _DOUBLING if self.size < _SMALL_QUERIES else self._phase

    def _step(self) -> None:
        """Try a larger or smaller size, if the bounds allow one."""
        size = self.size
        if self._up:
            step = min(self._step_queries, size * self._current_phase().up)
            target = min(size + step, self._max_size)
        else:
            target = max(size * _STEP_DOWN_FACTOR, min(size, _SMALL_QUERIES))
        if target != size:
            self._previous_size = size
            self._resize(target)
        else:
            self._go_back()

    def _go_back(self) -> None:
        """Return to the size before the step, and try the other direction next."""
        size = self.size if self._previous_size is None else self._previous_size
        self._previous_size = None
        self._phase = _STEADY
        self._step_queries = _FIRST_STEP_QUERIES
        self._up = not self._up
        self._resize(size)

    def _resize(self, target: float) -> None:
        self._target = min(max(target, min(_MIN_QUERIES, self._max_size)), self._max_size)
        self.size = min(self.size, self._target)
        self._settling = True
        self._trial = _RoundTotals()
