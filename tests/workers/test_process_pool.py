"""Processes as executors: calls and their outcomes, deaths, ends."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import time
from concurrent.futures import BrokenExecutor
from typing import TYPE_CHECKING, Any

import pytest
from cli.driving import wait_until

from auditor.errors import UsageError, WorkersError
from auditor.workers.pool import NotBegunError
from auditor.workers.process_pool import ProcessPool, WorkerProcess

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.process


class _OddError(Exception):
    """An exception that cannot be made anew from what it says, so not pickled either."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one} and {two}")


def raise_odd() -> None:
    """Raise in the process what cannot leave it."""
    raise _OddError("this", "that")


def raise_usage() -> None:
    """Raise what can."""
    raise UsageError("not like this")


def log_and_wait(path: str) -> None:
    """Log, and wait until a file is there."""
    log = logging.getLogger("auditor")
    log.warning("%s is dead", "zone", extra={"event": "zone_dead", "fields": {"zone": "z"}})
    log.debug("for nobody")
    while not os.path.exists(path):  # noqa: PTH110 - short
        time.sleep(0.01)


@pytest.fixture
def said() -> list[Any]:
    return []


@pytest.fixture
def ended() -> list[WorkerProcess]:
    return []


@pytest.fixture
def process(said: list[Any], ended: list[WorkerProcess]) -> Iterator[WorkerProcess]:
    # What the child imports must be where it looks.
    process = WorkerProcess(ended.append, lambda *what: said.append(what))
    try:
        yield process
    finally:
        process.shutdown()


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))


def test_a_call_comes_to_what_it_returns_or_raises(process: WorkerProcess) -> None:
    assert process.submit(pow, 2, 10).result(30) == 1024
    assert process.submit(int, "ff", base=16).result(30) == 255
    with pytest.raises(UsageError, match="not like this"):
        process.submit(raise_usage).result(30)
    with pytest.raises(RuntimeError, match="_OddError: this and that"):
        process.submit(raise_odd).result(30)
    assert process.submit(os.getpid).result(30) == process.pid


def test_calls_run_abreast(process: WorkerProcess, tmp_path: Path) -> None:
    flag = tmp_path / "flag"
    slow = process.submit(log_and_wait, str(flag))
    assert process.submit(abs, -1).result(30) == 1
    assert not slow.done()
    flag.touch()
    slow.result(30)


def test_what_it_logs_is_passed_on(process: WorkerProcess, said: list[Any], tmp_path: Path) -> None:
    process.submit(log_and_wait, str(tmp_path)).result(30)
    event = {"event": "zone_dead", "fields": {"zone": "z"}}
    assert said == [(logging.WARNING, "zone is dead", event)]


def test_a_death_fails_what_was_begun_and_what_was_not(
    process: WorkerProcess, ended: list[WorkerProcess], said: list[Any], tmp_path: Path
) -> None:
    begun = process.submit(log_and_wait, str(tmp_path / "never"))
    wait_until(lambda: bool(said))
    os.kill(process.pid, signal.SIGSTOP)
    waiting = process.submit(abs, -1)
    os.kill(process.pid, signal.SIGKILL)
    with pytest.raises(BrokenExecutor, match="killed by SIGKILL") as caught:
        begun.result(30)
    assert not isinstance(caught.value, NotBegunError)
    for future in (waiting, process.submit(abs, -1)):
        with pytest.raises(NotBegunError, match="killed by SIGKILL"):
            future.result(30)
    wait_until(lambda: ended == [process])
    assert process.exit_reason == "killed by SIGKILL"


@pytest.mark.parametrize("stopped", [False, True])
def test_shutdown_ends_it_whatever_it_is_doing(
    process: WorkerProcess,
    said: list[Any],
    tmp_path: Path,
    stopped: bool,  # noqa: FBT001 - a parameter
) -> None:
    begun = process.submit(log_and_wait, str(tmp_path / "never"))
    wait_until(lambda: bool(said))
    if stopped:
        os.kill(process.pid, signal.SIGSTOP)
    process.shutdown()
    with pytest.raises(BrokenExecutor):
        begun.result(0)
    assert process.exit_reason == "ended with status 0"
    with pytest.raises(ProcessLookupError):
        os.kill(process.pid, 0)
    process.shutdown()


# --- A pool of them


def test_a_crew_replaces_who_dies_and_all_go_home() -> None:
    async def main() -> None:
        news = asyncio.Event()
        pool = ProcessPool(2)
        await pool.start_workers(news.set)
        first, second = pool.workers()
        pids = [int(name.split()[1]) for name in pool.workers()]
        os.kill(pids[0], signal.SIGKILL)
        async with asyncio.timeout(30):
            await news.wait()
        assert len(pool.workers()) == 2
        assert second in pool.workers()
        assert (first in pool.workers(), pool.exit_reason(first)) == (False, "killed by SIGKILL")
        everybody = [int(name.split()[1]) for name in pool.workers()]
        await pool.end_workers()
        for pid in everybody:
            with pytest.raises(ProcessLookupError):
                os.kill(pid, 0)

    asyncio.run(main())


def test_a_crew_that_ends_before_it_begins_is_no_crew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")

    async def main() -> None:
        pool = ProcessPool(2)
        news = asyncio.Event()
        await pool.start_workers(news.set)
        async with asyncio.timeout(30):
            while pool.error is None:
                await news.wait()
                news.clear()
        message = "workers: processes end before they are ready: ended with status 1"
        assert str(pool.error) == message
        await pool.end_workers()

    asyncio.run(main())


def test_a_crew_that_cannot_be_started_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", "/nowhere/python")

    async def main() -> None:
        pool = ProcessPool(2)
        with pytest.raises(WorkersError, match="workers: no process can be started: No such file"):
            await pool.start_workers(lambda: None)
        await pool.end_workers()

    asyncio.run(main())


def test_what_several_have_to_say_is_said_once(caplog: pytest.LogCaptureFixture) -> None:
    pool = ProcessPool(2)
    for _ in range(3):
        pool._on_log(logging.WARNING, "server s is silent: benched", {"event": "server_benched"})
    pool._on_log(logging.WARNING, "server t is silent: benched", {})
    assert [record.getMessage() for record in caplog.records] == [
        "server s is silent: benched",
        "server t is silent: benched",
    ]
    assert caplog.records[0].__dict__["event"] == "server_benched"
