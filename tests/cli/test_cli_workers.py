"""Several workers at the command line: the same bytes as from one, whatever happens to them."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import zstandard
from cli import driving
from cli.driving import PROGRAM, ZONES, auditor, manifest, read_line, records, running, wait_until
from support.effort import sample
from support.faults import answer
from support.faulty import FaultyServer, always
from support.fleet import FLEET

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.driving import Ended
    from support.faults import Action
    from support.held import Held

pytestmark = pytest.mark.process

_FLEET = ("--zones", ZONES, "-i", str(FLEET / "targets.txt"), "-i", str(FLEET / "targets.csv"))


def _children(pid: int) -> list[int]:
    """Return the processes that a process has started, as far as they live (proc(5))."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # ended since it was listed
            state, parent = path.read_text("ascii", "replace").rpartition(")")[2].split()[:2]
            if int(parent) == pid and state != "Z":
                found.append(int(path.parent.name))
    return found


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _type(scan: subprocess.Popen[bytes], *targets: str) -> None:
    assert scan.stdin
    scan.stdin.write("".join(f"{target}\n" for target in targets).encode())
    scan.stdin.flush()


def _begin(scan: subprocess.Popen[bytes], held: Held, output: Path) -> list[int]:
    """Have the first target written, and the second held up; return the workers."""
    _type(scan, "192.0.2.1")
    partial = output.with_name(output.name + ".partial")
    wait_until(lambda: partial.exists() and partial.stat().st_size > 0)
    _type(scan, "192.0.2.2")
    assert held.asked.acquire(timeout=120)
    return _children(scan.pid)


def _undisturbed(held: Held, *targets: str) -> str:
    held.gate.open()
    ended = driving.call("scan", "-q", *held.options, *targets)
    assert ended.code == 0
    return ended.out


# --- The same bytes


@pytest.mark.parametrize(
    "name", sample(["out.ndjson", "out.ndjson.gz", "out.ndjson.zst"], fewest=2)
)
def test_two_workers_write_the_same_bytes_as_one(
    here: Path, call: Callable[..., Ended], name: str
) -> None:
    one, two = here / f"1-{name}", here / f"2-{name}"
    rest = (*_FLEET, "198.51.0.0/20", "-x", "198.51.4.0/23")
    assert call("scan", "-q", *rest, "-o", one).code == 0
    assert call("scan", "-q", "--workers", "2", *rest, "-o", two).code == 0
    assert one.read_bytes() == two.read_bytes()
    first, second = manifest(one), manifest(two)
    for key in ("fingerprint", "records", "kinds", "verdicts", "findings", "ptr_statuses", "how"):
        assert first[key] == second[key]
    for key in ("targets", "invalid", "excluded"):
        assert first["inputs"][key] == second["inputs"][key]
    queries = second["queries"]
    assert queries["open"] == 0
    parts = ("cached", "joined", "answered", "failed")
    assert queries["asked"] == sum(queries[part] for part in parts) > 4096


def test_what_is_typed_is_audited_while_more_is_waited_for(held: Held) -> None:
    with running("scan", "-q", "--workers", "2", *held.options, "-") as scan:
        _type(scan, "192.0.2.1")
        assert '"one.example.net"' in read_line(scan.stdout)
        _type(scan, "192.0.2.3")
        assert '"three.example.net"' in read_line(scan.stdout)
        assert scan.stdin
        scan.stdin.close()
        assert scan.wait(120) == 0


def test_findings_decide_on_the_exit_code_also_with_workers(call: Callable[..., Ended]) -> None:
    given = ("scan", "-q", "--workers", "2", "--zones", ZONES, "--fail-on", "error")
    assert call(*given, "198.51.100.40").code == 1
    assert call(*given, "198.51.100.7", "--select", "PTR_WILDCARD").code == 0


@pytest.mark.parametrize("spoilt", sample([("--zones", "nowhere"), ("--server", "127.0.0.1:1")]))
def test_what_a_worker_cannot_do_is_said_as_by_one_process(
    call: Callable[..., Ended], spoilt: tuple[str, ...]
) -> None:
    alone = call("scan", *spoilt, "192.0.2.1")
    together = call("scan", "--workers", "2", *spoilt, "192.0.2.1")
    assert together.code == alone.code > 1
    assert together.err.splitlines()[-1] == alone.err.splitlines()[-1]
    assert "Traceback" not in together.err


# --- Deaths


@pytest.mark.parametrize("everybody", sample([True, False]))
def test_a_worker_that_is_killed_costs_no_record(
    here: Path,
    held: Held,
    everybody: bool,  # noqa: FBT001 - a parameter
) -> None:
    output = here / "out.ndjson"
    with running("scan", "--workers", "2", *held.options, "-", "-o", output) as scan:
        workers = _begin(scan, held, output)
        assert len(workers) == 2
        for worker in workers if everybody else workers[:1]:
            os.kill(worker, signal.SIGKILL)
        wait_until(lambda: len(set(_children(scan.pid)) - {workers[0]}) == 2)
        held.gate.open()
        _type(scan, "192.0.2.3")
        _, errors = scan.communicate(timeout=120)
        assert scan.returncode == 0
    if everybody:
        assert "worker killed by SIGKILL: done again: 192.0.2.2" in errors.decode()
    targets = [f"192.0.2.{n}" for n in (1, 2, 3)]
    assert output.read_text() == _undisturbed(held, *targets)
    assert manifest(output)["records"] == 3


def test_targets_that_kill_every_worker_are_reported_as_undetermined(
    here: Path, held: Held
) -> None:
    output = here / "out.ndjson"
    with running("scan", "--workers", "2", *held.options, "-", "-o", output) as scan:
        workers = _begin(scan, held, output)
        for death in range(3):
            if death:
                assert held.asked.acquire(timeout=120)
                workers = _children(scan.pid)
            for worker in workers:
                os.kill(worker, signal.SIGKILL)
            wait_until(lambda: not any(map(_alive, workers)))  # noqa: B023 - called at once
            held.forget()
        held.gate.open()
        _type(scan, "192.0.2.3")
        _, errors = scan.communicate(timeout=120)
        assert scan.returncode == 3
    assert errors.decode().splitlines()[-1] == (
        "auditor: 1 target could not be audited (192.0.2.2): "
        "3 workers died over it, the last one killed by SIGKILL; --resume tries again"
    )
    (given_up,) = manifest(output)["given_up"]
    assert (given_up["first"], given_up["records"], given_up["targets"]) == (1, 1, "192.0.2.2")
    one, two, three = records(output.with_name("out.ndjson.partial").read_text())
    assert (one["verdict"], three["verdict"]) == ("pass", "pass")
    assert (two["verdict"], two["ptr"]["status"]) == ("unknown", "UNREACHABLE")
    targets = ("192.0.2.1", "192.0.2.2", "192.0.2.3")
    typed = "".join(f"{target}\n" for target in targets).encode()
    ended = driving.call("scan", *held.options, "-", "-o", output, "--resume", stdin=typed)
    assert ended.code == 0
    assert output.read_text() == _undisturbed(held, *targets)


def test_workers_end_with_the_process_that_started_them(here: Path, held: Held) -> None:
    output = here / "out.ndjson"
    with running("scan", "--workers", "2", *held.options, "-", "-o", output) as scan:
        workers = _begin(scan, held, output)
        scan.kill()
        scan.wait(120)
        wait_until(lambda: not any(map(_alive, workers)))


# --- Early ends


def test_a_signal_ends_all_workers_and_resume_goes_on(here: Path, held: Held) -> None:
    output = here / "out.ndjson"
    given = ("scan", "--workers", "2", *held.options, "-", "-o", str(output))
    with running(*given) as scan:
        workers = _begin(scan, held, output)
        # As systemd does it: everybody is told, and only the first one heeds it.
        for pid in (*workers, scan.pid):
            os.kill(pid, signal.SIGTERM)
        assert read_line(scan.stderr) == "auditor: interrupted, finishing what is under way"
        scan.send_signal(signal.SIGTERM)
        _, errors = scan.communicate(timeout=120)
        assert scan.returncode == 3
        assert not any(map(_alive, workers))
    assert "Traceback" not in errors.decode()
    assert len(records(output.with_name("out.ndjson.partial").read_text())) == 1
    held.gate.open()
    targets = [f"192.0.2.{n}" for n in (1, 2, 3)]
    ended = driving.call(*given, "--resume", stdin="\n".join(targets).encode())
    assert ended.code == 0
    assert output.read_text() == _undisturbed(held, *targets)


def test_a_signal_lets_what_workers_have_begun_finish(here: Path, held: Held) -> None:
    output = here / "out.ndjson"
    with running("scan", "--workers", "2", *held.options, "-", "-o", output) as scan:
        workers = _begin(scan, held, output)
        scan.send_signal(signal.SIGTERM)
        assert read_line(scan.stderr) == "auditor: interrupted, finishing what is under way"
        held.gate.open()
        scan.communicate(timeout=120)
        assert scan.returncode == 3
        assert not any(map(_alive, workers))
    assert len(records(output.with_name("out.ndjson.partial").read_text())) == 2


def test_a_run_that_was_stopped_is_gone_on_with_by_as_many_workers_as_one_likes(
    here: Path, call: Callable[..., Ended]
) -> None:
    output, whole = here / "out.ndjson", here / "whole.ndjson"
    given = ("scan", "-q", "--zones", ZONES, "198.51.0.0/18", "example.net")
    with running(*given, "--workers", "2", "-o", output) as scan:
        partial = output.with_name("out.ndjson.partial")
        wait_until(lambda: partial.exists() and partial.stat().st_size > 0)
        scan.send_signal(signal.SIGINT)
        scan.communicate(timeout=120)
        assert scan.returncode == 3
    assert 0 < manifest(output)["records"] < 16_385
    assert call(*given, "--resume", "-o", output).code == 0
    assert call(*given, "-o", whole).code == 0
    assert output.read_bytes() == whole.read_bytes()


# --- Limits


@pytest.mark.full
def test_the_rate_holds_for_all_workers_together_also_when_one_is_replaced() -> None:
    rate = 1600
    with FaultyServer("198.in-addr.arpa. NS ns.example.net.", always(answer)) as server:
        given = ("--server", f"127.0.0.1:{server.port}", "--no-spf", "--no-server-check")
        begun = time.monotonic()
        with running(
            *("scan", "-q", "--workers", "2", "--qps", str(rate), *given, "198.18.0.0/21"),
            stdout=subprocess.DEVNULL,
        ) as scan:
            wait_until(lambda: len(server.queries) > 400)
            os.kill(_children(scan.pid)[0], signal.SIGKILL)
            _, errors = scan.communicate(timeout=120)
            assert scan.returncode == 0
    times = sorted(query.at for query in server.queries)
    assert b"done again" in errors or len(times) >= 2048
    assert len({query.source_port for query in server.queries}) > 2
    # A query may arrive late, on a busy machine, but none before the rate has let it go.
    assert len(times) <= 1.06 * rate * (times[-1] - begun)


# --- A folder of parts


def _part_lines(folder: Path) -> bytes:
    names = sorted(folder.glob("part-*.ndjson.zst"))
    unpack = zstandard.ZstdDecompressor()
    return b"".join(
        unpack.stream_reader(name.read_bytes(), read_across_frames=True).read() for name in names
    )


@pytest.mark.parametrize("workers", sample(["2", "1"]))
def test_a_folder_takes_the_same_lines_in_parts(
    here: Path, call: Callable[..., Ended], workers: str
) -> None:
    given = ("scan", "-q", *_FLEET, "198.51.0.0/20")
    assert call(*given, "-o", here / "one.ndjson").code == 0
    assert call(*given, "--workers", workers, "-o", f"{here}/out/").code == 0
    assert _part_lines(here / "out") == (here / "one.ndjson").read_bytes()
    content = _folder_manifest(here / "out")
    alone = manifest(here / "one.ndjson")
    assert content["parts"] == sorted(path.name for path in (here / "out").glob("part-*"))
    for key in ("fingerprint", "records", "verdicts", "findings", "ptr_statuses", "how"):
        assert content[key] == alone[key]
    assert call("summary", "--json", f"{here}/out/").out == (
        call("summary", "--json", here / "one.ndjson").out
    )


def _folder_manifest(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text("utf-8"))
    return found


def test_a_folder_with_results_is_not_touched_without_a_word(
    here: Path, call: Callable[..., Ended]
) -> None:
    given = ("scan", "-q", "--zones", ZONES, "-o", f"{here}/out/")
    assert call(*given, "198.51.100.7").code == 0
    before = {path: path.read_bytes() for path in (here / "out").iterdir()}
    ended = call(*given, "198.51.100.7")
    assert ended.code == 2
    assert ended.err == (
        f"auditor: {here}/out/: contains results; --resume continues them, "
        "--overwrite starts anew\n"
    )
    ended = call(*given, "--resume", "198.51.100.8")
    assert ended.code == 2
    assert "belongs to another run: target was '198.51.100.7' and is '198.51.100.8'" in ended.err
    assert {path: path.read_bytes() for path in (here / "out").iterdir()} == before
    assert call(*given, "--overwrite", "198.51.96.0/19").code == 0
    assert call(*given, "--overwrite", "198.51.100.8").code == 0
    assert [path.name for path in sorted((here / "out").iterdir())] == [
        "manifest.json",
        "part-000000.ndjson.zst",
    ]


def test_resume_makes_the_parts_that_are_missing_or_damaged_and_no_others(
    here: Path, call: Callable[..., Ended]
) -> None:
    folder = here / "out"
    given = ("scan", "--zones", ZONES, "198.51.96.0/19", "-o", f"{folder}/")
    assert call(*given, "-q").code == 0
    whole = _part_lines(folder)
    first, second, third, _ = (folder / name for name in _folder_manifest(folder)["parts"])
    kept = third.stat().st_mtime_ns
    first.unlink()
    ended = call(*given, "--resume")
    assert ended.code == 0
    assert ended.err.startswith("8,192 records in ")
    assert _folder_manifest(folder)["queries"]["asked"] > 2048
    assert (_part_lines(folder), third.stat().st_mtime_ns) == (whole, kept)
    # As after a crash: parts that no manifest lists, one of them torn.
    content = _folder_manifest(folder)
    content["parts"], content["shards"], content["how"] = [], [], "running"
    (folder / "manifest.json").write_text(json.dumps(content))
    second.write_bytes(second.read_bytes()[:-9])
    assert call(*given, "--resume", "-q").code == 0
    assert (_part_lines(folder), third.stat().st_mtime_ns) == (whole, kept)
    assert _folder_manifest(folder)["verdicts"] == content["verdicts"]
    ended = call(*given, "--resume")
    assert (ended.code, ended.err) == (
        0,
        f"auditor: {folder}/: finished already, with 8,192 records\n",
    )


def test_a_killed_run_leaves_whole_parts_that_the_next_one_keeps(
    here: Path, call: Callable[..., Ended]
) -> None:
    given = ("scan", "-q", "--zones", ZONES, "-", "-o", f"{here}/out/")
    with running(*given, "--workers", "2") as scan:
        # It waits for the rest of its input, and so cannot be faster than who kills it.
        _type(scan, "198.51.96.0/20")
        second = here / "out" / "part-000001.ndjson.zst"
        wait_until(second.exists)
        scan.kill()
        scan.wait(120)
    kept = second.stat().st_mtime_ns
    # What there is can be read at any time.
    assert call("summary", "--json", f"{here}/out").code == 0
    typed = b"198.51.96.0/20\n198.51.112.0/20\n"
    assert call(*given, "--resume", stdin=typed).code == 0
    assert second.stat().st_mtime_ns == kept
    assert call(*given[:-2], "-o", here / "one.ndjson", stdin=typed).code == 0
    assert _part_lines(here / "out") == (here / "one.ndjson").read_bytes()
    content = _folder_manifest(here / "out")
    assert [session["how"] for session in content["sessions"]] == ["killed", "finished"]
    assert (content["records"], content["queries_complete"]) == (8192, False)
    assert sum(session["records"] for session in content["sessions"]) == 8192


def test_a_folder_has_one_writer(here: Path, held: Held) -> None:
    given = ("scan", "-q", *held.options, "-o", f"{here}/out/")
    with running(*given, "192.0.2.2") as scan:
        assert held.asked.acquire(timeout=120)
        ended = auditor(*given, "--overwrite", "192.0.2.1")
        assert (ended.code, ended.err) == (
            2,
            f"auditor: {here}/out/: another run is writing to it\n",
        )
        held.gate.open()
        assert scan.wait(120) == 0


def test_an_object_store_is_a_folder_as_well(
    here: Path, call: Callable[..., Ended], memory_files: Any
) -> None:
    given = ("scan", "-q", "--zones", ZONES, "198.51.100.0/24")
    assert call(*given, "-o", "memory://bucket/run").code == 0
    assert sorted(memory_files.ls("/bucket/run", detail=False)) == [
        "/bucket/run/manifest.json",
        "/bucket/run/part-000000.ndjson.zst",
    ]
    assert call(*given, "-o", "memory://bucket/run").code == 2
    assert call(*given, "-o", "memory://bucket/run", "--resume").code == 0
    seen = call("summary", "--json", "memory://bucket/run")
    assert (seen.code, seen.err) == (0, "")
    assert call(*given, "-o", here / "one.ndjson").code == 0
    assert call("summary", "--json", here / "one.ndjson").out == seen.out
    parts = "memory://bucket/run/part-000000.ndjson.zst"
    assert call("summary", "--json", parts).out == seen.out
    assert call("diff", "memory://bucket/run/", here / "one.ndjson").code == 0
    assert call(*given, "-o", f"file://{here}/local", "--workers", "2").code == 0
    assert (here / "local" / "part-000000.ndjson.zst").read_bytes() == memory_files.cat_file(
        "/bucket/run/part-000000.ndjson.zst"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "memory://spoilt: no results (*.ndjson) in this folder"),
        ({"manifest.json": b"{"}, "memory://spoilt/manifest.json: not JSON; expected the manifest"),
        ({"manifest.json": b"{}"}, 'memory://spoilt/manifest.json: no list of names under "parts"'),
        (
            {"manifest.json": b'{"parts": ["../a.ndjson"]}'},
            "memory://spoilt/manifest.json: '../a.ndjson' is not the name of a part",
        ),
        ({"manifest.json": b'{"parts": ["a.ndjson"]}'}, "memory://spoilt/a.ndjson: cannot be read"),
        ({"a.ndjson.zst": b"{}"}, "memory://spoilt/a.ndjson.zst: no zst data in it"),
        ({"a.ndjson": b"{}\n"}, "memory://spoilt/a.ndjson line 1: no record"),
    ],
)
def test_results_behind_a_url_that_are_none_are_said(
    call: Callable[..., Ended], memory_files: Any, content: dict[str, bytes], message: str
) -> None:
    for name, data in content.items():
        memory_files.pipe_file(f"/spoilt/{name}", data)
    ended = call("summary", "memory://spoilt/")
    assert ended.code == 2
    assert ended.err.startswith(f"auditor: {message}")
    assert ended.err.count("\n") == 1


@pytest.mark.parametrize(
    ("output", "message"),
    [
        ("nosuch://bucket/x", "nosuch://bucket/x: cannot be used: Protocol not known: nosuch"),
        ("taken/", "taken/: cannot be created: File exists"),
    ],
)
def test_a_folder_that_cannot_be_is_refused(
    here: Path, call: Callable[..., Ended], output: str, message: str
) -> None:
    (here / "taken").touch()
    ended = call("scan", "--zones", ZONES, "198.51.100.7", "-o", output)
    assert (ended.code, ended.err) == (2, f"auditor: {message}\n")


@pytest.mark.parametrize(
    ("package", "given", "message"),
    [
        (
            "distributed",
            ("--scheduler", "tcp://127.0.0.1:1"),
            "scheduler: needs the package distributed: pip install 'auditor[cluster]'",
        ),
        (
            "fsspec",
            ("-o", "s3://bucket/x"),
            "s3://bucket/x: needs the package fsspec: pip install 'auditor[cluster]'",
        ),
    ],
)
def test_what_is_not_installed_is_named(package: str, given: tuple[str, ...], message: str) -> None:
    code = f"import sys; sys.modules[{package!r}] = None; import auditor.cli as a; a.main()"
    done = subprocess.run(
        [sys.executable, "-c", code, "scan", "--zones", ZONES, "198.51.100.7", *given],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (2, f"auditor: {message}\n")


def test_one_worker_starts_no_process_and_loads_no_crew() -> None:
    code = (
        "import sys; from auditor.cli.app import run; "
        f"run(['scan', '-q', '--zones', {ZONES!r}, '198.51.100.7', '-o', '/dev/null']); "
        "assert not {'auditor.workers.coordinator', 'auditor.workers.worker'} & set(sys.modules)"
    )
    subprocess.run([PROGRAM[0], "-c", code], check=True)


@pytest.mark.parametrize("workers", sample(["2", "1"]))
def test_a_folder_of_a_slow_scan_that_was_interrupted_keeps_all_that_was_finished(
    here: Path, call: Callable[..., Ended], workers: str
) -> None:
    asked = itertools.count(1)

    def plan(*_: Any) -> tuple[Action]:
        if next(asked) == 200:
            os.kill(os.getpid(), signal.SIGTERM)
        return (answer,)

    with FaultyServer("198.in-addr.arpa. NS ns.example.net.", plan) as server:
        given = ("scan", "-q", "--server", f"127.0.0.1:{server.port}", "--no-spf", "198.18.0.0/23")
        slow = (*given, "--workers", workers, "--qps", "300", "-o", f"{here}/out/")
        assert call(*slow).code == 3
        content = _folder_manifest(here / "out")
        # Each record took one query, and each query gave one.
        assert content["how"] == "interrupted"
        assert content["records"] == content["queries"]["answered"] > 100
        assert _part_lines(here / "out").count(b"\n") == content["records"]
        before = len(server.queries)
        assert call(*given, "--resume", "-o", f"{here}/out/").code == 0
        # Nothing is asked again but what says whether servers lie.
        assert len(server.queries) - before < 512 - content["records"] + 10
        assert call(*given, "-o", here / "one.ndjson").code == 0
    assert _part_lines(here / "out") == (here / "one.ndjson").read_bytes()
    content = _folder_manifest(here / "out")
    assert [session["how"] for session in content["sessions"]] == ["interrupted", "finished"]
    assert sum(session["records"] for session in content["sessions"]) == content["records"] == 512
