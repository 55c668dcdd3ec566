"""Queries in flight to one name server, as its congestion window counts them.

A query counts from when it is sent until it is answered, times out, or is overtaken: once queries
sent much later have been answered, no reply to it can be expected soon. No I/O in here; time is
an argument.
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

    `count`: how many; `later`: how many of them are retransmissions, which `RetryManager`
    subtracts. `newest_answered`: when the newest answered query was sent.
    """

    __slots__ = ("_batches", "_first", "_number", "_overtaken", "count", "later", "newest_answered")

    def __init__(self, number: int) -> None:
        self._number = number
        self.count = 0
        self.later = 0
        self.newest_answered = -math.inf
        #: When the newest overtaken query was sent: earlier ones no longer count, either.
        self._overtaken = -math.inf
        #: Batches that count, in the order sent: of first attempts, or of retransmissions.
        self._batches: deque[
            tuple[float, UdpSocket | None, list[int], Sequence[FirstAttempt | PendingQuery]]
        ] = deque()
        #: Batches of first attempts in the order sent.
        self._first: deque[tuple[float, UdpSocket, list[int], list[FirstAttempt]]] = deque()

    def add_first_attempts(
        self, udp_socket: UdpSocket, ids: list[int], entries: list[FirstAttempt], now: float
    ) -> None:
        """Add a batch of first attempts; the caller adds them to `count`."""
        batch = (now, udp_socket, ids, entries)
        self._first.append(batch)
        self._batches.append(batch)

    def add_later_attempts(self, queries: list[PendingQuery], now: float) -> None:
        """Add a batch of retransmissions; the caller adds them to `count`."""
        self._batches.append((now, None, [], queries))

    def remove_answered(self, sent_at: Sequence[float]) -> None:
        """Subtract answered first attempts, sent at these times."""
        self.count -= (
            len(sent_at) if min(sent_at) > self._overtaken else self._not_overtaken(sent_at)
        )
        newest = max(sent_at)
        self.newest_answered = max(self.newest_answered, newest)

    def remove_first_attempt(self, sent_at: float) -> None:
        """Subtract an unanswered first attempt."""
        self.count -= self._not_overtaken((sent_at,))

    def remove_later_attempt(self) -> None:
        """Subtract one retransmission."""
        self.count -= 1
        self.later -= 1

    def take_overtaken(self, lead: float) -> list[PendingQuery]:
        """Remove attempts sent more than `lead` seconds before the newest answered query.

        Return the queries whose latest attempt was removed: they still count.
        """
        # Attempts sent from now on must be later than that, by the loop's clock.
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
        """Yield the unanswered first attempts sent until `limit`, and forget them."""
        first = self._first
        while first and first[0][0] <= limit:
            _, udp_socket, ids, entries = first.popleft()
            outstanding = udp_socket.outstanding.get
            for query_id, entry in zip(ids, entries, strict=True):
                if outstanding(query_id) is entry:
                    yield udp_socket, query_id, entry

    def take_back_sent(self) -> None:
        """Forget all queries in flight, which will be sent again."""
        self._first.clear()
        self._batches.clear()

    def _not_overtaken(self, sent_at: Sequence[float]) -> int:
        return sum(1 for when in sent_at if when > self._overtaken)
