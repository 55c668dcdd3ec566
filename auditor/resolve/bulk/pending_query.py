"""State machine and data of a question that was not answered by its first attempt.

`TRANSITIONS` is the table of states and events; only `RetryManager` changes a state. An event that
is not in a state's row cannot happen in it.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auditor.resolve.answer import Answer, AnswerCallback, Question

__all__ = [
    "TRANSITIONS",
    "Attempt",
    "Check",
    "PendingQuery",
    "QueryEvent",
    "QueryState",
]


class QueryState(Enum):
    """State of a pending query."""

    SILENT = auto()  # all attempts count as lost; a late reply is still accepted
    IN_FLIGHT = auto()  # its last attempt counts in the congestion window of its server
    OVERTAKEN = auto()  # later queries were answered first, so its last attempt does not count
    QUEUED = auto()  # waits to be sent
    DEFERRED = auto()  # has failed, and waits until it is known whether load was the cause
    OVER_TCP = auto()  # sent, or waiting to be sent, over TCP
    DONE = auto()  # has its answer


class QueryEvent(Enum):
    """Event of a pending query."""

    SENT = auto()  # an attempt was sent, and counts in the window; or the kernel rejected it
    SENT_ONCE = auto()  # an attempt about a dead zone was sent, outside of the window
    OVERTAKEN = auto()  # queries sent later have been answered
    TIMED_OUT = auto()  # its latest attempt counts as lost
    ASK_AGAIN = auto()  # it is to be sent to another server, or again to the same one
    DOUBTED = auto()  # a server failed it, perhaps because of load
    ASK_OVER_TCP = auto()  # its reply was truncated, or the server limits its response rate
    TCP_FAILED = auto()  # no answer over TCP
    ANSWERED = auto()  # its answer is final


_S = QueryState
_E = QueryEvent

#: Transitions of all states but the last.
_ALWAYS: Final[Mapping[QueryEvent, QueryState]] = {
    _E.ASK_AGAIN: _S.QUEUED,
    _E.DOUBTED: _S.DEFERRED,
    _E.ASK_OVER_TCP: _S.OVER_TCP,
    _E.ANSWERED: _S.DONE,
}

#: By state and event, the next state.
TRANSITIONS: Final[Mapping[QueryState, Mapping[QueryEvent, QueryState]]] = {
    _S.SILENT: {
        **_ALWAYS,
        _E.SENT: _S.IN_FLIGHT,
        _E.SENT_ONCE: _S.SILENT,
        _E.TIMED_OUT: _S.SILENT,
    },
    _S.IN_FLIGHT: {**_ALWAYS, _E.OVERTAKEN: _S.OVERTAKEN, _E.TIMED_OUT: _S.SILENT},
    _S.OVERTAKEN: {**_ALWAYS, _E.TIMED_OUT: _S.SILENT},
    _S.QUEUED: {**_ALWAYS, _E.SENT: _S.IN_FLIGHT, _E.TIMED_OUT: _S.SILENT},
    _S.DEFERRED: {**_ALWAYS, _E.SENT: _S.IN_FLIGHT},
    _S.OVER_TCP: {**_ALWAYS, _E.TCP_FAILED: _S.SILENT},
    _S.DONE: {},
}

_ASKED: Final = frozenset({_S.IN_FLIGHT, _S.OVERTAKEN})
_UNANSWERED: Final = _ASKED | {_S.SILENT}


class Check(Enum):
    """Purpose of a query with regard to the DNSSEC check."""

    NONE = auto()  # a plain query
    DISABLED = auto()  # data without validation: CD is set
    CONFIRM = auto()  # a plain query again, after one with CD


class Attempt(NamedTuple):
    """One query that was sent: server number, socket, query ID, time of sending."""

    server: int
    udp_socket: object
    query_id: int
    when: float


class PendingQuery:
    """A question that was not answered by its first attempt, and its history."""

    __slots__ = (
        "asked",
        "began",
        "best",
        "check",
        "check_began",
        "confirmed",
        "deliver",
        "denied_by",
        "doubted_by",
        "failed",
        "failed_at",
        "failure",
        "first",
        "last",
        "no_tcp",
        "only",
        "plain",
        "pressure",
        "question",
        "ripe_at",
        "rounds",
        "sent",
        "slow_at",
        "slow_s",
        "state",
        "timer",
        "tries",
        "truncated",
    )

    def __init__(self, question: Question, deliver: AnswerCallback) -> None:
        self.question = question
        self.deliver = deliver
        self.state = QueryState.SILENT
        #: The number of the timer that it waits for, 0 for none.
        self.timer = 0
        #: Time of its first attempt, and how many rounds of attempts it has had since.
        self.began = 0.0
        self.rounds = 0
        #: All attempts of this round.
        self.tries: list[Attempt] = []
        #: Attempts that count: number, servers, times of the first and the last.
        self.sent = 0
        self.asked: list[int] = []
        self.first = self.last = 0.0
        #: Queries in flight when the last one was sent, itself included.
        self.pressure = 0
        #: Seconds that its failure took, if it was slow; and when it came.
        self.slow_s = self.slow_at = 0.0
        #: The servers that have failed for good.
        self.failed: list[int] = []
        #: Without EDNS, and whether for one server only.
        self.plain = False
        self.only: int | None = None
        #: Whether a reply was truncated, so only TCP is left; whether TCP has failed.
        self.truncated = False
        self.no_tcp = False
        #: The most significant failure so far: the answer if there is no other.
        self.best: Answer | None = None
        #: Servers whose failures may be due to load; since when; when to repeat the question.
        self.doubted_by: list[int] = []
        self.failed_at = self.ripe_at = 0.0
        #: DNSSEC check: purpose, since when; the failure to explain; how often it failed again
        #: after an answer with CD set; the zone of a negative answer with CD set.
        self.check = Check.NONE
        self.check_began = 0.0
        self.failure: Answer | None = None
        self.confirmed = 0
        self.denied_by = ""

    @property
    def is_asked(self) -> bool:
        """Whether an attempt is in flight and has not timed out."""
        return self.state in _ASKED

    @property
    def is_unanswered(self) -> bool:
        """Whether it only waits for a reply or a timeout."""
        return self.state in _UNANSWERED

    def advance(self, event: QueryEvent) -> None:
        """Go to the state that an event leads to; KeyError for one that cannot happen now."""
        self.state = TRANSITIONS[self.state][event]

    def on_sent(self, server: int, now: float) -> None:
        """Note an attempt sent to a server."""
        if not self.sent:
            self.first = now
            self.began = self.began or now
        self.sent += 1
        self.asked.append(server)
        self.last = now

    def forgive(self) -> None:
        """Reset the attempts that count: they may have had no chance."""
        self.sent = 0
        self.asked.clear()
        self.failed.clear()
        self.only = None

    def begin_anew(self) -> None:
        """Reset all attempts for a new round; the earlier reply is in `failure`."""
        self.forgive()
        self.tries.clear()
        self.best = None

    def is_first_attempt(self, attempt: Attempt) -> bool:
        """Tell whether this is the first of the attempts that count."""
        return attempt is self.tries[0] and attempt.when == self.first
