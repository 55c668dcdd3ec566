"""`auditor diff`: what changed between two results."""

from __future__ import annotations

from itertools import islice

import click

from auditor.cli.console import print_data, print_lines
from auditor.cli.formatting import after_demo
from auditor.cli.garbage import cycles_uncollected
from auditor.errors import UsageError
from auditor.quoting import printable_json
from auditor.views.reader.results import Results

__all__ = ["command"]

_REGRESSION = "regression"
_NEVER = "never"
#: Targets that changed, shown one by one unless --top or --all is given.
_TARGETS_SHOWN = 10
#: Lines printed at once: each print is a flush.
_AT_ONCE = 256


@click.command("diff", epilog=after_demo("diff d/fleet.ndjson d/fleet.ndjson"))
@click.argument("old", nargs=1, required=False)
@click.argument("new", nargs=1, required=False)
@click.option("--json", "as_data", is_flag=True, help="NDJSON: one object a change, all of them.")
@click.option(
    "--fail-on",
    type=click.Choice([_REGRESSION, _NEVER]),
    default=_NEVER,
    show_default=True,
    help="Exit 1 if a target got worse, or fails now and was unknown, or a zone has a new error.",
)
@click.option(
    "--top",
    metavar="N",
    type=click.IntRange(min=0),
    show_default=f"{_TARGETS_SHOWN} of all kinds together",
    help="Most targets to show of each kind of change.",
)
@click.option("--all", "every", is_flag=True, help="Show all targets that changed.")
@cycles_uncollected()
def command(
    old: str | None, new: str | None, *, as_data: bool, fail_on: str, top: int | None, every: bool
) -> int:
    """Compare two results of `auditor scan`: what appeared, vanished, got worse or better.

    OLD and NEW are files (.gz, .zst and .xz are read as they are), folders of parts, or, one
    of them, - for standard input. Their lines may come in any order; the n-th record of a
    target is compared with its n-th. Worse and better go by the verdict (pass, warn, fail),
    then by new and fixed problems; a verdict that is unknown now is undetermined, not worse.
    Labels, and the line numbers of invalid lines, are not compared. Zone facts beside
    both (`auditor scan --authority`) are compared by their findings.
    """
    if old is None or new is None:
        raise UsageError("nothing to compare: give OLD and NEW, two results of `auditor scan`")
    if old == new == "-":
        raise UsageError("standard input (-) is named twice; it can be read once only")
    before, after = Results([old]), Results([new])
    from auditor.views.diff.diff import Diff  # noqa: PLC0415 - a wrong name is told before

    with Diff(before, after) as diff:
        diff.read_both()
        if as_data:
            lines = diff.lines()
            while some := list(islice(lines, _AT_ONCE)):
                print_data(printable_json(b"\n".join(some).decode()))
        else:
            from auditor.cli.diff_text import as_text  # noqa: PLC0415 - not needed for JSON

            print_lines(as_text(diff, top, _TARGETS_SHOWN, every=every))
        return 1 if fail_on == _REGRESSION and diff.regressions else 0
