"""The library: what a program gets that imports `auditor`."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import itertools
import logging
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any, assert_type

import orjson
import pytest
from support.faults import Gate, answer, delay, invent
from support.faulty import FaultyServer, always, dead_port, per_name
from support.fleet import FLEET, targets

import auditor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from auditor import Record

ZONES = auditor.Settings(zones=FLEET / "zones")
ZONE = """
1.2.0.192.in-addr.arpa. PTR one.example.net.
one.example.net. A 192.0.2.1
2.2.0.192.in-addr.arpa. PTR two.example.net.
two.example.net. A 192.0.2.2
"""


async def _all(given: Any, settings: auditor.Settings = ZONES) -> list[Record]:
    # For the type checker: a program knows what it gets.
    return [assert_type(one, auditor.Record) async for one in auditor.scan(given, settings)]


async def _no_other_task() -> None:
    """Return when this task is the only one left."""
    async with asyncio.timeout(60):
        while len(asyncio.all_tasks()) > 1:
            gc.collect()
            await asyncio.sleep(0)


def _lines() -> list[str]:
    text = (FLEET / "targets.txt").read_text("utf-8")
    return [line for raw in text.splitlines() if (line := raw.partition("#")[0].strip())]


def test_records_come_in_the_order_of_the_targets(run: Callable[..., Any]) -> None:
    found = run(_all(_lines()))
    assert [record["target"] for record in found] == targets()


def test_the_records_are_those_of_the_command(run: Callable[..., Any]) -> None:
    scan = [sys.executable, "-m", "auditor", "scan", "-q", "--zones", str(FLEET / "zones")]
    done = subprocess.run(
        [*scan, "198.51.100.0/24", "mx-gone.example.org"], capture_output=True, check=True
    )
    expected = [orjson.loads(line) for line in done.stdout.splitlines()]
    given = ["198.51.100.0/24", "mx-gone.example.org"]
    assert run(_all(given)) == expected
    assert [assert_type(one, auditor.Record) for one in auditor.scan_blocking(given, ZONES)] == (
        expected
    )


def test_targets_can_be_objects_with_labels_and_identities(run: Callable[..., Any]) -> None:
    origin = auditor.Origin("db", 7, "mx-1.example.net", ("example.net",), {"rack": "12"})
    given = [auditor.Target("198.51.100.16", "ip", 4, origin)]
    (record,) = run(_all(given))
    assert record["labels"] == {"rack": "12"}
    assert [spf["identity"] for spf in record["spf"]] == ["helo", "mailfrom"]


@pytest.mark.parametrize("nothing", [[], iter(())])
def test_no_targets_give_no_records(run: Callable[..., Any], nothing: Any) -> None:
    assert run(_all(nothing)) == []
    assert list(auditor.scan_blocking(nothing, ZONES)) == []


def test_a_single_text_is_one_target(run: Callable[..., Any]) -> None:
    assert [record["target"] for record in run(_all("198.51.100.1"))] == ["198.51.100.1"]


def test_leaving_early_ends_the_scan_at_once(run: Callable[..., Any]) -> None:
    async def leave() -> str:
        # More than a slow consumer is kept waiting for: the run is held up when we leave.
        async with contextlib.aclosing(auditor.scan(["198.51.0.0/16"], ZONES)) as records:
            async for record in records:
                first = record["target"]
                break
        assert len(asyncio.all_tasks()) == 1
        return first

    assert run(leave()) == "198.51.0.0"


def test_leaving_early_while_the_run_waits_for_the_consumer(run: Callable[..., Any]) -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        for number in itertools.cycle(range(256)):
            taken += 1
            yield f"198.51.100.{number}"

    async def leave() -> None:
        async with contextlib.aclosing(auditor.scan(endless(), ZONES)) as records:
            await anext(records)
            before = -1
            async with asyncio.timeout(30):
                while before != taken:  # until nothing more is read
                    before = taken
                    await asyncio.sleep(0.1)
        assert len(asyncio.all_tasks()) == 1

    run(leave())
    assert taken < 200_000


def test_a_scan_that_is_dropped_leaves_no_task(run: Callable[..., Any]) -> None:
    async def drop() -> None:
        async for _ in auditor.scan(["198.51.0.0/16"], ZONES):
            break
        await _no_other_task()

    run(drop())


def test_a_cancelled_consumer_leaves_no_task(run: Callable[..., Any]) -> None:
    gate = Gate()
    slow: dict[str, list[Any]] = {"1.2.0.192.in-addr.arpa": [delay(gate), answer]}

    async def cancel(server: FaultyServer) -> None:
        settings = auditor.Settings(servers=(auditor.Server("127.0.0.1", server.port),), timeout=30)
        work = asyncio.ensure_future(_all(["192.0.2.1"], settings))
        await asyncio.to_thread(server.wait_for, 2)  # the check and the first question
        work.cancel()
        with pytest.raises(asyncio.CancelledError):
            await work
        await _no_other_task()

    with FaultyServer(ZONE, per_name(slow)) as server:
        run(cancel(server))
        gate.open()


def test_the_input_is_read_as_it_is_needed(run: Callable[..., Any]) -> None:
    taken: list[str] = []

    def given() -> Iterator[str]:
        for number in range(1_000_000):
            taken.append(f"198.51.{number // 256 % 256}.{number % 256}")
            yield taken[-1]

    async def some() -> list[str]:
        async with contextlib.aclosing(auditor.scan(given(), ZONES)) as records:
            return [(await anext(records))["target"] for _ in range(1000)]

    assert run(some()) == taken[:1000]
    assert len(taken) < 200_000


def test_what_the_input_raises_ends_the_scan(run: Callable[..., Any]) -> None:
    def given() -> Iterator[str]:
        yield "198.51.100.1"
        raise RuntimeError("the database is gone")

    async def consume() -> None:
        async with contextlib.aclosing(auditor.scan(given(), ZONES)) as records:
            with pytest.raises(RuntimeError, match="the database is gone"):
                async for _ in records:
                    pass

    run(consume())
    with pytest.raises(RuntimeError, match="the database is gone"):
        list(auditor.scan_blocking(given(), ZONES))


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"zones": FLEET / "none"}, auditor.ZoneFileError, "expected a folder of zone files"),
        (
            {"zones": FLEET / "zones", "select": ("NONE",)},
            auditor.UsageError,
            "select: no finding is called 'NONE'",
        ),
    ],
)
def test_errors_reach_whoever_iterates(
    run: Callable[..., Any], settings: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        run(_all(["198.51.100.1"], auditor.Settings(**settings)))
    with pytest.raises(error, match=message):
        list(auditor.scan_blocking(["198.51.100.1"], auditor.Settings(**settings)))


def test_no_server_is_an_error_and_nothing_is_printed(
    run: Callable[..., Any], capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    with dead_port() as port:
        settings = auditor.Settings(servers=(auditor.Server("127.0.0.1", port),), timeout=0.05)
        with pytest.raises(auditor.NoServerError, match="no server is left to ask"):
            run(_all(["192.0.2.1"], settings))
    assert capfd.readouterr() == ("", "")
    assert [record.name for record in caplog.records] == ["auditor"]
    assert any(
        isinstance(handler, logging.NullHandler)
        for handler in logging.getLogger("auditor").handlers
    )


def test_a_library_is_silent_by_default() -> None:
    script = """
import sys, auditor
from auditor import Server, Settings
servers = tuple(Server("127.0.0.1", int(port)) for port in sys.argv[1:])
records = auditor.scan_blocking(["192.0.2.1"], Settings(servers=servers))
print([record["verdict"] for record in records])
"""
    with FaultyServer(ZONE) as server, FaultyServer(ZONE, always(invent("192.0.2.9"))) as liar:
        command = [sys.executable, "-c", script, str(server.port), str(liar.port)]
        done = subprocess.run(command, capture_output=True, check=True)
    assert (done.stdout, done.stderr) == (b"['pass']\n", b"")


def test_the_blocking_variant_works_beside_a_running_loop(run: Callable[..., Any]) -> None:
    async def block() -> list[str]:
        found = auditor.scan_blocking(["198.51.100.0/30"], ZONES)
        return [record["target"] for record in found]

    assert run(block()) == [f"198.51.100.{number}" for number in range(4)]


def test_closing_the_blocking_variant_ends_its_thread() -> None:
    found = auditor.scan_blocking(["198.51.0.0/16"], ZONES)
    assert next(found)["target"] == "198.51.0.0"
    found.close()
    assert "auditor-scan" not in {thread.name for thread in threading.enumerate()}


def test_closing_the_blocking_variant_does_not_wait_for_answers() -> None:
    gate = Gate()
    slow: dict[str, list[Any]] = {"2.2.0.192.in-addr.arpa": [delay(gate), answer]}

    def given() -> Iterator[str]:
        yield from ["192.0.2.1"] * 256
        yield "192.0.2.2"

    with FaultyServer(ZONE, per_name(slow)) as server:
        servers = (auditor.Server("127.0.0.1", server.port),)
        found = auditor.scan_blocking(given(), auditor.Settings(servers=servers, timeout=60))
        assert next(found)["verdict"] == "pass"
        found.close()
        assert "auditor-scan" not in {thread.name for thread in threading.enumerate()}
        gate.open()


def test_every_public_name_is_there_and_no_other() -> None:
    for name in auditor.__all__:
        assert getattr(auditor, name) is not None, name
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = auditor.nonsense  # type: ignore[attr-defined,unused-ignore]


def test_importing_costs_next_to_nothing() -> None:
    script = "import sys, auditor; print(sorted(set(sys.modules) & {'asyncio', 'click', 'dns'}))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)
    assert done.stdout == b"[]\n"
