"""`auditor convert`: results as tables."""

from __future__ import annotations

import gzip
import signal
import sys
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, cast

import click
import orjson

from auditor import __version__
from auditor.cli.streams import say, unwritable
from auditor.cli.text import counted
from auditor.errors import UsageError
from auditor.output.csvfile import write_csv
from auditor.output.parquet import arrow_schema, write_parquet
from auditor.output.replacing import check_replaceable, replacing
from auditor.views.results import Results

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

__all__ = ["command"]

_PARQUET: Final = ".parquet"
_CSV: Final = ".csv"
#: What an output may be called, from the longest ending on.
_ENDINGS: Final = (".csv.gz", ".csv.zst", _CSV, _PARQUET)
_STDOUT: Final = "-"

#: What a table keeps of the manifest beside its source.
_KEPT: Final = ("auditor", "fingerprint", "started", "ended", "how", "records")


@click.command("convert", epilog="Example: auditor convert fleet.ndjson -o fleet.parquet")
@click.argument("results", nargs=-1, required=True)
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    required=True,
    help="A table to FILE: .parquet, .csv, .csv.gz or .csv.zst; - is CSV on standard output.",
)
@click.option("--flat", is_flag=True, help="One row a finding, not one a target.")
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors on stderr.")
def command(
    results: tuple[str, ...], *, output: str, flat: bool, overwrite: bool, quiet: bool
) -> None:
    """Turn results of `auditor scan` into a table for data tools.

    RESULTS are files of records (.gz, .zst and .xz are read as they are), folders of parts,
    or - for standard input; several become one table. Parquet has the whole record, nested
    (`auditor schema` describes its keys), and needs pyarrow (the extra `parquet`). CSV has
    one row a target, with lists joined by blanks and labels as JSON; an apostrophe stands
    before what a spreadsheet would take for a formula. With --flat, either has one row a
    finding, and a target without any has one row with no code.
    """
    if output == _STDOUT:
        number = _to_stdout(Results(results), flat=flat)
    else:
        number = _to_file(results, Path(output), flat=flat, overwrite=overwrite)
    if not quiet:
        say(f"{counted(number, 'record')}: {'standard output' if output == _STDOUT else output}")


def _to_file(results: tuple[str, ...], path: Path, *, flat: bool, overwrite: bool) -> int:
    ending = _ending(path)
    check_replaceable(path, overwrite=overwrite)
    source = Results(results)
    write: Callable[..., int]
    if ending == _PARQUET:
        arrow_schema()  # is pyarrow there?
        write = partial(write_parquet, notes=_notes(results, flat=flat))
    else:
        write = write_csv
    with (
        _terminated_as_interrupted(),
        replacing(path, overwrite=overwrite) as file,
        _packed(file, ending) as packed,
    ):
        return write(source.records(), packed, flat=flat)


def _to_stdout(source: Results, *, flat: bool) -> int:
    if sys.stdout is None:
        raise UsageError("standard output is closed; -o FILE writes to a file")
    try:
        with open(sys.stdout.fileno(), "wb", closefd=False) as file:
            return write_csv(source.records(), file, flat=flat)
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
    """Return what compresses into `file`, which stays open; the same input gives the same bytes."""
    if ending.endswith(".gz"):
        return cast("IO[bytes]", gzip.GzipFile("", "wb", fileobj=file, mtime=0))
    if ending.endswith(".zst"):
        import zstandard  # noqa: PLC0415 - loaded on use

        return cast("IO[bytes]", zstandard.ZstdCompressor().stream_writer(file, closefd=False))
    return open(file.fileno(), "wb", closefd=False)


def _notes(results: Iterable[str], *, flat: bool) -> dict[str, str]:
    """Return what a table says of itself: who made it, what of, from which runs."""
    runs = [_run(name) for name in results if name != _STDOUT]
    return {
        "auditor.version": __version__,
        "auditor.table": "findings" if flat else "records",
        "auditor.runs": orjson.dumps([run for run in runs if run]).decode(),
    }


def _run(name: str) -> dict[str, Any]:
    """Return what the manifest beside a result says of its run, nothing if there is none."""
    path = Path(name)
    beside = path / "manifest.json" if path.is_dir() else path.with_name(f"{path.name}.run.json")
    try:
        manifest = orjson.loads(beside.read_bytes())
    except (OSError, orjson.JSONDecodeError):
        return {}
    if not isinstance(manifest, dict):
        return {}
    return {"file": name, **{key: manifest[key] for key in _KEPT if key in manifest}}
