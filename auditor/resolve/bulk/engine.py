"""The bulk engine: batched datagrams on the event loop.

The only file here with an event loop: it handles readable sockets and timers, and the events that
sender, receiver and retries leave for it (`_handle_events`). Most questions are answered by their
first attempt, sent and read in batches; any other is a `PendingQuery`.
"""

from __future__ import annotations

import asyncio
import logging
import math
import time
from typing import TYPE_CHECKING, Final

from auditor.resolve.bulk.counters import Counters
from auditor.resolve.bulk.deliveries import Deliveries
from auditor.resolve.bulk.receiver import Receiver
from auditor.resolve.bulk.retries import RetryManager
from auditor.resolve.bulk.retry_policy import RetryPolicy
from auditor.resolve.bulk.scheduler import SendScheduler
from auditor.resolve.bulk.sender import Sender
from auditor.resolve.bulk.server.health_monitor import HealthMonitor
from auditor.resolve.bulk.server.pool import NameServerPool
from auditor.resolve.bulk.server.server_check import is_answered
from auditor.resolve.bulk.server.tail_probe import TailProbe
from auditor.resolve.bulk.tcp.transport import TcpTransport
from auditor.resolve.bulk.udp.datagram import BATCH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from auditor.errors import AuditorError
    from auditor.resolve.answer import Answer, AnswerCallback, Question
    from auditor.resolve.bulk.pending_query import PendingQuery
    from auditor.resolve.bulk.server.nameserver import NameServer
    from auditor.resolve.bulk.udp.outstanding import Probe, UdpSocket
    from auditor.settings import Server

__all__ = ["BulkEngine"]

_log = logging.getLogger("auditor")

#: Queries in flight without `--concurrency`, all servers together: above what the windows find.
_MAX_IN_FLIGHT: Final = 16_384

#: Seconds between two checks of timeouts. Lost packets are noticed this much later.
_TICK_S: Final = 0.02

#: Most batches read from one socket in one turn of the loop.
_READS_IN_A_ROW: Final = 4

#: More questions are requested when fewer are unsent.
_FEW_UNSENT: Final = 256

#: Seconds until sending again after a full send buffer.
_RETRY_SEND_S: Final = 0.001


class BulkEngine:
    """An `Engine` over batched UDP.

    `servers`: the name servers; `concurrency`: most queries in flight, all servers together;
    `qps`, `server_qps`: most queries a second, in all and to each server; `timeout`, `tries`: see
    `RetryPolicy`; `check`: whether servers are checked first (`HealthMonitor`); `trace`: whether
    answers carry their provenance.
    """

    def __init__(
        self,
        servers: Sequence[Server],
        *,
        concurrency: int | None = None,
        qps: float | None = None,
        server_qps: float | None = None,
        timeout: float = 2.0,
        tries: int = 5,
        check: bool = True,
        trace: bool = False,
    ) -> None:
        most = concurrency or _MAX_IN_FLIGHT
        self._policy = RetryPolicy(tries, timeout)
        self._check = check
        self._trace = trace
        self._count = Counters()
        self._deliveries = Deliveries(self._count)
        self._ready = False
        self._sending = False
        self._may_sleep = False
        self._hopeless_due = False
        self._asked_meanwhile = False
        self._wake: Callable[[], None] | None = None
        self._fail: Callable[[AuditorError], None] | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._pause: asyncio.TimerHandle | None = None
        self.pool = NameServerPool(servers, timeout)
        self.pool.set_limits(most, qps, server_qps)
        self._nameservers = self.pool.nameservers
        self._retries = RetryManager(self._policy, self._nameservers)
        self._sender = Sender(self._nameservers, self._retries, self._count)
        self._receiver = Receiver(self._retries, self._count, trace=trace)
        self._tail_probe = TailProbe(
            self._nameservers, self._sender.queue, self._send_later, self._send_all
        )
        self._health_monitor = HealthMonitor(
            self._nameservers,
            self._policy,
            probe=self._probe,
            take_back=self._retries.take_back,
            fail=self._give_up,
        )
        self._scheduler = SendScheduler(
            self._nameservers,
            self._retries,
            self._sender,
            most=most,
            over_tcp=lambda: self._tcp.in_flight,
        )
        self._tcp = self._make_tcp()

    async def start(self) -> None:
        """Open the sockets and check the servers. Raises NoServerError, with all closed."""
        self._loop = asyncio.get_running_loop()
        # On the caller's loop no callback may sleep, however briefly.
        self._may_sleep = getattr(self._loop, "is_own", False)
        try:
            for nameserver, why in self.pool.open_sockets(self._loop.time()):
                self._health_monitor.leave_out(nameserver, why)
            for nameserver, udp_socket in self.pool.sockets():
                self._listen(nameserver, udp_socket)
            if self._check:
                await self._health_monitor.check_servers()
            self._health_monitor.require_one()
        except BaseException:
            await self.close_engine()
            raise
        self._ready = True
        self._send_all()

    def submit(self, questions: Sequence[Question], deliver: AnswerCallback) -> None:
        """Queue the questions and send what the limits allow; see `Engine`."""
        count = len(questions)
        self._count.asked += count
        self._deliveries.awaited += count
        self._sender.queue_up(questions, deliver, self._loop.time())
        self._send_all()

    def set_limits(
        self, concurrency: int | None, qps: float | None, server_qps: float | None
    ) -> None:
        """Change the limits, before or after the start."""
        self._scheduler.most = concurrency or _MAX_IN_FLIGHT
        self.pool.set_limits(self._scheduler.most, qps, server_qps)
        if self._nameservers:
            self.pool.apply(self._loop.time())

    def rate(self) -> float | None:
        """Return the rate limit in queries a second, set or found; None for none."""
        return self.pool.allowed_rate()

    def limits_found(self) -> dict[str, dict[str, int | str]]:
        """Return the limits that were found, by server; see `ServerLimits.limits_found`."""
        return self.pool.limits_found()

    def backlog(self) -> int:
        """Return how many questions have not been sent yet, over UDP or TCP."""
        sender = self._sender
        return len(sender.queue) + len(sender.hopeless) + self._tcp.backlog()

    def on_room(self, wake: Callable[[], None]) -> None:
        """Have `wake` called when the queue is nearly empty."""
        self._wake = wake

    def on_failure(self, fail: Callable[[AuditorError], None]) -> None:
        """Have `fail` called whenever no server has answered for ten seconds."""
        self._fail = fail

    def counters(self) -> Mapping[str, int]:
        """Return the counts of `Counters`."""
        return self._count.as_dict()

    async def close_engine(self) -> None:
        """Drop what is outstanding and close all sockets."""
        self._ready = False
        for part in (self._sender, self._retries, self._receiver):
            part.clear()
        for timer in (self._ticker, self._pause):
            if timer is not None:
                timer.cancel()
        self._tail_probe.cancel_timer()
        for nameserver, udp_socket in self.pool.sockets():
            self._loop.remove_reader(udp_socket.datagrams.sock)
            udp_socket.datagrams.close()
            nameserver.sockets.clear()
        self._tcp.close()

    def _make_tcp(self) -> TcpTransport:
        return TcpTransport(
            self._nameservers,
            self._policy,
            self._count,
            grant=self._scheduler.grant,
            on_answers=self._on_tcp_answers,
            trace=self._trace,
        )

    def _listen(self, nameserver: NameServer, udp_socket: UdpSocket) -> None:
        self._loop.add_reader(udp_socket.datagrams.sock, self._receive, nameserver, udp_socket)

    def _listen_again(self, nameserver: NameServer, udp_socket: UdpSocket) -> None:
        self._loop.remove_reader(udp_socket.datagrams.sock)
        self._listen(nameserver, udp_socket)

    def _send_all(self) -> None:
        """Deliver answers, and send as many queries as windows and rates allow."""
        if self._sending:
            # A callback may submit more questions at once; they are sent in this loop.
            self._asked_meanwhile = True
            return
        self._sending = True
        try:
            self._asked_meanwhile = True
            while self._asked_meanwhile:
                self._asked_meanwhile = False
                self._handle_events()
                if self._ready:
                    self._tcp.send_queued(self._loop.time())
                    self._send(self._loop.time())
                    self._asked_meanwhile |= self._handle_events()
                    if self._wake is not None and len(self._sender.queue) < _FEW_UNSENT:
                        self._wake()
        finally:
            self._sending = False
        if self._ticker is None and self._deliveries.awaited and self._ready:
            # Queries of dead zones are sent in small batches, so more often.
            tick = _TICK_S / 2 if self._sender.hopeless else _TICK_S
            self._ticker = self._loop.call_later(tick, self._tick)

    def _send(self, now: float) -> None:
        """Send batch after batch, unless paused by a full send buffer or a rate limit."""
        if self._hopeless_due and self._pause is None:
            self._hopeless_due = False
            self._scheduler.send_hopeless(now)  # also while others are queued, to bound the delay
        if not self._scheduler.send_batches(now):
            self._tail_probe.wait(self._loop)

    def _handle_events(self) -> bool:
        """Handle the events of sender, receiver and retries; return whether there were any."""
        sender, receiver, retries = self._sender, self._receiver, self._retries
        events = False
        while receiver.answered:
            events = True
            answered, receiver.answered = receiver.answered, []
            for pairs, deliver in answered:
                self._deliveries.hand_over(pairs, deliver)
        while receiver.probe_replies:
            events = True
            self._on_probe_reply(*receiver.probe_replies.pop(0))
        if retries.finished or retries.over_tcp or retries.probes:
            events = True
            self._handle_retries()
        if sender.errors:
            events = True
            self._handle_send_errors()
        for question, deliver in sender.take_invalid_names():
            events = True
            self._deliveries.refuse(question, deliver)
        return events

    def _handle_retries(self) -> None:
        retries = self._retries
        finished, retries.finished = retries.finished, []
        for query, answer in finished:
            self._deliveries.deliver_answer(query, answer)
        over_tcp, retries.over_tcp = retries.over_tcp, []
        self._count.tcp += len(over_tcp)
        for query in over_tcp:
            self._tcp.queue_query(query)
        while retries.probes:
            nameserver = retries.probes.pop(0)
            self._probe(nameserver, nameserver.control(), nameserver.can.plain)

    def _handle_send_errors(self) -> None:
        """Handle packets that the kernel rejected, and schedule sending again."""
        errors = self._sender.errors
        while errors:
            nameserver, sent = errors.pop(0)
            if sent.unreachable:
                self._health_monitor.on_refused(nameserver, self._loop.time())
            self._send_later(_RETRY_SEND_S)

    def _send_later(self, seconds: float) -> None:
        if self._pause is None:
            self._pause = self._loop.call_later(max(seconds, _RETRY_SEND_S), self._resume)
            self._scheduler.is_paused = True

    def _resume(self) -> None:
        self._pause = None
        self._scheduler.is_paused = False
        self._send_all()

    def _receive(self, nameserver: NameServer, udp_socket: UdpSocket) -> None:
        """Read the packets of a server; then send as many queries as there is room for."""
        if self._may_sleep and udp_socket.outstanding:
            # Let replies gather, to read them in one batch.
            delay = nameserver.gathering.delay(nameserver.in_flight.count)
            if delay:
                time.sleep(delay / len(self._nameservers))
        now = self._loop.time()
        before = nameserver.in_flight.count
        came = self._read(nameserver, udp_socket, now)
        if not came:
            # The wake-up may be due to a socket error, after which libuv stops watching the
            # socket: register it again.
            self._listen_again(nameserver, udp_socket)
        for other in nameserver.sockets:
            # Reading all sockets makes room for one large batch instead of several small ones.
            if other is not udp_socket and other.outstanding:
                came += self._read(nameserver, other, now)
        if nameserver.presence.outage is not None:
            self._retries.repeat_after_outage(nameserver)
        if came:
            nameserver.gathering.on_read(came, nameserver.in_flight.count)
            self._retries.on_overtaken(nameserver)
            if nameserver.limits.pressure.doubts:
                nameserver.limits.pressure.on_held(before)
                self._poll_limits(now)
            self._send_all()

    def _read(self, nameserver: NameServer, udp_socket: UdpSocket, now: float) -> int:
        """Read and process packets of a socket; return how many."""
        datagrams = udp_socket.datagrams
        came = 0
        for _ in range(_READS_IN_A_ROW):
            packets = datagrams.receive()
            if packets:
                self._receiver.receive_batch(nameserver, udp_socket, packets, now)
                came += len(packets)
            if len(packets) < BATCH:
                break
        if datagrams.reported:
            self._listen_again(nameserver, udp_socket)
            self._report_icmp(nameserver, udp_socket, now)
            self._send_all()
        return came

    def _report_icmp(self, nameserver: NameServer, udp_socket: UdpSocket, now: float) -> None:
        """Report ICMP errors of a socket's packets to the health monitor."""
        reported = udp_socket.datagrams.reported
        if reported:
            udp_socket.datagrams.reported = 0
            self._health_monitor.on_refused(nameserver, now, reported)

    def _tick(self) -> None:
        """Check timeouts, limits and health."""
        self._ticker = None
        now = self._loop.time()
        for nameserver in self._nameservers:
            self._retries.on_first_attempts_late(nameserver, now)
            for udp_socket in nameserver.sockets:
                self._report_icmp(nameserver, udp_socket, now)
        self._retries.on_timers(now)
        self._poll_limits(now)
        self._health_monitor.poll_servers(now)
        self._hopeless_due = bool(self._sender.hopeless)
        self._send_all()

    def _poll_limits(self, now: float) -> None:
        """Update the limits of servers from refused and lost queries."""
        for nameserver in self._nameservers:
            if nameserver.limits.poll_limits(now, nameserver.round_trip.smoothed or 0.0):
                # Repeat the queries that were lost to the limit so far.
                self._retries.ask_again(nameserver, -math.inf, now)
        self._retries.poll_deferred(now, idle=not (self._sender.queue or self._retries.retry_queue))

    def _on_tcp_answers(self, answered: Sequence[tuple[PendingQuery, Answer]]) -> None:
        """Take answers over TCP; questions that follow from them go out together."""
        if not self._ready:
            return
        now = self._loop.time()
        for query, answer in answered:
            self._retries.on_tcp_answer(query, answer, now)
        self._send_all()

    def _probe(self, nameserver: NameServer, question: Question, plain: bool) -> None:  # noqa: FBT001 - a callback
        self._sender.probe(nameserver, question, self._loop.time(), plain=plain)
        if not self._ready:
            self._handle_send_errors()

    def _on_probe_reply(self, nameserver: NameServer, probe: Probe, data: bytes) -> None:
        nameserver.limits.pressure.on_control(probe[1], is_answered=is_answered(data))
        nameserver.on_answered(probe[1])
        self._health_monitor.on_probe(nameserver, probe, data, self._loop.time())

    def _give_up(self, error: AuditorError) -> None:
        _log.error("%s", error)
        if self._fail is not None:
            self._fail(error)
