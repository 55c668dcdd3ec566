"""What there is to tell of a run: at its beginning, meanwhile, at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from pathlib import Path

    from auditor.run.tally import Tally
    from auditor.settings import Settings

__all__ = ["Begun", "Ended", "Snapshot"]

#: What says how a run ended, unless it is the message of an error.
_ORDERLY: Final = frozenset({"finished", "interrupted", "deadline"})


class Begun(NamedTuple):
    """A run that begins. `inputs` are those of the manifest, `targets` among them."""

    when: datetime
    settings: Settings
    fingerprint: str
    inputs: Mapping[str, Any]


class Snapshot(NamedTuple):
    """How far a run is, `seconds` after it has begun.

    `targets`: how many there are, None if nobody knows yet; `before`: records that were
    there when the run began, which is how many a resumed one has found; `queries`: the
    counters of `Scan.counters`, empty before the first question.
    """

    when: datetime
    seconds: float
    targets: int | None
    before: int
    under_way: int
    tally: Tally
    queries: Mapping[str, int | None]

    @property
    def rate(self) -> float:
        """Records a second since the run began."""
        return (self.tally.records - self.before) / self.seconds if self.seconds > 0 else 0.0

    @property
    def remaining(self) -> float | None:
        """Seconds until the end at this rate; None if that cannot be said."""
        if self.targets is None or self.rate <= 0:
            return None
        return max(self.targets - self.tally.records, 0) / self.rate


class Ended(NamedTuple):
    """How a run ended: in one line, and with which exit code.

    `records` and `manifest` are where they are, None for a stream.
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
    def failed(self) -> bool:
        """Whether an error ended the run."""
        return self.outcome == "failed"
