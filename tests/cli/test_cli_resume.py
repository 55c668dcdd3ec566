"""What `--resume` goes on with, what it refuses, and what it says.

Also tests `auditor/session.py` and `existing_output.py`.
"""

from __future__ import annotations

import gzip
import json
import os
from typing import TYPE_CHECKING, Any

import pytest
import zstandard
from cli.driving import ZONES, Ended, manifest

from auditor.errors import OutputError
from auditor.output.frames import FRAME_OCTETS
from auditor.output.sink import FileSink
from auditor.run.scan import Scan

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCAN = ("scan", "--zones", ZONES)
LIST = "".join(f"198.51.100.{number}\n" for number in range(30, 60))


@pytest.fixture
def scan(here: Path, call: Callable[..., Ended]) -> Callable[..., Ended]:
    """Scan the list onto out.ndjson."""
    (here / "list.txt").write_text(LIST)

    def scan_list(*options: str | Path, output: str = "out.ndjson") -> Ended:
        return call(*SCAN, "-i", "list.txt", "-o", output, *options)

    return scan_list


@pytest.fixture
def whole(here: Path, scan: Callable[..., Ended]) -> bytes:
    """Return the bytes of an undisturbed run, of which out.ndjson holds no trace."""
    assert scan("-q", output="whole.ndjson").code == 0
    return (here / "whole.ndjson").read_bytes()


def _torn(here: Path, scan: Callable[..., Ended], size: int, how: str = "running") -> None:
    """Leave what a run leaves that was ended at `size` octets."""
    assert scan("-q", "--overwrite").code == 0
    (here / "out.ndjson").rename(here / "out.ndjson.partial")
    os.truncate(here / "out.ndjson.partial", size)
    content = manifest(here / "out.ndjson")
    content["how"] = content["sessions"][-1]["how"] = how
    (here / "out.ndjson.run.json").write_text(json.dumps(content))


def test_it_goes_on_where_the_whole_lines_end(
    here: Path, scan: Callable[..., Ended], whole: bytes
) -> None:
    lines = whole.splitlines(keepends=True)
    _torn(here, scan, sum(map(len, lines[:10])) + 7)
    ended = scan("--resume", "--fail-on", "error")
    assert (here / "out.ndjson").read_bytes() == whole
    first, head, *rest = ended.err.splitlines()
    assert first == (
        "auditor: out.ndjson.partial: 10 records are kept, a torn end of 7 octets is dropped"
    )
    # The summary, the manifest and the exit code are of the whole file.
    assert ended.code == 1
    assert head.startswith("30 records in ")
    assert rest[-2:] == ["records: out.ndjson", "manifest: out.ndjson.run.json"]
    content, other = manifest(here / "out.ndjson"), manifest(here / "whole.ndjson")
    for key in ("records", "kinds", "verdicts", "findings", "ptr_statuses", "inputs"):
        assert content[key] == other[key], key
    assert [(part["how"], part["records"]) for part in content["sessions"]] == [
        ("killed", 10),
        ("finished", 20),
    ]
    assert (content["queries_complete"], content["how"]) == (False, "finished")
    assert sorted(path.name for path in here.glob("out*")) == ["out.ndjson", "out.ndjson.run.json"]


@pytest.mark.parametrize("size", [0, 1])
def test_it_goes_on_from_the_very_beginning(
    here: Path, scan: Callable[..., Ended], whole: bytes, size: int
) -> None:
    _torn(here, scan, size)
    ended = scan("-q", "--resume")
    assert ended == (0, "", "")
    assert (here / "out.ndjson").read_bytes() == whole


def test_what_only_lacks_its_name_is_given_it_without_a_question(
    here: Path, scan: Callable[..., Ended], whole: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    _torn(here, scan, len(whole))

    def none(_settings: object) -> None:
        pytest.fail("somebody is about to be asked")

    monkeypatch.setattr("auditor.run.scan.make_resolver", none)
    assert scan("-q", "--resume") == (0, "", "")
    assert (here / "out.ndjson").read_bytes() == whole
    assert manifest(here / "out.ndjson")["inputs"]["targets"] == 30


@pytest.mark.parametrize("given_up", [10, 0])
@pytest.mark.parametrize("name", ["out.ndjson", "out.ndjson.gz"])
def test_targets_that_were_given_up_are_done_again_with_all_behind_them(
    here: Path, scan: Callable[..., Ended], whole: bytes, name: str, given_up: int
) -> None:
    assert scan("-q", output=name).code == 0
    lines = whole.splitlines(keepends=True)
    lines[given_up] = lines[given_up].replace(b'"verdict":"', b'"verdict":"unknown","was":"')
    packed = b"".join(lines)
    partial = here / f"{name}.partial"
    partial.write_bytes(gzip.compress(packed) if name.endswith("gz") else packed)
    (here / name).unlink()
    content = manifest(here / name)
    content["how"] = content["sessions"][-1]["how"] = "2 targets could not be audited"
    targets = {"records": 1, "targets": "a to b", "why": "3 workers died"}
    content["given_up"] = [{"first": first, **targets} for first in (given_up, 20)]
    (here / f"{name}.run.json").write_text(json.dumps(content))
    ended = scan("--resume", output=name)
    assert ended.code == 0
    assert ended.err.splitlines()[0] == (
        f"auditor: {partial.name}: {given_up} records are kept; "
        "those of targets given up, and all after them, are made anew"
    )
    made = (here / name).read_bytes()
    assert (gzip.decompress(made) if name.endswith("gz") else made) == whole
    content = manifest(here / name)
    assert (content["how"], content["records"], content.get("given_up")) == ("finished", 30, None)


def test_where_there_is_nothing_it_begins(
    here: Path, scan: Callable[..., Ended], whole: bytes
) -> None:
    assert scan("-q", "--resume") == (0, "", "")
    assert (here / "out.ndjson").read_bytes() == whole


def test_an_empty_partial_file_of_nobody_is_begun_with(
    here: Path, scan: Callable[..., Ended], whole: bytes
) -> None:
    (here / "out.ndjson.partial").touch()
    assert scan("-q", "--resume") == (0, "", "")
    assert (here / "out.ndjson").read_bytes() == whole


@pytest.mark.parametrize("options", [(), ("--fail-on", "error"), ("--qps", "5", "-q")])
def test_a_finished_output_is_left_as_it_is(
    here: Path, scan: Callable[..., Ended], whole: bytes, options: tuple[str, ...]
) -> None:
    assert scan("-q").code == 0
    before = {path: path.stat().st_mtime_ns for path in here.iterdir()}
    message = "" if "-q" in options else "auditor: out.ndjson: finished already, with 30 records\n"
    assert scan("--resume", *options) == (int("error" in options), "", message)
    assert {path: path.stat().st_mtime_ns for path in here.iterdir()} == before
    assert (here / "out.ndjson").read_bytes() == whole


def test_a_finished_output_is_an_event_in_json(scan: Callable[..., Ended]) -> None:
    assert scan("-q").code == 0
    ended = scan("--resume", "--log-format", "json")
    event = json.loads(ended.err)
    assert (ended.code, event["event"], event["records"]) == (0, "already_finished", 30)


def test_an_output_that_was_to_be_replaced_is_gone_on_with(
    here: Path, scan: Callable[..., Ended], whole: bytes
) -> None:
    _torn(here, scan, len(whole) // 2, "interrupted")
    (here / "out.ndjson").write_text("of yesterday\n")
    assert scan("-q", "--resume") == (0, "", "")
    assert (here / "out.ndjson").read_bytes() == whole


def test_an_attempt_to_replace_that_came_to_nothing_leaves_a_finished_output_finished(
    here: Path, scan: Callable[..., Ended], whole: bytes
) -> None:
    assert scan("-q").code == 0
    (here / "out.ndjson.partial").touch()
    ended = scan("--resume")
    assert ended.err == "auditor: out.ndjson: finished already, with 30 records\n"
    assert (here / "out.ndjson").read_bytes() == whole
    assert not (here / "out.ndjson.partial").exists()


ANEW = "--overwrite starts anew"


@pytest.mark.parametrize("finished", [False, True])
@pytest.mark.parametrize(
    ("options", "difference"),
    [
        (["--helo", "mx.example.net"], "helo was not given and is 'mx.example.net'"),
        (["--no-spf"], "spf was on and is off"),
        (["--ignore", "PTR"], "ignore was not given and is 'PTR'"),
        (["198.51.100.1"], "target was not given and is '198.51.100.1'"),
        (["-x", "198.51.100.1"], "exclude was not given and is '198.51.100.1'"),
    ],
)  # fmt: skip
def test_another_run_is_refused_with_the_difference(
    here: Path,
    scan: Callable[..., Ended],
    whole: bytes,
    options: list[str],
    difference: str,
    *,
    finished: bool,
) -> None:
    _torn(here, scan, len(whole) // 2)
    name = "out.ndjson.partial"
    if finished:
        name = "out.ndjson"
        assert scan("-q", "--overwrite").code == 0
    before = {path: path.read_bytes() for path in here.iterdir()}
    message = f"auditor: {name}: belongs to another run: {difference}; {ANEW}\n"
    assert scan("--resume", *options) == (2, "", message)
    assert {path: path.read_bytes() for path in here.iterdir()} == before


def test_an_input_that_has_changed_is_named(
    here: Path, scan: Callable[..., Ended], whole: bytes
) -> None:
    _torn(here, scan, len(whole) // 2)
    (here / "list.txt").write_text(LIST + "198.51.100.99\n")
    message = f"auditor: out.ndjson.partial: belongs to another run: list.txt has changed; {ANEW}\n"
    assert scan("--resume") == (2, "", message)


@pytest.mark.parametrize("damage", [None, b"", b"{", b"[]"])
def test_a_partial_file_that_nobody_knows_is_refused(
    here: Path, scan: Callable[..., Ended], whole: bytes, damage: bytes | None
) -> None:
    _torn(here, scan, len(whole) // 2)
    (here / "out.ndjson.run.json").unlink()
    if damage is not None:
        (here / "out.ndjson.run.json").write_bytes(damage)
    message = (
        "auditor: out.ndjson.partial: cannot be resumed: its manifest, "
        f"out.ndjson.run.json, is missing or damaged; {ANEW}\n"
    )
    assert scan("--resume") == (2, "", message)
    assert (here / "out.ndjson.partial").stat().st_size == len(whole) // 2


@pytest.mark.parametrize("how", [None, "interrupted"])
def test_a_finished_output_that_nobody_knows_is_refused(
    here: Path, scan: Callable[..., Ended], how: str | None
) -> None:
    assert scan("-q").code == 0
    content = manifest(here / "out.ndjson")
    if how is None:
        (here / "out.ndjson.run.json").unlink()
    else:
        (here / "out.ndjson.run.json").write_text(json.dumps({**content, "how": how}))
    assert scan("--resume") == (
        2,
        "",
        (
            "auditor: out.ndjson: exists already, and out.ndjson.run.json does not show that "
            "this run made it; --overwrite replaces it\n"
        ),
    )


def test_more_records_than_targets_are_not_of_this_run(
    here: Path, scan: Callable[..., Ended], whole: bytes
) -> None:
    _torn(here, scan, len(whole))
    with (here / "out.ndjson.partial").open("ab") as file:
        file.write(whole)
    ended = scan("--resume")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines()[-1] == "auditor: there are 30 more records than targets"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ("--resume", "--overwrite", "-o", "out.ndjson"),
            "--resume continues an output, --overwrite replaces it: not both",
        ),
        (("--resume",), "--resume continues a file: add -o FILE"),
        (("--resume", "-o", "/dev/null"), "--resume continues a file: add -o FILE"),
        (("--resume", "-o", "."), ".: is a directory; expected a file, or ./ for parts"),
    ],
)
def test_what_cannot_be_gone_on_with(
    here: Path, call: Callable[..., Ended], options: tuple[str, ...], message: str
) -> None:
    assert call(*SCAN, "198.51.100.1", *options) == (2, "", f"auditor: {message}\n")
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("options", [(), ("--resume",), ("--overwrite",)])
def test_two_runs_onto_one_output(
    here: Path, scan: Callable[..., Ended], options: tuple[str, ...]
) -> None:
    first = FileSink(here / "out.ndjson")
    message = "auditor: out.ndjson.partial: another run is writing to it\n"
    assert scan(*options) == (2, "", message)
    first.close_output()
    assert [path.name for path in here.iterdir() if "out" in path.name] == ["out.ndjson.partial"]


# --- Standard input


@pytest.fixture
def _half_done(here: Path, call: Callable[..., Ended]) -> None:
    """Leave half of a run over standard input."""
    done = call(*SCAN, "-q", "-", "-o", here / "out.ndjson", stdin=LIST.encode())
    assert done.code == 0
    (here / "whole.ndjson").write_bytes((here / "out.ndjson").read_bytes())
    size = (here / "out.ndjson").stat().st_size
    (here / "out.ndjson").rename(here / "out.ndjson.partial")
    os.truncate(here / "out.ndjson.partial", size // 2)


@pytest.mark.usefixtures("_half_done")
def test_standard_input_that_says_the_same_again_is_gone_on_with(
    here: Path, call: Callable[..., Ended]
) -> None:
    ended = call(*SCAN, "-q", "-", "-o", here / "out.ndjson", "--resume", stdin=LIST.encode())
    assert ended == (0, "", "")
    assert (here / "out.ndjson").read_bytes() == (here / "whole.ndjson").read_bytes()


@pytest.mark.usefixtures("_half_done")
@pytest.mark.parametrize("text", [LIST[15:], LIST[:60], ""])
def test_standard_input_that_says_something_else_is_refused(
    here: Path, text: str, call: Callable[..., Ended]
) -> None:
    before = (here / "out.ndjson.partial").read_bytes()
    kept = before.count(b"\n")
    ended = call(*SCAN, "-q", "-", "-o", here / "out.ndjson", "--resume", stdin=text.encode())
    message = (
        f"auditor: the input differs from before: its first {kept} targets are not those "
        f"of the existing records; {ANEW}\n"
    )
    assert ended == (2, "", message)
    left = (here / "out.ndjson.partial").read_bytes()
    assert left == before[: before.rfind(b"\n") + 1]


# --- Compressed

_RUN = Scan.audit_targets


async def _run_and_fail(scan: Scan, write: Any) -> None:
    """Run to the end of the targets, and then fail."""
    await _RUN(scan, write)
    raise OutputError("somebody pulled the plug")


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_a_compressed_output_holds_the_same_records(
    here: Path, scan: Callable[..., Ended], whole: bytes, suffix: str
) -> None:
    assert scan("-q", output=f"out.ndjson{suffix}") == (0, "", "")
    data = (here / f"out.ndjson{suffix}").read_bytes()
    unpack = gzip.decompress if suffix == ".gz" else zstandard.ZstdDecompressor().decompress
    assert unpack(data) == whole
    assert manifest(here / f"out.ndjson{suffix}")["records"] == 30


@pytest.mark.parametrize("suffix", [".gz", ".zst"])
def test_an_interrupted_compressed_output_holds_what_was_finished(
    here: Path,
    scan: Callable[..., Ended],
    whole: bytes,
    suffix: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with monkeypatch.context() as failing:
        failing.setattr(Scan, "audit_targets", _run_and_fail)
        ended = scan("-q", output=f"out.ndjson{suffix}")
    assert ended == (3, "", "auditor: somebody pulled the plug\n")
    assert len(whole) < FRAME_OCTETS
    assert manifest(here / f"out.ndjson{suffix}")["records"] == 30
    assert scan("-q", "--resume", output=f"out.ndjson{suffix}") == (0, "", "")
    unpack = gzip.decompress if suffix == ".gz" else zstandard.ZstdDecompressor().decompress
    assert unpack((here / f"out.ndjson{suffix}").read_bytes()) == whole
