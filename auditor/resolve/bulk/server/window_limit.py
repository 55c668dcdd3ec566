"""How many queries one server takes at a time, where it refuses or drops what is beyond.

Too many are known by what the server held when it refused the rest. From there the limit climbs
as long as nothing is refused: what was held may have been few for another reason, and what a
server takes changes. No clock in here: calls are told the time.
"""

from __future__ import annotations

from math import inf
from typing import Final

__all__ = ["WindowLimit"]

#: The share of what the server held that is sent from then on, and of a limit that was too much.
_KEPT_SHARE: Final = 0.96
_LOWERED_SHARE: Final = 0.85

#: The share of the limit in flight with which it counts as used, and the answers, in limits,
#: after which it counts as borne.
_USED_SHARE: Final = 0.85
_BORNE_LIMITS: Final = 3

#: By how much a step raises the limit at most, and what it must at least be worth.
_STEP_FACTOR: Final = 1.25
_MIN_STEP_FACTOR: Final = 1.05

#: Refusals after which a step was too much; and names that were refused and answered when asked
#: again, after which any limit is: also as a share of the answers, which are counted for so many
#: limits.
_TOO_MANY_REFUSALS: Final = 8
_TOO_MANY_RECOVERED: Final = 4
_TOO_MANY_RECOVERED_SHARE: Final = 0.03
_COUNTED_LIMITS: Final = 20

#: Seconds until more is tried again where the least that was too much is close: doubling.
_PATIENCE_S: Final = 1.0
_MAX_PATIENCE_S: Final = 240.0


class WindowLimit:
    """The queries that a server takes at a time: `queries`, None for any number.

    `borne`: so many at a time have been answered. `found_at`: when they were too many last;
    `reached_at`: the same, with steps that were too much.
    """

    def __init__(self) -> None:
        self.queries: int | None = None
        self.borne = 0
        self.found_at = self.reached_at = -inf
        #: Answers since the last change, while the limit was used.
        self._answers = 0
        #: The least that was too much.
        self._ceiling = inf
        #: What is gone back to if the step that is being tried is too much, and its refusals.
        self._before_step: int | None = None
        self._refused = self._recovered = self._answered = 0
        self._changed_at = -inf
        #: Seconds after which it is known what came of a step.
        self._noticed_s = 0.0
        self._next_step = 0.0
        self._patience = _PATIENCE_S

    def on_answers(self, count: int, in_flight: int) -> None:
        """Note answers; so many queries are still in flight."""
        if self.queries is None:
            return
        self._answered += count
        if self._answered > _COUNTED_LIMITS * self.queries:
            self._answered = self._recovered = 0
        if in_flight + count >= self.queries * _USED_SHARE:
            self._answers += count
            if self._answers > _BORNE_LIMITS * self.queries:
                self.borne = max(self.borne, self.queries)

    def on_refused(self, now: float) -> None:
        """Note that a query was refused: enough of them, and a step was too much."""
        self._refused += 1
        if self._before_step is not None and self._refused >= _TOO_MANY_REFUSALS:
            self._step_back(now)

    def on_recovered(self, failed_at: float, now: float) -> None:
        """Note that what failed then is answered now: enough, and the limit is too high."""
        if self.queries is None or failed_at <= self._changed_at:
            return
        self._recovered += 1
        if self._recovered < max(_TOO_MANY_RECOVERED, _TOO_MANY_RECOVERED_SHARE * self._answered):
            return
        if self._before_step is not None:
            self._step_back(now)
            return
        self._ceiling = float(self.queries)
        self._patience = _PATIENCE_S
        self._next_step = self.reached_at = now
        self._change(max(int(self.queries * _KEPT_SHARE), 1), now)

    def _step_back(self, now: float) -> None:
        self._ceiling = float(self.queries or inf)
        self.reached_at = now
        self._change(self._before_step, now)

    @property
    def is_silent(self) -> bool:
        """Whether the server drops what is beyond the limit."""
        return self._noticed_s > 0

    def on_lost(self, sent_at: float, now: float) -> None:
        """Note that a query of that time was dropped: the same question is answered now."""
        if self.is_silent:
            self.on_recovered(sent_at, now)

    def lower(self, held: int, ceiling: float, now: float, *, noticed_s: float = 0.0) -> None:
        """Keep to what the server `held` when it refused the rest; `ceiling` is too much.

        `noticed_s`: seconds until what is beyond the limit is known to be.
        """
        self._noticed_s = noticed_s
        before = self._before_step or self.queries
        queries = int(held * _KEPT_SHARE)
        self._ceiling = ceiling
        if before is not None:
            queries = min(queries, int(before * _LOWERED_SHARE))
            self._ceiling = min(ceiling, before)
            if queries < before // 2:
                # What was borne before is not so far off.
                queries, self._ceiling = before // 2, float(before)
        self.found_at = self.reached_at = now
        self._next_step = now
        self._change(max(queries, 1), now)
        self.borne = min(self.borne, max(queries, 1) // 2)

    def lift(self) -> None:
        """Know no limit any more."""
        self.queries = self._before_step = None
        self._noticed_s = 0.0

    def poll(self, now: float) -> None:
        """Try more when the limit has been borne.

        At most half way to the least that was too much, which is forgotten in the end.
        """
        queries = self.queries
        if queries is None or now < self._next_step or self._answers < _BORNE_LIMITS * queries:
            return
        target = int(min(queries * _STEP_FACTOR + 1, (queries + self._ceiling) / 2))
        self._change(queries, now)
        if target <= queries * _MIN_STEP_FACTOR:
            self._ceiling = inf
            self._next_step = now + self._patience
            self._patience = min(self._patience * 2, _MAX_PATIENCE_S)
        else:
            self._change(target, now)
            self._before_step = queries
            self._next_step = now + self._noticed_s

    def _change(self, queries: int | None, now: float) -> None:
        self.queries = queries
        self._before_step = None
        self._answers = self._refused = self._recovered = self._answered = 0
        self._changed_at = now
