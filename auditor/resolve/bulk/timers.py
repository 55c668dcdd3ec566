"""Timers of pending queries. No clock in here: calls are told the time."""

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
    """The timers of all queries: each waits for the one that was started last, or for none."""

    def __init__(self) -> None:
        self._heap: list[_Timer] = []
        self._number = 0

    def start_timer(self, query: PendingQuery, when: float) -> None:
        """Schedule a query for a time."""
        self._number += 1
        query.timer = self._number
        heapq.heappush(self._heap, _Timer(when, self._number, query))

    def due_queries(self, now: float) -> Iterator[PendingQuery]:
        """Yield the queries whose time has come; more may be started meanwhile."""
        heap = self._heap
        while heap and heap[0].when <= now:
            _, number, query = heapq.heappop(heap)
            if query.timer == number:
                yield query

    def waiting(self) -> list[PendingQuery]:
        """Return all queries that wait."""
        return [query for _, number, query in self._heap if query.timer == number]
