"""What a worker does: several shards abreast on one engine, early ends, limits that change.

Also tests `worker_run.py` and `worker_process.py`.
"""

from __future__ import annotations

import asyncio
import threading
import time
from concurrent.futures import CancelledError, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import zstandard
from cli.driving import wait_until
from support.faults import Gate, answer, delay
from support.faulty import FaultyServer, always, per_name
from support.fleet import FLEET

from auditor.errors import NoServerError, UsageError
from auditor.settings import Server, Settings
from auditor.targets.stream import TargetStream
from auditor.workers import worker as worker_module
from auditor.workers.messages import Quota, ShardTask
from auditor.workers.shards import cut_shards
from auditor.workers.worker import audit_shard, end_worker, send_command
from auditor.workers.worker_run import WorkerRun

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditor.workers.messages import Result

_ZONES = Settings(zones=FLEET / "zones")
_ZONE = "2.0.192.in-addr.arpa. NS ns.example.net."
_HELD = "1.2.0.192.in-addr.arpa"


def _threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "auditor-worker"]


@pytest.fixture(autouse=True)
def no_worker_before_or_after() -> Iterator[None]:
    end_worker()
    assert not _threads()
    yield
    end_worker()
    assert not _threads()


def _order(
    *targets: str, settings: Settings = _ZONES, run: str = "run", share: Quota | None = None
) -> ShardTask:
    (shard,) = cut_shards(TargetStream(targets).entries())
    return ShardTask(run, shard, settings, share or Quota())


def _targets(result: Result) -> list[str]:
    unpack = zstandard.ZstdDecompressor().decompress
    lines = b"".join(map(unpack, result.frames)).splitlines()
    return [orjson.loads(line)["target"] for line in lines]


def _server(server: FaultyServer, **more: Any) -> Settings:
    servers = (Server("127.0.0.1", server.port),)
    return Settings(servers=servers, spf=False, timeout=30.0, **more)


def test_a_shard_comes_to_its_records_its_counts_and_its_questions() -> None:
    result = audit_shard(_order("198.51.100.0/25", "example.net"))
    assert _targets(result) == [*(f"198.51.100.{n}" for n in range(128)), "example.net"]
    assert (result.tally.records, result.tally.kinds["domain"]) == (129, 1)
    counters = {name: count or 0 for name, count in result.counters.items()}
    assert counters["open"] == 0
    parts = ("cached", "joined", "answered", "failed")
    assert counters["asked"] == sum(counters[part] for part in parts) > 129


def test_the_same_shard_gives_the_same_octets_whatever_was_done_before() -> None:
    task = _order("198.51.100.0/24", "example.net", "203.0.113.64/26")
    first = audit_shard(task)
    audit_shard(_order("198.51.100.128/25", "example.org"))
    assert audit_shard(task).frames == first.frames
    end_worker()
    assert audit_shard(task).frames == first.frames


def test_the_engine_is_kept_from_shard_to_shard_and_its_counts_go_on() -> None:
    with FaultyServer(_ZONE, always(answer)) as server:
        settings = _server(server)
        first = audit_shard(_order("192.0.2.1", settings=settings))
        second = audit_shard(_order("192.0.2.1", "192.0.2.2", settings=settings))
        # Two questions that unmask liars, and nothing that is known is asked again.
        asked = [query.asked.name for query in server.queries]
    assert len([name for name in asked if name.endswith(".invalid")]) == 1
    assert len(asked) == 4
    assert first.engine == second.engine
    assert second.serial > first.serial
    assert (first.counters["asked"], second.counters["asked"]) == (1, 3)
    assert second.counters["cached"] == 1


def test_a_slow_shard_does_not_hold_up_the_one_behind_it() -> None:
    gate = Gate()
    plan = per_name({_HELD: [delay(gate), answer]})
    with FaultyServer(_ZONE, plan) as server, ThreadPoolExecutor(2) as threads:
        settings = _server(server)
        slow = threads.submit(audit_shard, _order("192.0.2.1", settings=settings))
        wait_until(lambda: any(query.asked.name == _HELD for query in server.queries))
        assert _targets(audit_shard(_order("192.0.2.2", settings=settings))) == ["192.0.2.2"]
        assert not slow.done()
        gate.open()
        assert _targets(slow.result(30)) == ["192.0.2.1"]


def test_runs_have_engines_of_their_own() -> None:
    first, second = (audit_shard(_order("198.51.100.7", run=run)) for run in ("one", "two"))
    assert first.engine != second.engine
    send_command("one", "close")
    assert audit_shard(_order("198.51.100.7", run="two")).engine == second.engine
    assert audit_shard(_order("198.51.100.7", run="one")).engine != first.engine


def test_a_run_that_is_told_to_stop_keeps_what_it_has_taken_in() -> None:
    gate = Gate()
    plan = per_name({_HELD: [delay(gate), answer]})
    with FaultyServer(_ZONE, plan) as server, ThreadPoolExecutor(2) as threads:
        settings = _server(server)
        begun = threads.submit(audit_shard, _order("192.0.2.1", settings=settings))
        wait_until(lambda: any(query.asked.name == _HELD for query in server.queries))
        send_command("run", "stop")
        assert audit_shard(_order("192.0.2.2", settings=settings)).tally.records == 0
        gate.open()
        assert _targets(begun.result(30)) == ["192.0.2.1"]


def test_a_run_that_is_dropped_gives_back_what_is_finished_in_order() -> None:
    gate = Gate()
    plan = per_name({_HELD: [delay(gate), answer]})
    with FaultyServer(_ZONE, plan) as server, ThreadPoolExecutor(2) as threads:
        settings = _server(server)
        begun = threads.submit(
            audit_shard, _order("no/target", "192.0.2.1", "8.8", settings=settings)
        )
        wait_until(lambda: any(query.asked.name == _HELD for query in server.queries))
        send_command("run", "drop")
        result = begun.result(30)
        assert _targets(result) == ["no/target"]
        assert result.tally.records == 1
        assert result.counters["sent"]
        assert audit_shard(_order("192.0.2.2", settings=settings)).frames == ()
        gate.open()


def test_a_run_that_is_dropped_does_not_wait_for_its_engine_to_start() -> None:
    gate = Gate()
    with (
        FaultyServer(_ZONE, always(delay(gate), answer)) as server,
        ThreadPoolExecutor() as threads,
    ):
        settings = Settings(servers=(Server("127.0.0.1", server.port),), timeout=30.0)
        begun = threads.submit(audit_shard, _order("192.0.2.1", settings=settings))
        wait_until(lambda: bool(server.queries))
        send_command("run", "drop")
        assert begun.result(30).frames == ()
        gate.open()


def test_the_first_targets_of_a_shard_are_not_audited_again() -> None:
    task = _order("198.51.100.0/24")
    assert _targets(audit_shard(task._replace(skip=250))) == [
        f"198.51.100.{n}" for n in range(250, 256)
    ]


def test_a_run_that_is_closed_drops_what_is_under_way() -> None:
    gate = Gate()
    plan = per_name({_HELD: [delay(gate), answer]})
    with FaultyServer(_ZONE, plan) as server, ThreadPoolExecutor(1) as threads:
        begun = threads.submit(audit_shard, _order("192.0.2.1", settings=_server(server)))
        wait_until(lambda: any(query.asked.name == _HELD for query in server.queries))
        send_command("run", "close")
        with pytest.raises(CancelledError):
            begun.result(30)
        gate.open()


def test_a_worker_ends_with_its_last_run() -> None:
    for run in ("one", "two"):
        audit_shard(_order("198.51.100.7", run=run))
    send_command("one", "close")
    assert len(_threads()) == 1
    send_command("two", "close")
    assert not worker_module._current
    assert not _threads()


def test_a_worker_ends_when_its_last_run_is_closed_in_the_middle_of_a_shard() -> None:
    gate = Gate()
    with FaultyServer(_ZONE, per_name({_HELD: [delay(gate), answer]})) as server:
        with ThreadPoolExecutor(1) as threads:
            begun = threads.submit(audit_shard, _order("192.0.2.1", settings=_server(server)))
            wait_until(lambda: any(query.asked.name == _HELD for query in server.queries))
            send_command("run", "close")
            with pytest.raises(CancelledError):
                begun.result(30)
        gate.open()
    wait_until(lambda: not worker_module._current and not _threads())


def test_a_run_that_could_not_begin_leaves_no_worker_once_it_is_closed() -> None:
    with pytest.raises(NoServerError):
        audit_shard(
            _order("192.0.2.1", settings=Settings(servers=(Server("127.0.0.1", 1),), timeout=0.2))
        )
    send_command("run", "close")
    assert not worker_module._current
    assert not _threads()


def test_an_engine_whose_run_has_forgotten_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "_IDLE_TIMEOUT_S", 0.0)
    first = audit_shard(_order("198.51.100.7"))
    wait_until(lambda: not worker_module._current)
    assert audit_shard(_order("198.51.100.7")).engine != first.engine


def test_a_worker_does_not_end_while_its_last_run_is_being_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    closing, gate, closed = (threading.Event() for _ in range(3))
    close = WorkerRun.close

    async def slowly(lane: WorkerRun) -> None:
        closing.set()
        await asyncio.to_thread(gate.wait, 30)
        await close(lane)
        closed.set()

    monkeypatch.setattr(WorkerRun, "close", slowly)
    monkeypatch.setattr(worker_module, "_IDLE_TIMEOUT_S", 0.0)
    audit_shard(_order("198.51.100.7"))
    assert closing.wait(120)
    send_command("another", "stop")
    assert _threads()
    gate.set()
    wait_until(lambda: not _threads())
    assert closed.is_set()


def test_what_the_engine_cannot_do_is_raised_for_every_shard() -> None:
    settings = Settings(servers=(Server("127.0.0.1", 1),), timeout=0.2)
    for _ in range(2):
        with pytest.raises(NoServerError):
            audit_shard(_order("192.0.2.1", settings=settings))


def test_a_run_of_another_version_is_refused() -> None:
    with pytest.raises(UsageError, match=r"a worker has auditor .*, the run is by 0\.0"):
        audit_shard(_order("198.51.100.7")._replace(version="0.0"))


def test_nothing_is_told_to_a_worker_that_has_not_begun() -> None:
    send_command("run", "stop")
    send_command("run", Quota(1, 1, 1.0, 1.0))
    assert not worker_module._current


# --- Limits


def test_limits_of_an_order_hold_and_later_ones_take_their_place_at_once() -> None:
    with FaultyServer(_ZONE, always(answer)) as server, ThreadPoolExecutor(1) as threads:
        settings = _server(server, server_check=False, qps=100_000.0)
        slow = Quota(2, None, 50.0, None)
        start = time.monotonic()
        begun = threads.submit(audit_shard, _order("192.0.0.0/22", settings=settings, share=slow))
        wait_until(lambda: len(server.queries) >= 20)
        # A query may be seen late, on a busy machine, but none before the rate has let it go.
        assert server.queries[19].at - start >= 18 / 50
        # An older one says nothing any more.
        send_command("run", Quota(1, None, None, None))
        send_command("run", Quota(3, None, 5000.0, None))
        assert begun.result(30).tally.records == 1024
    # At 50 a second it would have taken twenty seconds.
    assert server.queries[-1].at - start < 15


def test_queries_in_flight_are_those_of_the_share() -> None:
    gate = Gate()
    with FaultyServer(_ZONE, always(delay(gate), answer)) as server:
        settings = _server(server, server_check=False, concurrency=1000)
        with ThreadPoolExecutor(1) as threads:
            share = Quota(1, 3, None, None)
            begun = threads.submit(
                audit_shard, _order("192.0.2.0/28", settings=settings, share=share)
            )
            wait_until(lambda: len(server.queries) == 3)
            send_command("run", Quota(2, 5, None, None))
            gate.open()
            begun.result(30)
        assert len(server.queries) == 16
