"""The TCP lane: opened when needed, each course answered once, closed without a trace."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from support.faults import answer, close, truncate
from support.faulty import Asked, FaultyServer, dead_port

from auditor.errors import UsageError
from auditor.resolve.answer import Answer, Question
from auditor.resolve.attempts import Course, Policy
from auditor.resolve.cares import Cares
from auditor.resolve.streams import Streams
from auditor.settings import Server
from auditor.wire.codes import NOERROR, TXT, UNREACHABLE

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from support.faults import Action

    Run = Callable[[Coroutine[Any, Any, None]], None]

BIG = "".join(f"big.example.net. TXT {'x' * 200}{number:02}\n" for number in range(40))
QUESTION = Question("big.example.net", TXT)


class Lane:
    """A lane, and what came out of it."""

    def __init__(self, port: int, *, timeout: float = 1.0) -> None:
        self.answers: list[tuple[Course, Answer]] = []
        self.asked_for_servers = 0
        self.enough = asyncio.Event()
        self._port = port
        self.streams = Streams(self._servers, Policy(1, timeout), self._take)

    def _servers(self) -> list[Server]:
        self.asked_for_servers += 1
        return [Server("127.0.0.1", self._port)]

    def _take(self, course: Course, answer: Answer) -> None:
        self.answers.append((course, answer))
        self.enough.set()

    async def wait(self, count: int) -> None:
        async with asyncio.timeout(10):
            while len(self.answers) < count:
                self.enough.clear()
                await self.enough.wait()


def _course(question: Question = QUESTION) -> Course:
    return Course(question, lambda _pairs: None)


def test_what_waits_for_the_lane_is_asked_when_it_opens_and_the_rest_at_once(run: Run) -> None:
    async def main(port: int) -> None:
        lane = Lane(port)
        first, second, third = _course(), _course(), _course()
        assert not lane.streams.is_open
        assert lane.streams.wait(first)
        assert not lane.streams.wait(second)
        assert lane.asked_for_servers == 0
        await lane.streams.start()
        await lane.wait(2)
        lane.streams.ask(third)
        await lane.wait(3)
        assert [course for course, _ in lane.answers] == [first, second, third]
        assert {(found.status, len(found.records)) for _, found in lane.answers} == {(NOERROR, 40)}
        await lane.streams.close()

    with FaultyServer(BIG) as server:
        run(main(server.port))
        assert {query.transport for query in server.queries} == {"tcp"}


def test_one_question_of_several_courses_is_asked_once_at_a_time(run: Run) -> None:
    async def main(port: int) -> None:
        lane = Lane(port)
        await lane.streams.start()
        for _ in range(5):
            lane.streams.ask(_course())
        await lane.wait(5)
        await lane.streams.close()

    with FaultyServer(BIG) as server:
        run(main(server.port))
        assert len(server.queries) == 1


def test_nobody_there_over_tcp_is_unreachable(run: Run) -> None:
    async def main(port: int) -> None:
        lane = Lane(port)
        await lane.streams.start()
        lane.streams.ask(_course())
        await lane.wait(1)
        assert lane.answers[0][1].status == UNREACHABLE
        await lane.streams.close()

    with dead_port() as port:
        run(main(port))


def test_a_lane_that_cannot_be_opened_says_so_to_all_that_wait(
    run: Run, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def refuse(_self: Cares) -> None:
        raise UsageError("no such server")

    async def main() -> None:
        lane = Lane(1)
        lane.streams.wait(_course())
        await lane.streams.start()
        assert lane.streams.is_open
        lane.streams.ask(_course())
        assert [found for _, found in lane.answers] == [Answer(UNREACHABLE)] * 2
        await lane.streams.close()

    monkeypatch.setattr(Cares, "start", refuse)
    run(main())
    assert "no TCP for truncated replies: no such server" in caplog.text


@pytest.mark.parametrize("before", [True, False])
def test_closing_drops_what_is_outstanding(run: Run, *, before: bool) -> None:
    async def main(server: FaultyServer) -> None:
        lane = Lane(server.port, timeout=60.0)
        if before:
            lane.streams.wait(_course())
            # The engine closes while the lane is being opened.
            opening = asyncio.create_task(lane.streams.start())
            closing = asyncio.create_task(lane.streams.close())
            await asyncio.gather(closing, opening)
            await lane.streams.close()
        else:
            await lane.streams.start()
            lane.streams.ask(_course())
            await asyncio.get_running_loop().run_in_executor(None, server.wait_for, 1)
            await lane.streams.close()
        assert lane.answers == []
        assert asyncio.all_tasks() == {asyncio.current_task()}

    def never(_asked: Asked, _transport: str, _nth: int) -> Sequence[Action]:
        return []

    with FaultyServer(BIG, never) as server:
        run(main(server))


def test_a_connection_that_breaks_off_is_not_the_end_of_the_lane(run: Run) -> None:
    async def main(port: int) -> None:
        lane = Lane(port)
        await lane.streams.start()
        lane.streams.ask(_course(Question("breaks.example.net", TXT)))
        await lane.wait(1)
        lane.streams.ask(_course())
        await lane.wait(2)
        assert lane.answers[0][1].status != NOERROR
        assert lane.answers[1][1].status == NOERROR
        await lane.streams.close()

    def plan(asked: Asked, transport: str, _nth: int) -> Sequence[Action]:
        if asked.name.startswith("breaks"):
            return [close]
        return [answer] if transport == "tcp" else [truncate]

    with FaultyServer(BIG, plan) as server:
        run(main(server.port))
