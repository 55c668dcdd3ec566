"""The manifest: whole or not there, what it says, how sessions add up."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from auditor import __version__
from auditor.errors import OutputError
from auditor.output.tally import Tally
from auditor.run.identity import identify
from auditor.run.manifest import (
    KILLED,
    Session,
    manifest,
    manifest_path,
    peak_memory,
    read_manifest,
    write_manifest,
)
from auditor.settings import Server, Settings

_STARTED = datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC)
_SETTINGS = Settings(servers=(Server("127.0.0.1", 5300),))
_QUERIES = {"asked": 12, "cached": 2, "joined": 1, "answered": 8, "failed": 1, "open": 0}


def _session(**changes: Any) -> Session:
    whole: dict[str, Any] = {
        "started": _STARTED,
        "ended": _STARTED + timedelta(seconds=2),
        "how": "finished",
        "records": 4,
        "queries": _QUERIES,
        "peak_memory": 1 << 20,
    }
    return Session(**{**whole, **changes})


def _manifest(*sessions: Session) -> dict[str, Any]:
    tally = Tally()
    tally.count_equal_records("ip", "warn", [("PTR_GENERIC", "warning")], "NOERROR", 3)
    tally.count_equal_records("ip", "fail", [("PTR_MISSING", "error")], "NXDOMAIN", 1)
    return manifest(
        _SETTINGS,
        identify(_SETTINGS, ["192.0.2.0/30"], [], []),
        output="out.ndjson",
        inputs={"targets": 4, "invalid": 0, "excluded": 0},
        sessions=sessions or [_session()],
        tally=tally,
    )


def test_it_says_what_was_asked_what_was_done_and_how_it_ended() -> None:
    content = _manifest()
    assert content["auditor"] == __version__
    assert content["output"] == "out.ndjson"
    assert content["fingerprint"] == identify(_SETTINGS, ["192.0.2.0/30"], [], []).fingerprint
    assert content["inputs"] == {
        "arguments": ["192.0.2.0/30"],
        "files": [],
        "excludes": [],
        "options": [],
        "targets": 4,
        "invalid": 0,
        "excluded": 0,
    }
    assert content["started"] == "2026-01-02T03:04:05.678+00:00"
    assert content["ended"] == "2026-01-02T03:04:07.678+00:00"
    assert content["how"] == "finished"
    assert content["settings"]["servers"] == ["127.0.0.1:5300"]
    assert content["peak_memory"] == 1 << 20


def test_its_counts_add_up() -> None:
    content = _manifest()
    assert content["records"] == 4
    for part in ("kinds", "verdicts", "ptr_statuses"):
        assert sum(content[part].values()) == 4
    assert content["findings"] == {"PTR_GENERIC": 3, "PTR_MISSING": 1}
    queries = content["queries"]
    parts = ("cached", "joined", "answered", "failed", "open")
    assert queries["asked"] == sum(queries[part] for part in parts)
    assert content["lookups_per_second"] == 6.0
    assert content["queries_complete"] is True


def test_sessions_stand_one_by_one_and_added_up() -> None:
    later = _STARTED + timedelta(days=1)
    content = _manifest(
        _session(how=KILLED, records=1, queries={"asked": 4, "answered": 3, "open": 1}),
        _session(how="no server is left to ask", records=0, queries={}),
        _session(started=later, ended=later + timedelta(seconds=4), peak_memory=2, records=3),
    )
    assert content["started"] == "2026-01-02T03:04:05.678+00:00"
    assert content["ended"] == "2026-01-03T03:04:09.678+00:00"
    assert content["how"] == "finished"
    assert content["queries"] == {**_QUERIES, "asked": 16, "answered": 11, "open": 1}
    assert content["lookups_per_second"] == 2.0
    assert content["peak_memory"] == 1 << 20
    # What the killed one asked at last, nobody knows.
    assert content["queries_complete"] is False
    noted = json.loads(json.dumps(content["sessions"]))
    assert [session["how"] for session in noted] == [KILLED, "no server is left to ask", "finished"]
    again = [Session.read(session).noted() for session in noted]
    assert again == noted


def test_a_counter_that_one_session_does_not_know_is_not_known() -> None:
    content = _manifest(_session(queries={"sent": 3, "lost": None}), _session(queries={"lost": 2}))
    assert content["queries"] == {"sent": 3, "lost": None}


@pytest.mark.parametrize("queries", [{}, {"asked": None}, {"asked": 0}])
def test_a_run_that_ended_before_it_asked_has_a_manifest_too(queries: dict[str, Any]) -> None:
    content = _manifest(_session(queries=queries, ended=_STARTED, how="no server is left to ask"))
    assert (content["lookups_per_second"], content["how"]) == (0.0, "no server is left to ask")


@pytest.mark.parametrize(
    "change", [{"started": 5}, {"queries": {"a": "b"}}, {"queries": []}, {"records": "x"}]
)
def test_a_session_that_makes_no_sense_is_refused(change: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError)):
        Session.read({**_session().noted(), **change})


# --- The file


def test_it_is_put_in_place_whole_and_as_public_as_other_files(tmp_path: Path) -> None:
    path = manifest_path(tmp_path / "out.ndjson")
    assert path.name == "out.ndjson.run.json"
    before = os.umask(0o022)
    try:
        write_manifest(path, _manifest())
        # A process that was killed at the worst moment has left this.
        (tmp_path / ".out.ndjson.run.json.new").write_text("{")
        write_manifest(path, _manifest(_session(how="interrupted")))
    finally:
        os.umask(before)
    assert read_manifest(path)["how"] == "interrupted"
    assert path.read_bytes().endswith(b"}\n")
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("broken", ["write", "replace"])
def test_if_it_cannot_be_written_the_old_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    path = tmp_path / "out.ndjson.run.json"
    write_manifest(path, {"how": "finished"})
    old = path.read_bytes()

    def fail(*_args: object) -> None:
        raise OSError(28, "No space left on device")

    if broken == "write":
        monkeypatch.setattr(os, "fsync", fail)
    else:
        monkeypatch.setattr(Path, "replace", fail)
    with pytest.raises(OutputError, match=r"run\.json: cannot be written: No space left"):
        write_manifest(path, {"how": "interrupted"})
    assert path.read_bytes() == old
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"no/out\.run\.json: cannot be written: No such file"):
        write_manifest(tmp_path / "no" / "out.run.json", {})


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"fingerprint": 5}', "\x00" * 10])
def test_what_is_no_manifest_is_not_read_as_one(tmp_path: Path, text: str) -> None:
    (tmp_path / "x").write_text(text)
    with pytest.raises(ValueError, match=r"manifest|JSON|EOF|expected|empty"):
        read_manifest(tmp_path / "x")


def test_peak_memory_is_in_octets_and_of_this_process() -> None:
    assert 5 << 20 < peak_memory() < 1 << 40
    before = peak_memory()
    held = bytearray(64 << 20)
    held[:: 1 << 12] = b"x" * len(held[:: 1 << 12])
    assert peak_memory() >= before
    assert peak_memory() >= len(held)


def test_peak_memory_is_known_without_proc_too(monkeypatch: pytest.MonkeyPatch) -> None:
    def absent(*_args: object) -> None:
        raise FileNotFoundError

    monkeypatch.setattr("builtins.open", absent)
    assert 5 << 20 < peak_memory() < 1 << 40
