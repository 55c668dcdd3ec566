"""Every way in which a pipeline's run ends: cancelled, by its input, its output, its servers.

Also tests `job.py` and `line_writer.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.effort import examples
from support.fake_engine import FakeEngine
from support.pipelines import (
    TimedEngine,
    Writer,
    alone,
    in_blocks,
    make_audit,
    make_pipeline,
    make_targets,
    no_traces,
    until,
)
from support.virtual_time import run_virtual

from auditor.errors import InputError, NoServerError, OutputError
from auditor.pipeline.line_writer import LineWriter
from auditor.resolve.answer import Answer, Question
from auditor.wire.codes import A

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from auditor.output.record_types import Record
    from auditor.resolve.answer import Steps
    from auditor.targets.target import Block, Target


@pytest.fixture(autouse=True)
def _no_traces(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> Iterator[None]:
    with no_traces(caplog, tmp_path):
        yield


@given(
    turns=st.integers(0, 60),
    seconds=st.sampled_from([0.0, 0.004, 0.011, 0.5, 3.0, 31.0]),
    slow=st.booleans(),
)
@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_run_that_is_cancelled_leaves_nothing_behind(
    turns: int, seconds: float, *, slow: bool
) -> None:
    async def main() -> None:
        writer = Writer()
        delays = itertools.cycle([0.0, 0.01, 0.5, 40.0])
        engine = TimedEngine(lambda _question: next(delays))
        pipeline, _ = make_pipeline(
            engine, writer, make_audit(2, fill=50), buffered=500, open_targets=64
        )
        work = asyncio.ensure_future(pipeline.audit_blocks(in_blocks(make_targets(200), 16)))
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
        assert alone()
        assert writer.targets == [target.text for target in make_targets(len(writer.lines))]

    run_virtual(main())


@pytest.mark.parametrize("first_late", [0, 500, 537, 999])
def test_what_was_finished_in_order_is_written_before_a_cancelled_run_ends(first_late: int) -> None:
    late = Question(f"0.{first_late}.example.net", A)

    async def main() -> None:
        writer = Writer()
        engine = TimedEngine(lambda question: 1e6 if question == late else 0.01)
        pipeline, tally = make_pipeline(engine, writer, make_audit(1))
        writer.gate.clear()
        work = asyncio.ensure_future(pipeline.audit_blocks(in_blocks(make_targets(1000), 100)))
        await asyncio.sleep(10.0)
        work.cancel()
        await asyncio.sleep(10.0)
        assert work.done() == (not first_late)
        writer.gate.set()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert writer.targets == [target.text for target in make_targets(first_late)]
        assert tally.records == first_late
        assert alone()

    run_virtual(main())


@pytest.mark.parametrize("asynchronous", [False, True])
@pytest.mark.parametrize("error", [InputError("list.txt line 7: gone"), RuntimeError("a bug")])
def test_what_the_input_raises_comes_out_as_it_is(error: Exception, *, asynchronous: bool) -> None:
    def broken() -> Iterator[Block]:
        yield from in_blocks(make_targets(20), 10)
        raise error

    async def trickle() -> AsyncIterator[Block]:
        for block in broken():
            await asyncio.sleep(1.0)
            yield block

    async def main() -> None:
        writer = Writer()
        pipeline, _ = make_pipeline(TimedEngine(lambda _question: 0.5), writer, make_audit(1))
        blocks: Any = trickle() if asynchronous else broken()
        with pytest.raises(type(error)) as caught:
            await pipeline.audit_blocks(blocks)
        assert caught.value is error
        assert alone()
        # No target vanishes that was taken in before.
        assert writer.targets == [target.text for target in make_targets(20)]

    run_virtual(main())


def test_an_exception_in_a_stage_comes_out_as_it_is() -> None:
    def audit(target: Target) -> Steps[Record]:
        yield [Question(target.text, A)]
        raise ZeroDivisionError(target.text)

    async def main() -> None:
        pipeline, _ = make_pipeline(TimedEngine(lambda _question: 0.5), Writer(), audit)
        with pytest.raises(ZeroDivisionError):
            await pipeline.audit_blocks(in_blocks(make_targets(100), 10))
        assert alone()

    run_virtual(main())


@pytest.mark.parametrize("open_targets", [10, 10_000])
def test_what_the_output_raises_ends_the_run(open_targets: int) -> None:
    error = OutputError("out.ndjson.partial: cannot be written: No space left on device")

    async def main() -> None:
        writer = Writer()
        pipeline, tally = make_pipeline(
            TimedEngine(lambda _question: 0.5), writer, make_audit(1), open_targets=open_targets
        )
        work = asyncio.ensure_future(pipeline.audit_blocks(in_blocks(make_targets(1000), 10)))
        if open_targets == 10:
            await _until_time(2.2)
            assert 0 < len(writer.lines) < 1000
        writer.error = error
        with pytest.raises(OutputError) as caught:
            await work
        assert caught.value is error
        assert tally.records < 1000 or open_targets == 10_000
        assert alone()

    run_virtual(main())


async def _until_time(when: float) -> None:
    await asyncio.sleep(when - asyncio.get_running_loop().time())


@pytest.mark.parametrize("slow", [False, True])
def test_when_no_server_is_left_the_run_ends_with_what_is_finished_written(*, slow: bool) -> None:
    late = Question("1.300.example.net", A)
    error = NoServerError("no server answers any more")

    async def main() -> None:
        writer = Writer()
        engine = TimedEngine(lambda question: 1e6 if question == late else 0.01)
        pipeline, tally = make_pipeline(engine, writer, make_audit(2))
        if slow:
            writer.gate.clear()
        work = asyncio.ensure_future(pipeline.audit_blocks(in_blocks(make_targets(1000), 100)))
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
        assert writer.targets == [target.text for target in make_targets(300)]
        # What waited behind the late one is not written, and so it does not count.
        assert tally.records == 300
        assert alone()

    run_virtual(main())


@pytest.mark.parametrize("turns", range(8))
def test_a_server_that_is_lost_at_the_very_end_makes_no_noise(turns: int) -> None:
    async def main() -> None:
        writer = Writer()
        engine = FakeEngine(lambda _question: Answer("NODATA"))
        pipeline, _ = make_pipeline(engine, writer, make_audit(1))
        work = asyncio.ensure_future(pipeline.audit_blocks(in_blocks(make_targets(10), 10)))
        await until(lambda: len(engine.open) == 10)
        engine.reply()
        for _ in range(turns):
            await asyncio.sleep(0)
        assert engine.fail is not None
        engine.fail(NoServerError("gone"))
        with contextlib.suppress(NoServerError):
            await work
        assert writer.targets == [target.text for target in make_targets(10)]
        assert alone()

    run_virtual(main())


def test_a_server_that_is_lost_while_a_run_is_cancelled_makes_no_noise() -> None:
    async def main() -> None:
        engine = FakeEngine(lambda _question: Answer("NODATA"))
        pipeline, _ = make_pipeline(engine, Writer(), make_audit(1))
        work = asyncio.ensure_future(pipeline.audit_blocks(in_blocks(make_targets(10), 10)))
        await until(lambda: len(engine.open) == 10)
        work.cancel()
        assert engine.fail is not None
        engine.fail(NoServerError("gone"))
        with contextlib.suppress(NoServerError, asyncio.CancelledError):
            await work
        assert alone()

    run_virtual(main())


def test_long_work_over_many_answers_lets_others_have_the_loop() -> None:
    """A target with thousands of names takes long: signals and timers must not wait for all."""

    async def main() -> None:
        loop: Any = asyncio.get_running_loop()
        turns = 0
        seen: list[int] = []

        async def watch() -> None:
            nonlocal turns
            while True:
                turns += 1
                await asyncio.sleep(0)

        def audit(target: Target) -> Steps[Record]:
            yield [Question(target.text, A)]
            seen.append(turns)
            loop._virtual.now += 0.03  # as long as thousands of names take
            return (yield from make_audit(0)(target))

        engine = FakeEngine(lambda _question: Answer("NODATA"))
        writer = Writer()
        pipeline, _ = make_pipeline(engine, writer, audit)
        work = asyncio.ensure_future(pipeline.audit_blocks(in_blocks(make_targets(50), 50)))
        await until(lambda: len(engine.open) == 50)
        watching = asyncio.ensure_future(watch())
        engine.reply()
        await work
        watching.cancel()
        assert len(writer.lines) == 50
        # Nobody has waited for more than two of them.
        assert len(set(seen)) >= 25

    run_virtual(main())


@pytest.mark.parametrize("finished", [0, 3, 5, 10])
def test_what_is_finished_and_not_handed_over_yet_is_written_at_the_end(finished: int) -> None:
    async def main() -> None:
        writer = Writer()
        lines = LineWriter(writer, lambda: None, buffered=1 << 20, unwritten=1 << 20)
        work = asyncio.ensure_future(lines.write_until_end())
        for start in range(0, 10, 5):
            slots = lines.reorder.open_block(5)
            for index in range(start, min(start + 5, finished)):
                lines.reorder.put_line(slots, index - start, b'{"target":"%d"}\n' % index)
        lines.end_of_lines()
        await work
        assert writer.targets == [str(number) for number in range(finished)]

    run_virtual(main())
