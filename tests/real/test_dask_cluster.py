"""Scans by a real Dask cluster on loopback: a scheduler and workers, each a process of its own.

Also tests `dask_pool.py`.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest
from cli.driving import (
    ZONES,
    auditor,
    call,
    manifest,
    read_line,
    records,
    running,
    wait_until,
)
from support.data import needs
from support.effort import sample
from support.faults import answer
from support.faulty import FaultyServer, always
from support.fleet import FLEET

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from support.held import Held

pytestmark = needs("distributed", "'auditor[cluster]'")

_SECONDS: Final = 60.0


class DaskCluster:
    """A scheduler, and the workers that a test has started; nothing of it leaves loopback."""

    def __init__(self, folder: Path) -> None:
        self._file = folder / "scheduler.json"
        self._log = (folder / "log").open("wb")
        self.scheduler = self._start("dask_scheduler", "--port", "0")
        self.workers: list[subprocess.Popen[bytes]] = []
        wait_until(lambda: self._file.exists() and self._file.stat().st_size > 0)
        self.address: str = json.loads(self._file.read_text())["address"]

    def _start(self, program: str, *options: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", f"distributed.cli.{program}", "--no-dashboard"]
        command += ["--host", "127.0.0.1", "--scheduler-file", str(self._file), *options]
        return subprocess.Popen(command, stdout=self._log, stderr=self._log)

    def add_worker(self) -> subprocess.Popen[bytes]:
        """Start a worker, with one thread; it registers by itself."""
        worker = self._start("dask_worker", "--no-nanny", "--nthreads", "1")
        self.workers.append(worker)
        return worker

    def kill_workers(self, number: int) -> None:
        """Kill some workers, and wait until they are gone."""
        for _ in range(number):
            worker = self.workers.pop()
            worker.kill()
            worker.wait()

    def close(self) -> None:
        """Kill everybody."""
        self.kill_workers(len(self.workers))
        self.scheduler.kill()
        self.scheduler.wait()
        self._log.close()


@contextmanager
def _cluster(folder: Path, workers: int) -> Iterator[DaskCluster]:
    cluster = DaskCluster(folder)
    try:
        for _ in range(workers):
            cluster.add_worker()
        yield cluster
    finally:
        cluster.close()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DaskCluster]:
    with _cluster(tmp_path_factory.mktemp("dask"), 2) as cluster:
        yield cluster


def _on(cluster: DaskCluster) -> tuple[str, str]:
    return ("--scheduler", cluster.address)


def test_a_cluster_gives_the_same_bytes_as_one_process(
    tmp_path: Path, cluster: DaskCluster
) -> None:
    lists = [str(FLEET / name) for name in ("targets.txt", "targets.csv")]
    given = ("scan", "--zones", ZONES, "-i", lists[0], "-i", lists[1], "198.51.0.0/19")
    one, many = tmp_path / "one.ndjson", tmp_path / "many.ndjson"
    assert call(*given, "-q", "-o", one).code == 0
    ended = auditor(*given, *_on(cluster), "-o", many)
    assert ended.code == 0
    assert ended.err.startswith("auditor: the cluster's dashboard: http://127.0.0.1:")
    assert "distributed" not in ended.err
    assert one.read_bytes() == many.read_bytes()
    first, second = manifest(one), manifest(many)
    for key in ("fingerprint", "records", "kinds", "verdicts", "findings", "ptr_statuses", "how"):
        assert first[key] == second[key]
    queries = second["queries"]
    parts = ("cached", "joined", "answered", "failed")
    assert queries["asked"] == sum(queries[part] for part in parts) > 8192


@pytest.mark.full
def test_a_cluster_writes_parts_that_a_later_run_finds(
    tmp_path: Path, cluster: DaskCluster
) -> None:
    given = ("scan", "--zones", ZONES, "198.51.96.0/19", "-o", f"{tmp_path}/out/")
    assert auditor(*given, "-q", *_on(cluster)).code == 0
    content = json.loads((tmp_path / "out" / "manifest.json").read_text())
    assert (len(content["parts"]), content["records"], content["how"]) == (4, 8192, "finished")
    ended = auditor(*given, "--resume")
    assert ended.code == 0
    assert ended.err == f"auditor: {tmp_path}/out/: finished already, with 8,192 records\n"


@pytest.mark.parametrize("everybody", sample([True, False]))
def test_killed_workers_cost_no_record(
    tmp_path: Path,
    cluster: DaskCluster,
    held: Held,
    everybody: bool,  # noqa: FBT001 - a parameter
) -> None:
    output = tmp_path / "out.ndjson"
    with running("scan", *_on(cluster), *held.options, "-", "-o", output) as scan:
        assert scan.stdin
        scan.stdin.write(b"192.0.2.1\n")
        scan.stdin.flush()
        partial = tmp_path / "out.ndjson.partial"
        wait_until(lambda: partial.exists() and partial.stat().st_size > 0)
        scan.stdin.write(b"192.0.2.2\n")
        scan.stdin.flush()
        assert held.asked.acquire(timeout=_SECONDS)
        cluster.kill_workers(2 if everybody else 1)
        if everybody:
            cluster.add_worker()
        cluster.add_worker()
        held.gate.open()
        _, errors = scan.communicate(timeout=_SECONDS)
        assert scan.returncode == 0
    alone = call("scan", "-q", *held.options, "192.0.2.1", "192.0.2.2")
    assert output.read_text() == alone.out
    if everybody:
        assert "is gone: done again: 192.0.2.2" in errors.decode()


@pytest.mark.full
def test_a_scheduler_that_goes_away_ends_the_run_and_resume_goes_on(
    tmp_path: Path, held: Held
) -> None:
    output = tmp_path / "out.ndjson"
    given = ("scan", *held.options, "-", "-o", str(output))
    with (
        _cluster(tmp_path, 1) as cluster,
        running(*given, *_on(cluster)) as scan,
    ):
        assert scan.stdin
        scan.stdin.write(b"192.0.2.1\n")
        scan.stdin.flush()
        partial = tmp_path / "out.ndjson.partial"
        wait_until(lambda: partial.exists() and partial.stat().st_size > 0)
        scan.stdin.write(b"192.0.2.2\n")
        scan.stdin.flush()
        assert held.asked.acquire(timeout=_SECONDS)
        cluster.scheduler.kill()
        _, errors = scan.communicate(timeout=_SECONDS)
        assert scan.returncode == 3
        message = f"auditor: scheduler {cluster.address} is gone; --resume continues"
        # The dashboard is named before, and whether its worker was late.
        assert errors.decode().splitlines()[-1] == message
    assert len(records(partial.read_text())) == 1
    held.gate.open()
    ended = auditor(*given, "--resume", "--workers", "2", stdin=b"192.0.2.1\n192.0.2.2\n")
    assert ended.code == 0
    alone = call("scan", "-q", *held.options, "192.0.2.1", "192.0.2.2")
    assert output.read_text() == alone.out


def test_a_signal_ends_the_run_and_leaves_the_cluster_to_others(
    cluster: DaskCluster, held: Held
) -> None:
    with running("scan", *_on(cluster), *held.options, "192.0.2.2") as scan:
        assert held.asked.acquire(timeout=_SECONDS)
        scan.send_signal(signal.SIGTERM)
        # The dashboard is named before, and whether its worker was late.
        lines = iter(lambda: read_line(scan.stderr), "")
        assert "auditor: interrupted, finishing what is under way" in lines
        scan.send_signal(signal.SIGTERM)
        _, errors = scan.communicate(timeout=_SECONDS)
        assert scan.returncode == 3
        assert "Traceback" not in errors.decode()
    # What was dropped is not in the way of the next run.
    ended = auditor("scan", "-q", *_on(cluster), "--zones", ZONES, "198.51.100.7")
    assert ended.code == 0


@pytest.mark.full
def test_the_rate_holds_for_the_cluster_also_when_a_worker_comes(cluster: DaskCluster) -> None:
    rate = 400
    zone = "198.in-addr.arpa. NS ns.example.net."
    cluster.kill_workers(1)
    with FaultyServer(zone, always(answer)) as server:
        given = ("--server", f"127.0.0.1:{server.port}", "--no-spf", "--no-server-check")
        begun = time.monotonic()
        with running(
            *("scan", "-q", *_on(cluster), "--qps", str(rate), *given, "-"),
            stdout=subprocess.DEVNULL,
        ) as scan:
            alone = _feed(scan, server, 0, lambda seen: len(seen) >= 4)
            cluster.add_worker()
            # As much work as it takes until the new one does its part, and a second more.
            both = _feed(scan, server, alone, lambda seen: len(seen) > 4)
            _feed(scan, server, both, lambda _: len(server.queries) > 256 * both + rate)
            assert scan.stdin
            scan.stdin.close()
            assert scan.wait(_SECONDS) == 0
    times = sorted(query.at for query in server.queries)
    # A query may arrive late, on a busy machine, but none before the rate has let it go.
    assert len(times) <= 1.06 * rate * (times[-1] - begun)


def _feed(
    scan: subprocess.Popen[bytes],
    server: FaultyServer,
    number: int,
    enough: Callable[[set[int]], bool],
) -> int:
    """Give a /24 after the other, until the ports that ask are as is wanted; return the next."""
    assert scan.stdin
    while not enough({query.source_port for query in server.queries}):
        scan.stdin.write(f"198.18.{number}.0/24\n".encode())
        scan.stdin.flush()
        number += 1
        # The next one when half of this has been asked, so that there is always some left.
        wait_until(lambda: len(server.queries) > 256 * number - 128)  # noqa: B023 - at once
    return number


def test_a_scheduler_that_is_not_there_is_said(tmp_path: Path) -> None:
    code = (
        "import auditor.workers.dask_pool as c; c._PATIENCE = 0.3; "
        "import auditor.cli as a; a.main()"
    )
    given = ["scan", "--scheduler", "tcp://127.0.0.1:1", "--zones", ZONES, "198.51.100.7"]
    done = subprocess.run(
        [sys.executable, "-c", code, *given, "-o", tmp_path / "out.ndjson"],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "NO_COLOR": "1"},
    )
    assert done.returncode == 3
    (line,) = done.stderr.splitlines()
    assert line.startswith("auditor: scheduler: tcp://127.0.0.1:1 does not answer: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("address", sample(["nonsense://x", "127.0.0.1"]))
def test_an_address_that_is_none_is_refused(address: str) -> None:
    ended = auditor("scan", "--scheduler", address, "--zones", ZONES, "198.51.100.7")
    assert ended.code == 2
    (line,) = ended.err.splitlines()
    assert line == f"auditor: scheduler: {address!r}: expected an address, tcp://HOST:8786"
