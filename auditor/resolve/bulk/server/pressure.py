"""Finds how many queries one server takes at a time, from those it refuses and later answers.

A resolver at its limit says REFUSED (dnsmasq) or SERVFAIL (BIND), and so does one that cannot
resolve a name. The same question asked again with less in flight shows which it is: if it is
answered, the load was to blame; if it fails again while others are answered, the name is. So
failures are put aside until a trial with few queries at a time. No clock in here.
"""

from __future__ import annotations

from typing import Final

from auditor.resolve.bulk.server.failure_history import PASSING_SHARE, FailureHistory
from auditor.resolve.bulk.server.trial import Belief, Trial, Verdict
from auditor.resolve.bulk.server.window_limit import WindowLimit

__all__ = ["Pressure"]

#: Deferred failures that start a trial: more after each trial that found the names to blame.
_FIRST_TRIAL_FAILURES: Final = 8
_MAX_TRIAL_FAILURES: Final = 256

#: Queries in flight during a trial, as a share of those before it, and bounds.
_TRIAL_SHARE: Final = 0.25
_MIN_TRIAL_QUERIES: Final = 8
_MAX_TRIAL_QUERIES: Final = 32

#: The part of a trial's queries that must have failed again for it to go on with twice as many.
_GROWTH_FAILED_SHARE: Final = 0.6

#: A trial ends when so many failed questions are answered, or so many have failed again.
_ENOUGH_RECOVERED: Final = 4
_ENOUGH_PERSISTED: Final = 16

#: Vain attempts at a trial after which failures are believed of a server that never answered; and
#: seconds after which they are of one that has.
_SILENT_SERVER_GOES: Final = 3
_ANSWERING_SERVER_S: Final = 10.0
_MAX_TRIAL_GOES: Final = 60

#: Seconds after which deferred failures start a trial, however few they are.
_FAILURE_WAIT_S: Final = 1.0

#: Seconds after which failures are forgotten that were answered when asked again.
_FAILURE_MEMORY_S: Final = 2.0

#: Seconds within which a server answers, if it does.
_REPLY_TIME_S: Final = 1.0

#: Seconds after which a trial ends though some of its questions were silent.
_MAX_TRIAL_S: Final = 4.0

#: Seconds for which names must fail if nothing shows that the server answers.
_MIN_FAILING_S: Final = 1.05

#: A rate limit is suspected after so many vain attempts at a trial, or if a number of queries that
#: was borne proves too high so many times, each within so many seconds of the last, unless it is
#: very low; and for how many seconds after a limit was found.
_RATE_SUSPECT_GOES: Final = 2
_RATE_REPEATS: Final = 2
_RATE_REPEAT_S: Final = 5.0
_RATE_SUSPICION_S: Final = 30.0
_MIN_RATED_QUERIES: Final = 4

#: The share of queries that a server still holds at least if it has reached its limit: if fewer are
#: left, their number was not the cause. Half as many are tried then.
_MIN_HELD_SHARE: Final = 1 / 32

#: Failures are few up to this share of the answers.
_FEW_FAILURES_SHARE: Final = 0.25

#: With no more queries in flight than this, and few lately, load is not the cause.
_LOW_LOAD_QUERIES: Final = 2


class Pressure:
    """The number of queries that one server takes at a time.

    `window`: the limit that was found, if any. `trial`: whether one is going on.
    `doubts`: deferred failures.
    """

    def __init__(self) -> None:
        self.window = WindowLimit()
        self.trial: Trial | None = None
        self.doubts = 0
        self.answered = 0
        self.history = FailureHistory()
        self.is_hopeless = False
        #: Whether a rate is kept to: that is too much, then; and whether one may have to be.
        self.is_paced = False
        self.suspects_rate = False
        #: Whether it is known to answer probes.
        self.has_controls = False
        self._need = _FIRST_TRIAL_FAILURES
        self._held = 0
        #: The most that were in flight when something was refused.
        self._pressed = 0
        #: Doubtful failures in zones that have answered, and the limit until they are judged.
        self._alive_doubts = 0
        self._provisional: int | None = None
        #: Queries refused since `on_held`.
        self._refused = 0
        self._doubted_since = self._doubted_at = 0.0
        self._answered_before = 0
        #: Times in a row that what was borne has turned out to be too much.
        self._repeats = 0
        #: How many names took long to fail.
        self._slow_failed = 0

    @property
    def are_slow_few(self) -> bool:
        """Whether few names have taken long to fail, as such do that fail by themselves."""
        return self._slow_failed <= _FEW_FAILURES_SHARE * self.answered

    @property
    def is_limiting(self) -> bool:
        """Whether fewer queries may be in flight than a window allows, now or at all."""
        return (self.window.queries, self.trial, self._provisional) != (None, None, None)

    @property
    def is_calm(self) -> bool:
        """Whether nothing is doubtful and no limit is known."""
        return not self.doubts and self.trial is None and self.window.queries is None

    def allowed_in_flight(self, window: int) -> int:
        """Return how many queries may be in flight, of those that the window allows."""
        if self.trial is not None:
            return 0 if self.trial.paused_until else min(self.trial.size, window)
        return min(window, self.window.queries or window, self._provisional or window)

    def on_answers(self, count: int, in_flight: int, sent_at: float) -> None:
        """Note answers to first tries, the newest of them sent then."""
        self._count_answers(count)
        trial = self.trial
        if trial is not None:
            if sent_at >= trial.begun:
                trial.answered += count
        else:
            self.window.on_answers(count, in_flight)

    def on_failure(
        self,
        held: int,
        sent_at: float,
        now: float,
        *,
        tried: int | None,
        calm: bool,
        alive: bool,
        slow: bool = False,
        early: bool = False,
    ) -> Belief:
        """Judge the failure of a query that was sent then; `held` others are in flight now.

        `tried`: if the question has failed here before, how many were in flight with it when it
        was asked again. `calm`: nothing has been lost to limits of late. `alive`: the
        question's zone has answered before, so that the failure is hardly the zone's. `slow`: it
        took long, while others were answered. `early`: the server may just repeat the last failure.
        """
        if self.is_hopeless or self._is_alone(held):
            return Belief.OWN
        trial = self.trial
        # Where a limit is known it is the limit's, and passes sooner.
        passes = alive and early and self.window.queries is None and not self.is_paced
        self._slow_failed += slow and tried is None
        few_slow = slow and self.are_slow_few
        known = self.history.judge(first=tried is None, slow=few_slow, passes=passes)
        if known is not None:
            if trial is not None and sent_at >= trial.begun:
                trial.taken -= tried is not None
            return known
        # Where it is the rate that is too much, few at a time prove nothing.
        may_be_rate = self.is_paced or (alive and self._is_wary(now))
        if trial is not None:
            if sent_at >= trial.begun:
                if tried is not None:
                    # Who refuses for a rate does so at once.
                    trial.persisted_alive += alive and not few_slow
                    trial.persisted_slow += slow
                    trial.persisted += 1
                    return Belief.PERSISTED
                trial.failed += 1
        elif calm and tried is not None and tried <= self.window.borne and not may_be_rate:
            return Belief.OWN
        if tried is None and trial is None and self.window.queries is not None:
            self.window.on_refused(now)
            return Belief.AGAIN
        self._doubted_at = now
        if not self.doubts:
            self._doubted_since = now
            self._answered_before = self.answered
        self.doubts += 1
        self._alive_doubts += alive
        self._pressed = max(self._pressed, held + 1)
        self._refused += trial is None or (trial.is_first_go and sent_at < trial.begun)
        light = tried is None and trial is None and held <= self.window.borne and not slow
        return Belief.AGAIN if light else Belief.DOUBTFUL

    def _is_alone(self, held: int) -> bool:
        return self.is_calm and held < _LOW_LOAD_QUERIES and self.answered < _FIRST_TRIAL_FAILURES

    def _are_few(self, failures: int, share: float = _FEW_FAILURES_SHARE) -> bool:
        return failures <= share * (self.answered - self._answered_before)

    def on_control(self, sent_at: float, *, is_answered: bool = True) -> None:
        """Note the reply to a probe sent at that time; an answer means that it can do as much."""
        self.has_controls |= is_answered
        if self.trial is not None and sent_at >= self.trial.begun:
            self.trial.has_control = True
            self.trial.answered += is_answered
            self.trial.is_borne |= is_answered and 0 < self.trial.checked <= sent_at

    def on_held(self, in_flight: int) -> None:
        """Note what was in flight until replies were read together: the server held the rest.

        Not what is in flight after them: answers are read with the refusals, but were held as well.
        """
        refused, self._refused = self._refused, 0
        if not refused:
            return
        if self.trial is not None:
            self._held = max(self._held - refused, 0)
            return
        self._held = max(in_flight - refused, 0)
        if self._alive_doubts >= self._need and not self._are_few(self._alive_doubts):
            # Until it is known: no more than the server held.
            self._provisional = max(self._held, _MIN_TRIAL_QUERIES)

    def _count_answers(self, count: int) -> None:
        self.is_hopeless = False
        self.answered += count
        self.history.on_answers(count)

    def on_recovered(
        self, failed_at: float, tried_at: float, now: float, *, slow: bool = False
    ) -> None:
        """Note the answer to a question that had failed here then, and was asked again.

        `slow`: it had taken long to fail.
        """
        self.history.on_passed(slow=slow, limited=failed_at <= self.window.found_at)
        self._count_answers(1)
        if self.trial is None:
            self.window.on_recovered(failed_at, now)
        elif tried_at >= self.trial.begun:
            self.trial.recovered += 1

    def poll_trial(
        self, now: float, in_flight: int, waiting: int, *, ripe: bool, idle: bool
    ) -> Verdict | None:
        """Begin a trial, or end one, and say how.

        `waiting`: how many are put aside; `ripe`: whether they may be asked again by now; `idle`:
        nothing else is there to be asked.
        """
        trial = self.trial
        if trial is None:
            late = now - self._doubted_since >= _FAILURE_WAIT_S or (idle and not in_flight)
            if ripe and (self.doubts >= self._need or late):
                size = max(self._held * _TRIAL_SHARE, 1) if self._held else _MIN_TRIAL_QUERIES
                self.trial = Trial(int(min(size, _MAX_TRIAL_QUERIES)), now, self.answered)
                return Verdict.BEGUN
            if self.doubts and not waiting and now - self._doubted_at >= _FAILURE_MEMORY_S:
                self.forget_doubts()
            self.window.poll(now)
            return None
        if trial.paused_until:
            if now < trial.paused_until or (waiting and not ripe):
                return None
            trial.paused_until = 0.0
            return Verdict.BEGUN
        settled = trial.recovered + trial.persisted >= trial.taken
        if now >= trial.slow_until:
            settled |= not in_flight or now - trial.begun >= _MAX_TRIAL_S
        is_done = settled and not ripe
        return self._end_of(trial, now, is_done=is_done, in_flight=in_flight)

    def _end_of(self, trial: Trial, now: float, *, is_done: bool, in_flight: int) -> Verdict | None:
        if trial.recovered >= _ENOUGH_RECOVERED or (trial.recovered and is_done):
            return self._overload(now)
        answered = trial.answered + trial.recovered
        if trial.persisted >= _ENOUGH_PERSISTED or (trial.persisted and is_done):
            many_alive = 2 * trial.persisted_alive > trial.persisted
            if many_alive and not trial.has_rested and self._is_wary(now):
                trial.restart(now)
                return Verdict.IN_VAIN
            # Without a question that it answers at all, time has to do: limits are by the second.
            if not self.has_controls and self.answered and now - trial.first >= _MIN_FAILING_S:
                return self._own()
            if answered and self.has_controls:
                return self._check(trial, now)
        if (
            answered
            and not trial.recovered
            and trial.persisted >= trial.size * _GROWTH_FAILED_SHARE
        ):
            trial.size = min(trial.size * 2, _MAX_TRIAL_QUERIES)
        if is_done and not trial.persisted:
            # What was put aside has been answered otherwise.
            self.forget_doubts()
        elif not (in_flight or answered) and (trial.persisted or trial.failed):
            # Not even this much is borne now, unless the probe is yet to be answered.
            is_known = trial.has_control or not self.has_controls
            return (
                self._in_vain(trial, now)
                if is_known or now - trial.begun >= _REPLY_TIME_S
                else None
            )
        return None

    def _is_wary(self, now: float) -> bool:
        """Tell whether names whose zones have answered may fail because of a rate limit.

        Such zones are hardly broken. Where such names have turned out to fail by themselves, and
        no limit was found of late, the next ones are believed at once.
        """
        return self._need == _FIRST_TRIAL_FAILURES or now - self.window.found_at < _RATE_SUSPICION_S

    def _check(self, trial: Trial, now: float) -> Verdict | None:
        """Believe what failed again if the server still answers what it answered before."""
        if trial.is_borne:
            return self._own()
        if not trial.checked:
            trial.checked = now
            return Verdict.CHECKED
        return self._in_vain(trial, now) if now - trial.checked >= _REPLY_TIME_S else None

    def _in_vain(self, trial: Trial, now: float) -> Verdict | None:
        trial.goes += 1
        never = not self.answered and (
            trial.goes > _SILENT_SERVER_GOES or now - self._doubted_since >= _MIN_FAILING_S
        )
        if self.answered > trial.answers_before and trial.goes < _MAX_TRIAL_GOES:
            # It does answer, though not the repeated questions: too early to give up.
            trial.first, trial.answers_before = now, self.answered
        if never or now - trial.first > _ANSWERING_SERVER_S:
            self.is_hopeless = True
            self.forget_doubts()
            return Verdict.HOPELESS
        trial.begin_anew(now)
        return Verdict.IN_VAIN

    def forget_doubts(self) -> None:
        """Forget what is doubtful: it is judged, asked of others, or the server is gone."""
        self.trial = None
        self.doubts = self._alive_doubts = 0
        self._held = self._pressed = 0
        self._provisional = None

    def _overload(self, now: float) -> Verdict:
        """Keep to what was held when the rest was refused, unless nearly all was answered."""
        if self._provisional is None and self._are_few(self.doubts, PASSING_SHARE):
            self.window.borne = max(self.window.borne, self._pressed)
            self._need = min(self._need * 2, _MAX_TRIAL_FAILURES)
            self.forget_doubts()
            return Verdict.OVERLOAD
        self._need = _FIRST_TRIAL_FAILURES
        self.history.on_limit()
        drained = self.trial is not None and self.trial.goes >= _RATE_SUSPECT_GOES
        window = self.window
        kept = (window.queries or 0) > _MIN_RATED_QUERIES and not self._are_few(self.doubts)
        repeated = kept and now - window.found_at <= _RATE_REPEAT_S
        self._repeats = self._repeats + 1 if repeated else 0
        window.found_at = window.reached_at = now
        if self.is_paced or drained or self._repeats >= _RATE_REPEATS:
            # All was refused for a while though nothing was in flight, or no number is few
            # enough: it is the rate.
            self.suspects_rate = True
            window.lift()
            self._repeats = 0
        elif self._held < _MIN_HELD_SHARE * self._pressed:
            window.lower(self._pressed // 2, self._pressed, now)
        else:
            window.lower(self._held, self._held + 1, now)
        self.forget_doubts()
        return Verdict.OVERLOAD

    def _own(self) -> Verdict:
        if self.trial is not None and not self.trial.recovered:
            # Where few were refused and they are the names' own, all that was in flight is borne;
            # else only what the server held is known to be.
            borne = self._pressed if self._are_few(self.doubts) else self._held
            self.window.borne = max(self.window.borne, borne)
            if 2 * self.trial.persisted_slow > self.trial.persisted:
                self.history.on_slow_own()
        self._need = min(self._need * 2, _MAX_TRIAL_FAILURES)
        self.forget_doubts()
        return Verdict.OWN
