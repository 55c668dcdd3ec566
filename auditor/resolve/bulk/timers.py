"""Retransmission timers of pending queries. Time is an argument."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditor.resolve.bulk.pending_query import PendingQuery

__all__ = ["Timers"]


class _Timer(NamedTuple):
    """When to handle a query again, if it still waits for timer `number`."""

    when: float
    number: int
    query: PendingQuery


class Timers:
    """The timers of all queries: of each query only the one started last is valid."""

    def __init__(self) -> None:
        self._heap: list[_Timer] = []
        self._number = 0

    def start_timer(self, query: PendingQuery, when: float) -> None:
        """Start the timer of a query, which replaces an earlier one."""
        self._number += 1
        query.timer = self._number
        heapq.heappush(self._heap, _Timer(when, self._number, query))

    def due_queries(self, now: float) -> Iterator[PendingQuery]:
        """Yield the queries whose timers are due; timers may be started meanwhile."""
        heap = self._heap
        while heap and heap[0].when <= now:
            _, number, query = heapq.heappop(heap)
            if query.timer == number:
                yield query

    def waiting(self) -> list[PendingQuery]:
        """Return all queries with a timer."""
        return [query for _, number, query in self._heap if query.timer == number]
