"""The states of a pending query, and which event leads from which to which, as a table.

Only queries whose first attempt was not simply answered have a state: see `PendingQuery`.
`RetryManager` is the only one that changes it, by `TRANSITIONS`; an event that is not in a
state's row cannot happen in it.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ASKED", "TRANSITIONS", "UNANSWERED", "QueryEvent", "QueryState"]


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

#: Where a query has been asked, and may yet be answered in time.
ASKED: Final = frozenset({_S.IN_FLIGHT, _S.OVERTAKEN})

#: Where nothing but a reply, or the lack of one, can bring a query on.
UNANSWERED: Final = ASKED | {_S.SILENT}
