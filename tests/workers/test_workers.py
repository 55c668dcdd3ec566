"""What a worker does: several shards abreast on one engine, early ends, limits that change."""

from __future__ import annotations

import threading
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
from auditor.workers.orders import Order, Share
from auditor.workers.shards import cut
from auditor.workers.worker import leave, tell, work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditor.workers.orders import Result

_ZONES = Settings(zones=FLEET / "zones")
_ZONE = "2.0.192.in-addr.arpa. NS ns.example.net."
_HELD = "1.2.0.192.in-addr.arpa"


@pytest.fixture(autouse=True)
def nobody_left() -> Iterator[None]:
    yield
    leave()
    assert not [thread for thread in threading.enumerate() if thread.name == "auditor-worker"]


def _order(
    *targets: str, settings: Settings = _ZONES, run: str = "run", share: Share | None = None
) -> Order:
    (shard,) = cut(TargetStream(targets).entries())
    return Order(run, shard, settings, share or Share())


def _targets(result: Result) -> list[str]:
    unpack = zstandard.ZstdDecompressor().decompress
    lines = b"".join(map(unpack, result.frames)).splitlines()
    return [orjson.loads(line)["target"] for line in lines]


def _server(server: FaultyServer, **more: Any) -> Settings:
    servers = (Server("127.0.0.1", server.port),)
    return Settings(servers=servers, spf=False, timeout=30.0, **more)


def test_a_shard_comes_to_its_records_its_counts_and_its_questions() -> None:
    result = work(_order("198.51.100.0/25", "example.net"))
    assert _targets(result) == [*(f"198.51.100.{n}" for n in range(128)), "example.net"]
    assert (result.tally.records, result.tally.kinds["domain"]) == (129, 1)
    counters = {name: count or 0 for name, count in result.counters.items()}
    assert counters["open"] == 0
    parts = ("cached", "joined", "answered", "failed")
    assert counters["asked"] == sum(counters[part] for part in parts) > 129


def test_the_same_shard_gives_the_same_octets_whatever_was_done_before() -> None:
    order = _order("198.51.100.0/24", "example.net", "203.0.113.64/26")
    first = work(order)
    work(_order("198.51.100.128/25", "example.org"))
    assert work(order).frames == first.frames
    leave()
    assert work(order).frames == first.frames


def test_the_engine_is_kept_from_shard_to_shard_and_its_counts_go_on() -> None:
    with FaultyServer(_ZONE, always(answer)) as server:
        settings = _server(server)
        first = work(_order("192.0.2.1", settings=settings))
        second = work(_order("192.0.2.1", "192.0.2.2", settings=settings))
        # One question that unmasks liars, and nothing that is known is asked again.
        asked = [query.asked.name for query in server.queries]
    assert len([name for name in asked if name.endswith(".invalid")]) == 1
    assert len(asked) == 3
    assert first.engine == second.engine
    assert second.serial > first.serial
    assert (first.counters["asked"], second.counters["asked"]) == (1, 3)
    assert second.counters["cached"] == 1


def test_a_slow_shard_does_not_hold_up_the_one_behind_it() -> None:
    gate = Gate()
    plan = per_name({_HELD: [delay(gate), answer]})
    with FaultyServer(_ZONE, plan) as server, ThreadPoolExecutor(2) as threads:
        settings = _server(server)
        slow = threads.submit(work, _order("192.0.2.1", settings=settings))
        wait_until(lambda: any(query.asked.name == _HELD for query in server.queries))
        assert _targets(work(_order("192.0.2.2", settings=settings))) == ["192.0.2.2"]
        assert not slow.done()
        gate.open()
        assert _targets(slow.result(30)) == ["192.0.2.1"]


def test_runs_have_engines_of_their_own() -> None:
    first, second = (work(_order("198.51.100.7", run=run)) for run in ("one", "two"))
    assert first.engine != second.engine
    tell("one", "close")
    assert work(_order("198.51.100.7", run="two")).engine == second.engine
    assert work(_order("198.51.100.7", run="one")).engine != first.engine


def test_a_run_that_is_told_to_stop_keeps_what_it_has_taken_in() -> None:
    gate = Gate()
    plan = per_name({_HELD: [delay(gate), answer]})
    with FaultyServer(_ZONE, plan) as server, ThreadPoolExecutor(2) as threads:
        settings = _server(server)
        begun = threads.submit(work, _order("192.0.2.1", settings=settings))
        wait_until(lambda: any(query.asked.name == _HELD for query in server.queries))
        tell("run", "stop")
        assert work(_order("192.0.2.2", settings=settings)).tally.records == 0
        gate.open()
        assert _targets(begun.result(30)) == ["192.0.2.1"]


def test_a_run_that_is_closed_drops_what_is_under_way() -> None:
    gate = Gate()
    plan = per_name({_HELD: [delay(gate), answer]})
    with FaultyServer(_ZONE, plan) as server, ThreadPoolExecutor(1) as threads:
        begun = threads.submit(work, _order("192.0.2.1", settings=_server(server)))
        wait_until(lambda: any(query.asked.name == _HELD for query in server.queries))
        tell("run", "close")
        with pytest.raises(CancelledError):
            begun.result(30)
        gate.open()


def test_an_engine_whose_run_has_forgotten_it_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "_IDLE", 0.0)
    first = work(_order("198.51.100.7"))
    wait_until(lambda: not worker_module._here[0]._lanes)
    assert work(_order("198.51.100.7")).engine != first.engine


def test_what_the_engine_cannot_do_is_raised_for_every_shard() -> None:
    settings = Settings(servers=(Server("127.0.0.1", 1),), timeout=0.2)
    for _ in range(2):
        with pytest.raises(NoServerError):
            work(_order("192.0.2.1", settings=settings))


def test_a_run_of_another_version_is_refused() -> None:
    with pytest.raises(UsageError, match=r"a worker has auditor .*, the run is by 0\.0"):
        work(_order("198.51.100.7")._replace(version="0.0"))


def test_nothing_is_told_to_a_worker_that_has_not_begun() -> None:
    tell("run", "stop")
    tell("run", Share(1, 1, 1.0, 1.0))
    assert not worker_module._here


# --- Limits


def _busiest(times: list[float], seconds: float) -> int:
    return max(sum(begin <= time < begin + seconds for time in times) for begin in times)


def test_limits_of_an_order_hold_and_later_ones_take_their_place_at_once() -> None:
    with FaultyServer(_ZONE, always(answer)) as server, ThreadPoolExecutor(1) as threads:
        settings = _server(server, server_check=False, qps=100_000.0)
        slow = Share(2, None, 50.0, None)
        begun = threads.submit(work, _order("192.0.2.0/25", settings=settings, share=slow))
        wait_until(lambda: len(server.queries) >= 20)
        assert _busiest([query.at for query in server.queries], 0.2) <= 12
        # An older one says nothing any more.
        tell("run", Share(1, None, None, None))
        tell("run", Share(3, None, 5000.0, None))
        begun.result(30)
        times = [query.at for query in server.queries]
    assert times[-1] - times[0] < 1.5


def test_queries_in_flight_are_those_of_the_share() -> None:
    gate = Gate()
    with FaultyServer(_ZONE, always(delay(gate), answer)) as server:
        settings = _server(server, server_check=False, concurrency=1000)
        with ThreadPoolExecutor(1) as threads:
            share = Share(1, 3, None, None)
            begun = threads.submit(work, _order("192.0.2.0/28", settings=settings, share=share))
            wait_until(lambda: len(server.queries) == 3)
            tell("run", Share(2, 5, None, None))
            gate.open()
            begun.result(30)
        assert len(server.queries) == 16
