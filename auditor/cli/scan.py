"""`auditor scan`: audits targets and writes their records."""

from __future__ import annotations

import signal
import sys
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from auditor.cli.console import ErrorOutput, engine_messages, print_data
from auditor.cli.formatting import after_demo
from auditor.cli.input_options import InputChoice, choose_input, reading
from auditor.cli.options import SettingsCommand, make_settings, settings_options
from auditor.cli.run_reporter import RunReporter, note_failed_start
from auditor.errors import UsageError
from auditor.output.folder import is_folder
from auditor.run.event_loop import run_loop
from auditor.run.identity import identify
from auditor.run.zone_targets import ZoneTargets
from auditor.session import ScanSession
from auditor.settings_option import Group
from auditor.targets.given_targets import refuse_invalid, require_target
from auditor.targets.item import ZONE_TARGET
from auditor.targets.stream import TargetStream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.targets.excludes import Excludes

__all__ = ["command"]


@click.command(
    "scan", cls=SettingsCommand, epilog=after_demo("scan --zones d/zones 198.51.100.0/24")
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
    "--resume", is_flag=True, help="Resume an output that an earlier run left unfinished."
)
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
@click.option(
    "--dry-run", is_flag=True, help="Count the targets and show what would be done; send no query."
)
@reading
@settings_options(*Group)
def command(
    target: tuple[str, ...],
    files: tuple[str, ...],
    exclude: tuple[str, ...],
    *,
    output: str,
    resume: bool,
    overwrite: bool,
    dry_run: bool,
    **given: Any,
) -> int:
    """Audit addresses, prefixes, ranges and domains: one NDJSON record for each.

    A TARGET is an address, a CIDR prefix, a range a-b, the name of one of these in the
    reverse tree, a domain, or zone:NAME, which is every address in a zone (of --zones, or by
    --transfer-from); `-` reads standard input. A FILE has one target a line (#
    starts a comment), or is a table (CSV, with ; or tabs, too) or JSON with the columns
    target, helo, mail_from and any labels; .gz, .zst and .xz are read as they are.
    """
    began = time.monotonic()
    if signal.getsignal(signal.SIGTERM) is signal.SIG_DFL:
        # Until the scan handles it: reading long lists takes time, and has to end in order, too.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    inputs = [*files, *(text for text in target if text == "-")]
    choice = choose_input(given, has_files=bool(inputs))
    settings = make_settings(given)
    error_output = click.get_current_context().ensure_object(ErrorOutput)
    error_output.as_json = settings.log_format == "json"
    with note_failed_start(settings):
        arguments = [text for text in target if text != "-"]
        _check_choice(choice, output, resume=resume, has_targets=bool(inputs or arguments))
        zones = ZoneTargets(settings)
        # Unbuffered, so that lines are audited as they arrive.
        live = "-" in inputs and sys.stdin is not None
        stream = TargetStream(
            arguments,
            inputs,
            zones=zones,
            excludes=_excludes(exclude),
            max_targets=settings.max_targets,
            options=choice.options,
            unique=choice.unique,
            stdin=open(0, "rb", buffering=0, closefd=False) if live else None,  # noqa: SIM115 - the descriptor stays open
        )
        with engine_messages(quiet=settings.quiet):
            _refuse_without_target(stream, arguments, inputs, choice, zones)
        if dry_run:
            from auditor.cli.dry_run import dry_run_lines  # noqa: PLC0415 - for few runs

            replace = overwrite or resume
            for line in dry_run_lines(settings, stream, inputs, output, replace=replace):
                print_data(line)
            return 0
        reporter = partial(RunReporter, settings, error_output, output)
        session = ScanSession(settings, stream, output, reporter, only=choice.only, began=began)
        identity = identify(settings, arguments, inputs, exclude, choice.given, zones=zones.sources)
        session.describe(identity, inputs)
        done = session.open_output(overwrite=overwrite, resume=resume)
    return run_loop(session.run_to_end()) if done is None else done


def _excludes(texts: Sequence[str]) -> Excludes | None:
    if not texts:
        return None
    from auditor.targets.excludes import Excludes  # noqa: PLC0415 - for few runs

    return Excludes.parse(texts)


def _refuse_without_target(
    stream: TargetStream,
    arguments: Sequence[str],
    files: Sequence[str],
    choice: InputChoice,
    zones: ZoneTargets,
) -> None:
    """Raise AuditorError for invalid or unreadable targets, before anything is asked."""
    of_zones = [text for text in arguments if text.startswith(ZONE_TARGET)]
    refuse_invalid([text for text in arguments if text not in of_zones], choice.options.slash)
    zones.refuse_unread(of_zones)
    stream.check_inputs()
    require_target(stream, files)


def _check_choice(choice: InputChoice, output: str, *, resume: bool, has_targets: bool) -> None:
    """Raise UsageError without targets, and where records that are left out would be missed."""
    if not has_targets:
        raise UsageError("nothing to scan: give targets, -i FILE, or - for standard input")
    if choice.only is not None and resume:
        raise UsageError("--resume finds its place by the records, and --only leaves some out")
    if choice.only is not None and is_folder(output):
        raise UsageError("--only: the parts of a folder have every record; write to a file")
