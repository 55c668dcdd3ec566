"""A name server on loopback that does wrong what a test wants done wrong.

    with FaultyServer("mail.example.net. A 192.0.2.1", plan=first(times=1)) as server:
        ask(server.address, server.port)  # in vain, and once more
        assert [query.transport for query in server.queries] == ["udp", "udp"]

It listens on UDP and TCP with one port, in a thread and an event loop of its own, and knows
every query that reached it. A plan says what to do with a query: a list of the actions in
`faults`, done in order (none: silence). What goes wrong without any server (nothing listens,
nobody reads) is at the end.
"""

from __future__ import annotations

import asyncio
import random
import socket
import threading
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self, TypeAlias

import dns.exception
import dns.message
import dns.rdatatype

from support.authority import Authority
from support.faults import Action, Exchange, Held, answer, corrupt, hold, rcode
from support.processes import claimed_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType

__all__ = [
    "Asked",
    "Chaos",
    "FaultyServer",
    "Plan",
    "Received",
    "always",
    "dead_port",
    "first",
    "mute_port",
    "per_name",
]

_ADDRESS: Final = "127.0.0.1"
_SECONDS: Final = 10.0  # for what takes no time unless the machine is in trouble
_PORT_TRIES: Final = 20


class Asked(NamedTuple):
    """A question: the owner name in lower case without the final dot, and a mnemonic."""

    name: str
    rdtype: str


class Received(NamedTuple):
    """One query as it came in.

    `payload` is the EDNS buffer size, None without EDNS; `at` the monotonic clock.
    """

    asked: Asked
    transport: str
    source_port: int
    id: int
    payload: int | None
    at: float
    wire: bytes


#: (question, "udp" or "tcp", how often it was asked that way, this time included)
Plan: TypeAlias = "Callable[[Asked, str, int], Sequence[Action]]"


def always(*actions: Action) -> Plan:
    """Do the same with every query."""
    return lambda _asked, _transport, _nth: actions


def first(*faults: Action, times: int = 1) -> Plan:
    """Do `faults` (none: silence) the first `times` a question comes, then answer."""
    return lambda _asked, _transport, nth: faults if nth <= times else (answer,)


def per_name(actions: Mapping[str, Sequence[Action]]) -> Plan:
    """Do these actions for these owner names, whatever the type; answer all others."""
    return lambda asked, _transport, _nth: actions.get(asked.name, (answer,))


class Chaos:
    """A plan that does wrong at random over UDP, each with its probability; TCP is sound.

    What happens to a query depends on the seed, the question and how often it was asked,
    not on the order in which queries come. `reorder` lets the next reply overtake, `corrupt`
    changes one octet. A question asked more than `patience` times is answered properly.
    """

    def __init__(
        self,
        seed: int,
        *,
        lose: float = 0.0,
        repeat: float = 0.0,
        reorder: float = 0.0,
        damage: float = 0.0,
        servfail: float = 0.0,
        patience: int = 1_000,
    ) -> None:
        self._seed = seed
        self._patience = patience
        self._faults: list[tuple[float, list[Action]]] = [
            (lose, []),
            (repeat, [answer, answer]),
            (reorder, [hold]),
            (damage, [corrupt(seed)]),
            (servfail, [rcode("SERVFAIL")]),
        ]

    def __call__(self, asked: Asked, transport: str, nth: int) -> Sequence[Action]:
        """Return what to do this time."""
        if transport == "udp" and nth <= self._patience:
            key = f"{self._seed} {asked.name} {asked.rdtype} {nth}"
            point = random.Random(key).random()
            for share, actions in self._faults:
                if point < share:
                    return actions
                point -= share
        return (answer,)


class FaultyServer:
    """Serves `zones` (a folder of `<origin>.zone` files, or master-file lines) by a plan.

    `queries` is what came in so far, `malformed` the octets that were no query. With
    `tcp=False` connections are refused. An action that raises fails the test that leaves
    the context.
    """

    def __init__(self, zones: Path | str, plan: Plan | None = None, *, tcp: bool = True) -> None:
        self.authority = (
            Authority.of_folder(zones) if isinstance(zones, Path) else Authority.of_text(zones)
        )
        self.plan = plan or always(answer)
        self.address = _ADDRESS
        self.queries: list[Received] = []
        self.malformed: list[bytes] = []
        self._held: Held = []
        self._times: dict[tuple[Asked, str], int] = {}
        self._arrived = threading.Condition()
        self._udp, self._stream, self.port = _bound_pair()
        self._elsewhere = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._listens = tcp
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, name="faulty server", daemon=True)
        self._stop: Callable[[], object] = self._ready.set  # until there is a loop to stop
        self._tasks: set[asyncio.Task[None]] = set()
        self._connections: set[asyncio.Transport] = set()
        self._errors: list[BaseException] = []

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(_SECONDS), "the faulty server does not start"
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._stop()
        self._thread.join(_SECONDS)
        assert not self._thread.is_alive(), "the faulty server does not stop"
        if error is None and self._errors:
            raise self._errors[0]

    def wait_for(self, count: int) -> None:
        """Block until so many queries have come in. Not for the thread of an event loop."""
        with self._arrived:
            enough = self._arrived.wait_for(lambda: len(self.queries) >= count, _SECONDS)
        assert enough, f"{len(self.queries)} of {count} queries came in"

    def _main(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - raised again where the context ends
            self._errors.append(error)
        finally:
            for each in (self._udp, self._stream, self._elsewhere):
                each.close()
            self._ready.set()

    async def _serve(self) -> None:
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        self._stop = partial(loop.call_soon_threadsafe, stop.set)
        datagrams, _ = await loop.create_datagram_endpoint(lambda: _Datagrams(self), sock=self._udp)
        listener = None
        if self._listens:
            listener = await loop.create_server(lambda: _Stream(self), sock=self._stream)
        self._ready.set()
        await stop.wait()
        datagrams.close()
        if listener is not None:
            # Closing it trips up the tasks in which asyncio accepts connections (they leave
            # the socket open), so they come to their end first.
            loop.remove_reader(self._stream)
            accepting = asyncio.all_tasks() - {*self._tasks, asyncio.current_task()}
            await asyncio.gather(*accepting)
            listener.close()
        for connection in self._connections:
            connection.abort()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def arrive(
        self,
        wire: bytes,
        transport: str,
        peer: tuple[str, int],
        send: Callable[[bytes], None],
        close: Callable[[], None],
    ) -> None:
        """Take one query from a socket (called by the protocols below)."""
        try:
            query = dns.message.from_wire(wire)
            (question,) = query.question
        except (dns.exception.DNSException, ValueError):
            self.malformed.append(wire)
            return
        name = question.name.to_text(omit_final_dot=True).lower()
        asked = Asked(name, dns.rdatatype.to_text(question.rdtype))
        payload = query.payload if query.edns >= 0 else None
        received = Received(asked, transport, peer[1], query.id, payload, time.monotonic(), wire)
        with self._arrived:
            nth = self._times[asked, transport] = self._times.get((asked, transport), 0) + 1
            self.queries.append(received)
            self._arrived.notify_all()
        exchange = Exchange(
            self.authority,
            wire,
            query,
            transport,
            self._held,
            send,
            partial(self._send_elsewhere, peer),
            close,
        )
        task = asyncio.get_running_loop().create_task(self._act(exchange, asked, nth))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _send_elsewhere(self, peer: tuple[str, int], data: bytes) -> None:
        self._elsewhere.sendto(data, peer)

    async def _act(self, exchange: Exchange, asked: Asked, nth: int) -> None:
        try:
            for action in self.plan(asked, exchange.transport, nth):
                await action(exchange)
        except Exception as error:  # noqa: BLE001 - raised again where the context ends
            self._errors.append(error)


class _Datagrams(asyncio.DatagramProtocol):
    def __init__(self, server: FaultyServer) -> None:
        self._server = server
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        assert self._transport is not None
        send = partial(self._transport.sendto, addr=addr)
        self._server.arrive(data, "udp", addr, send, lambda: None)


class _Stream(asyncio.Protocol):
    def __init__(self, server: FaultyServer) -> None:
        self._server = server
        self._buffer = b""
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self._transport = transport
        self._server._connections.add(transport)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        assert self._transport is not None
        self._server._connections.discard(self._transport)

    def data_received(self, data: bytes) -> None:
        assert self._transport is not None
        self._buffer += data
        while len(self._buffer) >= 2 + (size := int.from_bytes(self._buffer[:2])):
            wire, self._buffer = self._buffer[2 : 2 + size], self._buffer[2 + size :]
            peer = self._transport.get_extra_info("peername")
            self._server.arrive(wire, "tcp", peer, self._send, self._transport.close)

    def _send(self, data: bytes) -> None:
        assert self._transport is not None
        if not self._transport.is_closing():
            self._transport.write(len(data).to_bytes(2) + data)


def _bound_pair() -> tuple[socket.socket, socket.socket, int]:
    """Return a UDP and a TCP socket on one port; the second does not listen yet."""
    for _ in range(_PORT_TRIES):
        udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        tcp = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        udp.bind((_ADDRESS, 0))
        port: int = udp.getsockname()[1]
        try:
            tcp.bind((_ADDRESS, port))
        except OSError:
            udp.close()
            tcp.close()
            continue
        return udp, tcp, port
    raise OSError("no port is free for both UDP and TCP")


@contextmanager
def dead_port() -> Iterator[int]:
    """Yield a port of 127.0.0.1 where nothing listens: UDP and TCP are refused."""
    with claimed_port() as port:
        yield port


@contextmanager
def mute_port() -> Iterator[int]:
    """Yield a port of 127.0.0.1 that takes datagrams and connections, and never reads."""
    udp, tcp, port = _bound_pair()
    with udp, tcp:
        tcp.listen()
        yield port
