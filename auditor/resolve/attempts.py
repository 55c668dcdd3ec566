"""What to do after each reply, or after silence: a decision, without I/O or clock.

A question's first try has no state but its place in the table of what is in flight. When
that try is not simply answered, a `Course` begins, and this file says how it goes on:
which server next, with or without EDNS, over TCP, how long to wait, when to give up.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.resolve.answer import Answer
from auditor.wire.codes import (
    FORMERR,
    MALFORMED,
    NOTIMP,
    REFUSED,
    SERVFAIL,
    SETTLED,
    TIMEOUT,
    TRUNCATED,
    UNREACHABLE,
)

if TYPE_CHECKING:
    from auditor.resolve.answer import Deliver, Question

__all__ = [
    "Course",
    "Policy",
    "Stage",
    "Step",
    "Try",
    "What",
    "may_ask",
    "next_wait",
    "on_overtaken",
    "on_reply",
    "on_silence",
    "on_stream",
    "on_unsent",
]


class What(Enum):
    """What a question needs now."""

    DONE = auto()  # `answer` is final
    ASK = auto()  # send it to another server, or again to the same one
    WAIT = auto()  # a reply may still come, until `until`
    TCP = auto()  # the reply did not fit a datagram, or datagrams are held back


class Step(NamedTuple):
    """A decision. `answer` with DONE; `until`: the time to look at the question again."""

    what: What
    answer: Answer | None = None
    until: float = 0.0


class Policy(NamedTuple):
    """`tries` queries for one question at most, `timeout` seconds of patience for each.

    A lost packet is noticed long before `timeout`, by the round-trip time, and sent again;
    but a server that thinks for long is not cut off by that: a question is given up after
    `tries` times `timeout`, and whatever try is answered until then counts.
    """

    tries: int
    timeout: float


class Stage(Enum):
    """Where a course is. It is in one of these places, so it cannot be asked twice at once."""

    SILENT = auto()  # nothing of it counts as on its way; a reply may come all the same
    IN_FLIGHT = auto()  # its last query counts in the window of the server it went to
    OVERTAKEN = auto()  # as before, but later queries were answered first: it counts no more
    IN_LINE = auto()  # waits to be sent
    OVER_TCP = auto()  # asked, or waiting to be asked, over TCP
    DONE = auto()


class Try(NamedTuple):
    """One query that was sent: to which server, where its reply is awaited, when."""

    server: int
    port: object
    place: int
    when: float


class Course:
    """A question whose first try was not simply answered.

    `tries`: every query that went out. Of those that count: `sent` is how many, `asked` the
    servers they went to, the last one last, `first` and `last` when. `failed`: the servers
    that have said no, for good. `plain`: without EDNS, which is `only` for one server to
    hear. `truncated`: a reply was, so TCP is the only way; `no_tcp`: TCP was tried instead of
    datagrams and did not help. `best`: the most telling failure so far, for when nothing
    better comes. `timer`: the number of the timer that it waits for, 0 for none.
    """

    __slots__ = (
        "asked",
        "best",
        "deliver",
        "failed",
        "first",
        "last",
        "no_tcp",
        "only",
        "plain",
        "question",
        "sent",
        "stage",
        "timer",
        "tries",
        "truncated",
    )

    def __init__(self, question: Question, deliver: Deliver) -> None:
        self.question = question
        self.deliver = deliver
        self.tries: list[Try] = []
        self.sent = 0
        self.asked: list[int] = []
        self.failed: list[int] = []
        self.first = self.last = 0.0
        self.plain = False
        self.only: int | None = None
        self.truncated = False
        self.no_tcp = False
        self.best: Answer | None = None
        self.stage = Stage.SILENT
        self.timer = 0

    def on_sent(self, server: int, now: float) -> None:
        """Note that a server was asked."""
        if not self.sent:
            self.first = now
        self.sent += 1
        self.asked.append(server)
        self.last = now

    def forgive(self) -> None:
        """Count no query so far: the server that owes the answer is gone."""
        self.sent = 0
        self.asked.clear()
        self.failed.clear()
        self.only = None

    def is_first(self, one: Try) -> bool:
        """Tell whether a try is the first of those that count."""
        return one is self.tries[0] and one.when == self.first


#: How telling a failure is: what a server said comes before what nobody said.
_TELLING: Final = {
    TIMEOUT: 0,
    UNREACHABLE: 1,
    MALFORMED: 2,
    FORMERR: 3,
    NOTIMP: 3,
    REFUSED: 4,
    SERVFAIL: 5,
}
_OTHER: Final = 4


def _note_failure(course: Course, answer: Answer) -> None:
    """Keep the most telling of the failures so far, the first of equals."""
    if course.best is None or _telling(answer) > _telling(course.best):
        course.best = answer


def _telling(answer: Answer) -> int:
    return _TELLING.get(answer.status, _OTHER)


def may_ask(course: Course, server: int, usable: frozenset[int]) -> bool:
    """Tell whether a server may get the next query of a course, of those that are usable.

    One that was not asked yet; when all were, one that has not said no, and the last one
    only if there is no other. Without EDNS it is the turn of the one that refused it.
    """
    if course.only in usable:
        return server == course.only
    fresh = usable.difference(course.asked)
    if fresh:
        return server in fresh
    silent = usable.difference(course.failed)
    others = silent.difference(course.asked[-1:])
    return server in (others or silent or usable)


def on_reply(
    course: Course,
    answer: Answer,
    policy: Policy,
    *,
    server: int,
    usable: frozenset[int],
    hopeless: bool,
) -> Step:
    """Decide after a reply from `server`; `usable` are the servers there are to ask.

    NOERROR, NODATA and NXDOMAIN are final. A truncated reply is asked for over TCP. FORMERR
    or NOTIMP to a query with EDNS is asked again without (RFC 6891 §7), whatever the number
    of tries. Any other failure is one server's word: another one is asked, while there is
    one that has not said the like. `hopeless`: see `on_silence`.
    """
    status = answer.status
    if status in SETTLED:
        return Step(What.DONE, answer)
    if status == TRUNCATED:
        course.truncated = True
        return Step(What.TCP)
    if status in {FORMERR, NOTIMP} and not course.plain:
        course.plain = True
        course.only = server
        return Step(What.ASK)
    # A reply that is no message may have been damaged on the way: the same server may do
    # better the next time, and is not among those that have `failed`.
    on_overtaken(course, answer, server)
    course.only = None
    willing = usable.difference(course.failed)
    if willing and course.sent < policy.tries and not hopeless:
        return Step(What.ASK)
    if willing.difference((server,)).intersection(course.asked):
        # Out of tries, but another server has yet to say something about one of them.
        return Step(What.WAIT, until=course.last + policy.timeout)
    return Step(What.DONE, course.best)


def on_overtaken(course: Course, answer: Answer, server: int) -> None:
    """Note a failure that comes from `server` when another way has been taken already."""
    _note_failure(course, answer)
    if answer.status != MALFORMED:
        course.failed.append(server)


def on_silence(
    course: Course, policy: Policy, wait: float, now: float, *, hopeless: bool, slipping: bool
) -> Step:
    """Decide when a try has gone unanswered for as long as a lost packet shows.

    `wait`: seconds after which the next try will count as lost. `hopeless`: the question
    belongs to a zone that answers nothing, so it is not asked again, and given up after one
    `timeout`. `slipping`: the server limits the rate of its answers, dropping some and
    truncating others; over TCP it does not.
    """
    if slipping and not hopeless and not course.no_tcp:
        return Step(What.TCP)
    tries = 1 if hopeless else policy.tries
    course.only = None
    if course.sent < tries:
        return Step(What.ASK)
    end = course.last + policy.timeout
    if course.best is None:
        # Nobody has said anything yet, so whoever thinks for long is given all the time.
        end = max(course.last + min(wait, policy.timeout), course.first + tries * policy.timeout)
    if now < end:
        return Step(What.WAIT, until=end)
    return Step(What.DONE, course.best or Answer(TIMEOUT))


def on_stream(course: Course, answer: Answer) -> Step:
    """Decide after what came of asking over TCP; the servers were all tried there."""
    status = answer.status
    if status in SETTLED:
        return Step(What.DONE, answer)
    if status not in _NO_HELP:
        _note_failure(course, answer)
        return Step(What.DONE, course.best)
    if course.truncated:
        return Step(What.DONE, Answer(TRUNCATED, how=answer.how))
    course.no_tcp = True
    return Step(What.ASK)


#: What says that TCP does not work there, and nothing about the question.
_NO_HELP: Final = frozenset({TIMEOUT, UNREACHABLE, MALFORMED, FORMERR})


def on_unsent(course: Course) -> None:
    """Note that the kernel refused to send a try: it will say so of others like it."""
    _note_failure(course, Answer(UNREACHABLE))


def next_wait(course: Course, policy: Policy, timeout: float) -> float:
    """Return the seconds after which the latest try counts as lost: doubling (RFC 6298 §5.5).

    `timeout` is the server's own, from its round-trip times.
    """
    return min(timeout * 2.0 ** min(course.sent - 1, _DOUBLINGS), policy.timeout)


_DOUBLINGS: Final = 10
