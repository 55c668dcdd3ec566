"""The manifest of a run while it goes on, from session to session.

Also tests `output/atomic.py`.
"""

from __future__ import annotations

import errno
import json
import os
from concurrent.futures import ThreadPoolExecutor, wait
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from auditor.errors import OutputError
from auditor.output.atomic import replace_file
from auditor.run import manifest as manifest_module
from auditor.run.identity import identify
from auditor.run.manifest_writer import ManifestWriter
from auditor.run.scan import Scan
from auditor.settings import Settings
from auditor.targets.stream import TargetStream

if TYPE_CHECKING:
    from concurrent.futures import Future
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("closed_ledgers")

_START = datetime(2026, 1, 2, 2, 0, tzinfo=UTC)


class _Clock:
    def __init__(self) -> None:
        self.now = _START

    def __call__(self) -> datetime:
        return self.now


def _ledger(path: Path, clock: _Clock, *, kept: int = 0) -> tuple[ManifestWriter, Scan]:
    settings = Settings()
    stream = TargetStream(["192.0.2.0/28"])
    stream.check_inputs()
    scan = Scan(stream, settings)
    _count(scan, kept)
    identity = identify(settings, ["192.0.2.0/28"], [], [])
    return ManifestWriter(path, settings, identity, scan, now=clock), scan


def _count(scan: Scan, records: int) -> None:
    if records:
        scan.tally.count_equal_records("ip", "pass", [], "NOERROR", records)
        scan.queries = {"asked": records * 3, "answered": records * 3}


def _read(ledger: ManifestWriter) -> dict[str, Any]:
    return dict(json.loads(ledger.path.read_text()))


def test_it_is_there_from_the_beginning_and_brought_up_to_date(tmp_path: Path) -> None:
    clock = _Clock()
    ledger, scan = _ledger(tmp_path / "out.ndjson", clock)
    ledger.start_session()
    said = _read(ledger)
    assert ledger.path.name == "out.ndjson.run.json"
    assert (said["how"], said["records"], said["output"]) == ("running", 0, "out.ndjson.partial")
    assert said["fingerprint"] == ledger.identity.fingerprint
    _count(scan, 5)
    clock.now += timedelta(seconds=10)
    ledger.write_manifest(ledger.content("running"))
    said = _read(ledger)
    assert (said["records"], said["queries"]["asked"], said["lookups_per_second"]) == (5, 15, 1.5)
    ledger.write_manifest(ledger.content("finished"))
    said = _read(ledger)
    assert (said["how"], said["output"]) == ("finished", "out.ndjson")
    assert [session["how"] for session in said["sessions"]] == ["finished"]


@pytest.mark.parametrize(
    ("kept", "added"),
    [(7, [4, 3, 0]), (5, [4, 1, 0]), (3, [3, 0, 0]), (9, [4, 5, 0])],
)
def test_what_earlier_sessions_added_is_what_is_there(
    tmp_path: Path, kept: int, added: list[int]
) -> None:
    path, clock = tmp_path / "out.ndjson", _Clock()
    for how, records in (("interrupted", 4), ("running", 7)):
        before = 0 if how == "interrupted" else 4
        ledger, scan = _ledger(path, clock, kept=before)
        if before:
            ledger.continue_from(_read(ledger))
        ledger.start_session()
        _count(scan, records - before)
        clock.now += timedelta(minutes=1)
        ledger.write_manifest(ledger.content(how))
    # The second one was killed; who goes on finds more than it said, or less.
    ledger, _ = _ledger(path, clock, kept=kept)
    ledger.continue_from(_read(ledger))
    ledger.start_session()
    said = _read(ledger)
    assert [session["how"] for session in said["sessions"]] == ["interrupted", "killed", "running"]
    assert [session["records"] for session in said["sessions"]] == added
    assert (said["records"], said["started"]) == (kept, "2026-01-02T02:00:00.000+00:00")
    assert said["queries_complete"] is False


@pytest.mark.parametrize("sessions", [None, 5, [5], [{"how": "finished"}]])
def test_sessions_that_make_no_sense_are_left_out(tmp_path: Path, sessions: object) -> None:
    ledger, _ = _ledger(tmp_path / "out", _Clock())
    ledger.continue_from({"sessions": sessions})
    ledger.continue_from({})
    ledger.start_session()
    assert len(_read(ledger)["sessions"]) == 1


@pytest.mark.parametrize(
    ("given_up", "sound"),
    [([{"first": 7}, {"first": 3}], 3), ([], None), (5, None), ([{"first": []}], None)],
)
def test_what_is_sound_ends_with_the_first_that_was_given_up(
    tmp_path: Path, given_up: object, sound: int | None
) -> None:
    ledger, _ = _ledger(tmp_path / "out", _Clock())
    ledger.continue_from({"sessions": [], "given_up": given_up})
    assert ledger.first_given_up == sound


@pytest.mark.parametrize("before", [None, b'{"fingerprint": "old"}'])
def test_of_a_run_that_came_to_nothing_nothing_is_left(
    tmp_path: Path, before: bytes | None
) -> None:
    ledger, _ = _ledger(tmp_path / "out", _Clock())
    if before is not None:
        ledger.path.write_bytes(before)
    ledger.start_session()
    ledger.withdraw()
    assert [path.read_bytes() for path in tmp_path.iterdir()] == ([before] if before else [])


def test_two_threads_do_not_get_in_each_others_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, _ = _ledger(tmp_path / "out", _Clock())
    sync = os.fsync
    others: list[Future[None]] = []

    def slow(handle: int) -> None:
        # While one is being written comes the next: it has time enough, unless it waits.
        monkeypatch.setattr(os, "fsync", sync)
        others.append(pool.submit(ledger.write_manifest, ledger.content("interrupted")))
        wait(others, timeout=0.2)
        sync(handle)

    monkeypatch.setattr(os, "fsync", slow)
    with ThreadPoolExecutor(1) as pool:
        ledger.write_manifest(ledger.content("running"))
        others[0].result()
    assert _read(ledger)["how"] == "interrupted"
    assert [path.name for path in tmp_path.iterdir()] == ["out.run.json"]


def test_where_it_cannot_be_written_a_run_does_not_begin(tmp_path: Path) -> None:
    ledger, _ = _ledger(tmp_path / "no" / "out", _Clock())
    with pytest.raises(OutputError, match=r"run\.json: cannot be written: No such file"):
        ledger.start_session()
    ledger.withdraw()


def test_the_last_manifest_has_room_where_no_other_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, scan = _ledger(tmp_path / "out.ndjson", _Clock())
    ledger.start_session()
    assert sorted(tmp_path.iterdir()) == [ledger.path]
    put = replace_file

    def full(path: Path, data: bytes, *, alone: bool) -> None:
        if ledger._room is not None:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        put(path, data, alone=alone)

    monkeypatch.setattr(manifest_module, "replace_file", full)
    _count(scan, 3)
    with pytest.raises(OutputError, match="No space left"):
        ledger.write_manifest(ledger.content("running"))
    ledger.conclude(ledger.content("no space left"))
    assert (_read(ledger)["how"], _read(ledger)["records"]) == ("no space left", 3)


def test_a_disk_with_room_for_the_manifest_alone_is_enough_to_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Path) -> NoReturn:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("auditor.run.manifest_writer.nameless_file", full)
    ledger, _ = _ledger(tmp_path / "out.ndjson", _Clock())
    ledger.start_session()
    ledger.conclude(ledger.content("finished"))
    assert _read(ledger)["how"] == "finished"
