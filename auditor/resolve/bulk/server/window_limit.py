"""Limit of the queries in flight to one server that refuses or drops those beyond.

The first value is the number that the server still held when it refused others. From there the
limit is raised while no query is refused: that number may have been low for another reason, and
the capacity of a server changes. Time is an argument.
"""

from __future__ import annotations

from math import inf
from typing import Final

__all__ = ["WindowLimit"]

#: The new limit as a share of the number held; and of the previous limit, if that was too high.
_KEPT_SHARE: Final = 0.96
_LOWERED_SHARE: Final = 0.85

#: The share of the limit in flight from which it counts as used; and the answers, as multiples of
#: the limit, after which it counts as sustained.
_USED_SHARE: Final = 0.85
_SUSTAINED_LIMITS: Final = 3

#: Largest and smallest step that raises the limit.
_STEP_FACTOR: Final = 1.25
_MIN_STEP_FACTOR: Final = 1.05

#: Refusals after which a step is undone; and names refused and answered when repeated, after which
#: any limit is too high: number, share of the answers, and the period of these, in limits.
_TOO_MANY_REFUSALS: Final = 8
_TOO_MANY_RECOVERED: Final = 4
_TOO_MANY_RECOVERED_SHARE: Final = 0.03
_COUNTED_LIMITS: Final = 20

#: Seconds until a step is tried again close to a limit that was too high: doubling.
_MIN_RETRY_STEP_S: Final = 1.0
_MAX_RETRY_STEP_S: Final = 240.0


class WindowLimit:
    """The limit of queries in flight: `queries`, None for none.

    `borne`: the largest number that was sustained. `found_at`: when the limit was last lowered;
    `reached_at`: the same, undone steps included.
    """

    def __init__(self) -> None:
        self.queries: int | None = None
        self.borne = 0
        self.found_at = self.reached_at = -inf
        #: Answers since the last change, while the limit was used.
        self._answers = 0
        #: The least limit that was too high.
        self._ceiling = inf
        #: The limit before the step that is being tried; and counts since the last change.
        self._before_step: int | None = None
        self._refused = self._recovered = self._answered = 0
        self._changed_at = -inf
        #: Seconds after which dropped queries have been noticed; 0 if the server refuses.
        self._noticed_s = 0.0
        self._next_step = 0.0
        self._retry_step_s = _MIN_RETRY_STEP_S

    def on_answers(self, count: int, in_flight: int) -> None:
        """Note answers, with `in_flight` queries left."""
        if self.queries is None:
            return
        self._answered += count
        if self._answered > _COUNTED_LIMITS * self.queries:
            self._answered = self._recovered = 0
        if in_flight + count >= self.queries * _USED_SHARE:
            self._answers += count
            if self._answers > _SUSTAINED_LIMITS * self.queries:
                self.borne = max(self.borne, self.queries)

    def on_refused(self, now: float) -> None:
        """Note a refused query; undo a step after several."""
        self._refused += 1
        if self._before_step is not None and self._refused >= _TOO_MANY_REFUSALS:
            self._step_back(now)

    def on_recovered(self, failed_at: float, now: float) -> None:
        """Note the answer to a question that failed then; lower the limit after several."""
        if self.queries is None or failed_at <= self._changed_at:
            return
        self._recovered += 1
        if self._recovered < max(_TOO_MANY_RECOVERED, _TOO_MANY_RECOVERED_SHARE * self._answered):
            return
        if self._before_step is not None:
            self._step_back(now)
            return
        self._ceiling = float(self.queries)
        self._retry_step_s = _MIN_RETRY_STEP_S
        self._next_step = self.reached_at = now
        self._set_limit(max(int(self.queries * _KEPT_SHARE), 1), now)

    def _step_back(self, now: float) -> None:
        self._ceiling = float(self.queries or inf)
        self.reached_at = now
        self._set_limit(self._before_step, now)

    @property
    def is_silent(self) -> bool:
        """Whether the server drops queries beyond the limit, instead of refusing them."""
        return self._noticed_s > 0

    def on_lost(self, sent_at: float, now: float) -> None:
        """Note that a query sent then was dropped: its retransmission is answered now."""
        if self.is_silent:
            self.on_recovered(sent_at, now)

    def lower(self, held: int, ceiling: float, now: float, *, noticed_s: float = 0.0) -> None:
        """Lower the limit to the number that the server `held`; `ceiling` is too high.

        `noticed_s`: seconds until queries dropped beyond the limit are noticed.
        """
        self._noticed_s = noticed_s
        before = self._before_step or self.queries
        queries = int(held * _KEPT_SHARE)
        self._ceiling = ceiling
        if before is not None:
            queries = min(queries, int(before * _LOWERED_SHARE))
            self._ceiling = min(ceiling, before)
            if queries < before // 2:
                # Not below half of the previous limit at once.
                queries, self._ceiling = before // 2, float(before)
        self.found_at = self.reached_at = now
        self._next_step = now
        self._set_limit(max(queries, 1), now)
        self.borne = min(self.borne, max(queries, 1) // 2)

    def lift(self) -> None:
        """Remove the limit."""
        self.queries = self._before_step = None
        self._noticed_s = 0.0

    def poll(self, now: float) -> None:
        """Raise the limit when it has been sustained.

        At most half way to `_ceiling`, which is forgotten when that leaves no step.
        """
        queries = self.queries
        if queries is None or now < self._next_step or self._answers < _SUSTAINED_LIMITS * queries:
            return
        target = int(min(queries * _STEP_FACTOR + 1, (queries + self._ceiling) / 2))
        self._set_limit(queries, now)
        if target <= queries * _MIN_STEP_FACTOR:
            self._ceiling = inf
            self._next_step = now + self._retry_step_s
            self._retry_step_s = min(self._retry_step_s * 2, _MAX_RETRY_STEP_S)
        else:
            self._set_limit(target, now)
            self._before_step = queries
            self._next_step = now + self._noticed_s

    def _set_limit(self, queries: int | None, now: float) -> None:
        self.queries = queries
        self._before_step = None
        self._answers = self._refused = self._recovered = self._answered = 0
        self._changed_at = now
