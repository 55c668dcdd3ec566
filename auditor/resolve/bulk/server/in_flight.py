"""What is in flight to one name server, as its congestion window counts it.

A query counts from when it is sent until it is answered, given up as lost, or overtaken: once
queries sent much later have been answered, no reply to it is on its way any more. No clock and no
socket calls in here: calls are told the time.
"""

from __future__ import annotations

import math
from collections import deque
from operator import is_
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from auditor.resolve.bulk.pending_query import PendingQuery
    from auditor.resolve.bulk.udp.outstanding import FirstAttempt, UdpSocket

__all__ = ["InFlight"]


class InFlight:
    """The queries that count in the window of the server with this `number`.

    `count`: how many; `later`: those of them that are not first attempts, which the owner of
    their state subtracts. `newest_answered`: when the newest query was sent of those that have
    been answered.
    """

    __slots__ = ("_batches", "_first", "_number", "_overtaken", "count", "later", "newest_answered")

    def __init__(self, number: int) -> None:
        self._number = number
        self.count = 0
        self.later = 0
        self.newest_answered = -math.inf
        #: When the newest was sent that was overtaken, with all before it, and counts no more.
        self._overtaken = -math.inf
        #: What counts, in the order it was sent: a batch of first attempts, or of later ones.
        self._batches: deque[
            tuple[float, UdpSocket | None, list[int], Sequence[FirstAttempt | PendingQuery]]
        ] = deque()
        #: First attempts in the order they were sent, a batch an entry.
        self._first: deque[tuple[float, UdpSocket, list[int], list[FirstAttempt]]] = deque()

    def add_first_attempts(
        self, udp_socket: UdpSocket, ids: list[int], entries: list[FirstAttempt], now: float
    ) -> None:
        """Keep a batch of first attempts that went out together, and have been counted."""
        batch = (now, udp_socket, ids, entries)
        self._first.append(batch)
        self._batches.append(batch)

    def add_later_attempts(self, queries: list[PendingQuery], now: float) -> None:
        """Keep a batch of other attempts, which have been counted."""
        self._batches.append((now, None, [], queries))

    def remove_answered(self, sent_at: Sequence[float]) -> None:
        """Count first attempts no more that were answered, given when each was sent."""
        self.count -= (
            len(sent_at) if min(sent_at) > self._overtaken else self._not_overtaken(sent_at)
        )
        newest = max(sent_at)
        self.newest_answered = max(self.newest_answered, newest)

    def remove_first_attempt(self, sent_at: float) -> None:
        """Count a first attempt no more that leaves the window unanswered."""
        self.count -= self._not_overtaken((sent_at,))

    def remove_later_attempt(self) -> None:
        """Count one of the later attempts no more."""
        self.count -= 1
        self.later -= 1

    def take_overtaken(self, lead: float) -> list[PendingQuery]:
        """Take out what was sent more than `lead` seconds before the newest answered query.

        Return the queries whose latest attempt was among it: they still count.
        """
        # What is sent from now on must be later than that, by the loop's clock.
        limit = self.newest_answered - lead
        queries: list[PendingQuery] = []
        batches = self._batches
        while batches and batches[0][0] <= limit:
            sent_at, udp_socket, ids, entries = batches.popleft()
            self._overtaken = sent_at
            if udp_socket is None:
                # Another server may have been asked since, within one tick of the clock.
                queries += [
                    query
                    for query in cast("list[PendingQuery]", entries)
                    if query.last == sent_at and query.asked[-1:] == [self._number]
                ]
            elif not udp_socket.outstanding.keys().isdisjoint(ids):
                self.count -= sum(map(is_, map(udp_socket.outstanding.get, ids), entries))
        return queries

    def take_late(self, limit: float) -> Iterator[tuple[UdpSocket, int, FirstAttempt]]:
        """Yield the first attempts sent until `limit` that are unanswered, and forget them."""
        first = self._first
        while first and first[0][0] <= limit:
            _, udp_socket, ids, entries = first.popleft()
            outstanding = udp_socket.outstanding.get
            for query_id, entry in zip(ids, entries, strict=True):
                if outstanding(query_id) is entry:
                    yield udp_socket, query_id, entry

    def take_back_sent(self) -> None:
        """Forget what was sent: it has been taken back."""
        self._first.clear()
        self._batches.clear()

    def _not_overtaken(self, sent_at: Sequence[float]) -> int:
        return sum(1 for when in sent_at if when > self._overtaken)
