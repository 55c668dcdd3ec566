"""`auditor scan`: the main job."""

from __future__ import annotations

import sys
from typing import Any

import click

from auditor.cli.options import DEFAULTS, asking, judging, make_settings
from auditor.cli.running import Run
from auditor.cli.streams import engine_messages
from auditor.errors import UsageError
from auditor.run.loop import run_loop
from auditor.targets.excludes import Excludes
from auditor.targets.stream import TargetStream

__all__ = ["command"]


@click.command(
    "scan",
    epilog="Example: auditor scan --zones examples/fleet/zones 198.51.100.0/24",
)
@click.argument("target", nargs=-1)
@click.option(
    "-i", "--input", "files", metavar="FILE", multiple=True, help="Targets from FILE; repeatable."
)
@click.option(
    "-x",
    "--exclude",
    metavar="EXCLUDE",
    multiple=True,
    help="Leave out an address, prefix, range or domain with all below it, or those in @FILE; "
    "repeatable.",
)
@click.option("-o", "--output", metavar="FILE", default="-", help="NDJSON to FILE.  [default: -]")
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
@asking
@click.option("--concurrency", metavar="N", type=int, help="Queries in flight at most.")
@click.option("--qps", metavar="N", type=float, help="Queries a second at most.")
@click.option(
    "--server-qps", metavar="N", type=float, help="Queries a second to one server at most."
)
@click.option(
    "--cache-size",
    metavar="N",
    type=int,
    help=f"Answers kept at most.  [default: {DEFAULTS.cache_size}]",
)
@click.option(
    "--trace", is_flag=True, default=None, help="Add to each record how its answers came about."
)
@judging
@click.option(
    "--max-targets",
    metavar="N",
    type=int,
    help=f"Refuse more targets than this.  [default: {DEFAULTS.max_targets}]",
)
@click.option("-q", "--quiet", is_flag=True, help="Say nothing but errors on stderr.")
def command(
    target: tuple[str, ...],
    files: tuple[str, ...],
    exclude: tuple[str, ...],
    *,
    output: str,
    overwrite: bool,
    quiet: bool,
    **given: Any,
) -> int:
    """Audit addresses, prefixes, ranges and domains: one NDJSON record for each.

    A TARGET is an address, a CIDR prefix, a range a-b or a domain; `-` reads standard
    input. A FILE has one target a line (# starts a comment), or is .csv or .ndjson with the
    columns target, helo, mail_from and any labels; .gz, .zst and .xz are read as they are.
    """
    settings = make_settings(given)
    inputs = [*files, *(text for text in target if text == "-")]
    arguments = [text for text in target if text != "-"]
    if not inputs and not arguments:
        raise UsageError("nothing to scan: give targets, -i FILE, or - for standard input")
    # Unbuffered, so that what has arrived is audited while more is waited for.
    live = "-" in inputs and sys.stdin is not None
    stream = TargetStream(
        arguments,
        inputs,
        excludes=Excludes.parse(exclude) if exclude else None,
        max_targets=settings.max_targets,
        stdin=open(0, "rb", buffering=0, closefd=False) if live else None,  # noqa: SIM115 - the descriptor stays open
    )
    stream.prepare()
    run = Run(settings, stream, output, quiet=quiet)
    run.describe(arguments, inputs, exclude)
    run.open(overwrite=overwrite)
    with engine_messages(quiet=quiet):
        return run_loop(run.go())
