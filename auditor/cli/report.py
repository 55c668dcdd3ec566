"""`auditor report`: one page about a scan, for those who run the network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from auditor.cli.console import print_message, unwritable
from auditor.cli.formatting import after_demo
from auditor.cli.garbage import cycles_uncollected
from auditor.cli.receivers_options import receivers_file
from auditor.errors import UsageError
from auditor.output.atomic import check_replaceable, replacing
from auditor.version import __version__
from auditor.views.report.page import make_page

__all__ = ["command"]

_STDOUT: Final = "-"
#: Endings of formats that a report does not have.
_NOT_HTML: Final = frozenset(
    {".csv", ".docx", ".gz", ".json", ".md", ".ndjson", ".odt", ".parquet", ".pdf", ".png", ".ps"}
    | {".bz2", ".doc", ".eps", ".jpeg", ".jpg", ".ods", ".rtf", ".svg", ".tar", ".tex", ".tsv"}
    | {".txt", ".xls", ".xlsx", ".xml", ".xz", ".zip", ".zst"}
)
_KILOBYTE: Final = 1000
_MEGABYTE: Final = 1_000_000


@click.command("report", epilog=after_demo("report d/fleet.ndjson -o fleet.html"))
@click.argument("results", nargs=-1, required=True)
@click.option(
    "--previous",
    metavar="OLD",
    multiple=True,
    help="The results of an earlier scan, to say what has changed; repeatable.",
)
@click.option(
    "-o", "--output", metavar="FILE", required=True, help="HTML to FILE; - is standard output."
)
@receivers_file
@click.option(
    "--senders",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The lines of `auditor senders --json`, to show who may send.",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
@click.option("-q", "--quiet", is_flag=True, help="Print only errors on stderr.")
@cycles_uncollected()
def command(
    results: tuple[str, ...],
    *,
    previous: tuple[str, ...],
    output: str,
    receivers_file: Path | None,
    senders: Path | None,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Turn results of `auditor scan` into a page for people: totals, maps, remedies, tables.

    RESULTS are files of records (.gz, .zst and .xz are read as they are), folders of parts,
    or - for standard input; several make one page. It is one file of HTML that loads
    nothing, and the same results give the same page.
    """
    path = Path(output)
    if output.endswith("/"):
        raise UsageError(f"{output}: is the name of a folder; expected one that ends in .html")
    if output != _STDOUT:
        check_replaceable(path, overwrite=overwrite)
        if any(_same(path, Path(name)) for name in (*results, *previous)):
            raise UsageError(f"{path}: holds the results; -o needs another name for the page")
    if path.suffix.lower() in _NOT_HTML:
        raise UsageError(
            f"{path}: the page is HTML, not {path.suffix}; expected a name that ends in .html"
        )
    page = make_page(
        results, previous, version=__version__, receivers_file=receivers_file, senders=senders
    )
    if output == _STDOUT:
        _to_stdout(page)
        return
    with replacing(path, overwrite=overwrite) as file:
        file.write(page)
    if not quiet:
        print_message(f"report: {path} ({_size(len(page))})")


def _same(output: Path, source: Path) -> bool:
    return output.exists() and source.exists() and output.samefile(source)


def _size(octets: int) -> str:
    """Return a size in two or three figures."""
    if octets < _MEGABYTE:
        return f"{-(-octets // _KILOBYTE)} kB"
    return f"{octets / _MEGABYTE:.1f} MB"


def _to_stdout(page: bytes) -> None:
    if sys.stdout is None:
        raise UsageError("standard output is closed; -o FILE writes to a file")
    try:
        with open(sys.stdout.fileno(), "wb", closefd=False) as file:
            file.write(page)
    except OSError as error:
        raise unwritable(error) from error
