"""State of one name server in the bulk engine: sockets, congestion window, RTT, health.

Tracks what is in flight to the server, and how much more may be. `receiver` interprets replies,
`retry_policy` decides about timeouts.
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

#: Sockets per server: an off-path forger must guess port and ID; more would make batches smaller.
_SOCKETS: Final = 4

#: Consecutive batches sent on one socket while the window is not large.
_BATCHES_IN_A_ROW: Final = 32
_LARGE_WINDOW_QUERIES: Final = 512

#: Least retransmission timeout in seconds: more than what a busy loop adds to the RTT.
_MIN_TIMEOUT_S: Final = 0.05

#: A query overtakes another if it is answered and was sent at least so many seconds later:
#: several ticks of a loop's clock, which may count milliseconds.
_MIN_LEAD_S: Final = 0.005

#: Queries allowed beyond a window full of silent names, as shares of it: per probe, and in all.
_EXTRA_SHARE: Final = 0.125
_MAX_EXTRA_SHARE: Final = 0.5

#: Answers over which loss is averaged, and the share of lost queries above which a name's silence
#: is no evidence against it.
_RECENT_ANSWERS: Final = 1024
_HIGH_LOSS_SHARE: Final = 0.1

#: Seconds of silence, with queries outstanding, after which a server is probed; unanswered probes
#: after which it is suspended; and least seconds between them.
QUIET_S: Final = 1.0
UNANSWERED_PROBES: Final = 2
_PROBE_INTERVAL_S: Final = 0.5


class Health(Enum):
    """Whether a server is used."""

    GOOD = auto()
    SUSPENDED = auto()  # does not answer; probed until it does
    LEFT_OUT = auto()  # failed the check at the start


class NameServer:
    """A name server: sockets, queries in flight, window, RTT, limits and health.

    `number`: its index in the run's list; `can`: its capabilities; `answered`: a recently
    answered question.
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
        self._beyond_window = 0
        self._max_window = concurrency
        self.sockets: list[UdpSocket] = []
        self.heard = now
        self.waiting_since: float | None = None
        self.probes = 0
        self.next_probe = 0.0
        self.refusals = 0
        #: When a first attempt was last answered before its timeout.
        self.in_time = now
        #: Recent first attempts that were answered, and that were lost.
        self._answered_lately = self._lost_lately = 0.0
        self._turn = self._batches = 0
        self._last_sent = now

    def open_sockets(self) -> None:
        """Open the sockets. Raises OSError if there is no route to the address."""
        for _ in range(_SOCKETS):
            self.sockets.append(UdpSocket(open_datagrams(self.server.address, self.server.port)))

    def set_limits(self, concurrency: int, qps: float | None, now: float) -> None:
        """Change the limits."""
        self._max_window = concurrency
        self.window.set_max_size(concurrency)
        self.limits.set_user_limit(qps, now)

    def close_sockets(self) -> None:
        """Close the sockets."""
        for udp_socket in self.sockets:
            udp_socket.datagrams.close()
        self.sockets.clear()

    def control(self) -> Question:
        """Return a question that shows whether the server answers at present.

        For a name that cannot exist, unless the server refuses it, as authoritative servers do.
        """
        if self._control is None and not self.limits.pressure.has_controls:
            self._control = self.answered
        return self._control or nonexistent_name()

    def next_socket(self) -> UdpSocket:
        """Return the socket for the next batch.

        With a small window the same one for several batches, so that replies come together,
        unless nothing is in flight. With a large window in turn: a server with a socket per
        thread (SO_REUSEPORT) can then use several threads.
        """
        self._batches += 1
        most = _BATCHES_IN_A_ROW if self.window.size < _LARGE_WINDOW_QUERIES else 1
        if self._batches >= most or not self.in_flight.count:
            self._batches = 0
            self._turn = (self._turn + 1) % len(self.sockets)
        return self.sockets[self._turn]

    def is_full(self) -> bool:
        """Tell whether the window has room for one query at most."""
        return self.in_flight.count + 1 >= int(self.window.size)

    def room(self) -> int:
        """Return how many queries the window allows to send now, at most one batch."""
        if self.health is not Health.GOOD:
            return 0
        size = int(self.window.size)
        if self._beyond_window:
            size = min(size + self._beyond_window, self._max_window)
        if self.limits.are_close:
            size = self.limits.allowed_in_flight(size)
        return min(size - self.in_flight.count, BATCH)

    def room_for_later(self) -> int:
        """Return how many retransmissions may be sent now, while first attempts are queued.

        Most names that were silent once are silent again: with the whole window, they would fill
        it until their timeouts.
        """
        return self.limits.room_for_later(int(self.window.size)) - self.in_flight.later

    def stuck_at(self) -> float | None:
        """Return the time from which the window counts as full of silent names, without a reply.

        None if it is not full, or has been exceeded by all that is allowed.
        """
        size = self.window.size
        exhausted = (
            self.limits.are_close
            or self._beyond_window >= size * _MAX_EXTRA_SHARE
            or size >= self._max_window
        )
        if self.health is not Health.GOOD or self.room() > 0 or exhausted:
            return None
        return max(self.heard, self._last_sent) + max(self.round_trip.usual, _MIN_LEAD_S)

    def allow_more(self) -> None:
        """Allow a few queries beyond the window until a reply comes, which may free all of it."""
        self._beyond_window += max(int(self.window.size * _EXTRA_SHARE), 1)

    def load(self) -> tuple[float, float]:
        """Return a sort key: the share of the window in use, then when it was last asked."""
        return self.in_flight.count / self.window.size, self._last_sent

    def on_first_attempts(
        self, udp_socket: UdpSocket, ids: list[int], entries: list[FirstAttempt], now: float
    ) -> None:
        """Note a batch of first attempts that was sent."""
        self.in_flight.add_first_attempts(udp_socket, ids, entries, now)
        self.on_sent(len(ids), now)

    def on_later_attempts(self, queries: list[PendingQuery], now: float) -> None:
        """Note a batch of retransmissions that was sent."""
        self.in_flight.add_later_attempts(queries, now)
        self.on_sent(len(queries), now)

    def on_sent(self, count: int, now: float) -> None:
        """Note that queries were sent."""
        self.in_flight.count += count
        if count:
            self._last_sent = now
        if self.waiting_since is None:
            self.waiting_since = now

    def on_heard(self, now: float) -> None:
        """Note a reply of any kind: the server is alive."""
        self.heard = now
        self._beyond_window = 0
        self.waiting_since = None
        self.probes = 0
        self.refusals = 0

    def on_answers(self, sent_at: Sequence[float], now: float) -> None:
        """Note answers to first attempts sent at these times, in any order."""
        count = len(sent_at)
        full = self.is_full()
        self.in_flight.remove_answered(sent_at)
        newest = self.in_flight.newest_answered
        if newest > self.presence.answered_until:
            self.on_answered(newest)
        self.in_time = now
        self.can.on_with_edns()
        self.limits.on_answers(count, self.in_flight.count, newest, now)
        self._answered_lately += count
        if self._answered_lately > _RECENT_ANSWERS:
            self._answered_lately, self._lost_lately = (
                self._answered_lately / 2,
                self._lost_lately / 2,
            )
        self.window.on_answers(count, now, full=full)
        self.on_heard(now)

    def on_later_answer(self, now: float) -> None:
        """Note an answer to a retransmission."""
        self.limits.rate.on_answers(1, now)
        self.window.on_answers(1, now, full=True)

    def on_answered(self, sent_at: float) -> None:
        """Note when an answered query of any kind was sent."""
        self.presence.on_answered(sent_at, self._timeout_or_zero())

    def was_limited(self, since: float, now: float) -> bool:
        """Tell whether queries have been lost to a limit since then, or may have been."""
        return self.is_losing or self.limits.were_reached(since, now)

    def cool(self, now: float) -> None:
        """Keep a refused query's place in the window for one RTT."""
        self.limits.cool(now + (self.round_trip.smoothed or _MIN_TIMEOUT_S))

    def overtaken(self) -> list[PendingQuery]:
        """Remove overtaken attempts from the window; return queries whose latest attempt was one.

        If the server has answered queries sent much later, the name is slow or silent, not the
        server: it must not use up the window.
        """
        return self.in_flight.take_overtaken(max(self.round_trip.usual, _MIN_LEAD_S))

    def on_loss(self, count: int = 1) -> None:
        """Note lost queries: those whose retransmission was answered.

        A negative count corrects this for queries that were slow, not lost.
        """
        self._lost_lately = max(self._lost_lately + count, 0.0)
        self.window.on_loss(count)

    @property
    def is_losing(self) -> bool:
        """Whether many recent queries were lost, on the path or by a busy server."""
        return self._lost_lately > _HIGH_LOSS_SHARE * (self._answered_lately + self._lost_lately)

    def on_late(self, sent_at: float, now: float) -> None:
        """Note the late answer to a first attempt that had timed out.

        It is an RTT sample only if no answer has come in time for a whole timeout: then the path
        has become longer.
        """
        if now - self.in_time > self.round_trip.timeout:
            self.round_trip.add_sample(now - sent_at)

    def is_quiet(self, now: float) -> bool:
        """Tell whether queries have been outstanding for longer than slow names explain."""
        since = self.waiting_since
        return since is not None and now - since > QUIET_S + 3 * self._timeout_or_zero()

    def patience(self) -> float:
        """Return the seconds to wait for the reply to a probe before the next one."""
        return max(_PROBE_INTERVAL_S, self._timeout_or_zero())

    def _timeout_or_zero(self) -> float:
        """Return the retransmission timeout in seconds; 0 before the first reply."""
        return 0.0 if self.round_trip.smoothed is None else self.round_trip.timeout

    def take_back_sent(self) -> None:
        """Forget all queries in flight, which will be sent again."""
        self.in_flight.take_back_sent()
        self.waiting_since = None

    def late(self, now: float) -> Iterator[tuple[UdpSocket, int, FirstAttempt]]:
        """Yield the first attempts that have timed out, and forget them."""
        return self.in_flight.take_late(now - self.round_trip.timeout)
