"""`auditor convert`: results as tables."""

from __future__ import annotations

import gzip
import os
import signal
import sys
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple, cast

import click
import orjson

from auditor.cli.console import print_message, unwritable
from auditor.cli.formatting import after_demo, counted
from auditor.cli.garbage import cycles_uncollected
from auditor.errors import UsageError
from auditor.output.arrow import pyarrow
from auditor.output.atomic import check_replaceable, replacing
from auditor.output.columns import NO_RUN, RunStamp, label_column
from auditor.output.csv_writer import write_csv
from auditor.output.parquet import write_parquet
from auditor.output.zone_columns import ZONE_FINDINGS, ZONES
from auditor.quoting import printable, quoted
from auditor.run.manifest import manifest_path, read_manifest
from auditor.targets.reader import locate
from auditor.version import __version__
from auditor.views.csv_table import results_to_csv
from auditor.views.parquet_table import results_to_parquet
from auditor.views.reader.results import Results
from auditor.views.zone_facts import SUFFIX, read_zones

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from auditor.output.columns import Column, Table

__all__ = ["command", "load_arrow"]

_PARQUET: Final = ".parquet"
_CSV: Final = ".csv"
#: The endings that an output may have, the longest first.
_ENDINGS: Final = (".csv.gz", ".csv.zst", _CSV, _PARQUET)
_STDOUT: Final = "-"

#: Characters of a fingerprint, to tell runs that started at the same time apart.
_FINGERPRINT_CHARACTERS: Final = 8
#: Keys of the manifest beside the source that a table keeps.
_KEPT: Final = ("auditor", "fingerprint", "started", "ended", "how", "records")


@click.command("convert", epilog=after_demo("convert d/fleet.ndjson -o fleet.csv"))
@click.argument("results", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    help="A table to FILE: .parquet, .csv, .csv.gz or .csv.zst; - is CSV on standard output.",
)
@click.option("--flat", is_flag=True, help="One row a finding, not one a target.")
@click.option(
    "--label",
    "labels",
    metavar="NAME",
    multiple=True,
    help="Give a label a column of its own, label_NAME; repeatable.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
@click.option("-q", "--quiet", is_flag=True, help="Print only errors on stderr.")
@cycles_uncollected()
def command(
    results: tuple[str, ...],
    *,
    output: str,
    flat: bool,
    labels: tuple[str, ...],
    overwrite: bool,
    quiet: bool,
) -> None:
    """Turn results of `auditor scan` into a table for data tools.

    RESULTS are files of records (.gz, .zst and .xz are read as they are), folders of parts,
    or - for standard input; several become one table. Parquet has the whole record, nested
    (`auditor schema` describes its keys), and needs pyarrow (the extra `parquet`). CSV has
    one row a target, with lists joined by blanks and labels as JSON; an apostrophe stands
    before what a spreadsheet would take for a formula. With --flat, either has one row a
    finding, and a target without any has one row with no code. `run` and `scanned_at` name
    the run of a row, from the manifest beside the results, so that a table can have many
    runs. Zone facts (`FILE.zones.ndjson`) become a table of their own, one row a zone or a
    finding.
    """
    seen: set[str] = set()
    columns = [label_column(label, seen) for label in dict.fromkeys(labels)]
    source = _source(results, columns, flat=flat)
    if output == _STDOUT:
        number = _to_stdout(source, flat=flat)
    else:
        number = _to_file(source, Path(output), flat=flat, overwrite=overwrite)
    if not quiet:
        for label in labels:
            if label not in seen:
                print_message(f"auditor: --label {quoted(label)}: no record has this label")
        noun = "zone" if source.table else "record"
        print_message(
            f"{counted(number, noun)}: {'standard output' if output == _STDOUT else output}"
        )


class _Source(NamedTuple):
    """What is converted: `results` of records, or `zones` with the `table` of zone facts.

    `manifests` and `stamps` of the runs are by the names of the results; `columns`: of labels.
    """

    manifests: Mapping[str, Mapping[str, Any]]
    stamps: Mapping[str, RunStamp]
    columns: Sequence[Column] = ()
    results: Results | None = None
    zones: Iterable[Mapping[str, Any]] = ()
    table: Table | None = None


def _source(names: tuple[str, ...], columns: Sequence[Column], *, flat: bool) -> _Source:
    """Return what the arguments name. Raises UsageError and InputError."""
    facts = [name for name in names if name.endswith(SUFFIX)]
    if facts and len(facts) < len(names):
        raise UsageError("records and zone facts do not fit one table: convert them one by one")
    if facts and columns:
        raise UsageError("--label: zone facts have no labels")
    results = None if facts else Results(names)
    paths = {name: Path(locate(name).path) for name in facts}
    manifests = {name: _manifest(name) for name in names if name != _STDOUT}
    stamps = {name: _stamp(manifest) for name, manifest in manifests.items()}
    if results is not None:
        return _Source(manifests, stamps, columns, results)
    zones = (
        {**line, **stamps[name]._asdict()}
        for name, path in paths.items()
        for line in read_zones(path)
    )
    table = ZONE_FINDINGS if flat else ZONES
    return _Source(manifests, stamps, zones=zones, table=table)


def _to_file(source: _Source, path: Path, *, flat: bool, overwrite: bool) -> int:
    ending = _ending(path)
    check_replaceable(path, overwrite=overwrite)
    if ending == _PARQUET:
        load_arrow()
    with (
        _terminated_as_interrupted(),
        replacing(path, overwrite=overwrite) as file,
        _packed(file, ending) as packed,
    ):
        if ending != _PARQUET:
            return _write_csv(source, packed, flat=flat)
        notes = _notes(source, flat=flat)
        if source.results is not None:
            return results_to_parquet(
                source.results,
                packed,
                flat=flat,
                notes=notes,
                added=source.columns,
                stamps=source.stamps,
            )
        return write_parquet(source.zones, packed, flat=flat, notes=notes, table=source.table)


def load_arrow() -> None:
    """Load pyarrow without what writing a table does not need.

    By itself it loads numpy and pandas, which takes more CPU time than the table of a /16. With
    memory from malloc() the process is a quarter smaller. Raises UsageError if pyarrow is
    not installed.
    """
    is_loaded = "numpy" in sys.modules
    if not is_loaded:
        sys.modules["numpy"] = None  # type: ignore[assignment]  # cannot be imported
    os.environ.setdefault("ARROW_DEFAULT_MEMORY_POOL", "system")
    try:
        pyarrow()
    finally:
        if not is_loaded:
            del sys.modules["numpy"]


def _write_csv(source: _Source, file: IO[bytes], *, flat: bool) -> int:
    if source.results is not None:
        return results_to_csv(
            source.results, file, flat=flat, added=source.columns, stamps=source.stamps
        )
    return write_csv(source.zones, file, flat=flat, table=source.table)


def _to_stdout(source: _Source, *, flat: bool) -> int:
    if sys.stdout is None:
        raise UsageError("standard output is closed; -o FILE writes to a file")
    try:
        with open(sys.stdout.fileno(), "wb", closefd=False) as file:
            return _write_csv(source, file, flat=flat)
    except OSError as error:
        raise unwritable(error) from error


@contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Take SIGTERM for Ctrl-C, so that it leaves no half-written file behind either."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _ending(path: Path) -> str:
    for ending in _ENDINGS:
        if path.name.endswith(ending):
            return ending
    raise UsageError(f"{path}: no kind of table; expected a name in {', '.join(sorted(_ENDINGS))}")


def _packed(file: IO[bytes], ending: str) -> IO[bytes]:
    """Return a file that compresses into `file`, which stays open; reproducible to the byte."""
    if ending.endswith(".gz"):
        return cast("IO[bytes]", gzip.GzipFile("", "wb", fileobj=file, mtime=0))
    if ending.endswith(".zst"):
        import zstandard  # noqa: PLC0415 - loaded on use

        return cast("IO[bytes]", zstandard.ZstdCompressor().stream_writer(file, closefd=False))
    return open(file.fileno(), "wb", closefd=False)


def _notes(source: _Source, *, flat: bool) -> dict[str, str]:
    """Return the metadata of a table: version, sources and runs."""
    runs = [
        {"file": name, **{key: manifest[key] for key in _KEPT if key in manifest}}
        for name, manifest in source.manifests.items()
        if manifest
    ]
    return {
        "auditor.version": __version__,
        "auditor.table": "findings" if flat else "zones" if source.table else "records",
        "auditor.runs": orjson.dumps(runs).decode(),
    }


def _manifest(name: str) -> Mapping[str, Any]:
    """Return the manifest beside a result, an empty one if there is none."""
    path = Path(name.removesuffix(SUFFIX))
    beside = path / "manifest.json" if path.is_dir() else manifest_path(path)
    try:
        return read_manifest(beside) if beside.is_file() else {}
    except (OSError, ValueError):
        return {}


def _stamp(manifest: Mapping[str, Any]) -> RunStamp:
    """Return the columns that identify the run of a row."""
    try:
        started = datetime.fromisoformat(manifest["started"]).astimezone(UTC)
    except (KeyError, OverflowError, TypeError, ValueError):
        return NO_RUN
    when = started.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    fingerprint = printable(manifest["fingerprint"][:_FINGERPRINT_CHARACTERS])
    return RunStamp(f"{when}-{fingerprint}", started)
