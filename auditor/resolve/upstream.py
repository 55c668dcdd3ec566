"""One name server as the bulk engine sees it: its sockets, its window, its health.

Keeps what is in flight to the server and says how much more may be. What a reply means and
what comes after silence is not decided here.
"""

from __future__ import annotations

import math
from collections import deque
from enum import Enum, auto
from operator import is_
from typing import TYPE_CHECKING, Final, cast

from auditor.resolve.batched import open_datagrams
from auditor.resolve.datagrams import BATCH
from auditor.resolve.pacing import RoundTrip, TokenBucket
from auditor.resolve.port import Port
from auditor.resolve.window import Window

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from auditor.resolve.attempts import Course
    from auditor.resolve.port import First
    from auditor.settings import Server

__all__ = ["PROBES", "QUIET", "Health", "Upstream"]

#: Sockets per server: a guesser must hit port and ID; more would only make batches smaller.
_PORTS: Final = 4

#: Batches that one of them is used for in a row while the window is not large.
_IN_A_ROW: Final = 32
_LARGE: Final = 512

#: Each wake-up of the loop, and each batch, costs what many replies do. So replies are let
#: gather for a moment if a look at the sockets brought less than most of what is in flight and
#: less than is enough; not if only a few are owed. In seconds, at least and at most (Linux
#: sleeps 50 µs longer than it is told).
_GATHER: Final = (0.00005, 0.0004)
_ENOUGH: Final = 128
_FEW: Final = 32

#: Bounds of the time after which a first try counts as lost, in seconds. The lower one is
#: above what a busy loop adds to a round trip by itself.
_LEAST_TIMEOUT: Final = 0.05

#: Seconds by which a query that was answered must have been sent after another one to have
#: overtaken it, at least: several ticks of a loop's clock, which may count milliseconds.
_LEAST_LEAD: Final = 0.005

#: The part of the window that later tries may take up while there are first ones to be sent.
_LATER: Final = 0.25

#: What a window full of silent names is exceeded by at a time, and at most.
_EXTRA: Final = 0.125
_MOST_EXTRA: Final = 0.5

#: How many answers "lately" is; and the share of queries lost from which on a name's silence
#: says nothing about the name.
_LATELY: Final = 1024
_MUCH: Final = 0.1

#: Seconds for which a server that has sent several empty truncated replies counts as limiting
#: its rate (RRL): what it drops in that time is asked for over TCP at once. A few may be
#: nothing but large answers.
_SLIPPING: Final = 2.0
_SLIPS: Final = 4

#: Replies in a row that came only without EDNS, until a server is asked without at once; and
#: replies with the letters' case changed, until it is asked in lower case. One may be forged.
_WITHOUT_EDNS: Final = 3
_CHANGED: Final = 8

#: Seconds of silence, with questions outstanding, after which a server is asked whether it
#: is there at all; how many such questions must go unanswered; and the seconds between them,
#: at least.
QUIET: Final = 1.0
PROBES: Final = 2
_BETWEEN_PROBES: Final = 0.5


class Health(Enum):
    """Whether a server is used."""

    GOOD = auto()
    BENCHED = auto()  # does not answer; probed until it does
    OUT = auto()  # refused at the start: a liar or a mute


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
        within: TokenBucket | None = None,
    ) -> None:
        self.number = number
        self.server = server
        self.name = str(server)
        self.health = Health.GOOD
        self.mixed_case = False
        self.plain = False
        self.window = Window(concurrency, now)
        self.round_trip = RoundTrip(_LEAST_TIMEOUT, timeout)
        self.bucket = TokenBucket(qps, now, within=within)
        #: Queries that count in the window: those that an answer may well be on its way to.
        self.in_flight = 0
        #: Those of them that are not first tries.
        self.later = 0
        #: What counts, in the order it was sent: a batch of first tries, or one of later ones.
        self._held: deque[tuple[float, Port | None, list[int], Sequence[First | Course]]] = deque()
        #: When the newest was sent that has been answered; and when the newest that was
        #: overtaken by answers, with all before it, and counts no more.
        self._newest = -math.inf
        self._overtaken = -math.inf
        #: Queries that may be in flight beyond the window until something is heard.
        self._extra = 0
        self._most = concurrency
        #: First tries in the order they were sent, a batch an entry.
        self.sent: deque[tuple[float, Port, list[int], list[First]]] = deque()
        self.ports: list[Port] = []
        self._came = 0
        self._gather = _GATHER[0]
        self.heard = now
        self.waiting_since: float | None = None
        self.probes = 0
        self.next_probe = 0.0
        self.refusals = 0
        #: Answers that came only without EDNS, since one that came with it.
        self.without_edns = 0
        #: When a first try was last answered in time.
        self.in_time = now
        #: First tries that were answered lately, and those that were lost.
        self._good = self._lost = 0.0
        self._changed = 0
        self._slips = 0
        self._slipped = now - _SLIPPING
        self._turn = self._batches = 0
        self._asked = now

    def open(self) -> None:
        """Open the sockets. Raises OSError if the system has no way to the address."""
        for _ in range(_PORTS):
            self.ports.append(Port(open_datagrams(self.server.address, self.server.port)))

    def limit(self, concurrency: int, qps: float | None, now: float) -> None:
        """Go on within other limits."""
        self._most = concurrency
        self.window.limit(concurrency)
        self.bucket.limit(qps, now)

    def close(self) -> None:
        """Close the sockets."""
        for port in self.ports:
            port.datagrams.close()
        self.ports.clear()

    def port(self) -> Port:
        """Return the socket for the next batch.

        With a small window the same for some batches, so that replies come together, unless
        nothing is on its way. With a large one each in turn: a server with a thread for each
        of its sockets (SO_REUSEPORT) can then use several.
        """
        self._batches += 1
        most = _IN_A_ROW if self.window.size < _LARGE else 1
        if self._batches >= most or not self.in_flight:
            self._batches = 0
            self._turn = (self._turn + 1) % len(self.ports)
        return self.ports[self._turn]

    def room(self) -> int:
        """Return how many queries may be sent now, as far as the window goes: a batch at most."""
        if self.health is not Health.GOOD:
            return 0
        size = int(self.window.size)
        if self._extra:
            size = min(size + self._extra, self._most)
        return min(size - self.in_flight, BATCH)

    def gather(self) -> float:
        """Return the seconds that replies should be left to gather before they are read."""
        enough = min(self.in_flight * 3 // 4, _ENOUGH)
        return self._gather if self._came < enough >= _FEW else 0.0

    def on_gathered(self, came: int) -> None:
        """Note how many packets a look at the sockets has brought."""
        self._came = came
        enough = min(self.in_flight * 3 // 4, _ENOUGH)
        least, most = _GATHER
        if came >= enough:
            self._gather = max(self._gather / 2, least)
        elif came < enough // 2:
            self._gather = min(self._gather * 2, most)

    def room_again(self) -> int:
        """Return how many later tries may be sent now, while first ones wait for the same room.

        Most names that were silent once are silent again. With the whole window they would
        hold it until their timeouts, since nothing would be answered to overtake them.
        """
        return max(int(self.window.size * _LATER), 1) - self.later

    def stuck_at(self) -> float | None:
        """Return when the window counts as full of silent names, unless something is heard.

        None if it is not full, or has been given all the room there is for that.
        """
        size = self.window.size
        exhausted = self._extra >= size * _MOST_EXTRA or size >= self._most
        if self.health is not Health.GOOD or self.room() > 0 or exhausted:
            return None
        return max(self.heard, self._asked) + max(self.round_trip.usual, _LEAST_LEAD)

    def allow_more(self) -> None:
        """Allow a few queries more, until something is heard: the answer to one would free all."""
        self._extra += max(int(self.window.size * _EXTRA), 1)

    def load(self) -> tuple[float, float]:
        """Return how busy the server is, of equals the one asked longest ago the least."""
        return self.in_flight / self.window.size, self._asked

    def on_first_tries(self, port: Port, ids: list[int], flights: list[First], now: float) -> None:
        """Note a batch of first tries that went out together."""
        batch = (now, port, ids, flights)
        self.sent.append(batch)
        self._held.append(batch)
        self.on_sent(len(ids), now)

    def on_later_tries(self, courses: list[Course], now: float) -> None:
        """Note a batch of other tries."""
        self._held.append((now, None, [], courses))
        self.on_sent(len(courses), now)

    def on_sent(self, count: int, now: float) -> None:
        """Note that queries went out."""
        self.in_flight += count
        if count:
            self._asked = now
        if self.waiting_since is None:
            self.waiting_since = now

    def on_heard(self, now: float) -> None:
        """Note that the server is alive: a reply of any kind came."""
        self.heard = now
        self._extra = 0
        self.waiting_since = None
        self.probes = 0
        self.refusals = 0

    def on_answers(self, sent_at: Sequence[float], now: float) -> None:
        """Note answers to first tries, given when those were sent, in whatever order."""
        count = len(sent_at)
        full = self.in_flight + 1 >= int(self.window.size)
        self.in_flight -= count if min(sent_at) > self._overtaken else self._counting(sent_at)
        self._newest = max(self._newest, max(sent_at))  # noqa: PLW3301 - `sent_at` is long
        self.in_time = now
        self.without_edns = 0
        self._good += count
        if self._good > _LATELY:
            self._good, self._lost = self._good / 2, self._lost / 2
        self.window.on_answers(count, now, full=full)
        self.on_heard(now)

    def _counting(self, sent_at: Sequence[float]) -> int:
        return sum(1 for when in sent_at if when > self._overtaken)

    def on_begun(self, sent_at: float) -> None:
        """Note that a first try leaves the window unanswered."""
        self.in_flight -= self._counting([sent_at])

    def overtaken(self) -> list[Course]:
        """Take out of the window what was overtaken; return the courses whose latest try was.

        The name is slow or silent, and not the server, when it has answered what was sent
        much later: nothing is on its way that there need be room for (DESIGN §8: a silent
        name must not shrink the window for everyone).
        """
        # What is sent from now on must be later than that, by the loop's clock.
        limit = self._newest - max(self.round_trip.usual, _LEAST_LEAD)
        courses: list[Course] = []
        held = self._held
        while held and held[0][0] <= limit:
            when, port, ids, flights = held.popleft()
            self._overtaken = when
            if port is None:
                # Another server may have been asked since, within one tick of the clock.
                courses += [
                    one
                    for one in cast("list[Course]", flights)
                    if one.last == when and one.asked[-1] == self.number
                ]
            elif not port.flights.keys().isdisjoint(ids):
                self.in_flight -= sum(map(is_, map(port.flights.get, ids), flights))
        return courses

    def on_loss(self, count: int = 1) -> None:
        """Note that a query was lost: the same question, asked again, was answered.

        A negative count takes back what turned out to be slow.
        """
        self._lost = max(self._lost + count, 0.0)
        self.window.on_loss(count)

    @property
    def is_losing(self) -> bool:
        """Whether much of what was sent lately was lost, on the way or by a server too busy."""
        return self._lost > _MUCH * (self._good + self._lost)

    def on_late(self, sent_at: float, now: float) -> None:
        """Note the answer to a first try that had been taken for lost.

        The round-trip time is measured where it is in time; but when nothing is any more,
        the path has become longer, and what comes late is all there is to measure.
        """
        if now - self.in_time > self.round_trip.timeout:
            self.round_trip.note(now - sent_at)

    def on_without_edns(self) -> None:
        """Note an answer to a query without EDNS, after one with it was refused."""
        self.without_edns += 1
        if self.without_edns >= _WITHOUT_EDNS:
            self.plain = True

    def on_case_changed(self) -> None:
        """Note a reply whose question has not the letters' case that it was sent in."""
        self._changed += 1
        if self._changed >= _CHANGED:
            self.mixed_case = False

    def on_slip(self, now: float) -> None:
        """Note an empty truncated reply: "ask over TCP, if you are who you say"."""
        self._slips = self._slips + 1 if now - self._slipped < _SLIPPING else 1
        self._slipped = now

    def is_slipping(self, now: float) -> bool:
        """Tell whether the server limits the rate of its answers."""
        return self._slips >= _SLIPS and now - self._slipped < _SLIPPING

    def is_quiet(self, now: float) -> bool:
        """Tell whether the server owes an answer for longer than a slow name explains."""
        since = self.waiting_since
        return since is not None and now - since > QUIET + 3 * self._usual()

    def patience(self) -> float:
        """Return the seconds that a probe's reply is given before the next probe."""
        return max(_BETWEEN_PROBES, self._usual())

    def _usual(self) -> float:
        """Return the seconds that a reply takes at most, as a rule; 0 if none has come yet."""
        return 0.0 if self.round_trip.smoothed is None else self.round_trip.timeout

    def forget(self) -> None:
        """Forget what was sent: it has been taken back."""
        self.sent.clear()
        self._held.clear()
        self.waiting_since = None

    def late(self, now: float) -> Iterator[tuple[Port, int, First]]:
        """Yield the first tries that have gone unanswered for too long, and forget them."""
        limit = now - self.round_trip.timeout
        sent = self.sent
        while sent and sent[0][0] <= limit:
            _, port, ids, flights = sent.popleft()
            in_flight = port.flights.get
            for place, flight in zip(ids, flights, strict=True):
                if in_flight(place) is flight:
                    yield port, place, flight
