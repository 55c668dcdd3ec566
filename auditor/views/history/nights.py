"""Nights in Parquet files of `auditor convert`: which there are, in which order, when they were.

A night is a run. Which run a row is of stands in its columns `run` and `scanned_at`; in a file
without them, in the metadata of the file (from the manifest beside the results); else the
file is a night, and its name may have the date.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from auditor.errors import InputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["EXPECTED", "Night", "NightFile", "duckdb_module", "look_at", "ordered", "parquet_files"]

EXPECTED: Final = "expected a table of `auditor convert` (.parquet)"
_DATE: Final = re.compile(r"(?<!\d)(\d{4}-\d{2}-\d{2})(?!\d)")
_MAX_NOTE_OCTETS: Final = 16 << 20
#: Columns that are read of each kind of table: of records, and flat, one row a finding.
_RECORD_COLUMNS: Final = ("target", "verdict", "address", "findings")
_FLAT_COLUMNS: Final = ("target", "verdict", "address", "code", "severity", "subject")
_TYPES: Final = {
    "address": "BLOB",
    "findings": "STRUCT(code VARCHAR, severity VARCHAR, subject VARCHAR)[]",
}
_RUN_COLUMNS: Final = {"run": "VARCHAR", "scanned_at": "TIMESTAMP"}
_ZONES: Final = "zones"
_NOTES: Final = """
SELECT decode(key), decode(value) FROM parquet_kv_metadata(?)
WHERE starts_with(decode(key), 'auditor.') AND octet_length(value) < ?
"""
_RUNS: Final = "SELECT run, min(epoch_ms(scanned_at)) FROM source GROUP BY run ORDER BY run"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
#: Characters with a meaning in patterns for file names.
_WILD: Final = re.compile(r"[*?\[]")


class Night(NamedTuple):
    """A run: its key in the files, the first file that has it, and when it began, if known."""

    key: str
    file: str
    when: datetime | None

    @property
    def label(self) -> str:
        """The time, or the file's name where it is not known."""
        if self.when is None:
            return self.file
        shown = self.when.isoformat(timespec="seconds").replace("+00:00", "Z")
        return shown.removesuffix("T00:00:00Z")


class NightFile(NamedTuple):
    """A Parquet file: the key of rows that have none, and the columns that are read of it."""

    path: Path
    key: str
    columns: tuple[str, ...]

    @property
    def flat(self) -> bool:
        """Whether it has a row for each finding."""
        return "code" in self.columns

    def create_source_view(self, connection: Any) -> None:
        """Create the view `source` of the rows of the file, with columns about the run."""
        columns = [column for column in self.columns if column not in _RUN_COLUMNS]
        columns += [
            name if name in self.columns else f"NULL::{kind} AS {name}"
            for name, kind in _RUN_COLUMNS.items()
        ]
        rows = connection.read_parquet(_escaped(self.path))
        rows.project(", ".join(columns)).create_view("source", replace=True)


def parquet_files(names: Iterable[str]) -> list[tuple[Path, bool]]:
    """Return the files that arguments name, with whether each was named itself; folders by name.

    Raises InputError for missing files.
    """
    found: list[tuple[Path, bool]] = []
    for name in names:
        path = Path(name)
        if path.is_dir():
            inside = sorted(file for file in path.glob("*.parquet") if file.is_file())
            if not inside:
                raise InputError(f"{name}: no .parquet file in it; {EXPECTED}")
            found += [(file, False) for file in inside]
        elif path.is_file():
            found.append((path, True))
        else:
            raise InputError(f"{name}: no such file or folder; {EXPECTED}")
    return list(dict.fromkeys(found))


def look_at(connection: Any, path: Path, *, named: bool) -> tuple[NightFile, list[Night]] | None:
    """Return a file and its nights; None for a table of zones that was not named itself.

    Raises InputError for any other file.
    """
    try:
        notes = dict(connection.execute(_NOTES, [_escaped(path), _MAX_NOTE_OCTETS]).fetchall())
        if notes.get("auditor.table") == _ZONES and not named:
            return None
        rows = connection.read_parquet(_escaped(path))
        known = dict(zip(rows.columns, map(str, rows.types), strict=True))
        wanted = _RECORD_COLUMNS if "findings" in known else _FLAT_COLUMNS
        for column in wanted:
            if column not in known:
                raise InputError(f"{path}: has no column {column!r}; {EXPECTED}")
            if known[column] != _TYPES.get(column, "VARCHAR"):
                raise InputError(f"{path}: the column {column!r} is {known[column]}; {EXPECTED}")
        when = _noted(notes) or _dated(path)
        # Tables of records and of findings of one run are one night.
        key = path.name if when is None else when.isoformat()
        file = NightFile(path, key, (*wanted, *(_RUN_COLUMNS.keys() & known.keys())))
        file.create_source_view(connection)
        runs = connection.execute(_RUNS).fetchall()
    except duckdb_module().Error as error:
        raise InputError(f"{path}: cannot be read as Parquet; {EXPECTED}") from error
    return file, [
        Night(key, path.name, when) if run is None else Night(run, path.name, _time(began))
        for run, began in runs
    ]


def ordered(nights: Iterable[Night]) -> list[Night]:
    """Return the nights in order, each once: by time, or by their files if one has no time."""
    first: dict[str, Night] = {}
    for night in nights:
        first.setdefault(night.key, night)
    found = list(first.values())
    if any(night.when is None for night in found):
        return sorted(found, key=lambda night: (night.file, night.when or _EPOCH, night.key))
    return sorted(found, key=lambda night: (night.when or _EPOCH, night.file, night.key))


def duckdb_module() -> Any:
    """Return duckdb. Raises UsageError if it is not installed."""
    try:
        import duckdb  # noqa: PLC0415 - an extra
    except ImportError:
        raise UsageError("history needs duckdb: pip install 'auditor[history]'") from None
    return duckdb


def _escaped(path: Path) -> str:
    """Return a path escaped for DuckDB, which expands patterns."""
    return _WILD.sub(lambda wild: f"[{wild[0]}]", str(path))


def _time(milliseconds: int | None) -> datetime | None:
    if milliseconds is None:
        return None
    try:
        return _EPOCH + timedelta(milliseconds=milliseconds)
    except OverflowError:
        return None


def _noted(notes: Mapping[str, str]) -> datetime | None:
    """Return when the run of a file began, if it has exactly one."""
    try:
        runs: Sequence[Mapping[str, Any]] = orjson.loads(notes["auditor.runs"])
        (run,) = runs
        return datetime.fromisoformat(run["started"]).astimezone(UTC)
    except (KeyError, OverflowError, TypeError, ValueError):
        return None


def _dated(path: Path) -> datetime | None:
    """Return the date in a file's name."""
    for date in _dates(path.name):
        try:
            return datetime.fromisoformat(date).replace(tzinfo=UTC)
        except ValueError:
            continue
    return None


def _dates(name: str) -> Iterator[str]:
    return (match[1] for match in _DATE.finditer(name))
