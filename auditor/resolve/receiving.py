"""Packets to answers: what the bulk engine receives, matched, read, and handed on.

A reply counts only if it comes from the connected server, its ID is in flight on that
socket, and it holds exactly the question that was sent. Anything else is counted and
dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from auditor.errors import WireError
from auditor.resolve.answer import Answer, Obtained
from auditor.resolve.interpret import interpret
from auditor.resolve.shortcuts import Replies
from auditor.resolve.upstream import ANSWERED, LATE, LOST
from auditor.wire.codes import FORMERR, MALFORMED, NOTIMP, SETTLED, TRUNCATED
from auditor.wire.message import decode_message

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.resolve.answer import Deliver, Question
    from auditor.resolve.attempts import Course
    from auditor.resolve.counters import Counters
    from auditor.resolve.courses import Courses
    from auditor.resolve.upstream import Port, Upstream

__all__ = ["Receiver"]

_HEADER: Final = 12
_QR: Final = 0x80
_FIRST: Final = 4
_COURSE: Final = 2

#: RCODEs with which old servers refuse EDNS, some with nothing but a header.
_REFUSALS: Final = {1: FORMERR, 4: NOTIMP}


class Receiver:
    """Takes batches of packets. `settle` is handed what they answer.

    `on_probe` is given the reply to a probe: the server, what was to be echoed, the packet.
    """

    def __init__(
        self,
        courses: Courses,
        counters: Counters,
        *,
        trace: bool,
        settle: Callable[[Sequence[tuple[Question, Answer]], Deliver], None],
        on_probe: Callable[[Upstream, bytes, bytes], None],
    ) -> None:
        self._courses = courses
        self._counters = counters
        self._trace = trace
        self._settle = settle
        self._on_probe = on_probe
        self._replies = Replies()

    def take(self, upstream: Upstream, port: Port, packets: list[bytes], now: float) -> None:
        """Take a batch that arrived on one socket."""
        table = port.table
        read = self._replies.read
        trace = self._trace
        pairs: list[tuple[Question, Answer]] = []
        wanted: Deliver | None = None
        since = now
        for data in packets:
            place = data[0] << 8 | data[1] if len(data) >= _HEADER else -1
            flight: Any = table[place] if place >= 0 else None
            if flight.__class__ is not tuple or len(flight) != _FIRST:
                self._take_other(upstream, port, place, data, now)
                continue
            question, deliver, asked, sent_at = flight
            end = _HEADER + len(asked)
            answer = None
            if data.startswith(asked, _HEADER) and not trace:
                answer = read(data, end, question[1])
            if answer is None:
                answer = self._read(upstream, (question, asked, sent_at), data, now)
                if answer is None:
                    continue
                if answer.status not in SETTLED:
                    self._counters.accepted += 1
                    upstream.on_heard(now)
                    course = self._courses.begin(upstream, port, place, flight)
                    self._courses.reply(course, answer, port, place, now)
                    continue
            table[place] = ANSWERED
            since = sent_at
            if deliver is not wanted:
                # One batch is one run's as a rule; two that share an engine take turns.
                if wanted is not None:
                    self._on_answers(upstream, pairs, wanted, now)
                    pairs = []
                wanted = deliver
            pairs.append((question, answer))
        self._counters.received += len(packets)
        if wanted is not None:
            upstream.round_trip.note(now - since)
            self._on_answers(upstream, pairs, wanted, now)

    def _on_answers(
        self,
        upstream: Upstream,
        pairs: list[tuple[Question, Answer]],
        deliver: Deliver,
        now: float,
    ) -> None:
        """Take answers to first tries: window, health, dead zones, and on to who asked."""
        count = len(pairs)
        self._counters.accepted += count
        full = upstream.in_flight + 1 >= int(upstream.window.size)
        upstream.in_flight -= count
        upstream.window.on_answers(count, now, full=full)
        upstream.on_heard(now)
        dead = self._courses.dead
        if dead:
            for question, _ in pairs:
                dead.on_answer(question.name)
        self._settle(pairs, deliver)

    def _take_other(
        self, upstream: Upstream, port: Port, place: int, data: bytes, now: float
    ) -> None:
        """Take what is not a reply to a first try: to a course, to a probe, or to nothing."""
        flight = port.table[place] if place >= 0 else None
        if flight.__class__ is not tuple:
            self._drop(upstream, port, place, flight, data)
            return
        if len(cast("tuple[Any, ...]", flight)) == _COURSE:
            course, asked = cast("tuple[Course, bytes]", flight)
            answer = self._read(upstream, (course.question, asked, course.last), data, now)
            if answer is not None:
                self._counters.accepted += 1
                upstream.on_heard(now)
                if answer.status in SETTLED:
                    upstream.window.on_answers(1, now, full=True)
                    self._courses.dead.on_answer(course.question.name)
                self._courses.reply(course, answer, port, place, now)
            return
        (asked,) = cast("tuple[bytes]", flight)
        if data[_HEADER : _HEADER + len(asked)].lower() == asked.lower():
            port.table[place] = ANSWERED
            self._counters.accepted += 1
            self._on_probe(upstream, asked, data)
        else:
            self._counters.forged += 1

    def _drop(self, upstream: Upstream, port: Port, place: int, mark: object, data: bytes) -> None:
        if place < 0 or not data[2] & _QR:
            self._counters.forged += 1
        elif mark == ANSWERED:
            self._counters.duplicates += 1
        elif mark in {LATE, LOST}:
            if mark == LOST:
                # It was slow after all.
                upstream.window.on_loss(-1)
            port.table[place] = ANSWERED
            self._counters.late += 1
        else:
            self._counters.strays += 1

    def _read(
        self, upstream: Upstream, sent: tuple[Question, bytes, float], data: bytes, now: float
    ) -> Answer | None:
        """Read a reply the long way; None: it is not one to this question.

        `sent` is what was asked, how it must be echoed, and when.
        """
        question, asked, sent_at = sent
        end = _HEADER + len(asked)
        if not data[2] & _QR:
            self._counters.forged += 1
            return None
        if not data.startswith(asked, _HEADER):
            refusal = _REFUSALS.get(data[3] & 0x0F)
            if refusal and len(data) == _HEADER and not upstream.plain:
                return Answer(refusal)
            if data[_HEADER:end].lower() == asked.lower():
                # It changes the letters' case after all: no more mixing, and asked again.
                upstream.mixed_case = False
            self._counters.forged += 1
            return None
        how = None
        if self._trace:
            how = Obtained(upstream.name, "udp", 1, round((now - sent_at) * 1000, 3))
        try:
            message = decode_message(data)
        except WireError:
            return Answer(MALFORMED, how=how)
        answer = interpret(message, question, how)
        if answer.status == TRUNCATED and not message.answer:
            # Not a large answer, but "ask over TCP, if you are who you say" (RRL's slip).
            upstream.slipped = now
        self._replies.learn(data, end, answer)
        return answer
