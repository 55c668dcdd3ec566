"""The bulk engine: batched datagrams on the event loop.

The only place that joins sockets, tables, windows, courses and health to the loop. A question
takes the short way if it can: encoded from remembered parts, sent in a batch, its reply
matched by socket, ID and question bytes and decoded on sight. Whatever else happens to it
is a `Course`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Final

from auditor.resolve.attempts import Policy
from auditor.resolve.counters import Counters
from auditor.resolve.courses import Courses
from auditor.resolve.datagrams import BATCH
from auditor.resolve.dispatch import Dispatch
from auditor.resolve.health import Keeper
from auditor.resolve.holdups import Holdups
from auditor.resolve.pacing import TokenBucket
from auditor.resolve.receiving import Receiver
from auditor.resolve.sending import Sender
from auditor.resolve.streams import Streams
from auditor.resolve.upstream import Upstream
from auditor.wire.codes import SETTLED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from auditor.errors import AuditorError
    from auditor.resolve.answer import Answer, Deliver, Question
    from auditor.resolve.attempts import Course
    from auditor.resolve.datagrams import Sent
    from auditor.resolve.port import Port, Probe
    from auditor.settings import Server

__all__ = ["Bulk"]

_log = logging.getLogger("auditor")

#: Queries in flight without `--concurrency`, all servers together: the windows find less.
_MOST_IN_FLIGHT: Final = 16_384

#: Seconds between two looks at what is late. Lost packets are noticed this much later.
_TICK: Final = 0.02

#: Batches read from one socket before others get their turn.
_READS: Final = 4

#: Below so many questions unsent, more are welcome.
_LOW: Final = 256

#: Seconds until packets that the kernel had no room for are tried again.
_BREATH: Final = 0.001


class Bulk:
    """An `Engine` over batched UDP.

    `servers`: the name servers; `concurrency`: queries in flight at most, all servers
    together; `qps`, `server_qps`: queries a second at most, in all and to each server;
    `timeout`, `tries`: see `Policy`; `check`: whether servers are asked for a name that
    cannot exist first, and left out if they make up an answer or are silent; `trace`: whether
    answers say how they were obtained.
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
        self._servers = servers
        most = concurrency or _MOST_IN_FLIGHT
        self._rates = (qps, server_qps)
        self._policy = Policy(tries, timeout)
        self._check = check
        self._trace = trace
        self._count = Counters()
        self._open = 0
        self._ready = False
        self._pumping = False
        self._hopeless_due = False
        self._asked_meanwhile = False
        self._wake: Callable[[], None] | None = None
        self._fail: Callable[[AuditorError], None] | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._upstreams: list[Upstream] = []
        self._courses = Courses(
            self._policy, self._upstreams, finish=self._finish, over_tcp=self._over_tcp
        )
        self._sender = Sender(
            self._upstreams,
            self._courses,
            self._count,
            settle=self._settle,
            on_error=self._on_send_error,
        )
        self._holdups = Holdups(self._upstreams, self._sender.queue, self._come_back, self._pump)
        self._receiver = Receiver(
            self._courses, self._count, trace=trace, settle=self._settle, on_probe=self._on_probe
        )
        self._keeper = Keeper(
            self._upstreams,
            self._policy,
            probe=self._probe,
            take_back=self._courses.take_back,
            fail=self._give_up,
        )
        self._dispatch = Dispatch(
            self._upstreams,
            self._courses,
            self._sender,
            most=most,
            over_tcp=lambda: self._streams.in_flight,
            is_held=lambda: self._pause is not None,
        )
        self._streams = self._make_streams()

    async def start(self) -> None:
        """Open the sockets and check the servers. Raises NoServerError if none is left.

        When this ends in an exception, nothing is left open.
        """
        self._loop = asyncio.get_running_loop()
        try:
            self._open_upstreams(self._loop.time())
            if self._check:
                await self._keeper.check()
            self._keeper.require_one()
        except BaseException:
            await self.close()
            raise
        self._ready = True
        self._pump()

    def submit(self, questions: Sequence[Question], deliver: Deliver) -> None:
        """Queue the questions and send what the limits allow; see `Engine`."""
        count = len(questions)
        self._count.asked += count
        self._open += count
        self._sender.queue_up(questions, deliver, self._loop.time())
        self._pump()

    def limit(self, concurrency: int | None, qps: float | None, server_qps: float | None) -> None:
        """Begin, or go on, with other limits than those it was made with."""
        most = self._dispatch.most = concurrency or _MOST_IN_FLIGHT
        self._rates = (qps, server_qps)
        for upstream in self._upstreams:
            self._bucket.limit(qps, self._loop.time())
            upstream.limit(most, server_qps, self._loop.time())

    def backlog(self) -> int:
        """Return how many questions have not been sent yet, or not yet over TCP."""
        sender = self._sender
        return len(sender.queue) + len(sender.hopeless) + self._streams.backlog()

    def on_room(self, wake: Callable[[], None]) -> None:
        """Have `wake` called when the queue is nearly empty."""
        self._wake = wake

    def on_failure(self, fail: Callable[[AuditorError], None]) -> None:
        """Have `fail` called, once, when no server is left."""
        self._fail = fail

    def counters(self) -> Mapping[str, int]:
        """Return the counts of `Counters`."""
        return self._count.as_dict()

    async def close(self) -> None:
        """Drop what is outstanding and close all sockets."""
        self._ready = False
        self._sender.queue.clear()
        self._sender.hopeless.clear()
        self._courses.again.clear()
        for timer in (self._ticker, self._pause):
            if timer is not None:
                timer.cancel()
        self._holdups.close()
        for upstream in self._upstreams:
            for port in upstream.ports:
                self._loop.remove_reader(port.datagrams.sock)
            upstream.close()
        self._streams.close()

    def _make_streams(self) -> Streams:
        return Streams(
            self._upstreams,
            self._policy,
            self._count,
            grant=self._dispatch.grant,
            on_answers=self._on_streams,
            trace=self._trace,
        )

    def _open_upstreams(self, now: float) -> None:
        qps, server_qps = self._rates
        self._bucket = TokenBucket(qps, now)
        for number, server in enumerate(self._servers):
            upstream = Upstream(
                number,
                server,
                concurrency=self._dispatch.most,
                timeout=self._policy.timeout,
                qps=server_qps,
                now=now,
                within=self._bucket,
            )
            self._upstreams.append(upstream)
            try:
                upstream.open()
            except OSError as error:
                upstream.close()
                self._keeper.leave_out(upstream, f"cannot be reached: {error.strerror}")
            for port in upstream.ports:
                self._listen(upstream, port)

    def _listen(self, upstream: Upstream, port: Port) -> None:
        self._loop.add_reader(port.datagrams.sock, self._receive, upstream, port)

    def _listen_anew(self, upstream: Upstream, port: Port) -> None:
        self._loop.remove_reader(port.datagrams.sock)
        self._listen(upstream, port)

    def _pump(self) -> None:
        """Send as much as windows and rates allow."""
        if self._pumping or not self._ready:
            # Whoever is handed an answer may ask on at once; that is sent where it can be.
            self._asked_meanwhile = True
            return
        self._pumping = True
        try:
            self._asked_meanwhile = True
            while self._asked_meanwhile:
                self._asked_meanwhile = False
                self._streams.send(self._loop.time())
                self._send(self._loop.time())
                self._asked_meanwhile |= self._sender.settle_no_names()
                if self._wake is not None and len(self._sender.queue) < _LOW:
                    self._wake()
        finally:
            self._pumping = False
        if self._ticker is None and self._open:
            # What no answer is expected to goes out in small batches, so more often.
            tick = _TICK / 2 if self._sender.hopeless else _TICK
            self._ticker = self._loop.call_later(tick, self._tick)

    def _send(self, now: float) -> None:
        """Send batch after batch; while the kernel or a rate says "later", nothing is tried."""
        if self._hopeless_due and self._pause is None:
            self._hopeless_due = False
            self._dispatch.send_hopeless(now)  # also while there is other work: somebody waits
        if not self._dispatch.send(now):
            self._holdups.wait(self._loop)

    def _come_back(self, seconds: float) -> None:
        if self._pause is None:
            self._pause = self._loop.call_later(max(seconds, _BREATH), self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._pump()

    def _on_send_error(self, upstream: Upstream, sent: Sent) -> None:
        """Take what the kernel said of a packet that it did not take, and go on in a moment."""
        if sent.unreachable:
            self._keeper.on_refused(upstream, self._loop.time())
        self._come_back(_BREATH)

    def _receive(self, upstream: Upstream, port: Port) -> None:
        """Read what has arrived from a server; then send what that made room for."""
        gather = upstream.gather()
        if gather and port.flights:
            # Replies that come one by one would be read one by one. Whoever else is on the
            # loop waits no longer for it than for a batch that is being read.
            time.sleep(gather / len(self._upstreams))
        now = self._loop.time()
        came = self._read(upstream, port, now)
        if not came:
            # An error may have woken us, also one of those that nobody is told of. libuv
            # reports one and then never looks at the socket again: it has to be told anew.
            self._listen_anew(upstream, port)
        for other in upstream.ports:
            # Read together they make room for one large batch instead of several small ones.
            if other is not port and other.flights:
                came += self._read(upstream, other, now)
        if came:
            upstream.on_gathered(came)
            self._courses.overtaken(upstream)
            self._pump()

    def _read(self, upstream: Upstream, port: Port, now: float) -> int:
        """Take what has arrived on a socket; return how many packets."""
        datagrams = port.datagrams
        came = 0
        for _ in range(_READS):
            packets = datagrams.receive()
            if packets:
                self._receiver.take(upstream, port, packets, now)
                came += len(packets)
            if len(packets) < BATCH:
                break
        if datagrams.reported:
            self._listen_anew(upstream, port)
            self._look_at(upstream, port, now)
            self._pump()
        return came

    def _look_at(self, upstream: Upstream, port: Port, now: float) -> None:
        """Take what the network said about a socket's packets."""
        reported = port.datagrams.reported
        if reported:
            port.datagrams.reported = 0
            self._keeper.on_refused(upstream, now, reported)

    def _tick(self) -> None:
        """Look after what is late."""
        self._ticker = None
        now = self._loop.time()
        for upstream in self._upstreams:
            self._courses.silent(upstream, now)
            for port in upstream.ports:
                self._look_at(upstream, port, now)
        self._courses.due(now)
        self._keeper.look(now)
        self._hopeless_due = bool(self._sender.hopeless)
        self._pump()

    def _settle(
        self, pairs: Sequence[tuple[Question, Answer]], deliver: Deliver, *, failed: int = 0
    ) -> None:
        """Hand on answers that are final, so many `failed` ones among them."""
        count = len(pairs)
        self._open -= count
        self._count.failed += failed
        self._count.answered += count - failed
        deliver(pairs)

    def _finish(self, course: Course, answer: Answer) -> None:
        """Hand on the answer of a course."""
        if answer.how is not None:
            answer = answer._replace(how=answer.how._replace(attempts=course.sent))
        failed = answer.status not in SETTLED
        self._settle([(course.question, answer)], course.deliver, failed=failed)

    def _over_tcp(self, course: Course) -> None:
        """Ask a course's question over TCP: the reply was truncated."""
        self._count.tcp += 1
        self._streams.ask(course)

    def _on_streams(self, found: Sequence[tuple[Course, Answer]]) -> None:
        """Take what came of asking over TCP; what is asked on at once goes out together."""
        if not self._ready:
            return
        now = self._loop.time()
        busy, self._pumping = self._pumping, True
        try:
            for course, answer in found:
                self._courses.stream(course, answer, now)
        finally:
            self._pumping = busy
        self._pump()

    def _probe(self, upstream: Upstream, question: Question, plain: bool) -> None:  # noqa: FBT001 - a callback
        self._sender.probe(upstream, question, self._loop.time(), plain=plain)

    def _on_probe(self, upstream: Upstream, probe: Probe, data: bytes) -> None:
        self._keeper.on_probe(upstream, probe, data, self._loop.time())

    def _give_up(self, error: AuditorError) -> None:
        _log.error("%s", error)
        if self._fail is not None:
            self._fail(error)
