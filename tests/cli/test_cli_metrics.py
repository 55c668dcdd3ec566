"""`--metrics`: what a scan leaves for Prometheus agrees with its manifest, also when it fails.

Also tests `run_reporter.py` and `run/progress.py`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cli.driving import ZONES, Ended, manifest
from cli.watched import FINGERPRINT, INPUTS, FakeScan, events, told
from prometheus_client.parser import text_string_to_metric_families
from support.faulty import dead_port

from auditor.errors import OutputError
from auditor.output.sink import FileSink
from auditor.run.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable

    from auditor.cli.run_reporter import RunReporter

FILE = Path("auditor.prom")
SCAN = ("scan", "--zones", ZONES, "--metrics", "auditor.prom")


def _read(path: Path) -> dict[str, float]:
    return {
        " ".join([sample.name.removeprefix("auditor_scan_"), *sample.labels.values()]): sample.value
        for family in text_string_to_metric_families(path.read_text("ascii"))
        for sample in family.samples
    }


def test_the_metrics_say_what_the_manifest_says(here: Path, call: Callable[..., Ended]) -> None:
    (here / "list.txt").write_text("198.51.100.0/24\nx!\n")
    assert call(*SCAN, "-q", "-i", "list.txt", "-o", "out.ndjson") == (0, "", "")
    found, content = _read(here / "auditor.prom"), manifest(here / "out.ndjson")
    for name in ("verdicts", "ptr_statuses", "kinds"):
        counts = {k.split()[1]: v for k, v in found.items() if k.startswith(f"{name} ") and v}
        assert counts == content[name], name
    findings = {k.split()[1]: v for k, v in found.items() if k.startswith("findings ") and v}
    assert findings == content["findings"]
    lookups = {k.split()[1]: v for k, v in found.items() if k.startswith("lookups ")}
    assert sum(lookups.values()) == content["queries"]["asked"]
    assert (found["records"], found["targets"], found["running"]) == (257, 257, 0)
    assert (found["exit_code"], found["outcome finished"]) == (0, 1)
    assert found["duration_seconds"] > 0
    assert found["last_success_timestamp_seconds"] == found["end_timestamp_seconds"]
    assert found["start_timestamp_seconds"] <= found["end_timestamp_seconds"]


def test_a_scan_that_fails_leaves_the_last_success(here: Path, call: Callable[..., Ended]) -> None:
    call(*SCAN, "-q", "198.51.100.1")
    success = _read(here / "auditor.prom")["last_success_timestamp_seconds"]
    with dead_port() as port:
        ended = call(
            "scan", "-q", "--server", f"127.0.0.1:{port}", "--timeout", "0.05", "192.0.2.1",
            "--metrics", "auditor.prom",
        )  # fmt: skip
    assert ended.code == 3
    found = _read(here / "auditor.prom")
    assert found["last_success_timestamp_seconds"] == success
    assert (found["exit_code"], found["outcome failed"], found["records"]) == (3, 1, 0)
    assert found["end_timestamp_seconds"] > success


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("-i", "absent.txt"),
        ("192.0.2.1", "-x", "x!"),
        ("192.0.2.1", "-o", "out.parquet"),
        ("192.0.2.1", "-o", "there.ndjson"),
    ],
    ids=" ".join,
)
def test_a_scan_that_cannot_begin_is_one_that_failed(
    here: Path, call: Callable[..., Ended], arguments: tuple[str, ...]
) -> None:
    call(*SCAN, "-q", "198.51.100.1")
    (here / "there.ndjson").touch()
    before = _read(here / "auditor.prom")
    assert call(*SCAN, *arguments).code == 2
    found = _read(here / "auditor.prom")
    assert (found["exit_code"], found["outcome failed"], found["running"]) == (2, 1, 0)
    assert found["end_timestamp_seconds"] > before["end_timestamp_seconds"]
    success = "last_success_timestamp_seconds"
    assert found[success] == before[success]
    assert "records" not in found


def test_an_output_that_cannot_be_taken_up_is_told_the_metrics(
    here: Path, call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OutputError("out.ndjson.partial: cannot be resumed: Input/output error")

    monkeypatch.setattr(FileSink, "recover", refuse)
    assert call(*SCAN, "-q", "198.51.100.1", "-o", "out.ndjson").code == 3
    found = _read(here / "auditor.prom")
    assert (found["exit_code"], found["outcome failed"], found["running"]) == (3, 1, 0)


def test_findings_are_a_success_with_an_exit_code(here: Path, call: Callable[..., Ended]) -> None:
    assert call(*SCAN, "-q", "--fail-on", "error", "198.51.100.40").code == 1
    found = _read(here / "auditor.prom")
    assert (found["exit_code"], found["outcome finished"]) == (1, 1)
    assert "last_success_timestamp_seconds" in found


async def _story(reports: RunReporter, scan: FakeScan) -> None:
    reports.on_begin(FINGERPRINT, INPUTS)
    with reports.watching():
        assert _read(FILE)["running"] == 1
        scan.go_on(64)
        await asyncio.sleep(60.5)
        found = _read(FILE)
        assert (found["running"], found["records"], found["duration_seconds"]) == (1, 64, 60)
        assert "exit_code" not in found
    reports.on_end("finished", Outcome(0))


def test_they_are_brought_up_to_date_each_minute(here: Path) -> None:
    told(_story, metrics=FILE, quiet=True)
    assert _read(here / "auditor.prom")["exit_code"] == 0


async def _lost(reports: RunReporter, scan: FakeScan) -> None:
    reports.on_begin(FINGERPRINT, INPUTS)
    with reports.watching():
        await asyncio.to_thread(Path("node").rename, "gone")
        scan.go_on(64)
        await asyncio.sleep(180.5)
    reports.on_end("finished", Outcome(0))


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_metrics_that_cannot_be_written_any_more_are_a_warning(
    here: Path, capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    (here / "node").mkdir()
    told(_lost, metrics=Path("node/auditor.prom"), log_format=log_format)
    output = capsys.readouterr().err
    why = "No such file or directory"
    message = f"metrics: node/auditor.prom: cannot be written: {why}"
    if log_format == "text":
        assert output.splitlines()[0] == f"auditor: {message}"
        assert output.count("metrics") == 1
        return
    (warning,) = [event for event in events(output) if event["level"] == "warning"]
    del warning["time"]
    assert warning == {
        "event": "metrics_unwritable",
        "level": "warning",
        "message": message,
        "path": "node/auditor.prom",
        "why": why,
    }
