"""One name server as the bulk engine sees it: its sockets, its window, its health.

Knows what is in flight to the server, and how much more may be. What a reply means and what
follows silence is decided elsewhere (`receiver`, `retry_policy`).
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final

from auditor.resolve.bulk.server.capabilities import Capabilities
from auditor.resolve.bulk.server.congestion_window import CongestionWindow
from auditor.resolve.bulk.server.in_flight import InFlight
from auditor.resolve.bulk.server.limits import ServerLimits
from auditor.resolve.bulk.server.presence import Presence
from auditor.resolve.bulk.server.reply_gathering import ReplyGathering
from auditor.resolve.bulk.server.rtt import RttEstimator
from auditor.resolve.bulk.server.server_check import nonexistent_name
from auditor.resolve.bulk.udp.datagram import BATCH
from auditor.resolve.bulk.udp.mmsg import open_datagrams
from auditor.resolve.bulk.udp.outstanding import UdpSocket
from auditor.resolve.token_bucket import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from auditor.resolve.answer import Question
    from auditor.resolve.bulk.pending_query import PendingQuery
    from auditor.resolve.bulk.udp.outstanding import FirstAttempt
    from auditor.settings import Server

__all__ = ["QUIET_S", "UNANSWERED_PROBES", "Health", "NameServer"]

#: Sockets per server: a guesser must hit port and ID; more would only make batches smaller.
_SOCKETS: Final = 4

#: Batches that one of them is used for in a row while the window is not large.
_BATCHES_IN_A_ROW: Final = 32
_LARGE_WINDOW_QUERIES: Final = 512

#: Bounds of the time after which a first try counts as lost, in seconds. The lower one is
#: above what a busy loop adds to a round trip by itself.
_MIN_TIMEOUT_S: Final = 0.05

#: Seconds by which a query that was answered must have been sent after another one to have
#: overtaken it, at least: several ticks of a loop's clock, which may count milliseconds.
_MIN_LEAD_S: Final = 0.005

#: What a window full of silent names is exceeded by at a time, and at most.
_EXTRA_SHARE: Final = 0.125
_MAX_EXTRA_SHARE: Final = 0.5

#: How many answers "lately" is; and the share of queries lost from which on a name's silence
#: says nothing about the name.
_RECENT_ANSWERS: Final = 1024
_HIGH_LOSS_SHARE: Final = 0.1
_LOW_LOSS_SHARE: Final = 0.01

#: Seconds of silence, with questions outstanding, after which a server is asked whether it
#: is there at all; how many such questions must go unanswered; and the seconds between them,
#: at least.
QUIET_S: Final = 1.0
UNANSWERED_PROBES: Final = 2
_BETWEEN_PROBES_S: Final = 0.5


class Health(Enum):
    """Whether a server is used."""

    GOOD = auto()
    SUSPENDED = auto()  # does not answer; probed until it does
    LEFT_OUT = auto()  # refused at the start: a liar or a mute


class NameServer:
    """A server: sockets, what is in flight, and what is known of how it answers.

    `number` is its place in the run's list; `can`: what it was found able to do; `answered`: a
    question that it has answered lately.
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
        self.can = Capabilities(now)
        self.in_flight = InFlight(number)
        self.gathering = ReplyGathering()
        self.window = CongestionWindow(concurrency, now)
        self.round_trip = RttEstimator(_MIN_TIMEOUT_S, timeout)
        self.bucket = TokenBucket(qps, now, within=within)
        self.limits = ServerLimits(self.name, self.bucket, qps)
        self.presence = Presence()
        self.answered: Question | None = None
        self._control: Question | None = None
        #: Queries that may be in flight beyond the window until a reply comes.
        self._extra = 0
        self._most = concurrency
        self.sockets: list[UdpSocket] = []
        self.heard = now
        self.waiting_since: float | None = None
        self.probes = 0
        self.next_probe = 0.0
        self.refusals = 0
        #: When a first try was last answered in time.
        self.in_time = now
        #: First tries that were answered lately, and those that were lost.
        self._good = self._lost = 0.0
        self._turn = self._batches = 0
        self._asked = now

    def open_sockets(self) -> None:
        """Open the sockets. Raises OSError if the system has no way to the address."""
        for _ in range(_SOCKETS):
            self.sockets.append(UdpSocket(open_datagrams(self.server.address, self.server.port)))

    def set_limits(self, concurrency: int, qps: float | None, now: float) -> None:
        """Go on within other limits."""
        self._most = concurrency
        self.window.set_max_size(concurrency)
        self.limits.set_user_limit(qps, now)

    def close_sockets(self) -> None:
        """Close the sockets."""
        for udp_socket in self.sockets:
            udp_socket.datagrams.close()
        self.sockets.clear()

    def control(self) -> Question:
        """Return a question that shows whether the server answers at all just now.

        A name that cannot exist, unless it refuses that: authoritative servers do.
        """
        if self._control is None and not self.limits.pressure.has_controls:
            self._control = self.answered
        return self._control or nonexistent_name()

    def next_socket(self) -> UdpSocket:
        """Return the socket for the next batch.

        With a small window the same for some batches, so that replies come together, unless
        nothing is on its way. With a large one each in turn: a server with a thread for each
        of its sockets (SO_REUSEPORT) can then use several.
        """
        self._batches += 1
        most = _BATCHES_IN_A_ROW if self.window.size < _LARGE_WINDOW_QUERIES else 1
        if self._batches >= most or not self.in_flight.count:
            self._batches = 0
            self._turn = (self._turn + 1) % len(self.sockets)
        return self.sockets[self._turn]

    def is_full(self) -> bool:
        """Tell whether the window is full but for one query."""
        return self.in_flight.count + 1 >= int(self.window.size)

    def room(self) -> int:
        """Return how many queries may be sent now, as far as the window goes: a batch at most."""
        if self.health is not Health.GOOD:
            return 0
        size = int(self.window.size)
        if self._extra:
            size = min(size + self._extra, self._most)
        if self.limits.are_close:
            size = self.limits.allowed_in_flight(size)
        return min(size - self.in_flight.count, BATCH)

    def room_again(self) -> int:
        """Return how many later tries may be sent now, while first ones wait for the same room.

        Most names that were silent once are silent again. With the whole window they would
        hold it until their timeouts, since nothing would be answered to overtake them.
        """
        return self.limits.share_of_later(int(self.window.size)) - self.in_flight.later

    def stuck_at(self) -> float | None:
        """Return when the window counts as full of silent names, unless a reply comes.

        None if it is not full, or has been given all the room there is for that.
        """
        size = self.window.size
        exhausted = (
            self.limits.are_close or self._extra >= size * _MAX_EXTRA_SHARE or size >= self._most
        )
        if self.health is not Health.GOOD or self.room() > 0 or exhausted:
            return None
        return max(self.heard, self._asked) + max(self.round_trip.usual, _MIN_LEAD_S)

    def allow_more(self) -> None:
        """Allow a few more queries until a reply comes: the answer to one would free all."""
        self._extra += max(int(self.window.size * _EXTRA_SHARE), 1)

    def load(self) -> tuple[float, float]:
        """Return how busy the server is, of equals the one asked longest ago the least."""
        return self.in_flight.count / self.window.size, self._asked

    def on_first_attempts(
        self, udp_socket: UdpSocket, ids: list[int], entries: list[FirstAttempt], now: float
    ) -> None:
        """Note a batch of first attempts that went out together."""
        self.in_flight.add_first_attempts(udp_socket, ids, entries, now)
        self.on_sent(len(ids), now)

    def on_later_attempts(self, queries: list[PendingQuery], now: float) -> None:
        """Note a batch of other attempts."""
        self.in_flight.add_later_attempts(queries, now)
        self.on_sent(len(queries), now)

    def on_sent(self, count: int, now: float) -> None:
        """Note that queries went out."""
        self.in_flight.count += count
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
        full = self.is_full()
        self.in_flight.remove_answered(sent_at)
        newest = self.in_flight.newest_answered
        if newest > self.presence.answered_until:
            self.on_answered(newest)
        self.in_time = now
        self.can.on_with_edns()
        self.limits.on_answers(count, self.in_flight.count, newest, now)
        self._good += count
        if self._good > _RECENT_ANSWERS:
            self._good, self._lost = self._good / 2, self._lost / 2
        self.window.on_answers(count, now, full=full)
        self.on_heard(now)

    def on_later_answer(self, now: float) -> None:
        """Note an answer to an attempt that was not a question's first."""
        self.limits.rate.on_answers(1, now)
        self.window.on_answers(1, now, full=True)

    def on_answered(self, sent_at: float) -> None:
        """Note when a query was sent that has been answered, of whatever kind."""
        self.presence.on_answered(sent_at, self._usual())

    def was_limited(self, since: float, now: float) -> bool:
        """Tell whether queries have been lost to a limit since then, or may have been."""
        return self.is_losing or self.limits.were_reached(since, now)

    def is_reliable(self, since: float, now: float) -> bool:
        """Tell whether hardly any query has been lost, and none to a limit since then."""
        few = self._lost <= _LOW_LOSS_SHARE * self._good
        return few and not self.limits.were_reached(since, now)

    def cool(self, now: float) -> None:
        """Have a query that was refused hold its place for as long as an answer takes."""
        self.limits.cool(now + (self.round_trip.smoothed or _MIN_TIMEOUT_S))

    def overtaken(self) -> list[PendingQuery]:
        """Take out of the window what was overtaken; return the queries whose latest try was.

        The name is slow or silent, and not the server, when it has answered what was sent
        much later. A silent name must not shrink the window for everyone.
        """
        return self.in_flight.take_overtaken(max(self.round_trip.usual, _MIN_LEAD_S))

    def on_loss(self, count: int = 1) -> None:
        """Note that a query was lost: the same question, asked again, was answered.

        A negative count takes back what turned out to be slow.
        """
        self._lost = max(self._lost + count, 0.0)
        self.window.on_loss(count)

    @property
    def is_losing(self) -> bool:
        """Whether much of what was sent lately was lost, on the way or by a server too busy."""
        return self._lost > _HIGH_LOSS_SHARE * (self._good + self._lost)

    def on_late(self, sent_at: float, now: float) -> None:
        """Note the answer to a first attempt that had been given up as lost.

        The round-trip time is measured where it is in time; but when nothing is any more,
        the path has become longer, and what comes late is all there is to measure.
        """
        if now - self.in_time > self.round_trip.timeout:
            self.round_trip.add_sample(now - sent_at)

    def is_quiet(self, now: float) -> bool:
        """Tell whether the server owes an answer for longer than a slow name explains."""
        since = self.waiting_since
        return since is not None and now - since > QUIET_S + 3 * self._usual()

    def patience(self) -> float:
        """Return the seconds that a probe's reply is given before the next probe."""
        return max(_BETWEEN_PROBES_S, self._usual())

    def _usual(self) -> float:
        """Return the seconds that a reply takes at most, as a rule; 0 if none has come yet."""
        return 0.0 if self.round_trip.smoothed is None else self.round_trip.timeout

    def take_back_sent(self) -> None:
        """Forget what was sent: it has been taken back."""
        self.in_flight.take_back_sent()
        self.waiting_since = None

    def late(self, now: float) -> Iterator[tuple[UdpSocket, int, FirstAttempt]]:
        """Yield the first attempts that have gone unanswered for too long, and forget them."""
        return self.in_flight.take_late(now - self.round_trip.timeout)
