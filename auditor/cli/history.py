"""`auditor history`: findings over many nights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from auditor.cli.console import print_json, print_lines
from auditor.cli.formatting import after_demo, did_you_mean
from auditor.errors import TargetError, UsageError
from auditor.findings.catalogue import ENTRIES
from auditor.quoting import quoted
from auditor.targets.domains import Name
from auditor.targets.item import parse_item
from auditor.views.history.history import History, Wanted

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["command"]

_TOP: Final = 10


@click.command(
    "history", epilog=after_demo("convert d/fleet.ndjson -o n.parquet && auditor history n.parquet")
)
@click.argument("nights", nargs=-1)
@click.option(
    "--finding", "findings", metavar="CODE", multiple=True, help="Only this finding; repeatable."
)
@click.option(
    "--target",
    "targets",
    metavar="TARGET",
    multiple=True,
    help="Only this address, prefix, range or domain; repeatable.",
)
@click.option("--open", "only_open", is_flag=True, help="Only findings that are still there.")
@click.option(
    "--top",
    metavar="N",
    type=click.IntRange(min=1),
    default=_TOP,
    show_default=True,
    help="Most rows of a table; the latest nights.",
)
@click.option("--json", "as_json", is_flag=True, help="NDJSON: a line for each night and finding.")
def command(
    nights: tuple[str, ...],
    findings: tuple[str, ...],
    targets: tuple[str, ...],
    *,
    only_open: bool,
    top: int,
    as_json: bool,
) -> None:
    """Show for each finding when it was first and last seen, its age, and how often it came back.

    NIGHTS are tables that `auditor convert` made, one a night or several in one (.parquet), or
    folders of them. They are ordered by when their runs began. A finding is gone in a
    night in which the target was audited without it; nights in which a lookup failed do not
    count. Needs duckdb (the extra `history`).
    """
    if not nights:
        raise UsageError("no history without nights: give .parquet files, or a folder of them")
    wanted = _wanted(findings, targets)
    with History(nights, wanted) as history:
        shown = (
            line for line in history.finding_lines() if not only_open or line["state"] == "open"
        )
        if as_json:
            for line in history.night_lines():
                print_json(line)
            for line in shown:
                print_json(line)
            return
        from auditor.cli.history_text import as_text  # noqa: PLC0415 - not needed for JSON

        print_lines(as_text(list(history.night_lines()), shown, top))


def _wanted(findings: Sequence[str], targets: Sequence[str]) -> Wanted:
    """Return what is asked for. Raises UsageError."""
    known = [entry.code for entry in ENTRIES]
    for code in findings:
        if code not in known:
            raise UsageError(f"--finding: no finding {quoted(code)}{did_you_mean(code, known)}")
    spans, names = [], []
    for text in targets:
        try:
            item = parse_item(text, bounded=False)
        except TargetError as error:
            raise UsageError(f"--target: {error}") from None
        if isinstance(item, Name):
            names.append(item.text)
        else:
            version, first, last = item
            spans.append((version, first, last))
    return Wanted(findings, spans, names)
