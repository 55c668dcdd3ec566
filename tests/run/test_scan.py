"""A run put together: from targets to lines, early ends, slow sources, counts that add up.

Also tests `thread_reader.py` and `record_stream.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from support.fake_engine import FakeEngine
from support.fleet import FLEET, targets
from support.pipelines import until
from support.virtual_time import run_virtual

from auditor.errors import InputError, NoServerError, OutputError, TooManyTargetsError
from auditor.resolve.answer import Answer, Question
from auditor.resolve.cache import Cache
from auditor.resolve.resolver import CachingResolver
from auditor.run import scan as scan_module
from auditor.run.scan import Scan, drive
from auditor.run.thread_reader import read_in_thread
from auditor.settings import Settings
from auditor.targets.stream import TargetStream
from auditor.wire.codes import A

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from auditor.resolve.answer import Steps

_ZONES = Settings(zones=FLEET / "zones")


class _Lines:
    def __init__(self) -> None:
        self.lines: list[bytes] = []

    async def __call__(self, chunk: bytes) -> None:
        self.lines += chunk.splitlines()

    @property
    def targets(self) -> list[str]:
        return [orjson.loads(line)["target"] for line in self.lines]


def _stream(*files: str) -> TargetStream:
    stream = TargetStream([], [str(FLEET / file) for file in files])
    stream.check_inputs()
    return stream


def test_an_input_that_has_grown_since_it_was_counted_is_not_taken_for_done() -> None:
    grown = TargetStream(["198.51.100.1", "198.51.100.2"])
    grown.check_inputs()
    grown._total = 1
    scan = Scan(grown, _ZONES)
    scan.done.add_target("198.51.100.1")
    with pytest.raises(InputError, match="the input has changed since it was counted"):
        asyncio.run(scan.audit_targets(_Lines()))


def _alone() -> bool:
    return asyncio.all_tasks() == {asyncio.current_task()}


def test_every_target_becomes_a_line_in_order(
    run: Callable[[Coroutine[Any, Any, None]], None],
) -> None:
    async def main() -> None:
        lines = _Lines()
        scan = Scan(_stream("targets.txt"), _ZONES)
        assert scan.counters() == {}
        await scan.audit_targets(lines)
        assert lines.targets == targets()
        assert (scan.tally.records, scan.open_targets) == (len(lines.lines), 0)
        assert _alone()

    run(main())


def test_the_counts_of_a_run_add_up() -> None:
    async def main() -> None:
        lines = _Lines()
        scan = Scan(_stream("targets.txt", "targets.csv"), _ZONES)
        await scan.audit_targets(lines)
        counts = {name: count or 0 for name, count in scan.queries.items()}
        assert counts["asked"] == sum(
            counts[name] for name in ("cached", "joined", "answered", "failed", "open")
        )
        assert counts["open"] == 0
        assert counts["cached"] > 0
        assert counts["answered"] > len(lines.lines)
        tally = scan.tally
        records = [orjson.loads(line) for line in lines.lines]
        assert tally.records == sum(tally.kinds.values()) == sum(tally.verdicts.values())
        assert tally.records == len(records)
        assert sum(tally.codes.values()) == sum(tally.severities.values())
        assert sum(tally.codes.values()) == sum(len(record["findings"]) for record in records)
        assert sum(tally.statuses.values()) == tally.kinds["ip"]

    asyncio.run(main())


def test_a_run_that_is_told_to_stop_takes_in_no_more_and_finishes_what_it_has() -> None:
    async def main() -> None:
        stream = TargetStream(["198.51.0.0/16"])
        stream.check_inputs()
        scan = Scan(stream, _ZONES)
        seen = []

        async def write(chunk: bytes) -> None:
            seen.append(chunk.count(b"\n"))
            scan.finish_early()

        await scan.audit_targets(write)
        assert 256 <= sum(seen) == scan.tally.records < 65_536
        assert _alone()

    asyncio.run(main())


def test_a_source_that_may_wait_is_read_in_a_thread_and_only_a_little_ahead() -> None:
    given = 0
    readers = set()
    # Three blocks have made room, and the reader waits with the next in its hand.
    most = (3 + 3 + 2) * 256

    def source() -> Iterator[str]:
        nonlocal given
        for number in range(1 << 40):
            given = number + 1
            readers.add(threading.current_thread().name)
            yield f"198.51.{number // 256 % 256}.{number % 256}"

    async def main() -> None:
        blocks = read_in_thread(TargetStream.from_items(source()).blocks(), ahead=3)
        async with contextlib.aclosing(blocks):
            taken = [await anext(blocks) for _ in range(3)]
            async with asyncio.timeout(10):
                while given < most - 256:  # noqa: ASYNC110 - counted in another thread
                    await asyncio.sleep(0)
        assert [block[0].text for block in taken] == [f"198.51.{each}.0" for each in range(3)]

    asyncio.run(main())
    _join_readers()
    assert readers == {"auditor-input"}
    assert given <= most


def _join_readers() -> None:
    for thread in threading.enumerate():
        if thread.name == "auditor-input":
            thread.join(10)
            assert not thread.is_alive()


def test_no_reader_thread_is_left_when_the_run_ends_early() -> None:
    endless = (f"198.51.{number // 256 % 256}.{number % 256}" for number in range(1 << 40))

    async def main() -> None:
        scan = Scan(TargetStream.from_items(endless), _ZONES)

        async def write(_chunk: bytes) -> None:
            scan.finish_early()

        await scan.audit_targets(write)

    asyncio.run(main())
    _join_readers()


def test_what_a_source_raises_in_its_thread_comes_out_behind_what_it_gave() -> None:
    async def main() -> None:
        lines = _Lines()
        stream = TargetStream.from_items(iter(["198.51.100.7", "198.51.100.0/24"]), max_targets=100)
        with pytest.raises(TooManyTargetsError):
            await Scan(stream, _ZONES).audit_targets(lines)
        assert lines.targets == ["198.51.100.7"]
        assert _alone()

    asyncio.run(main())


def test_the_engine_is_closed_however_a_run_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = FakeEngine(lambda _question: Answer("NXDOMAIN"), at_once=True)
    monkeypatch.setattr(
        scan_module, "make_resolver", lambda _settings: CachingResolver(engine, Cache(10))
    )

    async def write(_chunk: bytes) -> None:
        raise OutputError("full")

    async def main() -> None:
        stream = TargetStream(["192.0.2.1"])
        stream.check_inputs()
        with pytest.raises(OutputError):
            await Scan(stream, Settings()).audit_targets(write)
        assert (engine.started, engine.closed) == (True, True)
        assert _alone()

    asyncio.run(main())


# --- What is looked up before the first target


def _steps(rounds: int) -> Steps[int]:
    for number in range(rounds):
        answers = yield [Question(f"{number}.example.net", A)]
        assert [answer.status for answer in answers] == ["NODATA"]
    return rounds


def test_stages_are_driven_to_their_end() -> None:
    async def main() -> None:
        lookup = CachingResolver(
            FakeEngine(lambda _question: Answer("NODATA"), at_once=True), Cache(0)
        )
        assert await drive(lookup, _steps(3)) == 3
        assert await drive(lookup, _steps(0)) == 0
        assert _alone()

    run_virtual(main())


def test_stages_end_with_the_last_server() -> None:
    async def main() -> None:
        engine = FakeEngine(lambda _question: Answer("NODATA"))
        work = asyncio.ensure_future(drive(CachingResolver(engine, Cache(0)), _steps(3)))
        await asyncio.sleep(1.0)
        assert engine.fail is not None
        engine.fail(NoServerError("no server answers any more"))
        with pytest.raises(NoServerError):
            await work
        assert _alone()

    run_virtual(main())


def test_stages_can_be_cancelled() -> None:
    async def main() -> None:
        work = asyncio.ensure_future(
            drive(
                CachingResolver(FakeEngine(lambda _question: Answer("NODATA")), Cache(0)), _steps(3)
            )
        )
        await asyncio.sleep(1.0)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert _alone()

    run_virtual(main())


def test_a_run_that_is_dropped_asks_and_reads_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    async def main() -> None:
        engine = FakeEngine(lambda _question: Answer("NODATA"))
        monkeypatch.setattr(
            scan_module, "make_resolver", lambda _: CachingResolver(engine, Cache(0))
        )
        stream = TargetStream(["198.51.100.0/24"])
        stream.check_inputs()
        scan = Scan(stream, Settings())
        work = asyncio.ensure_future(scan.audit_targets(_Lines()))
        await until(lambda: bool(engine.open))
        scan.abort()
        # Before the cancellation has found its way through.
        await until(lambda: engine.closed)
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        assert _alone()

    run_virtual(main())
