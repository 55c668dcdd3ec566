"""Name servers over TCP without a socket, for the lane of the bulk engine: on virtual time.

    async def main() -> None:
        lane = Lane(Far(), Closing(3))
        answers = await lane.ask(names(100))

    run_virtual(main())

A `Far` is a server: what it does with a connection, and with a query on it. It reads what
the lane writes through a `Wire`, which stands in for a `TcpConnection`.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

from auditor.resolve.bulk.counters import Counters
from auditor.resolve.bulk.pending_query import Attempt, PendingQuery, QueryState
from auditor.resolve.bulk.retry_policy import RetryPolicy
from auditor.resolve.bulk.server.nameserver import NameServer
from auditor.resolve.bulk.tcp.connection import Frames
from auditor.resolve.bulk.tcp.transport import TcpTransport
from auditor.settings import Server
from support.simnet import Query, parse, respond, truth

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.resolve.answer import Answer, Question

__all__ = [
    "RTT",
    "Closing",
    "Dropping",
    "Far",
    "Mute",
    "Refusing",
    "Saying",
    "Sending",
    "Wire",
    "WorkerRun",
    "right",
]

RTT: Final = 0.01
_LIMIT: Final = 1000.0
_NEXT: Final = 1e-9


class Far:
    """An honest server, `rtt` seconds away. Others are made from it.

    `wires`: every connection that was tried; `queries`: every query, in the order they came.
    """

    def __init__(self, rtt: float = RTT) -> None:
        self.rtt = rtt
        self.wires: list[Wire] = []
        self.queries: list[Query] = []

    def connected(self, wire: Wire) -> None:
        """Take a connection that somebody wants to open."""
        wire.accept()

    def asked(self, wire: Wire, query: Query) -> None:
        """Take a query."""
        wire.reply(respond(query))

    def most_at_once(self) -> int:
        """Return how many connections were open, or being opened, at the same time at most."""
        return max((wire.beside for wire in self.wires), default=0)


class Wire:
    """One connection: the lane's face (`send`, `close`) and the server's."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        far: Far,
        *,
        on_open: Callable[[], None],
        on_data: Callable[[bytes], None],
        on_end: Callable[[], None],
    ) -> None:
        self.writes: list[bytes] = []
        self.replied = 0
        self._number = 0
        self.is_over = False
        self.closed_by_us = False
        self.beside = 1 + sum(not wire.is_over for wire in far.wires)
        self._loop = loop
        self._far = far
        self._callbacks = (on_open, on_data, on_end)
        self._frames = Frames()
        far.wires.append(self)
        loop.call_soon(far.connected, self)

    def send_octets(self, data: bytes) -> None:
        """See `Connection`."""
        assert not self.is_over
        self.writes.append(data)
        self._later(self._far.rtt / 2, self._arrive, data)

    def close_connection(self) -> None:
        """See `Connection`."""
        self.closed_by_us = not self.is_over
        self.is_over = True

    def accept(self) -> None:
        """Let the connection stand."""
        self._later(self._far.rtt, self._callbacks[0])

    def reply(self, message: bytes, after: float = 0.0) -> None:
        """Send a message, framed."""
        self.replied += 1
        self.raw(len(message).to_bytes(2) + message, after)

    def raw(self, data: bytes, after: float = 0.0) -> None:
        """Send octets as they are."""
        self._later(after + self._far.rtt / 2, self._callbacks[1], data)

    def end(self, after: float = 0.0) -> None:
        """Refuse, reset or close."""
        self._later(after + self._far.rtt / 2, self._end)

    def _end(self) -> None:
        self.is_over = True
        self._callbacks[2]()

    def _arrive(self, data: bytes) -> None:
        for message in self._frames.split_messages(data):
            query = parse(message, self._loop.time())
            self._far.queries.append(query)
            self._far.asked(self, query)

    def _later(self, seconds: float, callback: Callable[..., None], *args: Any) -> None:
        def call() -> None:
            if not self.is_over:
                callback(*args)

        # Of what is due at one moment, asyncio does not keep the order, and a stream does.
        self._number += 1
        self._loop.call_later(seconds + self._number * _NEXT, call)


class Dropping(Far):
    """Takes no connection and says nothing: a packet filter."""

    def connected(self, wire: Wire) -> None:
        """See `Far`."""


class Refusing(Far):
    """Refuses connections, the first `times` of them."""

    def __init__(self, times: int = 1 << 30) -> None:
        super().__init__()
        self._left = times

    def connected(self, wire: Wire) -> None:
        """See `Far`."""
        self._left -= 1
        if self._left >= 0:
            wire.end()
        else:
            wire.accept()


class Mute(Far):
    """Reads, and says nothing about names that begin with one of `what`."""

    def __init__(self, *what: str) -> None:
        super().__init__()
        self._what = what

    def asked(self, wire: Wire, query: Query) -> None:
        """See `Far`."""
        if not query.name.startswith(self._what or ""):
            super().asked(wire, query)


class Closing(Far):
    """Closes a connection after so many answers (NSD's tcp-query-count)."""

    def __init__(self, after: int) -> None:
        super().__init__()
        self._after = after

    def asked(self, wire: Wire, query: Query) -> None:
        """See `Far`."""
        if wire.replied < self._after:
            super().asked(wire, query)
        if wire.replied == self._after:
            wire.replied += 1
            wire.end()


class Saying(Far):
    """Says an RCODE of everything, or nothing but a header with it."""

    def __init__(self, rcode: int, *, bare: bool = False, with_edns_only: bool = False) -> None:
        super().__init__()
        self._rcode = rcode
        self._bare = bare
        self._with_edns_only = with_edns_only

    def asked(self, wire: Wire, query: Query) -> None:
        """See `Far`."""
        if self._with_edns_only and not query.edns:
            super().asked(wire, query)
            return
        data = respond(query, self._rcode)
        wire.reply(data[:4] + bytes(8) if self._bare else data)


class Sending(Far):
    """Sends what a function makes of each query, framed or not."""

    def __init__(self, make: Callable[[Query], bytes], *, framed: bool = True) -> None:
        super().__init__()
        self._make = make
        self._framed = framed

    def asked(self, wire: Wire, query: Query) -> None:
        """See `Far`."""
        (wire.reply if self._framed else wire.raw)(self._make(query))


class WorkerRun:
    """The lane, with servers numbered from 0, and what came out of it.

    `grant` as for `TcpTransport`, all by default.
    """

    def __init__(
        self,
        *fars: Far,
        timeout: float = 2.0,
        tries: int = 5,
        trace: bool = False,
        grant: Callable[[NameServer, int, float], tuple[int, float]] | None = None,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.counters = Counters()
        self.found: list[tuple[PendingQuery, Answer]] = []
        self.nameservers = [
            NameServer(
                number,
                Server(f"192.0.2.{number + 1}"),
                concurrency=1000,
                timeout=timeout,
                qps=None,
                now=self.loop.time(),
            )
            for number in range(len(fars))
        ]
        at = {one.server: far for one, far in zip(self.nameservers, fars, strict=True)}

        def connect(loop: asyncio.AbstractEventLoop, server: Server, **callbacks: Any) -> Wire:
            return Wire(loop, at[server], **callbacks)

        self.streams = TcpTransport(
            self.nameservers,
            RetryPolicy(tries, timeout),
            self.counters,
            grant=grant or (lambda _upstream, wanted, _now: (wanted, 0.0)),
            on_answers=self.found.extend,
            trace=trace,
            connect=connect,
        )

    def submit(self, questions: Sequence[Question], server: int = 0) -> list[PendingQuery]:
        """Bring questions whose datagrams `server` truncated."""
        now = self.loop.time()
        queries = []
        for question in questions:
            query = PendingQuery(question, lambda _pairs: None)
            query.tries.append(Attempt(server, None, 0, now))
            query.state = QueryState.OVER_TCP
            queries.append(query)
            self.streams.queue_query(query)
        self.streams.send_queued(now)
        return queries

    async def until(self, condition: Callable[[], object]) -> None:
        """Let time pass until something is so."""
        async with asyncio.timeout(_LIMIT):
            while not condition():  # noqa: ASYNC110 - on virtual time
                await asyncio.sleep(RTT / 4)

    async def ask(self, questions: Sequence[Question], server: int = 0) -> dict[Question, Answer]:
        """Return the answers to questions, each of which comes exactly once."""
        before = len(self.found)
        self.submit(questions, server)
        await self.until(lambda: len(self.found) - before >= len(questions))
        answers = {query.question: answer for query, answer in self.found[before:]}
        assert len(self.found) - before == len(questions)
        assert set(answers) == set(questions)
        return answers

    async def rest(self) -> None:
        """Wait until nothing is open any more, as when nobody asks for a while; check the books."""
        await self.until(lambda: self.streams._ticker is None)
        assert self.streams.backlog() == self.streams.in_flight == 0
        assert all(not server.sessions for server in self.streams._servers.values())
        count = self.counters
        assert count.tcp_accepted <= min(count.tcp_sent, count.tcp_received)


def right(answers: dict[Question, Answer]) -> bool:
    """Tell whether all answers are the right ones."""
    return answers == {question: truth(question) for question in answers}
