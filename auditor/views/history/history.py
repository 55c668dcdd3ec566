"""History of findings: first and last seen, how often they came and went, counts by night.

DuckDB reads the Parquet files and does the work: it goes to disk for what is more than memory.

A finding is gone in a night in which its target was audited and does not have it. Where the
target was not audited, or anything about it was undetermined, that night does not count.
"""

from __future__ import annotations

import tempfile
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

from auditor.errors import InputError
from auditor.output.columns import mapped_octets
from auditor.output.temporary import temporary_error
from auditor.views.history.nights import (
    Night,
    NightFile,
    duckdb_module,
    look_at,
    ordered,
    parquet_files,
)

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import TracebackType

__all__ = ["History", "Wanted"]

_MEMORY: Final = "1GB"
_ROWS: Final = 1024
_VERDICTS: Final = ("pass", "warn", "fail", "unknown")
_DAY_S: Final = 86_400

_TABLES: Final = """
CREATE TABLE nights (key VARCHAR, number INTEGER);
CREATE TABLE wanted_codes (code VARCHAR);
CREATE TABLE wanted_names (name VARCHAR);
CREATE TABLE wanted_spans (first BLOB, last BLOB);
CREATE TABLE audited (night INTEGER, target VARCHAR, verdict VARCHAR);
CREATE TABLE found (night INTEGER, target VARCHAR, address BLOB, code VARCHAR, severity VARCHAR,
                    subject VARCHAR);
"""

_FILL: Final = {
    "nights": "INSERT INTO nights VALUES (?, ?)",
    "codes": "INSERT INTO wanted_codes VALUES (?)",
    "names": "INSERT INTO wanted_names VALUES (?)",
    "spans": "INSERT INTO wanted_spans VALUES (?, ?)",
}

#: `$key` stands for the run of rows without one, `$all` and `$every` for no choice.
_TAKE_TARGETS: Final = """
INSERT INTO audited
SELECT DISTINCT number, target, verdict
FROM source JOIN nights ON nights.key = coalesce(run, $key)
WHERE $all OR target IN (FROM wanted_names)
      OR EXISTS (SELECT 1 FROM wanted_spans WHERE address BETWEEN first AND last)
"""
_TAKE_ROWS: Final = """
INSERT INTO found
SELECT DISTINCT number, target, address, code, severity, subject
FROM source JOIN nights ON nights.key = coalesce(run, $key)
WHERE ($all OR target IN (FROM wanted_names)
       OR EXISTS (SELECT 1 FROM wanted_spans WHERE address BETWEEN first AND last))
      AND code IS NOT NULL AND ($every OR code IN (FROM wanted_codes))
"""
_TAKE_LISTS: Final = """
INSERT INTO found
WITH nested AS (
    SELECT number, target, address, unnest(findings) AS finding
    FROM source JOIN nights ON nights.key = coalesce(run, $key)
    WHERE $all OR target IN (FROM wanted_names)
          OR EXISTS (SELECT 1 FROM wanted_spans WHERE address BETWEEN first AND last)
)
SELECT DISTINCT number, target, address, finding.code, finding.severity, finding.subject
FROM nested WHERE $every OR finding.code IN (FROM wanted_codes)
"""

#: A spell is a time that a finding was there, until it was gone.
_SPELLS: Final = """
CREATE TABLE spells AS
WITH sure AS (
    SELECT target, night, (verdict <> 'unknown')::INTEGER AS is_sure,
           sum((verdict <> 'unknown')::INTEGER) OVER (PARTITION BY target ORDER BY night) AS so_far
    FROM (SELECT night, target, min(verdict) AS verdict FROM audited GROUP BY ALL)
    SEMI JOIN found USING (target)
), seen AS (
    SELECT f.*, so_far, so_far - is_sure AS before,
           lag(so_far) OVER (PARTITION BY f.target, code, subject ORDER BY f.night) AS previous
    FROM (SELECT night, target, any_value(address) AS address, code, max(severity) AS severity,
                 subject FROM found GROUP BY night, target, code, subject) AS f
    JOIN sure ON sure.target = f.target AND sure.night = f.night
), numbered AS (
    SELECT *, sum((previous IS NULL OR before > previous)::INTEGER)
        OVER (PARTITION BY target, code, subject ORDER BY night) AS spell
    FROM seen
), spells AS (
    SELECT target, any_value(address) AS address, code, subject, spell,
           arg_max(severity, night) AS severity, min(night) AS first, max(night) AS last,
           count(*) AS nights
    FROM numbered GROUP BY target, code, subject, spell
)
SELECT spells.*, later.night AS gone
FROM spells ASOF LEFT JOIN (SELECT target, night FROM sure WHERE is_sure = 1) AS later
     ON later.target = spells.target AND later.night > spells.last
"""

_FINDINGS: Final = """
SELECT target, code, subject, arg_max(severity, spell), min(first), max(last), sum(nights),
       count(*), max(first), arg_max(coalesce(gone, -1), spell)
FROM spells GROUP BY target, code, subject
ORDER BY any_value(address) NULLS LAST, target, code, subject
"""


class Wanted(NamedTuple):
    """What the history is of: all findings, or those of some codes and targets.

    `spans` are addresses as (IP version, first, last); `names` are targets as they are written.
    """

    codes: Sequence[str] = ()
    spans: Sequence[tuple[int, int, int]] = ()
    names: Sequence[str] = ()


class History:
    """The findings of Parquet files or folders of them, over the nights. Use it in a `with`.

    Raises InputError for files that are no tables of `auditor convert`, UsageError if duckdb is
    not installed.
    """

    def __init__(self, names: Sequence[str], wanted: Wanted) -> None:
        self._duckdb = duckdb_module()
        files = parquet_files(names)
        try:
            self._folder = tempfile.TemporaryDirectory(prefix="auditor-history-")
        except OSError as error:
            raise temporary_error(error) from error
        self._connection = self._duckdb.connect(
            ":memory:",
            config={
                "memory_limit": _MEMORY,
                "temp_directory": self._folder.name,
                # No file may have anything fetched from the network.
                "autoinstall_known_extensions": "false",
                "autoload_known_extensions": "false",
            },
        )
        self.nights: list[Night] = []
        try:
            self._load(files, wanted)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Free memory and disk."""
        self._connection.close()
        self._folder.cleanup()

    def night_lines(self) -> Iterator[dict[str, Any]]:
        """Yield a line for each night, in order.

        {"type":"night","night","file","targets","verdicts":{VERDICT: n},
         "findings":{CODE: n},"appeared","gone"}: `appeared` and `gone` are findings that were
        not there, or are no longer, as far as that is known; null for the first night.
        """
        verdicts = self._counts("SELECT night, verdict, count(DISTINCT target) FROM audited")
        codes = self._counts("SELECT night, code, count(DISTINCT (target, subject)) FROM found")
        appeared = dict(self._rows("SELECT first, count(*) FROM spells GROUP BY first"))
        gone = dict(self._rows("SELECT gone, count(*) FROM spells GROUP BY gone"))
        for number, night in enumerate(self.nights):
            counts = verdicts.get(number, {})
            yield {
                "type": "night",
                "night": night.label,
                "file": night.file,
                "targets": sum(counts.values()),
                "verdicts": {verdict: counts.get(verdict, 0) for verdict in _VERDICTS},
                "findings": codes.get(number, {}),
                "appeared": appeared.get(number, 0) if number else None,
                "gone": gone.get(number, 0) if number else None,
            }

    def finding_lines(self) -> Iterator[dict[str, Any]]:
        """Yield a line for each finding of each target, by target.

        {"type":"finding","target","code","severity","subject","state","first_seen","last_seen",
         "since","gone","nights","times","age_days"}: `state` is `open` or `gone`; `since` is when
        it came the last time, `gone` the first night without it, null while it is open; `nights`
        in which it was seen, `times` that it came; `age_days` from `since` to the last night, or
        to `gone`, null where times are not known.
        """
        for row in self._rows(_FINDINGS):
            target, code, subject, severity, first, last, seen, times, since, gone = row
            end = len(self.nights) - 1 if gone < 0 else gone
            yield {
                "type": "finding",
                "target": target,
                "code": code,
                "severity": severity,
                "subject": subject,
                "state": "open" if gone < 0 else "gone",
                "first_seen": self.nights[first].label,
                "last_seen": self.nights[last].label,
                "since": self.nights[since].label,
                "gone": None if gone < 0 else self.nights[gone].label,
                "nights": int(seen),
                "times": times,
                "age_days": self._days(since, end),
            }

    def _days(self, first: int, last: int) -> int | None:
        began, ended = self.nights[first].when, self.nights[last].when
        if began is None or ended is None:
            return None
        return round((ended - began).total_seconds() / _DAY_S)

    def _counts(self, query: str) -> dict[int, dict[str, int]]:
        counts: dict[int, dict[str, int]] = {}
        for night, key, number in self._rows(f"{query} GROUP BY ALL ORDER BY ALL"):
            counts.setdefault(night, {})[key] = number
        return counts

    def _rows(self, query: str) -> Iterator[tuple[Any, ...]]:
        try:
            cursor = self._connection.cursor().execute(query)
            while rows := cursor.fetchmany(_ROWS):
                yield from rows
        except self._duckdb.Error as error:
            raise InputError(f"history: {_first_line(error)}") from error

    def _load(self, paths: Sequence[tuple[Any, bool]], wanted: Wanted) -> None:
        """Read the files. Raises InputError."""
        looked = [look_at(self._connection, path, named=named) for path, named in paths]
        files = [path for path in looked if path is not None]
        self.nights = ordered(night for _, nights in files for night in nights)
        if not self.nights:
            raise InputError("no records in any of the files: there is no history")
        self._fill(wanted)
        for file, _ in files:
            try:
                self._read(file, wanted)
            except self._duckdb.Error as error:
                message = f"{file.path}: cannot be read to its end: {_first_line(error)}"
                raise InputError(message) from error
        self._connection.execute(_SPELLS)

    def _fill(self, wanted: Wanted) -> None:
        """Make the tables, and fill those that choose."""
        self._connection.execute(_TABLES)
        rows: dict[str, list[tuple[Any, ...]]] = {
            "nights": [(night.key, number) for number, night in enumerate(self.nights)],
            "codes": [(code,) for code in wanted.codes],
            "names": [(name,) for name in wanted.names],
            "spans": [
                (mapped_octets(version, first), mapped_octets(version, last))
                for version, first, last in wanted.spans
            ],
        }
        for name, values in rows.items():
            if values:
                self._connection.executemany(_FILL[name], values)

    def _read(self, file: NightFile, wanted: Wanted) -> None:
        """Take the rows of a file."""
        file.create_source_view(self._connection)
        chosen = {"key": file.key, "all": not (wanted.spans or wanted.names)}
        self._connection.execute(_TAKE_TARGETS, chosen)
        take = _TAKE_ROWS if file.flat else _TAKE_LISTS
        self._connection.execute(take, {**chosen, "every": not wanted.codes})


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
