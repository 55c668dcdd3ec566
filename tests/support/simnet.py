"""The whole bulk engine on a network and a clock of its own: no socket, no waiting.

    with Simulation({"192.0.2.1": Honest()}) as world:
        answers = world.ask(questions)

Packets go through the engine's own sockets' places, so everything but the system calls and
the event loop is the real thing. A server is a function of a packet, returning the replies
and after how many seconds each arrives; lists of errors play the kernel.
"""

from __future__ import annotations

import asyncio
import hashlib
import heapq
import struct
from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self, TypeAlias

import pytest

from auditor.resolve.answer import Answer, Question
from auditor.resolve.bulk import engine as bulk
from auditor.resolve.bulk.engine import BulkEngine
from auditor.resolve.bulk.server import nameserver
from auditor.resolve.bulk.udp.datagram import BATCH, Sent
from auditor.settings import Server
from auditor.wire.codes import NODATA, NXDOMAIN, A

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from auditor.errors import AuditorError
    from auditor.resolve.bulk.pending_query import PendingQuery

__all__ = [
    "ONE",
    "RTT",
    "THREE",
    "TWO",
    "Behaviour",
    "Query",
    "Reply",
    "Simulation",
    "asked_of",
    "honest",
    "mute",
    "names",
    "parse",
    "respond",
    "saying",
    "slow",
    "statuses",
    "truth",
]

#: Where servers are, and the seconds to them and back.
ONE: Final = "192.0.2.1"
TWO: Final = "192.0.2.2"
THREE: Final = "192.0.2.3"
RTT: Final = 0.01

_HEADER: Final = 12
_OPT: Final = 11
_TC: Final = 0x0200
_CD: Final = 0x0010
_MOST_EVENTS: Final = 3_000_000
_TCP_SECONDS: Final = 0.05


class Query(NamedTuple):
    """One query as a server sees it: `question` is name, type and class as they came.

    `unchecked`: without validation, CD is set.
    """

    id: int
    name: str
    rdtype: int
    edns: bool
    question: bytes
    now: float
    unchecked: bool = False


class Reply(NamedTuple):
    """A packet that arrives `after` so many seconds."""

    after: float
    data: bytes


#: What a server does with a query. None: nobody is there, and the network says so.
Behaviour: TypeAlias = "Callable[[Query], Sequence[Reply]] | None"


def names(count: int, zone: str = "example.net") -> list[Question]:
    """Return so many different questions."""
    return [Question(f"n{number}.{zone}", A) for number in range(count)]


def truth(question: Question) -> Answer:
    """Return the right answer: an address as a rule, sometimes that there is none."""
    digest = hashlib.blake2b(question.name.encode(), digest_size=4).digest()
    if digest[0] < 10:
        return Answer(NXDOMAIN)
    if digest[0] < 20:
        return Answer(NODATA)
    return Answer("NOERROR", (f"10.{digest[1]}.{digest[2]}.{digest[3]}",), ttl=300)


def parse(data: bytes, now: float) -> Query:
    """Read a query."""
    qid, flags, _, _, _, additional = struct.unpack("!6H", data[:_HEADER])
    end = len(data) - _OPT * additional
    question = data[_HEADER:end]
    labels, query_id = [], 0
    while question[query_id]:
        labels.append(question[query_id + 1 : query_id + 1 + question[query_id]].decode().lower())
        query_id += 1 + question[query_id]
    rdtype = int.from_bytes(question[-4:-2])
    return Query(qid, ".".join(labels), rdtype, additional > 0, question, now, flags & _CD > 0)


def respond(query: Query, rcode: int | None = None, *, truncated: bool = False) -> bytes:
    """Return the right reply, or an RCODE alone, or an empty truncated one."""
    answer = truth(Question(query.name, query.rdtype))
    flags = 0x8400 | (_TC if truncated else 0)
    record = b""
    if rcode is None:
        rcode = 3 if answer.status == NXDOMAIN else 0
        if answer.records and not truncated:
            address = bytes(map(int, str(answer.records[0]).split(".")))
            record = struct.pack("!3HIH", 0xC00C, A, 1, 300, 4) + address
    counts = (1, int(bool(record)), 0, 0)
    return struct.pack("!6H", query.id, flags | rcode, *counts) + query.question + record


class _Timer:
    def __init__(self) -> None:
        self.cancelled = False

    def cancel(self) -> None:
        self.cancelled = True


class _Loop:
    """As much of an event loop as the engine uses."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.readers: dict[object, Callable[[], None]] = {}
        self._events: list[tuple[float, int, _Timer, Callable[[], None]]] = []
        self._number = 0

    def time(self) -> float:
        return self.now

    def call_later(self, delay: float, callback: Callable[..., None], *args: Any) -> _Timer:
        self._number += 1
        timer = _Timer()
        event = (self.now + delay, self._number, timer, lambda: callback(*args))
        heapq.heappush(self._events, event)
        return timer

    def add_reader(self, sock: object, callback: Callable[..., None], *args: Any) -> None:
        self.readers[sock] = lambda: callback(*args)

    def remove_reader(self, sock: object) -> None:
        del self.readers[sock]

    def step(self) -> bool:
        """Do what comes next; return whether there was anything."""
        while self._events:
            when, _, timer, callback = heapq.heappop(self._events)
            if not timer.cancelled:
                self.now = max(self.now, when)
                callback()
                return True
        return False


class _Datagrams:
    """A socket of the simulation."""

    def __init__(self, world: Simulation, address: str) -> None:
        self.sock: Any = object()
        self.reported = 0
        self.arrived: list[bytes] = []
        self._world = world
        self._address = address

    def send_packets(self, data: bytes, sizes: Sequence[int]) -> Sent:
        start = 0
        for count, size in enumerate(sizes[:BATCH]):
            packet = data[start : start + size]
            start += size
            error = self._world.kernel(packet)
            if error:
                return Sent(count, error)
            self._world.carry(self, self._address, packet)
        return Sent(min(len(sizes), BATCH), 0)

    def receive(self) -> list[bytes]:
        packets, self.arrived = self.arrived[:BATCH], self.arrived[BATCH:]
        return packets

    def close(self) -> None:
        pass


class Simulation:
    """Servers by address, and one engine that asks them.

    `kernel` is asked about every packet that is sent, and returns 0 or an errno. `tcp`
    answers over TCP. `queries` holds the address and every query that a server got;
    `delivered` every answer that came, in order.
    """

    def __init__(
        self,
        servers: Mapping[str, Behaviour],
        *,
        kernel: Callable[[bytes], int] = lambda _packet: 0,
        tcp: Callable[[Question], Answer] = truth,
        **options: Any,
    ) -> None:
        self.servers = dict(servers)
        self.kernel = kernel
        self.tcp = tcp
        self.loop = _Loop()
        self.queries: list[tuple[str, Query]] = []
        self.over_tcp: list[Question] = []
        self.delivered: list[tuple[Question, Answer]] = []
        self.failures: list[AuditorError] = []
        self._arriving: dict[tuple[int, float], list[bytes]] = {}
        self._patch = pytest.MonkeyPatch()
        self.engine = BulkEngine([Server(address) for address in servers], check=False, **options)
        self.engine.on_failure(self.failures.append)
        self.engine._tcp = SimpleNamespace(  # type: ignore[assignment]
            queue_query=self._ask_tcp, send_queued=lambda _now: None, in_flight=0, backlog=lambda: 0
        )

    def __enter__(self) -> Self:
        loop = SimpleNamespace(get_running_loop=lambda: self.loop)
        self._patch.setattr(bulk, "asyncio", loop)
        # The engine waits a moment for more replies: nothing arrives meanwhile, here.
        self._patch.setattr(bulk, "time", SimpleNamespace(sleep=lambda _seconds: None))
        self._patch.setattr(nameserver, "open_datagrams", lambda to, _: _Datagrams(self, to))
        asyncio.run(self.engine.start())
        return self

    def __exit__(self, *error: object) -> None:
        self._patch.undo()

    def carry(self, sender: _Datagrams, address: str, packet: bytes) -> None:
        """Take a packet to a server, and its replies back."""
        query = parse(packet, self.loop.now)
        self.queries.append((address, query))
        behaviour = self.servers[address]
        if behaviour is None:
            self.loop.call_later(0.0001, self._refuse, sender)
            return
        for reply in behaviour(query):
            # What arrives at the same moment is read at once, as from a real socket.
            key = (id(sender), self.loop.now + reply.after)
            waiting = self._arriving.get(key)
            if waiting is not None:
                waiting.append(reply.data)
                continue
            self._arriving[key] = [reply.data]
            self.loop.call_later(reply.after, self._arrive, sender, key)

    def submit(self, questions: Sequence[Question]) -> None:
        """Ask the engine; the answers come to `delivered`."""
        self.engine.submit(questions, self.delivered.extend)

    def ask(self, questions: Sequence[Question], limit: float = 1000.0) -> dict[Question, Answer]:
        """Ask the questions and return the answers, each of which comes exactly once."""
        before = len(self.delivered)
        self.submit(questions)
        self.run(lambda: len(self.delivered) - before >= len(questions), limit)
        found = self.delivered[before:]
        assert sorted(question for question, _ in found) == sorted(questions)
        return dict(found)

    def run(self, enough: Callable[[], bool], limit: float = 1000.0) -> None:
        """Let time pass until it is enough; it must be before `limit` seconds are over."""
        until = self.loop.now + limit
        for _ in range(_MOST_EVENTS):
            if enough():
                return
            assert self.loop.step(), "nothing is going to happen any more"
            assert self.loop.now < until, f"it takes longer than {limit} seconds"
        pytest.fail("the engine is busy without end")

    def drain(self) -> None:
        """Let everything that is on its way arrive."""
        while self.loop.step():
            pass

    def check_books(self) -> None:
        """Assert, after `drain`, that everything adds up and nothing is left anywhere."""
        count = self.engine.counters()
        assert count["asked"] == count["answered"] + count["failed"] == len(self.delivered)
        assert count["sent"] == count["first"] + count["retried"] + count["probes"]
        assert count["sent"] == len(self.queries)
        kinds = ("accepted", "strays", "duplicates", "late", "forged")
        assert count["received"] == sum(count[kind] for kind in kinds)
        assert 0 <= count["lost"] <= count["sent"]
        assert not self.engine._retries.retry_queue
        for upstream in self.engine._nameservers:
            assert upstream.in_flight.count == upstream.in_flight.later == 0
            for port in upstream.sockets:
                assert all(len(entry) == 3 for entry in port.outstanding.values()), (
                    "a question is left"
                )

    def _refuse(self, sender: _Datagrams) -> None:
        sender.reported += 1
        self.loop.readers[sender.sock]()

    def _arrive(self, sender: _Datagrams, key: tuple[int, float]) -> None:
        sender.arrived += self._arriving.pop(key)
        self.loop.readers[sender.sock]()

    def _ask_tcp(self, query: PendingQuery) -> None:
        self.over_tcp.append(query.question)
        answer = self.tcp(query.question)
        self.loop.call_later(_TCP_SECONDS, self.engine._on_tcp_answers, [(query, answer)])


def honest(query: Query) -> Sequence[Reply]:
    """Say the truth."""
    return [Reply(RTT, respond(query))]


def mute(_query: Query) -> Sequence[Reply]:
    """Say nothing."""
    return []


def saying(rcode: int) -> Callable[[Query], Sequence[Reply]]:
    """Return a server that has nothing but an RCODE for everybody."""
    return lambda query: [Reply(RTT, respond(query, rcode))]


def slow(seconds: float) -> Callable[[Query], Sequence[Reply]]:
    """Return a server whose answers take so long."""
    return lambda query: [Reply(seconds, respond(query))]


def statuses(answers: Mapping[Question, Answer]) -> Counter[str]:
    """Count the answers by status."""
    return Counter(answer.status for answer in answers.values())


def asked_of(world: Simulation, question: Question) -> list[str]:
    """Return the servers that were asked a question, in order."""
    return [address for address, query in world.queries if query.name == question.name]
