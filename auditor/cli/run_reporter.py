"""The reporter of a scan at the command line: text or JSON events, the progress line, metrics."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from auditor.cli.console import print_message
from auditor.cli.formatting import counted
from auditor.cli.log_json import JsonLog, emit
from auditor.cli.log_text import TextLog
from auditor.cli.progress import Progress
from auditor.errors import AuditorError, UsageError
from auditor.run.metrics import MetricsFile
from auditor.run.progress import Begun, Ended, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from auditor.cli.console import ErrorOutput
    from auditor.run.existing_output import FinishedOutput
    from auditor.run.outcome import Outcome
    from auditor.run.progress import Listener
    from auditor.run.scan import AnyScan
    from auditor.settings import Settings

__all__ = ["RunReporter", "note_failed_start"]

_REPORT_INTERVAL_S: Final = 60.0


@contextmanager
def note_failed_start(settings: Settings) -> Iterator[None]:
    """Write the metrics if a scan fails before it has begun."""
    try:
        yield
    except AuditorError as error:
        if settings.metrics is not None:
            with suppress(UsageError):  # the metrics may be the fault
                MetricsFile(settings.metrics).not_begun(datetime.now(UTC), error.exit_code)
        raise


class RunReporter:
    """Reports a scan to its listeners.

    `error_output` prints errors; `output` is that of the scan: the progress line needs a terminal
    that it does not share; `every`: seconds between two reports; `clock`, `now`: the time. Raises
    UsageError if metrics cannot be written.
    """

    def __init__(
        self,
        settings: Settings,
        error_output: ErrorOutput,
        output: str,
        scan: AnyScan,
        *,
        every: float = _REPORT_INTERVAL_S,
        clock: Callable[[], float] = time.monotonic,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._settings = settings
        self._scan = scan
        self._every = every
        self._clock = clock
        self._now = now
        self._timer: asyncio.TimerHandle | None = None
        self._began = clock()
        self._before = 0
        self._error_output = error_output
        self._begun = False
        error_output.as_json = settings.log_format == "json"
        speaker = JsonLog if error_output.as_json else TextLog
        self._handler: JsonLog | TextLog = speaker(quiet=settings.quiet)
        self._shown = _has_terminal(output) and not error_output.as_json and not settings.quiet
        self._listeners: list[Listener] = [self._handler]
        self._metrics = None if settings.metrics is None else MetricsFile(settings.metrics)
        if self._metrics is not None:
            # Before the log, whose last event is the end.
            self._listeners.insert(0, self._metrics)

    def on_begin(self, fingerprint: str, inputs: Mapping[str, Any]) -> None:
        """Report that the run begins; see `Begun`. Raises UsageError for metrics, as above."""
        self._began = self._clock()
        self._before = self._scan.tally.records
        begun = Begun(self._now(), self._settings, fingerprint, inputs)
        for listener in self._listeners:
            listener.on_begin(begun)
        self._begun = True

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Report progress each minute, and what the engines log."""
        log = logging.getLogger("auditor")
        level = log.level
        # Events for machines only, such as every dead zone, are logged as INFO.
        log.setLevel(min(self._handler.level, log.getEffectiveLevel()))
        log.addHandler(self._handler)
        self._wait()
        try:
            with Progress(self._snapshot, shown=self._shown):
                yield
        finally:
            if self._timer is not None:
                self._timer.cancel()
            log.removeHandler(self._handler)
            log.setLevel(level)

    def on_stopping(self, why: str) -> None:
        """Report that the run is to stop, by a signal or by its deadline."""
        for listener in self._listeners:
            listener.on_stopping(why, self._now())

    def on_end(
        self,
        how: str,
        outcome: Outcome,
        *,
        records: Path | str | None = None,
        manifest: Path | str | None = None,
    ) -> None:
        """Report how the run ended, if it has begun at all; see `Ended`.

        The reason of a failure comes last in the text, and before `end` in JSON.
        """
        if outcome.why and self._error_output.as_json:
            self._error_output.fail(outcome.why, outcome.code)
        if self._begun:
            ended = Ended(self._snapshot(), how, outcome.code, records, manifest)
            if ended.failed and self._error_output.as_json:
                self._error_output.fail(how, outcome.code)  # so that `end` is the last event
            for listener in self._listeners:
                listener.on_end(ended)
        elif self._metrics is not None:
            self._metrics.not_begun(self._now(), outcome.code)
        if outcome.why and not self._error_output.as_json:
            self._error_output.fail(outcome.why, outcome.code)

    def on_already_finished(self, output: str, done: FinishedOutput) -> None:
        """Report that an output is complete already, and why that was no success."""
        if not self._settings.quiet:
            if self._error_output.as_json:
                emit("already_finished", self._now(), output=output, records=done.records)
            else:
                records = counted(done.records, "record")
                print_message(f"auditor: {output}: finished already, with {records}")
        if done.outcome.why:
            self._error_output.fail(done.outcome.why, done.outcome.code)

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._every, self._on_timer)

    def _on_timer(self) -> None:
        snapshot = self._snapshot()
        for listener in self._listeners:
            listener.on_progress(snapshot)
        self._wait()

    def _snapshot(self) -> Snapshot:
        scan = self._scan
        return Snapshot(
            self._now(),
            self._clock() - self._began,
            scan.stream.total,
            self._before,
            scan.open_targets,
            scan.tally,
            scan.queries or scan.counters(),
            scan.server_limits,
        )


def _has_terminal(output: str) -> bool:
    """Tell whether there is a terminal for the progress line alone."""
    if sys.stderr is None or not sys.stderr.isatty():
        return False
    return output != "-" or not sys.stdout.isatty()
