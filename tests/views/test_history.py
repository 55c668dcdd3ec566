"""History: since when findings are there, how often they came and went, over many nights."""

from __future__ import annotations

import socket
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet
from views.making import address, finding

from auditor.errors import InputError, UsageError
from auditor.output.columns import RunStamp
from auditor.output.parquet import write_parquet
from auditor.views.history.history import History, Wanted

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_TARGET = "192.0.2.1"


def _record(verdict: str, *codes: str, target: str = _TARGET) -> dict[str, Any]:
    return address(target, verdict, findings=[finding(code, subject=target) for code in codes])


def _night(
    folder: Path,
    day: int,
    *records: dict[str, Any],
    name: str | None = None,
    stamped: bool = True,
    **more: Any,
) -> None:
    """Write the table of a night."""
    when = datetime(2026, 11, day, 2, tzinfo=UTC)
    stamp = RunStamp(f"run {day}", when) if stamped else RunStamp(None, None)
    with (folder / (name or f"{day}.parquet")).open("wb") as file:
        write_parquet(records, file, stamp=stamp, **more)


def _findings(paths: Iterable[Path], wanted: Wanted | None = None) -> list[dict[str, Any]]:
    with History([str(path) for path in paths], wanted or Wanted()) as history:
        return list(history.finding_lines())


def _nights(*paths: Path) -> list[dict[str, Any]]:
    with History([str(path) for path in paths], Wanted()) as history:
        return list(history.night_lines())


def _courses(folder: Path, *courses: tuple[str, ...]) -> list[dict[str, Any]]:
    """Return the lines of findings that are there in each night that fails; - is no audit."""
    for day, verdicts in enumerate(zip(*courses, strict=True), 1):
        records = [
            _record(verdict, *["PTR_MISSING"] * (verdict == "fail"), target=f"192.0.2.{number}")
            for number, verdict in enumerate(verdicts, 1)
            if verdict != "-"
        ]
        _night(folder, day, *records)
    return _findings([folder])


def test_a_finding_that_went_and_came_is_counted_and_its_age_begins_anew(tmp_path: Path) -> None:
    (line,) = _courses(tmp_path, ("fail", "pass", "fail", "fail"))
    assert line == {
        "type": "finding",
        "target": _TARGET,
        "code": "PTR_MISSING",
        "severity": "error",
        "subject": _TARGET,
        "state": "open",
        "first_seen": "2026-11-01T02:00:00Z",
        "last_seen": "2026-11-04T02:00:00Z",
        "since": "2026-11-03T02:00:00Z",
        "gone": None,
        "nights": 3,
        "times": 2,
        "age_days": 1,
    }


def test_a_night_that_knows_nothing_ends_no_finding(tmp_path: Path) -> None:
    lines = _courses(
        tmp_path,
        ("fail", "pass", "pass", "pass"),
        ("fail", "unknown", "pass", "pass"),
        ("fail", "unknown", "fail", "fail"),
        ("fail", "-", "fail", "fail"),
        ("fail", "-", "-", "unknown"),
        ("pass", "fail", "fail", "fail"),
        ("fail", "warn", "fail", "pass"),
    )
    assert [(line["state"], line["times"], line["gone"]) for line in lines] == [
        ("gone", 1, "2026-11-02T02:00:00Z"),
        ("gone", 1, "2026-11-03T02:00:00Z"),
        ("open", 1, None),
        ("open", 1, None),
        ("open", 1, None),
        ("open", 1, None),
        ("gone", 2, "2026-11-04T02:00:00Z"),
    ]


def test_nights_are_counted_in_the_order_of_their_runs(tmp_path: Path) -> None:
    _night(tmp_path, 2, _record("fail", "PTR_MISSING"), name="a.parquet")
    _night(tmp_path, 1, _record("fail", "PTR_GENERIC", "FORWARD_MISSING"), name="b.parquet")
    first, second = _nights(tmp_path)
    assert (first["night"], first["file"]) == ("2026-11-01T02:00:00Z", "b.parquet")
    assert first["findings"] == {"FORWARD_MISSING": 1, "PTR_GENERIC": 1}
    assert (first["appeared"], first["gone"]) == (None, None)
    assert (second["appeared"], second["gone"]) == (1, 2)
    assert second["verdicts"] == {"pass": 0, "warn": 0, "fail": 1, "unknown": 0}


def test_tables_of_records_and_of_findings_of_a_run_are_one_night(tmp_path: Path) -> None:
    _night(tmp_path, 1, _record("fail", "PTR_MISSING"))
    _night(tmp_path, 1, _record("fail", "PTR_MISSING"), name="flat.parquet", flat=True)
    (night,) = _nights(tmp_path)
    assert (night["targets"], night["findings"]) == (1, {"PTR_MISSING": 1})


def test_a_flat_table_has_targets_without_findings_too(tmp_path: Path) -> None:
    _night(tmp_path, 1, _record("fail", "PTR_MISSING"), flat=True)
    _night(tmp_path, 2, _record("pass"), flat=True)
    (line,) = _findings([tmp_path])
    assert (line["state"], line["gone"]) == ("gone", "2026-11-02T02:00:00Z")


def test_without_columns_the_manifest_in_the_file_or_its_name_tells_the_night(
    tmp_path: Path,
) -> None:
    started = '[{"file":"x","started":"2026-11-05T02:00:00Z"}]'
    missing = _record("fail", "PTR_MISSING")
    _night(tmp_path, 1, missing, name="a.parquet", stamped=False, notes={"auditor.runs": started})
    _night(tmp_path, 1, missing, name="z-2026-11-03.parquet", stamped=False)
    assert [night["night"] for night in _nights(tmp_path)] == ["2026-11-03", "2026-11-05T02:00:00Z"]
    # One without any time: then all are in the order of their names.
    _night(tmp_path, 1, missing, name="m.parquet", stamped=False, notes={"auditor.runs": "[]"})
    assert [night["file"][0] for night in _nights(tmp_path)] == ["a", "m", "z"]
    (line,) = _findings([tmp_path / "m.parquet"])
    assert (line["since"], line["age_days"]) == ("m.parquet", None)


def test_findings_and_targets_are_chosen(tmp_path: Path) -> None:
    last = _record("fail", "PTR_MISSING", "PTR_GENERIC", target="2001:db8::1")
    _night(tmp_path, 1, _record("fail", "PTR_MISSING"), last)
    span = (4, int.from_bytes(socket.inet_aton("192.0.2.0")), 0xC00002FF)
    assert [line["target"] for line in _findings([tmp_path])] == [_TARGET, *["2001:db8::1"] * 2]
    assert [line["target"] for line in _findings([tmp_path], Wanted((), [span]))] == [_TARGET]
    (line,) = _findings([tmp_path], Wanted(["PTR_GENERIC"], [], ["2001:db8::1"]))
    assert line["code"] == "PTR_GENERIC"


def test_a_name_of_a_file_is_no_pattern_and_no_sql(tmp_path: Path) -> None:
    _night(tmp_path, 1, _record("fail", "PTR_MISSING"), name="a[1]'*?.parquet")
    _night(tmp_path, 2, _record("pass"), name="a1'x.parquet")
    (night,) = _nights(tmp_path / "a[1]'*?.parquet")
    assert night["targets"] == 1


def test_tables_of_zones_in_a_folder_are_passed_over(tmp_path: Path) -> None:
    _night(tmp_path, 1, _record("pass"))
    zones = pa.table({"zone": ["example"]}).replace_schema_metadata({"auditor.table": "zones"})
    parquet.write_table(zones, tmp_path / "zones.parquet")
    assert len(_nights(tmp_path)) == 1
    (tmp_path / "1.parquet").unlink()
    with pytest.raises(InputError, match=r"^no records in any of the files: there is no history$"):
        _nights(tmp_path)


_FINDING = [[{"code": "X", "severity": "error", "subject": "x"}]]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (None, "cannot be read as Parquet; expected a table of `auditor convert`"),
        ({"a": [1]}, "has no column 'target'; expected a table"),
        (
            {"target": ["x"], "verdict": ["pass"], "address": [b"x"], "findings": [1]},
            "the column 'findings' is BIGINT; expected a table",
        ),
        (
            {"target": ["x"], "verdict": [[1]], "address": [b"x"], "findings": _FINDING},
            "the column 'verdict' is BIGINT[]; expected a table",
        ),
    ],
)
def test_a_foreign_file_is_told(tmp_path: Path, table: Any, message: str) -> None:
    path = tmp_path / "x.parquet"
    if table is None:
        path.write_bytes(b"PAR1 or so")
    else:
        parquet.write_table(pa.table(table), path)
    with pytest.raises(InputError, match=r"x\.parquet: ") as caught:
        _nights(path)
    assert message in str(caught.value)


def test_a_file_that_is_damaged_inside_is_told(tmp_path: Path) -> None:
    _night(tmp_path, 1, *(_record("fail", "PTR_MISSING") for _ in range(50)))
    path = tmp_path / "1.parquet"
    octets = bytearray(path.read_bytes())
    octets[4:200] = bytes(196)
    path.write_bytes(octets)
    with pytest.raises(InputError, match=r"1\.parquet: (cannot be read to its end|cannot be read)"):
        _nights(path)


def test_without_duckdb_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "duckdb", None)
    with pytest.raises(
        UsageError, match=r"^history needs duckdb: pip install 'auditor\[history\]'$"
    ):
        _nights(tmp_path)
