"""`auditor summary`: counts of a result, and where it is worst."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from auditor.cli.console import print_data, print_json
from auditor.cli.formatting import after_demo
from auditor.cli.garbage import cycles_uncollected
from auditor.cli.receivers_options import receivers_file
from auditor.errors import UsageError
from auditor.findings.receivers import select_receivers
from auditor.views.reader.results import Results

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["command"]

_TOP = 10
_EVERY = 1 << 16


@click.command("summary", epilog=after_demo("summary d/fleet.ndjson"))
@click.argument("results", nargs=-1)
@click.option("--json", "as_data", is_flag=True, help="One JSON object, for machines.")
@click.option(
    "--top",
    metavar="N",
    type=click.IntRange(min=1),
    show_default="10 findings, 3 of others; 10 with --json",
    help="Most rows of a table.",
)
@click.option(
    "--generate",
    is_flag=True,
    help="Print only $GENERATE lines, for /24s without any PTR record in a zone that answers.",
)
@click.option(
    "--by", "label", metavar="LABEL", help="Count by the values of a label of the input, too."
)
@click.option("--receivers", is_flag=True, help="Count the effects that receivers have published.")
@receivers_file
@cycles_uncollected()
def command(
    results: tuple[str, ...],
    *,
    as_data: bool,
    top: int | None,
    generate: bool,
    label: str | None,
    receivers: bool,
    receivers_file: Path | None,
) -> None:
    """Count what is in RESULTS: verdicts, findings, the worst prefixes and domains, SPF.

    RESULTS are files that `auditor scan` wrote, folders of parts, or - for standard input;
    .gz, .zst and .xz are read as they are. Several are counted as one. Zone facts beside them
    (`auditor scan --authority`) are counted, too: how many targets each fault affects. With
    --receivers also how many of the addresses each receiver refuses, defers or scores, as
    published.
    """
    if receivers_file is not None and not receivers:
        raise UsageError("--receivers-file is for --receivers")
    if not results:
        raise UsageError("nothing to count: give results of `auditor scan`, or - to read them")
    source = Results(results)
    from auditor.views.summary.summary import Summary, summarise  # noqa: PLC0415 - a wrong name is told before

    chosen = select_receivers((), receivers_file) if receivers else None
    summary = summarise(source, Summary(receivers=chosen, by=label))
    if generate:
        from auditor.cli.summary_blocks import generate_text  # noqa: PLC0415 - seldom asked for

        print_data(generate_text(summary.facts.as_json(_EVERY)["empty"]["generate"]))
        return
    if as_data:
        print_json(summary.as_json(top or _TOP), indent=True)
        return
    from auditor.cli.summary_text import as_text  # noqa: PLC0415 - not needed for JSON

    print_data(as_text(summary, top))
