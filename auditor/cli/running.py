"""A scan at the command line: output, signals, progress, manifest, summary, exit code."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from auditor.cli.progress import Progress
from auditor.cli.streams import say
from auditor.cli.text import counted, severity_style, width
from auditor.errors import AuditorError, InputError, OutputError, UsageError
from auditor.findings.catalogue import entry
from auditor.findings.judge import SEVERITIES, Ruling, at_or_above
from auditor.output.sink import FileSink, StreamSink, partial_path
from auditor.run.loop import seldom_collected
from auditor.run.manifest import fingerprint, manifest, write_manifest
from auditor.run.scan import Scan

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.output.sink import Sink
    from auditor.settings import Settings
    from auditor.targets.stream import TargetStream

__all__ = ["Run"]

FINDINGS_FOUND: Final = 1
NOT_FINISHED: Final = 3

#: Seconds that a run may take to finish what is under way after it was told to stop, and
#: between two looks whether it has.
_GRACE: Final = 5.0
_LOOK: Final = 0.05

#: Columns of a line of the summary beside count, code and title: gaps and severity.
_BETWEEN: Final = 15

#: Formats that somebody might expect by the name of an output, and not get.
_NOT_NDJSON: Final = frozenset({".csv", ".gz", ".parquet", ".xz", ".zst"})


class Run:
    """One scan, from the command line to its exit code.

    `output` is a path or `-`; `quiet` keeps progress and summary from standard error.
    """

    def __init__(
        self, settings: Settings, stream: TargetStream, output: str, *, quiet: bool
    ) -> None:
        self._settings = settings
        self._scan = Scan(stream, settings)
        self._output = output
        #: Where records and manifest end up; None for a stream, which has no manifest.
        self._path: Path | None = None
        self._device: int | None = None
        self._quiet = quiet
        self._digest = ""
        self._inputs: dict[str, Any] = {}
        self._how = "finished"
        self._signals = 0
        self._ending: asyncio.Task[None] | None = None

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
        """Open the output, before anything is asked. Raises UsageError if that fails."""
        self._sink: Sink
        if self._output == "-":
            if sys.stdout is None:
                raise UsageError("standard output is closed; -o FILE writes to a file")
            self._sink = StreamSink(sys.stdout.fileno())
            return
        path = Path(self._output)
        if path.suffix in _NOT_NDJSON:
            raise UsageError(f"{path}: the output is NDJSON, not {path.suffix}")
        if path.is_dir():
            raise UsageError(f"{path}: is a directory; expected a file")
        try:
            if path.exists() and not path.is_file():
                # A pipe or a device takes the lines; nothing can be put in its place.
                self._device = os.open(path, os.O_WRONLY)
                self._sink = StreamSink(self._device, str(path))
            else:
                self._sink = FileSink(path, overwrite=overwrite)
                self._path = path
        except OSError as error:
            raise UsageError(f"{path}: cannot be written: {error.strerror}") from error
        except OutputError as error:
            # Nothing has begun that could be finished later.
            raise UsageError(str(error)) from error

    async def go(self) -> int:
        """Scan, and return the exit code. Raises AuditorError."""
        started = datetime.now(UTC)
        work = asyncio.ensure_future(self._scan.run(self._sink.write))
        self._heed_signals(work)
        try:
            async with seldom_collected():
                with Progress(self._scan, shown=self._shows_progress()):
                    await work
            if not self._scan.stopped:
                self._sink.finish()
        except asyncio.CancelledError:
            self._how = "interrupted"
        except AuditorError as error:
            self._how = str(error)
            raise
        finally:
            if self._ending is not None:
                self._ending.cancel()
            self._sink.close()
            if self._device is not None:
                os.close(self._device)
            self._leave_manifest(started)
        if not self._quiet:
            self._summarise(started)
            self._say_where()
        if self._scan.stopped:
            return NOT_FINISHED
        severities = self._scan.tally.severities
        failed = any(at_or_above(found, self._settings.fail_on) for found in severities)
        return FINDINGS_FOUND if failed else 0

    def _shows_progress(self) -> bool:
        """Tell whether there is a terminal for the progress line, and for nothing else."""
        if self._quiet or sys.stderr is None or not sys.stderr.isatty():
            return False
        return self._output != "-" or not sys.stdout.isatty()

    def _heed_signals(self, work: asyncio.Future[None]) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is signal.SIG_IGN:
                continue  # as nohup and a shell's & want it
            with contextlib.suppress(NotImplementedError):  # no signals on Windows' loops
                asyncio.get_running_loop().add_signal_handler(number, self._on_signal, work)

    def _on_signal(self, work: asyncio.Future[None]) -> None:
        """Finish what is under way; the second time drop it; the third time just go."""
        self._signals += 1
        if self._signals == 1:
            self._how = "interrupted"
            self._scan.stop()
            if not self._quiet:
                say("auditor: interrupted, finishing what is under way")
            self._ending = asyncio.ensure_future(self._end(work))
        elif self._signals == 2:  # noqa: PLR2004 - see above
            work.cancel()
        else:
            # A reader that neither reads nor goes away holds on to the thread that writes.
            os._exit(NOT_FINISHED)

    async def _end(self, work: asyncio.Future[None]) -> None:
        """End the work when nothing is under way, at the latest after a time of grace."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _GRACE
        while self._scan.open_targets and loop.time() < until:  # noqa: ASYNC110 - rare, and soon over
            await asyncio.sleep(_LOOK)
        work.cancel()

    def _leave_manifest(self, started: datetime) -> None:
        if self._path is None:
            return
        if self._how not in {"finished", "interrupted"} and not self._scan.tally.records:
            # It has not really begun: leave nothing that is in the way of the next try.
            partial_path(self._path).unlink(missing_ok=True)
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
        write_manifest(_manifest_path(self._path), content)

    def _summarise(self, started: datetime) -> None:
        """Tell the person at the terminal what came out, worst first."""
        tally = self._scan.tally
        seconds = max((datetime.now(UTC) - started).total_seconds(), 1e-3)
        verdicts = " · ".join(
            f"{tally.verdicts[name]:,} {name}"
            for name in ("pass", "warn", "fail", "unknown")
            if tally.verdicts[name]
        )
        rate = f"{tally.records / seconds:,.0f}/s"
        said = f": {verdicts}" if verdicts else ""
        say(f"{counted(tally.records, 'record')} in {seconds:.1f} s ({rate}){said}")
        severities = Ruling(self._settings.severities).severities
        worst_first = sorted(
            tally.codes,
            key=lambda code: (-SEVERITIES.index(severities[code]), -tally.codes[code], code),
        )
        digits = max((len(f"{count:,}") for count in tally.codes.values()), default=0)
        letters = max(map(len, tally.codes), default=0)
        for code in worst_first:
            severity = severities[code]
            shown = click.style(f"{severity:<7}", **severity_style(severity))
            room = width() - digits - letters - _BETWEEN
            title = textwrap.shorten(entry(code).title, room, placeholder=" …")
            say(f"  {tally.codes[code]:>{digits},}  {shown}  {code:<{letters}}  {title}")
        if tally.codes:
            say("`auditor explain CODE` says why a finding matters and what to do.")

    def _say_where(self) -> None:
        if self._how != "finished":
            say(f"not finished: {self._how}")
        if self._path is not None:
            there = self._path if self._how == "finished" else partial_path(self._path)
            say(f"records: {there}\nmanifest: {_manifest_path(self._path)}")


def _manifest_path(path: Path) -> Path:
    return path.with_name(path.name + ".run.json")
