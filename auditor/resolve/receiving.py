"""Packets to answers: what the bulk engine receives, matched, read, and handed on.

A reply counts only if it comes from the connected server, its ID is in flight on that
socket, and it holds the question that was sent, letter for letter if the letters' case was
mixed. Anything else is counted and dropped, but for this: servers from before EDNS refuse
what they cannot read with nothing but a header, and that is believed for FORMERR and NOTIMP
(RFC 6891 §7). It never is for other RCODEs: whoever guesses port and ID could end questions.
"""

from __future__ import annotations

from collections import deque
from itertools import compress
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from auditor.errors import WireError
from auditor.resolve.answer import Answer, Obtained
from auditor.resolve.datagrams import SLOT
from auditor.resolve.echo import echoes, is_response, refusal
from auditor.resolve.interpret import interpret
from auditor.resolve.port import ANSWERED, COURSE, FIRST, LATE, LOST
from auditor.resolve.replies import Replies
from auditor.wire.codes import MALFORMED, SETTLED, TRUNCATED
from auditor.wire.message import decode_message

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from auditor.resolve.answer import Deliver, Question
    from auditor.resolve.counters import Counters
    from auditor.resolve.courses import Courses
    from auditor.resolve.port import Port, Probe
    from auditor.resolve.upstream import Upstream

__all__ = ["Receiver"]

_HEADER: Final = 12
_TYPE_CLASS: Final = 4

#: Of a batch of replies to first tries: IDs, questions, who wants the answers, the question
#: sections as sent, when.
_Columns: TypeAlias = (
    "tuple[list[int], Sequence[Question], Sequence[Deliver], Sequence[bytes], Sequence[float]]"
)


class Receiver:
    """Takes batches of packets. `settle` is handed what they answer.

    `on_probe` is given the reply to a probe: the server, the probe, the packet.
    """

    def __init__(
        self,
        courses: Courses,
        counters: Counters,
        *,
        trace: bool,
        settle: Callable[[Sequence[tuple[Question, Answer]], Deliver], None],
        on_probe: Callable[[Upstream, Probe, bytes], None],
    ) -> None:
        self._courses = courses
        self._counters = counters
        self._trace = trace
        self._settle = settle
        self._on_probe = on_probe
        self._replies = Replies()

    def take(self, upstream: Upstream, port: Port, packets: list[bytes], now: float) -> None:
        """Take a batch that arrived on one socket."""
        self._counters.received += len(packets)
        if self._trace:
            self._take_each(upstream, port, packets, now)
            return
        # Nearly always all of them are replies to first tries.
        again: list[bytes] = []
        columns = _columns(port, packets)
        if columns is None:
            others, packets, again = _told_apart(port, packets)
            self._take_each(upstream, port, others, now)
            columns = _columns(port, packets)
        if columns is not None:
            packets = self._take_alike(upstream, port, packets, columns, now)
        if packets or again:
            self._take_each(upstream, port, packets + again, now)

    def _take_alike(
        self, upstream: Upstream, port: Port, packets: list[bytes], columns: _Columns, now: float
    ) -> list[bytes]:
        """Take replies to first tries; return those that must be read the long way."""
        places, questions, delivers, asked, times = columns
        answers = self._replies.read(packets, asked)
        left: list[bytes] = []
        if None in answers:
            left = [data for data, answer in zip(packets, answers, strict=True) if answer is None]
            places = list(compress(places, answers))
            if not places:
                return left
            questions = tuple(compress(questions, answers))
            delivers = tuple(compress(delivers, answers))
            times = tuple(compress(times, answers))
        marks = port.marks
        deque(map(port.flights.pop, places), 0)
        for place in places:
            marks[place] = ANSWERED
        upstream.round_trip.note(now - times[-1])
        upstream.on_answers(times, now)
        first = delivers[0]
        pairs = list(zip(questions, filter(None, answers), strict=True))
        if delivers.count(first) == len(delivers):
            self._on_answers(pairs, first)
        else:
            self._share_out(zip(delivers, pairs, strict=True))
        return left

    def _take_each(self, upstream: Upstream, port: Port, packets: list[bytes], now: float) -> None:
        """Take packets of any kind, one by one, the long way."""
        answered: list[tuple[Deliver, tuple[Question, Answer]]] = []
        times: list[float] = []
        for data in packets:
            place = data[0] << 8 | data[1] if len(data) >= _HEADER else -1
            flight: Any = port.flights.get(place)
            if flight is None or len(flight) != FIRST:
                self._take_other(upstream, port, place, data, now)
                continue
            question, deliver, asked, sent_at = flight
            answer = self._read(upstream, (question, asked, sent_at), data, now)
            if answer is None:
                continue
            if answer.status in SETTLED:
                port.settle(place, ANSWERED)
                upstream.round_trip.note(now - sent_at)
                answered.append((deliver, (question, answer)))
                times.append(sent_at)
            else:
                self._counters.accepted += 1
                upstream.on_heard(now)
                if answer.status == TRUNCATED:
                    # It came back as fast as any answer, whatever is in it.
                    full = upstream.in_flight + 1 >= int(upstream.window.size)
                    upstream.window.on_answers(1, now, full=full)
                course = self._courses.begin(upstream, port, place, flight)
                self._courses.reply(course, answer, port, place, now)
        if answered:
            upstream.on_answers(times, now)
            self._share_out(answered)

    def _share_out(self, answered: Iterable[tuple[Deliver, tuple[Question, Answer]]]) -> None:
        """Take answers for several that asked: one run as a rule, unless runs share an engine."""
        shares: dict[Deliver, list[tuple[Question, Answer]]] = {}
        for deliver, pair in answered:
            shares.setdefault(deliver, []).append(pair)
        for deliver, share in shares.items():
            self._on_answers(share, deliver)

    def _on_answers(self, pairs: list[tuple[Question, Answer]], deliver: Deliver) -> None:
        """Take answers to first tries: to the dead zones, and on to who asked."""
        self._counters.accepted += len(pairs)
        dead = self._courses.dead
        if dead:
            dead.on_answers([question[0] for question, _ in pairs])
        self._settle(pairs, deliver)

    def _take_other(
        self, upstream: Upstream, port: Port, place: int, data: bytes, now: float
    ) -> None:
        """Take what is not a reply to a first try: to a course, to a probe, or to nothing."""
        flight = port.flights.get(place)
        if flight is None:
            self._drop(upstream, port, place, data)
            return
        if len(flight) == COURSE:
            course, asked = flight
            answer = self._read(upstream, (course.question, asked, course.last), data, now)
            if answer is not None:
                self._counters.accepted += 1
                upstream.on_heard(now)
                if answer.status in SETTLED:
                    upstream.window.on_answers(1, now, full=True)
                    self._courses.dead.on_answer(course.question.name)
                self._courses.reply(course, answer, port, place, now)
            return
        probe = cast("Probe", flight)
        if is_response(data) and (echoes(data, probe[0]) or refusal(data)):
            port.settle(place, ANSWERED)
            self._counters.accepted += 1
            upstream.on_heard(now)
            self._on_probe(upstream, probe, data)
        else:
            self._counters.forged += 1

    def _drop(self, upstream: Upstream, port: Port, place: int, data: bytes) -> None:
        mark = port.marks[place]
        if place < 0 or not is_response(data):
            self._counters.forged += 1
        elif mark == ANSWERED:
            self._counters.duplicates += 1
        elif mark in {LATE, LOST}:
            if mark == LOST:
                # It was slow after all.
                upstream.on_loss(-1)
            port.marks[place] = ANSWERED
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
        if not is_response(data):
            self._counters.forged += 1
            return None
        how = None
        if self._trace:
            how = Obtained(upstream.name, "udp", 1, round((now - sent_at) * 1000, 3))
        if not data.startswith(asked, _HEADER):
            refused = refusal(data)
            if refused is not None:
                return Answer(refused, how=how)
            similar = echoes(data, asked)
            # Letters that were sent in lower case may come back in any (RFC 4343).
            if not similar or asked[:-_TYPE_CLASS] != asked[:-_TYPE_CLASS].lower():
                if similar:
                    upstream.on_case_changed()
                self._counters.forged += 1
                return None
        try:
            message = decode_message(data)
        except WireError:
            # What does not fit is read over TCP, whether or not the server cut it itself.
            return Answer(TRUNCATED if len(data) >= SLOT else MALFORMED, how=how)
        answer = interpret(message, question, how)
        if answer.status == TRUNCATED and not message.answer:
            upstream.on_slip(now)
        self._replies.learn(data, question.rdtype, answer)
        return answer


def _columns(port: Port, packets: list[bytes]) -> _Columns | None:
    """Return what is known of a batch of replies to first tries: IDs, questions and so on.

    None if that is not what all of them are, each once; whether they repeat their questions
    is seen when they are read. What is asked of each is asked of all at once, in C.
    """
    if min(map(len, packets), default=0) < _HEADER:
        return None
    places = [data[0] << 8 | data[1] for data in packets]
    if len(set(places)) < len(places):
        return None
    flights: Any = map(port.flights.get, places)
    try:
        # What is in flight and no first try is of another length.
        questions, delivers, asked, times = zip(*flights, strict=True)
    except (TypeError, ValueError):
        return None
    return places, questions, delivers, asked, times


def _told_apart(port: Port, packets: list[bytes]) -> tuple[list[bytes], list[bytes], list[bytes]]:
    """Return others, replies to first tries with their question, and what comes again after."""
    others: list[bytes] = []
    alike: list[bytes] = []
    again: list[bytes] = []
    seen: set[int] = set()
    for data in packets:
        place = data[0] << 8 | data[1] if len(data) >= _HEADER else -1
        flight: Any = port.flights.get(place)
        if place in seen:
            again.append(data)
        elif flight is not None and len(flight) == FIRST and data.startswith(flight[2], _HEADER):
            seen.add(place)
            alike.append(data)
        else:
            others.append(data)
    return others, alike, again
