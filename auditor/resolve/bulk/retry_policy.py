"""Retransmission policy: decisions after each reply or timeout, without I/O or clock.

A question's first attempt has no state but its entry in the table of a socket. If it is not
answered, the question becomes a `PendingQuery`, and this file decides the next step: which server,
with or without EDNS, over TCP, how long to wait, when to give up.
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
    """The next step of a question."""

    DONE = auto()  # `answer` is final
    ASK = auto()  # send it to another server, or again to the same one
    WAIT = auto()  # a reply may still come, until `until`
    TCP = auto()  # the reply was truncated, or the server limits its response rate


class Decision(NamedTuple):
    """A decision; `answer` with DONE, `until`: the time of the next decision with WAIT."""

    what: Action
    answer: Answer | None = None
    until: float = 0.0


class RetryPolicy(NamedTuple):
    """At most `tries` queries for one question, `timeout` seconds for each.

    The retransmission timeout follows the RTT, and is mostly much shorter than `timeout`. A slow
    server has more time: a question is given up after `tries` times `timeout`, and a reply to any
    attempt is accepted until then.
    """

    tries: int
    timeout: float


#: Rank of failures: replies of a server come before timeouts.
_SIGNIFICANCE: Final = {
    TIMEOUT: 0,
    UNREACHABLE: 1,
    MALFORMED: 2,
    FORMERR: 3,
    NOTIMP: 3,
    REFUSED: 4,
    SERVFAIL: 5,
}
_DEFAULT_SIGNIFICANCE: Final = 4


def note_failure(query: PendingQuery, answer: Answer) -> None:
    """Keep the most significant failure so far in `query.best`, the first of equals."""
    if query.best is None or _significance(answer) > _significance(query.best):
        query.best = answer


def _significance(answer: Answer) -> int:
    return _SIGNIFICANCE.get(answer.status, _DEFAULT_SIGNIFICANCE)


def may_ask(query: PendingQuery, server: int, usable: frozenset[int]) -> bool:
    """Tell whether a usable server may get the next attempt of a query.

    Servers not asked yet come first; then those that have not failed it, the last one only if
    there is no other. A query without EDNS goes to the server that refused EDNS.
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
    """Decide after a reply from `server`; `usable`: numbers of the healthy servers.

    NOERROR, NODATA and NXDOMAIN are final. After a truncated reply the query is sent over TCP;
    after FORMERR or NOTIMP to a query with EDNS, without EDNS (RFC 6891 §7), whatever the number
    of tries. After any other failure it is sent to a server that has not failed it, while there
    is one. `hopeless`: see `on_silence`.
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
    # A malformed reply may have been damaged on the path, so its server is not added to
    # `query.failed` and may be asked again.
    on_overtaken(query, answer, server)
    query.only = None
    willing = usable.difference(query.failed)
    if willing and query.sent < policy.tries and not hopeless:
        return Decision(Action.ASK)
    if willing.difference((server,)).intersection(query.asked):
        # No tries are left, but another server may still reply to one.
        return Decision(Action.WAIT, until=query.last + policy.timeout)
    return Decision(Action.DONE, query.best)


def on_overtaken(query: PendingQuery, answer: Answer, server: int) -> None:
    """Note a failure from `server` that changes nothing about later attempts."""
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
    """Decide after a retransmission timeout.

    `wait`: the next retransmission timeout in seconds. `hopeless`: the question belongs to a dead
    zone, so it is not sent again, and given up after one `timeout`. `slipping`: the server limits
    its response rate (RRL), dropping some replies and truncating others, but not over TCP.
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
        # Without any reply yet, wait for a slow server as long as possible.
        end = max(query.last + min(wait, policy.timeout), query.first + tries * policy.timeout)
    if now < end:
        return Decision(Action.WAIT, until=end)
    return Decision(Action.DONE, query.best or Answer(TIMEOUT))


def on_tcp_answer(query: PendingQuery, answer: Answer) -> Decision:
    """Decide after the outcome over TCP, where all servers have been tried."""
    status = answer.status
    if status in SETTLED:
        return Decision(Action.DONE, answer)
    if status not in _TCP_UNUSABLE:
        note_failure(query, answer)
        return Decision(Action.DONE, query.best)
    if query.truncated:
        return Decision(Action.DONE, Answer(TRUNCATED, how=answer.how))
    query.no_tcp = True
    return Decision(Action.ASK)


#: Statuses that mean that TCP does not work, whatever the question.
_TCP_UNUSABLE: Final = frozenset({TIMEOUT, UNREACHABLE, MALFORMED, FORMERR})


def on_unsent(query: PendingQuery) -> None:
    """Note that the kernel rejected an attempt, as it will reject others."""
    note_failure(query, Answer(UNREACHABLE))


def next_wait(query: PendingQuery, policy: RetryPolicy, timeout: float) -> float:
    """Return the retransmission timeout of the latest attempt: doubling (RFC 6298 §5.5).

    `timeout`: the server's RTO from its RTT, in seconds.
    """
    if query.slow_s:
        return slow_wait(query.slow_s, timeout)
    return min(timeout * 2.0 ** min(query.sent - 1, _MAX_DOUBLINGS), policy.timeout)


def slow_wait(slow_s: float, timeout: float) -> float:
    """Return the retransmission timeout of a query whose last failure took `slow_s` seconds."""
    return slow_s * _SLOW_FACTOR + timeout


_MAX_DOUBLINGS: Final = 10

#: Slowly failing queries: the timeout as a multiple of the last failure's time; and most tries.
_SLOW_FACTOR: Final = 1.25
_SLOW_TRIES: Final = 2
