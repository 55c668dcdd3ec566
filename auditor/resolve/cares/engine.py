"""Engine over aiodns (c-ares): portable.

c-ares sends, retransmits, selects servers, falls back to TCP for truncated replies and parses.
This file bounds the queries in flight and converts results into answers.

Limitations, since c-ares does not report:

- more than the code of a failure or a negative answer: no aliases before it, no SOA (so no
  TTL), no extended errors, no server, transport or number of attempts;
- referrals: every NOERROR without answers is "no data";
- the boundaries of character-strings in a TXT record: they come joined, so SPF_STRINGS_JOINED
  is never found;
- RCODEs it has no code for: they are SERVFAIL here;
- a bare header, as some servers from before EDNS send it with FORMERR: it is MALFORMED here.

After one malformed reply c-ares fails everything else in flight to the server. So a question
that ended this way is asked once more, alone on a channel of its own.

c-ares rejects names with octets that no host name has, such as `<script>` or a control character
(EBADNAME), which is FORMERR here.
"""

from __future__ import annotations

import asyncio
import functools
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import aiodns
import pycares

from auditor.errors import UsageError
from auditor.resolve.answer import Answer
from auditor.resolve.cares.liveness import LivenessWatch, check_servers, query_nonexistent_name
from auditor.resolve.cares.replies import CARES, read_answer
from auditor.resolve.socket_address import socket_address
from auditor.resolve.token_bucket import TokenBucket
from auditor.settings import Server
from auditor.wire.codes import (
    AAAA,
    CNAME,
    FORMERR,
    MALFORMED,
    MX,
    NODATA,
    NOTIMP,
    NS,
    NXDOMAIN,
    PTR,
    REFUSED,
    SERVFAIL,
    SOA,
    TIMEOUT,
    TXT,
    UNREACHABLE,
    A,
    type_name,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from auditor.errors import AuditorError
    from auditor.resolve.answer import AnswerCallback, Question

__all__ = ["CaresEngine"]

#: Queries in flight without `--concurrency`: common servers keep up with these.
_MAX_IN_FLIGHT: Final = 192

#: The shortest timeout of c-ares, in seconds.
_MIN_TIMEOUT_S: Final = 0.25

#: Queries before a new channel is opened: the cache of a channel is unbounded and cannot be
#: switched off here. The old channel is closed after its last answer.
_QUERIES_PER_CHANNEL: Final = 8_000

#: Most questions in flight that are asked again, each alone on a channel.
_MAX_ALONE: Final = 8

_TYPES: Final = frozenset({A, AAAA, CNAME, MX, NS, PTR, SOA, TXT})

_STATUSES: Final[dict[int, str]] = {
    pycares.errno.ARES_ENODATA: NODATA,
    pycares.errno.ARES_EFORMERR: FORMERR,
    pycares.errno.ARES_ESERVFAIL: SERVFAIL,
    pycares.errno.ARES_ENOTFOUND: NXDOMAIN,
    pycares.errno.ARES_ENOTIMP: NOTIMP,
    pycares.errno.ARES_EREFUSED: REFUSED,
    pycares.errno.ARES_EBADRESP: MALFORMED,
    pycares.errno.ARES_EBADNAME: FORMERR,
    pycares.errno.ARES_ECONNREFUSED: UNREACHABLE,
    pycares.errno.ARES_ETIMEOUT: TIMEOUT,
}


def _cares_address(server: Server) -> str:
    """Return a server as c-ares expects it: the zone ID (RFC 4007 §11) after the port."""
    address, _, scope = server.address.partition("%")
    return f"{Server(address, server.port)}%{scope}" if scope else str(server)


class CaresEngine:
    """An `Engine` over aiodns.

    `servers`: the name servers, empty for the system's; `concurrency`: most queries in flight;
    `qps`: most queries a second; `tries`: queries for one question and server, given up after
    about `tries` times `timeout` seconds (c-ares adapts its timeouts to the RTT); `check`:
    whether servers are first asked for a name that cannot exist, and left out if they make up
    an answer or do not reply; `give_up_after_s`: seconds without any answer after which the run
    ends, None for never. Time in the queue does not count as waiting for a server.
    """

    def __init__(
        self,
        servers: Sequence[Server] = (),
        *,
        concurrency: int | None = None,
        qps: float | None = None,
        timeout: float = 2.0,
        tries: int = 5,
        check: bool = False,
        give_up_after_s: float | None = None,
    ) -> None:
        self._given_servers = servers
        self._servers = [_cares_address(server) for server in servers]
        self._max_in_flight = concurrency or _MAX_IN_FLIGHT
        self._qps = qps
        self._check = check
        self._give_up_after_s = give_up_after_s
        self._watch: LivenessWatch | None = None
        self._fail: Callable[[AuditorError], None] | None = None
        flags = pycares.ARES_FLAG_EDNS
        # c-ares doubles its timeout with every try: choose the first one so that all of them
        # add up to `tries` times `timeout`, and a lost packet is noticed early.
        first = max(timeout * tries / ((1 << tries) - 1), min(timeout, _MIN_TIMEOUT_S))
        self._options: dict[str, Any] = {"timeout": first, "tries": tries, "flags": flags}
        self._queue: deque[tuple[Question, AnswerCallback]] = deque()
        #: Questions that ended with a malformed reply, perhaps to another question, and how
        #: many of them are in flight again.
        self._doubtful: deque[tuple[Question, AnswerCallback]] = deque()
        self._alone = 0
        self._outstanding: set[asyncio.Future[Any]] = set()
        self._wake: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        #: Number of queries in flight by channel.
        self._pending: dict[aiodns.DNSResolver, int] = {}
        self._closed = False
        self._asked = self._answered = self._failed = 0
        self._queries_left = _QUERIES_PER_CHANNEL

    async def start(self) -> None:
        """Open the channel. Raises NoServerError if no server is left after the check."""
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._bucket = TokenBucket(self._qps, loop.time())
        try:
            for server in self._given_servers:
                socket_address(*server)  # raises for a missing interface, which c-ares ignores
            if self._check:
                self._servers = await check_servers(self._servers, self._options)
            self._resolver = self._open_channel()
        except (pycares.AresError, aiodns.error.DNSError, OSError) as error:
            names = ", ".join(map(str, self._given_servers))
            raise UsageError(f"server: c-ares refuses {names}") from error
        if self._give_up_after_s is not None:
            self._watch = LivenessWatch(
                self._servers,
                probe=self._does_any_server_reply,
                settle=self._settle,
                again=self._ask_again,
                fail=self._give_up,
                give_up_after_s=self._give_up_after_s,
            )

    def _open_channel(self) -> aiodns.DNSResolver:
        resolver = aiodns.DNSResolver(self._servers or None, loop=self._loop, **self._options)
        self._pending[resolver] = 0
        return resolver

    def submit(self, questions: Sequence[Question], deliver: AnswerCallback) -> None:
        """Queue the questions; see `Engine`."""
        self._asked += len(questions)
        self._queue.extend((question, deliver) for question in questions)
        self._send_queued()

    def set_limits(
        self, concurrency: int | None, qps: float | None, _server_qps: float | None
    ) -> None:
        """Change the limits, before or after the start."""
        self._max_in_flight = concurrency or _MAX_IN_FLIGHT
        self._qps = qps
        if hasattr(self, "_bucket"):
            self._bucket.set_rate(qps, self._loop.time())

    def backlog(self) -> int:
        """Return how many questions have not been sent yet."""
        return len(self._queue) + len(self._doubtful)

    def in_flight(self) -> int:
        """Return how many questions c-ares is working on."""
        return len(self._outstanding)

    def on_room(self, wake: Callable[[], None]) -> None:
        """Have `wake` called when the queue is nearly empty."""
        self._wake = wake

    def on_failure(self, fail: Callable[[AuditorError], None]) -> None:
        """Have `fail` called whenever no server has answered for `give_up_after_s` seconds."""
        self._fail = fail

    def counters(self) -> Mapping[str, int]:
        """Return questions asked, answered (NOERROR, NODATA, NXDOMAIN) and failed."""
        return {"asked": self._asked, "answered": self._answered, "failed": self._failed}

    async def close_engine(self) -> None:
        """Drop what is outstanding and close the channel."""
        self._closed = True
        self._queue.clear()
        self._doubtful.clear()
        if self._watch is not None:
            await self._watch.drop_held()
        if self._timer is not None:
            self._timer.cancel()
        outstanding = list(self._outstanding)
        for resolver in list(self._pending):
            await resolver.close()
        if outstanding:
            # c-ares calls back from its own thread: wait for the last callback.
            await asyncio.wait(outstanding)

    def _send_queued(self) -> None:
        """Send as many questions as the limits allow now."""
        alone = min(len(self._doubtful), _MAX_ALONE - self._alone)
        room = min(self._max_in_flight - len(self._outstanding), len(self._queue) + alone)
        if room <= 0 or self._closed:
            return
        granted = self._bucket.take_tokens(room, self._loop.time())
        for turn in range(granted):
            if turn < alone:
                self._alone += 1
                self._send(self._open_channel(), *self._doubtful.popleft(), alone=True)
            else:
                self._ask(*self._queue.popleft())
        if granted < room and self._timer is None:
            delay = self._bucket.delay(self._loop.time())
            self._timer = self._loop.call_later(delay, self._on_timer)
        if self._wake is not None and len(self._queue) < self._max_in_flight:
            self._wake()

    def _on_timer(self) -> None:
        self._timer = None
        self._send_queued()

    def _ask(self, question: Question, deliver: AnswerCallback) -> None:
        if question.rdtype not in _TYPES:
            self._failed += 1
            self._loop.call_soon(self._refuse, question, deliver)
            return
        self._queries_left -= 1
        if not self._queries_left:
            self._queries_left = _QUERIES_PER_CHANNEL
            self._switch_channel(self._resolver, self._open_channel())
        self._send(self._resolver, question, deliver)

    def _send(
        self,
        resolver: aiodns.DNSResolver,
        question: Question,
        deliver: AnswerCallback,
        *,
        alone: bool = False,
    ) -> None:
        """Send a question over a channel; `alone`: the channel has no other."""
        self._pending[resolver] += 1
        future = resolver.query_dns(question.name, type_name(question.rdtype))
        self._outstanding.add(future)
        asked = (question, deliver, self._loop.time())
        future.add_done_callback(functools.partial(self._on_done, asked, resolver, alone))

    def _switch_channel(self, resolver: aiodns.DNSResolver, successor: aiodns.DNSResolver) -> None:
        """Switch to another channel, and drop this one unless queries are in flight on it."""
        self._resolver = successor
        if not self._pending[resolver]:
            # aiodns closes a channel that is no longer referenced.
            del self._pending[resolver]

    def _refuse(self, question: Question, deliver: AnswerCallback) -> None:
        if not self._closed:
            deliver([(question, Answer(NOTIMP, how=CARES))])

    def _on_done(
        self,
        asked: tuple[Question, AnswerCallback, float],
        resolver: aiodns.DNSResolver,
        alone: bool,  # noqa: FBT001 - a callback
        future: asyncio.Future[pycares.DNSResult],
    ) -> None:
        self._outstanding.discard(future)
        self._alone -= alone
        self._pending[resolver] -= 1
        if resolver is not self._resolver:
            self._switch_channel(resolver, self._resolver)
        if future.cancelled() or self._closed:
            # Nobody awaits it: retrieve the exception, so that asyncio does not log it.
            if not future.cancelled():
                future.exception()
            return
        question, deliver, asked_at = asked
        error = future.exception()
        if error is None:
            answer = read_answer(question, future.result())
        else:
            answer = Answer(_STATUSES.get(error.args[0], SERVFAIL), how=CARES)
        if answer.status == MALFORMED and not alone:
            self._doubtful.append((question, deliver))
        elif self._watch is None or not self._watch.holds(question, deliver, answer, asked_at):
            self._settle(question, deliver, answer)
        self._send_queued()

    def _settle(self, question: Question, deliver: AnswerCallback, answer: Answer) -> None:
        if answer.status in {NODATA, NXDOMAIN, "NOERROR"}:
            self._answered += 1
        else:
            self._failed += 1
        deliver([(question, answer)])

    def _ask_again(self, question: Question, deliver: AnswerCallback) -> None:
        self._queue.append((question, deliver))
        self._send_queued()

    async def _does_any_server_reply(self) -> bool:
        unreached, _ = await query_nonexistent_name(self._resolver)
        return not unreached

    def _give_up(self, error: AuditorError) -> None:
        if self._fail is not None:
            self._fail(error)
