"""Finds the limit of queries in flight to a server, from those that fail and are answered later.

A resolver at its limit answers REFUSED (dnsmasq) or SERVFAIL (BIND), like one that cannot resolve
a name. Repeating the question with fewer in flight shows the cause: if it is answered, it was the
load; if it fails again while others are answered, it is the name. So failures are deferred until
a trial with few queries at a time. Time is an argument.
"""

from __future__ import annotations

from typing import Final

from auditor.resolve.bulk.server.failure_history import PASSING_SHARE, FailureHistory
from auditor.resolve.bulk.server.trial import Belief, Trial, Verdict
from auditor.resolve.bulk.server.window_limit import WindowLimit

__all__ = ["Pressure"]

#: Deferred failures that start a trial: more after each trial that attributed them to the names.
_FIRST_TRIAL_FAILURES: Final = 8
_MAX_TRIAL_FAILURES: Final = 256

#: Queries in flight during a trial, as a share of those before it, and bounds.
_TRIAL_SHARE: Final = 0.25
_MIN_TRIAL_QUERIES: Final = 8
_MAX_TRIAL_QUERIES: Final = 32

#: The share of a trial's queries that must have failed again before it doubles its size.
_GROWTH_FAILED_SHARE: Final = 0.6

#: A trial ends when so many failed questions are answered, or so many have failed again.
_ENOUGH_RECOVERED: Final = 4
_ENOUGH_PERSISTED: Final = 16

#: Trials without any answer after which failures are final: number for a server that has never
#: answered, seconds for one that has.
_SILENT_SERVER_GOES: Final = 3
_ANSWERING_SERVER_S: Final = 10.0
_MAX_TRIAL_GOES: Final = 60

#: Seconds after which deferred failures start a trial, however few they are.
_FAILURE_WAIT_S: Final = 1.0

#: Seconds after which failures are forgotten that passed.
_FAILURE_MEMORY_S: Final = 2.0

#: Seconds to wait for the reply to a probe.
_REPLY_TIME_S: Final = 1.0

#: Seconds after which a trial ends even if some of its questions were not answered.
_MAX_TRIAL_S: Final = 4.0

#: Seconds for which names must fail if no probe is known to be answered.
_MIN_FAILING_S: Final = 1.05

#: A rate limit is suspected after so many trials without any answer, or if a sustained number of
#: queries proves too high so many times, each within so many seconds of the last, unless it is
#: very low; and for how many seconds after a limit was found.
_RATE_SUSPECT_GOES: Final = 2
_RATE_REPEATS: Final = 2
_RATE_REPEAT_S: Final = 5.0
_RATE_SUSPICION_S: Final = 30.0
_MIN_RATED_QUERIES: Final = 4

#: The share of queries in flight that a server at its limit still holds. If fewer are left, their
#: number was not the cause, and half as many are tried.
_MIN_HELD_SHARE: Final = 1 / 32

#: Failures count as few up to this share of the answers.
_FEW_FAILURES_SHARE: Final = 0.25

#: With fewer queries in flight, and few before, load is not the cause.
_LOW_LOAD_QUERIES: Final = 2


class Pressure:
    """Distinguishes overload of one server from names that fail.

    `window`: the limit of queries in flight, if found. `trial`: the current trial.
    `doubts`: number of deferred failures.
    """

    def __init__(self) -> None:
        self.window = WindowLimit()
        self.trial: Trial | None = None
        self.doubts = 0
        self.answered = 0
        self.history = FailureHistory()
        self.is_hopeless = False
        #: Whether a rate limit applies, which may be too high; and whether one is suspected.
        self.is_paced = False
        self.suspects_rate = False
        #: Whether it is known to answer probes.
        self.has_controls = False
        self._trial_failures = _FIRST_TRIAL_FAILURES
        self._held = 0
        #: The most queries in flight at a refusal.
        self._max_in_flight = 0
        #: Deferred failures in zones that have answered, and the limit until they are judged.
        self._alive_doubts = 0
        self._provisional: int | None = None
        #: Queries refused since `on_held`.
        self._refused = 0
        self._doubted_since = self._doubted_at = 0.0
        self._answered_before = 0
        #: Consecutive times that a sustained limit has proved too high.
        self._repeats = 0
        #: How many names failed slowly.
        self._slow_failed = 0

    @property
    def are_slow_few(self) -> bool:
        """Whether few names have failed slowly: then it is the names, not the server."""
        return self._slow_failed <= _FEW_FAILURES_SHARE * self.answered

    @property
    def is_limiting(self) -> bool:
        """Whether a limit below the congestion window applies, now or permanently."""
        return (self.window.queries, self.trial, self._provisional) != (None, None, None)

    @property
    def is_calm(self) -> bool:
        """Whether no failure is deferred and no limit is known."""
        return not self.doubts and self.trial is None and self.window.queries is None

    def allowed_in_flight(self, window: int) -> int:
        """Return how many queries may be in flight, with a congestion window of `window`."""
        if self.trial is not None:
            return 0 if self.trial.paused_until else min(self.trial.size, window)
        return min(window, self.window.queries or window, self._provisional or window)

    def on_answers(self, count: int, in_flight: int, sent_at: float) -> None:
        """Note answers to first attempts, the newest of which was sent then."""
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
        """Classify the failure of a query sent then, with `held` others in flight now.

        `tried`: queries in flight when the question was repeated, None for its first failure.
        `calm`: no recent loss to limits. `alive`: its zone has answered before, so the zone is
        hardly the cause. `slow`: it took long, while others were answered. `early`: the server may
        repeat a cached failure (RFC 9520).
        """
        if self.is_hopeless or self._is_alone(held):
            return Belief.OWN
        trial = self.trial
        # If a limit is known, that is the cause, and the failure passes sooner.
        passes = alive and early and self.window.queries is None and not self.is_paced
        self._slow_failed += slow and tried is None
        few_slow = slow and self.are_slow_few
        known = self.history.judge(first=tried is None, slow=few_slow, passes=passes)
        if known is not None:
            if trial is not None and sent_at >= trial.begun:
                trial.taken -= tried is not None
            return known
        # If the rate is too high, few queries in flight prove nothing.
        may_be_rate = self.is_paced or (alive and self._may_be_rate_limit(now))
        if trial is not None:
            if sent_at >= trial.begun:
                if tried is not None:
                    # Refusals due to a rate limit are not slow.
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
        self._max_in_flight = max(self._max_in_flight, held + 1)
        self._refused += trial is None or (trial.is_first_go and sent_at < trial.begun)
        light = tried is None and trial is None and held <= self.window.borne and not slow
        return Belief.AGAIN if light else Belief.DOUBTFUL

    def _is_alone(self, held: int) -> bool:
        return self.is_calm and held < _LOW_LOAD_QUERIES and self.answered < _FIRST_TRIAL_FAILURES

    def _are_few(self, failures: int, share: float = _FEW_FAILURES_SHARE) -> bool:
        return failures <= share * (self.answered - self._answered_before)

    def on_control(self, sent_at: float, *, is_answered: bool = True) -> None:
        """Note the reply to a probe sent then; `is_answered`: NOERROR or NXDOMAIN."""
        self.has_controls |= is_answered
        if self.trial is not None and sent_at >= self.trial.begun:
            self.trial.has_control = True
            self.trial.answered += is_answered
            self.trial.is_borne |= is_answered and 0 < self.trial.checked <= sent_at

    def on_held(self, in_flight: int) -> None:
        """Note the queries in flight before a batch of replies: the server held all not refused.

        Not those in flight after it, since queries answered in the same batch were held, too.
        """
        refused, self._refused = self._refused, 0
        if not refused:
            return
        if self.trial is not None:
            self._held = max(self._held - refused, 0)
            return
        self._held = max(in_flight - refused, 0)
        if self._alive_doubts >= self._trial_failures and not self._are_few(self._alive_doubts):
            # Until the cause is known, no more than the server held.
            self._provisional = max(self._held, _MIN_TRIAL_QUERIES)

    def _count_answers(self, count: int) -> None:
        self.is_hopeless = False
        self.answered += count
        self.history.on_answers(count)

    def on_recovered(
        self, failed_at: float, tried_at: float, now: float, *, slow: bool = False
    ) -> None:
        """Note the answer to a repeated question that failed then; `slow`: failed slowly."""
        self.history.on_passed(slow=slow, limited=failed_at <= self.window.found_at)
        self._count_answers(1)
        if self.trial is None:
            self.window.on_recovered(failed_at, now)
        elif tried_at >= self.trial.begun:
            self.trial.recovered += 1

    def poll_trial(
        self, now: float, in_flight: int, waiting: int, *, ripe: bool, idle: bool
    ) -> Verdict | None:
        """Begin or end a trial if it is time; return the verdict.

        `waiting`: number of deferred questions; `ripe`: whether they may be repeated now; `idle`:
        whether no other questions are queued.
        """
        trial = self.trial
        if trial is None:
            late = now - self._doubted_since >= _FAILURE_WAIT_S or (idle and not in_flight)
            if ripe and (self.doubts >= self._trial_failures or late):
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
        return self._verdict_of(trial, now, is_done=is_done, in_flight=in_flight)

    def _verdict_of(
        self, trial: Trial, now: float, *, is_done: bool, in_flight: int
    ) -> Verdict | None:
        if trial.recovered >= _ENOUGH_RECOVERED or (trial.recovered and is_done):
            return self._attribute_to_load(now)
        answered = trial.answered + trial.recovered
        if trial.persisted >= _ENOUGH_PERSISTED or (trial.persisted and is_done):
            many_alive = 2 * trial.persisted_alive > trial.persisted
            if many_alive and not trial.has_rested and self._may_be_rate_limit(now):
                trial.restart(now)
                return Verdict.IN_VAIN
            # Without a probe that is answered, wait longer than a second, the period of limits.
            if not self.has_controls and self.answered and now - trial.first >= _MIN_FAILING_S:
                return self._attribute_to_names()
            if answered and self.has_controls:
                return self._check_with_probe(trial, now)
        if (
            answered
            and not trial.recovered
            and trial.persisted >= trial.size * _GROWTH_FAILED_SHARE
        ):
            trial.size = min(trial.size * 2, _MAX_TRIAL_QUERIES)
        if is_done and not trial.persisted:
            # The deferred questions have been answered otherwise.
            self.forget_doubts()
        elif not (in_flight or answered) and (trial.persisted or trial.failed):
            # Even these few are too many, unless the reply to the probe is still to come.
            is_known = trial.has_control or not self.has_controls
            return (
                self._retry_trial(trial, now)
                if is_known or now - trial.begun >= _REPLY_TIME_S
                else None
            )
        return None

    def _may_be_rate_limit(self, now: float) -> bool:
        """Tell whether failures of names in zones that have answered may be due to a rate limit.

        Not if earlier ones were due to the names, and no limit was found recently.
        """
        return (
            self._trial_failures == _FIRST_TRIAL_FAILURES
            or now - self.window.found_at < _RATE_SUSPICION_S
        )

    def _check_with_probe(self, trial: Trial, now: float) -> Verdict | None:
        """End the trial with OWN if the server still answers a probe."""
        if trial.is_borne:
            return self._attribute_to_names()
        if not trial.checked:
            trial.checked = now
            return Verdict.CHECKED
        return self._retry_trial(trial, now) if now - trial.checked >= _REPLY_TIME_S else None

    def _retry_trial(self, trial: Trial, now: float) -> Verdict | None:
        trial.goes += 1
        never = not self.answered and (
            trial.goes > _SILENT_SERVER_GOES or now - self._doubted_since >= _MIN_FAILING_S
        )
        if self.answered > trial.answers_before and trial.goes < _MAX_TRIAL_GOES:
            # It answers other questions: too early to give up.
            trial.first, trial.answers_before = now, self.answered
        if never or now - trial.first > _ANSWERING_SERVER_S:
            self.is_hopeless = True
            self.forget_doubts()
            return Verdict.HOPELESS
        trial.begin_anew(now)
        return Verdict.IN_VAIN

    def forget_doubts(self) -> None:
        """Forget deferred failures: they are judged, sent to others, or the server is gone."""
        self.trial = None
        self.doubts = self._alive_doubts = 0
        self._held = self._max_in_flight = 0
        self._provisional = None

    def _attribute_to_load(self, now: float) -> Verdict:
        """Set a limit to the number held at the refusals, unless these were very few."""
        few = self._are_few(self.doubts, PASSING_SHARE) or self.history.are_few
        if self._provisional is None and few:
            self.window.borne = max(self.window.borne, self._max_in_flight)
            self._trial_failures = min(self._trial_failures * 2, _MAX_TRIAL_FAILURES)
            self.forget_doubts()
            return Verdict.OVERLOAD
        self._trial_failures = _FIRST_TRIAL_FAILURES
        self.history.on_limit()
        drained = self.trial is not None and self.trial.goes >= _RATE_SUSPECT_GOES
        window = self.window
        kept = (window.queries or 0) > _MIN_RATED_QUERIES and not self._are_few(self.doubts)
        repeated = kept and now - window.found_at <= _RATE_REPEAT_S
        self._repeats = self._repeats + 1 if repeated else 0
        window.found_at = window.reached_at = now
        if self.is_paced or drained or self._repeats >= _RATE_REPEATS:
            # All were refused for a while although none were in flight, or no number is low
            # enough: it is a rate limit.
            self.suspects_rate = True
            window.lift()
            self._repeats = 0
        elif self._held < _MIN_HELD_SHARE * self._max_in_flight:
            window.lower(self._max_in_flight // 2, self._max_in_flight, now)
        else:
            window.lower(self._held, self._held + 1, now)
        self.forget_doubts()
        return Verdict.OVERLOAD

    def _attribute_to_names(self) -> Verdict:
        if self.trial is not None and not self.trial.recovered:
            # If few were refused, all that were in flight are sustained; else only those held.
            borne = self._max_in_flight if self._are_few(self.doubts) else self._held
            self.window.borne = max(self.window.borne, borne)
            if 2 * self.trial.persisted_slow > self.trial.persisted:
                self.history.on_slow_own()
        self._trial_failures = min(self._trial_failures * 2, _MAX_TRIAL_FAILURES)
        self.forget_doubts()
        return Verdict.OWN
