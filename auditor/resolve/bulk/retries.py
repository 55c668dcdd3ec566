"""Pending queries that need a retransmission: their timers, the retry queue, and their states.

`retry_policy` decides, the engine sends. Every change of a query's state is made here. No I/O;
time is an argument.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any, Final, cast

from auditor.resolve.answer import Answer
from auditor.resolve.bulk import retry_policy
from auditor.resolve.bulk.answered_tries import is_in_vain, is_open, learn_from_answer, waits_for
from auditor.resolve.bulk.dead_zones import DeadZones
from auditor.resolve.bulk.deferred import DOUBTFUL, Deferred
from auditor.resolve.bulk.dnssec_check import DnssecChecks
from auditor.resolve.bulk.pending_query import Attempt, Check, PendingQuery, QueryEvent, QueryState
from auditor.resolve.bulk.retry_policy import Action, Decision, RetryPolicy
from auditor.resolve.bulk.server.nameserver import Health
from auditor.resolve.bulk.server.trial import Belief, Verdict
from auditor.resolve.bulk.silences import SilenceMonitor
from auditor.resolve.bulk.timers import Timers
from auditor.resolve.bulk.udp.outstanding import ANSWERED, FIRST_ENTRY, LATE, LATER_ENTRY
from auditor.wire.codes import SERVFAIL, SETTLED, TIMEOUT, TRUNCATED, UNREACHABLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.resolve.bulk.server.nameserver import NameServer
    from auditor.resolve.bulk.udp.outstanding import FirstAttempt, UdpSocket

__all__ = ["RetryManager"]

#: Most queued queries skipped for one batch: if many wait for one server, the batches of others
#: must not iterate over all of them.
_MAX_SKIPPED: Final = 1024

#: Least seconds until a refused question is repeated.
_MIN_RETRY_S: Final = 0.05

#: How often a question lost to a limit is repeated with all its attempts.
_MAX_ROUNDS: Final = 3

#: Seconds without high loss after which the limits count as respected.
_KEPT_S: Final = 1.5

#: Seconds between two timeouts of a query while its server answers nothing.
_SERVER_WAIT_S: Final = 0.25


class RetryManager:
    """All pending queries of a run.

    `retry_queue`: those to be sent again, in order. Events for the engine, which removes them:
    `finished`, queries with their answers; `over_tcp`, queries to be sent over TCP; `probes`,
    servers to be probed.
    """

    def __init__(self, policy: RetryPolicy, nameservers: Sequence[NameServer]) -> None:
        self.finished: list[tuple[PendingQuery, Answer]] = []
        self.over_tcp: list[PendingQuery] = []
        self.probes: list[NameServer] = []
        self.retry_queue: deque[PendingQuery] = deque()
        self.dead = DeadZones()
        self._silence_monitor = SilenceMonitor(self.dead, self.probes)
        self.deferred = Deferred(nameservers, self.dead, self.probes)
        self._policy = policy
        self._nameservers = nameservers
        self._timers = Timers()
        self.dnssec_checks = DnssecChecks(self.dead.zone_of, nameservers)

    def clear(self) -> None:
        """Drop all pending queries."""
        for pending in (self.retry_queue, self.finished, self.over_tcp, self.probes):
            pending.clear()

    def make_pending(
        self, nameserver: NameServer, udp_socket: UdpSocket, query_id: int, entry: FirstAttempt
    ) -> PendingQuery:
        """Turn a first attempt into a pending query; it no longer counts in the window."""
        question, deliver, asked, sent_at = entry
        query = PendingQuery(question, deliver)
        query.on_sent(nameserver.number, sent_at)
        query.tries.append(Attempt(nameserver.number, udp_socket, query_id, sent_at))
        udp_socket.outstanding[query_id] = (query, asked)
        nameserver.in_flight.remove_first_attempt(sent_at)
        return query

    def on_overtaken(self, nameserver: NameServer) -> None:
        """Remove overtaken queries from a server's window, to make room for others."""
        for query in nameserver.overtaken():
            if query.state is QueryState.IN_FLIGHT:
                self._nameservers[query.asked[-1]].in_flight.remove_later_attempt()
                query.advance(QueryEvent.OVERTAKEN)

    def on_first_attempts_late(self, nameserver: NameServer, now: float) -> None:
        """Handle first attempts of a server that have timed out."""
        for udp_socket, query_id, entry in nameserver.late(now):
            if entry[3] > nameserver.presence.answered_until:
                self._silence_monitor.on_server_silence(nameserver, entry[0].name, entry[3], now)
            self._on_timeout(self.make_pending(nameserver, udp_socket, query_id, entry), now)

    def on_timers(self, now: float) -> None:
        """Handle the queries whose timers are due."""
        self._silence_monitor.judge(now)
        for query in self._timers.due_queries(now):
            if query.state is QueryState.DEFERRED:
                self._requeue(query)
                continue
            nameserver = self._nameservers[query.asked[-1]]
            if query.is_asked:
                self._silence_monitor.on_timeout(nameserver, query.question.name, query.last, now)
            self._move(query, QueryEvent.TIMED_OUT)
            self._on_timeout(query, now)

    def repeat_after_outage(self, nameserver: NameServer) -> None:
        """Repeat the questions sent to a server during its outage."""
        if nameserver.presence.outage is not None:
            self.ask_again(nameserver, *nameserver.presence.outage)
            nameserver.presence.outage = None

    def ask_again(self, nameserver: NameServer, since: float, until: float) -> None:
        """Repeat the unanswered questions of a period in which a server could not answer."""
        self.dead.forget_since(since)
        self._silence_monitor.forget_silences(nameserver, since, until)
        for query in self._timers.waiting():
            if (
                query.is_unanswered
                and query.asked[-1:] == [nameserver.number]
                and since <= query.last <= until
            ):
                self._requeue(query)

    def poll_deferred(self, now: float, *, idle: bool) -> None:
        """Handle deferred queries of trials that have shown the cause of failures."""
        for nameserver, verdict, persisted, parked in self.deferred.poll_trials(now, idle=idle):
            if verdict is Verdict.OVERLOAD:
                nameserver.limits.on_overload(now)
                for query in (*persisted, *parked):
                    query.best = None
                    self._requeue_when_ripe(query, now)
                continue
            for query in parked:
                if verdict is Verdict.HOPELESS or self._failed_like_zone(query, now):
                    persisted.append(query)
                else:
                    self._requeue_when_ripe(query, now)
            for query in persisted:
                answer, hopeless = query.best or Answer(SERVFAIL), self._is_dead(query, now)
                self._decide(query, answer, nameserver.number, now, hopeless=hopeless)

    def take_next_for(self, nameserver: NameServer, most: int, now: float) -> list[PendingQuery]:
        """Take up to `most` queries for this server from the retry queue.

        Queries whose zone has died in the meantime are not sent again.
        """
        queue = self.retry_queue
        usable = self._usable()
        chosen = self.deferred.take_for_trial(nameserver, most, now)
        others: list[PendingQuery] = []
        while queue and len(chosen) < most and len(others) < _MAX_SKIPPED:
            query = queue.popleft()
            if query.state is not QueryState.QUEUED:
                continue
            if self.dead.has_dead and is_in_vain(query, self.dead, now):
                self._move(query, QueryEvent.TIMED_OUT)
                self._on_timeout(query, now)
            else:
                mine = retry_policy.may_ask(query, nameserver.number, usable)
                (chosen if mine else others).append(query)
        queue.extendleft(reversed(others))
        return list(dict.fromkeys(chosen))  # a query may be queued twice

    def on_sent_once(self, query: PendingQuery, attempt: Attempt) -> None:
        """Note that a question of a dead zone was sent, outside of the congestion window.

        No reply is expected, so it uses no room, and has one timeout.
        """
        query.tries.append(attempt)
        query.on_sent(attempt.server, attempt.when)
        self._move(query, QueryEvent.SENT_ONCE)
        self._timers.start_timer(query, attempt.when + self._policy.timeout)

    def on_sent(self, query: PendingQuery, attempt: Attempt) -> None:
        """Note that a query was retransmitted."""
        nameserver = self._nameservers[attempt.server]
        query.tries.append(attempt)
        query.pressure = nameserver.in_flight.count
        self._start_waiting(query, nameserver, attempt.when)

    def on_unsent(self, query: PendingQuery, nameserver: NameServer, now: float) -> None:
        """Note that the kernel rejected a query's packet, which counts as a try without a reply."""
        retry_policy.on_unsent(query)
        self._start_waiting(query, nameserver, now)

    def on_reply(
        self, query: PendingQuery, answer: Answer, udp_socket: UdpSocket, query_id: int, now: float
    ) -> None:
        """Handle a reply to any attempt of a query."""
        attempt = next(
            attempt
            for attempt in query.tries
            if attempt.udp_socket is udp_socket and attempt.query_id == query_id
        )
        udp_socket.settle_id(query_id, ANSWERED)
        self._nameservers[attempt.server].on_answered(attempt.when)
        if answer.status in SETTLED:
            learn_from_answer(self._nameservers, query, attempt, now)
        elif answer.status == TRUNCATED:
            if self.dead:
                self.dead.on_answer(query.question.name)
        else:
            early = query.is_asked and attempt is not query.tries[-1]
            if early or query.state in {QueryState.OVER_TCP, QueryState.DEFERRED}:
                # Later attempts continue; if they fail, this is the answer.
                retry_policy.on_overtaken(query, answer, attempt.server)
                return
        is_known = self._is_dead(query, now) and query.check is not Check.CONFIRM
        # Another failure than the dead zone's usual one may be due to an overloaded server.
        known = is_known and answer.status == self.dead.status_of(query.question.name)
        known |= self.dnssec_checks.is_final_failure(query)
        doubtful = answer.status in DOUBTFUL and not known
        if doubtful and self._defer_if_doubtful(query, attempt, answer, now):
            return
        hopeless = is_known or query.check is Check.DISABLED
        self._decide(query, answer, attempt.server, now, hopeless=hopeless)

    def _defer_if_doubtful(
        self, query: PendingQuery, attempt: Attempt, answer: Answer, now: float
    ) -> bool:
        """Defer a query unless its failure is due to the name; return whether it was deferred."""
        nameserver = self._nameservers[attempt.server]
        belief = self.deferred.judge(query, nameserver, attempt.when, now, answer.status)
        if belief is Belief.OWN:
            return False
        self._move(query, QueryEvent.DOUBTED)
        query.sent = 0  # its attempts may all have been lost to a limit
        retry_policy.note_failure(query, answer)
        nameserver.limits.on_refusal(answer.status)
        if belief is Belief.AGAIN:
            soon = now + max(_MIN_RETRY_S, nameserver.round_trip.smoothed or 0.0)
            self._timers.start_timer(query, max(soon, query.ripe_at))
        else:
            self.deferred.defer_query(query, nameserver, belief)
        return True

    def _requeue(self, query: PendingQuery) -> None:
        """Queue a query again, with all its attempts."""
        self._move(query, QueryEvent.ASK_AGAIN)
        query.forgive()
        self.retry_queue.append(query)

    def _requeue_when_ripe(self, query: PendingQuery, now: float) -> None:
        """Queue a deferred query again at its `ripe_at`."""
        if query.ripe_at > now:
            self._timers.start_timer(query, query.ripe_at)
        else:
            self._requeue(query)

    def _is_dead(self, query: PendingQuery, now: float) -> bool:
        return bool(self.dead) and self.dead.is_dead(query.question.name, now)

    def _failed_like_zone(self, query: PendingQuery, now: float) -> bool:
        """Tell whether a query has failed with the status of its dead zone."""
        status = "" if query.best is None else query.best.status
        return self._is_dead(query, now) and status == self.dead.status_of(query.question.name)

    def _decide(
        self, query: PendingQuery, answer: Answer, server: int, now: float, *, hopeless: bool
    ) -> None:
        """Decide about a query after a reply that is not deferred, and carry it out."""
        usable = self._usable()
        decision = retry_policy.on_reply(
            query, answer, self._policy, server=server, usable=usable, hopeless=hopeless
        )
        self._carry_out(query, decision, now)

    def on_tcp_answer(self, query: PendingQuery, answer: Answer, now: float) -> None:
        """Handle the outcome of a query over TCP."""
        if query.state is not QueryState.OVER_TCP:
            return
        if answer.status in SETTLED and self.dead and query.check is not Check.DISABLED:
            self.dead.on_answer(query.question.name)
        decision = retry_policy.on_tcp_answer(query, answer)
        if decision.what is Action.DONE:
            self._carry_out(query, decision, now)
            return
        self._move(query, QueryEvent.TCP_FAILED)
        self._on_timeout(query, now)

    def take_back(self, nameserver: NameServer) -> None:
        """Queue the unanswered queries of a suspended server again, with all their attempts.

        Its replies are still accepted if they come before those of other servers.
        """
        for udp_socket in nameserver.sockets:
            for query_id, entry in list(udp_socket.outstanding.items()):
                parts: tuple[Any, ...] = entry
                if len(parts) == FIRST_ENTRY:
                    self._requeue(
                        self.make_pending(
                            nameserver, udp_socket, query_id, cast("FirstAttempt", entry)
                        )
                    )
                elif len(parts) == LATER_ENTRY and waits_for(parts[0], nameserver.number):
                    self._requeue(parts[0])
        nameserver.take_back_sent()
        for query in self.deferred.release(nameserver):
            self._requeue(query)

    def _start_waiting(self, query: PendingQuery, nameserver: NameServer, now: float) -> None:
        self._move(query, QueryEvent.SENT)
        nameserver.in_flight.later += 1
        query.on_sent(nameserver.number, now)
        if query.slow_s and nameserver.limits.pressure.are_slow_few:
            self._move(query, QueryEvent.OVERTAKEN)  # in advance
        wait = retry_policy.next_wait(query, self._policy, nameserver.round_trip.timeout)
        self._timers.start_timer(query, now + wait)

    def _on_timeout(self, query: PendingQuery, now: float) -> None:
        nameserver = self._nameservers[query.asked[-1]]
        hopeless = query.check is Check.NONE and self._is_dead(query, now)
        others_answered = nameserver.presence.answered_until > query.last
        decision = retry_policy.on_silence(
            query,
            self._policy,
            retry_policy.next_wait(query, self._policy, nameserver.round_trip.timeout),
            now,
            hopeless=hopeless,
            slipping=nameserver.can.is_slipping(now),
        )
        is_over = decision.answer is not None and decision.answer.status == TIMEOUT
        if is_over and nameserver.presence.has_ever_answered and not others_answered:
            # No other query has been answered since: the server is silent, not the name.
            name = query.question.name
            self._silence_monitor.on_server_silence(nameserver, name, query.last, now)
            self._timers.start_timer(query, now + _SERVER_WAIT_S)
            return
        if is_over and all(self._nameservers[number].refusals for number in query.asked):
            # Only ICMP errors came.
            decision = Decision(Action.DONE, Answer(UNREACHABLE))
        if is_over or (decision.what is Action.WAIT and query.best is None and not hopeless):
            limited = query.rounds < _MAX_ROUNDS and nameserver.was_limited(query.began, now)
            is_kept = others_answered and not nameserver.limits.rate.is_lossy(now, _KEPT_S)
            if limited and (is_over or is_kept):
                # The server was overloaded when the attempts were lost: one more round.
                query.rounds += 1
                self.dead.forget_since(query.began)
                self._move(query, QueryEvent.DOUBTED)
                decision = Decision(Action.WAIT, until=now + _SERVER_WAIT_S)
            elif limited:
                # The next round begins as soon as the limits are respected.
                decision = decision._replace(until=min(decision.until, now + _SERVER_WAIT_S))
        self._carry_out(query, decision, now)

    def _carry_out(self, query: PendingQuery, decision: Decision, now: float) -> None:
        if decision.answer is not None:
            if decision.answer.status in DOUBTFUL and query.check is Check.NONE:
                status = decision.answer.status
                self.dead.on_failure(query.question.name, query.failed_at or now, status)
            self._end(query, decision.answer, now)
        elif decision.what is Action.ASK:
            if query.state is not QueryState.QUEUED:
                self._move(query, QueryEvent.ASK_AGAIN)
                self.retry_queue.append(query)
        elif decision.what is Action.TCP:
            if query.state is not QueryState.OVER_TCP:
                self._move(query, QueryEvent.ASK_OVER_TCP)
                self.over_tcp.append(query)
        else:
            self._timers.start_timer(query, decision.until)

    def _end(self, query: PendingQuery, answer: Answer, now: float) -> None:
        for attempt in query.tries:
            if is_open(attempt, query):
                cast("UdpSocket", attempt.udp_socket).settle_id(attempt.query_id, LATE)
        final = self.dnssec_checks.judge(query, answer, now)
        if final is not None:
            self._move(query, QueryEvent.ANSWERED)
            self.finished.append((query, final))
            return
        self._move(query, QueryEvent.DOUBTED)
        query.begin_anew()
        self._requeue_when_ripe(query, now)

    def _move(self, query: PendingQuery, event: QueryEvent) -> None:
        """Move a query to the state that an event leads to, and cancel its timer."""
        if query.state is QueryState.IN_FLIGHT:
            self._nameservers[query.asked[-1]].in_flight.remove_later_attempt()
        query.advance(event)
        query.timer = 0

    def _usable(self) -> frozenset[int]:
        return frozenset(ns.number for ns in self._nameservers if ns.health is Health.GOOD)
