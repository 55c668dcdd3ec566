"""The bulk engine: batched datagrams on the event loop.

The only place that joins sockets, tables, windows, courses and health to the loop. A question
takes the short way if it can: encoded from remembered parts, sent in a batch, its reply
matched by socket, ID and question bytes and decoded on sight. Whatever else happens to it
is a `Course`.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, cast

from auditor.errors import NoServerError
from auditor.resolve.attempts import Course, Policy
from auditor.resolve.counters import Counters
from auditor.resolve.courses import Courses
from auditor.resolve.datagrams import REPORTED
from auditor.resolve.health import Keeper
from auditor.resolve.pacing import TokenBucket
from auditor.resolve.receiving import Receiver
from auditor.resolve.sending import Sender
from auditor.resolve.streams import Streams
from auditor.resolve.upstream import LATE, Upstream
from auditor.wire.codes import SETTLED

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from auditor.errors import AuditorError
    from auditor.resolve.answer import Answer, Deliver, Question
    from auditor.resolve.upstream import Port
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
        tries: int = 3,
        check: bool = True,
        trace: bool = False,
    ) -> None:
        self._servers = servers
        self._most = max((concurrency or _MOST_IN_FLIGHT) // max(len(servers), 1), 1)
        self._rates = (qps, server_qps)
        self._policy = Policy(tries, timeout)
        self._check = check
        self._count = Counters()
        self._open = 0
        self._wake: Callable[[], None] | None = None
        self._fail: Callable[[AuditorError], None] | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._pause: asyncio.TimerHandle | None = None
        self._opening: asyncio.Task[None] | None = None
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
        self._receiver = Receiver(
            self._courses,
            self._count,
            trace=trace,
            settle=self._settle,
            on_probe=self._on_probe,
        )
        self._keeper = Keeper(
            self._upstreams,
            self._policy,
            probe=self._sender.probe,
            take_back=self._take_back,
            fail=self._give_up,
        )
        self._streams = Streams(servers, self._policy, self._on_stream)

    async def start(self) -> None:
        """Open the sockets and check the servers. Raises NoServerError if none is left."""
        self._loop = asyncio.get_running_loop()
        now = self._loop.time()
        qps, server_qps = self._rates
        self._bucket = TokenBucket(qps, now)
        for number, server in enumerate(self._servers):
            upstream = Upstream(
                number,
                server,
                concurrency=self._most,
                timeout=self._policy.timeout,
                qps=server_qps,
                now=now,
            )
            self._upstreams.append(upstream)
            self._open_upstream(upstream)
        if self._check:
            await self._keeper.check()
        if not self._keeper.usable():
            raise NoServerError(f"no server is left to ask: {self._keeper.why()}")

    def submit(self, questions: Sequence[Question], deliver: Deliver) -> None:
        """Queue the questions and send what the limits allow; see `Engine`."""
        count = len(questions)
        self._count.asked += count
        self._open += count
        self._sender.queue.extend([(question, deliver) for question in questions])
        self._pump()

    def backlog(self) -> int:
        """Return how many questions have not been sent yet."""
        return len(self._sender.queue)

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
        self._sender.queue.clear()
        self._open = 0
        for timer in (self._ticker, self._pause):
            if timer is not None:
                timer.cancel()
        for upstream in self._upstreams:
            for port in upstream.ports:
                self._loop.remove_reader(port.datagrams.sock)
            upstream.close()
        if self._opening is not None:
            await self._opening
        await self._streams.close()

    def _open_upstream(self, upstream: Upstream) -> None:
        try:
            upstream.open()
        except OSError as error:
            upstream.close()
            self._keeper.leave_out(upstream, f"cannot be reached: {error.strerror}")
            return
        for port in upstream.ports:
            self._loop.add_reader(port.datagrams.sock, self._receive, upstream, port)

    def _pump(self) -> None:
        """Send as much as windows and rates allow."""
        now = self._loop.time()
        sender = self._sender
        # While the kernel or a rate says "later", nothing is tried before.
        while self._pause is None and (waiting := sender.waiting()):
            upstream = self._freest()
            room = upstream.room()
            if room <= 0:
                break
            granted = self._granted(upstream, min(room, waiting), now)
            if not granted:
                break
            taken = sender.send(upstream, granted, now)
            self._bucket.give_back(granted - taken)
            upstream.bucket.give_back(granted - taken)
        if self._ticker is None and self._open:
            self._ticker = self._loop.call_later(_TICK, self._tick)
        if self._wake is not None and len(sender.queue) < _LOW:
            self._wake()

    def _freest(self) -> Upstream:
        """Return the server with the most room in its window."""
        if len(self._upstreams) == 1:
            return self._upstreams[0]
        return max(self._upstreams, key=Upstream.room)

    def _granted(self, upstream: Upstream, wanted: int, now: float) -> int:
        """Take tokens for up to `wanted` queries; without any, come back when there are some."""
        granted = self._bucket.take(wanted, now)
        allowed = upstream.bucket.take(granted, now)
        self._bucket.give_back(granted - allowed)
        if not allowed:
            self._come_back(max(self._bucket.delay(now), upstream.bucket.delay(now)))
        return allowed

    def _come_back(self, seconds: float) -> None:
        if self._pause is None:
            self._pause = self._loop.call_later(max(seconds, _BREATH), self._resume)

    def _resume(self) -> None:
        self._pause = None
        self._pump()

    def _on_send_error(self, upstream: Upstream, error: int) -> None:
        """Take what the kernel said of a packet that it did not take.

        No room, an ICMP message about earlier packets, a packet filter that is full: the
        packet stays in line and is tried again in a moment.
        """
        if error in REPORTED:
            self._keeper.on_refused(upstream, self._loop.time())
        self._come_back(_BREATH)

    def _receive(self, upstream: Upstream, port: Port) -> None:
        """Read what has arrived on a socket; then send what that made room for."""
        now = self._loop.time()
        datagrams = port.datagrams
        for _ in range(_READS):
            packets = datagrams.receive()
            if not packets:
                break
            self._receiver.take(upstream, port, packets, now)
        if datagrams.reported:
            datagrams.reported = 0
            self._keeper.on_refused(upstream, now)
        self._pump()

    def _tick(self) -> None:
        """Look after what is late."""
        self._ticker = None
        now = self._loop.time()
        for upstream in self._upstreams:
            self._courses.silent(upstream, now)
        self._courses.due(now)
        self._keeper.look(now)
        self._pump()

    def _settle(self, pairs: Sequence[tuple[Question, Answer]], deliver: Deliver) -> None:
        """Hand on answers that are final."""
        count = len(pairs)
        self._open -= count
        failed = len([1 for _, answer in pairs if answer.status not in SETTLED])
        self._count.failed += failed
        self._count.answered += count - failed
        deliver(pairs)

    def _finish(self, course: Course, answer: Answer) -> None:
        """Hand on the answer of a course."""
        if answer.how is not None:
            answer = answer._replace(how=answer.how._replace(attempts=course.sent))
        self._settle([(course.question, answer)], course.deliver)

    def _over_tcp(self, course: Course) -> None:
        """Ask a course's question over TCP: the reply was truncated."""
        self._count.tcp += 1
        if self._streams.is_open:
            self._streams.ask(course)
        elif self._streams.wait(course):
            self._opening = self._loop.create_task(self._streams.start())

    def _on_stream(self, course: Course, answer: Answer) -> None:
        if not course.done:
            self._courses.end(course, answer)
            self._pump()

    def _on_probe(self, upstream: Upstream, asked: bytes, data: bytes) -> None:
        self._keeper.on_probe(upstream, asked, data, self._loop.time())

    def _take_back(self, upstream: Upstream) -> None:
        """Put back in line whatever a benched server owes, as if it had not been asked."""
        for port in upstream.ports:
            table = port.table
            for place, flight in enumerate(table):
                if flight.__class__ is not tuple:
                    continue
                parts = cast("tuple[Any, ...]", flight)
                table[place] = LATE
                owed = parts[0]
                if isinstance(owed, Course):
                    if not owed.done:
                        owed.done = True
                        self._sender.put_back(owed.question, owed.deliver)
                elif not isinstance(owed, bytes):
                    self._sender.put_back(parts[0], parts[1])
        upstream.sent.clear()
        upstream.in_flight = 0
        upstream.waiting_since = None

    def _give_up(self, error: AuditorError) -> None:
        _log.error("%s", error)
        if self._fail is not None:
            self._fail(error)
