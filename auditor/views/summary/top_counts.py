"""Counts by key of which only the largest are kept, in bounded memory."""

from __future__ import annotations

import heapq
from typing import TYPE_CHECKING, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MAX_COUNTED_KEYS", "TopCounts"]

K = TypeVar("K", int, str, tuple[str, str])

#: Rows kept at most: as many as a /8 has /24s.
MAX_COUNTED_KEYS: Final = 1 << 16


class TopCounts(Generic[K]):
    """Counts by key, `columns` of them in a row; those of the largest `weight` are kept.

    Exact as long as there are no more than `limit` keys. When there are, the smaller half of
    the rows is dropped (lossy counting): `dropped` rows so far. If one of their keys comes
    again it starts at zero, so the weight of a row may be up to `missed` too low; not in input
    sorted by key.
    """

    def __init__(
        self, columns: int, weight: Callable[[list[int]], int], limit: int = MAX_COUNTED_KEYS
    ) -> None:
        self.rows: dict[K, list[int]] = {}
        self.dropped = self.missed = 0
        self._blank = [0] * columns
        self._weight = weight
        self._limit = limit

    def row(self, key: K) -> list[int]:
        """Return the counts of `key`, to be added to until the next `trim`."""
        row = self.rows.get(key)
        if row is None:
            row = self.rows[key] = self._blank.copy()
        return row

    def trim(self) -> bool:
        """Drop the smaller half if there are too many rows; tell whether there were."""
        if len(self.rows) <= self._limit:
            return False
        weight = self._weight
        # Of equal ones the first stay, whatever the order of a sort.
        order = sorted(self.rows.items(), key=lambda item: -weight(item[1]))
        kept = self._limit // 2
        self.dropped += len(order) - kept
        self.missed += weight(order[kept][1])
        self.rows = dict(order[:kept])
        return True

    def heaviest(
        self, number: int, weight: Callable[[list[int]], int] | None = None
    ) -> list[tuple[K, list[int]]]:
        """Return up to `number` rows of a weight, the heaviest first, equals by their keys.

        `weight`: another one than that by which rows are kept.
        """
        weight = weight or self._weight
        some = [(-weight(row), key, row) for key, row in self.rows.items() if weight(row)]
        return [(key, row) for _, key, row in heapq.nsmallest(number, some)]
