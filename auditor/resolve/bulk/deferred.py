"""Defers failed queries until it is known whether the name or the server's load was the cause.

`Pressure` decides that for each server; the queries wait here. No I/O; time is an argument.
"""

from __future__ import annotations

from collections import deque
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.resolve.bulk.dnssec_check import FAILURE_CACHED_S
from auditor.resolve.bulk.pending_query import Check, QueryState
from auditor.resolve.bulk.retry_policy import slow_wait
from auditor.resolve.bulk.server.trial import Belief, Verdict
from auditor.wire.codes import REFUSED, SERVFAIL

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from auditor.resolve.bulk.dead_zones import DeadZones
    from auditor.resolve.bulk.pending_query import PendingQuery
    from auditor.resolve.bulk.server.nameserver import NameServer

__all__ = ["DOUBTFUL", "Deferred", "TrialEnd"]

#: Statuses that resolvers also return under overload.
DOUBTFUL: Final = frozenset({REFUSED, SERVFAIL})


#: Seconds without loss to a limit after which a second failure is final.
_CALM_S: Final = 3.0

#: Seconds for which a resolver may cache a failure (RFC 9520): Unbound, after upstream timeouts.
_FAILURE_REPEATED_S: Final = 5.5

#: RTTs after a trial during which mostly its few queries are answered.
_AFTER_TRIAL_ROUND_TRIPS: Final = 2


#: A failure is slow after more than so many seconds and retransmission timeouts.
_MIN_SLOW_S: Final = 0.3
_SLOW_TIMEOUTS: Final = 2

#: Least seconds between two batches of slowly failing queries in a trial.
_SLOW_INTERVAL_S: Final = 0.02


class TrialEnd(NamedTuple):
    """Outcome of a trial: `persisted` queries failed again, `parked` ones were not repeated."""

    nameserver: NameServer
    verdict: Verdict
    persisted: list[PendingQuery]
    parked: list[PendingQuery]


class Deferred:
    """Deferred queries by server.

    `dead` knows whether a name's zone has answered before; servers to be probed are added to
    `probes`.
    """

    def __init__(
        self, nameservers: Sequence[NameServer], dead: DeadZones, probes: list[NameServer]
    ) -> None:
        self._nameservers = nameservers
        self._dead = dead
        self._probes = probes
        self._parked: dict[int, deque[PendingQuery]] = {}
        #: Queries that failed again in the current trial.
        self._persisted: dict[int, list[PendingQuery]] = {}

    def __len__(self) -> int:
        """Return how many queries are deferred."""
        return sum(map(len, self._parked.values())) + sum(map(len, self._persisted.values()))

    def judge(
        self, query: PendingQuery, nameserver: NameServer, sent_at: float, now: float, status: str
    ) -> Belief:
        """Classify a failure with this status, in reply to a query sent then."""
        has_failed_here = nameserver.number in query.doubted_by
        is_second = has_failed_here or query.check is not Check.NONE
        tried = query.pressure if is_second else None
        calm = not nameserver.was_limited(now - _CALM_S, now)
        slow_s = _slow_s(query, nameserver, sent_at, now)
        if slow_s:
            query.slow_s, query.slow_at = max(query.slow_s, slow_s), now
        elif (
            has_failed_here
            and query.check is Check.NONE
            and status == SERVFAIL
            and now < query.slow_at + _FAILURE_REPEATED_S
        ):
            # It may be a cached failure.
            query.ripe_at = query.slow_at + _FAILURE_REPEATED_S
            return Belief.DOUBTFUL
        is_new = tried is None or now - query.failed_at < _FAILURE_REPEATED_S
        belief = nameserver.limits.pressure.on_failure(
            nameserver.in_flight.count,
            sent_at,
            now,
            tried=tried,
            calm=calm,
            alive=self._dead.is_alive(query.question.name),
            slow=slow_s > 0,
            early=status == SERVFAIL and is_new,
        )
        if belief is not Belief.OWN:
            if tried is None:
                query.failed_at = now
            if not has_failed_here:
                query.doubted_by.append(nameserver.number)
            # A rate limit counted by the second may be used up until the next second.
            later = status == SERVFAIL or nameserver.limits.pressure.is_paced
            query.ripe_at = now + (FAILURE_CACHED_S if later else 0.0)
            if belief is Belief.AGAIN and tried is not None:
                query.ripe_at = now + _FAILURE_REPEATED_S
            nameserver.cool(now)
        return belief

    def defer_query(self, query: PendingQuery, nameserver: NameServer, belief: Belief) -> None:
        """Defer a query until a trial has ended."""
        if belief is Belief.PERSISTED:
            self._persisted.setdefault(nameserver.number, []).append(query)
        else:
            self._parked.setdefault(nameserver.number, deque()).append(query)

    def take_for_trial(self, nameserver: NameServer, most: int, now: float) -> list[PendingQuery]:
        """Take up to `most` queries to be repeated in a trial."""
        parked = self._parked.get(nameserver.number)
        trial = nameserver.limits.pressure.trial
        if not parked or trial is None:
            return []
        ripe = takewhile(lambda query: query.ripe_at <= now, islice(parked, most))
        most = len(list(ripe))
        if most and parked[0].slow_s and nameserver.limits.pressure.are_slow_few:
            interval = max(2 * (nameserver.round_trip.smoothed or 0.0), _SLOW_INTERVAL_S)
            most = trial.take_slow(most, interval, now)
        taken = _deferred([parked.popleft() for _ in range(most)])
        slowest = max((query.slow_s for query in taken), default=0.0)
        if slowest:
            until = now + slow_wait(slowest, nameserver.round_trip.timeout)
            trial.slow_until = max(trial.slow_until, until)
        trial.taken += len(taken)
        return taken

    def release(self, nameserver: NameServer) -> list[PendingQuery]:
        """Remove and return all deferred queries of a server."""
        nameserver.limits.pressure.forget_doubts()
        return [*self._take_persisted(nameserver), *self._take_parked(nameserver)]

    def poll_trials(self, now: float, *, idle: bool) -> list[TrialEnd]:
        """Begin or end the trial of each server if it is time; return those that have ended."""
        ended: list[TrialEnd] = []
        for nameserver in self._nameservers:
            pressure = nameserver.limits.pressure
            parked: Sequence[PendingQuery] = self._parked.get(nameserver.number, ())
            if not parked and pressure.is_calm:
                continue
            ripe = bool(parked) and parked[0].ripe_at <= now
            count = nameserver.in_flight.count
            verdict = pressure.poll_trial(now, count, len(parked), ripe=ripe, idle=idle)
            if verdict is not None or pressure.trial is not None:
                usual = nameserver.round_trip.smoothed or 0.0
                nameserver.window.disregard(now + _AFTER_TRIAL_ROUND_TRIPS * usual, now)
            if verdict in {Verdict.BEGUN, Verdict.CHECKED}:
                self._probes.append(nameserver)
            elif verdict is not None:
                ended.append(self._end(verdict, nameserver))
        return ended

    def _end(self, verdict: Verdict, nameserver: NameServer) -> TrialEnd:
        persisted = self._take_persisted(nameserver)
        if verdict is Verdict.IN_VAIN:
            self._parked.setdefault(nameserver.number, deque()).extend(persisted)
            return TrialEnd(nameserver, verdict, [], [])
        return TrialEnd(nameserver, verdict, persisted, self._take_parked(nameserver))

    def _take_persisted(self, nameserver: NameServer) -> list[PendingQuery]:
        return _deferred(self._persisted.pop(nameserver.number, ()))

    def _take_parked(self, nameserver: NameServer) -> list[PendingQuery]:
        return _deferred(self._parked.pop(nameserver.number, ()))


def _slow_s(query: PendingQuery, nameserver: NameServer, sent_at: float, now: float) -> float:
    """Return the seconds that a failure took, 0 if it was not slow.

    For a first failure, a query sent no earlier must have been answered: otherwise the server
    may be slow.
    """
    took = now - sent_at
    is_slow = took > max(_MIN_SLOW_S, _SLOW_TIMEOUTS * nameserver.round_trip.timeout)
    is_known = nameserver.number in query.doubted_by
    others = is_known or nameserver.presence.answered_until >= sent_at
    return took if is_slow and others else 0.0


def _deferred(queries: Iterable[PendingQuery]) -> list[PendingQuery]:
    """Return the queries that are still deferred, each once; others were answered late."""
    return [query for query in dict.fromkeys(queries) if query.state is QueryState.DEFERRED]
