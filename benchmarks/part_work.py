"""Users' workloads, measured against goals: names of all kinds, domains, tables, start."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks import measure
from benchmarks.runners import scan
from benchmarks.serving import serve
from benchmarks.tables import Samples, Table
from benchmarks.view_material import OLD, SHUFFLED
from benchmarks.work_material import ADDRESSES, BLOCKS, DOMAINS, write_work_zones

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from benchmarks.options import Options

__all__ = ["run"]

_RECORDS: Final = 995_000
_FEW_RECORDS: Final = 100_000
_ONE: Final = "one address"
_ZONE: Final = "one address of a zone file"
_CHECKZONE: Final = "named-checkzone"
_DUCKDB: Final = "DuckDB, records to Parquet"
_DUCKDB_CODE: Final = (
    "import duckdb, sys; duckdb.sql(\"copy (select * from read_json_auto('%s')) to '%s'"
    ' (format parquet, compression zstd)" % tuple(sys.argv[1:]))'
)


class _Row(NamedTuple):
    """A row of the table: the workload, its unit, and the goal as a maximum."""

    work: str
    unit: str
    wanted: float
    measured: Callable[[Samples], float]


def _micros(samples: Samples, row: str, number: int) -> float:
    """Return microseconds of CPU for each of `number` targets, without the start."""
    cpu = samples.median(row, lambda run: run.cpu) - samples.median(_ONE, lambda run: run.cpu)
    return cpu / number * 1e6


def _times(samples: Samples, row: str, other: str = "clean") -> float:
    return _micros(samples, row, 1) / _micros(samples, other, 1)


def _a_lookup(samples: Samples, row: str) -> float:
    """Return the CPU of a lookup as a multiple of that of the clean block."""
    share = samples[row][-1].asked / samples["clean"][-1].asked
    return _times(samples, row) / share


def _seconds(samples: Samples, row: str) -> float:
    return samples.median(row, lambda run: run.cpu)


_NAMES: Final = (
    _Row("mixed block, CPU a lookup", "times clean", 1.5, lambda s: _a_lookup(s, "mixed")),
    _Row("names in domains of their own", "times clean", 1.3, lambda s: _times(s, "own domains")),
    _Row("addresses with two names", "times clean", 2.5, lambda s: _times(s, "two names")),
    _Row("addresses behind an alias", "times clean", 2.0, lambda s: _times(s, "alias")),
    _Row("domains (MX, SPF)", "µs each", 300, lambda s: _micros(s, "domains", DOMAINS)),
    _Row("given HELO domains", "µs each", 80, lambda s: _micros(s, "helos", ADDRESSES)),
    _Row("scan of one address", "ms", 110, lambda s: _seconds(s, _ONE) * 1e3),
    _Row("the clean block by --zones", "times server", 1.0, lambda s: _times(s, "zones", "clean")),
)
#: Goals in seconds, for _RECORDS records.
_TABLES: Final = {
    "records to Parquet": 9.0,
    "records to flat Parquet": 13.0,
    "records to CSV": 9.0,
    "records to flat CSV": 13.0,
    "report": 10.0,
    "diff, other order": 10.0,
}


_LARGE_ZONE: Final = _Row(
    _ZONE, "times named-checkzone", 2.0, lambda s: _seconds(s, _ZONE) / _seconds(s, _CHECKZONE)
)


def run(options: Options) -> Iterator[Table]:
    """Measure scans, then commands over their results."""
    zones = write_work_zones(options.folder / "work")
    samples = Samples()
    with serve("knot", zones) as server:
        asked = ["--server", f"127.0.0.1:{server.port}"]
        scans = {
            _ONE: [*asked, "20.30.0.1"],
            **{name: [*asked, block] for name, block in BLOCKS.items()},
            "domains": [*asked, "--input", str(zones / "domains.txt")],
            "helos": [*asked, "--input", str(zones / "helos.csv")],
            "zones": ["--zones", str(zones), BLOCKS["clean"]],
        }
        output = options.folder / "work.ndjson"
        origin = "30.20.in-addr.arpa"
        large = str(zones / f"{origin}.zone")
        check = [sys.executable, "-m", "auditor", "check", "--zones", large, "20.30.0.1"]
        checkzone = shutil.which(_CHECKZONE)
        for _ in range(options.runs):
            for row, arguments in scans.items():
                samples.add(row, scan(output, *arguments))
                options.say(samples.latest(row))
            if checkzone:
                samples.add(_ZONE, measure.run(check, codes=(0, 1)))
                samples.add(_CHECKZONE, measure.run([checkzone, origin, large]))
    about = (
        f"Scans of {ADDRESSES:,} addresses, and of {DOMAINS:,} domains, each with Knot DNS on"
        " loopback; CPU of the whole process, less that of a scan of one address."
    )
    rows = [*_NAMES, _LARGE_ZONE] if checkzone else _NAMES
    yield _table("Scans", about, rows, samples)
    yield _tables_of_results(options)


def _tables_of_results(options: Options) -> Table:
    number = _FEW_RECORDS if options.quick else _RECORDS
    folder = options.folder / "views"
    folder.mkdir()
    made = [sys.executable, "-m", "benchmarks.view_material", str(folder)]
    measure.run([*made, "--records", str(number)])
    old, out = str(folder / OLD), str(folder / "out")
    auditor = [sys.executable, "-m", "auditor"]
    convert = [*auditor, "convert", "--quiet", "--overwrite", old, "-o"]
    commands = {
        "records to Parquet": [*convert, f"{out}.parquet"],
        "records to flat Parquet": [*convert, f"{out}.parquet", "--flat"],
        "records to CSV": [*convert, f"{out}.csv"],
        "records to flat CSV": [*convert, f"{out}.csv", "--flat"],
        "report": [*auditor, "report", "--quiet", "--overwrite", old, "-o", f"{out}.html"],
        "diff, other order": [*auditor, "diff", "--top", "0", old, str(folder / SHUFFLED)],
        _DUCKDB: [sys.executable, "-c", _DUCKDB_CODE, old, f"{out}.duckdb"],
    }
    samples = Samples()
    for _ in range(options.runs):
        for row, command in commands.items():
            samples.add(row, measure.run(command, codes=(0, 1)))
            options.say(f"  {row}: {samples[row][-1].cpu:.2f} s of CPU")
    rows = [
        _Row(row, "s", wanted * number / _RECORDS, lambda s, row=row: _seconds(s, row))  # type: ignore[misc]
        for row, wanted in _TABLES.items()
    ]
    peak = max(samples.median(row, lambda r: r.peak) for row in _TABLES if "Parquet" in row) / 1e6
    rows.append(_Row("Parquet, memory", "MB", 150, lambda _: peak))
    duckdb = samples.median(_DUCKDB, lambda r: r.cpu)
    about = (
        f"{number:,} records of mixed /16s (`benchmarks.view_material`); CPU of the whole process."
        f" Goals are by the record.\n{_DUCKDB}, without checking records: {duckdb:.1f} s."
    )
    return _table("Tables, report, diff", about, rows, samples)


def _table(title: str, about: str, rows: Iterable[_Row], samples: Samples) -> Table:
    table = Table(title, ["work", "n", "unit", "measured", "wanted", "missed by"], about)
    for row in rows:
        measured = row.measured(samples)
        over = measured / row.wanted - 1
        runs = str(min(len(samples[each]) for each in samples.rows()))
        missed = f"{over:.0%}" if over > 0 else "met"
        table.add(row.work, runs, row.unit, _figure(measured), _figure(row.wanted), missed)
    return table


def _figure(value: float) -> str:
    return f"{value:.0f}" if value >= 20 else f"{value:.2f}"
