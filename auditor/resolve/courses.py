"""Questions that were not simply answered by their first try, and what they wait for.

Keeps their timers and the line of those to be asked again; `attempts` decides, the engine
sends. No clock and no socket in here.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING, Any, NamedTuple, cast

from auditor.resolve.attempts import (
    Course,
    DeadZones,
    Policy,
    Step,
    What,
    next_wait,
    on_reply,
    on_silence,
)
from auditor.resolve.upstream import ANSWERED, LATE, LOST, SLIPPING, Health
from auditor.wire.codes import SERVFAIL, SETTLED

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.resolve.answer import Answer
    from auditor.resolve.upstream import First, Port, Upstream

__all__ = ["Courses"]


class _Timer(NamedTuple):
    """When to look at a course again, unless it was sent anew since (`sent`)."""

    when: float
    number: int
    course: Course
    sent: int


class Courses:
    """All courses of a run.

    `finish` is called with each one that has its answer, `over_tcp` with each that needs a
    stream. `again` is the line of those to be sent anew, first come first.
    """

    def __init__(
        self,
        policy: Policy,
        upstreams: Sequence[Upstream],
        *,
        finish: Callable[[Course, Answer], None],
        over_tcp: Callable[[Course], None],
    ) -> None:
        self.again: deque[Course] = deque()
        self.dead = DeadZones()
        self._policy = policy
        self._upstreams = upstreams
        self._finish = finish
        self._over_tcp = over_tcp
        self._timers: list[_Timer] = []
        self._number = 0

    def begin(self, upstream: Upstream, port: Port, place: int, flight: First) -> Course:
        """Make a course of a first try, which leaves the window."""
        question, deliver, asked, sent_at = flight
        course = Course(question, deliver, upstream.number, sent_at)
        course.places.append((port, place))
        port.table[place] = (course, asked)
        upstream.in_flight -= 1
        return course

    def silent(self, upstream: Upstream, now: float) -> None:
        """Take up the first tries of a server that have gone unanswered too long."""
        for port, place, flight in upstream.late(now):
            course = self.begin(upstream, port, place, flight)
            self._on_silence(course, now, first=True)

    def due(self, now: float) -> None:
        """Look at the courses whose time has come."""
        timers = self._timers
        while timers and timers[0].when <= now:
            _, _, course, sent = heapq.heappop(timers)
            if course.done or course.sent != sent:
                continue
            self._leave_window(course)
            self._on_silence(course, now, first=False)

    def sent(self, course: Course, upstream: Upstream, port: Port, place: int, now: float) -> None:
        """Note that a course was sent anew."""
        course.on_sent(upstream.number, now)
        course.places.append((port, place))
        course.waiting = True
        wait = next_wait(course, self._policy, upstream.round_trip.timeout)
        self._look_again(course, now + wait)

    def reply(self, course: Course, answer: Answer, port: Port, place: int, now: float) -> None:
        """Take a reply to any try of a course."""
        first, last = course.places[0], course.places[-1]
        if (port, place) == last and first != last and answer.status in SETTLED:
            upstream = self._upstreams[course.asked[-1]]
            if now - course.last <= 2 * upstream.round_trip.timeout:
                # Answered at once when asked again: the first try was lost on the way, and
                # not slow. One that is silent too says nothing about the way.
                self._upstreams[course.asked[0]].window.on_loss()
                _first_port(first).table[first[1]] = LOST
        port.table[place] = ANSWERED
        self._leave_window(course)
        self.decide(course, answer, now)

    def decide(self, course: Course, answer: Answer, now: float) -> None:
        """Go on after a reply, or after what a lane of its own brought."""
        if answer.status == SERVFAIL:
            self.dead.on_failure(course.question.name, now)
        usable = sum(upstream.health is Health.GOOD for upstream in self._upstreams)
        self._apply(course, on_reply(course, answer, self._policy, servers=usable), now)

    def end(self, course: Course, answer: Answer) -> None:
        """End a course with its answer."""
        course.done = True
        for where, place in course.places:
            table = cast("Port", where).table
            flight = table[place]
            if flight.__class__ is tuple and cast("tuple[Any, ...]", flight)[0] is course:
                table[place] = LATE
        self._finish(course, answer)

    def _on_silence(self, course: Course, now: float, *, first: bool) -> None:
        name = course.question.name
        if first:
            self.dead.on_failure(name, now)
        upstream = self._upstreams[course.asked[-1]]
        step = on_silence(
            course,
            self._policy,
            next_wait(course, self._policy, upstream.round_trip.timeout),
            now,
            hopeless=self.dead.is_dead(name, now),
            slipping=now - upstream.slipped < SLIPPING,
        )
        self._apply(course, step, now)

    def _apply(self, course: Course, step: Step, now: float) -> None:
        if step.what is What.DONE and step.answer is not None:
            self.end(course, step.answer)
        elif step.what is What.ASK:
            self.again.append(course)
        elif step.what is What.TCP:
            self._over_tcp(course)
        else:
            self._look_again(course, max(step.until, now))

    def _look_again(self, course: Course, when: float) -> None:
        self._number += 1
        heapq.heappush(self._timers, _Timer(when, self._number, course, course.sent))

    def _leave_window(self, course: Course) -> None:
        if course.waiting:
            course.waiting = False
            self._upstreams[course.asked[-1]].in_flight -= 1


def _first_port(place: tuple[object, int]) -> Port:
    return cast("Port", place[0])
