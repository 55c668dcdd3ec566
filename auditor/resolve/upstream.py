"""One name server as the bulk engine sees it: its sockets, its window, its health.

Keeps what is in flight to the server and says how much more may be. What a reply means and
what comes after silence is not decided here.
"""

from __future__ import annotations

import os
from array import array
from collections import deque
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, TypeAlias

from auditor.resolve.datagrams import BATCH, Datagrams, open_datagrams
from auditor.resolve.pacing import RoundTrip, TokenBucket, Window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditor.resolve.answer import Deliver, Question
    from auditor.resolve.attempts import Course
    from auditor.settings import Server

__all__ = ["ANSWERED", "LATE", "LOST", "SLIPPING", "First", "Flight", "Health", "Port", "Upstream"]

#: A first try in flight: the question, who wants the answer, what the reply must echo, when
#: it was sent. A plain tuple: one is made for every lookup.
First: TypeAlias = "tuple[Question, Deliver, bytes, float]"

#: A later try: the question's course and what the reply must echo. A probe: what the reply
#: must echo.
Flight: TypeAlias = "First | tuple[Course, bytes] | tuple[bytes]"

#: What stands in the table until the ID is used again: the reply was taken; the question was
#: settled otherwise; it was settled by a retry, so that this try was taken for lost.
ANSWERED: Final = 1
LATE: Final = 2
LOST: Final = 3

#: Random IDs drawn at a time: many batches' worth.
_IDS: Final = 4096

#: Sockets per server: a guesser must hit port and ID; more would only make batches smaller.
_PORTS: Final = 4

#: Bounds of the time after which a first try counts as lost, in seconds. The lower one is
#: above what a busy loop adds to a round trip by itself.
_LEAST_TIMEOUT: Final = 0.05

#: Seconds for which a server that sent an empty truncated reply counts as limiting its rate
#: (RRL): what it drops in that time is asked for over TCP at once.
SLIPPING: Final = 2.0

#: Seconds of silence, with questions outstanding, after which a server is asked whether it
#: is there at all; and how many such questions must go unanswered.
QUIET: Final = 1.0
PROBES: Final = 2


class Health(Enum):
    """Whether a server is used."""

    GOOD = auto()
    BENCHED = auto()  # does not answer; probed until it does
    OUT = auto()  # refused at the start: a liar or a mute


class Port:
    """One socket and the table of what is in flight on it, by ID."""

    __slots__ = ("_ids", "datagrams", "table")

    def __init__(self, datagrams: Datagrams) -> None:
        self.datagrams = datagrams
        self.table: list[Flight | int | None] = [None] * 65536
        self._ids: list[int] = []

    def new_id(self) -> int:
        """Return a random ID that is not in flight, from the system's own randomness."""
        while True:
            place = self.pool(1).pop()
            # In flight are tuples; free places hold None or one of the marks.
            if self.table[place].__class__ is not tuple:
                return place

    def pool(self, least: int) -> list[int]:
        """Return random IDs to be taken from the end, `least` or more, some perhaps in flight."""
        if len(self._ids) < least:
            self._ids = array("H", os.urandom(2 * _IDS)).tolist()
        return self._ids


class Upstream:
    """A server: sockets, what is in flight, and what is known of how it answers.

    `number` is its place in the run's list. `mixed_case`: it returns the question's letters
    as they were sent. `plain`: it cannot do EDNS.
    """

    def __init__(
        self,
        number: int,
        server: Server,
        *,
        concurrency: int,
        timeout: float,
        qps: float | None,
        now: float,
    ) -> None:
        self.number = number
        self.server = server
        self.name = str(server)
        self.health = Health.GOOD
        self.mixed_case = False
        self.plain = False
        self.window = Window(concurrency, now)
        self.round_trip = RoundTrip(_LEAST_TIMEOUT, timeout)
        self.bucket = TokenBucket(qps, now)
        self.in_flight = 0
        #: First tries in the order they were sent, a batch an entry.
        self.sent: deque[tuple[float, Port, list[int], list[First]]] = deque()
        self.ports: list[Port] = []
        self.heard = now
        self.waiting_since: float | None = None
        self.probes = 0
        self.next_probe = 0.0
        self.refusals = 0
        self.slipped = now - SLIPPING
        self._turn = 0

    def open(self) -> None:
        """Open the sockets. Raises OSError if the system has no way to the address."""
        for _ in range(_PORTS):
            self.ports.append(Port(open_datagrams(self.server.address, self.server.port)))

    def close(self) -> None:
        """Close the sockets."""
        for port in self.ports:
            port.datagrams.close()
        self.ports.clear()

    def port(self) -> Port:
        """Return the socket for the next batch: each in turn, so that batches stay whole."""
        self._turn = (self._turn + 1) % len(self.ports)
        return self.ports[self._turn]

    def room(self) -> int:
        """Return how many queries may be sent now, as far as the window goes: a batch at most."""
        if self.health is not Health.GOOD:
            return 0
        return min(int(self.window.size) - self.in_flight, BATCH)

    def on_sent(self, count: int, now: float) -> None:
        """Note that queries went out."""
        self.in_flight += count
        if self.waiting_since is None:
            self.waiting_since = now

    def on_heard(self, now: float) -> None:
        """Note that the server is alive: a reply of any kind came."""
        self.heard = now
        self.waiting_since = None
        self.probes = 0
        self.refusals = 0

    def is_quiet(self, now: float) -> bool:
        """Tell whether the server owes an answer for longer than a slow name explains."""
        since = self.waiting_since
        return since is not None and now - since > QUIET + 3 * self.round_trip.timeout

    def late(self, now: float) -> Iterator[tuple[Port, int, First]]:
        """Yield the first tries that have gone unanswered for too long, and forget them."""
        limit = now - self.round_trip.timeout
        sent = self.sent
        while sent and sent[0][0] <= limit:
            _, port, ids, flights = sent.popleft()
            table = port.table
            for place, flight in zip(ids, flights, strict=True):
                if table[place] is flight:
                    yield port, place, flight
