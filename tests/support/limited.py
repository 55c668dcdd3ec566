"""Resolvers with limits, for the simulated network: so many at a time, so many a second.

A behaviour takes a `Query` and returns replies; it is told the time by the query.
"""

from __future__ import annotations

import heapq
from bisect import bisect
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from support.simnet import RTT, Reply, respond

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Sequence

    from support.simnet import Query

__all__ = [
    "AT_ONCE",
    "REFUSED",
    "SERVFAIL",
    "AtATime",
    "PerSecond",
    "broken_zones",
    "dark",
    "on_busy_machine",
    "varying",
]

SERVFAIL: Final = 2
REFUSED: Final = 5

#: Seconds until a resolver that does not look anything up has replied.
AT_ONCE: Final = 0.0002

#: Seconds between two looks at what has arrived, on a machine that has other work.
_READ_EVERY_S: Final = 0.003


class AtATime:
    """Looks up `limit` names at a time, each in `seconds`; says `rcode` beyond, or nothing.

    It says so again of the same name for `remembers` seconds, as BIND does (RFC 9520).
    `most` is how many were under way at most, `beyond` how many queries were not looked up.
    """

    def __init__(
        self,
        limit: int,
        rcode: int | None = None,
        *,
        seconds: float = RTT,
        remembers: float = 0.0,
        within: Callable[[Query], Sequence[Reply]] | None = None,
    ) -> None:
        self.limit = limit
        self.beyond = self.most = 0
        self._remembers = remembers
        self._failed_until: dict[str, float] = {}
        self._rcode = rcode
        self._seconds = seconds
        self._within = within
        self._ends: list[float] = []

    def __call__(self, query: Query) -> Sequence[Reply]:
        ends = self._ends
        while ends and ends[0] <= query.now:
            heapq.heappop(ends)
        if query.now < self._failed_until.get(query.name, 0.0):
            return _beyond(query, self._rcode)
        if len(ends) >= self.limit:
            self.beyond += 1
            self._failed_until[query.name] = query.now + self._remembers
            return _beyond(query, self._rcode)
        replies = _looked_up(query, self._seconds, self._within)
        heapq.heappush(ends, query.now + (replies[0].after if replies else self._seconds))
        self.most = max(self.most, len(ends))
        return replies


class PerSecond:
    """Takes `limit` queries in each second of the clock; says `rcode` beyond, or nothing.

    Of those beyond, every `factor`-th is taken all the same, as Unbound does; 0 for none.
    """

    def __init__(
        self,
        limit: int,
        rcode: int | None = None,
        *,
        seconds: float = RTT,
        factor: int = 0,
        within: Callable[[Query], Sequence[Reply]] | None = None,
    ) -> None:
        self.limit = limit
        self.beyond = 0
        self._rcode = rcode
        self._seconds = seconds
        self._factor = factor
        self._within = within
        self._second = -1
        self._taken = 0

    def __call__(self, query: Query) -> Sequence[Reply]:
        if int(query.now) != self._second:
            self._second, self._taken = int(query.now), 0
        self._taken += 1
        over = self._taken - self.limit
        if over > 0 and not (self._factor and over % self._factor == 0):
            self.beyond += 1
            return _beyond(query, self._rcode)
        return _looked_up(query, self._seconds, self._within)


def broken_zones(
    is_broken: Callable[[str], bool], rcode: int | None = SERVFAIL, *, seconds: float = RTT
) -> Callable[[Query], Sequence[Reply]]:
    """Return a server that says `rcode`, or nothing, about names that are broken."""

    def answer(query: Query) -> Sequence[Reply]:
        if not is_broken(query.name):
            return [Reply(seconds, respond(query))]
        return [] if rcode is None else [Reply(seconds, respond(query, rcode))]

    return answer


def varying(
    seconds: float, chance: random.Random, *, slow: float = 0.002
) -> Callable[[Query], Sequence[Reply]]:
    """Return a server that takes so long and a little more, and sometimes 0.8 seconds."""

    def answer(query: Query) -> Sequence[Reply]:
        after = seconds + chance.expovariate(1000.0) + 0.8 * (chance.random() < slow)
        return [Reply(after, respond(query))]

    return answer


def on_busy_machine(
    behaviour: Callable[[Query], Sequence[Reply]], chance: random.Random, start: float
) -> Callable[[Query], Sequence[Reply]]:
    """Return a server whose replies are read some milliseconds' worth at a time.

    Every few seconds after `start` none is read for up to 80 ms.
    """
    gaps = [start, *(chance.expovariate(1 / 2.5) for _ in range(1000))]
    stops = list(accumulate(gaps))
    ends = [stop + chance.uniform(0.02, 0.08) for stop in stops]

    def read_at(when: float) -> float:
        when = (int(when / _READ_EVERY_S) + 1) * _READ_EVERY_S
        return max(when, ends[bisect(stops, when) - 1])

    def answer(query: Query) -> Sequence[Reply]:
        return [
            reply._replace(after=read_at(query.now + reply.after) - query.now)
            for reply in behaviour(query)
        ]

    return answer


def dark(
    behaviour: Callable[[Query], Sequence[Reply]], *outages: tuple[float, float], start: float
) -> Callable[[Query], Sequence[Reply]]:
    """Return a server to which the link is down from and until seconds after `start`."""

    def is_down(when: float) -> bool:
        return any(start + begin <= when < start + end for begin, end in outages)

    def answer(query: Query) -> Sequence[Reply]:
        if is_down(query.now):
            return []
        return [reply for reply in behaviour(query) if not is_down(query.now + reply.after)]

    return answer


def _looked_up(
    query: Query, seconds: float, within: Callable[[Query], Sequence[Reply]] | None
) -> Sequence[Reply]:
    return within(query) if within is not None else [Reply(seconds, respond(query))]


def _beyond(query: Query, rcode: int | None) -> Sequence[Reply]:
    return [] if rcode is None else [Reply(AT_ONCE, respond(query, rcode))]
