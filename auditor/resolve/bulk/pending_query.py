"""A question whose first attempt was not simply answered: what is known of it, and its state.

The states, and which event leads from which to which, are a table. `RetryManager` is the only one
that changes a state, by `TRANSITIONS`; an event that is not in a state's row cannot happen in it.
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
    """Where a pending query is. It is in one state, so it cannot be asked twice at once."""

    SILENT = auto()  # nothing of it counts as on its way; a reply may come all the same
    IN_FLIGHT = auto()  # its last attempt counts in the window of the server it went to
    OVERTAKEN = auto()  # as before, but later attempts were answered first: it counts no more
    QUEUED = auto()  # waits to be sent
    DEFERRED = auto()  # has failed, and waits until it is known whether load was the cause
    OVER_TCP = auto()  # asked, or waiting to be asked, over TCP
    DONE = auto()  # has its answer


class QueryEvent(Enum):
    """What happens to a pending query."""

    SENT = auto()  # an attempt left, and counts in the window; or the kernel refused it
    SENT_ONCE = auto()  # an attempt left for a dead zone, which counts in no window
    OVERTAKEN = auto()  # attempts sent later have been answered
    TIMED_OUT = auto()  # its latest attempt counts as lost
    ASK_AGAIN = auto()  # it is to be sent to another server, or again to the same one
    DOUBTED = auto()  # a server failed it, perhaps because of load
    ASK_OVER_TCP = auto()  # its reply was truncated, or datagrams are held back
    TCP_FAILED = auto()  # TCP did not help
    ANSWERED = auto()  # its answer is final


_S = QueryState
_E = QueryEvent

#: What may happen in any state but the last.
_ALWAYS: Final[Mapping[QueryEvent, QueryState]] = {
    _E.ASK_AGAIN: _S.QUEUED,
    _E.DOUBTED: _S.DEFERRED,
    _E.ASK_OVER_TCP: _S.OVER_TCP,
    _E.ANSWERED: _S.DONE,
}

#: By state, what each event leads to.
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
    """What a query is sent for."""

    NONE = auto()  # the answer
    DISABLED = auto()  # the data without validation: CD is set
    CONFIRM = auto()  # the answer once more, after one with CD


class Attempt(NamedTuple):
    """One query that was sent: to which server, where its reply is awaited, when."""

    server: int
    udp_socket: object
    query_id: int
    when: float


class PendingQuery:
    """A question whose first attempt was not simply answered, and what has come of it so far."""

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
        #: When it was asked for the first time, and how often it has been begun anew since.
        self.began = 0.0
        self.rounds = 0
        #: Every attempt of this round.
        self.tries: list[Attempt] = []
        #: Of the attempts that count: how many, their servers, when the first and the last left.
        self.sent = 0
        self.asked: list[int] = []
        self.first = self.last = 0.0
        #: What was in flight when the last one went out, itself included.
        self.pressure = 0
        #: Seconds that its failure took, if that was much longer than answers take; when it came.
        self.slow_s = self.slow_at = 0.0
        #: The servers that have failed for good.
        self.failed: list[int] = []
        #: Without EDNS, and whether for one server only.
        self.plain = False
        self.only: int | None = None
        #: A reply was truncated, so that TCP is left; TCP was tried in place of UDP, in vain.
        self.truncated = False
        self.no_tcp = False
        #: The most telling failure so far, for when nothing better comes.
        self.best: Answer | None = None
        #: The servers whose failures may come from load; since when; when to ask again.
        self.doubted_by: list[int] = []
        self.failed_at = self.ripe_at = 0.0
        #: Of a check for DNSSEC: what it is sent for, since when; the failure that it is to
        #: explain; how often it failed again after an answer with CD set; the zone that denied
        #: the name with CD set.
        self.check = Check.NONE
        self.check_began = 0.0
        self.failure: Answer | None = None
        self.confirmed = 0
        self.denied_by = ""

    @property
    def is_asked(self) -> bool:
        """Whether an attempt is on its way, and may yet be answered in time."""
        return self.state in _ASKED

    @property
    def is_unanswered(self) -> bool:
        """Whether nothing but a reply, or the lack of one, can bring it on."""
        return self.state in _UNANSWERED

    def advance(self, event: QueryEvent) -> None:
        """Go to the state that an event leads to; KeyError for one that cannot happen now."""
        self.state = TRANSITIONS[self.state][event]

    def on_sent(self, server: int, now: float) -> None:
        """Note that a server was asked."""
        if not self.sent:
            self.first = now
            self.began = self.began or now
        self.sent += 1
        self.asked.append(server)
        self.last = now

    def forgive(self) -> None:
        """Count no query so far: the server that owes the answer is gone."""
        self.sent = 0
        self.asked.clear()
        self.failed.clear()
        self.only = None

    def begin_anew(self) -> None:
        """Ask once more, as if for the first time; the earlier reply is in `failure`."""
        self.forgive()
        self.tries.clear()
        self.best = None

    def is_first_attempt(self, attempt: Attempt) -> bool:
        """Tell whether a try is the first of those that count."""
        return attempt is self.tries[0] and attempt.when == self.first
