"""Questions that were not simply answered by their first try, and what they wait for.

Keeps their timers and the line of those to be asked again; `attempts` decides, the engine
sends. No clock and no socket in here. Every change of a course's stage is made here.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from auditor.resolve.answer import Answer
from auditor.resolve.attempts import (
    Course,
    Policy,
    Stage,
    Step,
    Try,
    What,
    may_ask,
    next_wait,
    on_overtaken,
    on_reply,
    on_silence,
    on_stream,
    on_unsent,
)
from auditor.resolve.deadzones import DeadZones
from auditor.resolve.port import ANSWERED, COURSE, FIRST, LATE, LOST
from auditor.resolve.upstream import Health
from auditor.wire.codes import SERVFAIL, SETTLED, TIMEOUT, TRUNCATED, UNREACHABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.resolve.port import First, Port
    from auditor.resolve.upstream import Upstream

__all__ = ["Courses"]

#: Courses in line that are looked at for one batch: with many waiting for one server, the
#: others' batches must not walk past all of them each time.
_LOOK: Final = 1024

#: Where courses are that were asked and may yet be answered in time.
_ASKED: Final = frozenset({Stage.IN_FLIGHT, Stage.OVERTAKEN})


class _Timer(NamedTuple):
    """When to look at a course again, if `number` is still what it waits for."""

    when: float
    number: int
    course: Course


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
        course = Course(question, deliver)
        course.on_sent(upstream.number, sent_at)
        course.tries.append(Try(upstream.number, port, place, sent_at))
        port.flights[place] = (course, asked)
        upstream.on_begun(sent_at)
        return course

    def overtaken(self, upstream: Upstream) -> None:
        """Make room in a server's window for more than those that it is slow to answer."""
        for course in upstream.overtaken():
            if course.stage is Stage.IN_FLIGHT:
                upstream.in_flight -= 1
                upstream.later -= 1
                course.stage = Stage.OVERTAKEN

    def silent(self, upstream: Upstream, now: float) -> None:
        """Take up the first tries of a server that have gone unanswered too long."""
        for port, place, flight in upstream.late(now):
            self._on_silence(self.begin(upstream, port, place, flight), now)

    def due(self, now: float) -> None:
        """Look at the courses whose time has come."""
        timers = self._timers
        while timers and timers[0].when <= now:
            _, number, course = heapq.heappop(timers)
            if course.timer == number:
                losing = self._upstreams[course.asked[-1]].is_losing
                if course.stage in _ASKED and not losing:
                    # Silent a second time. Once says little: a packet was lost, and the
                    # zone's other names were answered long before that is noticed. Nor does
                    # it where many get their answer only when they ask again.
                    self.dead.on_failure(course.question.name, now)
                self._move(course, Stage.SILENT)
                self._on_silence(course, now)

    def next_for(self, upstream: Upstream, most: int, now: float) -> list[Course]:
        """Take out of the line up to `most` courses that this server should be asked for.

        One whose zone has died while it waited is not asked again.
        """
        again = self.again
        usable = self._usable()
        chosen: list[Course] = []
        others: list[Course] = []
        while again and len(chosen) < most and len(others) < _LOOK:
            course = again.popleft()
            if course.stage is not Stage.IN_LINE:
                continue
            if self.dead.some and self._is_in_vain(course, now):
                self._move(course, Stage.SILENT)
                self._on_silence(course, now)
            else:
                mine = may_ask(course, upstream.number, usable)
                (chosen if mine else others).append(course)
        again.extendleft(reversed(others))
        return chosen

    def sent_once(
        self, course: Course, upstream: Upstream, port: Port, place: int, now: float
    ) -> None:
        """Note that a question of a dead zone was sent: no part of the window's doing.

        Nothing is on its way back, so it takes nobody's place; it has one timeout to prove
        the contrary.
        """
        course.tries.append(Try(upstream.number, port, place, now))
        course.on_sent(upstream.number, now)
        self._move(course, Stage.SILENT)
        self._look_again(course, now + self._policy.timeout)

    def sent(self, course: Course, upstream: Upstream, port: Port, place: int, now: float) -> None:
        """Note that a course was sent anew."""
        course.tries.append(Try(upstream.number, port, place, now))
        self._await(course, upstream, now)

    def unsent(self, course: Course, upstream: Upstream, now: float) -> None:
        """Note that the kernel refused a course's packet, which counts as a silent try."""
        on_unsent(course)
        self._await(course, upstream, now)

    def reply(self, course: Course, answer: Answer, port: Port, place: int, now: float) -> None:
        """Take a reply to any try of a course."""
        one = next(one for one in course.tries if one.port is port and one.place == place)
        port.settle(place, ANSWERED)
        if answer.status in SETTLED:
            self._learn(course, one, now)
        elif answer.status == TRUNCATED:
            if self.dead:
                self.dead.on_answer(course.question.name)
        else:
            early = course.stage in _ASKED and one is not course.tries[-1]
            if early or course.stage is Stage.OVER_TCP:
                # What was asked since goes on. Were it in vain, this is what is known.
                on_overtaken(course, answer, one.server)
                return
        step = on_reply(
            course,
            answer,
            self._policy,
            server=one.server,
            usable=self._usable(),
            hopeless=self.dead.some and self.dead.is_dead(course.question.name, now),
        )
        self._apply(course, step, now)

    def stream(self, course: Course, answer: Answer, now: float) -> None:
        """Take what came of asking a course over TCP."""
        if course.stage is not Stage.OVER_TCP:
            return
        if answer.status in SETTLED and self.dead:
            self.dead.on_answer(course.question.name)
        step = on_stream(course, answer)
        if step.what is What.DONE:
            self._apply(course, step, now)
            return
        self._move(course, Stage.SILENT)
        self._on_silence(course, now)

    def take_back(self, upstream: Upstream) -> None:
        """Put in line whatever a benched server owes, as if it had not been asked.

        Its replies are still taken, should they come before another one's.
        """
        for port in upstream.ports:
            for place, flight in list(port.flights.items()):
                parts: tuple[Any, ...] = flight
                if len(parts) == FIRST:
                    self._forgive(self.begin(upstream, port, place, cast("First", flight)))
                elif len(parts) == COURSE and _waits_for(parts[0], upstream.number):
                    self._forgive(parts[0])
        upstream.forget()

    def _forgive(self, course: Course) -> None:
        self._move(course, Stage.IN_LINE)
        course.forgive()
        self.again.append(course)

    def _learn(self, course: Course, one: Try, now: float) -> None:
        """Learn about servers and ways from which try was answered, and when."""
        upstream = self._upstreams[one.server]
        first = course.tries[0]
        if course.is_first(one):
            upstream.on_late(one.when, now)
        elif (
            one is course.tries[-1]
            and now - one.when <= 2 * upstream.round_trip.timeout
            and course.is_first(first)
            and _is_open(first, course)
        ):
            # Answered at once when asked again: the first try was lost on the way, and not
            # slow. One that is silent too says nothing about the way.
            self._upstreams[first.server].on_loss()
            cast("Port", first.port).settle(first.place, LOST)
        if course.plain and course.only == one.server:
            upstream.on_without_edns()

    def _await(self, course: Course, upstream: Upstream, now: float) -> None:
        self._move(course, Stage.IN_FLIGHT)
        upstream.later += 1
        course.on_sent(upstream.number, now)
        wait = next_wait(course, self._policy, upstream.round_trip.timeout)
        self._look_again(course, now + wait)

    def _on_silence(self, course: Course, now: float) -> None:
        upstream = self._upstreams[course.asked[-1]]
        step = on_silence(
            course,
            self._policy,
            next_wait(course, self._policy, upstream.round_trip.timeout),
            now,
            hopeless=self.dead.is_dead(course.question.name, now),
            slipping=upstream.is_slipping(now),
        )
        if step.answer is not None and step.answer.status == TIMEOUT:
            refused = all(self._upstreams[number].refusals for number in course.asked)
            if refused:
                # Nothing but what the network said: nobody is there.
                step = Step(What.DONE, Answer(UNREACHABLE))
        self._apply(course, step, now)

    def _apply(self, course: Course, step: Step, now: float) -> None:
        if step.answer is not None:
            if step.answer.status == SERVFAIL:
                self.dead.on_failure(course.question.name, now)
            self._end(course, step.answer)
        elif step.what is What.ASK:
            if course.stage is not Stage.IN_LINE:
                self._move(course, Stage.IN_LINE)
                self.again.append(course)
        elif step.what is What.TCP:
            if course.stage is not Stage.OVER_TCP:
                self._move(course, Stage.OVER_TCP)
                self._over_tcp(course)
        else:
            self._look_again(course, step.until)

    def _end(self, course: Course, answer: Answer) -> None:
        self._move(course, Stage.DONE)
        for one in course.tries:
            if _is_open(one, course):
                cast("Port", one.port).settle(one.place, LATE)
        self._finish(course, answer)

    def _move(self, course: Course, stage: Stage) -> None:
        if course.stage is Stage.IN_FLIGHT:
            upstream = self._upstreams[course.asked[-1]]
            upstream.in_flight -= 1
            upstream.later -= 1
        course.stage = stage
        course.timer = 0

    def _look_again(self, course: Course, when: float) -> None:
        self._number += 1
        course.timer = self._number
        heapq.heappush(self._timers, _Timer(when, self._number, course))

    def _is_in_vain(self, course: Course, now: float) -> bool:
        """Tell whether nobody has answered a course that was asked, nor anyone in its zone."""
        return (
            course.sent > 0
            and course.best is None
            and course.only is None
            and self.dead.is_dead(course.question.name, now)
        )

    def _usable(self) -> frozenset[int]:
        return frozenset(one.number for one in self._upstreams if one.health is Health.GOOD)


def _is_open(one: Try, course: Course) -> bool:
    """Tell whether the reply to a try is still awaited: its place may be another's by now."""
    flight = cast("Port", one.port).flights.get(one.place)
    return flight is not None and flight[0] is course


def _waits_for(course: Course, server: int) -> bool:
    """Tell whether nothing but the reply of one server can bring a course on."""
    return course.stage in {*_ASKED, Stage.SILENT} and course.asked[-1] == server
