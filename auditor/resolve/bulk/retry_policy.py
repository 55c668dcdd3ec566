"""What to do after each reply, or after silence: a decision, without I/O or clock.

A question's first attempt has no state but its place in the table of a socket. If it is not
simply answered, the question becomes a `PendingQuery`, and this file decides the next step: which
server, with or without EDNS, over TCP, how long to wait, when to give up.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.resolve.answer import Answer
from auditor.wire.codes import (
    FORMERR,
    MALFORMED,
    NOTIMP,
    REFUSED,
    SERVFAIL,
    SETTLED,
    TIMEOUT,
    TRUNCATED,
    UNREACHABLE,
)

if TYPE_CHECKING:
    from auditor.resolve.bulk.pending_query import PendingQuery

__all__ = [
    "Action",
    "Decision",
    "RetryPolicy",
    "may_ask",
    "next_wait",
    "note_failure",
    "on_overtaken",
    "on_reply",
    "on_silence",
    "on_tcp_answer",
    "on_unsent",
    "slow_wait",
]


class Action(Enum):
    """What a question needs now."""

    DONE = auto()  # `answer` is final
    ASK = auto()  # send it to another server, or again to the same one
    WAIT = auto()  # a reply may still come, until `until`
    TCP = auto()  # the reply did not fit a datagram, or datagrams are held back


class Decision(NamedTuple):
    """A decision. `answer` with DONE; `until`: the time to look at the question again."""

    what: Action
    answer: Answer | None = None
    until: float = 0.0


class RetryPolicy(NamedTuple):
    """`tries` queries for one question at most, `timeout` seconds of patience for each.

    A lost packet is noticed long before `timeout`, by the round-trip time, and sent again;
    but a server that thinks for long is not cut off by that: a question is given up after
    `tries` times `timeout`, and whatever try is answered until then counts.
    """

    tries: int
    timeout: float


#: Rank of failures: replies of a server come before silence.
_HOW_TELLING: Final = {
    TIMEOUT: 0,
    UNREACHABLE: 1,
    MALFORMED: 2,
    FORMERR: 3,
    NOTIMP: 3,
    REFUSED: 4,
    SERVFAIL: 5,
}
_TELLING_BY_DEFAULT: Final = 4


def note_failure(query: PendingQuery, answer: Answer) -> None:
    """Keep the most telling of the failures so far, the first of equals."""
    if query.best is None or _telling(answer) > _telling(query.best):
        query.best = answer


def _telling(answer: Answer) -> int:
    return _HOW_TELLING.get(answer.status, _TELLING_BY_DEFAULT)


def may_ask(query: PendingQuery, server: int, usable: frozenset[int]) -> bool:
    """Tell whether a usable server may get the next attempt of a query.

    One that was not asked yet; when all were, one that has not said no, and the last one
    only if there is no other. Without EDNS it is the turn of the one that refused it.
    """
    if query.only in usable:
        return server == query.only
    fresh = usable.difference(query.asked)
    if fresh:
        return server in fresh
    silent = usable.difference(query.failed)
    others = silent.difference(query.asked[-1:])
    return server in (others or silent or usable)


def on_reply(
    query: PendingQuery,
    answer: Answer,
    policy: RetryPolicy,
    *,
    server: int,
    usable: frozenset[int],
    hopeless: bool,
) -> Decision:
    """Decide after a reply from `server`; `usable` are the servers there are to ask.

    NOERROR, NODATA and NXDOMAIN are final. A truncated reply is asked for over TCP. FORMERR
    or NOTIMP to a query with EDNS is asked again without (RFC 6891 §7), whatever the number
    of tries. Any other failure is one server's word: another one is asked, while there is
    one that has not said the like. `hopeless`: see `on_silence`.
    """
    status = answer.status
    if status in SETTLED:
        return Decision(Action.DONE, answer)
    if status == TRUNCATED:
        query.truncated = True
        return Decision(Action.TCP)
    if status in {FORMERR, NOTIMP} and not query.plain:
        query.plain = True
        query.only = server
        return Decision(Action.ASK)
    # A reply that is no message may have been damaged on the way: the same server may do
    # better the next time, and is not among those that have `failed`.
    on_overtaken(query, answer, server)
    query.only = None
    willing = usable.difference(query.failed)
    if willing and query.sent < policy.tries and not hopeless:
        return Decision(Action.ASK)
    if willing.difference((server,)).intersection(query.asked):
        # Out of tries, but another server has yet to say something about one of them.
        return Decision(Action.WAIT, until=query.last + policy.timeout)
    return Decision(Action.DONE, query.best)


def on_overtaken(query: PendingQuery, answer: Answer, server: int) -> None:
    """Note a failure that comes from `server` when another way has been taken already."""
    note_failure(query, answer)
    if answer.status != MALFORMED:
        query.failed.append(server)


def on_silence(
    query: PendingQuery,
    policy: RetryPolicy,
    wait: float,
    now: float,
    *,
    hopeless: bool,
    slipping: bool,
) -> Decision:
    """Decide when a try has gone unanswered for as long as a lost packet shows.

    `wait`: seconds after which the next try will count as lost. `hopeless`: the question
    belongs to a zone that answers nothing, so it is not asked again, and given up after one
    `timeout`. `slipping`: the server limits the rate of its answers, dropping some and
    truncating others; over TCP it does not.
    """
    if slipping and not hopeless and not query.no_tcp:
        return Decision(Action.TCP)
    tries = 1 if hopeless else policy.tries
    query.only = None
    if query.slow_s:
        tries = min(tries, _SLOW_TRIES)
    if query.sent < tries:
        return Decision(Action.ASK)
    end = query.last + policy.timeout
    if query.best is None:
        # No reply at all yet, so a slow server is given all the time.
        end = max(query.last + min(wait, policy.timeout), query.first + tries * policy.timeout)
    if now < end:
        return Decision(Action.WAIT, until=end)
    return Decision(Action.DONE, query.best or Answer(TIMEOUT))


def on_tcp_answer(query: PendingQuery, answer: Answer) -> Decision:
    """Decide after the outcome over TCP, where all servers were tried."""
    status = answer.status
    if status in SETTLED:
        return Decision(Action.DONE, answer)
    if status not in _TCP_NO_HELP:
        note_failure(query, answer)
        return Decision(Action.DONE, query.best)
    if query.truncated:
        return Decision(Action.DONE, Answer(TRUNCATED, how=answer.how))
    query.no_tcp = True
    return Decision(Action.ASK)


#: What says that TCP does not work there, and nothing about the question.
_TCP_NO_HELP: Final = frozenset({TIMEOUT, UNREACHABLE, MALFORMED, FORMERR})


def on_unsent(query: PendingQuery) -> None:
    """Note that the kernel refused to send a try: it will say so of others like it."""
    note_failure(query, Answer(UNREACHABLE))


def next_wait(query: PendingQuery, policy: RetryPolicy, timeout: float) -> float:
    """Return the seconds after which the latest try counts as lost: doubling (RFC 6298 §5.5).

    `timeout` is the server's own, from its round-trip times.
    """
    if query.slow_s:
        return slow_wait(query.slow_s, timeout)
    return min(timeout * 2.0 ** min(query.sent - 1, _MAX_DOUBLINGS), policy.timeout)


def slow_wait(slow_s: float, timeout: float) -> float:
    """Return the seconds after which a query counts as lost that took so many to fail before."""
    return slow_s * _SLOW_FACTOR + timeout


_MAX_DOUBLINGS: Final = 10

#: What fails slowly is given so many times as long again, and asked so often at most.
_SLOW_FACTOR: Final = 1.25
_SLOW_TRIES: Final = 2
