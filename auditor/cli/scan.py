"""`auditor scan`: the main job."""

from __future__ import annotations

import signal
import sys
import time
from typing import Any

import click

from auditor.cli.options import asking, judging, make_settings, scanning
from auditor.cli.running import Run
from auditor.cli.streams import Voice
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
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    default="-",
    help="NDJSON to FILE; .gz and .zst compress it; DIR/ or a URL takes it in parts.  [default: -]",
)
@click.option(
    "--resume", is_flag=True, help="Go on with an output that an earlier run has left unfinished."
)
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
@asking
@scanning
@judging
def command(
    target: tuple[str, ...],
    files: tuple[str, ...],
    exclude: tuple[str, ...],
    *,
    output: str,
    resume: bool,
    overwrite: bool,
    **given: Any,
) -> int:
    """Audit addresses, prefixes, ranges and domains: one NDJSON record for each.

    A TARGET is an address, a CIDR prefix, a range a-b or a domain; `-` reads standard
    input. A FILE has one target a line (# starts a comment), or is .csv or .ndjson with the
    columns target, helo, mail_from and any labels; .gz, .zst and .xz are read as they are.
    """
    began = time.monotonic()
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        # Until the scan heeds it: reading long lists takes its time, and ends in order, too.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    settings = make_settings(given)
    voice = click.get_current_context().ensure_object(Voice)
    voice.as_json = settings.log_format == "json"
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
    run = Run(settings, stream, output, voice, began=began)
    run.describe(arguments, inputs, exclude)
    done = run.open(overwrite=overwrite, resume=resume)
    return run_loop(run.go()) if done is None else done
