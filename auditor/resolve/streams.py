"""The lane for what does not fit a datagram: TCP.

A truncated reply, or silence from a server that limits the rate of its datagrams, brings a
question here. It goes to the server that was asked last, over a connection that is kept and
shared; to another one when that is no help. What a reply says is read by the same code as
that of a datagram, so which way an answer came by changes nothing in it.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from itertools import compress
from typing import TYPE_CHECKING, Final

from auditor.errors import WireError
from auditor.resolve.answer import Answer, Obtained
from auditor.resolve.echo import HEADER, refusal
from auditor.resolve.interpret import interpret
from auditor.resolve.peer import Asking, Peer, is_cut_off
from auditor.resolve.replies import Replies
from auditor.resolve.tcp import TcpConnection
from auditor.resolve.upstream import Health
from auditor.wire.codes import FORMERR, MALFORMED, NOTIMP, SETTLED, TIMEOUT, UNREACHABLE
from auditor.wire.message import decode_message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.resolve.attempts import Course, Policy
    from auditor.resolve.counters import Counters
    from auditor.resolve.peer import Flight, Talk
    from auditor.resolve.tcp import Connection
    from auditor.resolve.upstream import Upstream

__all__ = ["Streams"]

_log = logging.getLogger("auditor")

#: Seconds between two looks at what is late and what is idle.
_TICK: Final = 0.05

#: The least time until more tokens are asked for.
_BREATH: Final = 0.001


class Streams:
    """Asks the questions of courses over TCP. `on_answers` is given what came of them.

    `grant` is asked before queries are sent: how many may be to a server now, and after how
    many seconds (0: when something else has happened) to ask again. `connect` opens a
    connection. `trace`: whether answers say how they were obtained.
    """

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        policy: Policy,
        counters: Counters,
        *,
        grant: Callable[[Upstream, int, float], tuple[int, float]],
        on_answers: Callable[[Sequence[tuple[Course, Answer]]], None],
        trace: bool = False,
        connect: Callable[..., Connection] = TcpConnection,
    ) -> None:
        self._upstreams = upstreams
        self._policy = policy
        self._count = counters
        self._grant = grant
        self._on_answers = on_answers
        self._trace = trace
        self._open = connect
        self._peers: dict[int, Peer] = {}
        self._found: list[tuple[Course, Answer]] = []
        self._replies = Replies()
        self._ticker: asyncio.TimerHandle | None = None
        self._pause: asyncio.TimerHandle | None = None

    def ask(self, course: Course) -> None:
        """Take a course, to be asked with the next `send`."""
        self._bring(Asking(course), course.tries[-1].server, asyncio.get_running_loop().time())

    def backlog(self) -> int:
        """Return how many questions have not been sent yet."""
        return sum([len(peer.queue) for peer in self._peers.values()])

    @property
    def in_flight(self) -> int:
        """How many questions are in flight, all servers together."""
        return sum([peer.in_flight() for peer in self._peers.values()]) if self._peers else 0

    def send(self, now: float) -> None:
        """Send what connections and limits allow, and hand over what could not be asked."""
        if not self._peers and not self._found:
            return  # as nearly always
        peers = list(self._peers.values())
        for peer in peers:
            if peer.queue:
                self._serve(peer, now)
        if self._ticker is None and any(peer.queue or peer.talks for peer in peers):
            self._ticker = asyncio.get_running_loop().call_later(_TICK, self._tick)
        self._hand_over()

    def close(self) -> None:
        """Close all connections and drop what is outstanding."""
        for timer in (self._ticker, self._pause):
            if timer is not None:
                timer.cancel()
        for peer in self._peers.values():
            peer.queue.clear()
            for talk in peer.talks:
                talk.connection.close()
            peer.talks.clear()

    # --- Which server

    def _bring(self, asking: Asking, preferred: int, now: float) -> None:
        """Queue a question for a server; it is over when there is none to help."""
        peer = self._choose(asking, preferred, now)
        if peer is not None:
            peer.queue.append(asking)
            return
        answer = asking.best
        if answer is None:
            given_up = self._peers.get(preferred)
            why = given_up.why if given_up is not None else UNREACHABLE
            answer = self._nothing(self._upstreams[preferred], why)
        self._found.append((asking.course, answer))

    def _nothing(self, upstream: Upstream, status: str) -> Answer:
        """Return what is said of a question when a server says nothing."""
        return Answer(status, how=Obtained(upstream.name, "tcp") if self._trace else None)

    def _choose(self, asking: Asking, preferred: int, now: float) -> Peer | None:
        """Return the best server for a question: the preferred one if TCP works there."""
        peer = self._peers.get(preferred)
        if peer is not None and not asking.failed and not peer.strikes and peer.is_good:
            return peer
        if len(asking.failed) >= self._policy.tries:
            return None
        # Over TCP a benched one may answer; one that was left out at the start is no choice.
        usable = [one for one in self._upstreams if one.health is Health.GOOD] or [
            one for one in self._upstreams if one.health is Health.BENCHED
        ]
        peers = [self._peer(one) for one in usable if one.number not in asking.failed]
        return min(
            (peer for peer in peers if not peer.is_shut(now)),
            key=lambda peer: (
                peer.strikes > 0,
                peer.upstream.number != preferred,
                len(peer.queue) + peer.in_flight(),
            ),
            default=None,
        )

    def _peer(self, upstream: Upstream) -> Peer:
        peer = self._peers.get(upstream.number)
        if peer is None:
            peer = self._peers[upstream.number] = Peer(upstream, self._policy.tries)
        return peer

    def _no_help(self, asking: Asking, peer: Peer, answer: Answer, now: float) -> None:
        """Take a failure for one server's word, and see whether another one knows more."""
        asking.note(peer.upstream.number, answer)
        self._bring(asking, peer.upstream.number, now)

    # --- Sending

    def _serve(self, peer: Peer, now: float) -> None:
        """Put on a server's connections what there is room for; open one if there is none."""
        while peer.queue:
            if not peer.queue[0].is_wanted:
                peer.queue.popleft()
                continue
            found = peer.talk_with_room()
            if found is None:
                if peer.may_connect(now):
                    self._connect(peer, now)
                return
            talk, room = found
            granted, delay = self._grant(peer.upstream, min(room, len(peer.queue)), now)
            if granted:
                self._put(peer, talk, granted, now)
            elif delay and self._pause is None:
                loop = asyncio.get_running_loop()
                self._pause = loop.call_later(max(delay, _BREATH), self._resume)
            if not granted:
                return

    def _put(self, peer: Peer, talk: Talk, count: int, now: float) -> None:
        """Send up to `count` questions on a connection, in one piece."""
        packets: list[bytes] = []
        while peer.queue and len(packets) < count:
            asking = peer.queue.popleft()
            if asking.is_wanted:
                packets.append(talk.ask(asking, now, plain=asking.plain or peer.upstream.plain))
        self._count.tcp_sent += len(packets)
        talk.connection.send(b"".join(packets))

    def _connect(self, peer: Peer, now: float) -> None:
        talk = peer.begin(now)
        try:
            talk.connection = self._open(
                asyncio.get_running_loop(),
                peer.upstream.server,
                on_open=partial(self._on_open, talk),
                on_data=partial(self._on_data, peer, talk),
                on_end=partial(self._on_end, peer, talk),
            )
        except OSError:
            self._go_on_without(peer, talk, UNREACHABLE, now)

    def _resume(self) -> None:
        self._pause = None
        self.send(asyncio.get_running_loop().time())

    # --- Receiving

    def _on_open(self, talk: Talk) -> None:
        now = asyncio.get_running_loop().time()
        talk.is_open = True
        talk.heard = now
        self.send(now)

    def _on_data(self, peer: Peer, talk: Talk, data: bytes) -> None:
        """Take what arrived on a connection."""
        now = asyncio.get_running_loop().time()
        messages = talk.frames.feed(data)
        replies: list[tuple[Flight, bytes]] = []
        for message in messages:
            flight = talk.match(message, now)
            if flight is not None:
                replies.append((flight, message))
        self._count.tcp_received += len(messages)
        self._count.tcp_accepted += len(replies)
        if replies:
            peer.on_answers(len(replies))
            for (flight, _), answer in zip(replies, self._read(peer, replies, now), strict=True):
                self._take(peer, flight, answer, now)
        if talk.is_spoilt:
            self._lose(peer, talk, MALFORMED, now)
        elif talk.is_idle(now):
            self._retire(peer, talk)
        self.send(now)

    def _take(self, peer: Peer, flight: Flight, answer: Answer, now: float) -> None:
        """Take the answer to a question, or what a server said instead of one."""
        asking = flight.asking
        if answer.status in SETTLED:
            self._found.append((asking.course, answer))
        elif answer.status in {FORMERR, NOTIMP} and not flight.plain:
            # As over UDP: it may be from before EDNS (RFC 6891 §7).
            asking.plain = True
            peer.queue.appendleft(asking)
        else:
            self._no_help(asking, peer, answer, now)

    def _read(
        self, peer: Peer, replies: Sequence[tuple[Flight, bytes]], now: float
    ) -> list[Answer]:
        """Read replies the way that datagrams are read: the common ones at once."""
        exact = [
            data.startswith(flight.wire, HEADER) and not self._trace for flight, data in replies
        ]
        common = iter(
            self._replies.read(
                [data for _, data in compress(replies, exact)],
                [flight.wire for flight, _ in compress(replies, exact)],
            )
        )
        return [
            (next(common) if is_exact else None) or self._read_one(peer, flight, data, now)
            for (flight, data), is_exact in zip(replies, exact, strict=True)
        ]

    def _read_one(self, peer: Peer, flight: Flight, data: bytes, now: float) -> Answer:
        """Read a reply the long way."""
        question = flight.asking.course.question
        how = None
        if self._trace:
            how = Obtained(peer.upstream.name, "tcp", 1, round((now - flight.sent) * 1000, 3))
        refused = refusal(data)
        if refused is not None:
            return Answer(refused, how=how)
        try:
            message = decode_message(data)
        except WireError:
            return Answer(MALFORMED, how=how)
        answer = interpret(message, question, how)
        self._replies.learn(data, question.rdtype, answer)
        return answer

    def _on_end(self, peer: Peer, talk: Talk) -> None:
        """Take the end of a connection that this side did not close."""
        now = asyncio.get_running_loop().time()
        self._lose(peer, talk, MALFORMED if talk.strays else UNREACHABLE, now)
        self.send(now)

    def _hand_over(self) -> None:
        if self._found:
            found, self._found = self._found, []
            self._on_answers(found)

    # --- What is late, and what is over

    def _tick(self) -> None:
        """Look after what is late."""
        self._ticker = None
        now = asyncio.get_running_loop().time()
        for peer in list(self._peers.values()):
            for talk in peer.talks.copy():
                self._look_at(peer, talk, now)
        self.send(now)

    def _look_at(self, peer: Peer, talk: Talk, now: float) -> None:
        timeout = self._policy.timeout
        if not talk.is_open:
            if now - talk.heard >= timeout:
                self._lose(peer, talk, TIMEOUT, now)
            return
        if talk.is_idle(now):
            self._retire(peer, talk)
            return
        overdue = list(talk.overdue(timeout, now))
        if overdue and not talk.answers and any(other.answers for other in peer.talks):
            # The server has let it in, and does not serve it: others it does.
            self._lose(peer, talk, TIMEOUT, now)
            return
        late = [
            (place, flight, waited)
            for place, flight, waited in overdue
            if waited >= self._patience(flight.asking, peer, now)
        ]
        for place, flight, waited in late:
            talk.forget(place)
            flight.asking.spent += waited
            self._no_help(flight.asking, peer, self._nothing(peer.upstream, TIMEOUT), now)
        if late and now - talk.heard >= late[0][2]:
            # Nothing at all has come meanwhile: nobody may be there any more.
            self._lose(peer, talk, TIMEOUT, now)

    def _patience(self, asking: Asking, peer: Peer, now: float) -> float:
        """Return the seconds that a server is given for one question.

        Where there is another server to ask one `timeout`; for the last one all that is left.
        """
        timeout, tries = self._policy.timeout, self._policy.tries
        known = asking.failed | {peer.upstream.number}
        others = len(known) < tries and any(
            one.number not in known
            and one.health is Health.GOOD
            and not self._peer(one).is_shut(now)
            for one in self._upstreams
        )
        return timeout if others else max(tries * timeout - asking.spent, timeout)

    def _retire(self, peer: Peer, talk: Talk) -> None:
        peer.retire(talk)
        talk.connection.close()

    def _lose(self, peer: Peer, talk: Talk, status: str, now: float) -> None:
        talk.connection.close()
        self._go_on_without(peer, talk, status, now)

    def _go_on_without(self, peer: Peer, talk: Talk, status: str, now: float) -> None:
        """Ask again what a connection owes that is over."""
        owed = peer.on_end(talk, status, now)
        for asking in reversed(owed):
            if is_cut_off(asking):
                self._no_help(asking, peer, self._nothing(peer.upstream, status), now)
            else:
                peer.queue.appendleft(asking)
        complaint = peer.complaint()
        if complaint is not None:
            name = peer.upstream.name
            _log.warning(
                "server %s cannot be asked over TCP: %s",
                name,
                complaint,
                extra={"event": "server_no_tcp", "fields": {"server": name, "why": complaint}},
            )
        if peer.strikes:
            self._leave(peer, status, now)

    def _leave(self, peer: Peer, status: str, now: float) -> None:
        """Let what waits for a server without TCP go to others; all of it, if TCP is given up."""
        given_up = peer.strikes >= self._policy.tries
        waiting = peer.queue.copy()
        peer.queue.clear()
        for asking in waiting:
            other = None if given_up else self._choose(asking, peer.upstream.number, now)
            if given_up:
                self._no_help(asking, peer, self._nothing(peer.upstream, status), now)
            else:
                (other or peer).queue.append(asking)
