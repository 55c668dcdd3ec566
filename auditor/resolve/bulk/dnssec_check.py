"""Tells bogus data (DNSSEC) from other causes of SERVFAIL: the query is repeated with CD set.

A validating resolver answers SERVFAIL for data that DNSSEC says is bogus (RFC 4035 §5.5), and
gives the data to clients that set CD (§3.2.2). A failure that has passed meanwhile looks the same,
so a name that is answered with CD is asked once more without, later than a resolver repeats a
failure; and where failures pass now and then, in several such rounds, until chance cannot explain
it. No clock and no socket in here: calls are told the time.
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

#: Names of a zone that failed with CD as well, none answered, after which no more of them are asked
#: with CD: the zone's servers fail, whatever its signatures are.
_MAX_FAILED_NAMES: Final = 16
_MAX_ZONES: Final = 65_536

#: The accepted probability that a sound name is taken for bogus by chance.
_FALSE_ALARM_PROBABILITY: Final = 1e-6

#: Rounds after which it stays unknown whether a name is bogus.
_MAX_ROUNDS: Final = 32

#: Answers that are taken to have been given before anything is known of a server.
_SUPPOSED_ANSWERS: Final = 50

#: Seconds for which resolvers answer again with the failure that they have found: one at least
#: (RFC 9520 §3.2), BIND's `servfail-ttl`.
FAILURE_CACHED_S: Final = 1.1


def rounds_needed(answered: float, passed: float) -> int:
    """Return how often a name must be answered with CD set, and fail without, to be bogus.

    `answered`: what a server has answered lately, of which so many had `passed`: failed before. A
    sound name has failed twice by then, and fails in each round, each time by that chance.
    """
    share = (passed + 1) / (answered + _SUPPOSED_ANSWERS)
    return max(math.ceil(math.log(_FALSE_ALARM_PROBABILITY) / math.log(share)) - 2, 1)


class DnssecChecks:
    """Decides whether a failure is the last word. `zone_of`: what fails together with a name.

    Not if it `is_off`: the servers are authoritative, and do not validate.
    """

    def __init__(self, zone_of: Callable[[str], str], nameservers: Sequence[NameServer]) -> None:
        self.is_off = False
        self._nameservers = nameservers
        self._zone_of = zone_of
        #: By zone: names that failed with CD set, -1 once one was answered.
        self._in_vain: dict[str, int] = {}
        #: Zones with bogus names: of the next ones a round is enough, at once.
        self._bogus: set[str] = set()

    def judge(self, query: PendingQuery, answer: Answer, now: float) -> Answer | None:
        """Return the final answer to a query that has got `answer`.

        None: it is to be asked again, from `query.ripe_at` on.
        """
        if query.check is Check.NONE:
            # A chain that is too long is SERVFAIL by our own word.
            is_doubtful = answer.status == SERVFAIL and not answer.chain
            return None if is_doubtful and self._begins(query, answer, now) else answer
        failure = query.failure or answer
        if query.check is Check.CONFIRM:
            return self._judge_round(query, answer, failure, now)
        zone = self._zone_of(query.question.name)
        if answer.status not in SETTLED:
            self._note(zone)
            return failure
        self._in_vain[zone] = -1
        query.denied_by, query.check = answer.zone, Check.CONFIRM
        if not self._is_bogus(query):
            query.ripe_at = query.check_began + FAILURE_CACHED_S
        return None

    def is_believed(self, query: PendingQuery) -> bool:
        """Tell whether a failure with CD set is the last word: where failures do not pass."""
        return query.check is Check.DISABLED and self._rounds() == 1

    def _judge_round(
        self, query: PendingQuery, answer: Answer, failure: Answer, now: float
    ) -> Answer | None:
        """Return the final answer after a round: one with CD, and then `answer` without."""
        if answer.status != SERVFAIL:
            # Silence, say, tells nothing: the failure stands, whatever its reason.
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

    def _begins(self, query: PendingQuery, answer: Answer, now: float) -> bool:
        """Have a query that failed with `answer` asked with CD set, unless that is useless."""
        if (
            self.is_off
            or self._in_vain.get(self._zone_of(query.question.name), 0) >= _MAX_FAILED_NAMES
        ):
            return False
        query.failure = answer
        query.check, query.check_began, query.ripe_at = Check.DISABLED, now, now
        return True

    def _is_bogus(self, query: PendingQuery) -> bool:
        """Tell whether names of the same zone are, of a server whose failures do not pass."""
        passing = any(
            nameserver.limits.pressure.history.passed_lately for nameserver in self._nameservers
        )
        return not passing and self._zone_of(query.question.name) in self._bogus

    def _rounds(self) -> int:
        histories = [nameserver.limits.pressure.history for nameserver in self._nameservers]
        return max(
            rounds_needed(history.answered_lately, history.passed_lately) for history in histories
        )

    def _note(self, zone: str) -> None:
        if len(self._in_vain) >= _MAX_ZONES:
            self._in_vain.clear()
        failed = self._in_vain.get(zone, 0)
        if failed >= 0:
            self._in_vain[zone] = failed + 1
