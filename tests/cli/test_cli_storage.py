"""Disks that are full, folders that vanish: a clear message, whole lines, and a way to go on.

Also tests `output/temporary.py`.
"""

from __future__ import annotations

import errno
import os
import resource
import shlex
import shutil
import subprocess
import sys
import tempfile
from functools import partial
from typing import TYPE_CHECKING, Final

import pytest
from cli.driving import PROGRAM, UNCOMPILED, ZONES, Ended, manifest, records, running, wait_until
from support.effort import sample
from support.faults import answer
from support.faulty import FaultyServer
from support.fleet import FLEET

from auditor import session
from auditor.output.sink import FileSink
from auditor.output.temporary import temporary_error
from auditor.pipeline.pipeline import Limits
from auditor.run import scan as scan_module

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from support.faults import Action
    from support.faulty import Asked

pytestmark = pytest.mark.process

SCAN: Final = ("scan", "--zones", ZONES, "-i", str(FLEET / "targets.txt"), "198.51.0.0/20")
FORMS: Final = ("ndjson", "ndjson.gz", "ndjson.zst")
GONE: Final = "was removed, renamed or replaced during the run"


def _limited(*arguments: str | Path, octets: int) -> Ended:
    """Run the program as one that may write so many octets to a file."""
    limit = partial(resource.setrlimit, resource.RLIMIT_FSIZE, (octets, octets))
    done = subprocess.run(
        [*PROGRAM, *map(str, arguments)],
        capture_output=True,
        check=False,
        env={**os.environ, **UNCOMPILED},
        text=True,
        timeout=60,
        preexec_fn=limit,
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(("form", "octets"), sample([("ndjson.zst", 20_000), ("ndjson", 700_000)]))
def test_a_file_that_may_not_grow_is_gone_on_with_later(
    here: Path, call: Callable[..., Ended], form: str, octets: int
) -> None:
    output, whole = here / f"out.{form}", here / f"whole.{form}"
    ended = _limited(*SCAN, "-q", "-o", output, octets=octets)
    why = "File too large"
    assert ended == (
        3,
        "",
        f"auditor: {output}.partial: cannot be written: {why}; the lines in it are complete\n",
    )
    assert not output.exists()
    content = manifest(output)
    assert content["how"] == ended.err.removeprefix("auditor: ").rstrip()
    if form == "ndjson":
        # What is counted is what is there.
        found = records((here / "out.ndjson.partial").read_text())
        assert content["records"] == len(found) > 0
        assert sum(content["verdicts"].values()) == len(found)
    # There still is no room: what is there stays as it is.
    again = _limited(*SCAN, "-q", "-o", output, "--resume", octets=octets)
    assert (again.code, again.err) == (3, ended.err)
    assert call(*SCAN, "-q", "-o", output, "--resume") == (0, "", "")
    assert call(*SCAN, "-q", "-o", whole) == (0, "", "")
    assert output.read_bytes() == whole.read_bytes()
    assert manifest(output)["verdicts"] == manifest(whole)["verdicts"]


_SMALL_DISK: Final = """
set -e
mkdir disk
mount -t tmpfs -o size={size}k tmpfs disk
head -c {taken}k /dev/zero > disk/.taken
{auditor} {scan} -q -o disk/out.{form} && echo 'it has room' || echo $?
ls disk
grep -s '^  "how"' disk/out.{form}.run.json || true
mount -o remount,size=64m disk
rm disk/.taken
{auditor} {scan} -q -o disk/out.{form} --resume
{auditor} {scan} -q -o disk/whole.{form}
cmp disk/out.{form} disk/whole.{form}
ls disk
"""


def _in_own_mounts(script: str) -> Ended:
    """Run a script that may mount, if this machine lets us."""
    unshare = shutil.which("unshare")
    allowed = unshare and subprocess.run(
        [unshare, "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"], capture_output=True, check=False
    )
    if not allowed or allowed.returncode:
        pytest.skip("no small disk can be mounted here (unshare -rm, tmpfs)")
    assert unshare
    done = subprocess.run(
        [unshare, "-rm", "sh", "-c", script], capture_output=True, check=False, text=True
    )
    return Ended(done.returncode, done.stdout, done.stderr)


@pytest.mark.parametrize(
    ("form", "size", "taken"),
    sample([("ndjson.gz", 40, 0), ("ndjson", 512, 0), ("ndjson", 64, 64)], fewest=2),
)
@pytest.mark.usefixtures("here")
def test_a_small_disk_is_full_and_then_larger(form: str, size: int, taken: int) -> None:
    """The manifest says why a scan has ended; where there is no room for it, nothing is begun."""
    ended = _in_own_mounts(
        _SMALL_DISK.format(
            auditor=shlex.join([sys.executable, "-m", "auditor"]),
            scan=shlex.join(SCAN),
            form=form,
            size=size,
            taken=taken,
        )
    )
    full = "No space left on device"
    if taken:
        said = f"disk/out.{form}.run.json: cannot be written: {full}"
        left = []
    else:
        said = f"disk/out.{form}.partial: cannot be written: {full}; the lines in it are complete"
        left = [f"out.{form}.partial", f"out.{form}.run.json"]
    assert ended.err == f"auditor: {said}\n"
    whole = [f"{name}.{form}{end}" for name in ("out", "whole") for end in ("", ".run.json")]
    code, *lines = ended.out.splitlines()
    assert code == "3"
    if not taken:
        assert lines.pop(len(left)) == f'  "how": "{said}",'
    assert lines == [*left, *whole]
    assert ended.code == 0


def test_a_folder_that_vanishes_is_noticed_while_the_scan_goes_on(
    here: Path, call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(session, "_SYNC_INTERVAL_S", 0.05)
    folder = here / "results"
    folder.mkdir()
    ptr = []

    async def remove(_exchange: object) -> None:
        shutil.rmtree(folder, ignore_errors=True)

    def plan(asked: Asked, _transport: str, _nth: int) -> Sequence[Action]:
        if asked.rdtype != "PTR":
            return (answer,)
        ptr.append(asked)
        return (remove,)  # and never an answer

    with FaultyServer("2.0.192.in-addr.arpa. NS ns.example.net.", plan) as server:
        ended = call(
            "scan", "-q", "--server", f"127.0.0.1:{server.port}", "--timeout", "30",
            "192.0.2.1", "-o", "results/out.ndjson",
        )  # fmt: skip
    assert ptr
    assert ended == (
        3,
        "",
        f"auditor: results/out.ndjson.partial: {GONE}\n",
    )
    assert list(here.iterdir()) == []


def test_a_folder_that_vanishes_at_the_end_is_noticed_too(
    here: Path, call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    (here / "results").mkdir()
    finish = FileSink.finish_output

    def late(sink: FileSink, *given: Callable[[], None]) -> None:
        shutil.rmtree(here / "results")
        finish(sink, *given)

    monkeypatch.setattr(FileSink, "finish_output", late)
    ended = call(*SCAN, "-q", "-o", "results/out.ndjson")
    assert (ended.code, ended.out) == (3, "")
    assert ended.err == f"auditor: results/out.ndjson.partial: {GONE}\n"


def test_a_name_that_is_taken_at_the_last_moment_loses_nothing(
    here: Path, call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    finish = FileSink.finish_output

    def late(sink: FileSink, *given: Callable[[], None]) -> None:
        sink.path.mkdir()
        (sink.path / "occupied").touch()
        finish(sink, *given)

    with monkeypatch.context() as taken:
        taken.setattr(FileSink, "finish_output", late)
        ended = call(*SCAN, "-q", "-o", "out.ndjson")
    assert (ended.code, ended.out) == (3, "")
    assert ended.err == "auditor: out.ndjson: cannot be put in place: Is a directory\n"
    assert manifest(here / "out.ndjson")["how"].startswith("out.ndjson: cannot be put in place")
    shutil.rmtree(here / "out.ndjson")
    assert call(*SCAN, "-q", "-o", "out.ndjson", "--resume") == (0, "", "")
    assert (
        len(records((here / "out.ndjson").read_text())) == manifest(here / "out.ndjson")["records"]
    )


def test_no_room_for_lines_that_wait_ends_a_scan_that_can_be_gone_on_with(
    here: Path, call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The first name is silent, and all behind it waits.
    silent = "0.2.0.192.in-addr.arpa"
    limits = Limits(buffered=2000)
    answering = False

    def full(*_args: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def plan(asked: Asked, _transport: str, _nth: int) -> Sequence[Action]:
        return () if asked.name == silent and not answering else (answer,)

    with FaultyServer("2.0.192.in-addr.arpa. NS ns.example.net.", plan) as server:
        scan = (
            "scan", "-q", "--server", f"127.0.0.1:{server.port}", "--timeout", "30",
            "192.0.2.0/24", "-o", "out.ndjson",
        )  # fmt: skip
        with monkeypatch.context() as small:
            small.setattr(scan_module, "Limits", lambda: limits)
            small.setattr(os, "pwrite", full)
            ended = call(*scan)
        assert (ended.code, ended.out) == (3, "")
        assert ended.err.endswith(
            ": finished lines cannot be buffered: No space left on device; "
            "set TMPDIR to another directory\n"
        )
        # Nothing was written: the next try is not in the way of this one's remains.
        assert list(here.iterdir()) == []
        answering = True
        assert call(*scan, "--resume") == (0, "", "")
    assert manifest(here / "out.ndjson")["records"] == 256


@pytest.mark.parametrize("resume", [(), ("--resume",), ("--overwrite",)])
@pytest.mark.parametrize(("number", "code"), [(errno.EROFS, 2), (errno.ENOSPC, 3)])
def test_where_no_file_can_be_made_nothing_begins(
    here: Path,
    call: Callable[..., Ended],
    monkeypatch: pytest.MonkeyPatch,
    *,
    number: int,
    code: int,
    resume: tuple[str, ...],
) -> None:
    def refuse(_path: object, _flags: object, *_mode: int) -> int:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as read_only:
        read_only.setattr("auditor.output.lock.os.open", refuse)
        ended = call(*SCAN, "-q", "-o", "out.ndjson", *resume)
    message = f"auditor: out.ndjson.partial: cannot be created: {os.strerror(number)}\n"
    assert ended == (code, "", message)
    assert list(here.iterdir()) == []


@pytest.mark.parametrize(("number", "code"), [(errno.EROFS, 2), (errno.ENOSPC, 3)])
def test_where_no_part_can_be_made_nothing_begins(
    here: Path,
    call: Callable[..., Ended],
    monkeypatch: pytest.MonkeyPatch,
    number: int,
    code: int,
) -> None:
    def refuse(_handle: int) -> None:
        raise OSError(number, os.strerror(number))

    with monkeypatch.context() as read_only:
        read_only.setattr(os, "fsync", refuse)
        ended = call(*SCAN, "-q", "-o", "parts/")
    content = f"auditor: parts/manifest.json: cannot be written: {os.strerror(number)}\n"
    assert ended == (code, "", content)
    assert list((here / "parts").iterdir()) == []


@pytest.mark.parametrize("form", sample(FORMS, fewest=2))
def test_a_killed_scan_leaves_what_was_made_safe(here: Path, form: str) -> None:
    """Also of a compressed output whose first frame is far from whole."""
    output = here / f"out.{form}"
    partial_output = here / f"out.{form}.partial"
    code = (
        "from auditor import session; session._SYNC_INTERVAL_S = 0.05; "
        "import sys; from auditor.cli.app import run; sys.exit(run(sys.argv[1:]))"
    )
    command = [sys.executable, "-c", code, "scan", "--zones", ZONES, "-q", "-", "-o", str(output)]
    text = "198.51.100.1\n198.51.100.2\n"
    with subprocess.Popen(command, stdin=subprocess.PIPE) as scan:
        assert scan.stdin
        scan.stdin.write(text.encode())
        scan.stdin.flush()
        wait_until(lambda: partial_output.exists() and partial_output.stat().st_size > 0)
        wait_until(lambda: _noted(output) == 2)
        scan.kill()
    content = manifest(output)
    assert (content["how"], content["records"], content["output"]) == (
        "running",
        2,
        f"out.{form}.partial",
    )
    with running("scan", "--zones", ZONES, "-", "-o", output, "--resume") as scan:
        _, err = scan.communicate(text.encode())
    assert scan.returncode == 0
    assert f"auditor: {partial_output}: 2 records are kept\n".encode() in err
    assert [part["how"] for part in manifest(output)["sessions"]] == ["killed", "finished"]


def _noted(output: Path) -> int:
    path = output.with_name(f"{output.name}.run.json")
    return int(manifest(output)["records"]) if path.exists() else 0


@pytest.mark.parametrize(
    ("command", "needed"),
    [
        ("demo", ()),
        (f"fix r.ndjson --zones {ZONES} --own example.net --prove -q -o plan/", ()),
        ("history r.parquet", ("pyarrow", "duckdb")),
    ],
)
def test_a_command_without_room_for_temporary_files_says_so(
    call: Callable[..., Ended],
    monkeypatch: pytest.MonkeyPatch,
    command: str,
    needed: tuple[str, ...],
) -> None:
    for module in needed:
        pytest.importorskip(module)
    assert call("scan", "-q", "--zones", ZONES, "198.51.100.50", "-o", "r.ndjson").code == 0
    assert not needed or call("convert", "-q", "r.ndjson", "-o", "r.parquet").code == 0

    def full(**_options: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(tempfile, "TemporaryDirectory", full)
    ended = call(*command.split())
    assert (ended.code, ended.out) == (3, "")
    assert ended.err == (
        f"auditor: {tempfile.gettempdir()}: no room for temporary files: "
        "No space left on device; set TMPDIR to another directory\n"
    )


def test_a_machine_without_a_folder_for_temporary_files_is_told_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    none = FileNotFoundError(errno.ENOENT, "No usable temporary directory found")

    def no_folder() -> str:
        raise none

    monkeypatch.setattr(tempfile, "gettempdir", no_folder)
    error = temporary_error(none)
    monkeypatch.undo()
    assert str(error) == (
        "no room for temporary files: No usable temporary directory found; "
        "set TMPDIR to another directory"
    )
