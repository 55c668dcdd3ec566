"""Distinguishes bogus data (DNSSEC) from other causes of SERVFAIL, by repeating queries with CD.

A validating resolver answers SERVFAIL for bogus data (RFC 4035 §5.5), and returns the data to
clients that set CD (§3.2.2). A failure that has passed meanwhile looks the same, so a name that is
answered with CD is queried once more without, after the resolver's cache of failures has expired;
if failures pass now and then, in several such rounds, until chance cannot explain it. No I/O; time
is an argument.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from auditor.resolve.bulk.pending_query import Check
from auditor.wire.codes import BOGUS, SERVFAIL, SETTLED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.resolve.answer import Answer
    from auditor.resolve.bulk.pending_query import PendingQuery
    from auditor.resolve.bulk.server.nameserver import NameServer

__all__ = ["FAILURE_CACHED_S", "DnssecChecks", "rounds_needed"]

#: Names of a zone that failed with CD as well, none answered, after which no more of them are
#: queried with CD: the zone's servers fail, not its signatures.
_MAX_FAILED_NAMES: Final = 16
_MAX_ZONES: Final = 65_536

#: The accepted probability that a valid name is reported as bogus by chance.
_FALSE_ALARM_PROBABILITY: Final = 1e-6

#: Rounds after which the check of a name ends without a result.
_MAX_ROUNDS: Final = 32

#: Assumed answers before there are counts of a server.
_ASSUMED_ANSWERS: Final = 50

#: Seconds for which resolvers cache a failure: at least one (RFC 9520 §3.2), BIND's `servfail-ttl`.
FAILURE_CACHED_S: Final = 1.1


def rounds_needed(answered: float, passed: float) -> int:
    """Return how often a name must be answered with CD set, and fail without, to be bogus.

    `answered`: recent answers of a server; `passed`: those to questions that had failed before. A
    valid name would have to fail twice before and in each round, each time with that probability.
    """
    share = (passed + 1) / (answered + _ASSUMED_ANSWERS)
    return max(math.ceil(math.log(_FALSE_ALARM_PROBABILITY) / math.log(share)) - 2, 1)


class DnssecChecks:
    """Decides whether a SERVFAIL is final or due to bogus data. `zone_of`: the zone of a name.

    `is_off`: the servers are authoritative and do not validate, so there is no check.
    """

    def __init__(self, zone_of: Callable[[str], str], nameservers: Sequence[NameServer]) -> None:
        self.is_off = False
        self._nameservers = nameservers
        self._zone_of = zone_of
        #: By zone: names that failed with CD set, -1 once one was answered.
        self._failed_with_cd: dict[str, int] = {}
        #: Zones with bogus names: for further names one round without waiting is enough.
        self._bogus: set[str] = set()

    def judge(self, query: PendingQuery, answer: Answer, now: float) -> Answer | None:
        """Return the final answer to a query that has received `answer`.

        None if it is to be repeated, from `query.ripe_at` on.
        """
        if query.check is Check.NONE:
            # SERVFAIL with a chain is our own status for a chain that is too long.
            is_doubtful = answer.status == SERVFAIL and not answer.chain
            return None if is_doubtful and self._begin_check(query, answer, now) else answer
        failure = query.failure or answer
        if query.check is Check.CONFIRM:
            return self._judge_round(query, answer, failure, now)
        zone = self._zone_of(query.question.name)
        if answer.status not in SETTLED:
            self._note_cd_failure(zone)
            return failure
        self._failed_with_cd[zone] = -1
        query.denied_by, query.check = answer.zone, Check.CONFIRM
        if not self._is_bogus(query):
            query.ripe_at = query.check_began + FAILURE_CACHED_S
        return None

    def is_final_failure(self, query: PendingQuery) -> bool:
        """Tell whether a failure with CD set is final: if failures do not pass."""
        return query.check is Check.DISABLED and self._rounds() == 1

    def _judge_round(
        self, query: PendingQuery, answer: Answer, failure: Answer, now: float
    ) -> Answer | None:
        """Return the final answer after a query with CD, and then `answer` without; or None."""
        if answer.status != SERVFAIL:
            # A timeout, for example, is inconclusive: the first failure is final.
            return answer if answer.status in SETTLED else failure
        query.confirmed += 1
        if self._is_bogus(query) or query.confirmed >= self._rounds():
            if len(self._bogus) < _MAX_ZONES:
                self._bogus.add(self._zone_of(query.question.name))
            return failure._replace(status=BOGUS, zone=query.denied_by)
        if query.confirmed >= _MAX_ROUNDS:
            return failure
        query.check, query.check_began, query.ripe_at = Check.DISABLED, now, now
        return None

    def _begin_check(self, query: PendingQuery, answer: Answer, now: float) -> bool:
        """Prepare a failed query to be repeated with CD; return False if that is useless."""
        if (
            self.is_off
            or self._failed_with_cd.get(self._zone_of(query.question.name), 0) >= _MAX_FAILED_NAMES
        ):
            return False
        query.failure = answer
        query.check, query.check_began, query.ripe_at = Check.DISABLED, now, now
        return True

    def _is_bogus(self, query: PendingQuery) -> bool:
        """Tell whether other names of the zone are bogus, and failures do not pass."""
        passing = any(
            nameserver.limits.pressure.history.passed_lately for nameserver in self._nameservers
        )
        return not passing and self._zone_of(query.question.name) in self._bogus

    def _rounds(self) -> int:
        histories = [nameserver.limits.pressure.history for nameserver in self._nameservers]
        return max(
            rounds_needed(history.answered_lately, history.passed_lately) for history in histories
        )

    def _note_cd_failure(self, zone: str) -> None:
        if len(self._failed_with_cd) >= _MAX_ZONES:
            self._failed_with_cd.clear()
        failed = self._failed_with_cd.get(zone, 0)
        if failed >= 0:
            self._failed_with_cd[zone] = failed + 1
