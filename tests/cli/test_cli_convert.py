"""`auditor convert`: tables that appear whole, from whatever results are read from."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import signal
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
import zstandard
from cli.driving import PROGRAM, SECONDS, UNCOMPILED, Ended, running, wait_until
from pyarrow import parquet as pq
from support.effort import sample
from support.tables import fleet_lines, put_back, rounded

from auditor import __version__
from auditor.output.csv_writer import write_csv

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    return fleet_lines("targets.txt", "targets.csv")


@pytest.fixture
def results(here: Path, lines: list[bytes]) -> Path:
    path = here / "fleet.ndjson"
    path.write_bytes(b"".join(lines))
    return path


def _records(lines: list[bytes]) -> list[dict[str, Any]]:
    return [orjson.loads(line) for line in lines]


def _read(path: Path) -> list[dict[str, Any]]:
    return [put_back(row) for row in pq.read_table(path).to_pylist()]


def _csv(lines: list[bytes], **options: Any) -> bytes:
    file = io.BytesIO()
    write_csv(_records(lines), file, **options)
    return file.getvalue()


def _names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# --- What it makes


def test_parquet_holds_what_the_results_hold(
    call: Callable[..., Ended], results: Path, lines: list[bytes]
) -> None:
    ended = call("convert", results, "-o", "fleet.parquet")
    assert ended == (0, "", f"{len(lines)} records: fleet.parquet\n")
    assert _read(Path("fleet.parquet")) == rounded(_records(lines))
    assert _names(Path()) == ["fleet.ndjson", "fleet.parquet"]


@pytest.mark.parametrize("flat", [False, True])
def test_csv_is_the_same_packed_or_not(
    call: Callable[..., Ended], results: Path, lines: list[bytes], *, flat: bool
) -> None:
    expected = _csv(lines, flat=flat)
    for name in ("fleet.csv", "fleet.csv.gz", "fleet.csv.zst"):
        assert call("convert", "-q", results, "-o", name, *["--flat"] * flat) == (0, "", "")
    assert Path("fleet.csv").read_bytes() == expected
    assert gzip.decompress(Path("fleet.csv.gz").read_bytes()) == expected
    packed = Path("fleet.csv.zst").read_bytes()
    assert zstandard.ZstdDecompressor().decompressobj().decompress(packed) == expected
    # No time and no name is in a gzip file that is to be the same every time.
    assert Path("fleet.csv.gz").read_bytes()[3:8] == bytes(5)


def test_flat_parquet_has_a_row_for_each_finding(
    call: Callable[..., Ended], results: Path, lines: list[bytes]
) -> None:
    assert call("convert", "-q", "--flat", results, "-o", "findings.parquet").code == 0
    rows = pq.read_table("findings.parquet").to_pylist()
    expected = [
        (record["target"], finding and finding["code"])
        for record in _records(lines)
        for finding in record["findings"] or [None]
    ]
    assert [(row["target"], row["code"]) for row in rows] == expected


def test_csv_goes_to_standard_output(
    results: Path, lines: list[bytes], call: Callable[..., Ended]
) -> None:
    ended = call("convert", results, "-o", "-")
    assert ended == (0, _csv(lines).decode(), f"{len(lines)} records: standard output\n")


# --- What it reads


def test_several_results_become_one_table(
    call: Callable[..., Ended], here: Path, lines: list[bytes]
) -> None:
    (here / "a.ndjson.gz").write_bytes(gzip.compress(b"".join(lines[:100])))
    (here / "b.ndjson").write_bytes(b"".join(lines[100:150]))
    parts = here / "parts"
    parts.mkdir()
    (parts / "2.ndjson").write_bytes(b"".join(lines[150:200]))
    (parts / "1.ndjson").write_bytes(b"".join(lines[200:]))
    (parts / "manifest.json").write_text('{"parts": ["2.ndjson", "1.ndjson"]}')
    ended = call("convert", "a.ndjson.gz", "b.ndjson", "parts", "-o", "all.parquet")
    assert ended.code == 0
    assert _read(here / "all.parquet") == rounded(_records(lines))


def test_results_come_from_standard_input(
    here: Path, lines: list[bytes], call: Callable[..., Ended]
) -> None:
    text = b"".join(lines[:20])
    assert call("convert", "-q", "-", "-o", "in.parquet", stdin=text) == (0, "", "")
    assert _read(here / "in.parquet") == rounded(_records(lines[:20]))


def _metadata(path: str) -> dict[str, str]:
    found = pq.read_schema(path).metadata
    return {key.decode(): value.decode() for key, value in found.items()}


def test_a_table_says_from_which_runs_it_is(call: Callable[..., Ended], results: Path) -> None:
    beside = results.with_name("fleet.ndjson.run.json")
    manifest = {"auditor": "0.1.0", "fingerprint": "f00d", "how": "finished", "settings": {}}
    beside.write_text(json.dumps(manifest))
    assert call("convert", "fleet.ndjson", "-o", "fleet.parquet").code == 0
    metadata = _metadata("fleet.parquet")
    assert metadata["auditor.version"] == __version__
    assert metadata["auditor.table"] == "records"
    del manifest["settings"]
    assert json.loads(metadata["auditor.runs"]) == [{"file": "fleet.ndjson", **manifest}]


@pytest.mark.parametrize("text", [None, "{", "[]", '{"other": 1}'])
def test_without_a_manifest_it_says_no_run(
    call: Callable[..., Ended], results: Path, text: str | None
) -> None:
    if text is not None:
        results.with_name("fleet.ndjson.run.json").write_text(text)
    assert call("convert", "--flat", results, "-o", "fleet.parquet").code == 0
    metadata = _metadata("fleet.parquet")
    assert metadata["auditor.table"] == "findings"
    assert [run.keys() for run in json.loads(metadata["auditor.runs"])] in ([], [{"file"}])


_STARTED = {"monday": "2026-11-30T03:00:00.250+01:00", "tuesday": "2026-12-01T02:00:00+00:00"}
_RUNS = ["2026-11-30T02:00:00.250Z-f00df00d", "2026-12-01T02:00:00.000Z-f00df00d", None]


def _nights(here: Path, lines: list[bytes]) -> list[str]:
    """Return the paths of two nights with their manifests, one a folder of parts, and a third."""
    for name, started in _STARTED.items():
        manifest = {"fingerprint": "f00d" * 16, "started": started, "parts": ["1.ndjson"]}
        (here / f"{name}.run.json").write_text(json.dumps(manifest))
    (here / "monday").write_bytes(b"".join(lines))
    (here / "parts").mkdir()
    (here / "parts" / "1.ndjson").write_bytes(b"".join(lines))
    (here / "tuesday.run.json").rename(here / "parts" / "manifest.json")
    (here / "unknown").write_bytes(b"".join(lines))
    return ["monday", "parts", "unknown"]


@pytest.mark.parametrize("flat", [False, True])
def test_rows_say_which_run_they_are_of_and_labels_have_columns(
    call: Callable[..., Ended], here: Path, lines: list[bytes], *, flat: bool
) -> None:
    lines = [line for line in lines if b'"customer"' in line]
    options = [*_nights(here, lines), "--label", "customer", "-q", *["--flat"] * flat]
    for name in ("nights.parquet", "nights.csv"):
        assert call("convert", *options, "-o", name) == (0, "", "")
    records = [
        record
        for record in _records(lines)
        for _ in range(len(record["findings"]) or 1 if flat else 1)
    ]
    table = pq.read_table("nights.parquet").to_pylist()
    expected = [(run, record["labels"]["customer"]) for run in _RUNS for record in records]
    assert [(row["run"], row["label_customer"]) for row in table] == expected
    times = [datetime.fromisoformat(_STARTED[night]) for night in ("monday", "tuesday")]
    assert list(dict.fromkeys(row["scanned_at"] for row in table)) == [*times, None]
    with Path("nights.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["run"] or None, row["label_customer"]) for row in rows] == expected
    assert {row["scanned_at"] for row in rows} == {
        *(
            f"{each.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{each.microsecond // 1000:03}+00:00"
            for each in times
        ),
        "",
    }


def test_zone_facts_say_which_run_they_are_of(call: Callable[..., Ended], here: Path) -> None:
    facts: dict[str, Any] = {
        **dict.fromkeys(("parent", "soa", "contact")),
        "zone": "example.net",
        "mends": "isp",
        "parent_servers": [],
        "servers": [],
        "addresses": 1,
        "findings": [],
    }
    (here / "monday.zones.ndjson").write_bytes(orjson.dumps(facts) + b"\n")
    _nights(here, [])
    for name in ("zones.parquet", "zones.csv"):
        assert call("convert", "monday.zones.ndjson", "-q", "-o", name) == (0, "", "")
    (row,) = pq.read_table("zones.parquet").to_pylist()
    assert (row["zone"], row["run"]) == ("example.net", _RUNS[0])
    assert (
        Path("zones.csv")
        .read_text("utf-8")
        .endswith(f",{_RUNS[0]},2026-11-30T02:00:00.250+00:00\n")
    )
    message = "auditor: --label: zone facts have no labels\n"
    ended = call("convert", "monday.zones.ndjson", "--label", "rack", "-o", "z.csv")
    assert ended == (2, "", message)


def test_a_label_that_no_record_has_is_named(call: Callable[..., Ended], results: Path) -> None:
    code, _, err = call("convert", results, "--label", "custmer", "-o", "fleet.csv")
    assert (code, err.splitlines()[0]) == (
        0,
        "auditor: --label 'custmer': no record has this label",
    )


# --- What it leaves alone


@pytest.mark.parametrize("name", ["fleet.parquet", "fleet.csv"])
def test_an_existing_file_is_replaced_only_when_told_to(
    call: Callable[..., Ended], results: Path, name: str
) -> None:
    Path(name).write_text("of an earlier night")
    message = f"auditor: {name}: exists already; --overwrite replaces it\n"
    assert call("convert", results, "-o", name) == (2, "", message)
    assert Path(name).read_text() == "of an earlier night"
    assert call("convert", "-q", "--overwrite", results, "-o", name) == (0, "", "")
    assert Path(name).read_bytes()[:6] != b"of an "
    assert _names(Path()) == sorted(["fleet.ndjson", name])


@pytest.mark.parametrize("name", ["fleet.parquet", "fleet.csv", "fleet.csv.gz", "fleet.csv.zst"])
@pytest.mark.parametrize(
    ("line", "why"),
    [
        (b'{"target": 1}\n', "no record"),
        (b"<html>\n", "not JSON"),
        (b'{"target":"192.0.2.1","kind', "cut off"),
    ],
)
def test_nothing_is_left_of_what_cannot_be_converted(
    call: Callable[..., Ended], results: Path, name: str, line: bytes, why: str
) -> None:
    before = results.read_bytes()
    results.write_bytes(before + line)
    Path(name).write_text("of an earlier night")
    code, out, err = call("convert", "--overwrite", results, "-o", name)
    assert (code, out) == (2, "")
    last = len(before.splitlines()) + 1
    assert err.startswith(f"auditor: {results} line {last}: {why}")
    assert err.count("\n") == 1
    assert Path(name).read_text() == "of an earlier night"
    assert _names(Path()) == sorted(["fleet.ndjson", name])


def test_a_fault_deep_in_a_record_is_shown_by_its_place(
    call: Callable[..., Ended], results: Path, lines: list[bytes]
) -> None:
    record = orjson.loads(lines[0])
    record["iprev"]["names"][0]["confirms"] = "yes"
    results.write_bytes(lines[0] + orjson.dumps(record) + b"\n")
    code, _, err = call("convert", results, "-o", "fleet.csv")
    assert code == 2
    assert err.startswith(f"auditor: {results} line 2: ")
    assert "iprev.names.confirms" in err
    assert err.count("\n") == 1
    assert _names(Path()) == ["fleet.ndjson"]


@pytest.mark.parametrize("name", sample(["fleet.parquet", "fleet.csv", "fleet.csv.gz"], fewest=2))
def test_a_full_disk_is_one_line_and_leaves_nothing(results: Path, name: str) -> None:
    command = f'ulimit -f 1; exec "$@" convert {results} {results} -o {name}'
    done = subprocess.run(
        ["bash", "-c", command, "-", *PROGRAM],
        capture_output=True,
        env={**os.environ, **UNCOMPILED},
        timeout=SECONDS,
        check=False,
        text=True,
    )
    assert (done.returncode, done.stdout) == (3, "")
    assert done.stderr == f"auditor: {name}: cannot be written: File too large\n"
    assert _names(Path()) == ["fleet.ndjson"]


@pytest.mark.parametrize("number", sample([signal.SIGINT, signal.SIGTERM]))
@pytest.mark.parametrize("name", ["fleet.parquet", "fleet.csv"])
def test_interrupted_it_leaves_nothing(
    here: Path, lines: list[bytes], name: str, number: int
) -> None:
    with running("convert", "-", "-o", name) as process:
        assert process.stdin is not None
        process.stdin.write(b"".join(lines))
        process.stdin.flush()
        wait_until(lambda: any(path.name.startswith(f".{name}.") for path in here.iterdir()))
        process.send_signal(number)
        assert process.wait(SECONDS) == 3
        assert process.stderr is not None
        assert process.stderr.read().strip() == b"auditor: interrupted"
    assert _names(here) == []


# --- What it refuses


@pytest.mark.parametrize("name", ["fleet.xlsx", "fleet", "fleet.parquet.gz", "fleet.ndjson.csv.xz"])
def test_another_kind_of_table_is_refused_with_those_that_there_are(
    call: Callable[..., Ended], results: Path, name: str
) -> None:
    message = f"{name}: no kind of table; expected a name in .csv, .csv.gz, .csv.zst, .parquet"
    assert call("convert", results, "-o", name) == (2, "", f"auditor: {message}\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["fleet.ndjson"], "missing --output (see auditor convert --help)"),
        (["-o", "fleet.csv"], "missing RESULTS (see auditor convert --help)"),
        (["no.ndjson", "-o", "fleet.csv"], "no.ndjson: cannot be read: No such file or directory"),
        (
            ["fleet.ndjson", "-o", "no/fleet.csv"],
            "no/fleet.csv: cannot be created: there is no folder no",
        ),
        (["-", "-", "-o", "x.csv"], "standard input (-) is named twice; it can be read once only"),
    ],
)
def test_a_mistake_is_one_line(
    call: Callable[..., Ended], results: Path, arguments: list[str], message: str
) -> None:
    assert results.exists()
    assert call("convert", *arguments) == (2, "", f"auditor: {message}\n")
    assert _names(Path()) == ["fleet.ndjson"]


def test_a_folder_or_a_pipe_is_not_replaced(call: Callable[..., Ended], results: Path) -> None:
    Path("folder.csv").mkdir()
    os.mkfifo("pipe.csv")
    for name, why in {"folder.csv": "is a directory", "pipe.csv": "not a regular file"}.items():
        code, _, err = call("convert", results, "--overwrite", "-o", name)
        assert (code, err.count("\n")) == (2, 1)
        assert why in err


def test_without_pyarrow_there_is_csv_and_a_word_about_parquet(
    call: Callable[..., Ended], results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    message = "Parquet needs pyarrow: pip install 'auditor[parquet]' (CSV does not)"
    ended = call("convert", results, "-o", "fleet.parquet")
    assert ended == (2, "", f"auditor: {message}\n")
    assert call("convert", "-q", results, "-o", "fleet.csv") == (0, "", "")
    assert _names(Path()) == ["fleet.csv", "fleet.ndjson"]


def test_csv_does_without_pyarrow(results: Path) -> None:
    code = (
        "import sys; from auditor.cli.app import run; "
        f"run(['convert', '-q', {str(results)!r}, '-o', 'fleet.csv']); "
        "print(sorted({'pyarrow', 'pandas', 'numpy', 'jinja2', 'dns'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "[]\n"


def test_parquet_does_without_numpy_and_leaves_it_to_others(results: Path) -> None:
    code = (
        "import sys; from auditor.cli.app import run; "
        f"run(['convert', '-q', {str(results)!r}, '-o', 'fleet.parquet']); "
        "print(sorted({'pyarrow', 'pandas', 'numpy', 'pyarrow.compute'} & set(sys.modules))); "
        "import numpy; print(numpy.__name__)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, text=True)
    assert done.stdout == "['pyarrow']\nnumpy\n"


def test_a_reader_that_goes_away_ends_it(results: Path) -> None:
    with running("convert", results, *[results] * 50, "-o", "-") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(SECONDS) == 0
