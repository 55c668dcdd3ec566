"""The pipeline: order, stragglers, back-pressure, spilling, and every way in which a run ends."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import logging
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.fake_engine import FakeEngine
from support.virtual_time import run_virtual

from auditor.errors import InputError, NoServerError, OutputError
from auditor.pipeline import Limits, Pipeline
from auditor.resolve.answer import Answer, Question
from auditor.resolve.cache import Cache
from auditor.resolve.lookup import Lookup
from auditor.run.tally import Tally
from auditor.targets.target import Origin, Target
from auditor.wire.codes import A

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from auditor.output.record import Record
    from auditor.resolve.answer import Deliver, Steps
    from auditor.targets.target import Block


@pytest.fixture(autouse=True)
def _no_noise(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> Iterator[None]:
    """Let no run leave a task, an open file or an exception that nobody has looked at."""
    files = _open_files()
    tempfile.tempdir = str(tmp_path)
    try:
        yield
    finally:
        tempfile.tempdir = None
    gc.collect()
    records = [*caplog.get_records("call"), *caplog.records]
    assert [record for record in records if record.levelno >= logging.ERROR] == []
    assert _open_files() == files
    assert list(tmp_path.iterdir()) == []


def _open_files() -> list[str]:
    """Return the regular files that this process holds open, deleted ones included."""
    found = []
    for link in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):  # the folder that is being listed
            target = str(link.readlink())
            if target.startswith("/") and not target.startswith(("/dev/", "/proc/")):
                found.append(target)
    return sorted(found)


class _Timed(FakeEngine):
    """Answers each question after its own time."""

    def __init__(self, delay: Callable[[Question], float]) -> None:
        super().__init__(lambda _question: Answer("NODATA"))
        self._delay = delay

    def submit(self, questions: Sequence[Question], deliver: Deliver) -> None:
        super().submit(questions, deliver)
        loop = asyncio.get_running_loop()
        for question in questions:
            loop.call_later(self._delay(question), self._reply_one, question)

    def _reply_one(self, question: Question) -> None:
        if not self.closed and question in self.open:
            self.reply([question])


class _Writer:
    """Takes lines; while `gate` is closed it takes its time."""

    def __init__(self) -> None:
        self.lines: list[bytes] = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.error: Exception | None = None
        self.largest = 0

    async def __call__(self, chunk: bytes) -> None:
        self.largest = max(self.largest, len(chunk))
        assert chunk.endswith(b"\n")
        await self.gate.wait()
        if self.error is not None:
            raise self.error
        self.lines += chunk.splitlines(keepends=True)

    @property
    def targets(self) -> list[str]:
        return [orjson.loads(line)["target"] for line in self.lines]


def _targets(count: int) -> list[Target]:
    return [Target(f"{number}.example.net", "domain", 0, Origin()) for number in range(count)]


def _blocks(targets: Sequence[Target], size: int) -> Iterator[Block]:
    for start in range(0, len(targets), size):
        yield list(targets[start : start + size])


def _audit(rounds: int, fill: int = 0) -> Callable[[Target], Steps[Record]]:
    """Return stages of so many rounds; the line is `fill` octets longer than it must be."""

    def audit(target: Target) -> Steps[Record]:
        asked = 0
        for number in range(rounds):
            asked += len((yield [Question(f"{number}.{target.text}", A)]))
        return cast(
            "Record",
            {
                "target": target.text,
                "kind": target.kind,
                "verdict": "pass",
                "findings": [],
                "ptr": None,
                "asked": asked,
                "fill": "x" * fill,
            },
        )

    return audit


def _pipeline(
    engine: FakeEngine,
    writer: _Writer,
    audit: Callable[[Target], Steps[Record]],
    **limits: int,
) -> tuple[Pipeline, Tally]:
    tally = Tally()
    lookup = Lookup(engine, Cache(0))
    pipeline = Pipeline(lookup, audit, writer, tally=tally, limits=Limits()._replace(**limits))
    return pipeline, tally


async def _until(condition: Callable[[], bool]) -> None:
    """Give everyone else their turns until something is so; a deadlock shows as a failure."""
    for _ in range(10_000):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("it does not come to that")


def _alone() -> bool:
    return asyncio.all_tasks() == {asyncio.current_task()}


# --- Order


@given(
    count=st.integers(0, 40),
    size=st.integers(1, 9),
    rounds=st.integers(0, 3),
    delays=st.lists(st.sampled_from([0.0, 0.001, 0.02, 0.3, 2.0, 60.0]), min_size=1, max_size=30),
    buffered=st.sampled_from([0, 100, 1 << 20]),
    open_targets=st.sampled_from([1, 10, 1000]),
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_lines_come_in_input_order_however_the_answers_come(
    *, count: int, size: int, rounds: int, delays: list[float], buffered: int, open_targets: int
) -> None:
    async def main() -> None:
        turns = itertools.cycle(delays)
        writer = _Writer()
        engine = _Timed(lambda _question: next(turns))
        pipeline, tally = _pipeline(
            engine, writer, _audit(rounds), buffered=buffered, open_targets=open_targets
        )
        await pipeline.run(_blocks(_targets(count), size))
        assert writer.targets == [target.text for target in _targets(count)]
        assert (tally.records, pipeline.open_targets) == (count, 0)
        assert len(engine.asked) == count * rounds
        assert _alone()

    run_virtual(main())


def test_blocks_may_come_asynchronously() -> None:
    async def blocks() -> AsyncIterator[Block]:
        for block in _blocks(_targets(30), 7):
            await asyncio.sleep(1.0)
            yield block

    async def main() -> None:
        writer = _Writer()
        pipeline, _ = _pipeline(_Timed(lambda _question: 5.0), writer, _audit(2))
        await pipeline.run(blocks())
        assert writer.targets == [target.text for target in _targets(30)]

    run_virtual(main())


def test_a_trace_holds_every_lookup_in_the_order_asked() -> None:
    async def main() -> None:
        writer = _Writer()
        lookup = Lookup(_Timed(lambda _question: 0.01), Cache(0), trace=True)
        pipeline = Pipeline(lookup, _audit(3), writer, tally=Tally(), trace=True)
        await pipeline.run(_blocks(_targets(5), 2))
        for number, line in enumerate(writer.lines):
            record = orjson.loads(line)
            assert list(record)[-1] == "trace"
            assert [entry["name"] for entry in record["trace"]] == [
                f"{turn}.{number}.example.net" for turn in range(3)
            ]

    run_virtual(main())


# --- Stragglers


def test_a_target_that_is_never_answered_holds_up_nothing_but_the_lines_behind_it() -> None:
    late = Question("1.300.example.net", A)

    async def main() -> None:
        writer = _Writer()
        engine = _Timed(lambda question: 1e6 if question == late else 0.01)
        pipeline, tally = _pipeline(engine, writer, _audit(3))
        work = asyncio.ensure_future(pipeline.run(_blocks(_targets(2000), 256)))
        await asyncio.sleep(60.0)
        assert (tally.records, pipeline.open_targets) == (1999, 1)
        assert writer.targets == [target.text for target in _targets(256)]
        engine.reply([late])
        await work
        assert writer.targets == [target.text for target in _targets(2000)]

    run_virtual(main())


def test_stragglers_leave_the_others_their_pace() -> None:
    """If every block waited for its slowest answer, it would be many times as long."""

    async def main(*, stragglers: bool) -> float:
        def delay(question: Question) -> float:
            number = int(question.name.split(".")[1])
            return 5.0 if stragglers and number % 100 == 0 else 0.02

        pipeline, tally = _pipeline(_Timed(delay), _Writer(), _audit(2), open_targets=1024)
        work = asyncio.ensure_future(pipeline.run(_blocks(_targets(5000), 256)))
        while tally.records < 3500:  # noqa: ASYNC110 - time is virtual
            await asyncio.sleep(0.01)
        reached = asyncio.get_running_loop().time()
        await work
        return reached

    assert run_virtual(main(stragglers=True)) < 2.5 * run_virtual(main(stragglers=False))


# --- Bounds


@pytest.mark.parametrize("limit", [1, 10, 64, 300])
def test_no_more_targets_are_open_than_allowed(limit: int) -> None:
    most = 0

    async def main() -> None:
        nonlocal most
        writer = _Writer()
        stages = _audit(2)

        def audit(target: Target) -> Steps[Record]:
            nonlocal most
            most = max(most, pipeline.open_targets)
            return stages(target)

        pipeline, _ = _pipeline(_Timed(lambda _question: 0.5), writer, audit, open_targets=limit)
        await pipeline.run(_blocks(_targets(500), 32))
        assert len(writer.lines) == 500

    run_virtual(main())
    # A block larger than the limit goes alone.
    assert most == max(limit - limit % 32, 32)


def test_no_block_is_begun_while_the_engine_has_enough_to_send() -> None:
    async def main() -> None:
        writer = _Writer()
        engine = FakeEngine(lambda _question: Answer("NODATA"))
        pipeline, _ = _pipeline(engine, writer, _audit(1), backlog=100)
        engine.waiting = 101
        work = asyncio.ensure_future(pipeline.run(_blocks(_targets(50), 10)))
        await _until(lambda: len(engine.asked) == 10)
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(engine.asked) == 10  # the first block only: there must be something to wait for
        engine.waiting = 100
        assert engine.wake is not None
        engine.wake()
        await _until(lambda: len(engine.asked) == 50)
        engine.reply()
        await work
        assert len(writer.lines) == 50

    run_virtual(main())


@pytest.mark.parametrize("at_once", [False, True])
def test_a_slow_reader_stops_the_intake(*, at_once: bool) -> None:
    async def main() -> None:
        writer = _Writer()
        writer.gate.clear()
        taken = 0

        def blocks() -> Iterator[Block]:
            nonlocal taken
            for block in _blocks(_targets(1000), 10):
                taken += 1
                yield block

        engine = (
            FakeEngine(lambda _question: Answer("NODATA"), at_once=True)
            if at_once
            else _Timed(lambda _question: 0.01)
        )
        pipeline, tally = _pipeline(
            engine, writer, _audit(1, fill=100), unwritten=5_000, open_targets=50
        )
        work = asyncio.ensure_future(pipeline.run(blocks()))
        await asyncio.sleep(600.0)
        # 5,000 octets are 25 lines or so; then what was open already is finished, and no more.
        assert taken <= 15
        assert tally.records <= 150
        assert writer.lines == []
        writer.gate.set()
        await work
        assert writer.targets == [target.text for target in _targets(1000)]

    run_virtual(main())


def test_lines_that_wait_for_their_turn_are_spilled_and_come_back() -> None:
    late = Question("0.0.example.net", A)

    async def main() -> None:
        writer = _Writer()
        engine = _Timed(lambda question: 100.0 if question == late else 0.01)
        pipeline, tally = _pipeline(
            engine, writer, _audit(1, fill=500), buffered=10_000, unwritten=20_000
        )
        work = asyncio.ensure_future(pipeline.run(_blocks(_targets(2000), 256)))
        await asyncio.sleep(50.0)
        assert tally.records == 1999
        assert pipeline._reorder.held <= 10_000
        assert len(_open_files()) > 0
        await work
        assert writer.targets == [target.text for target in _targets(2000)]
        assert all(len(line) > 500 for line in writer.lines)
        # A megabyte has waited; nobody needs to hold it in memory now.
        assert writer.largest <= 2 * 20_000 + 256 * 700

    run_virtual(main())


# --- Ends


@given(
    turns=st.integers(0, 60),
    seconds=st.sampled_from([0.0, 0.004, 0.011, 0.5, 3.0, 31.0]),
    slow=st.booleans(),
)
@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_run_that_is_cancelled_leaves_nothing_behind(
    turns: int, seconds: float, *, slow: bool
) -> None:
    async def main() -> None:
        writer = _Writer()
        delays = itertools.cycle([0.0, 0.01, 0.5, 40.0])
        engine = _Timed(lambda _question: next(delays))
        pipeline, _ = _pipeline(engine, writer, _audit(2, fill=50), buffered=500, open_targets=64)
        work = asyncio.ensure_future(pipeline.run(_blocks(_targets(200), 16)))
        await asyncio.sleep(seconds)
        for _ in range(turns):
            await asyncio.sleep(0)
        if slow:
            writer.gate.clear()
        work.cancel()
        # It still writes what has been finished in order, unless it is told again.
        await asyncio.sleep(1.0)
        work.cancel()
        await asyncio.wait([work])
        assert work.cancelled()
        assert _alone()
        assert writer.targets == [target.text for target in _targets(len(writer.lines))]

    run_virtual(main())


def test_what_was_finished_in_order_is_written_before_a_cancelled_run_ends() -> None:
    late = Question("0.500.example.net", A)

    async def main() -> None:
        writer = _Writer()
        engine = _Timed(lambda question: 1e6 if question == late else 0.01)
        pipeline, _ = _pipeline(engine, writer, _audit(1))
        writer.gate.clear()
        work = asyncio.ensure_future(pipeline.run(_blocks(_targets(1000), 100)))
        await asyncio.sleep(10.0)
        work.cancel()
        await asyncio.sleep(10.0)
        assert not work.done()
        writer.gate.set()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert writer.targets == [target.text for target in _targets(500)]
        assert _alone()

    run_virtual(main())


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("error", [InputError("list.txt line 7: gone"), RuntimeError("a bug")])
def test_what_the_input_raises_comes_out_as_it_is(error: Exception, *, asynchronous: bool) -> None:
    def broken() -> Iterator[Block]:
        yield from _blocks(_targets(20), 10)
        raise error

    async def trickle() -> AsyncIterator[Block]:
        for block in broken():
            await asyncio.sleep(1.0)
            yield block

    async def main() -> None:
        writer = _Writer()
        pipeline, _ = _pipeline(_Timed(lambda _question: 0.5), writer, _audit(1))
        blocks: Any = trickle() if asynchronous else broken()
        with pytest.raises(type(error)) as caught:
            await pipeline.run(blocks)
        assert caught.value is error
        assert _alone()
        # No target vanishes that was taken in before.
        assert writer.targets == [target.text for target in _targets(20)]

    run_virtual(main())


def test_an_exception_in_a_stage_comes_out_as_it_is() -> None:
    def audit(target: Target) -> Steps[Record]:
        yield [Question(target.text, A)]
        raise ZeroDivisionError(target.text)

    async def main() -> None:
        pipeline, _ = _pipeline(_Timed(lambda _question: 0.5), _Writer(), audit)
        with pytest.raises(ZeroDivisionError):
            await pipeline.run(_blocks(_targets(100), 10))
        assert _alone()

    run_virtual(main())


@pytest.mark.parametrize("open_targets", [10, 10_000])
def test_what_the_output_raises_ends_the_run(open_targets: int) -> None:
    error = OutputError("out.ndjson.partial: cannot be written: No space left on device")

    async def main() -> None:
        writer = _Writer()
        pipeline, tally = _pipeline(
            _Timed(lambda _question: 0.5), writer, _audit(1), open_targets=open_targets
        )
        work = asyncio.ensure_future(pipeline.run(_blocks(_targets(1000), 10)))
        if open_targets == 10:
            await _until_time(2.2)
            assert 0 < len(writer.lines) < 1000
        writer.error = error
        with pytest.raises(OutputError) as caught:
            await work
        assert caught.value is error
        assert tally.records < 1000 or open_targets == 10_000
        assert _alone()

    run_virtual(main())


async def _until_time(when: float) -> None:
    await asyncio.sleep(when - asyncio.get_running_loop().time())


@pytest.mark.parametrize("slow", [False, True])
def test_when_no_server_is_left_the_run_ends_with_what_is_finished_written(*, slow: bool) -> None:
    late = Question("1.300.example.net", A)
    error = NoServerError("no server answers any more")

    async def main() -> None:
        writer = _Writer()
        engine = _Timed(lambda question: 1e6 if question == late else 0.01)
        pipeline, tally = _pipeline(engine, writer, _audit(2))
        if slow:
            writer.gate.clear()
        work = asyncio.ensure_future(pipeline.run(_blocks(_targets(1000), 100)))
        await asyncio.sleep(5.0)
        assert engine.fail is not None
        engine.fail(error)
        engine.fail(NoServerError("and once more"))
        await asyncio.sleep(5.0)
        assert work.done() is not slow
        writer.gate.set()
        with pytest.raises(NoServerError) as caught:
            await work
        assert caught.value is error
        assert writer.targets == [target.text for target in _targets(300)]
        assert tally.records == 999
        assert _alone()

    run_virtual(main())


@pytest.mark.parametrize("turns", range(8))
def test_a_server_that_is_lost_at_the_very_end_makes_no_noise(turns: int) -> None:
    async def main() -> None:
        writer = _Writer()
        engine = FakeEngine(lambda _question: Answer("NODATA"))
        pipeline, _ = _pipeline(engine, writer, _audit(1))
        work = asyncio.ensure_future(pipeline.run(_blocks(_targets(10), 10)))
        await _until(lambda: len(engine.open) == 10)
        engine.reply()
        for _ in range(turns):
            await asyncio.sleep(0)
        assert engine.fail is not None
        engine.fail(NoServerError("gone"))
        with contextlib.suppress(NoServerError):
            await work
        assert writer.targets == [target.text for target in _targets(10)]
        assert _alone()

    run_virtual(main())


def test_a_server_that_is_lost_while_a_run_is_cancelled_makes_no_noise() -> None:
    async def main() -> None:
        engine = FakeEngine(lambda _question: Answer("NODATA"))
        pipeline, _ = _pipeline(engine, _Writer(), _audit(1))
        work = asyncio.ensure_future(pipeline.run(_blocks(_targets(10), 10)))
        await _until(lambda: len(engine.open) == 10)
        work.cancel()
        assert engine.fail is not None
        engine.fail(NoServerError("gone"))
        with contextlib.suppress(NoServerError, asyncio.CancelledError):
            await work
        assert _alone()

    run_virtual(main())
