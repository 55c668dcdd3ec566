"""Trial: a period with few queries in flight that shows the cause of failures."""

from __future__ import annotations

from enum import Enum, auto
from typing import Final

__all__ = ["Belief", "Trial", "Verdict"]

#: Seconds between two attempts of a trial without any answer, at first and at most: doubling.
_PAUSE_S: Final = (0.05, 1.0)

#: Slowly failing queries sent in one interval of a trial: doubled in the next.
_FIRST_SLOW_QUERIES: Final = 8
_MAX_SLOW_QUERIES: Final = 64

#: Seconds of a pause after which a rate limit counted by the second is reset.
_REST_S: Final = 1.1


class Belief(Enum):
    """Classification of a failure."""

    OWN = auto()  # caused by the name: final
    DOUBTFUL = auto()  # to be asked again in a trial
    AGAIN = auto()  # to be asked again soon
    PERSISTED = auto()  # failed in a trial, too: judged at its end


class Verdict(Enum):
    """State or outcome of a trial."""

    BEGUN = auto()  # or resumed: a probe has to be sent
    CHECKED = auto()  # a probe has to be sent: OWN if it is answered
    OVERLOAD = auto()  # the failures were caused by load
    OWN = auto()  # the failures were caused by the names
    IN_VAIN = auto()  # no answer: it is resumed after a pause, with fewer queries
    HOPELESS = auto()  # the server answers no query


class Trial:
    """A period with up to `size` queries in flight."""

    def __init__(self, size: int, now: float, answers_before: int = 0) -> None:
        self.size = size
        self.begun = self.first = now
        #: The server's answers until `first`, when its time limit begins.
        self.answers_before = answers_before
        self.goes = 0
        self.pause = _PAUSE_S[0]
        self.paused_until = 0.0
        #: Failed questions repeated, and how many of them recovered or failed again; and first
        #: attempts answered and failed.
        self.taken = self.recovered = self.persisted = 0
        self.answered = self.failed = 0
        #: Repeated failures in zones that have answered before; and whether there was a rest.
        self.persisted_alive = 0
        self.has_rested = False
        #: Slow repeated failures; until when these are awaited; and their number per interval.
        self.persisted_slow = 0
        self.slow_until = 0.0
        self._slow_most = _FIRST_SLOW_QUERIES
        self._slow_left = 0
        self._slow_next = 0.0
        #: Whether there was any reply to the probe that each attempt begins with.
        self.has_control = False
        #: When the last probe was sent; and whether it was answered.
        self.checked = 0.0
        self.is_borne = False

    @property
    def is_first_go(self) -> bool:
        """Whether it has not been resumed yet."""
        return not (self.goes or self.has_rested)

    def take_slow(self, wanted: int, interval: float, now: float) -> int:
        """Return how many of `wanted` slowly failing queries may be sent now.

        They leave the window at once, so they are spread over time: more in each `interval` of
        that many seconds.
        """
        if now >= self._slow_next:
            self._slow_left = self._slow_most
            self._slow_most = min(self._slow_most * 2, _MAX_SLOW_QUERIES)
            self._slow_next = now + interval
        taken = min(wanted, self._slow_left)
        self._slow_left -= taken
        return taken

    def begin_anew(self, now: float) -> None:
        """Resume with half the size after a pause."""
        self.size = max(self.size // 2, 1)
        self._pause_until(now + self.pause)
        self.pause = min(self.pause * 2, _PAUSE_S[1])

    def restart(self, now: float) -> None:
        """Start again after a rest, when rate limits have been reset."""
        self.has_rested = True
        self._pause_until(now + _REST_S)

    def _pause_until(self, until: float) -> None:
        self.begun = self.paused_until = until
        self.taken = self.persisted = self.answered = 0
        self.failed = self.persisted_alive = self.persisted_slow = 0
        self.slow_until = 0.0
        self.checked = 0.0
        self.has_control = self.is_borne = False
