"""One server over TCP: its connections, what is in flight on each, what is known of it.

Decisions only (RFC 7766): no socket, no clock, no loop in here; `streams` has those. Many
questions are in flight on a connection at a time, and answered in any order (§6.2.1.1, §7);
few connections are opened, the next one only when the others are full (§6.2.2); a server
may close one whenever it likes, and what was outstanding is asked again (§6.2.4).
"""

from __future__ import annotations

import random
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.resolve.attempts import Stage
from auditor.resolve.echo import HEADER, echoes, is_response, refusal
from auditor.resolve.tcp import Frames
from auditor.resolve.upstream import Health
from auditor.wire.codes import MALFORMED, TIMEOUT, UNREACHABLE
from auditor.wire.message import encode_query
from auditor.wire.names import encode_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditor.resolve.answer import Answer
    from auditor.resolve.attempts import Course
    from auditor.resolve.tcp import Connection
    from auditor.resolve.upstream import Upstream

__all__ = ["IDLE", "Asking", "Flight", "Peer", "Talk"]

#: Connections to one server at most, and questions in flight on one: at first, and at most.
_CONNECTIONS: Final = 4
_FIRST_DEPTH: Final = 16
_MOST_DEPTH: Final = 100

#: Seconds for which a connection with nothing in flight is kept.
IDLE: Final = 3.0

#: Seconds after a connection that came to nothing until the next one; doubled with each.
_BACKOFF: Final = 0.05
#: Seconds between two looks at a server that TCP has been given up for.
_GIVEN_UP: Final = 5.0

#: How often a connection may break off before the same question is answered.
_CUTS: Final = 2

#: Messages that reply to nothing on one connection, until it is closed: it is not DNS.
_STRAYS: Final = 16

#: A server that closes after so many answers is asked no more than that on a connection.
#: When that went well so often, it is asked twice as many; from here on, without limit.
_WENT_WELL: Final = 8
_UNLIMITED: Final = 4096

_WHY: Final = {
    TIMEOUT: "no reply",
    UNREACHABLE: "connections are refused or closed",
    MALFORMED: "what comes back is no DNS",
}

#: What nobody said.
_SILENCE: Final = frozenset(_WHY)


class Asking:
    """A course on its way over TCP.

    `failed`: numbers of the servers that were no help. `plain`: without EDNS. `cuts`: how
    often a connection broke off when this was what the server had to answer next. `spent`:
    seconds waited for servers that were no help. `best`: the answer if nobody is.
    """

    __slots__ = ("best", "course", "cuts", "failed", "plain", "spent")

    def __init__(self, course: Course) -> None:
        self.course = course
        self.failed: set[int] = set()
        self.plain = course.plain
        self.cuts = 0
        self.spent = 0.0
        self.best: Answer | None = None

    @property
    def is_wanted(self) -> bool:
        """Whether the answer is still to be found: a late datagram may have brought it."""
        return self.course.stage is Stage.OVER_TCP

    def note(self, server: int, answer: Answer) -> None:
        """Note what came of asking a server: what one said comes before what none said."""
        self.failed.add(server)
        self.cuts = 0
        if self.best is None or self.best.status in _SILENCE:
            self.best = answer


class Flight(NamedTuple):
    """A question in flight: what the reply must echo, when it was sent, whether without EDNS."""

    asking: Asking
    wire: bytes
    sent: float
    plain: bool


class Talk:
    """What is in flight on one connection, by ID, in the order it was sent.

    `left`: questions that may still be asked on it. `heard`: when a reply last came, or when
    the connection was begun. `ordered`: whether replies come in the order of the
    questions, as far as is known: then nothing is late because of what stands before it.
    """

    __slots__ = (
        "_forgotten",
        "_next",
        "answers",
        "asked",
        "connection",
        "flights",
        "frames",
        "heard",
        "is_open",
        "left",
        "ordered",
        "strays",
    )

    connection: Connection

    def __init__(self, left: int, now: float) -> None:
        self.left = left
        self.heard = now
        self.is_open = False
        self.ordered = True
        self.asked = self.answers = self.strays = 0
        self.frames = Frames()
        self.flights: dict[int, Flight] = {}
        self._forgotten: set[int] = set()
        self._next = random.getrandbits(16)  # nobody gets in between by guessing

    def room(self, depth: int) -> int:
        """Return how many more questions may be put on it."""
        return min(depth - len(self.flights), self.left) if self.is_open else 0

    def ask(self, asking: Asking, now: float, *, plain: bool) -> bytes:
        """Put a question in flight and return it as it is sent; `plain`: without EDNS."""
        while self._next in self.flights:
            self._next = (self._next + 1) & 0xFFFF
        place = self._next
        self._next = (place + 1) & 0xFFFF
        name, rdtype = asking.course.question
        wire = encode_name(name)
        packet = (
            encode_query(place, wire, rdtype, edns_size=None)
            if plain
            else encode_query(place, wire, rdtype)
        )
        section = packet[HEADER : HEADER + len(wire) + 4]
        self.flights[place] = Flight(asking, section, now, plain)
        self.left -= 1
        self.asked += 1
        return len(packet).to_bytes(2) + packet

    def match(self, data: bytes, now: float) -> Flight | None:
        """Return what a message replies to, in flight no more; None if to nothing."""
        place = data[0] << 8 | data[1] if len(data) >= HEADER else -1
        flight = self.flights.get(place)
        if (
            flight is None
            or not is_response(data)
            or not (echoes(data, flight.wire) or refusal(data))
        ):
            self.strays += place not in self._forgotten
            self._forgotten.discard(place)
            return None
        self.heard = now
        if self.ordered and place != next(iter(self.flights)):
            self.ordered = False
        del self.flights[place]
        self.answers += 1
        return flight

    def forget(self, place: int) -> None:
        """Wait no longer for a reply; should it come, it is late and no stray."""
        del self.flights[place]
        self._forgotten.add(place)

    @property
    def is_spoilt(self) -> bool:
        """Whether so much came that replies to nothing that the rest is not worth reading."""
        return self.strays >= _STRAYS

    def overdue(self, least: float, now: float) -> Iterator[tuple[int, Flight, float]]:
        """Yield what has waited for `least` seconds or longer: ID, flight, seconds."""
        for place, flight in self.flights.items():
            waited = now - (max(flight.sent, self.heard) if self.ordered else flight.sent)
            if waited < least:
                return
            yield place, flight, waited

    def is_idle(self, now: float) -> bool:
        """Tell whether the connection is of no use any more."""
        used_up = self.left <= 0 and self.answers > 0
        return self.is_open and not self.flights and (used_up or now - self.heard >= IDLE)


class Peer:
    """A server, asked over TCP.

    `queue`: what waits to be put on a connection. `strikes`: connections in a row that came
    to nothing, `why` the status that the last one left; with as many as there are tries TCP
    is given up for, but for a look now and then.
    """

    def __init__(self, upstream: Upstream, tries: int) -> None:
        self.upstream = upstream
        self.queue: deque[Asking] = deque()
        self.talks: list[Talk] = []
        self.strikes = 0
        self.why = UNREACHABLE
        self._tries = tries
        self._depth = _FIRST_DEPTH
        self._most = _CONNECTIONS
        self._quota = _UNLIMITED
        self._went_well = 0
        self._next_try = 0.0
        self._complained = False

    @property
    def is_good(self) -> bool:
        """Whether the server is in use."""
        return self.upstream.health is Health.GOOD

    def in_flight(self) -> int:
        """Return how many questions are in flight on all connections."""
        return sum([len(talk.flights) for talk in self.talks])

    def is_shut(self, now: float) -> bool:
        """Tell whether a question need not be brought here: TCP has been given up for.

        Now and then it is not, for one question that may show the contrary.
        """
        given_up = self.strikes >= self._tries
        return given_up and (now < self._next_try or bool(self.queue or self.talks))

    def talk_with_room(self) -> tuple[Talk, int] | None:
        """Return a connection that questions may be put on, and how many."""
        for talk in self.talks:
            room = talk.room(self._depth)
            if room > 0:
                return talk, room
        return None

    def may_connect(self, now: float) -> bool:
        """Tell whether one more connection may be opened; one at a time is."""
        opening = any(not talk.is_open for talk in self.talks)
        return not opening and len(self.talks) < self._most and now >= self._next_try

    def begin(self, now: float) -> Talk:
        """Return the talk for a connection that is being opened."""
        talk = Talk(self._quota if self._quota < _UNLIMITED else 1 << 62, now)
        self.talks.append(talk)
        return talk

    def on_answers(self, count: int) -> None:
        """Note that replies came: TCP works here."""
        self.strikes = 0
        self._depth = min(self._depth + count, _MOST_DEPTH)

    def retire(self, talk: Talk) -> None:
        """Note that a connection with nothing in flight is closed from this side."""
        self.talks.remove(talk)
        if talk.left <= 0:
            self._went_well += 1
            if self._went_well == _WENT_WELL:
                self._went_well = 0
                self._quota *= 2

    def on_end(self, talk: Talk, status: str, now: float) -> list[Asking]:
        """Note that a connection is over, and why; return what it owes, first come first.

        What the server had to answer next may be what broke it off: a cut, if nothing else was
        answered since it was sent. (With others before or beside it, fewer are asked the next
        time, until it stands alone.)
        """
        self.talks.remove(talk)
        owed = [flight.asking for flight in talk.flights.values()]
        if owed and talk.heard <= next(iter(talk.flights.values())).sent:
            owed[0].cuts += 1
        talk.flights.clear()
        if talk.answers:
            if owed and status == UNREACHABLE:
                # Perhaps as many as it answers on one connection (NSD's tcp-query-count).
                self._quota = talk.answers
                self._went_well = 0
        elif any(other.answers for other in self.talks):
            # It takes no more connections than these.
            self._most = len(self.talks)
        elif talk.asked or not talk.is_open:
            self._strike(status, now)
        else:
            self._next_try = now + _BACKOFF
        return owed

    def _strike(self, status: str, now: float) -> None:
        self.strikes += 1
        self.why = status
        self._depth = 1
        pause = _BACKOFF * 2 ** (self.strikes - 1)
        self._next_try = now + (pause if self.strikes < self._tries else _GIVEN_UP)

    def complaint(self) -> str | None:
        """Return why TCP has just been given up for this server, the first time it has."""
        if self._complained or self.strikes < self._tries:
            return None
        self._complained = True
        return _WHY[self.why]


def is_cut_off(asking: Asking) -> bool:
    """Tell whether connections broke off too often when this was to be answered next."""
    return asking.cuts > _CUTS
