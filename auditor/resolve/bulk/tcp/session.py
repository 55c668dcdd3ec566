"""TCP sessions of one server: its connections, and the queries in flight on each.

Decisions only (RFC 7766), without I/O and clock, which `transport` has. Queries are pipelined
on a connection, and answered in any order (§6.2.1.1, §7); few connections are opened, the next
one only when the others are full (§6.2.2); a server may close one at any time, and outstanding
queries are sent again (§6.2.4).
"""

from __future__ import annotations

import random
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.resolve.bulk.codec.reply_match import HEADER_OCTETS, echoes, is_response, refusal
from auditor.resolve.bulk.pending_query import Check, QueryState
from auditor.resolve.bulk.server.nameserver import Health
from auditor.resolve.bulk.tcp.connection import Frames
from auditor.wire.codes import MALFORMED, TIMEOUT, UNREACHABLE
from auditor.wire.message import EDNS_SIZE, encode_query
from auditor.wire.names import encode_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditor.resolve.answer import Answer
    from auditor.resolve.bulk.pending_query import PendingQuery
    from auditor.resolve.bulk.server.nameserver import NameServer
    from auditor.resolve.bulk.tcp.connection import Connection

__all__ = ["IDLE_S", "Outstanding", "TcpQuery", "TcpServer", "TcpSession"]

#: Most connections to one server; first and largest number of queries in flight on one.
_MAX_CONNECTIONS: Final = 4
_FIRST_QUERIES: Final = 16
_MAX_QUERIES: Final = 100

#: Seconds after which a connection with nothing in flight is closed.
IDLE_S: Final = 3.0

#: Seconds between a connection without any answer and the next; doubled with each.
_BACKOFF_S: Final = 0.05
#: Seconds between two attempts at a server without working TCP.
_GIVEN_UP_RETRY_S: Final = 5.0

#: How often connections may break off at the same question before it fails.
_MAX_CUTS: Final = 2

#: Messages on a connection that match no query, after which it is closed: it is not DNS.
_MAX_STRAYS: Final = 16

#: A server that closes after N answers is sent at most N queries on a connection. N doubles after
#: so many connections that ended well; from `_UNLIMITED_ANSWERS` on there is no limit.
_GOOD_CONNECTIONS: Final = 8
_UNLIMITED_ANSWERS: Final = 4096

_COMPLAINTS: Final = {
    TIMEOUT: "no reply",
    UNREACHABLE: "connections are refused or closed",
    MALFORMED: "what comes back is no DNS",
}

#: Statuses of questions without a valid reply.
_UNREPLIED: Final = frozenset(_COMPLAINTS)


class TcpQuery:
    """A query sent over TCP.

    `failed`: numbers of the servers that failed it. `plain`: without EDNS. `cuts`: how often a
    connection broke off when this was the next to be answered. `spent`: seconds waited for
    servers that failed. `best`: the answer if all servers fail.
    """

    __slots__ = ("best", "cuts", "failed", "plain", "query", "spent")

    def __init__(self, query: PendingQuery) -> None:
        self.query = query
        self.failed: set[int] = set()
        self.plain = query.plain
        self.cuts = 0
        self.spent = 0.0
        self.best: Answer | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether the question is still open: a late datagram may have answered it."""
        return self.query.state is QueryState.OVER_TCP

    def note_answer(self, server: int, answer: Answer) -> None:
        """Note a failure at a server: as `best`, a reply is preferred to none."""
        self.failed.add(server)
        self.cuts = 0
        if self.best is None or self.best.status in _UNREPLIED:
            self.best = answer


class Outstanding(NamedTuple):
    """A query in flight: its question section, when it was sent, whether without EDNS."""

    asking: TcpQuery
    wire: bytes
    sent: float
    plain: bool


class TcpSession:
    """The queries in flight on one connection, by ID, in the order sent.

    `left`: queries that may still be sent on it. `heard`: when the last reply came, or the
    connection was begun; `received`: when any octets came. `ordered`: whether all replies so far
    came in the order of the queries: then a query's wait begins with the reply before it.
    """

    __slots__ = (
        "_late_ids",
        "_next",
        "answers",
        "asked",
        "connection",
        "frames",
        "heard",
        "is_open",
        "left",
        "ordered",
        "outstanding",
        "received",
        "strays",
    )

    connection: Connection

    def __init__(self, left: int, now: float) -> None:
        self.left = left
        self.heard = self.received = now
        self.is_open = False
        self.ordered = True
        self.asked = self.answers = self.strays = 0
        self.frames = Frames()
        self.outstanding: dict[int, Outstanding] = {}
        self._late_ids: set[int] = set()
        self._next = random.getrandbits(16)  # TCP: no spoofing by guessed IDs

    def room(self, depth: int) -> int:
        """Return how many more queries may be sent on it, up to `depth` in flight."""
        return min(depth - len(self.outstanding), self.left) if self.is_open else 0

    def send_query(self, asking: TcpQuery, now: float, *, plain: bool, recurse: bool) -> bytes:
        """Note a query as in flight, and return it in wire format with its length.

        `plain`: without EDNS; `recurse`: with the RD flag.
        """
        while self._next in self.outstanding:
            self._next = (self._next + 1) & 0xFFFF
        query_id = self._next
        self._next = (query_id + 1) & 0xFFFF
        name, rdtype = asking.query.question
        wire = encode_name(name)
        packet = encode_query(
            query_id,
            wire,
            rdtype,
            recurse=recurse,
            edns_size=None if plain else EDNS_SIZE,
            checking_disabled=asking.query.check is Check.DISABLED,
        )
        section = packet[HEADER_OCTETS : HEADER_OCTETS + len(wire) + 4]
        self.outstanding[query_id] = Outstanding(asking, section, now, plain)
        self.left -= 1
        self.asked += 1
        return len(packet).to_bytes(2) + packet

    def receive(self, data: bytes, now: float) -> list[bytes]:
        """Add octets that arrived; return the messages that are complete now."""
        self.received = now
        return self.frames.split_messages(data)

    def match(self, data: bytes, now: float) -> Outstanding | None:
        """Return the query that a message replies to, no longer in flight; None if none."""
        query_id = data[0] << 8 | data[1] if len(data) >= HEADER_OCTETS else -1
        entry = self.outstanding.get(query_id)
        if (
            entry is None
            or not is_response(data)
            or not (echoes(data, entry.wire) or refusal(data, plain=entry.plain))
        ):
            self.strays += query_id not in self._late_ids
            self._late_ids.discard(query_id)
            return None
        self.heard = now
        if self.ordered and query_id != next(iter(self.outstanding)):
            self.ordered = False
        del self.outstanding[query_id]
        self.answers += 1
        return entry

    def forget_query(self, query_id: int) -> None:
        """Stop waiting for a reply; a late one does not count as a stray."""
        del self.outstanding[query_id]
        self._late_ids.add(query_id)

    @property
    def is_spoilt(self) -> bool:
        """Whether too many messages matched no query."""
        return self.strays >= _MAX_STRAYS

    def overdue(self, least: float, now: float) -> Iterator[tuple[int, Outstanding, float]]:
        """Yield queries that have waited at least `least` seconds: ID, query, seconds."""
        for query_id, entry in self.outstanding.items():
            waited = now - (max(entry.sent, self.heard) if self.ordered else entry.sent)
            if waited < least:
                return
            yield query_id, entry, waited

    def is_stalled(self, timeout: float, now: float) -> bool:
        """Tell whether no answer has come at all, or nothing for `timeout` seconds.

        NSD can stop in the middle of many large answers. Replies out of order show a resolver
        that is still working, on slow names.
        """
        stops = self.ordered or self.frames.is_partial
        return not self.answers or (stops and now - self.received >= timeout)

    def is_idle(self, now: float) -> bool:
        """Tell whether the connection should be closed: used up, or idle for long."""
        used_up = self.left <= 0 and self.answers > 0
        return self.is_open and not self.outstanding and (used_up or now - self.heard >= IDLE_S)


class TcpServer:
    """A server with its TCP sessions.

    `queue`: queries to be sent. `strikes`: consecutive connections without any answer, `why`:
    the status of the last one; after `tries` of them TCP is given up, except for an attempt
    every few seconds.
    """

    def __init__(self, nameserver: NameServer, tries: int) -> None:
        self.nameserver = nameserver
        self.queue: deque[TcpQuery] = deque()
        self.sessions: list[TcpSession] = []
        self.strikes = 0
        self.why = UNREACHABLE
        self._tries = tries
        self._depth = _FIRST_QUERIES
        self._max_connections = _MAX_CONNECTIONS
        self._quota = _UNLIMITED_ANSWERS
        self._good_connections = 0
        self._retry_at = 0.0
        self._complained = False

    @property
    def is_good(self) -> bool:
        """Whether the server is in use."""
        return self.nameserver.health is Health.GOOD

    def in_flight(self) -> int:
        """Return how many questions are in flight on all connections."""
        return sum([len(session.outstanding) for session in self.sessions])

    def is_shut(self, now: float) -> bool:
        """Tell whether TCP has been given up, so that no query is queued here.

        False now and then, to try one query.
        """
        given_up = self.strikes >= self._tries
        return given_up and (now < self._retry_at or bool(self.queue or self.sessions))

    def session_with_room(self) -> tuple[TcpSession, int] | None:
        """Return a session with room for more queries, and for how many."""
        for session in self.sessions:
            room = session.room(self._depth)
            if room > 0:
                return session, room
        return None

    def may_connect(self, now: float) -> bool:
        """Tell whether one more connection may be opened: one at a time."""
        opening = any(not session.is_open for session in self.sessions)
        return not opening and len(self.sessions) < self._max_connections and now >= self._retry_at

    def begin_session(self, now: float) -> TcpSession:
        """Return the session of a connection that is being opened."""
        session = TcpSession(self._quota if self._quota < _UNLIMITED_ANSWERS else 1 << 62, now)
        self.sessions.append(session)
        return session

    def on_answers(self, count: int) -> None:
        """Note replies: TCP works with this server."""
        self.strikes = 0
        self._depth = min(self._depth + count, _MAX_QUERIES)

    def retire(self, session: TcpSession) -> None:
        """Remove a session with nothing in flight, which this side closes."""
        self.sessions.remove(session)
        if session.left <= 0:
            self._good_connections += 1
            if self._good_connections == _GOOD_CONNECTIONS:
                self._good_connections = 0
                self._quota *= 2

    def on_end(self, session: TcpSession, status: str, now: float) -> list[TcpQuery]:
        """Remove a session whose connection has ended with this status; return unanswered queries.

        The first of them may have made the server close: this counts as a cut if nothing was
        answered since it was sent. (Otherwise fewer are sent the next time, until it is alone.)
        """
        self.sessions.remove(session)
        unanswered = [entry.asking for entry in session.outstanding.values()]
        if unanswered and session.heard <= next(iter(session.outstanding.values())).sent:
            unanswered[0].cuts += 1
        session.outstanding.clear()
        if session.answers:
            if unanswered and status != MALFORMED:
                # Perhaps the server's limit per connection (NSD's tcp-query-count).
                self._quota = session.answers
                self._good_connections = 0
        elif any(other.answers for other in self.sessions):
            # The server accepts no more connections than these.
            self._max_connections = len(self.sessions)
        elif session.asked or not session.is_open:
            self._strike(status, now)
        else:
            self._retry_at = now + _BACKOFF_S
        return unanswered

    def _strike(self, status: str, now: float) -> None:
        self.strikes += 1
        self.why = status
        self._depth = 1
        pause = _BACKOFF_S * 2 ** (self.strikes - 1)
        self._retry_at = now + (pause if self.strikes < self._tries else _GIVEN_UP_RETRY_S)

    def complaint(self) -> str | None:
        """Return why TCP has just been given up for this server, once; None otherwise."""
        if self._complained or self.strikes < self._tries:
            return None
        self._complained = True
        return _COMPLAINTS[self.why]


def is_cut_off(asking: TcpQuery) -> bool:
    """Tell whether connections broke off too often when this was the next to be answered."""
    return asking.cuts > _MAX_CUTS
