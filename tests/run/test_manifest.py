"""The manifest: whole or not there, what it says, and what its fingerprint depends on."""

from __future__ import annotations

import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from auditor import __version__
from auditor.errors import OutputError
from auditor.run.manifest import effective, fingerprint, manifest, peak_memory, write_manifest
from auditor.run.tally import Tally
from auditor.settings import Server, Settings

if TYPE_CHECKING:
    from collections.abc import Sequence

_STARTED = datetime(2026, 1, 2, 3, 4, 5, 678_901, UTC)


def _manifest(**changes: Any) -> dict[str, Any]:
    tally = Tally()
    tally.count("ip", "warn", [("PTR_GENERIC", "warning")], "NOERROR", 3)
    tally.count("ip", "fail", [("PTR_MISSING", "error")], "NXDOMAIN", 1)
    arguments: dict[str, Any] = {
        "digest": "abc",
        "inputs": {"arguments": ["192.0.2.0/30"], "files": [], "excludes": [], "targets": 4},
        "started": _STARTED,
        "ended": _STARTED + timedelta(seconds=2),
        "tally": tally,
        "queries": {"asked": 12, "cached": 2, "joined": 1, "answered": 8, "failed": 1, "open": 0},
        "how": "finished",
        **changes,
    }
    return manifest(Settings(servers=(Server("127.0.0.1", 5300),)), **arguments)


def test_it_says_what_was_asked_what_was_done_and_how_it_ended() -> None:
    content = _manifest()
    assert content["auditor"] == __version__
    assert content["fingerprint"] == "abc"
    assert content["inputs"]["targets"] == 4
    assert content["started"] == "2026-01-02T03:04:05.678+00:00"
    assert content["ended"] == "2026-01-02T03:04:07.678+00:00"
    assert content["how"] == "finished"
    assert content["settings"]["servers"] == ["127.0.0.1:5300"]
    assert content["peak_memory"] > 1 << 20


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


@pytest.mark.parametrize("queries", [{}, {"asked": None}, {"asked": 0}])
def test_a_run_that_ended_before_it_asked_has_a_manifest_too(queries: dict[str, Any]) -> None:
    content = _manifest(queries=queries, ended=_STARTED, how="no server is left to ask")
    assert (content["lookups_per_second"], content["how"]) == (0.0, "no server is left to ask")


def test_settings_are_plain_values() -> None:
    changed = {"PTR_MISSING": "info"}
    values = effective(Settings(zones=Path("zones"), mail_from=("a.net",), severities=changed))
    lists = {"mail_from": ["a.net"], "select": [], "ignore": []}
    assert json.loads(json.dumps(values)) == {**values, **lists}
    assert values["zones"] == "zones"
    assert set(values) == set(Settings.__dataclass_fields__)


# --- The file


def test_it_is_put_in_place_whole_and_as_public_as_other_files(tmp_path: Path) -> None:
    path = tmp_path / "out.ndjson.run.json"
    before = os.umask(0o022)
    try:
        write_manifest(path, _manifest())
        write_manifest(path, _manifest(how="interrupted"))
    finally:
        os.umask(before)
    assert json.loads(path.read_text("utf-8"))["how"] == "interrupted"
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


def test_peak_memory_is_in_octets() -> None:
    assert 5 << 20 < peak_memory() < 1 << 40


# --- The fingerprint


@pytest.fixture
def lists(tmp_path: Path) -> Path:
    (tmp_path / "a.txt").write_text("192.0.2.1\n", "ascii")
    (tmp_path / "b.txt").write_text("192.0.2.2\n", "ascii")
    (tmp_path / "no.txt").write_text("192.0.2.9\n", "ascii")
    return tmp_path


def _print(
    lists: Path,
    *,
    arguments: Sequence[str] = ("198.51.100.0/24",),
    files: Sequence[str] = ("a.txt", "b.txt"),
    excludes: Sequence[str] = ("198.51.100.7", "@no.txt"),
    **settings: Any,
) -> str:
    named = [name if name == "-" else str(lists / name) for name in files]
    out = [f"@{lists / text[1:]}" if text.startswith("@") else text for text in excludes]
    return fingerprint(Settings(**settings), arguments, named, out)


def test_the_same_inputs_and_settings_have_one_fingerprint(lists: Path, tmp_path: Path) -> None:
    assert _print(lists) == _print(lists)
    other = tmp_path / "elsewhere"
    other.mkdir()
    for name in ("a.txt", "b.txt", "no.txt"):
        (other / name).write_bytes((lists / name).read_bytes())
    # Where a file lies says nothing about what is in it.
    assert _print(other) == _print(lists)


@pytest.mark.parametrize(
    "change",
    [
        {"arguments": ["198.51.100.0/25"]},
        {"files": ["b.txt", "a.txt"]},
        {"files": ["a.txt"]},
        {"files": ["a.txt", "b.txt", "-"]},
        {"excludes": []},
        {"excludes": ["198.51.100.8", "@no.txt"]},
        {"helo": "mx.example.net"},
        {"mail_from": ("example.net",)},
        {"spf": False},
        {"trace": True},
        {"select": ("PTR",)},
        {"ignore": ("SPF",)},
        {"severities": {"PTR_MISSING": "info"}},
        {"servers": (Server("127.0.0.1"),)},
        {"zones": Path("zones")},
    ],
)
def test_what_decides_the_records_changes_it(lists: Path, change: dict[str, Any]) -> None:
    assert _print(lists, **change) != _print(lists)


@pytest.mark.parametrize(
    "change",
    [
        {"concurrency": 5},
        {"qps": 10.0},
        {"server_qps": 10.0},
        {"server_check": False},
        {"timeout": 1.0},
        {"tries": 1},
        {"cache_size": 0},
        {"fail_on": "error"},
        {"max_targets": 1000},
    ],
)
def test_what_decides_only_the_pace_does_not(lists: Path, change: dict[str, Any]) -> None:
    assert _print(lists, **change) == _print(lists)


@pytest.mark.parametrize("name", ["a.txt", "b.txt", "no.txt"])
def test_files_count_by_what_is_in_them(lists: Path, name: str) -> None:
    before = _print(lists)
    (lists / name).write_text("192.0.2.77\n", "ascii")
    assert _print(lists) != before


def test_a_pipe_is_not_read_for_it(lists: Path) -> None:
    os.mkfifo(lists / "pipe")
    assert _print(lists, files=["pipe"]) == _print(lists, files=["pipe"])
