"""c-ares without a server: noticed at the start and on the way, and told from a silent name."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest
from support import servers
from support.faults import invent, rcode
from support.faulty import FaultyServer, always, dead_port, mute_port, per_name
from support.fleet import FLEET
from support.lane import MAIL, SHORT, ZONE, ask
from support.virtual_time import run_virtual

from auditor.errors import NoServerError
from auditor.resolve.answer import Answer, Question
from auditor.resolve.cares.engine import CaresEngine
from auditor.resolve.cares.liveness import LivenessWatch
from auditor.settings import Server
from auditor.wire.codes import A

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from auditor.errors import AuditorError
    from auditor.resolve.answer import AnswerCallback

SILENT = Question("silent.example.net", A)
OTHER = Question("other.example.net", A)
TIMED_OUT = Answer("TIMEOUT")


class World:
    """A watch with a server that answers probes as told; a probe takes a second."""

    def __init__(self, *probes: bool, give_up_after_s: float = 10.0) -> None:
        self.probes = list(probes)
        self.settled: list[Question] = []
        self.again: list[Question] = []
        self.failed: list[str] = []
        self.watch = LivenessWatch(
            ["192.0.2.53:53"],
            probe=self._probe,
            settle=lambda question, _deliver, _answer: self.settled.append(question),
            again=lambda question, _deliver: self.again.append(question),
            fail=lambda error: self.failed.append(str(error)),
            give_up_after_s=give_up_after_s,
        )

    async def _probe(self) -> bool:
        await asyncio.sleep(1)
        return self.probes.pop(0) if self.probes else False

    def holds(self, question: Question, answer: Answer = TIMED_OUT, asked_at: float = 0.0) -> bool:
        return self.watch.holds(question, _deliver, answer, asked_at)


def _deliver(_pairs: Sequence[tuple[Question, Answer]]) -> None:
    raise AssertionError("the watch settles, and does not deliver")


def _logged(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.__dict__["event"] for record in caplog.records]


def test_silence_is_believed_if_something_has_been_heard_since() -> None:
    async def main() -> None:
        world = World()
        await asyncio.sleep(5)
        assert not world.holds(OTHER, Answer("NXDOMAIN"), 4.0)
        assert not world.holds(SILENT, asked_at=5.0)
        assert world.holds(SILENT, asked_at=5.5)
        await world.watch.drop_held()

    run_virtual(main())


@pytest.mark.parametrize("status", ["FORMERR", "NOTIMP", "TIMEOUT", "UNREACHABLE"])
def test_what_c_ares_says_by_itself_proves_nothing(status: str) -> None:
    async def main() -> None:
        world = World()
        world.holds(OTHER, Answer(status))
        assert world.holds(SILENT)
        await world.watch.drop_held()

    run_virtual(main())


def test_a_silent_name_is_settled_as_soon_as_the_server_is_known_to_be_there(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        world = World(True)  # noqa: FBT003 - what a probe finds
        assert world.holds(SILENT)
        assert world.holds(OTHER)
        await asyncio.sleep(2)
        assert (world.settled, world.again, world.failed) == ([SILENT, OTHER], [], [])
        # Whatever else was asked before that is believed now.
        assert not world.holds(SILENT)
        await world.watch.drop_held()

    run_virtual(main())
    assert caplog.records == []


def test_what_was_asked_while_nobody_was_there_is_asked_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def main() -> None:
        world = World(False, False, True)  # noqa: FBT003 - as above
        assert world.holds(SILENT)
        await asyncio.sleep(60)
        assert (world.settled, world.again, world.failed) == ([], [SILENT], [])
        # And the next silence is looked into anew.
        assert world.holds(OTHER, asked_at=59.0)
        await world.watch.drop_held()

    run_virtual(main())
    assert _logged(caplog) == ["server_benched", "server_back"]


def test_any_answer_at_all_ends_the_search() -> None:
    async def main() -> None:
        world = World()
        assert world.holds(SILENT)
        await asyncio.sleep(0.5)
        assert not world.holds(OTHER, Answer("SERVFAIL"))
        await asyncio.sleep(1)
        assert world.settled == [SILENT]
        await world.watch.drop_held()

    run_virtual(main())


def test_without_hope_the_run_ends_and_who_asks_afterwards_is_told_again() -> None:
    async def main() -> None:
        world = World(give_up_after_s=10.0)
        assert world.holds(SILENT)
        why = "no server answers any more: 192.0.2.53:53 does not answer"
        await asyncio.sleep(15)
        assert world.failed == [why]
        await asyncio.sleep(10)
        assert world.failed == [why, why]
        assert (world.settled, world.again) == ([], [])
        assert world.holds(OTHER)
        await world.watch.drop_held()

    run_virtual(main())


def test_closing_forgets_what_is_held() -> None:
    async def main() -> None:
        world = World(True)  # noqa: FBT003 - as above
        assert world.holds(SILENT)
        await world.watch.drop_held()
        await asyncio.sleep(2)
        assert world.settled == []
        assert asyncio.all_tasks() == {asyncio.current_task()}

    run_virtual(main())


# --- The engine, with servers


def _start(named: Sequence[Server], **options: Any) -> list[Answer]:
    return list(asyncio.run(ask(CaresEngine(named, check=True, **SHORT, **options), [MAIL])))


def test_mutes_and_liars_are_named_and_left_out(caplog: pytest.LogCaptureFixture) -> None:
    lying = FaultyServer(ZONE, always(invent("192.0.2.99")))
    with mute_port() as mute, dead_port() as dead, lying as liar, FaultyServer(ZONE) as honest:
        ports = (mute, dead, liar.port, honest.port)
        (found,) = _start([Server("127.0.0.1", port) for port in ports])
        asked = [query.asked.name for query in liar.queries]
    assert found.records == ("192.0.2.1", "192.0.2.2")
    assert all(name.endswith(".invalid") for name in asked)
    assert [record.getMessage() for record in caplog.records] == [
        f"server 127.0.0.1:{mute} does not answer: left out",
        f"server 127.0.0.1:{dead} is not reachable: left out",
        f"server 127.0.0.1:{liar.port} makes up answers for names that do not exist: left out",
    ]
    assert set(_logged(caplog)) == {"server_left_out"}


@pytest.mark.parametrize("rcode_said", ["NXDOMAIN", "SERVFAIL", "REFUSED"])
def test_whatever_a_server_says_it_is_there(
    caplog: pytest.LogCaptureFixture, rcode_said: str
) -> None:
    def plan(asked: Any, _transport: str, _nth: int) -> list[Any]:
        said = {"invalid": rcode_said, "": "REFUSED"}
        return [rcode(said.get(asked.name.rpartition(".")[2], "NXDOMAIN"))]

    with FaultyServer(ZONE, plan) as server:
        assert _start([Server("127.0.0.1", server.port)]) == [Answer("NXDOMAIN")]
    assert caplog.records == []


@pytest.mark.parametrize(
    ("rcode_said", "why"),
    [("NXDOMAIN", "denies what must exist"), ("SERVFAIL", "answers SERVFAIL to everything")],
)
def test_a_server_that_denies_or_fails_everything_does_not_pass(rcode_said: str, why: str) -> None:
    with (
        FaultyServer(ZONE, always(rcode(rcode_said))) as server,
        pytest.raises(NoServerError, match=why),
    ):
        _start([Server("127.0.0.1", server.port)])


def test_without_a_server_it_does_not_start() -> None:
    with dead_port() as dead, pytest.raises(NoServerError) as caught:
        _start([Server("127.0.0.1", dead)])
    why = f"no server is left to ask: 127.0.0.1:{dead} is not reachable"
    assert str(caught.value) == why


def _outcome(
    run: Callable[[Coroutine[Any, Any, Any]], Any],
    port: int,
    give_up_after_s: float,
    questions: int,
) -> tuple[list[str], list[Answer]]:
    """Return what a run without the check failed with, and what was answered."""

    async def main() -> tuple[list[str], list[Answer]]:
        engine = CaresEngine([Server("127.0.0.1", port)], give_up_after_s=give_up_after_s, **SHORT)
        over = asyncio.Event()
        failed: list[str] = []
        answers: list[Answer] = []

        def fail(error: AuditorError) -> None:
            failed.append(str(error))
            over.set()

        def deliver(pairs: Sequence[tuple[Question, Answer]]) -> None:
            answers.extend(answer for _, answer in pairs)
            if len(answers) == questions:
                over.set()

        take: AnswerCallback = deliver
        engine.on_failure(fail)
        await engine.start()
        engine.submit([Question(f"{n}.example.net", A) for n in range(questions)], take)
        async with asyncio.timeout(20):
            await over.wait()
        await engine.close_engine()
        return failed, answers

    found: tuple[list[str], list[Answer]] = run(main())
    return found


@pytest.mark.parametrize("way", [dead_port, mute_port])
def test_a_run_whose_only_server_is_gone_ends(
    run: Callable[[Coroutine[Any, Any, Any]], Any],
    caplog: pytest.LogCaptureFixture,
    way: Callable[[], Any],
) -> None:
    caplog.set_level(logging.WARNING, "auditor")
    with way() as port:
        failed, answers = _outcome(run, port, 0.4, 5)
    assert failed == [f"no server answers any more: 127.0.0.1:{port} does not answer"]
    assert answers == []
    assert "server_benched" in _logged(caplog)


def test_silent_names_of_a_server_that_is_there_are_no_failure(
    run: Callable[[Coroutine[Any, Any, Any]], Any],
) -> None:
    silent = per_name({f"{number}.example.net": [] for number in range(5)})
    with FaultyServer(ZONE, silent) as server:
        failed, answers = _outcome(run, server.port, 0.4, 5)
    assert failed == []
    assert [answer.status for answer in answers] == ["TIMEOUT"] * 5


def test_a_server_that_comes_back_costs_no_answer(caplog: pytest.LogCaptureFixture) -> None:
    async def main() -> Answer:
        with servers.nsd(FLEET / "zones") as server:
            engine = CaresEngine([Server("127.0.0.1", server.port)], give_up_after_s=20.0, **SHORT)
            engine.on_failure(lambda error: pytest.fail(str(error)))
            await engine.start()
            reply: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
            await asyncio.to_thread(server.stop)
            question = Question("mx-1.example.net", A)
            engine.submit([question], lambda pairs: reply.set_result(pairs[0][1]))
            while not caplog.records:  # noqa: ASYNC110 - until it has been noticed
                await asyncio.sleep(0.01)
            await asyncio.to_thread(server.start)
            found = await asyncio.wait_for(reply, 20)
            await engine.close_engine()
            return found

    assert asyncio.run(main()).status == "NOERROR"
    assert _logged(caplog) == ["server_benched", "server_back"]
