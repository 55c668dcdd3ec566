"""A scan by several workers: order, deaths, limits, early ends; the workers are the test's.

Also tests `given_up.py`, `held_shard.py` and `quotas.py`.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from itertools import islice
from typing import TYPE_CHECKING

import orjson
import pytest
import zstandard
from support.worker_pools import Hands, settled

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
from auditor.workers import coordinator as coordinator_module
from auditor.workers.coordinator import Coordinator
from auditor.workers.given_up import give_up_shard
from auditor.workers.shards import cut_shards, unpack
from auditor.workers.worker_run import MAX_SHARDS_PER_WORKER

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Iterator

    from auditor.targets.target import Target
    from auditor.workers.messages import Command, Quota, Result, ShardTask
    from auditor.workers.shards import Shard

_SETTINGS = Settings(spf=False)
#: Shards of this: eight of 2,048 and 4,096, four of 8,192, two of 16,384.
_BLOCK = "20.30.0.0/16"


class _Work:
    """A scan under way: what it has written, and how it ends."""

    def __init__(self, coordinator: Coordinator, pool: Hands) -> None:
        self.coordinator = coordinator
        self.pool = pool
        self.lines: list[bytes] = []
        self.task = asyncio.create_task(coordinator.audit_targets(self._write))

    async def _write(self, lines: bytes) -> None:
        self.lines += lines.splitlines()

    @property
    def targets(self) -> list[str]:
        return [orjson.loads(line)["target"] for line in self.lines]

    async def finish_all_but(self, number: int) -> None:
        """Let everybody answer everything else, until somebody works on this shard only."""
        hands = self.pool.hands
        while [number] != [each for hand in hands.values() for each in hand.numbers]:
            for hand in hands.values():
                hand.finish(*(each for each in hand.numbers if each != number))
            await asyncio.sleep(0)

    async def finish_all(self) -> None:
        """Let everybody answer everything, until the run ends."""
        while not self.task.done():
            for hand in list(self.pool.hands.values()):
                hand.finish(*hand.numbers)
            await asyncio.sleep(0)


@asynccontextmanager
async def _at_work(
    pool: Hands, *targets: str, settings: Settings = _SETTINGS, stream: TargetStream | None = None
) -> AsyncIterator[_Work]:
    stream = stream or TargetStream(targets or [_BLOCK])
    stream.check_inputs()
    running = _Work(Coordinator(stream, settings, pool), pool)
    try:
        yield running
    finally:
        running.task.cancel()
        await asyncio.wait([running.task])
        assert pool.closed
        assert asyncio.all_tasks() == {asyncio.current_task()}


def _addresses(count: int) -> list[str]:
    return [f"20.30.{n >> 8}.{n & 255}" for n in range(count)]


def test_lines_come_in_the_order_of_the_input_whoever_is_done_first() -> None:
    async def main() -> None:
        pool = Hands("a", "b")
        async with _at_work(pool, "20.30.0.0/19") as running:
            await settled(lambda: len(pool["a"].tasks) + len(pool["b"].tasks) == 4)
            assert pool["a"].numbers == [0, 2]
            pool["b"].finish(3, 1)
            pool["a"].finish(2)
            assert not running.lines
            assert running.coordinator.open_targets == 8192
            await running.finish_all()
            await running.task
            assert running.targets == _addresses(8192)
            assert running.coordinator.tally.records == 8192
            assert running.coordinator.open_targets == 0

    asyncio.run(main())


def test_no_worker_has_more_than_it_can_do_abreast_and_results_ahead_are_bounded() -> None:
    async def main() -> None:
        pool = Hands("a", "b")
        async with _at_work(pool, "20.0.0.0/12") as running:
            await settled(
                lambda: all(
                    len(hand.tasks) == MAX_SHARDS_PER_WORKER for hand in pool.hands.values()
                )
            )
            taken = set(pool["a"].numbers + pool["b"].numbers)
            (short,) = cut_shards(TargetStream(["192.0.2.1"]).entries())
            result = give_up_shard(short, _SETTINGS)
            # All but the first shard, again and again: no line can be written.
            for _ in range(100):
                for hand in pool.hands.values():
                    hand.finish(*(number for number in hand.numbers if number), result=result)
                    taken |= set(hand.numbers)
                    assert len(hand.tasks) <= MAX_SHARDS_PER_WORKER
                await asyncio.sleep(0)
            assert not running.lines
            assert max(taken) < 2 * MAX_SHARDS_PER_WORKER * (
                1 + coordinator_module._MAX_WAITING_SHARDS
            )

    asyncio.run(main())


def test_what_a_dead_worker_held_is_done_again_each_shard_by_itself() -> None:
    async def main() -> None:
        pool = Hands("a", "b")
        async with _at_work(pool, "20.30.0.0/18") as running:
            await settled(lambda: len(pool["a"].tasks) == len(pool["b"].tasks) == 3)
            pool["b"].finish(*pool["b"].numbers)
            pool.go("a")
            suspects: list[int] = []
            while len(suspects) < 3:
                await settled(lambda: pool["b"].tasks)
                # With a suspect, nothing else is at risk.
                (number,) = pool["b"].numbers
                suspects.append(number)
                pool["b"].finish(number)
            assert suspects == [0, 2, 4]
            await running.finish_all()
            await running.task
            assert running.targets == _addresses(16_384)

    asyncio.run(main())


def test_targets_that_workers_die_over_are_reported_and_the_others_audited() -> None:
    async def main() -> None:
        pool = Hands("a")
        async with _at_work(pool, "20.30.0.0/20", "example.net", "no/target") as running:
            for name in ("a", "b", "c"):
                await running.finish_all_but(1)
                pool.come(chr(ord(name) + 1))
                pool.go(name)
            await running.finish_all()
            with pytest.raises(WorkersError) as caught:
                await running.task
            assert str(caught.value) == (
                "2,048 targets could not be audited (20.30.8.0 to 20.30.15.255): "
                "3 workers died over it, the last one c was killed; --resume tries again"
            )
            why = "3 workers died over it, the last one c was killed"
            shown = "20.30.8.0 to 20.30.15.255"
            assert running.coordinator.given_up == [GivenUp(2048, 2048, shown, why)]
            assert caught.value.exit_code == 3
            assert running.targets == [*_addresses(4096), "example.net", "no/target"]
            record = orjson.loads(running.lines[2048])
            assert (record["verdict"], record["ptr"]["status"]) == ("unknown", "UNREACHABLE")

    asyncio.run(main())


@pytest.mark.parametrize("trace", [False, True])
def test_records_of_abandoned_targets_are_like_any_others(trace: bool) -> None:  # noqa: FBT001 - a parameter
    jsonschema = pytest.importorskip("jsonschema")

    settings = Settings(trace=trace, helo="mx.example.net")
    (shard,) = cut_shards(
        TargetStream(["192.0.2.1", "2001:db8::1", "example.net", "no/target"]).entries()
    )
    result = give_up_shard(shard, settings)

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
        pool = Hands("a", "b")
        async with _at_work(pool, "20.30.0.0/20") as running:
            await settled(lambda: pool["b"].tasks)
            pool.go("b", cancel=True)
            await running.finish_all()
            await running.task
            assert running.targets == _addresses(4096)

    asyncio.run(main())


def test_work_that_is_cancelled_while_its_worker_stays_is_done_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(coordinator_module, "_FATE_TIMEOUT_S", 0.0)

    async def main() -> None:
        pool = Hands("a")
        async with _at_work(pool, "20.30.0.0/20") as running:
            await settled(lambda: len(pool["a"].tasks) == 2)
            pool["a"].cancel()
            await running.finish_all()
            await running.task
            assert running.targets == _addresses(4096)

    asyncio.run(main())


def test_a_run_waits_for_workers_and_ends_when_there_will_be_none() -> None:
    async def main() -> None:
        pool = Hands()
        async with _at_work(pool, "20.30.0.0/20") as running:
            for _ in range(100):
                await asyncio.sleep(0)
            assert not running.task.done()
            late = pool.come("late")
            await settled(lambda: len(late.tasks) == 2)
            late.finish(0)
            await settled(lambda: running.lines)
            pool.fail(WorkersError("the scheduler is gone"))
            with pytest.raises(WorkersError, match="the scheduler is gone"):
                await running.task
            assert running.targets == _addresses(2048)

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
        pool = Hands("a")
        async with _at_work(pool, "20.30.0.0/20") as running:
            await settled(lambda: len(pool["a"].tasks) == 2)
            pool["a"].finish(0)
            pool["a"].finish(1, result=error)
            with pytest.raises(kind, match=message):
                await running.task
            assert running.targets == _addresses(2048)

    asyncio.run(main())


def test_an_output_that_takes_no_more_ends_the_run() -> None:
    async def main() -> None:
        pool = Hands("a")
        stream = TargetStream(["20.30.0.0/20"])
        stream.check_inputs()

        async def write(_lines: bytes) -> None:
            raise OutputError("full")

        task = asyncio.create_task(Coordinator(stream, _SETTINGS, pool).audit_targets(write))
        await settled(lambda: pool["a"].tasks)
        pool["a"].finish(0)
        with pytest.raises(OutputError, match="full"):
            await task
        assert pool.closed

    asyncio.run(main())


def test_what_never_came_to_the_output_is_not_counted() -> None:
    async def main() -> None:
        pool = Hands("a")
        stream = TargetStream(["20.30.0.0/21"])
        stream.check_inputs()
        written = 0

        async def write(lines: bytes) -> None:
            nonlocal written
            if written:
                raise OutputError("full")
            written += lines.count(b"\n")

        coordinator = Coordinator(stream, _SETTINGS, pool)
        task = asyncio.create_task(coordinator.audit_targets(write))
        await settled(lambda: pool["a"].tasks)
        whole = give_up_shard(pool["a"].tasks[0].shard, _SETTINGS)
        lines = zstandard.ZstdDecompressor().decompress(whole.frames[0]).splitlines(keepends=True)
        pack = zstandard.ZstdCompressor().compress
        frames = tuple(pack(b"".join(lines[at : at + 512])) for at in range(0, 2048, 512))
        pool["a"].finish(0, result=whole._replace(frames=frames))
        with pytest.raises(OutputError, match="full"):
            await task
        # The frame that was refused is for the output to take back.
        assert (written, coordinator.tally.records, coordinator.tally.verdicts["unknown"]) == (
            512,
            1024,
            1024,
        )

    asyncio.run(main())


def test_what_the_input_raises_comes_behind_what_was_read_of_it() -> None:
    async def main() -> None:
        pool = Hands("a")
        stream = TargetStream.from_items(iter(["192.0.2.1", "192.0.2.0/24"]), max_targets=100)
        async with _at_work(pool, stream=stream) as running:
            await running.finish_all()
            with pytest.raises(TooManyTargetsError):
                await running.task
            assert running.targets == ["192.0.2.1"]

    asyncio.run(main())


# --- Early ends


def test_a_run_that_is_told_to_stop_gives_out_no_more_and_keeps_what_is_whole() -> None:
    async def main() -> None:
        pool = Hands("a", "b")
        async with _at_work(pool, "20.0.0.0/12") as running:
            await settled(
                lambda: all(
                    len(hand.tasks) == MAX_SHARDS_PER_WORKER for hand in pool.hands.values()
                )
            )
            running.coordinator.finish_early()
            await settled(lambda: pool.told)
            assert pool.told == [({"a", "b"}, "stop")]
            await running.finish_all()
            await running.task
            assert running.coordinator.stopped
            assert running.targets == _addresses_of("20.0", 4 * 2048 + 4 * 4096)

    asyncio.run(main())


def _addresses_of(net: str, count: int) -> list[str]:
    return [f"{net}.{n >> 8}.{n & 255}" for n in range(count)]


def test_a_run_that_is_told_to_stop_before_it_begins_gives_out_nothing() -> None:
    async def main() -> None:
        pool = Hands("a")
        stream = TargetStream([_BLOCK])
        stream.check_inputs()
        coordinator = Coordinator(stream, _SETTINGS, pool)
        coordinator.finish_early()
        lines: list[bytes] = []

        async def write(some: bytes) -> None:
            lines.append(some)

        await coordinator.audit_targets(write)
        assert (lines, pool["a"].tasks, pool.closed) == ([], [], True)

    asyncio.run(main())


def test_a_crew_that_cannot_be_gathered_is_sent_home() -> None:
    class Nobody(Hands):
        async def start_workers(self, changed: Callable[[], None]) -> None:
            del changed
            raise WorkersError("scheduler: does not answer")

    async def main() -> None:
        pool = Nobody()
        stream = TargetStream([_BLOCK])
        stream.check_inputs()
        with pytest.raises(WorkersError, match="does not answer"):
            await Coordinator(stream, _SETTINGS, pool).audit_targets(_never)
        assert pool.closed

    asyncio.run(main())


async def _never(_lines: bytes) -> None:
    raise AssertionError("there is nothing to write")


def test_a_shard_that_was_stopped_midway_is_written_as_far_as_it_got_and_nothing_after() -> None:
    async def main() -> None:
        pool = Hands("a")
        async with _at_work(pool, "20.30.0.0/20") as running:
            await settled(lambda: len(pool["a"].tasks) == 2)
            running.coordinator.finish_early()
            task = pool["a"].tasks[0]
            stream = TargetStream(["20.30.0.0/24"])

            (beginning,) = cut_shards(stream.entries())
            pool["a"].finish(0, result=give_up_shard(beginning, task.settings))
            pool["a"].finish(1)
            await running.task
            assert running.targets == _addresses(256)
            assert running.coordinator.tally.records == 256

    asyncio.run(main())


def test_a_cancelled_run_has_written_what_was_finished_in_order() -> None:
    async def main() -> None:
        pool = Hands("a")
        async with _at_work(pool, "20.30.0.0/19") as running:
            await settled(lambda: len(pool["a"].tasks) == 4)
            pool["a"].finish(0, 1, 3)
            await asyncio.sleep(0)
            running.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running.task
            assert running.targets == _addresses(4096)
            assert ({"a"}, "close") in pool.told

    asyncio.run(main())


def _first_records(task: ShardTask, count: int) -> Result:
    """Return what a shard comes to if it is cut off after so many targets."""
    (beginning,) = cut_shards(islice(unpack_all(task.shard), count))
    return give_up_shard(beginning, task.settings)


def unpack_all(shard: Shard) -> Iterator[Target]:
    return (target for block in unpack(shard) for target in block)


def test_what_a_shard_that_is_cut_off_has_finished_is_written_and_its_queries_are_counted() -> None:
    class Finishing(Hands):
        async def send_command(
            self, names: Collection[str], run: str, command: Command | Quota
        ) -> None:
            if command == "drop":
                for hand in self.hands.values():
                    for task in list(hand.tasks):
                        result = _first_records(task, 300)._replace(serial=1, counters={"sent": 7})
                        hand.finish(task.shard.number, result=result)
            await super().send_command(names, run, command)

    async def main() -> None:
        pool = Finishing("a", "b")
        async with _at_work(pool, "20.30.0.0/20") as running:
            await settled(lambda: pool["a"].tasks and pool["b"].tasks)
            running.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running.task
            # Those of the second shard stand behind a gap.
            assert running.targets == _addresses(300)
            assert running.coordinator.tally.records == 300
            assert running.coordinator.queries == {"sent": 14}

    asyncio.run(main())


def test_an_engine_that_cannot_go_on_costs_no_record_that_is_finished() -> None:
    async def main() -> None:
        pool = Hands("a", "b")
        async with _at_work(pool, "20.30.0.0/20") as running:
            await settled(lambda: pool["a"].tasks and pool["b"].tasks)
            error = NoServerError("no server answers any more")
            result = _first_records(pool["a"].tasks[0], 77)._replace(error=error)
            pool["a"].finish(0, result=result)
            with pytest.raises(NoServerError):
                await running.task
            assert running.targets == _addresses(77)

    asyncio.run(main())


def test_a_worker_that_gives_nothing_back_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(coordinator_module, "_CUT_OFF_TIMEOUT_S", 0.0)

    class Deaf(Hands):
        async def send_command(
            self, names: Collection[str], run: str, command: Command | Quota
        ) -> None:
            if command != "drop":
                await super().send_command(names, run, command)

    async def main() -> None:
        pool = Deaf("a")
        async with _at_work(pool, "20.30.0.0/20") as running:
            await settled(lambda: len(pool["a"].tasks) == 2)
            pool["a"].finish(0)
            await settled(lambda: running.lines)
            running.task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running.task
            assert running.targets == _addresses(2048)
            assert pool.closed

    asyncio.run(main())


# --- Limits


def _shares(pool: Hands) -> Iterator[tuple[set[str], Quota]]:
    return ((names, command) for names, command in pool.told if not isinstance(command, str))


def test_limits_are_divided_among_those_who_work_and_anew_as_they_come_and_go() -> None:
    async def main() -> None:
        pool = Hands("a", "b")
        settings = Settings(spf=False, qps=90.0, server_qps=30.0, concurrency=100)
        async with _at_work(pool, "20.0.0.0/12", settings=settings) as running:
            await settled(lambda: pool["a"].tasks and pool["b"].tasks)
            first = pool["a"].tasks[0].quota
            assert first[1:] == (50, 45.0, 15.0)
            assert pool["b"].tasks[0].quota == first
            third = pool.come("c")
            await settled(lambda: third.tasks)
            # The others had to hear of it first.
            *_, (names, share) = _shares(pool)
            assert names == {"a", "b"}
            assert share[1:] == (33, 30.0, 10.0)
            assert share.epoch > first.epoch
            assert third.tasks[0].quota == share
            pool.go("a")
            await settled(lambda: list(_shares(pool))[-1][1] != share)
            *_, (names, share) = _shares(pool)
            assert names == {"b", "c"}
            assert share[1:] == (50, 45.0, 15.0)
            running.coordinator.finish_early()

    asyncio.run(main())


def test_nobody_is_given_less_than_one_query_in_flight() -> None:
    async def main() -> None:
        pool = Hands("a", "b", "c")
        settings = Settings(spf=False, concurrency=2)
        async with _at_work(pool, "20.0.0.0/12", settings=settings):
            await settled(lambda: sum(len(hand.tasks) for hand in pool.hands.values()) == 8)
            busy = [hand for hand in pool.hands.values() if hand.tasks]
            assert [hand.tasks[0].quota.concurrency for hand in busy] == [1, 1]

    asyncio.run(main())


def test_the_last_ones_at_work_are_given_what_the_others_had() -> None:
    async def main() -> None:
        pool = Hands("a", "b")
        settings = Settings(spf=False, qps=90.0)
        # Two shards of two seconds, at thirty targets a second.
        async with _at_work(pool, "20.30.0.0-20.30.0.119", settings=settings):
            await settled(lambda: pool["a"].tasks and pool["b"].tasks)
            pool["a"].finish(0)
            await settled(lambda: list(_shares(pool))[-1][0] == {"b"})
            assert list(_shares(pool))[-1][1].qps == 90.0

    asyncio.run(main())


def test_without_limits_nobody_is_told_any() -> None:
    async def main() -> None:
        pool = Hands("a", "b")
        async with _at_work(pool, "20.30.0.0/20") as running:
            await running.finish_all()
            await running.task
            assert not list(_shares(pool))

    asyncio.run(main())
