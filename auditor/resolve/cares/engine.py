"""Engine over aiodns (c-ares): portable.

c-ares sends, retries, picks servers, falls back to TCP for truncated replies and parses.
This file bounds the number of queries given to it at a time and turns its results into answers.

c-ares does not pass on, so neither can this engine:

- of a failure or a negative answer only the code: not the aliases before it, not the SOA
  (so no TTL), not the extended errors; not which server answered, over what, how often;
- a referral: c-ares calls every NOERROR without answers "no data";
- where the character-strings of a TXT record end: they come joined, so SPF_STRINGS_JOINED
  is never found;
- RCODEs it has no code for: they are SERVFAIL here;
- a bare header, as some servers from before EDNS send it with FORMERR: it is MALFORMED here.

With one malformed reply c-ares gives up everything else in flight to the server. So a question
that ended this way is asked once more, alone on a channel of its own, before it is believed.

It does not ask for every possible name either: names with octets that no host name has, such as
`<script>` or a control character, it refuses by itself (EBADNAME), which is FORMERR here.
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
from auditor.resolve.cares.liveness import LivenessWatch, ask_nowhere, try_out
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

#: Queries in flight without `--concurrency`: the common servers keep up with it.
_MAX_IN_FLIGHT: Final = 192

#: Seconds below which c-ares does not go.
_MIN_TIMEOUT_S: Final = 0.25

#: c-ares keeps every answer until its TTL is over, with no bound and no switch for it here.
#: A new channel knows nothing, so after so many queries there is one; the old one goes with
#: its last answer.
_FORGET_AFTER: Final = 8_000

#: Questions that are asked once more at the same time, each alone on a channel.
_MOST_ALONE: Final = 8

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


def _as_cares_writes(server: Server) -> str:
    """Return a server with its zone ID where c-ares wants it, behind the port."""
    address, _, scope = server.address.partition("%")
    return f"{Server(address, server.port)}%{scope}" if scope else str(server)


class CaresEngine:
    """An `Engine` over aiodns.

    `servers`: the name servers, empty for the system's; `concurrency`: queries in flight at
    most; `qps`: queries a second at most; `tries`: queries for one question and server, given
    up after `tries` times `timeout` seconds, as far as c-ares keeps to that: it adapts its
    timeouts to how servers respond; `check`: whether servers are asked for a name that cannot
    exist first, and left out if they make up an answer or are silent; `give_up_after_s`: seconds
    after which the run ends if none of them answers any more, None if nobody looks.
    A query that waits for its turn has not been given to c-ares, so its time has not begun.
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
        self._given = servers
        self._servers = [_as_cares_writes(server) for server in servers]
        self._most = concurrency or _MAX_IN_FLIGHT
        self._qps = qps
        self._check = check
        self._give_up_after_s = give_up_after_s
        self._watch: LivenessWatch | None = None
        self._fail: Callable[[AuditorError], None] | None = None
        flags = pycares.ARES_FLAG_EDNS
        # c-ares doubles its timeout with every try. All of them together are to be as long as
        # `tries` times `timeout`, and a lost packet is to be noticed early.
        first = max(timeout * tries / ((1 << tries) - 1), min(timeout, _MIN_TIMEOUT_S))
        self._options: dict[str, Any] = {"timeout": first, "tries": tries, "flags": flags}
        self._queue: deque[tuple[Question, AnswerCallback]] = deque()
        #: Questions that ended with a malformed reply, which may have been another's, and how
        #: many of them are being asked alone.
        self._doubtful: deque[tuple[Question, AnswerCallback]] = deque()
        self._alone = 0
        self._outstanding: set[asyncio.Future[Any]] = set()
        self._wake: Callable[[], None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        #: Channels with the number of answers that each of them owes.
        self._pending: dict[aiodns.DNSResolver, int] = {}
        self._closed = False
        self._asked = self._answered = self._failed = 0
        self._until_forgotten = _FORGET_AFTER

    async def start(self) -> None:
        """Open the channel. Raises NoServerError if no server is left after the check."""
        loop = asyncio.get_running_loop()
        self._loop = loop
        self._bucket = TokenBucket(self._qps, loop.time())
        try:
            for server in self._given:
                socket_address(*server)  # c-ares passes over an interface that is not there
            if self._check:
                self._servers = await try_out(self._servers, self._options)
            self._resolver = self._open()
        except (pycares.AresError, aiodns.error.DNSError, OSError) as error:
            names = ", ".join(map(str, self._given))
            raise UsageError(f"server: c-ares refuses {names}") from error
        if self._give_up_after_s is not None:
            self._watch = LivenessWatch(
                self._servers,
                probe=self._is_there,
                settle=self._settle,
                again=self._ask_again,
                fail=self._give_up,
                give_up_after_s=self._give_up_after_s,
            )

    def _open(self) -> aiodns.DNSResolver:
        resolver = aiodns.DNSResolver(self._servers or None, loop=self._loop, **self._options)
        self._pending[resolver] = 0
        return resolver

    def submit(self, questions: Sequence[Question], deliver: AnswerCallback) -> None:
        """Queue the questions; see `Engine`."""
        self._asked += len(questions)
        self._queue.extend((question, deliver) for question in questions)
        self._pump()

    def set_limits(
        self, concurrency: int | None, qps: float | None, _server_qps: float | None
    ) -> None:
        """Set other limits, before the start or after it."""
        self._most = concurrency or _MAX_IN_FLIGHT
        self._qps = qps
        if hasattr(self, "_bucket"):
            self._bucket.set_rate(qps, self._loop.time())

    def backlog(self) -> int:
        """Return how many questions were not given to c-ares yet."""
        return len(self._queue) + len(self._doubtful)

    def in_flight(self) -> int:
        """Return how many questions c-ares works on now."""
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
            # c-ares calls back from its own thread: wait until the last call is through.
            await asyncio.wait(outstanding)

    def _pump(self) -> None:
        """Give c-ares as many questions as the limits allow now."""
        alone = min(len(self._doubtful), _MOST_ALONE - self._alone)
        room = min(self._most - len(self._outstanding), len(self._queue) + alone)
        if room <= 0 or self._closed:
            return
        granted = self._bucket.take_tokens(room, self._loop.time())
        for turn in range(granted):
            if turn < alone:
                self._alone += 1
                self._send(self._open(), *self._doubtful.popleft(), alone=True)
            else:
                self._ask(*self._queue.popleft())
        if granted < room and self._timer is None:
            delay = self._bucket.delay(self._loop.time())
            self._timer = self._loop.call_later(delay, self._on_timer)
        if self._wake is not None and len(self._queue) < self._most:
            self._wake()

    def _on_timer(self) -> None:
        self._timer = None
        self._pump()

    def _ask(self, question: Question, deliver: AnswerCallback) -> None:
        if question.rdtype not in _TYPES:
            self._failed += 1
            self._loop.call_soon(self._refuse, question, deliver)
            return
        self._until_forgotten -= 1
        if not self._until_forgotten:
            self._until_forgotten = _FORGET_AFTER
            self._let_go(self._resolver, self._open())
        self._send(self._resolver, question, deliver)

    def _send(
        self,
        resolver: aiodns.DNSResolver,
        question: Question,
        deliver: AnswerCallback,
        *,
        alone: bool = False,
    ) -> None:
        """Give a question to a channel; `alone`: to one that has no other."""
        self._pending[resolver] += 1
        future = resolver.query_dns(question.name, type_name(question.rdtype))
        self._outstanding.add(future)
        asked = (question, deliver, self._loop.time())
        future.add_done_callback(functools.partial(self._on_done, asked, resolver, alone))

    def _let_go(self, resolver: aiodns.DNSResolver, successor: aiodns.DNSResolver) -> None:
        """Use another channel from now on, and drop this one if nothing is owed by it."""
        self._resolver = successor
        if not self._pending[resolver]:
            # aiodns closes a channel without references.
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
            self._let_go(resolver, self._resolver)
        if future.cancelled() or self._closed:
            # The caller is gone; retrieved, so that asyncio does not log the exception.
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
        self._pump()

    def _settle(self, question: Question, deliver: AnswerCallback, answer: Answer) -> None:
        if answer.status in {NODATA, NXDOMAIN, "NOERROR"}:
            self._answered += 1
        else:
            self._failed += 1
        deliver([(question, answer)])

    def _ask_again(self, question: Question, deliver: AnswerCallback) -> None:
        self._queue.append((question, deliver))
        self._pump()

    async def _is_there(self) -> bool:
        nobody, _ = await ask_nowhere(self._resolver)
        return not nobody

    def _give_up(self, error: AuditorError) -> None:
        if self._fail is not None:
            self._fail(error)
