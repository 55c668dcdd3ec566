"""The Prometheus text file of a run, for the node exporter's textfile collector.

It describes one run, the current or else the last one, so almost everything in it is a gauge: a
new run starts from zero. The exit code, time and kind of the last run's end stay while the next
one is in progress, and the time of the last success stays until there is another: both are read
from the existing file.
"""

from __future__ import annotations

import logging
import stat
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

from auditor.errors import UsageError
from auditor.findings.rules import RuleSet
from auditor.output.atomic import replace_file
from auditor.run.existing_output import not_made
from auditor.run.manifest import peak_memory
from auditor.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

    from auditor.run.progress import Begun, Ended, Snapshot

__all__ = ["MetricsFile"]

_log = logging.getLogger("auditor")

_LAST_SUCCESS: Final = "auditor_scan_last_success_timestamp_seconds"
_LAST_END: Final = "auditor_scan_end_timestamp_seconds"
_EXIT_CODE: Final = "auditor_scan_exit_code"
_OUTCOME: Final = "auditor_scan_outcome"
_OUTCOMES: Final = ("finished", "interrupted", "deadline", "failed")
_VERDICTS: Final = ("pass", "warn", "fail", "unknown")
_KINDS: Final = ("ip", "domain", "invalid")

#: Counters of the outcomes of lookups; they add up to the lookups asked for.
_LOOKUPS: Final = ("cached", "joined", "answered", "failed", "open")
_QUERIES: Final = ("sent", "retried", "lost", "tcp")

#: Readable by all: the node exporter usually runs as another user than the scan.
_FILE_MODE: Final = 0o644

#: Most octets of an existing file that is taken for a metrics file.
_MAX_METRICS_OCTETS: Final = 4 << 20


class MetricsFile:
    """Keeps the metrics of a run in a file: at its beginning, each minute, at its end.

    Raises UsageError if prometheus-client is not installed, or if `path` is a file of another
    kind, which would be lost.
    """

    def __init__(self, path: Path) -> None:
        self._client = _library()
        self._path = path
        self._severities: Mapping[str, str] = {}
        self._labels: dict[str, str] = {}
        self._began = 0.0
        self._logged_failure = False
        #: Values that stay from earlier runs, by the names of samples and outcomes.
        self._kept = self._read()

    def on_begin(self, begun: Begun) -> None:
        """Write that a run has begun. Raises UsageError, or OutputError if there is no room."""
        settings = begun.settings
        rule_set = RuleSet.from_settings(settings)
        self._severities = rule_set.severities
        engine = "zones" if settings.zones is not None else settings.engine
        self._labels = {"version": __version__, "engine": engine, "fingerprint": begun.fingerprint}
        self._began = begun.when.timestamp()
        try:
            self._write(self._collect(None, running=True))
        except OSError as error:
            message = f"{self._path}: cannot be written: {error.strerror}"
            raise not_made(message, error) from error

    def on_progress(self, snapshot: Snapshot) -> None:
        """Write the progress of the run."""
        self._try(snapshot, running=True)

    def on_stopping(self, why: str, when: datetime) -> None:
        """Do nothing: `on_end` writes the outcome."""

    def on_end(self, ended: Ended) -> None:
        """Write how the run ended."""
        when = ended.snapshot.when.timestamp()
        self._end(when, ended.outcome, ended.code, succeeded=ended.succeeded)
        self._try(ended.snapshot, running=False)

    def not_begun(self, when: datetime, code: int) -> None:
        """Write that a run could not even begin."""
        self._labels = {"version": __version__}
        self._began = when.timestamp()
        self._end(self._began, "failed", code, succeeded=False)
        with suppress(OSError):  # the error that kept the run from beginning matters more
            self._write(self._collect(None, running=False))

    def _end(self, when: float, outcome: str, code: int, *, succeeded: bool) -> None:
        """Set the values that stay until the next run ends."""
        self._kept = {
            _LAST_SUCCESS: when if succeeded else self._kept.get(_LAST_SUCCESS),
            _LAST_END: when,
            _EXIT_CODE: code,
            **{name: float(name == outcome) for name in _OUTCOMES},
        }

    def _try(self, snapshot: Snapshot, *, running: bool) -> None:
        """Write, or log once that writing failed: the records matter more."""
        try:
            self._write(self._collect(snapshot, running=running))
        except OSError as error:
            if not self._logged_failure:
                self._logged_failure = True
                why = error.strerror or str(error)
                _log.warning(
                    "metrics: %s: cannot be written: %s",
                    self._path,
                    why,
                    extra={
                        "event": "metrics_unwritable",
                        "fields": {"path": str(self._path), "why": why},
                    },
                )

    def _read(self) -> dict[str, float | None]:
        """Return the values of the existing file that stay."""
        try:
            if not stat.S_ISREG(self._path.stat().st_mode):
                raise UsageError(f"{self._path}: not a regular file; expected a file for metrics")
            with self._path.open("rb") as file:
                text = file.read(_MAX_METRICS_OCTETS).decode()
            families = list(self._client.parser.text_string_to_metric_families(text))
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise UsageError(f"{self._path}: cannot be read: {error.strerror}") from error
        except (ValueError, KeyError, IndexError):
            families, text = [], "?"
        samples = [sample for family in families for sample in family.samples]
        if text and not any(sample.name.startswith("auditor_") for sample in samples):
            raise UsageError(f"{self._path}: exists, and holds no metrics of auditor")
        kept = (_LAST_SUCCESS, _LAST_END, _EXIT_CODE)
        values = {sample.name: sample.value for sample in samples if sample.name in kept}
        return values | {
            sample.labels["outcome"]: sample.value
            for sample in samples
            if sample.name == _OUTCOME and sample.labels.get("outcome") in _OUTCOMES
        }

    def _collect(self, snapshot: Snapshot | None, *, running: bool) -> bytes:
        """Return the text of the file."""
        registry = self._client.CollectorRegistry()

        def gauge(name: str, about: str, value: float | None) -> None:
            if value is not None:
                self._client.Gauge(name, about, registry=registry).set(value)

        def gauges(
            name: str, about: str, labels: Iterable[str], values: Mapping[Any, float | None]
        ) -> None:
            made = self._client.Gauge(name, about, list(labels), registry=registry)
            for key, value in values.items():
                if value is not None:
                    made.labels(*((key,) if isinstance(key, str) else key)).set(value)

        about = "Version, engine and fingerprint of the scan."
        self._client.Info("auditor_scan", about, registry=registry).info(self._labels)
        gauge("auditor_scan_running", "Whether a scan is running.", float(running))
        gauge("auditor_scan_start_timestamp_seconds", "Start of the scan.", self._began)
        gauge(_LAST_END, "End of the last scan.", self._kept.get(_LAST_END))
        gauge(_LAST_SUCCESS, "End of the last successful scan.", self._kept.get(_LAST_SUCCESS))
        gauge(_EXIT_CODE, "Exit code of the last scan that ended.", self._kept.get(_EXIT_CODE))
        outcomes = {outcome: self._kept.get(outcome) for outcome in _OUTCOMES}
        gauges(_OUTCOME, "Outcome of the last scan that ended.", ["outcome"], outcomes)
        if snapshot is not None:
            self._describe(snapshot, gauge, gauges)
        text: bytes = self._client.generate_latest(registry)
        return text

    def _describe(
        self, snapshot: Snapshot, gauge: Callable[..., None], gauges: Callable[..., None]
    ) -> None:
        """Add the progress and the counts of the run."""
        tally, queries = snapshot.tally, snapshot.queries
        gauge("auditor_scan_duration_seconds", "Duration of the scan so far.", snapshot.seconds)
        gauge("auditor_scan_targets", "Number of targets, if known.", snapshot.targets)
        gauge("auditor_scan_records", "Records finished.", tally.records)
        gauge("auditor_scan_peak_memory_bytes", "Peak memory of the process.", peak_memory())
        tables: list[tuple[str, str, str, Mapping[str, float | None]]] = [
            ("kinds", "Records by kind of target.", "kind", _zeros(_KINDS, tally.kinds)),
            ("verdicts", "Records by verdict.", "verdict", _zeros(_VERDICTS, tally.verdicts)),
            ("ptr_statuses", "Records by status of the PTR lookup.", "status", tally.statuses),
            ("lookups", "Lookups by outcome.", "outcome", _some(_LOOKUPS, queries)),
            ("queries", "Queries to servers.", "kind", _some(_QUERIES, queries)),
        ]
        for name, about, label, values in tables:
            gauges(f"auditor_scan_{name}", about, [label], values)
        names = [f"{code} {severity}" for code, severity in self._severities.items()]
        findings = {
            tuple(name.split()): float(tally.findings[name])
            for name in dict.fromkeys([*names, *tally.findings])
            if name.split()[0] in self._severities
        }
        about = "Findings by code and severity, for the selected codes."
        gauges("auditor_scan_findings", about, ["code", "severity"], findings)

    def _write(self, text: bytes) -> None:
        """Write the file atomically. Raises OSError.

        Without fsync, which may block the event loop for seconds: the file is replaced within a
        minute anyway.
        """
        # The collector takes whatever ends in .prom, which the temporary name does not.
        replace_file(self._path, text, mode=_FILE_MODE, sync=False)


def _library() -> Any:
    """Return prometheus_client. Raises UsageError if it is not installed."""
    try:
        import prometheus_client  # noqa: PLC0415 - an extra
        import prometheus_client.parser  # noqa: PLC0415 - as above
    except ImportError:
        raise UsageError(
            "metrics: needs prometheus-client: pip install 'auditor[metrics]'"
        ) from None
    return prometheus_client


def _zeros(names: Iterable[str], counts: Mapping[str, int]) -> dict[str, float | None]:
    """Return a value for each name, so that a series does not come and go."""
    return {name: float(counts.get(name, 0)) for name in names}


def _some(names: Iterable[str], counts: Mapping[str, int | None]) -> dict[str, float | None]:
    return {name: counts[name] for name in names if name in counts}
