"""The pipeline: order, stragglers, bounds. How a run ends is in `test_pipeline_ends`."""

from __future__ import annotations

import asyncio
import itertools
from typing import TYPE_CHECKING

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from support.effort import examples, sample
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
    open_files,
    until,
)
from support.virtual_time import run_virtual

from auditor.output.tally import Tally
from auditor.pipeline.pipeline import Pipeline
from auditor.resolve.answer import Answer, Question
from auditor.resolve.cache import Cache
from auditor.resolve.resolver import CachingResolver
from auditor.wire.codes import A

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

    from auditor.output.record_types import Record
    from auditor.resolve.answer import Rdata, Steps
    from auditor.targets.target import Block, Target


@pytest.fixture(autouse=True)
def _no_traces(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> Iterator[None]:
    with no_traces(caplog, tmp_path):
        yield


# --- Order


@given(
    count=st.integers(0, 40),
    size=st.integers(1, 9),
    rounds=st.integers(0, 3),
    delays=st.lists(st.sampled_from([0.0, 0.001, 0.02, 0.3, 2.0, 60.0]), min_size=1, max_size=30),
    buffered=st.sampled_from([0, 100, 1 << 20]),
    open_targets=st.sampled_from([1, 10, 1000]),
)
@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_lines_come_in_input_order_however_the_answers_come(
    *, count: int, size: int, rounds: int, delays: list[float], buffered: int, open_targets: int
) -> None:
    async def main() -> None:
        turns = itertools.cycle(delays)
        writer = Writer()
        engine = TimedEngine(lambda _question: next(turns))
        pipeline, tally = make_pipeline(
            engine, writer, make_audit(rounds), buffered=buffered, open_targets=open_targets
        )
        await pipeline.audit_blocks(in_blocks(make_targets(count), size))
        assert writer.targets == [target.text for target in make_targets(count)]
        assert (tally.records, pipeline.open_targets) == (count, 0)
        assert len(engine.asked) == count * rounds
        assert alone()

    run_virtual(main())


def test_blocks_may_come_asynchronously() -> None:
    async def blocks() -> AsyncIterator[Block]:
        for block in in_blocks(make_targets(30), 7):
            await asyncio.sleep(1.0)
            yield block

    async def main() -> None:
        writer = Writer()
        pipeline, _ = make_pipeline(TimedEngine(lambda _question: 5.0), writer, make_audit(2))
        await pipeline.audit_blocks(blocks())
        assert writer.targets == [target.text for target in make_targets(30)]

    run_virtual(main())


def test_a_trace_holds_every_lookup_in_the_order_asked() -> None:
    async def main() -> None:
        writer = Writer()
        lookup = CachingResolver(TimedEngine(lambda _question: 0.01), Cache(0), trace=True)
        pipeline = Pipeline(lookup, make_audit(3), writer, tally=Tally(), trace=True)
        await pipeline.audit_blocks(in_blocks(make_targets(5), 2))
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
        writer = Writer()
        engine = TimedEngine(lambda question: 1e6 if question == late else 0.01)
        pipeline, tally = make_pipeline(engine, writer, make_audit(3))
        work = asyncio.ensure_future(pipeline.audit_blocks(in_blocks(make_targets(2000), 256)))
        await asyncio.sleep(60.0)
        assert (tally.records, pipeline.open_targets) == (1999, 1)
        assert writer.targets == [target.text for target in make_targets(256)]
        engine.reply([late])
        await work
        assert writer.targets == [target.text for target in make_targets(2000)]

    run_virtual(main())


def test_stragglers_leave_the_others_their_pace() -> None:
    """If every block waited for its slowest answer, it would be many times as long."""

    async def main(*, stragglers: bool) -> float:
        def delay(question: Question) -> float:
            number = int(question.name.split(".")[1])
            return 25.0 if stragglers and number % 100 == 0 else 0.1

        pipeline, tally = make_pipeline(
            TimedEngine(delay), Writer(), make_audit(2), open_targets=1024
        )
        work = asyncio.ensure_future(pipeline.audit_blocks(in_blocks(make_targets(5000), 256)))
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
        writer = Writer()
        stages = make_audit(2)

        def audit(target: Target) -> Steps[Record]:
            nonlocal most
            most = max(most, pipeline.open_targets)
            return stages(target)

        pipeline, _ = make_pipeline(
            TimedEngine(lambda _question: 0.5), writer, audit, open_targets=limit
        )
        await pipeline.audit_blocks(in_blocks(make_targets(500), 32))
        assert len(writer.lines) == 500

    run_virtual(main())
    # A block larger than the limit goes alone.
    assert most == max(limit - limit % 32, 32)


def test_no_block_is_begun_while_the_engine_has_enough_to_send() -> None:
    async def main() -> None:
        writer = Writer()
        engine = FakeEngine(lambda _question: Answer("NODATA"))
        pipeline, _ = make_pipeline(engine, writer, make_audit(1), backlog=100)
        engine.waiting = 101
        work = asyncio.ensure_future(pipeline.audit_blocks(in_blocks(make_targets(50), 10)))
        await until(lambda: len(engine.asked) == 10)
        for _ in range(100):
            await asyncio.sleep(0)
        assert len(engine.asked) == 10  # the first block only: there must be something to wait for
        engine.waiting = 100
        assert engine.wake is not None
        engine.wake()
        await until(lambda: len(engine.asked) == 50)
        engine.reply()
        await work
        assert len(writer.lines) == 50

    run_virtual(main())


@pytest.mark.parametrize("at_once", [False, True])
def test_a_slow_reader_stops_the_intake(*, at_once: bool) -> None:
    async def main() -> None:
        writer = Writer()
        writer.gate.clear()
        taken = 0

        def blocks() -> Iterator[Block]:
            nonlocal taken
            for block in in_blocks(make_targets(1000), 10):
                taken += 1
                yield block

        engine = (
            FakeEngine(lambda _question: Answer("NODATA"), at_once=True)
            if at_once
            else TimedEngine(lambda _question: 0.01)
        )
        pipeline, tally = make_pipeline(
            engine, writer, make_audit(1, fill=100), unwritten=5_000, open_targets=50
        )
        work = asyncio.ensure_future(pipeline.audit_blocks(blocks()))
        await asyncio.sleep(600.0)
        # 5,000 octets are 25 lines or so; then what was open already is finished, and no more.
        assert taken <= 15
        assert tally.records <= 150
        assert writer.lines == []
        writer.gate.set()
        await work
        assert writer.targets == [target.text for target in make_targets(1000)]

    run_virtual(main())


def test_lines_that_wait_for_their_turn_are_spilled_and_come_back() -> None:
    late = Question("0.0.example.net", A)

    async def main() -> None:
        writer = Writer()
        engine = TimedEngine(lambda question: 100.0 if question == late else 0.01)
        pipeline, tally = make_pipeline(
            engine, writer, make_audit(1, fill=500), buffered=10_000, unwritten=20_000
        )
        work = asyncio.ensure_future(pipeline.audit_blocks(in_blocks(make_targets(2000), 256)))
        await asyncio.sleep(50.0)
        assert tally.records == 1999
        assert pipeline._lines.reorder.held <= 10_000
        assert len(open_files()) > 0
        await work
        assert writer.targets == [target.text for target in make_targets(2000)]
        assert all(len(line) > 500 for line in writer.lines)
        # A megabyte has waited; nobody needs to hold it in memory now.
        assert writer.largest <= 2 * 20_000 + 256 * 700

    run_virtual(main())


# --- Large answers


def _names_of(question: Question) -> tuple[str, ...]:
    return tuple(f"{number}.{question.name}" for number in range(500))


def _texts_of(question: Question) -> tuple[tuple[bytes, ...], ...]:
    return ((question.name.encode(), *[b"x" * 255] * 200),)


@pytest.mark.parametrize("records_of", sample([_names_of, _texts_of]))
def test_targets_with_large_answers_are_begun_only_as_others_are_finished(
    records_of: Callable[[Question], tuple[Rdata, ...]],
) -> None:
    """A second lookup that nobody answers would keep 24,576 of them open."""

    def delay(question: Question) -> float:
        return 60.0 if question.name.startswith("1.") else 0.0

    def zone(question: Question) -> Answer:
        return Answer("NOERROR", records_of(question), ttl=60)

    async def main() -> None:
        most = 0
        writer = Writer()
        pipeline, tally = make_pipeline(
            TimedEngine(delay, zone), writer, make_audit(2), held=1 << 20
        )

        async def watch() -> None:
            nonlocal most
            while True:
                most = max(most, pipeline.open_targets)
                await asyncio.sleep(0.01)

        watching = asyncio.create_task(watch())
        await pipeline.audit_blocks(in_blocks(make_targets(400), 4))
        watching.cancel()
        assert (tally.records, pipeline._held) == (400, 0)
        assert 4 < most <= 64

    run_virtual(main())
