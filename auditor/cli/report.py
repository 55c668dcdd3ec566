"""`auditor report`: one page about a scan, for whoever runs the network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import click

from auditor import __version__
from auditor.cli.streams import say, unwritable
from auditor.errors import UsageError
from auditor.output.replacing import check_replaceable, replacing
from auditor.views.report.page import make_page

__all__ = ["command"]

_STDOUT: Final = "-"
_KILOBYTE: Final = 1000
_MEGABYTE: Final = 1_000_000


@click.command("report", epilog="Example: auditor report fleet.ndjson -o fleet.html")
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
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors on stderr.")
def command(
    results: tuple[str, ...],
    *,
    previous: tuple[str, ...],
    output: str,
    overwrite: bool,
    quiet: bool,
) -> None:
    """Turn results of `auditor scan` into a page for people: totals, maps, remedies, tables.

    RESULTS are files of records (.gz, .zst and .xz are read as they are), folders of parts,
    or - for standard input; several make one page. It is one file of HTML that asks nobody
    for anything, and the same results give the same page.
    """
    path = Path(output)
    if output != _STDOUT:
        check_replaceable(path, overwrite=overwrite)
        if any(_same(path, Path(name)) for name in (*results, *previous)):
            raise UsageError(f"{path}: holds the results; -o needs another name for the page")
    page = make_page(results, previous, version=__version__)
    if output == _STDOUT:
        _to_stdout(page)
        return
    with replacing(path, overwrite=overwrite) as file:
        file.write(page)
    if not quiet:
        say(f"report: {path} ({_size(len(page))})")


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
