"""A scan by several workers: order, deaths, limits, early ends; the workers are the test's."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import orjson
import pytest
import zstandard
from support.crews import Hands, settled

from auditor.errors import (
    AuditorError,
    NoServerError,
    OutputError,
    TooManyTargetsError,
    WorkersError,
)
from auditor.output.schema import record_schema
from auditor.run.scan import GivenUp
from auditor.settings import Settings
from auditor.targets.stream import TargetStream
from auditor.workers import fleet as fleet_module
from auditor.workers.abandon import abandon
from auditor.workers.fleet import Fleet
from auditor.workers.lane import ABREAST
from auditor.workers.shards import cut

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from auditor.workers.orders import Share

_SETTINGS = Settings(spf=False)
#: Shards of this: eight of 2,048 and 4,096, four of 8,192, two of 16,384.
_BLOCK = "20.30.0.0/16"


class _Work:
    """A fleet at work: what it has written, and how it ends."""

    def __init__(self, fleet: Fleet, crew: Hands) -> None:
        self.fleet = fleet
        self.crew = crew
        self.lines: list[bytes] = []
        self.task = asyncio.create_task(fleet.run(self._write))

    async def _write(self, lines: bytes) -> None:
        self.lines += lines.splitlines()

    @property
    def targets(self) -> list[str]:
        return [orjson.loads(line)["target"] for line in self.lines]

    async def finish_all_but(self, number: int) -> None:
        """Let everybody answer everything else, until somebody works on this shard only."""
        hands = self.crew.hands
        while [number] != [each for hand in hands.values() for each in hand.numbers]:
            for hand in hands.values():
                hand.finish(*(each for each in hand.numbers if each != number))
            await asyncio.sleep(0)

    async def finish_all(self) -> None:
        """Let everybody answer everything, until the run ends."""
        while not self.task.done():
            for hand in list(self.crew.hands.values()):
                hand.finish(*hand.numbers)
            await asyncio.sleep(0)


@asynccontextmanager
async def _at_work(
    crew: Hands, *targets: str, settings: Settings = _SETTINGS, stream: TargetStream | None = None
) -> AsyncIterator[_Work]:
    stream = stream or TargetStream(targets or [_BLOCK])
    stream.prepare()
    work = _Work(Fleet(stream, settings, crew), crew)
    try:
        yield work
    finally:
        work.task.cancel()
        await asyncio.wait([work.task])
        assert crew.closed
        assert asyncio.all_tasks() == {asyncio.current_task()}


def _addresses(count: int) -> list[str]:
    return [f"20.30.{n >> 8}.{n & 255}" for n in range(count)]


def test_lines_come_in_the_order_of_the_input_whoever_is_done_first() -> None:
    async def main() -> None:
        crew = Hands("a", "b")
        async with _at_work(crew, "20.30.0.0/19") as work:
            await settled(lambda: len(crew["a"].orders) + len(crew["b"].orders) == 4)
            assert crew["a"].numbers == [0, 2]
            crew["b"].finish(3, 1)
            crew["a"].finish(2)
            assert not work.lines
            assert work.fleet.open_targets == 8192
            await work.finish_all()
            await work.task
            assert work.targets == _addresses(8192)
            assert work.fleet.tally.records == 8192
            assert work.fleet.open_targets == 0

    asyncio.run(main())


def test_no_worker_has_more_than_it_can_do_abreast_and_results_ahead_are_bounded() -> None:
    async def main() -> None:
        crew = Hands("a", "b")
        async with _at_work(crew, "20.0.0.0/12") as work:
            await settled(lambda: all(len(hand.orders) == ABREAST for hand in crew.hands.values()))
            taken = set(crew["a"].numbers + crew["b"].numbers)
            (short,) = cut(TargetStream(["192.0.2.1"]).entries())
            result = abandon(short, _SETTINGS)
            # All but the first shard, again and again: no line can be written.
            for _ in range(100):
                for hand in crew.hands.values():
                    hand.finish(*(number for number in hand.numbers if number), result=result)
                    taken |= set(hand.numbers)
                    assert len(hand.orders) <= ABREAST
                await asyncio.sleep(0)
            assert not work.lines
            assert max(taken) < 2 * ABREAST * (1 + fleet_module._WAITING)

    asyncio.run(main())


def test_what_a_dead_worker_held_is_done_again_each_shard_by_itself() -> None:
    async def main() -> None:
        crew = Hands("a", "b")
        async with _at_work(crew, "20.30.0.0/18") as work:
            await settled(lambda: len(crew["a"].orders) == len(crew["b"].orders) == 3)
            crew["b"].finish(*crew["b"].numbers)
            crew.go("a")
            suspects: list[int] = []
            while len(suspects) < 3:
                await settled(lambda: crew["b"].orders)
                # With a suspect, nothing else is at risk.
                (number,) = crew["b"].numbers
                suspects.append(number)
                crew["b"].finish(number)
            assert suspects == [0, 2, 4]
            await work.finish_all()
            await work.task
            assert work.targets == _addresses(16_384)

    asyncio.run(main())


def test_targets_that_workers_die_over_are_reported_and_the_others_audited() -> None:
    async def main() -> None:
        crew = Hands("a")
        async with _at_work(crew, "20.30.0.0/20", "example.net", "no/target") as work:
            for name in ("a", "b", "c"):
                await work.finish_all_but(1)
                crew.come(chr(ord(name) + 1))
                crew.go(name)
            await work.finish_all()
            with pytest.raises(WorkersError) as caught:
                await work.task
            assert str(caught.value) == (
                "2,048 targets could not be audited (20.30.8.0 to 20.30.15.255): "
                "3 workers died over it, the last one c was killed; --resume tries again"
            )
            why = "3 workers died over it, the last one c was killed"
            shown = "20.30.8.0 to 20.30.15.255"
            assert work.fleet.given_up == [GivenUp(2048, 2048, shown, why)]
            assert caught.value.exit_code == 3
            assert work.targets == [*_addresses(4096), "example.net", "no/target"]
            record = orjson.loads(work.lines[2048])
            assert (record["verdict"], record["ptr"]["status"]) == ("unknown", "UNREACHABLE")

    asyncio.run(main())


@pytest.mark.parametrize("trace", [False, True])
def test_records_of_abandoned_targets_are_like_any_others(trace: bool) -> None:  # noqa: FBT001 - a parameter
    jsonschema = pytest.importorskip("jsonschema")

    settings = Settings(trace=trace, helo="mx.example.net")
    (shard,) = cut(TargetStream(["192.0.2.1", "2001:db8::1", "example.net", "no/target"]).entries())
    result = abandon(shard, settings)

    records = [
        orjson.loads(line)
        for frame in result.frames
        for line in zstandard.ZstdDecompressor().decompress(frame).splitlines()
    ]
    for record in records:
        jsonschema.validate(record, record_schema())
        assert ("trace" in record) == trace
    assert [record["verdict"] for record in records[:3]] == ["unknown"] * 3
    assert [record["kind"] for record in records] == ["ip", "ip", "domain", "invalid"]
    codes = [[finding["code"] for finding in record["findings"]] for record in records]
    assert not {"PTR_MISSING", "FORWARD_MISSING"} & {code for each in codes for code in each}
    assert result.tally.records == 4


def test_work_that_a_scheduler_cancels_is_lost_with_its_worker() -> None:
    async def main() -> None:
        crew = Hands("a", "b")
        async with _at_work(crew, "20.30.0.0/20") as work:
            await settled(lambda: crew["b"].orders)
            crew.go("b", cancel=True)
            await work.finish_all()
            await work.task
            assert work.targets == _addresses(4096)

    asyncio.run(main())


def test_work_that_is_cancelled_while_its_worker_stays_is_done_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(fleet_module, "_RUMOUR", 0.0)

    async def main() -> None:
        crew = Hands("a")
        async with _at_work(crew, "20.30.0.0/20") as work:
            await settled(lambda: len(crew["a"].orders) == 2)
            crew["a"].cancel()
            await work.finish_all()
            await work.task
            assert work.targets == _addresses(4096)

    asyncio.run(main())


def test_a_run_waits_for_workers_and_ends_when_there_will_be_none() -> None:
    async def main() -> None:
        crew = Hands()
        async with _at_work(crew, "20.30.0.0/20") as work:
            for _ in range(100):
                await asyncio.sleep(0)
            assert not work.task.done()
            late = crew.come("late")
            await settled(lambda: len(late.orders) == 2)
            late.finish(0)
            await settled(lambda: work.lines)
            crew.fail(WorkersError("the scheduler is gone"))
            with pytest.raises(WorkersError, match="the scheduler is gone"):
                await work.task
            assert work.targets == _addresses(2048)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("error", "kind", "message"),
    [
        (NoServerError("no server answers any more"), NoServerError, "no server answers any more"),
        (ModuleNotFoundError("No module named 'auditor'"), WorkersError, "a: ModuleNotFoundError"),
    ],
)
def test_what_a_worker_raises_ends_the_run_with_what_is_there_written(
    error: BaseException, kind: type[AuditorError], message: str
) -> None:
    async def main() -> None:
        crew = Hands("a")
        async with _at_work(crew, "20.30.0.0/20") as work:
            await settled(lambda: len(crew["a"].orders) == 2)
            crew["a"].finish(0)
            crew["a"].finish(1, result=error)
            with pytest.raises(kind, match=message):
                await work.task
            assert work.targets == _addresses(2048)

    asyncio.run(main())


def test_an_output_that_takes_no_more_ends_the_run() -> None:
    async def main() -> None:
        crew = Hands("a")
        stream = TargetStream(["20.30.0.0/20"])
        stream.prepare()

        async def write(_lines: bytes) -> None:
            raise OutputError("full")

        task = asyncio.create_task(Fleet(stream, _SETTINGS, crew).run(write))
        await settled(lambda: crew["a"].orders)
        crew["a"].finish(0)
        with pytest.raises(OutputError, match="full"):
            await task
        assert crew.closed

    asyncio.run(main())


def test_what_never_came_to_the_output_is_not_counted() -> None:
    async def main() -> None:
        crew = Hands("a")
        stream = TargetStream(["20.30.0.0/21"])
        stream.prepare()
        written = 0

        async def write(lines: bytes) -> None:
            nonlocal written
            if written:
                raise OutputError("full")
            written += lines.count(b"\n")

        fleet = Fleet(stream, _SETTINGS, crew)
        task = asyncio.create_task(fleet.run(write))
        await settled(lambda: crew["a"].orders)
        whole = abandon(crew["a"].orders[0].shard, _SETTINGS)
        lines = zstandard.ZstdDecompressor().decompress(whole.frames[0]).splitlines(keepends=True)
        pack = zstandard.ZstdCompressor().compress
        frames = tuple(pack(b"".join(lines[at : at + 512])) for at in range(0, 2048, 512))
        crew["a"].finish(0, result=whole._replace(frames=frames))
        with pytest.raises(OutputError, match="full"):
            await task
        # The frame that was refused is for the output to take back.
        assert (written, fleet.tally.records, fleet.tally.verdicts["unknown"]) == (512, 1024, 1024)

    asyncio.run(main())


def test_what_the_input_raises_comes_behind_what_was_read_of_it() -> None:
    async def main() -> None:
        crew = Hands("a")
        stream = TargetStream.of(iter(["192.0.2.1", "192.0.2.0/24"]), max_targets=100)
        async with _at_work(crew, stream=stream) as work:
            await work.finish_all()
            with pytest.raises(TooManyTargetsError):
                await work.task
            assert work.targets == ["192.0.2.1"]

    asyncio.run(main())


# --- Early ends


def test_a_run_that_is_told_to_stop_gives_out_no_more_and_keeps_what_is_whole() -> None:
    async def main() -> None:
        crew = Hands("a", "b")
        async with _at_work(crew, "20.0.0.0/12") as work:
            await settled(lambda: all(len(hand.orders) == ABREAST for hand in crew.hands.values()))
            work.fleet.stop()
            await settled(lambda: crew.told)
            assert crew.told == [({"a", "b"}, "stop")]
            await work.finish_all()
            await work.task
            assert work.fleet.stopped
            assert work.targets == _addresses_of("20.0", 4 * 2048 + 4 * 4096)

    asyncio.run(main())


def _addresses_of(net: str, count: int) -> list[str]:
    return [f"{net}.{n >> 8}.{n & 255}" for n in range(count)]


def test_a_run_that_is_told_to_stop_before_it_begins_gives_out_nothing() -> None:
    async def main() -> None:
        crew = Hands("a")
        stream = TargetStream([_BLOCK])
        stream.prepare()
        fleet = Fleet(stream, _SETTINGS, crew)
        fleet.stop()
        lines: list[bytes] = []

        async def write(some: bytes) -> None:
            lines.append(some)

        await fleet.run(write)
        assert (lines, crew["a"].orders, crew.closed) == ([], [], True)

    asyncio.run(main())


def test_a_crew_that_cannot_be_gathered_is_sent_home() -> None:
    class Nobody(Hands):
        async def start(self, changed: Callable[[], None]) -> None:
            del changed
            raise WorkersError("scheduler: does not answer")

    async def main() -> None:
        crew = Nobody()
        stream = TargetStream([_BLOCK])
        stream.prepare()
        with pytest.raises(WorkersError, match="does not answer"):
            await Fleet(stream, _SETTINGS, crew).run(_never)
        assert crew.closed

    asyncio.run(main())


async def _never(_lines: bytes) -> None:
    raise AssertionError("there is nothing to write")


def test_a_shard_that_was_stopped_midway_is_written_as_far_as_it_got_and_nothing_after() -> None:
    async def main() -> None:
        crew = Hands("a")
        async with _at_work(crew, "20.30.0.0/20") as work:
            await settled(lambda: len(crew["a"].orders) == 2)
            work.fleet.stop()
            order = crew["a"].orders[0]
            stream = TargetStream(["20.30.0.0/24"])

            (beginning,) = cut(stream.entries())
            crew["a"].finish(0, result=abandon(beginning, order.settings))
            crew["a"].finish(1)
            await work.task
            assert work.targets == _addresses(256)
            assert work.fleet.tally.records == 256

    asyncio.run(main())


def test_a_cancelled_run_has_written_what_was_finished_in_order() -> None:
    async def main() -> None:
        crew = Hands("a")
        async with _at_work(crew, "20.30.0.0/19") as work:
            await settled(lambda: len(crew["a"].orders) == 4)
            crew["a"].finish(0, 1, 3)
            await asyncio.sleep(0)
            work.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await work.task
            assert work.targets == _addresses(4096)
            assert ({"a"}, "close") in crew.told

    asyncio.run(main())


# --- Limits


def _shares(crew: Hands) -> Iterator[tuple[set[str], Share]]:
    return ((names, word) for names, word in crew.told if not isinstance(word, str))


def test_limits_are_divided_among_those_who_work_and_anew_as_they_come_and_go() -> None:
    async def main() -> None:
        crew = Hands("a", "b")
        settings = Settings(spf=False, qps=90.0, server_qps=30.0, concurrency=100)
        async with _at_work(crew, "20.0.0.0/12", settings=settings) as work:
            await settled(lambda: crew["a"].orders and crew["b"].orders)
            first = crew["a"].orders[0].share
            assert first[1:] == (50, 45.0, 15.0)
            assert crew["b"].orders[0].share == first
            third = crew.come("c")
            await settled(lambda: third.orders)
            # The others had to hear of it first.
            *_, (names, share) = _shares(crew)
            assert names == {"a", "b"}
            assert share[1:] == (33, 30.0, 10.0)
            assert share.epoch > first.epoch
            assert third.orders[0].share == share
            crew.go("a")
            await settled(lambda: list(_shares(crew))[-1][1] != share)
            *_, (names, share) = _shares(crew)
            assert names == {"b", "c"}
            assert share[1:] == (50, 45.0, 15.0)
            work.fleet.stop()

    asyncio.run(main())


def test_nobody_is_given_less_than_one_query_in_flight() -> None:
    async def main() -> None:
        crew = Hands("a", "b", "c")
        settings = Settings(spf=False, concurrency=2)
        async with _at_work(crew, "20.0.0.0/12", settings=settings):
            await settled(lambda: sum(len(hand.orders) for hand in crew.hands.values()) == 8)
            busy = [hand for hand in crew.hands.values() if hand.orders]
            assert [hand.orders[0].share.concurrency for hand in busy] == [1, 1]

    asyncio.run(main())


def test_the_last_ones_at_work_are_given_what_the_others_had() -> None:
    async def main() -> None:
        crew = Hands("a", "b")
        settings = Settings(spf=False, qps=90.0)
        async with _at_work(crew, "20.30.0.0/20", settings=settings):
            await settled(lambda: crew["a"].orders and crew["b"].orders)
            crew["a"].finish(0)
            await settled(lambda: list(_shares(crew))[-1][0] == {"b"})
            assert list(_shares(crew))[-1][1].qps == 90.0

    asyncio.run(main())


def test_without_limits_nobody_is_told_any() -> None:
    async def main() -> None:
        crew = Hands("a", "b")
        async with _at_work(crew, "20.30.0.0/20") as work:
            await work.finish_all()
            await work.task
            assert not list(_shares(crew))

    asyncio.run(main())
