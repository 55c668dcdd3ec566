"""A scan's log as JSON: one event a line, each with its fields, none of them read out of text."""

from __future__ import annotations

import asyncio
import logging
import re
import signal
from typing import TYPE_CHECKING, Any

import pytest
from cli.driving import ZONES, Ended, manifest, read_line, running
from cli.watched import FINGERPRINT, INPUTS, FakeScan, events, told
from support.faults import answer
from support.faulty import FaultyServer, dead_port, mute_port

from auditor import __version__
from auditor.cli.console import ErrorOutput
from auditor.cli.log_json import JsonLog
from auditor.run.outcome import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from auditor.cli.run_reporter import RunReporter

JSON = ("--log-format", "json")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ZONE = "1.2.0.192.in-addr.arpa. PTR one.example.net.\none.example.net. A 192.0.2.1\n"


async def _two_minutes(reports: RunReporter, scan: FakeScan) -> None:
    reports.on_begin(FINGERPRINT, INPUTS)
    with reports.watching():
        scan.go_on(64)
        scan.open_targets = 10
        await asyncio.sleep(60.5)
        scan.go_on(128, verdict="fail", codes=[("PTR_MISSING", "error")])
        await asyncio.sleep(60)
        scan.go_on(64)
        scan.open_targets = 0
    reports.on_end("finished", Outcome(0))


def test_a_run_begins_goes_on_by_the_minute_and_ends(capsys: pytest.CaptureFixture[str]) -> None:
    told(_two_minutes, log_format="json")
    start, first, second, end = events(capsys.readouterr().err)
    assert start == {
        "time": "2026-11-23T02:00:00.123Z",
        "event": "start",
        "level": "info",
        "version": __version__,
        "fingerprint": FINGERPRINT,
        "servers": start["servers"],
        "zones": None,
        "engine": "bulk",
        "inputs": {"arguments": ["192.0.2.0/24"], "files": []},
        "targets": 256,
    }
    assert first == {
        "time": "2026-11-23T02:01:00.123Z",
        "event": "progress",
        "level": "info",
        "records": 64,
        "targets": 256,
        "under_way": 10,
        "seconds": 60.0,
        "rate": 1.1,
        "eta_seconds": 180,
        "verdicts": {"pass": 64},
        "queries": {
            "asked": 192, "cached": 64, "joined": 0, "answered": 128, "failed": 0, "open": 0,
            "sent": 128, "retried": 0, "lost": 0,
        },
    }  # fmt: skip
    assert (second["time"], second["records"], second["eta_seconds"]) == (
        "2026-11-23T02:02:00.123Z", 192, 40,
    )  # fmt: skip
    assert end["time"] == "2026-11-23T02:02:00.623Z"
    assert (end["event"], end["how"], end["outcome"], end["code"]) == (
        "end", "finished", "finished", 0,
    )  # fmt: skip
    assert end["verdicts"] == {"fail": 128, "pass": 128}
    assert end["findings"] == {"PTR_MISSING": 128}
    assert end["ptr_statuses"] == {"NOERROR": 256}
    assert (end["records"], end["seconds"], end["output"]) == (256, 120.5, None)
    assert end["peak_memory"] > 1 << 20


def test_without_an_end_of_the_input_there_is_no_eta(capsys: pytest.CaptureFixture[str]) -> None:
    told(_two_minutes, log_format="json", total=None)
    progress = [e for e in events(capsys.readouterr().err) if e["event"] == "progress"]
    assert [(event["targets"], event["eta_seconds"]) for event in progress] == [(None, None)] * 2


def test_for_people_a_minute_is_no_event(capsys: pytest.CaptureFixture[str]) -> None:
    told(_two_minutes)
    assert capsys.readouterr().err.splitlines() == [
        "256 records in 120.5 s (2/s): 128 pass · 128 fail",
        "  128  error    PTR_MISSING  The address has no PTR record",
        "`auditor explain CODE` says why a finding matters and what to do.",
    ]


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_quiet_is_quiet_in_every_format(
    capsys: pytest.CaptureFixture[str], log_format: str
) -> None:
    told(_two_minutes, log_format=log_format, quiet=True)
    assert capsys.readouterr().err == ""


async def _failing(reports: RunReporter, scan: FakeScan) -> None:
    reports.on_begin(FINGERPRINT, INPUTS)
    with reports.watching():
        scan.go_on(3)
        reports.on_stopping("interrupted")
    reports.on_end("no server answers any more: 192.0.2.53:53", Outcome(3))


@pytest.mark.parametrize("quiet", [False, True])
def test_what_ends_a_run_is_an_event_before_its_end(
    capsys: pytest.CaptureFixture[str], *, quiet: bool
) -> None:
    told(_failing, log_format="json", quiet=quiet)
    found = events(capsys.readouterr().err)
    error = next(event for event in found if event["event"] == "error")
    assert (error["level"], error["message"], error["code"]) == (
        "error", "no server answers any more: 192.0.2.53:53", 3,
    )  # fmt: skip
    names = [event["event"] for event in found]
    assert names == (["error"] if quiet else ["start", "stopping", "error", "end"])
    if not quiet:
        assert (found[-1]["outcome"], found[-1]["level"]) == ("failed", "error")


def test_an_error_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    voice = ErrorOutput(as_json=True)
    voice.fail("gone", 3)
    voice.fail("gone", 3)
    assert len(events(capsys.readouterr().err)) == 1


def test_a_record_without_fields_is_a_message(capsys: pytest.CaptureFixture[str]) -> None:
    record = logging.LogRecord("auditor", logging.WARNING, "", 1, "no TCP: %s", ("x\n\x1b",), None)
    JsonLog().emit(record)
    (event,) = events(capsys.readouterr().err)
    assert TIME.fullmatch(event["time"])
    assert (event["event"], event["level"]) == ("message", "warning")
    assert event["message"] == "no TCP: x\n\x1b"


def test_the_logger_is_left_as_it_was() -> None:
    log = logging.getLogger("auditor")
    before = (log.level, list(log.handlers))
    told(_two_minutes, log_format="json", quiet=True)
    assert (log.level, log.handlers) == before


# --- From the command line


def test_a_scan_of_zone_files_tells_what_its_manifest_says(
    here: Path, call: Callable[..., Ended]
) -> None:
    ended = call("scan", "--zones", ZONES, *JSON, "198.51.100.0/28", "-o", here / "out.ndjson")
    assert (ended.code, ended.out) == (0, "")
    start, end = events(ended.err)
    content = manifest(here / "out.ndjson")
    assert (start["event"], start["zones"], start["engine"]) == ("start", ZONES, "zones")
    assert (start["targets"], start["fingerprint"]) == (16, content["fingerprint"])
    for key in ("how", "records", "kinds", "verdicts", "findings", "ptr_statuses", "queries"):
        assert end[key] == content[key], key
    assert (end["output"], end["manifest"]) == (
        f"{here}/out.ndjson", f"{here}/out.ndjson.run.json",
    )  # fmt: skip
    assert all(TIME.fullmatch(event["time"]) for event in (start, end))


def test_servers_left_out_are_events_with_fields(call: Callable[..., Ended]) -> None:
    with mute_port() as mute, FaultyServer(ZONE) as server:
        ended = call(
            "scan", *JSON, "--server", f"127.0.0.1:{mute}", "--server", f"127.0.0.1:{server.port}",
            "--timeout", "0.05", "192.0.2.1",
        )  # fmt: skip
    assert ended.code == 0
    start, left_out, end = events(ended.err)
    assert start["servers"] == [f"127.0.0.1:{mute}", f"127.0.0.1:{server.port}"]
    del left_out["time"]
    assert left_out == {
        "event": "server_left_out",
        "level": "warning",
        "message": f"server 127.0.0.1:{mute} does not answer: left out",
        "server": f"127.0.0.1:{mute}",
        "why": "does not answer",
    }
    assert end["outcome"] == "finished"


@pytest.mark.parametrize("engine", ["bulk", "cares"])
def test_a_run_without_servers_fails_in_events(call: Callable[..., Ended], engine: str) -> None:
    with dead_port() as port:
        where = f"127.0.0.1:{port}"
        ended = call(
            "scan", *JSON, "--engine", engine, "--server", where, "--timeout", "0.05", "192.0.2.1"
        )
    assert (ended.code, ended.out) == (3, "")
    found = events(ended.err)
    assert [event["event"] for event in found] == ["start", "server_left_out", "error", "end"]
    why = f"no server is left to ask: {where} is not reachable"
    assert [found[2]["message"], found[3]["how"]] == [why, why]
    assert [found[2]["code"], found[3]["code"]] == [3, 3]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--tries", "0", "192.0.2.1"), "tries: 0 is not within 1 and 20"),
        (("--zone", "x"), "no option --zone; did you mean --zones? (see auditor scan --help)"),
        ((), "nothing to scan: give targets, -i FILE, or - for standard input"),
        (("-i", "no.txt"), "no.txt: cannot be read: No such file or directory"),
    ],
)
def test_what_is_wrong_before_the_start_is_one_event(
    call: Callable[..., Ended],
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    message: str,
) -> None:
    for given in (("scan", *JSON), ("scan", "--log-format=json"), ("scan",)):
        if len(given) == 1:
            monkeypatch.setenv("AUDITOR_LOG_FORMAT", "json")
        ended = call(*given, *arguments)
        (event,) = events(ended.err)
        del event["time"]
        assert (ended.code, ended.out) == (2, "")
        assert event == {"event": "error", "level": "error", "message": message, "code": 2}


def test_the_file_may_set_the_format(here: Path, call: Callable[..., Ended]) -> None:
    (here / "auditor.toml").write_text(f'log-format = "json"\nzones = "{ZONES}"\n')
    names = [event["event"] for event in events(call("scan", "198.51.100.1").err)]
    assert names == ["settings", "start", "end"]
    assert call("scan", "-q", "198.51.100.1").err == ""


def test_the_file_sets_the_format_of_what_is_wrong_with_the_input_too(
    here: Path, call: Callable[..., Ended]
) -> None:
    (here / "auditor.toml").write_text('log-format = "json"\n')
    ended = call("scan", "-i", "none.txt")
    read, event = events(ended.err)
    assert (read["event"], read["path"]) == ("settings", "auditor.toml")
    assert (ended.code, ended.out, event["event"]) == (2, "", "error")
    assert event["message"] == "none.txt: cannot be read: No such file or directory"


def test_an_interrupted_scan_says_so(here: Path) -> None:
    del here
    with running("scan", "--zones", ZONES, *JSON, "-") as process:
        start = events(read_line(process.stderr) + "\n")[0]
        assert (start["event"], start["targets"]) == ("start", None)
        process.send_signal(signal.SIGTERM)
        assert process.wait(120) == 3
        assert process.stderr is not None
        stopping, end = events(process.stderr.read().decode())
    assert (stopping["event"], stopping["why"]) == ("stopping", "interrupted")
    assert (end["how"], end["outcome"], end["code"]) == ("interrupted", "interrupted", 3)


def test_a_dead_zone_is_an_event_for_machines_only(call: Callable[..., Ended]) -> None:
    def plan(asked: Any, _transport: str, _nth: int) -> list[Any]:
        return [] if asked.name.endswith(".2.0.192.in-addr.arpa") else [answer]

    with FaultyServer(ZONE, plan) as server:
        scan = (
            "scan", "--server", f"127.0.0.1:{server.port}", "--timeout", "0.1", "--tries", "2",
            "192.0.2.0/25",
        )  # fmt: skip
        found = events(call(*scan, *JSON).err)
        text = call(*scan).err
    (dead,) = [event for event in found if event["event"] == "zone_dead"]
    del dead["time"]
    assert dead == {
        "event": "zone_dead",
        "level": "info",
        "message": "zone 2.0.192.in-addr.arpa answers nothing: each of its names is queried once",
        "zone": "2.0.192.in-addr.arpa",
    }
    assert "zone" not in text
