"""Statistics of one server's failures: how many pass when the question is repeated."""

from __future__ import annotations

from typing import Final

from auditor.resolve.bulk.server.trial import Belief

__all__ = ["PASSING_SHARE", "FailureHistory"]

#: Answers over which recent counts are averaged.
_RECENT_ANSWERS: Final = 128

#: Passing failures up to this share of the answers are not taken for a limit, which costs more.
PASSING_SHARE: Final = 1 / 32

#: Failures that may come in one cluster beyond that share.
_CLUSTER_FAILURES: Final = 4

#: Up to this number and share of slow failures that pass, the others are attributed to the names.
_SLOW_PASSED: Final = 4
_SLOW_PASSED_SHARE: Final = 1 / 16


class FailureHistory:
    """Counts of failures and answers of one server.

    `answered_lately`: recent answers; `passed_lately`: those to questions that had failed before.
    """

    def __init__(self) -> None:
        self.answered_lately = self.passed_lately = 0.0
        #: Questions that failed recently for the first time; and all failed questions and answers
        #: since failures were last due to a limit.
        self._failed_lately = 0.0
        self._failed = self._answered = 0
        #: Whether slow failures are attributed to the names; and how many slow ones have since
        #: failed again or passed.
        self._are_slow_own = False
        self._slow_persisted = self._slow_passed = 0

    @property
    def are_few(self) -> bool:
        """Whether few questions have failed of all since failures were last due to a limit."""
        return self._failed <= PASSING_SHARE * self._answered

    def judge(self, *, first: bool, slow: bool, passes: bool) -> Belief | None:
        """Classify a failure by the outcome of earlier ones; None if these are inconclusive.

        `first`: the question has not failed before. `slow`: it took long. `passes`: it may pass
        like others.
        """
        if slow and self._are_slow_own:
            self._slow_persisted += not first
            return Belief.AGAIN if first else Belief.OWN
        self._failed_lately += first
        self._failed += first
        # The last replies of a run are mostly failures, since these take long.
        few = _are_few(self._failed_lately, self.answered_lately) or (
            not first and _are_few(self._failed, self._answered)
        )
        return Belief.AGAIN if passes and few and self.passed_lately > 0 else None

    def on_answers(self, count: int) -> None:
        """Note answers to any questions."""
        self._answered += count
        self.answered_lately += count
        if self.answered_lately > _RECENT_ANSWERS:
            kept = _RECENT_ANSWERS / self.answered_lately / 2
            self.passed_lately *= kept
            self._failed_lately *= kept
            self.answered_lately = _RECENT_ANSWERS / 2

    def on_passed(self, *, slow: bool, limited: bool) -> None:
        """Note the answer to a question that had failed; `limited`: because of a limit."""
        self._slow_passed += slow
        if self._slow_passed >= _SLOW_PASSED + self._slow_persisted * _SLOW_PASSED_SHARE:
            self._are_slow_own = False
        self.passed_lately += not limited

    def on_limit(self) -> None:
        """Note that failures were due to a limit."""
        self._are_slow_own = False
        self.passed_lately = 0.0
        self._failed = self._answered = 0

    def on_slow_own(self) -> None:
        """Note that slow failures turned out to be due to the names."""
        self._are_slow_own = True
        self._slow_persisted = self._slow_passed = 0


def _are_few(failures: float, answers: float) -> bool:
    return failures <= _CLUSTER_FAILURES + PASSING_SHARE * answers
