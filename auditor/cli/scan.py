"""`auditor scan`: the main job."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from auditor.cli.options import asking, judging, make_settings
from auditor.cli.progress import Progress
from auditor.errors import AuditorError, InputError, UsageError
from auditor.findings.catalogue import entry
from auditor.findings.judge import SEVERITIES, at_or_above
from auditor.output.sink import FileSink, StreamSink
from auditor.run.loop import run_loop
from auditor.run.manifest import fingerprint, manifest, write_manifest
from auditor.run.scan import Scan
from auditor.targets.excludes import Excludes
from auditor.targets.stream import TargetStream

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.output.sink import Sink
    from auditor.run.tally import Tally
    from auditor.settings import Settings

__all__ = ["command"]

FINDINGS_FOUND: Final = 1
NOT_FINISHED: Final = 3

#: Seconds that a run may take to finish what is under way after it was told to stop.
_GRACE: Final = 5.0


@click.command(
    "scan",
    epilog="Example: auditor scan --zones examples/fleet/zones 198.51.100.0/24 -o block.ndjson",
)
@click.argument("target", nargs=-1)
@click.option("-i", "--input", "files", metavar="FILE", multiple=True, help="Targets from FILE.")
@click.option(
    "-x",
    "--exclude",
    metavar="EXCLUDE",
    multiple=True,
    help="Leave out an address, prefix, range, domain, or those in @FILE.",
)
@click.option("-o", "--output", metavar="FILE", default="-", help="NDJSON to FILE.  [default: -]")
@asking
@click.option("--concurrency", metavar="N", type=int, help="Queries in flight at most.")
@click.option("--qps", metavar="N", type=float, help="Queries a second at most.")
@click.option("--cache-size", metavar="N", type=int, help="Answers kept at most.  [default: 65536]")
@click.option("--trace", is_flag=True, default=None, help="Add how each answer was obtained.")
@judging
@click.option(
    "--max-targets",
    metavar="N",
    type=int,
    help="Refuse more targets than this.  [default: 16777216]",
)
@click.option("--overwrite", is_flag=True, help="Replace an existing output.")
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
    inputs = [*files, *(["-"] if "-" in target else [])]
    arguments = [text for text in target if text != "-"]
    if not inputs and not arguments:
        raise UsageError("nothing to scan: give targets, -i FILE, or - for standard input")
    stream = TargetStream(
        arguments,
        inputs,
        excludes=Excludes.parse(exclude) if exclude else None,
        max_targets=settings.max_targets,
        stdin=open(0, "rb", buffering=0, closefd=False) if "-" in inputs else None,  # noqa: SIM115 - the descriptor stays open
    )
    stream.prepare()
    run = _Run(settings, stream, output, quiet=quiet)
    run.describe(arguments, inputs, exclude)
    run.open(overwrite=overwrite)
    return run_loop(run.go())


class _Run:
    """A scan at the command line: signals, progress, output, manifest, exit code."""

    def __init__(
        self, settings: Settings, stream: TargetStream, output: str, *, quiet: bool
    ) -> None:
        self._settings = settings
        self._scan = Scan(stream, settings)
        self._path = None if output == "-" else Path(output)
        self._quiet = quiet
        self._digest = ""
        self._inputs: dict[str, Any] = {}
        self._how = "finished"

    def describe(
        self, arguments: Sequence[str], files: Sequence[str], excludes: Sequence[str]
    ) -> None:
        """Note what the run is about, for the manifest."""
        self._inputs = {
            "arguments": list(arguments),
            "files": list(files),
            "excludes": list(excludes),
            "targets": self._scan.stream.total,
        }
        try:
            self._digest = fingerprint(self._settings, arguments, files, excludes)
        except OSError as error:
            raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from error

    def open(self, *, overwrite: bool) -> None:
        """Open the output, before anything is asked."""
        self._sink: Sink
        if self._path is None:
            self._sink = StreamSink(sys.stdout.fileno())
        elif self._path.suffix in {".gz", ".zst", ".xz"}:
            raise UsageError(f"{self._path}: the output is NDJSON, not {self._path.suffix}")
        else:
            self._sink = FileSink(self._path, overwrite=overwrite)

    async def go(self) -> int:
        """Scan, and return the exit code. Raises AuditorError."""
        started = datetime.now(UTC)
        work = asyncio.ensure_future(self._scan.run(self._sink.write))
        for number in (signal.SIGINT, signal.SIGTERM):
            with contextlib.suppress(NotImplementedError):  # no signals on Windows' loops
                asyncio.get_running_loop().add_signal_handler(number, self._on_signal, work)
        try:
            with Progress(self._scan, shown=not self._quiet and sys.stderr.isatty()):
                await work
            if not self._scan.stopped:
                self._sink.finish()
        except asyncio.CancelledError:
            self._how = "interrupted"
        except AuditorError as error:
            self._how = str(error)
            raise
        finally:
            self._sink.close()
            self._leave_manifest(started)
        if not self._quiet:
            _summarise(self._scan.tally, started, self._path, self._how)
        if self._scan.stopped:
            return NOT_FINISHED
        severities = self._scan.tally.severities
        failed = any(at_or_above(found, self._settings.fail_on) for found in severities)
        return FINDINGS_FOUND if failed else 0

    def _on_signal(self, work: asyncio.Future[None]) -> None:
        """Finish what is under way; a second signal, or too long a wait, ends it at once."""
        if self._scan.stopped:
            work.cancel()
            return
        self._how = "interrupted"
        self._scan.stop()
        if not self._quiet:
            _say("auditor: interrupted, finishing what is under way")
        asyncio.get_running_loop().call_later(_GRACE, work.cancel)

    def _leave_manifest(self, started: datetime) -> None:
        if self._path is None:
            return
        self._inputs["invalid"] = self._scan.stream.invalid
        self._inputs["excluded"] = self._scan.stream.excluded
        content = manifest(
            self._settings,
            digest=self._digest,
            inputs=self._inputs,
            started=started,
            ended=datetime.now(UTC),
            tally=self._scan.tally,
            queries=self._scan.queries,
            how=self._how,
        )
        write_manifest(self._path.with_name(self._path.name + ".run.json"), content)


def _say(text: str) -> None:
    click.echo(text, err=True)


def _summarise(tally: Tally, started: datetime, path: Path | None, how: str) -> None:
    """Tell the person at the terminal what came out, worst first."""
    seconds = max((datetime.now(UTC) - started).total_seconds(), 1e-3)
    verdicts = " · ".join(
        f"{tally.verdicts[name]:,} {name}"
        for name in ("pass", "warn", "fail", "unknown")
        if tally.verdicts[name]
    )
    rate = tally.records / seconds
    _say(f"{tally.records:,} records in {seconds:.1f} s ({rate:,.0f}/s): {verdicts or 'none'}")
    order = {severity: place for place, severity in enumerate(reversed(SEVERITIES))}
    rows = sorted(
        ((entry(code), count) for code, count in tally.codes.items()),
        key=lambda row: (order[row[0].severity], -row[1], row[0].code),
    )
    for found, count in rows:
        _say(f"  {count:>9,}  {found.code:<24} {found.title}")
    if rows:
        _say("`auditor explain CODE` says why a finding matters and what to do.")
    if how != "finished":
        _say(f"not finished: {how}")
    if path is not None:
        there = path if how == "finished" else path.with_name(path.name + ".partial")
        _say(f"records: {there}\nmanifest: {path}.run.json")
