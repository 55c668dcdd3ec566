"""A name server behind a network path, in time steps of its own: no clock, no socket.

What a `CongestionWindow` meets: a delay each way, a bounded socket buffer in front of a server that
takes so many queries a second, packets lost at random; and a client with questions without
end that notices losses by silence and asks again, as the bulk engine does.
"""

from __future__ import annotations

import heapq
import math
import random
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.resolve.bulk.server.congestion_window import CongestionWindow
from auditor.resolve.bulk.server.rtt import RttEstimator

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Path", "World"]

_BATCH: Final = 256  # datagrams that one system call sends or receives
_TICK: Final = 0.02  # seconds between two looks at what is late
_TRIES: Final = 3
_LEAST_TIMEOUT: Final = 0.05
_PATIENCE: Final = 2.0
#: Answers a second that the client takes, about what one core does.
_CLIENT: Final = 150_000.0


class Path(NamedTuple):
    """The way to a server, and the server.

    `delay`: seconds each way; `capacity`: queries a second that it takes; `buffer`: packets
    that wait for it at most (277 small ones fill 208 KiB); `loss`: the share of queries that
    is lost whatever we do; `thinking`: seconds until it answers, others being taken
    meanwhile, `abreast` of them at most.
    """

    delay: float = 0.00002
    capacity: float = 120_000.0
    buffer: int = 277
    loss: float = 0.0
    thinking: Callable[[random.Random], float] | None = None
    abreast: int = 1 << 30


class _Question:
    """One question: `ready` is when the server knows the answer."""

    __slots__ = ("counted", "ready", "settled", "tries", "waiting")

    def __init__(self) -> None:
        self.tries = 0
        self.ready: float | None = None
        self.settled = False
        self.waiting = False  # its last try is in flight, as far as the window goes
        self.counted = False  # taken for lost on the way


class _Query(NamedTuple):
    """One try of a question, `number` by number from 1."""

    question: _Question
    number: int
    sent: float


class World:
    """A client, a `path` and a server; `step` is the resolution in seconds.

    Counts so far: `sent` (queries), `answered` (questions), `overrun` (queries that the
    buffer had no room for), `silent` (questions none of whose tries was answered soon).
    `demand` bounds the questions asked a second; None for no end of them. `path` may be
    replaced while time goes on.
    """

    def __init__(
        self,
        path: Path,
        *,
        seed: int = 1,
        step: float = 0.0001,
        most: int = 16_384,
        demand: float | None = None,
    ) -> None:
        self.path = path
        self.now = 0.0
        self.window = CongestionWindow(most, 0.0)
        self.sent = self.answered = self.overrun = self.silent = 0
        self.in_flight = 0
        self._step = step
        self._demand = math.inf if demand is None else demand
        self._random = random.Random(seed)
        self._round_trip = RttEstimator(_LEAST_TIMEOUT, _PATIENCE)
        self._there: deque[tuple[float, _Query]] = deque()
        self._buffer: deque[_Query] = deque()
        self._thinking: list[tuple[float, int, _Query]] = []
        self._back: deque[tuple[float, _Query]] = deque()
        self._first: deque[_Query] = deque()
        self._later: list[tuple[float, int, _Query]] = []
        self._again: deque[_Question] = deque()
        self._number = 0
        self._credit = self._taken = self._asked = 0.0
        self._next_tick = 0.0

    def run(self, seconds: float) -> None:
        """Let so much time pass."""
        for _ in range(round(seconds / self._step)):
            self.now += self._step
            self._serve()
            self._receive()
            if self.now >= self._next_tick:
                self._next_tick = self.now + _TICK
                self._look()
            self._send()

    def _send(self) -> None:
        self._asked += self._demand * self._step
        while int(self.window.size) > self.in_flight:
            if self._again:
                question = self._again.popleft()
                if not question.settled:
                    self._scheduler(question)
                continue
            if self._asked < 1:
                return
            self._asked -= 1
            self._scheduler(_Question())

    def _scheduler(self, question: _Question) -> None:
        self.sent += 1
        self.in_flight += 1
        question.tries += 1
        question.waiting = True
        query = _Query(question, question.tries, self.now)
        if question.tries == 1:
            self._first.append(query)
        else:
            wait = min(self._round_trip.timeout * 2 ** (question.tries - 1), _PATIENCE)
            self._push(self._later, self.now + wait, query)
        if self._random.random() >= self.path.loss:
            self._there.append((self.now + self.path.delay, query))

    def _serve(self) -> None:
        path, now = self.path, self.now
        while self._there and self._there[0][0] <= now:
            _, query = self._there.popleft()
            if len(self._buffer) < path.buffer:
                self._buffer.append(query)
            else:
                self.overrun += 1
        self._credit += path.capacity * self._step
        while self._credit >= 1 and self._buffer and len(self._thinking) < path.abreast:
            self._credit -= 1
            query = self._buffer.popleft()
            if path.thinking is None:
                self._back.append((now + path.delay, query))
                continue
            question = query.question
            if question.ready is None:
                question.ready = now + path.thinking(self._random)
            self._push(self._thinking, max(question.ready, now), query)
        if not self._buffer:
            self._credit = min(self._credit, 1.0)
        while self._thinking and self._thinking[0][0] <= now:
            self._back.append((now + path.delay, heapq.heappop(self._thinking)[2]))

    def _receive(self) -> None:
        self._taken = min(self._taken + _CLIENT * self._step, float(_BATCH))
        first = 0
        since = self.now
        full = self.in_flight + 1 >= int(self.window.size)
        while self._taken >= 1 and self._back and self._back[0][0] <= self.now:
            self._taken -= 1
            _, query = self._back.popleft()
            question = query.question
            if question.settled:
                if question.counted and query.number == 1:
                    self.window.on_loss(-1)
                continue
            question.settled = True
            self.answered += 1
            if question.tries == 1 and question.waiting:
                first += 1
                since = query.sent
                continue
            self._leave(question)
            self.window.on_answers(1, self.now, full=True)
            soon = self.now - query.sent <= 2 * self._round_trip.timeout
            if query.number == question.tries and soon:
                question.counted = True
                self.window.on_loss()
        if first:
            self._round_trip.add_sample(self.now - since)
            self.in_flight -= first
            self.window.on_answers(first, self.now, full=full)

    def _look(self) -> None:
        limit = self.now - self._round_trip.timeout
        while self._first and self._first[0].sent <= limit:
            self._miss(self._first.popleft())
        while self._later and self._later[0][0] <= self.now:
            self._miss(heapq.heappop(self._later)[2])

    def _miss(self, query: _Query) -> None:
        question = query.question
        if question.settled:
            return
        self._leave(question)
        if question.tries < _TRIES:
            self._again.append(question)
        else:
            self.silent += 1

    def _leave(self, question: _Question) -> None:
        if question.waiting:
            question.waiting = False
            self.in_flight -= 1

    def _push(self, heap: list[tuple[float, int, _Query]], when: float, query: _Query) -> None:
        self._number += 1
        heapq.heappush(heap, (when, self._number, query))
