"""Progress of a run: snapshots, and the protocols of reporters and listeners.

A `ScanSession` has one `Reporter`, which passes `Begun`, `Snapshot` and `Ended` on to its
`Listener`s: text or JSON on standard error, the file for Prometheus.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from auditor.errors import NOT_FINISHED

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime
    from pathlib import Path

    from auditor.output.tally import Tally
    from auditor.run.existing_output import FinishedOutput
    from auditor.run.outcome import Outcome
    from auditor.settings import Settings

__all__ = ["Begun", "Ended", "Listener", "Reporter", "Snapshot"]

#: Ways in which a run ends without an error.
_ORDERLY: Final = frozenset({"finished", "interrupted", "deadline"})


class Begun(NamedTuple):
    """A run that begins. `inputs` are those of the manifest, `targets` among them."""

    when: datetime
    settings: Settings
    fingerprint: str
    inputs: Mapping[str, Any]


class Snapshot(NamedTuple):
    """How far a run is, `seconds` after it has begun.

    `targets`: their number, None if not yet known; `before`: records of earlier sessions, 0
    unless the run was resumed; `queries`: the counters of `Scan.counters`, empty before the
    first question; `server_limits`: the limits of servers that were found.
    """

    when: datetime
    seconds: float
    targets: int | None
    before: int
    under_way: int
    tally: Tally
    queries: Mapping[str, int | None]
    server_limits: Mapping[str, Mapping[str, int | str]] = MappingProxyType({})

    @property
    def rate(self) -> float:
        """Records a second since the run began."""
        return (self.tally.records - self.before) / self.seconds if self.seconds > 0 else 0.0

    @property
    def remaining(self) -> float | None:
        """Estimated seconds until the end at this rate (ETA); None if unknown."""
        if self.targets is None or self.rate <= 0:
            return None
        return max(self.targets - self.tally.records, 0) / self.rate


class Ended(NamedTuple):
    """How a run ended: in one line, and with which exit code.

    `records` and `manifest` are their paths, None for a stream.
    """

    snapshot: Snapshot
    how: str
    code: int
    records: Path | str | None = None
    manifest: Path | str | None = None

    @property
    def outcome(self) -> str:
        """One of `finished`, `interrupted`, `deadline` and `failed`."""
        return self.how if self.how in _ORDERLY else "failed"

    @property
    def succeeded(self) -> bool:
        """Whether the run has finished, and looked up enough of its targets."""
        return self.outcome == "finished" and self.code != NOT_FINISHED

    @property
    def failed(self) -> bool:
        """Whether an error ended the run."""
        return self.outcome == "failed"


class Listener(Protocol):
    """Listener for the start, the progress and the end of a run."""

    def on_begin(self, begun: Begun) -> None:
        """Note that the run begins, before the first query."""

    def on_progress(self, snapshot: Snapshot) -> None:
        """Note the progress of the run."""

    def on_stopping(self, why: str, when: datetime) -> None:
        """Note that the run is stopping early, and finishes the targets in progress."""

    def on_end(self, ended: Ended) -> None:
        """Note how the run ended."""


class Reporter(Protocol):
    """Reports the progress and the end of a scan."""

    def on_begin(self, fingerprint: str, inputs: Mapping[str, Any]) -> None:
        """Report that the scan begins. Raises UsageError if reports cannot be made."""

    def watching(self) -> AbstractContextManager[None]:
        """Report progress, and events of engines and servers, while the context is open."""

    def on_stopping(self, why: str) -> None:
        """Report that the scan is stopping early, on a signal or at its deadline."""

    def on_end(
        self,
        how: str,
        outcome: Outcome,
        *,
        records: Path | str | None = None,
        manifest: Path | str | None = None,
    ) -> None:
        """Report how the scan ended, and where its records and its manifest are."""

    def on_already_finished(self, output: str, done: FinishedOutput) -> None:
        """Report that an output was complete already, and the outcome of its run."""
