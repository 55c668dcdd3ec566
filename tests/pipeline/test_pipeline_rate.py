"""A pipeline under a rate: what is begun follows it, so an early end loses little."""

from __future__ import annotations

import asyncio
from itertools import product
from typing import TYPE_CHECKING

import pytest
from support.effort import sample
from support.fleet import FLEET, targets
from support.pipelines import (
    PacedEngine,
    Writer,
    alone,
    in_blocks,
    make_audit,
    make_targets,
)
from support.virtual_time import run_virtual

from auditor.findings.rules import RuleSet
from auditor.output.tally import Tally
from auditor.pipeline.pipeline import Pipeline
from auditor.pipeline.target import TargetAuditor
from auditor.resolve.cache import Cache
from auditor.resolve.resolver import CachingResolver
from auditor.resolve.zones.engine import ZoneFileEngine
from auditor.run.scan import allowed_rate, make_limits
from auditor.settings import Settings
from auditor.targets.stream import TargetStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from auditor.targets.target import Block

_ROUNDS = 3


def _paced(
    engine: PacedEngine,
    writer: Writer,
    *,
    concurrency: int | None = None,
    rate: Callable[[], float | None] | None = None,
) -> Pipeline:
    return Pipeline(
        CachingResolver(engine, Cache(0)),
        make_audit(_ROUNDS),
        writer,
        tally=Tally(),
        limits=make_limits(concurrency),
        rate=rate or (lambda: engine.rate),
    )


@pytest.mark.parametrize("rate", [2, 50, 400])
def test_the_first_record_comes_long_before_the_last(rate: int) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        writer = Writer()
        pipeline = _paced(PacedEngine(rate), writer)
        work = asyncio.ensure_future(pipeline.audit_blocks(in_blocks(make_targets(512), 256)))
        while not writer.lines:  # noqa: ASYNC110 - as time passes by itself
            await asyncio.sleep(0.05)
        assert loop.time() < 4 * max(1, 2 / rate)
        await work
        assert writer.targets == [target.text for target in make_targets(512)]

    run_virtual(main())


@pytest.mark.parametrize("rate", [1, 10, 50, 400, 2000])
def test_what_is_begun_is_done_soon_after_a_run_is_told_to_stop(rate: int) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        writer = Writer()
        engine = PacedEngine(rate)
        pipeline = _paced(engine, writer)
        work = asyncio.ensure_future(pipeline.audit_blocks(in_blocks(make_targets(5_000), 256)))
        await asyncio.sleep(5.0)
        pipeline.finish_early()
        told = loop.time()
        await work
        assert loop.time() - told < max(2.5, 3 * _ROUNDS / rate)
        # Not an answer is lost, and what was finished is one piece.
        assert len(writer.lines) * _ROUNDS == len(engine.asked)
        assert writer.targets == [target.text for target in make_targets(len(writer.lines))]
        assert alone()

    run_virtual(main())


@pytest.mark.parametrize(
    ("rate", "rtt"), sample(list(product([1, 50, 400, 2000, 10_000], [0.001, 0.5])), fewest=5)
)
def test_the_rate_is_used_up_however_little_is_begun(rate: int, rtt: float) -> None:
    count = min(20 * rate, 4000)

    async def main() -> None:
        writer = Writer()
        pipeline = _paced(PacedEngine(rate, rtt=rtt), writer)
        await pipeline.audit_blocks(in_blocks(make_targets(count), 256))
        assert len(writer.lines) == count
        least = count * _ROUNDS / rate
        # The last of them have nobody behind them to fill the time of their round trips.
        assert asyncio.get_running_loop().time() < 1.05 * least + 2 * _ROUNDS * (rtt + 1 / rate)

    run_virtual(main())


def test_a_rate_that_falls_while_the_run_goes_on_is_followed() -> None:
    async def main() -> None:
        writer = Writer()
        engine = PacedEngine(3000)
        pipeline = _paced(engine, writer)
        work = asyncio.ensure_future(pipeline.audit_blocks(in_blocks(make_targets(10_000), 256)))
        await asyncio.sleep(2.0)
        assert pipeline.open_targets > 300
        engine.rate = 20
        await asyncio.sleep(150.0)
        assert pipeline.open_targets < 30
        work.cancel()
        await asyncio.wait([work])

    run_virtual(main())


def test_few_queries_in_flight_are_a_rate_as_well() -> None:
    async def main() -> None:
        writer = Writer()
        pipeline = _paced(PacedEngine(50), writer, concurrency=4, rate=lambda: None)
        work = asyncio.ensure_future(pipeline.audit_blocks(in_blocks(make_targets(256), 256)))
        await asyncio.sleep(2.0)
        assert writer.lines
        assert pipeline.open_targets <= 12
        await work

    run_virtual(main())


def test_a_run_that_is_dropped_has_written_what_was_finished_in_order() -> None:
    async def main() -> None:
        writer = Writer()
        engine = PacedEngine(50)
        pipeline = _paced(engine, writer)
        work = asyncio.ensure_future(pipeline.audit_blocks(in_blocks(make_targets(1000), 256)))
        await asyncio.sleep(20.0)
        pipeline.abort()
        await work
        assert len(writer.lines) > 300
        assert writer.targets == [target.text for target in make_targets(len(writer.lines))]
        assert pipeline._tally.records == len(writer.lines)
        assert alone()

    run_virtual(main())


def test_a_run_that_is_dropped_before_it_begins_asks_nothing() -> None:
    async def main() -> None:
        engine = PacedEngine(50)
        pipeline = _paced(engine, Writer())
        pipeline.abort()
        await pipeline.audit_blocks(in_blocks(make_targets(10), 10))
        assert not engine.asked

    run_virtual(main())


@pytest.mark.parametrize("rate", [3, 47, 1000])
def test_the_records_are_the_same_octets_at_any_rate(rate: int) -> None:
    zones = asyncio.run(_loaded())
    blocks = list(_fleet())
    whole = _scanned(PacedEngine(1e6, zones.answer), blocks, None)
    assert len(whole) == sum(map(len, blocks)) > 100
    assert _scanned(PacedEngine(rate, zones.answer), blocks, rate) == whole


async def _loaded() -> ZoneFileEngine:
    zones = ZoneFileEngine(FLEET / "zones")
    await zones.start()
    return zones


def _fleet() -> list[Block]:
    stream = TargetStream(["198.51.100.0/24", *targets()])
    stream.check_inputs()
    return list(stream.blocks())


def _scanned(engine: PacedEngine, blocks: list[Block], rate: float | None) -> list[bytes]:
    async def main() -> list[bytes]:
        auditor = TargetAuditor(Settings(), RuleSet())
        writer = Writer()
        pipeline = Pipeline(
            CachingResolver(engine, Cache(1000)),
            auditor.audit,
            writer,
            tally=Tally(),
            fast_path=auditor.fast_path(),
            rate=lambda: rate,
        )
        await pipeline.audit_blocks(iter(blocks))
        return writer.lines

    return run_virtual(main())


@pytest.mark.parametrize(
    ("qps", "server_qps", "servers", "rate"),
    [
        (None, None, 2, None),
        (50, None, 2, 50),
        (None, 20, 3, 60),
        (None, 20, 0, 20),
        (50, 20, 3, 50),
        (100, 20, 3, 60),
    ],
)
def test_the_rate_is_what_all_limits_allow(
    qps: float | None, server_qps: float | None, servers: int, rate: float | None
) -> None:
    assert allowed_rate(qps, server_qps, servers) == rate
