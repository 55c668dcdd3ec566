"""Updates RTT, loss and limits of servers from which attempt of a query was answered, and when."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from auditor.resolve.bulk.pending_query import Check
from auditor.resolve.bulk.udp.outstanding import LOST

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.resolve.bulk.dead_zones import DeadZones
    from auditor.resolve.bulk.pending_query import Attempt, PendingQuery
    from auditor.resolve.bulk.server.nameserver import NameServer
    from auditor.resolve.bulk.udp.outstanding import UdpSocket

__all__ = ["is_in_vain", "is_open", "learn_from_answer", "waits_for"]


def learn_from_answer(
    nameservers: Sequence[NameServer], query: PendingQuery, attempt: Attempt, now: float
) -> None:
    """Update the state of servers after the answer to an attempt of a pending query."""
    nameserver = nameservers[attempt.server]
    if attempt.server in query.doubted_by and query.check is not Check.DISABLED:
        nameserver.limits.on_recovered(query.failed_at, attempt.when, now, slow=query.slow_s > 0)
    _note_losses(nameserver, query, attempt, now)
    first = query.tries[0]
    if query.is_first_attempt(attempt):
        nameserver.on_late(attempt.when, now)
    elif (
        attempt is query.tries[-1]
        and now - attempt.when <= 2 * nameserver.round_trip.timeout
        and query.is_first_attempt(first)
        and is_open(first, query)
    ):
        # The retransmission was answered at once: the first attempt was lost on the path, not
        # slow.
        nameservers[first.server].on_loss()
        cast("UdpSocket", first.udp_socket).settle_id(first.query_id, LOST)
    if query.plain and query.only == attempt.server:
        nameserver.can.on_without_edns()


def _note_losses(nameserver: NameServer, query: PendingQuery, attempt: Attempt, now: float) -> None:
    """Note earlier attempts to the same server without a reply as lost."""
    for earlier in query.tries:
        if earlier is attempt:
            break
        if earlier.server == attempt.server and is_open(earlier, query):
            nameserver.limits.on_lost(earlier.when, now)


def is_open(attempt: Attempt, query: PendingQuery) -> bool:
    """Tell whether the reply to an attempt is still awaited; its ID may have been reused."""
    entry = cast("UdpSocket", attempt.udp_socket).outstanding.get(attempt.query_id)
    return entry is not None and entry[0] is query


def is_in_vain(query: PendingQuery, dead: DeadZones, now: float) -> bool:
    """Tell whether neither this query nor its zone has had any reply."""
    return (
        query.sent > 0
        and query.check is Check.NONE
        and query.best is None
        and query.only is None
        and dead.is_dead(query.question.name, now)
    )


def waits_for(query: PendingQuery, server: int) -> bool:
    """Tell whether a query only waits for the reply of this server."""
    return query.is_unanswered and query.asked[-1] == server
