"""`auditor summary`: a result in one look."""

from __future__ import annotations

import click

from auditor.cli.streams import put
from auditor.errors import UsageError
from auditor.views.results import Results

__all__ = ["command"]

_TOP = 10


@click.command("summary", epilog="Example: auditor summary night.ndjson.zst")
@click.argument("results", nargs=-1)
@click.option("--json", "as_data", is_flag=True, help="One JSON object, for machines.")
@click.option(
    "--top",
    metavar="N",
    type=click.IntRange(min=1),
    default=_TOP,
    show_default=True,
    help="Rows of a table at most.",
)
def command(results: tuple[str, ...], *, as_data: bool, top: int) -> None:
    """Count what RESULTS say: verdicts, findings, the worst prefixes and domains, SPF.

    RESULTS are files that `auditor scan` wrote, folders of parts, or - for standard input;
    .gz, .zst and .xz are read as they are. Several are counted as one.
    """
    if not results:
        raise UsageError("nothing to count: give results of `auditor scan`, or - to read them")
    found = Results(results)
    from auditor.views.summary import summarise  # noqa: PLC0415 - a wrong name is told before

    summary = summarise(found)
    if as_data:
        import orjson  # noqa: PLC0415 - not needed for text

        put(orjson.dumps(summary.as_json(top), option=orjson.OPT_INDENT_2).decode())
        return
    from auditor.cli.summary_text import as_text  # noqa: PLC0415 - not needed for JSON

    put(as_text(summary, top))
