"""What has become of one server's failures: whether they pass or stay. No clock in here."""

from __future__ import annotations

from typing import Final

from auditor.resolve.bulk.server.trial import Belief

__all__ = ["PASSING_SHARE", "FailureHistory"]

#: How many answers "lately" is.
_RECENT_ANSWERS: Final = 128

#: The share of the answers up to which failures that pass are no limit's: they cost less than one.
PASSING_SHARE: Final = 1 / 32

#: Failures that may come together where they are as few as that.
_CLUSTER: Final = 4

#: The number of failures that took long, and their share, which are answered when asked again, up
#: to which the others are the names' own.
_SLOW_PASSED: Final = 4
_SLOW_PASSED_SHARE: Final = 1 / 16


class FailureHistory:
    """Failures and answers of one server.

    `answered_lately`: recent answers, with `passed_lately` to questions that had failed before.
    """

    def __init__(self) -> None:
        self.answered_lately = self.passed_lately = 0.0
        #: Questions that have failed meanwhile, for the first time; and all of them, with all
        #: answers, since failures were a limit's.
        self._failed_lately = 0.0
        self._failed = self._answered = 0
        #: Whether names that take long to fail have turned out to fail by themselves; and how many
        #: have failed again since, or been answered.
        self._are_slow_own = False
        self._slow_persisted = self._slow_passed = 0

    def judge(self, *, first: bool, slow: bool, passes: bool) -> Belief | None:
        """Judge a failure by what has become of others, None if that is not enough.

        `first`: the question has not failed before. `slow`: it took long. `passes`: it passes if
        others do.
        """
        if slow and self._are_slow_own:
            self._slow_persisted += not first
            return Belief.AGAIN if first else Belief.OWN
        self._failed_lately += first
        self._failed += first
        # At the end of a run failures are among the last to come, since many take long.
        few = _are_few(self._failed_lately, self.answered_lately) or (
            not first and _are_few(self._failed, self._answered)
        )
        return Belief.AGAIN if passes and few and self.passed_lately > 0 else None

    def on_answers(self, count: int) -> None:
        """Note answers."""
        self._answered += count
        self.answered_lately += count
        if self.answered_lately > _RECENT_ANSWERS:
            kept = _RECENT_ANSWERS / self.answered_lately / 2
            self.passed_lately *= kept
            self._failed_lately *= kept
            self.answered_lately = _RECENT_ANSWERS / 2

    def on_passed(self, *, slow: bool, limited: bool) -> None:
        """Note the answer to a question that had failed, perhaps because of a limit."""
        self._slow_passed += slow
        if self._slow_passed >= _SLOW_PASSED + self._slow_persisted * _SLOW_PASSED_SHARE:
            self._are_slow_own = False
        self.passed_lately += not limited

    def on_limit(self) -> None:
        """Note that failures were a limit's."""
        self._are_slow_own = False
        self.passed_lately = 0.0
        self._failed = self._answered = 0

    def on_slow_own(self) -> None:
        """Note that names that take long to fail have turned out to fail by themselves."""
        self._are_slow_own = True
        self._slow_persisted = self._slow_passed = 0


def _are_few(failures: float, answers: float) -> bool:
    return failures <= _CLUSTER + PASSING_SHARE * answers
