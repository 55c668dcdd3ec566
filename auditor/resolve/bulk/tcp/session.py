"""TCP sessions of one server: its connections, what is in flight on each, what is known of it.

Decisions only (RFC 7766): no socket, no clock, no loop in here; `transport` has those. Many
questions are in flight on a connection at a time, and answered in any order (§6.2.1.1, §7);
few connections are opened, the next one only when the others are full (§6.2.2); a server
may close one whenever it likes, and what was outstanding is asked again (§6.2.4).
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

#: Connections to one server at most, and questions in flight on one: at first, and at most.
_MAX_CONNECTIONS: Final = 4
_FIRST_QUESTIONS: Final = 16
_MAX_QUESTIONS: Final = 100

#: Seconds for which a connection with nothing in flight is kept.
IDLE_S: Final = 3.0

#: Seconds after a connection that came to nothing until the next one; doubled with each.
_BACKOFF_S: Final = 0.05
#: Seconds between two attempts at a server without working TCP.
_GIVEN_UP_S: Final = 5.0

#: How often a connection may break off before the same question is answered.
_MAX_CUTS: Final = 2

#: Messages that reply to nothing on one connection, until it is closed: it is not DNS.
_MAX_STRAYS: Final = 16

#: A server that closes after so many answers is asked no more than that on a connection.
#: When that went well so often, it is asked twice as many; from here on, without limit.
_GOOD_CONNECTIONS: Final = 8
_UNLIMITED_ANSWERS: Final = 4096

_COMPLAINTS: Final = {
    TIMEOUT: "no reply",
    UNREACHABLE: "connections are refused or closed",
    MALFORMED: "what comes back is no DNS",
}

#: Statuses for want of a reply.
_UNREPLIED: Final = frozenset(_COMPLAINTS)


class TcpQuery:
    """A query on its way over TCP.

    `failed`: numbers of the servers that gave no answer. `plain`: without EDNS. `cuts`: how
    often a connection broke off when this was what the server had to answer next. `spent`:
    seconds waited for servers that were no help. `best`: the answer if nobody is.
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
        """Whether the answer is still to be found: a late datagram may have brought it."""
        return self.query.state is QueryState.OVER_TCP

    def note_answer(self, server: int, answer: Answer) -> None:
        """Note the outcome at a server: replies come before their absence."""
        self.failed.add(server)
        self.cuts = 0
        if self.best is None or self.best.status in _UNREPLIED:
            self.best = answer


class Outstanding(NamedTuple):
    """A question in flight: what the reply must echo, when it was sent, whether without EDNS."""

    asking: TcpQuery
    wire: bytes
    sent: float
    plain: bool


class TcpSession:
    """What is in flight on one connection, by ID, in the order it was sent.

    `left`: questions that may still be asked on it. `heard`: when a reply last came, or when
    the connection was begun; `received`: when anything did. `ordered`: whether replies come in
    the order of the questions, as far as is known: then nothing is late because of what stands
    before it.
    """

    __slots__ = (
        "_forgotten",
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
        self._forgotten: set[int] = set()
        self._next = random.getrandbits(16)  # TCP: no spoofing by guessed IDs

    def room(self, depth: int) -> int:
        """Return how many more questions may be put on it."""
        return min(depth - len(self.outstanding), self.left) if self.is_open else 0

    def send_query(self, asking: TcpQuery, now: float, *, plain: bool, recurse: bool) -> bytes:
        """Put a question in flight and return it as it is sent.

        `plain`: without EDNS; `recurse`: the server is to look further.
        """
        while self._next in self.outstanding:
            self._next = (self._next + 1) & 0xFFFF
        place = self._next
        self._next = (place + 1) & 0xFFFF
        name, rdtype = asking.query.question
        wire = encode_name(name)
        packet = encode_query(
            place,
            wire,
            rdtype,
            recurse=recurse,
            edns_size=None if plain else EDNS_SIZE,
            checking_disabled=asking.query.check is Check.DISABLED,
        )
        section = packet[HEADER_OCTETS : HEADER_OCTETS + len(wire) + 4]
        self.outstanding[place] = Outstanding(asking, section, now, plain)
        self.left -= 1
        self.asked += 1
        return len(packet).to_bytes(2) + packet

    def receive(self, data: bytes, now: float) -> list[bytes]:
        """Take octets that arrived; return the messages that are whole now."""
        self.received = now
        return self.frames.split_messages(data)

    def match(self, data: bytes, now: float) -> Outstanding | None:
        """Return what a message replies to, in flight no more; None if to nothing."""
        place = data[0] << 8 | data[1] if len(data) >= HEADER_OCTETS else -1
        entry = self.outstanding.get(place)
        if (
            entry is None
            or not is_response(data)
            or not (echoes(data, entry.wire) or refusal(data, plain=entry.plain))
        ):
            self.strays += place not in self._forgotten
            self._forgotten.discard(place)
            return None
        self.heard = now
        if self.ordered and place != next(iter(self.outstanding)):
            self.ordered = False
        del self.outstanding[place]
        self.answers += 1
        return entry

    def forget_query(self, place: int) -> None:
        """Wait no longer for a reply; should it come, it is late and no stray."""
        del self.outstanding[place]
        self._forgotten.add(place)

    @property
    def is_spoilt(self) -> bool:
        """Whether so much came that replies to nothing that the rest is not worth reading."""
        return self.strays >= _MAX_STRAYS

    def overdue(self, least: float, now: float) -> Iterator[tuple[int, Outstanding, float]]:
        """Yield what has waited for `least` seconds or longer: ID, flight, seconds."""
        for place, entry in self.outstanding.items():
            waited = now - (max(entry.sent, self.heard) if self.ordered else entry.sent)
            if waited < least:
                return
            yield place, entry, waited

    def is_stalled(self, timeout: float, now: float) -> bool:
        """Tell whether it has given nothing at all, or no more for so long.

        NSD can stop in the middle of many large answers. Not if what is owed has been passed
        over: those names are slow. A server that looks things up goes on doing so meanwhile.
        """
        stops = self.ordered or self.frames.is_partial
        return not self.answers or (stops and now - self.received >= timeout)

    def is_idle(self, now: float) -> bool:
        """Tell whether the connection is of no use any more."""
        used_up = self.left <= 0 and self.answers > 0
        return self.is_open and not self.outstanding and (used_up or now - self.heard >= IDLE_S)


class TcpServer:
    """A server, asked over TCP.

    `queue`: what waits to be put on a connection. `strikes`: connections in a row that came
    to nothing, `why` the status that the last one left; with as many as there are tries TCP
    is given up for, but for a look now and then.
    """

    def __init__(self, nameserver: NameServer, tries: int) -> None:
        self.nameserver = nameserver
        self.queue: deque[TcpQuery] = deque()
        self.sessions: list[TcpSession] = []
        self.strikes = 0
        self.why = UNREACHABLE
        self._tries = tries
        self._depth = _FIRST_QUESTIONS
        self._most = _MAX_CONNECTIONS
        self._quota = _UNLIMITED_ANSWERS
        self._went_well = 0
        self._next_try = 0.0
        self._complained = False

    @property
    def is_good(self) -> bool:
        """Whether the server is in use."""
        return self.nameserver.health is Health.GOOD

    def in_flight(self) -> int:
        """Return how many questions are in flight on all connections."""
        return sum([len(session.outstanding) for session in self.sessions])

    def is_shut(self, now: float) -> bool:
        """Tell whether a question need not be brought here: TCP has been given up for.

        Now and then it is not, for one question that may show the contrary.
        """
        given_up = self.strikes >= self._tries
        return given_up and (now < self._next_try or bool(self.queue or self.sessions))

    def talk_with_room(self) -> tuple[TcpSession, int] | None:
        """Return a connection that questions may be put on, and how many."""
        for session in self.sessions:
            room = session.room(self._depth)
            if room > 0:
                return session, room
        return None

    def may_connect(self, now: float) -> bool:
        """Tell whether one more connection may be opened; one at a time is."""
        opening = any(not session.is_open for session in self.sessions)
        return not opening and len(self.sessions) < self._most and now >= self._next_try

    def begin_session(self, now: float) -> TcpSession:
        """Return the talk for a connection that is being opened."""
        session = TcpSession(self._quota if self._quota < _UNLIMITED_ANSWERS else 1 << 62, now)
        self.sessions.append(session)
        return session

    def on_answers(self, count: int) -> None:
        """Note that replies came: TCP works here."""
        self.strikes = 0
        self._depth = min(self._depth + count, _MAX_QUESTIONS)

    def retire(self, session: TcpSession) -> None:
        """Note that a connection with nothing in flight is closed from this side."""
        self.sessions.remove(session)
        if session.left <= 0:
            self._went_well += 1
            if self._went_well == _GOOD_CONNECTIONS:
                self._went_well = 0
                self._quota *= 2

    def on_end(self, session: TcpSession, status: str, now: float) -> list[TcpQuery]:
        """Note that a connection is over, and why; return what it owes, first come first.

        What the server had to answer next may be what broke it off: a cut, if nothing else was
        answered since it was sent. (With others before or beside it, fewer are asked the next
        time, until it stands alone.)
        """
        self.sessions.remove(session)
        owed = [entry.asking for entry in session.outstanding.values()]
        if owed and session.heard <= next(iter(session.outstanding.values())).sent:
            owed[0].cuts += 1
        session.outstanding.clear()
        if session.answers:
            if owed and status != MALFORMED:
                # Perhaps as many as it answers on one connection (NSD's tcp-query-count).
                self._quota = session.answers
                self._went_well = 0
        elif any(other.answers for other in self.sessions):
            # It takes no more connections than these.
            self._most = len(self.sessions)
        elif session.asked or not session.is_open:
            self._strike(status, now)
        else:
            self._next_try = now + _BACKOFF_S
        return owed

    def _strike(self, status: str, now: float) -> None:
        self.strikes += 1
        self.why = status
        self._depth = 1
        pause = _BACKOFF_S * 2 ** (self.strikes - 1)
        self._next_try = now + (pause if self.strikes < self._tries else _GIVEN_UP_S)

    def complaint(self) -> str | None:
        """Return why TCP has just been given up for this server, the first time it has."""
        if self._complained or self.strikes < self._tries:
            return None
        self._complained = True
        return _COMPLAINTS[self.why]


def is_cut_off(asking: TcpQuery) -> bool:
    """Tell whether connections broke off too often when this was to be answered next."""
    return asking.cuts > _MAX_CUTS
