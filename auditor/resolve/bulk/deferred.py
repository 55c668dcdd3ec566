"""Defers queries that failed until it is known whether the name or the server's load caused it.

`Pressure` decides that for each server; the queries wait here. No clock and no socket in here.
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

#: What resolvers also say when they are asked too much.
DOUBTFUL: Final = frozenset({REFUSED, SERVFAIL})


#: Seconds without anything lost to a limit after which a second failure is believed.
_CALM_S: Final = 3.0

#: Seconds for which a resolver may repeat a failure: Unbound, when its servers did not answer it.
_FAILURE_REPEATED_S: Final = 5.5

#: Round trips after a trial in which its few queries are still what is answered.
_AFTER_TRIAL_ROUND_TRIPS: Final = 2


#: A failure is slow from so many seconds and timeouts on.
_MIN_SLOW_S: Final = 0.3
_SLOW_TIMEOUTS: Final = 2

#: Seconds between two moments of a trial in which queries that fail slowly are sent, at least.
_SLOW_INTERVAL_S: Final = 0.02


class TrialEnd(NamedTuple):
    """Outcome of asking a server again: `persisted` failed once more, `parked` still wait."""

    nameserver: NameServer
    verdict: Verdict
    persisted: list[PendingQuery]
    parked: list[PendingQuery]


class Deferred:
    """What is put aside, by server.

    `dead` tells whether a name's zone has answered before; `probes` takes the servers to be asked
    for a name that cannot exist.
    """

    def __init__(
        self, nameservers: Sequence[NameServer], dead: DeadZones, probes: list[NameServer]
    ) -> None:
        self._nameservers = nameservers
        self._dead = dead
        self._probes = probes
        self._parked: dict[int, deque[PendingQuery]] = {}
        #: Those that failed again in the trial that is going on.
        self._persisted: dict[int, list[PendingQuery]] = {}

    def __len__(self) -> int:
        """Return how many are put aside."""
        return sum(map(len, self._parked.values())) + sum(map(len, self._persisted.values()))

    def judge(
        self, query: PendingQuery, nameserver: NameServer, sent_at: float, now: float, status: str
    ) -> Belief:
        """Judge a failure that a server has just given, in reply to a query sent then."""
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
            # It may only say again what it has found before.
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
            # A server that counts by the second may have been asked enough for this one.
            later = status == SERVFAIL or nameserver.limits.pressure.is_paced
            query.ripe_at = now + (FAILURE_CACHED_S if later else 0.0)
            if belief is Belief.AGAIN and tried is not None:
                query.ripe_at = now + _FAILURE_REPEATED_S
            nameserver.cool(now)
        return belief

    def defer_query(self, query: PendingQuery, nameserver: NameServer, belief: Belief) -> None:
        """Put a query aside until a trial has been made."""
        if belief is Belief.PERSISTED:
            self._persisted.setdefault(nameserver.number, []).append(query)
        else:
            self._parked.setdefault(nameserver.number, deque()).append(query)

    def take_for_trial(self, nameserver: NameServer, most: int, now: float) -> list[PendingQuery]:
        """Take queries that a trial asks again, up to `most`."""
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
        """Take out all that a server was to be asked again."""
        nameserver.limits.pressure.forget_doubts()
        return [*self._take_persisted(nameserver), *self._take_parked(nameserver)]

    def poll_trials(self, now: float, *, idle: bool) -> list[TrialEnd]:
        """Let each server's trial begin or end; return those that have ended."""
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
    """Return the seconds that a failure took, 0 if not much more than an answer takes.

    The first time, others must have been answered that were asked for no earlier: else it is the
    server that is slow.
    """
    took = now - sent_at
    is_slow = took > max(_MIN_SLOW_S, _SLOW_TIMEOUTS * nameserver.round_trip.timeout)
    is_known = nameserver.number in query.doubted_by
    others = is_known or nameserver.presence.answered_until >= sent_at
    return took if is_slow and others else 0.0


def _deferred(queries: Iterable[PendingQuery]) -> list[PendingQuery]:
    """Return those that are still put aside, each once: an earlier attempt at others was slow."""
    return [query for query in dict.fromkeys(queries) if query.state is QueryState.DEFERRED]
