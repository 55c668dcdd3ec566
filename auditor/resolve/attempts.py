"""What to do after each reply, or after silence: a decision, without I/O or clock.

A question's first try has no state but its place in the table of what is in flight. When
that try is not simply answered, a `Course` begins, and this file says how it goes on:
which server next, with or without EDNS, over TCP, how long to wait, when to give up.
"""

from __future__ import annotations

from enum import Enum, auto
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.resolve.answer import Answer
from auditor.suffixes import registrable
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

__all__ = ["Course", "DeadZones", "Policy", "Step", "What"]


class What(Enum):
    """What a question needs now."""

    DONE = auto()  # `answer` is final
    ASK = auto()  # send it to another server, or again to the same one
    WAIT = auto()  # a reply may still come, until `until`
    TCP = auto()  # the reply did not fit a datagram


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


class Course:
    """A question whose first try was not simply answered.

    `sent`: queries so far; `asked`: the servers they went to, by number, the last one last;
    `first`, `last`: when the first and the last query were sent; `plain`: without EDNS;
    `truncated`: a reply was, so TCP is the only way; `best`: the most telling failure so
    far, for when nothing better comes.
    """

    __slots__ = (
        "asked",
        "best",
        "deliver",
        "done",
        "first",
        "last",
        "places",
        "plain",
        "question",
        "sent",
        "truncated",
        "waiting",
    )

    def __init__(self, question: Question, deliver: Deliver, server: int, sent_at: float) -> None:
        self.question = question
        self.deliver = deliver
        self.sent = 1
        self.asked = [server]
        self.first = self.last = sent_at
        self.plain = False
        self.truncated = False
        self.best: Answer | None = None
        self.done = False
        #: Whether the last query is still on its way, as far as the server's window goes.
        self.waiting = False
        #: Where the queries are in the tables of what is in flight; the engine's.
        self.places: list[tuple[object, int]] = []

    def on_sent(self, server: int, now: float) -> None:
        """Note that the question was sent again."""
        self.sent += 1
        self.asked.append(server)
        self.last = now


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


def _more_telling(old: Answer | None, new: Answer) -> Answer:
    if old is None:
        return new
    return max(old, new, key=lambda answer: _TELLING.get(answer.status, _OTHER))


def on_reply(course: Course, answer: Answer, policy: Policy, *, servers: int) -> Step:
    """Decide after a reply; `servers` is how many there are to ask.

    NOERROR, NODATA and NXDOMAIN are final. A truncated reply is asked for over TCP. FORMERR
    to a query with EDNS is asked again without (RFC 6891 §7). Any other failure is one
    server's word: another one is asked, while there is one that was not.
    """
    status = answer.status
    if status in SETTLED:
        return Step(What.DONE, answer)
    if status == TRUNCATED:
        course.truncated = True
        return Step(What.TCP)
    if status in {FORMERR, NOTIMP} and not course.plain:
        course.plain = True
        return Step(What.ASK)
    course.best = _more_telling(course.best, answer)
    # A reply that is no message may be one that was damaged on the way: the same server may
    # do better the next time.
    others = len(set(course.asked)) < servers or status == MALFORMED
    if others and course.sent < policy.tries:
        return Step(What.ASK)
    return Step(What.DONE, course.best)


def on_silence(
    course: Course, policy: Policy, wait: float, now: float, *, hopeless: bool, slipping: bool
) -> Step:
    """Decide when a try has gone unanswered for as long as a lost packet shows.

    `wait`: seconds after which the next try will count as lost. `hopeless`: the question
    belongs to a zone that answers nothing, so it is not asked again, and given up after one
    `timeout`. `slipping`: the server limits the rate of its answers, dropping some and
    truncating others; over TCP it does not.
    """
    if slipping:
        return Step(What.TCP)
    tries = 1 if hopeless else policy.tries
    if course.sent < tries:
        return Step(What.ASK)
    end = max(course.first + tries * policy.timeout, course.last + min(wait, policy.timeout))
    if now < end:
        return Step(What.WAIT, until=end)
    return Step(What.DONE, course.best or Answer(TIMEOUT))


def next_wait(course: Course, policy: Policy, timeout: float) -> float:
    """Return the seconds after which the latest try counts as lost: doubling (RFC 6298 §5.5).

    `timeout` is the server's own, from its round-trip times.
    """
    return min(timeout * float(1 << (course.sent - 1)), policy.timeout)


#: Questions of one zone that must have failed, with none answered, for it to count as dead;
#: and zones below a common parent, for the parent to.
_ENOUGH: Final = 16
_ENOUGH_ZONES: Final = 4
_MOST_ZONES: Final = 65_536


class DeadZones:
    """Which zones answer nothing, so that their many names are asked for once only.

    A zone here is what fails together: the /24 of a reverse name (a /64 for IPv6), the
    registered domain of any other. When several of a /16 (a /48) have died, the whole of it
    is taken for dead. One good answer ends it, for the zone and what it lies in.

    Many tries are given up at the same moment, so failures count as one observation until
    time has passed without an answer among them.
    """

    __slots__ = ("_dead_below", "_failures")

    def __init__(self) -> None:
        self._failures: dict[str, tuple[int, float]] = {}
        self._dead_below: dict[str, set[str]] = {}

    def __bool__(self) -> bool:
        return bool(self._failures)

    def on_failure(self, name: str, now: float) -> None:
        """Note a try without an answer, or a SERVFAIL."""
        zone = _zone(name)
        if len(self._failures) >= _MOST_ZONES:
            self._failures.clear()
            self._dead_below.clear()
        failures, since = self._failures.get(zone, (0, now))
        self._failures[zone] = (failures + 1, since)
        if failures + 1 == _ENOUGH:
            self._dead_below.setdefault(_above(zone), set()).add(zone)

    def on_answer(self, name: str) -> None:
        """Note an answer; worth calling only while this is true (there are suspects)."""
        zone = _zone(name)
        self._failures.pop(zone, None)
        self._dead_below.pop(_above(zone), None)

    def is_dead(self, name: str, now: float) -> bool:
        """Tell whether nothing but failure has come from the zone of a name, for a while."""
        zone = _zone(name)
        if len(self._dead_below.get(_above(zone), ())) >= _ENOUGH_ZONES:
            return True
        failures, since = self._failures.get(zone, (0, now))
        return failures >= _ENOUGH and now > since


def _zone(name: str) -> str:
    if name.endswith(".in-addr.arpa"):
        # 7.100.51.198.in-addr.arpa, and 7.0-63.100.51.198.in-addr.arpa (RFC 2317).
        return ".".join(name.split(".")[-5:])
    if name.endswith(".ip6.arpa"):
        # Sixteen nibbles: the /64, which is what is delegated, and what a /112 lies in.
        return ".".join(name.split(".")[-18:])
    return registrable(name) or name


def _above(zone: str) -> str:
    """Return what a reverse zone lies in, the /16 or /48; any other zone stands alone."""
    if zone.endswith(".in-addr.arpa"):
        return ".".join(zone.split(".")[-4:])
    if zone.endswith(".ip6.arpa"):
        return ".".join(zone.split(".")[-14:])
    return zone
