"""Trial: a period of few queries at a time that shows what caused failures. No clock in here."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

__all__ = ["Belief", "Trial", "Verdict"]

#: Seconds between two goes of a trial in which nothing at all was answered: doubling.
_PAUSE_S: Final = (0.05, 1.0)

#: Queries that fail slowly which are sent in a moment of a trial: twice as many in the next.
_FIRST_SLOW_QUERIES: Final = 8
_MAX_SLOW_QUERIES: Final = 64

#: Seconds of a pause, after which a server that counts by the second starts again from zero.
_REST_S: Final = 1.1


class Belief(Enum):
    """What a failure is taken for."""

    OWN = auto()  # the name's own answer
    DOUBTFUL = auto()  # to be asked again in a trial
    AGAIN = auto()  # to be asked again soon
    PERSISTED = auto()  # failed in a trial, too: judged at its end


class Verdict(Enum):
    """What has become of a trial."""

    BEGUN = auto()  # or goes on after a pause: it wants a question that is known to be answered
    CHECKED = auto()  # it would end with OWN if the server still answers that question
    OVERLOAD = auto()  # the failures were the pressure's
    OWN = auto()  # they were the names' own
    IN_VAIN = auto()  # nothing was answered: it goes on after a pause, with less
    HOPELESS = auto()  # the server answers nothing at all


class Trial:
    """A while of few queries at a time, of which `size` may be in flight."""

    def __init__(self, size: int, now: float, answers_before: int = 0) -> None:
        self.size = size
        self.begun = self.first = now
        #: Answers of the server until `first`, from when on it is given some time.
        self.answers_before = answers_before
        self.goes = 0
        self.pause = _PAUSE_S[0]
        self.paused_until = 0.0
        #: Questions that had failed and were asked again, and what came of them; and what came
        #: of others.
        self.taken = self.recovered = self.persisted = 0
        self.answered = self.failed = 0
        #: Those that failed again though their zones have answered before; and whether they were
        #: asked after a rest.
        self.persisted_alive = 0
        self.has_rested = False
        #: Those that took long to fail again; until when such ones are waited for, and how many of
        #: them are sent at a time, when next.
        self.persisted_slow = 0
        self.slow_until = 0.0
        self._slow_most = _FIRST_SLOW_QUERIES
        self._slow_left = 0
        self._slow_next = 0.0
        #: Whether the probe that each go begins with was replied to, whatever it said.
        self.has_control = False
        #: When the server was asked a last time what it answers; and whether it has.
        self.checked = 0.0
        self.is_borne = False

    @property
    def is_first_go(self) -> bool:
        """Whether it has neither failed nor rested yet."""
        return not (self.goes or self.has_rested)

    def take_slow(self, wanted: int, interval: float, now: float) -> int:
        """Return how many of `wanted` queries that fail slowly may be sent now.

        They leave the window at once, so they are spread over time: more in each `interval`.
        """
        if now >= self._slow_next:
            self._slow_left = self._slow_most
            self._slow_most = min(self._slow_most * 2, _MAX_SLOW_QUERIES)
            self._slow_next = now + interval
        taken = min(wanted, self._slow_left)
        self._slow_left -= taken
        return taken

    def begin_anew(self, now: float) -> None:
        """Go on with half as many after a pause."""
        self.size = max(self.size // 2, 1)
        self._stop(now + self.pause)
        self.pause = min(self.pause * 2, _PAUSE_S[1])

    def restart(self, now: float) -> None:
        """Go on as if it had just begun, after so long that no second counts with the last."""
        self.has_rested = True
        self._stop(now + _REST_S)

    def _stop(self, until: float) -> None:
        self.begun = self.paused_until = until
        self.taken = self.persisted = self.answered = 0
        self.failed = self.persisted_alive = self.persisted_slow = 0
        self.slow_until = 0.0
        self.checked = 0.0
        self.has_control = self.is_borne = False
