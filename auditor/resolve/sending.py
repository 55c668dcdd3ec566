"""Questions to packets to the kernel: what the bulk engine sends, batch by batch."""

from __future__ import annotations

from collections import deque
from struct import Struct
from typing import TYPE_CHECKING, Final

from auditor.errors import WireError
from auditor.resolve.answer import Answer
from auditor.resolve.shortcuts import Queries
from auditor.resolve.upstream import Health
from auditor.wire.codes import FORMERR
from auditor.wire.message import encode_query

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.resolve.answer import Deliver, Question
    from auditor.resolve.attempts import Course
    from auditor.resolve.counters import Counters
    from auditor.resolve.courses import Courses
    from auditor.resolve.upstream import First, Port, Upstream

__all__ = ["Sender"]

_HEADER: Final = 12
_ID: Final = Struct("!H").pack
_QUERY: Final = encode_query(0, b"\0", 1)
#: What stands before and behind the question of every query with EDNS, and of one without.
_EDNS: Final = (_QUERY[2:_HEADER], _QUERY[_HEADER + 5 :])
_PLAIN: Final = (encode_query(0, b"\0", 1, edns_size=None)[2:_HEADER], b"")


class Sender:
    """The queue of questions that were never sent, and how packets are made of them.

    `settle` takes answers to questions that cannot be asked; `on_error` is told what the
    kernel said when it did not take a packet.
    """

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        courses: Courses,
        counters: Counters,
        *,
        settle: Callable[[Sequence[tuple[Question, Answer]], Deliver], None],
        on_error: Callable[[Upstream, int], None],
    ) -> None:
        self.queue: deque[tuple[Question, Deliver]] = deque()
        self._upstreams = upstreams
        self._courses = courses
        self._counters = counters
        self._settle = settle
        self._on_error = on_error
        self._queries = Queries()

    def waiting(self) -> int:
        """Return how many queries wait to be sent."""
        return len(self.queue) + len(self._courses.again)

    def send(self, upstream: Upstream, most: int, now: float) -> int:
        """Send up to `most` queries to a server, what is asked again first.

        Return how many went out.
        """
        courses = self._again_for(upstream, most) if self._courses.again else []
        if courses:
            return self._send_again(upstream, courses, now)
        return self._send_first(upstream, min(most, len(self.queue)), now)

    def probe(self, upstream: Upstream, question: Question) -> bytes:
        """Send a question whose reply only shows that the server is there.

        Return what the reply must echo.
        """
        port = upstream.port()
        place = port.new_id()
        # Mixed case also here: whether it comes back so is one of the things to be learnt.
        asked = self._queries.question(question.name, question.rdtype, place)
        port.table[place] = (asked,)
        _, error = port.datagrams.send([_packet(place, asked, plain=upstream.plain)])
        self._counters.probes += 1
        if error:
            self._on_error(upstream, error)
        return asked

    def put_back(self, question: Question, deliver: Deliver) -> None:
        """Put a question at the head of the queue: its server is gone."""
        self.queue.appendleft((question, deliver))

    def _send_first(self, upstream: Upstream, count: int, now: float) -> int:
        port = upstream.port()
        table = port.table
        draw = port.pool(2 * count).pop
        section = self._queries.question
        mixed = upstream.mixed_case
        head, tail = _PLAIN if upstream.plain else _EDNS
        pack = _ID
        ids: list[int] = []
        flights: list[First] = []
        packets: list[bytes] = []
        next_question = self.queue.popleft
        for _ in range(count):
            question, deliver = next_question()
            place = draw()
            if table[place].__class__ is tuple:
                place = port.new_id()
            try:
                asked = section(*question, place) if mixed else section(*question)
            except WireError:
                self._settle([(question, Answer(FORMERR))], deliver)
                continue
            flight = (question, deliver, asked, now)
            table[place] = flight
            ids.append(place)
            flights.append(flight)
            packets.append(pack(place) + head + asked + tail)
        taken, error = _send(upstream, port, packets, now)
        self._counters.first += taken
        if taken < len(packets):
            for place, flight in zip(reversed(ids[taken:]), reversed(flights[taken:]), strict=True):
                table[place] = None
                self.put_back(flight[0], flight[1])
            del ids[taken:], flights[taken:]
            self._on_error(upstream, error)
        upstream.sent.append((now, port, ids, flights))
        return taken

    def _again_for(self, upstream: Upstream, most: int) -> list[Course]:
        """Take out of the line the courses that this server should be asked for."""
        chosen: list[Course] = []
        others: list[Course] = []
        again = self._courses.again
        several = sum(one.health is Health.GOOD for one in self._upstreams) > 1
        while again and len(chosen) < most:
            course = again.popleft()
            if course.done:
                continue
            # Another server first: what one did not answer, it may not answer again. Only
            # without EDNS is it the same server's turn.
            if several and not course.plain and course.asked[-1] == upstream.number:
                others.append(course)
            else:
                chosen.append(course)
        again.extendleft(reversed(others))
        return chosen

    def _send_again(self, upstream: Upstream, courses: list[Course], now: float) -> int:
        port = upstream.port()
        places: list[int] = []
        packets: list[bytes] = []
        for course in courses:
            place = port.new_id()
            name, rdtype = course.question
            # A second try in lower case: a middle box may not like the letters mixed.
            asked = self._queries.question(name, rdtype)
            port.table[place] = (course, asked)
            places.append(place)
            packets.append(_packet(place, asked, plain=course.plain or upstream.plain))
        taken, error = _send(upstream, port, packets, now)
        self._counters.retried += taken
        for course, place in zip(courses[:taken], places[:taken], strict=True):
            self._courses.sent(course, upstream, port, place, now)
        if taken < len(courses):
            for place in places[taken:]:
                port.table[place] = None
            self._courses.again.extendleft(reversed(courses[taken:]))
            self._on_error(upstream, error)
        return taken


def _send(upstream: Upstream, port: Port, packets: list[bytes], now: float) -> tuple[int, int]:
    """Send a batch and note what went out; return that and the kernel's error."""
    if not packets:
        return 0, 0
    taken, error = port.datagrams.send(packets)
    if taken:
        upstream.on_sent(taken, now)
    return taken, error


def _packet(place: int, asked: bytes, *, plain: bool) -> bytes:
    head, tail = _PLAIN if plain else _EDNS
    return _ID(place) + head + asked + tail
