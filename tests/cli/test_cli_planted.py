"""What somebody else has put where an output goes: nothing of it is written through or run."""

from __future__ import annotations

import os
import re
import subprocess
from itertools import product
from typing import TYPE_CHECKING

import pytest
from cli.driving import PROGRAM, ZONES, Ended, records
from support.effort import sample

from auditor.errors import UsageError
from auditor.output.lock import _open_unlinked

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCAN = ("scan", "-q", "--zones", ZONES, "198.51.100.1")
KEPT = "what must stay as it is\n"


@pytest.fixture
def victim(here: Path) -> Path:
    """Return a file that links are going to lead to."""
    (here / "elsewhere").mkdir()
    path = here / "elsewhere" / "victim"
    path.write_text(KEPT)
    return path


def _commands() -> dict[str, tuple[str, ...]]:
    """Return a command for each kind of output, all of them as files called `out`."""
    return {
        "scan": (*SCAN, "-o", "out.ndjson"),
        "packed": (*SCAN, "-o", "out.ndjson.zst"),
        "folder": (*SCAN, "-o", "out/"),
        "metrics": (*SCAN, "-o", "out.ndjson", "--metrics", "out.prom"),
        "csv": ("convert", "in.ndjson", "-o", "out.csv"),
        "parquet": ("convert", "in.ndjson", "-o", "out.parquet"),
        "report": ("report", "in.ndjson", "-o", "out.html"),
    }


@pytest.mark.parametrize(
    "kind", ["scan", "packed", "folder", "metrics", "csv", "parquet", "report"]
)
@pytest.mark.parametrize("option", ["", "--overwrite", "--resume"])
def test_no_output_follows_a_link_that_was_planted(
    kind: str, option: str, here: Path, victim: Path, call: Callable[..., Ended]
) -> None:
    command = _commands()[kind]
    (here / "in.ndjson").write_text(call(*SCAN).out)
    if option == "--resume" and kind in {"csv", "parquet", "report"}:
        return
    names = {"out.ndjson", "out.ndjson.zst", "out.prom", "out.csv", "out.parquet", "out.html"}
    folder = here / "out" if kind == "folder" else here
    folder.mkdir(exist_ok=True)
    if kind == "folder":
        names = {"part-000000.ndjson.zst", "manifest.json"}
    for name in names | {f"{name}.run.json" for name in names}:
        (folder / f"{name}.partial").symlink_to(victim)
        (folder / f".{name}.new").symlink_to(victim)
    call(*command, *filter(None, [option]))
    assert victim.read_text() == KEPT
    assert [path.name for path in victim.parent.iterdir()] == ["victim"]


@pytest.mark.parametrize("option", ["", "--overwrite", "--resume"])
@pytest.mark.parametrize("link", ["symbolic", "dangling", "hard", "fifo"])
def test_a_planted_partial_file_is_named_and_left_alone(
    option: str, link: str, here: Path, victim: Path, call: Callable[..., Ended]
) -> None:
    partial = here / "out.ndjson.partial"
    if link == "symbolic":
        partial.symlink_to(victim)
    elif link == "dangling":
        partial.symlink_to(victim.parent / "new")
    elif link == "hard":
        partial.hardlink_to(victim)
    else:
        os.mkfifo(partial)
    ended = call(*SCAN, "-o", "out.ndjson", *filter(None, [option]))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("auditor: out.ndjson")
    assert ended.err.count("\n") == 1
    assert victim.read_text() == KEPT
    assert [path.name for path in victim.parent.iterdir()] == ["victim"]
    assert not (here / "out.ndjson").exists()


@pytest.mark.parametrize(
    ("started", "workers"),
    sample(list(product(["script", "module"], [("--workers", "2"), ()])), fewest=2),
)
def test_no_module_of_the_working_directory_is_run(
    started: str, workers: tuple[str, ...], here: Path
) -> None:
    for module in ("orjson", "uvloop", "zstandard", "click", "spf", "json", "pickle", "cffi"):
        (here / f"{module}.py").write_text(
            "import pathlib\npathlib.Path(__file__).with_name('planted-ran').touch()\n"
        )
    # The installed script has its own folder first on the path.
    script = here.parent / "bin" / "auditor"
    script.parent.mkdir(exist_ok=True)
    script.write_text("from auditor.cli import main\nmain()\n")
    command = PROGRAM if started == "module" else (PROGRAM[0], script)
    done = subprocess.run([*command, *SCAN, *workers], capture_output=True, cwd=here, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    assert [record["target"] for record in records(done.stdout.decode())] == ["198.51.100.1"]
    assert not (here / "planted-ran").exists()


@pytest.mark.parametrize(
    ("link", "message"),
    [
        ("symbolic", "is a symbolic link; remove it"),
        ("hard", "has a second name (a hard link); remove one of the two"),
    ],
)
def test_a_planted_lock_says_what_it_is(link: str, message: str, victim: Path) -> None:
    planted = victim.parent / "planted"
    if link == "symbolic":
        planted.symlink_to(victim)
    else:
        planted.hardlink_to(victim)
    with pytest.raises(UsageError, match=re.escape(message)):
        _open_unlinked(planted, os.O_RDWR)
