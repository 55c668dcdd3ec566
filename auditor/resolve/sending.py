"""Questions to packets to the kernel: what the bulk engine sends, batch by batch."""

from __future__ import annotations

from collections import deque
from itertools import compress, repeat
from operator import ne, not_
from struct import Struct
from typing import TYPE_CHECKING, Final

from auditor.errors import WireError
from auditor.resolve.answer import Answer
from auditor.resolve.attempts import Course
from auditor.resolve.datagrams import packed
from auditor.resolve.line import Line
from auditor.resolve.queries import Queries
from auditor.wire.codes import FORMERR
from auditor.wire.message import encode_query

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.resolve.answer import Deliver, Question
    from auditor.resolve.counters import Counters
    from auditor.resolve.courses import Courses
    from auditor.resolve.datagrams import Sent
    from auditor.resolve.port import First, Port
    from auditor.resolve.upstream import Upstream

__all__ = ["Sender"]

_HEADER: Final = 12
_ID: Final = Struct("!H10s").pack  # the ID, and what follows it in the header
_QUERY: Final = encode_query(0, b"\0", 1)
#: What stands before and behind the question of every query with EDNS, and of one without.
_EDNS: Final = (_QUERY[2:_HEADER], _QUERY[_HEADER + 5 :])
_PLAIN: Final = (encode_query(0, b"\0", 1, edns_size=None)[2:_HEADER], b"")

#: Packets of one length that should follow each other on average.
_STRETCH: Final = 4


class Sender:
    """The queue of questions that were never sent, and how packets are made of them.

    `settle` takes answers to questions that cannot be asked; `on_error` is told which server
    a packet was for that the kernel did not take, and what it said.
    """

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        courses: Courses,
        counters: Counters,
        *,
        settle: Callable[..., None],
        on_error: Callable[[Upstream, Sent], None],
    ) -> None:
        self.queue = Line()
        self.hopeless: deque[tuple[Question, Deliver]] = deque()
        self._upstreams = upstreams
        self._courses = courses
        self._counters = counters
        self._settle = settle
        self._on_error = on_error
        self._queries = Queries()
        self._no_names: list[tuple[Question, Deliver]] = []

    def send(self, upstream: Upstream, most: int, now: float) -> int:
        """Send up to `most` questions to a server for the first time; return how many went out."""
        count = min(most, len(self.queue))
        return self._send_first(upstream, count, now) if count else 0

    def send_again(self, upstream: Upstream, most: int, now: float) -> int:
        """Send up to `most` questions that this server should be asked now, and were before.

        Return how many went out: 0 if there is none for it, if those in flight leave room for
        first tries only, or if the kernel has none.
        """
        if self.queue:
            most = min(most, upstream.room_again())
        courses = self._courses.next_for(upstream, most, now) if most > 0 else []
        return self._send_again(upstream, courses, now) if courses else 0

    def queue_up(self, questions: Sequence[Question], deliver: Deliver, now: float) -> None:
        """Take questions that were never sent, those of dead zones into a line of their own."""
        dead = self._courses.dead
        if not dead.some:
            self.queue.add(questions, deliver)
            return
        hopeless = [dead.is_dead(question.name, now) for question in questions]
        self.hopeless.extend((question, deliver) for question in compress(questions, hopeless))
        self.queue.add(list(compress(questions, map(not_, hopeless))), deliver)

    def send_hopeless(self, upstream: Upstream, most: int, now: float) -> int:
        """Send up to `most` questions of dead zones to a server, each for the only time."""
        port = upstream.port()
        courses: list[Course] = []
        places: list[int] = []
        packets: list[bytes] = []
        while self.hopeless and len(courses) < most:
            question, deliver = self.hopeless.popleft()
            try:
                asked = self._queries.question(question.name, question.rdtype)
            except WireError:
                self._no_names.append((question, deliver))
                continue
            course = Course(question, deliver)
            place = port.new_id()
            port.flights[place] = (course, asked)
            courses.append(course)
            places.append(place)
            packets.append(_packet(place, asked, plain=upstream.plain))
        sent = port.datagrams.send(*packed(packets))
        taken = sent.taken
        self._counters.first += taken
        upstream.on_sent(0, now)
        for course, place in zip(courses[:taken], places[:taken], strict=True):
            self._courses.sent_once(course, upstream, port, place, now)
        for course, place in zip(courses[taken:], places[taken:], strict=True):
            # Whatever the kernel had against it: the usual way has the means to deal with it.
            del port.flights[place]
            self.queue.add([course.question], course.deliver)
        return taken

    def probe(self, upstream: Upstream, question: Question, now: float, *, plain: bool) -> None:
        """Send a question whose reply only shows that the server is there, and how it answers.

        `plain`: without EDNS.
        """
        port = upstream.port()
        place = port.new_id()
        # Mixed case also here: whether it comes back so is one of the things to be learnt.
        asked = self._queries.question(question.name, question.rdtype, place)
        port.flights[place] = (asked, now, plain)
        sent = port.datagrams.send(*packed([_packet(place, asked, plain=plain)]))
        self._counters.probes += sent.taken
        if not sent.taken:
            del port.flights[place]
            self._on_error(upstream, sent)

    def _send_first(self, upstream: Upstream, count: int, now: float) -> int:
        port = upstream.port()
        questions, asking = self.queue.take(count)
        ids, wire_ids = port.new_ids(count)
        asked = self._queries.questions(questions, ids if upstream.mixed_case else None)
        if not all(asked):
            nameless = list(map(not_, asked))
            self._no_names += compress(zip(questions, asking, strict=True), nameless)
            questions = list(compress(questions, asked))
            asking = list(compress(asking, asked))
            asked = list(filter(None, asked))
            del ids[len(asked) :], wire_ids[len(asked) :]
        if not asked:
            return 0
        sizes = list(map(len, asked))
        if _STRETCH * sum(map(ne, sizes, sizes[1:])) > len(sizes):
            # Neighbours of one length cost less to send.
            order = sorted(range(len(sizes)), key=sizes.__getitem__)
            questions = [questions[at] for at in order]
            asking = [asking[at] for at in order]
            asked = [asked[at] for at in order]
            sizes = [sizes[at] for at in order]
        flights: list[First] = list(zip(questions, asking, asked, repeat(now)))
        port.flights.update(zip(ids, flights, strict=True))
        sent = port.datagrams.send(*_packets(wire_ids, asked, sizes, plain=upstream.plain))
        taken = sent.taken
        self._counters.first += taken
        unsent, unsent_ids = flights[taken:], ids[taken:]
        del flights[taken:], ids[taken:]
        upstream.on_first_tries(port, ids, flights, now)
        if unsent:
            self._take_out(upstream, port, unsent_ids, unsent, sent=sent, now=now)
        return taken

    def _take_out(
        self,
        upstream: Upstream,
        port: Port,
        ids: list[int],
        unsent: list[First],
        *,
        sent: Sent,
        now: float,
    ) -> None:
        """Take what the kernel did not take out of flight again, and back to the queue."""
        for place in ids:
            del port.flights[place]
        if sent.refused:
            # The first of them cannot be sent; the others have yet to be tried.
            question, deliver, _, _ = unsent.pop(0)
            self._refuse(Course(question, deliver), upstream, now)
        if unsent:
            questions, asking, _, _ = zip(*unsent, strict=True)
            self.queue.put_back(questions, asking)
        self._on_error(upstream, sent)

    def _send_again(self, upstream: Upstream, courses: list[Course], now: float) -> int:
        port = upstream.port()
        places: list[int] = []
        packets: list[bytes] = []
        for course in courses:
            place = port.new_id()
            name, rdtype = course.question
            # A second try in lower case: a middle box may not like the letters mixed.
            asked = self._queries.question(name, rdtype)
            port.flights[place] = (course, asked)
            places.append(place)
            packets.append(_packet(place, asked, plain=course.plain or upstream.plain))
        sent = port.datagrams.send(*packed(packets))
        taken = sent.taken
        upstream.on_later_tries(courses[:taken], now)
        self._counters.retried += taken
        for course, place in zip(courses[:taken], places[:taken], strict=True):
            self._courses.sent(course, upstream, port, place, now)
        if taken < len(courses):
            unsent = courses[taken:]
            for place in places[taken:]:
                del port.flights[place]
            if sent.refused:
                self._refuse(unsent.pop(0), upstream, now)
            self._courses.again.extendleft(reversed(unsent))
            self._on_error(upstream, sent)
        return taken

    def _refuse(self, course: Course, upstream: Upstream, now: float) -> None:
        """Count a packet that cannot be sent as a try, so that the tries come to an end."""
        upstream.on_sent(1, now)
        self._courses.unsent(course, upstream, now)

    def settle_no_names(self) -> bool:
        """Answer the questions that turned out to be about what is no name, if there are any."""
        found, self._no_names = self._no_names, []
        for question, deliver in found:
            self._settle([(question, Answer(FORMERR))], deliver, failed=1)
        return bool(found)


def _packets(
    wire_ids: Sequence[bytes], asked: Sequence[bytes], sizes: Sequence[int], *, plain: bool
) -> tuple[bytes, list[int]]:
    """Return queries as `Datagrams.send` takes them; `asked` are of these sizes."""
    head, tail = _PLAIN if plain else _EDNS
    # What a packet is made of, and then all of them, one after the other.
    parts = [b"", head, b"", tail] * len(asked)
    parts[0::4] = wire_ids
    parts[2::4] = asked
    around = _HEADER + len(tail)
    return b"".join(parts), [size + around for size in sizes]


def _packet(place: int, asked: bytes, *, plain: bool) -> bytes:
    head, tail = _PLAIN if plain else _EDNS
    return _ID(place, head) + asked + tail
