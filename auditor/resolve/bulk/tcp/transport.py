"""TCP transport (RFC 7766), for questions with a truncated reply (TC), or response rate limiting.

Queries go to the server that was asked last, over connections that are kept and shared, and to
another one if that fails. Replies are decoded by the same code as those over UDP.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from itertools import compress
from typing import TYPE_CHECKING, Final

from auditor.errors import WireError
from auditor.resolve.answer import Answer, Provenance
from auditor.resolve.bulk.codec.reply_decoder import ReplyDecoder
from auditor.resolve.bulk.codec.reply_match import HEADER_OCTETS, refusal
from auditor.resolve.bulk.server.nameserver import Health
from auditor.resolve.bulk.tcp.connection import TcpConnection
from auditor.resolve.bulk.tcp.session import TcpQuery, TcpServer, is_cut_off
from auditor.resolve.response import interpret
from auditor.wire.codes import FORMERR, MALFORMED, NOTIMP, SETTLED, TIMEOUT, UNREACHABLE
from auditor.wire.message import decode_message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.resolve.bulk.counters import Counters
    from auditor.resolve.bulk.pending_query import PendingQuery
    from auditor.resolve.bulk.retry_policy import RetryPolicy
    from auditor.resolve.bulk.server.nameserver import NameServer
    from auditor.resolve.bulk.tcp.connection import Connection
    from auditor.resolve.bulk.tcp.session import Outstanding, TcpSession

__all__ = ["TcpTransport"]

_log = logging.getLogger("auditor")

#: Seconds between two checks for late replies and idle connections.
_TICK_S: Final = 0.05

#: Least seconds before rate tokens are requested again.
_MIN_WAIT_S: Final = 0.001


class TcpTransport:
    """Sends queries over TCP, and calls `on_answers` with the outcomes.

    `grant` is called before sending; it returns how many queries may go to a server now, and
    the seconds until it should be called again (0: after another event). `connect` opens a
    connection. `trace`: whether answers carry their provenance.
    """

    def __init__(
        self,
        nameservers: Sequence[NameServer],
        policy: RetryPolicy,
        counters: Counters,
        *,
        grant: Callable[[NameServer, int, float], tuple[int, float]],
        on_answers: Callable[[Sequence[tuple[PendingQuery, Answer]]], None],
        trace: bool = False,
        connect: Callable[..., Connection] = TcpConnection,
    ) -> None:
        self._nameservers = nameservers
        self._policy = policy
        self._count = counters
        self._grant = grant
        self._on_answers = on_answers
        self._trace = trace
        self._open = connect
        self._servers: dict[int, TcpServer] = {}
        self._outcomes: list[tuple[PendingQuery, Answer]] = []
        self._replies = ReplyDecoder()
        self._ticker: asyncio.TimerHandle | None = None
        self._pause: asyncio.TimerHandle | None = None

    def queue_query(self, query: PendingQuery) -> None:
        """Queue a query for the next `send_queued`."""
        self._enqueue(TcpQuery(query), query.tries[-1].server, asyncio.get_running_loop().time())

    def backlog(self) -> int:
        """Return how many queries have not been sent yet."""
        return sum(len(server.queue) for server in self._servers.values())

    @property
    def in_flight(self) -> int:
        """How many queries are in flight, all servers together."""
        return sum([server.in_flight() for server in self._servers.values()])

    def send_queued(self, now: float) -> None:
        """Send queries as connections and limits allow, and deliver outcomes."""
        if not self._servers and not self._outcomes:
            return  # as nearly always
        servers = list(self._servers.values())
        for server in filter(lambda server: server.queue, servers):
            self._send_to_server(server, now)
        if self._ticker is None and any(server.queue or server.sessions for server in servers):
            self._ticker = asyncio.get_running_loop().call_later(_TICK_S, self._check_sessions)
        self._hand_over()

    def close(self) -> None:
        """Close all connections and drop outstanding queries."""
        for timer in (self._ticker, self._pause):
            if timer is not None:
                timer.cancel()
        for server in self._servers.values():
            server.queue.clear()
            for session in server.sessions:
                session.connection.close_connection()
            server.sessions.clear()

    # --- Which server

    def _enqueue(self, asking: TcpQuery, preferred: int, now: float) -> None:
        """Queue a query for the best server; deliver the best outcome so far if none is left."""
        server = self._choose(asking, preferred, now)
        if server is not None:
            server.queue.append(asking)
            return
        answer = asking.best
        if answer is None:
            given_up = self._servers.get(preferred)
            why = given_up.why if given_up is not None else UNREACHABLE
            answer = self._no_reply(self._nameservers[preferred], why)
        self._outcomes.append((asking.query, answer))

    def _no_reply(self, nameserver: NameServer, status: str) -> Answer:
        """Return the answer for a query without a reply."""
        return Answer(status, how=Provenance(nameserver.name, "tcp") if self._trace else None)

    def _in_health(self, health: Health) -> list[NameServer]:
        return [nameserver for nameserver in self._nameservers if nameserver.health is health]

    def _choose(self, asking: TcpQuery, preferred: int, now: float) -> TcpServer | None:
        """Return the best server for a query (the preferred one if TCP works there), or None."""
        server = self._servers.get(preferred)
        if server is not None and not asking.failed and not server.strikes and server.is_good:
            return server
        if len(asking.failed) >= self._policy.tries:
            return None
        # A suspended server may answer over TCP; those left out by the check are never used.
        usable = self._in_health(Health.GOOD) or self._in_health(Health.SUSPENDED)
        servers = [self._server(ns) for ns in usable if ns.number not in asking.failed]
        return min(
            (server for server in servers if not server.is_shut(now)),
            key=lambda server: (
                server.strikes > 0,
                server.nameserver.number != preferred,
                len(server.queue) + server.in_flight(),
            ),
            default=None,
        )

    def _server(self, nameserver: NameServer) -> TcpServer:
        server = self._servers.get(nameserver.number)
        if server is None:
            server = self._servers[nameserver.number] = TcpServer(nameserver, self._policy.tries)
        return server

    def _on_failure(self, asking: TcpQuery, server: TcpServer, answer: Answer, now: float) -> None:
        """Note a server's failure, and queue the query for another server."""
        asking.note_answer(server.nameserver.number, answer)
        self._enqueue(asking, server.nameserver.number, now)

    # --- Sending

    def _send_to_server(self, server: TcpServer, now: float) -> None:
        """Send as many queries as a server's connections have room for; open one if needed."""
        while server.queue:
            if not server.queue[0].is_wanted:
                server.queue.popleft()
                continue
            free = server.session_with_room()
            if free is None:
                if server.may_connect(now):
                    self._connect(server, now)
                return
            session, room = free
            granted, delay = self._grant(server.nameserver, min(room, len(server.queue)), now)
            if granted:
                self._send(server, session, granted, now)
            elif delay and self._pause is None:
                loop = asyncio.get_running_loop()
                self._pause = loop.call_later(max(delay, _MIN_WAIT_S), self._resume)
            if not granted:
                return

    def _send(self, server: TcpServer, session: TcpSession, count: int, now: float) -> None:
        """Send up to `count` queries on a connection, in one write."""
        packets: list[bytes] = []
        while server.queue and len(packets) < count:
            asking = server.queue.popleft()
            if asking.is_wanted:
                can = server.nameserver.can
                plain = asking.plain or can.plain
                packets.append(session.send_query(asking, now, plain=plain, recurse=can.recurse))
        self._count.tcp_sent += len(packets)
        session.connection.send_octets(b"".join(packets))

    def _connect(self, server: TcpServer, now: float) -> None:
        session = server.begin_session(now)
        try:
            session.connection = self._open(
                asyncio.get_running_loop(),
                server.nameserver.server,
                on_open=partial(self._on_open, session),
                on_data=partial(self._on_data, server, session),
                on_end=partial(self._on_end, server, session),
            )
        except OSError:
            self._requeue(server, session, UNREACHABLE, now)

    def _resume(self) -> None:
        self._pause = None
        self.send_queued(asyncio.get_running_loop().time())

    # --- Receiving

    def _on_open(self, session: TcpSession) -> None:
        now = asyncio.get_running_loop().time()
        session.is_open = True
        session.heard = now
        self.send_queued(now)

    def _on_data(self, server: TcpServer, session: TcpSession, data: bytes) -> None:
        """Handle octets that arrived on a connection."""
        now = asyncio.get_running_loop().time()
        messages = session.receive(data, now)
        replies: list[tuple[Outstanding, bytes]] = []
        for message in messages:
            entry = session.match(message, now)
            if entry is not None:
                replies.append((entry, message))
        self._count.tcp_received += len(messages)
        self._count.tcp_accepted += len(replies)
        if replies:
            server.on_answers(len(replies))
            for (entry, _), answer in zip(replies, self._decode(server, replies, now), strict=True):
                self._on_reply(server, entry, answer, now)
        if session.is_spoilt:
            self._abandon(server, session, MALFORMED, now)
        elif session.is_idle(now):
            self._close_idle(server, session)
        self.send_queued(now)

    def _on_reply(self, server: TcpServer, entry: Outstanding, answer: Answer, now: float) -> None:
        """Handle the reply to a query: an answer, a refusal of EDNS, or a failure."""
        asking = entry.asking
        if answer.status in SETTLED:
            self._outcomes.append((asking.query, answer))
        elif answer.status in {FORMERR, NOTIMP} and not entry.plain:
            # As over UDP: the server may not support EDNS (RFC 6891 §7).
            asking.plain = True
            server.queue.appendleft(asking)
        else:
            self._on_failure(asking, server, answer, now)

    def _decode(
        self, server: TcpServer, replies: Sequence[tuple[Outstanding, bytes]], now: float
    ) -> list[Answer]:
        """Decode replies as over UDP: common ones in a batch."""
        exact = [
            data.startswith(entry.wire, HEADER_OCTETS) and not self._trace
            for entry, data in replies
        ]
        common = iter(
            self._replies.decode_replies(
                [data for _, data in compress(replies, exact)],
                [entry.wire for entry, _ in compress(replies, exact)],
            )
        )
        return [
            (next(common) if is_exact else None) or self._decode_one(server, entry, data, now)
            for (entry, data), is_exact in zip(replies, exact, strict=True)
        ]

    def _decode_one(self, server: TcpServer, entry: Outstanding, data: bytes, now: float) -> Answer:
        """Decode a reply with the general decoder."""
        question = entry.asking.query.question
        how = None
        if self._trace:
            how = Provenance(server.nameserver.name, "tcp", 1, round((now - entry.sent) * 1000, 3))
        refused = refusal(data, plain=entry.plain)
        if refused is not None:
            return Answer(refused, how=how)
        try:
            message = decode_message(data)
        except WireError:
            return Answer(MALFORMED, how=how)
        return interpret(message, question, how)

    def _on_end(self, server: TcpServer, session: TcpSession) -> None:
        """Handle a connection that the server closed or refused."""
        now = asyncio.get_running_loop().time()
        self._abandon(server, session, MALFORMED if session.strays else UNREACHABLE, now)
        self.send_queued(now)

    def _hand_over(self) -> None:
        if self._outcomes:
            outcomes, self._outcomes = self._outcomes, []
            self._on_answers(outcomes)

    # --- Timeouts, and connections that end

    def _check_sessions(self) -> None:
        """Check timeouts of queries and connections."""
        self._ticker = None
        now = asyncio.get_running_loop().time()
        for server in list(self._servers.values()):
            for session in server.sessions.copy():
                self._check_session(server, session, now)
        self.send_queued(now)

    def _check_session(self, server: TcpServer, session: TcpSession, now: float) -> None:
        timeout = self._policy.timeout
        if not session.is_open:
            if now - session.heard >= timeout:
                self._abandon(server, session, TIMEOUT, now)
            return
        if session.is_idle(now):
            self._close_idle(server, session)
            return
        overdue = list(session.overdue(timeout, now))
        serves = any(other.answers for other in server.sessions)
        if overdue and serves and session.is_stalled(timeout, now):
            # The server accepted the connection but does not serve it, or has stopped midway.
            self._abandon(server, session, TIMEOUT, now)
            return
        late = [
            (query_id, entry, waited)
            for query_id, entry, waited in overdue
            if waited >= self._timeout_of(entry.asking, server, now)
        ]
        for query_id, entry, waited in late:
            session.forget_query(query_id)
            entry.asking.spent += waited
            self._on_failure(entry.asking, server, self._no_reply(server.nameserver, TIMEOUT), now)
        if late and now - session.heard >= late[0][2]:  # the server may be gone
            self._abandon(server, session, TIMEOUT, now)

    def _timeout_of(self, asking: TcpQuery, server: TcpServer, now: float) -> float:
        """Return the seconds that a server has for one query.

        One `timeout` if there is another server to ask; all that is left for the last one.
        """
        timeout, tries = self._policy.timeout, self._policy.tries
        known = asking.failed | {server.nameserver.number}
        others = len(known) < tries and any(
            nameserver.number not in known and not self._server(nameserver).is_shut(now)
            for nameserver in self._in_health(Health.GOOD)
        )
        return timeout if others else max(tries * timeout - asking.spent, timeout)

    def _close_idle(self, server: TcpServer, session: TcpSession) -> None:
        server.retire(session)
        session.connection.close_connection()

    def _abandon(self, server: TcpServer, session: TcpSession, status: str, now: float) -> None:
        session.connection.close_connection()
        self._requeue(server, session, status, now)

    def _requeue(self, server: TcpServer, session: TcpSession, status: str, now: float) -> None:
        """Requeue the unanswered queries of a connection that has ended."""
        unanswered = server.on_end(session, status, now)
        for asking in reversed(unanswered):
            if is_cut_off(asking):
                self._on_failure(asking, server, self._no_reply(server.nameserver, status), now)
            else:
                server.queue.appendleft(asking)
        complaint = server.complaint()
        if complaint is not None:
            name = server.nameserver.name
            _log.warning(
                "server %s cannot be asked over TCP: %s",
                name,
                complaint,
                extra={"event": "server_no_tcp", "fields": {"server": name, "why": complaint}},
            )
        if server.strikes:
            self._move_queue(server, status, now)

    def _move_queue(self, server: TcpServer, status: str, now: float) -> None:
        """Move the queue of a server without TCP to others; all of it, if TCP is given up."""
        given_up = server.strikes >= self._policy.tries
        waiting = server.queue.copy()
        server.queue.clear()
        for asking in waiting:
            other = None if given_up else self._choose(asking, server.nameserver.number, now)
            if given_up:
                self._on_failure(asking, server, self._no_reply(server.nameserver, status), now)
            else:
                (other or server).queue.append(asking)
