"""What is told of a scan while it goes on and when it ends, and to whom.

One face, `Listener`, with three implementations: `People` (text), `Events` (JSON), and
`MetricsFile` for Prometheus. `Reports` is what a run talks to, and keeps the minutes.
"""

from __future__ import annotations

import asyncio
import logging
import time
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final, Protocol

from auditor.cli.events import Events
from auditor.cli.people import People
from auditor.cli.progress import Progress
from auditor.run.metrics import MetricsFile
from auditor.run.moments import Begun, Ended, Snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from auditor.cli.streams import Voice
    from auditor.run.scan import AnyScan
    from auditor.settings import Settings

__all__ = ["Listener", "Reports"]

_MINUTE: Final = 60.0


class Listener(Protocol):
    """Whoever wants to know of a run."""

    def begin(self, begun: Begun) -> None:
        """Hear that it begins, before anything is asked."""
        ...

    def minute(self, snapshot: Snapshot) -> None:
        """Hear how far it is."""
        ...

    def stopping(self, why: str, when: datetime) -> None:
        """Hear that it is told to stop, and finishes what is under way."""
        ...

    def end(self, ended: Ended) -> None:
        """Hear how it ended."""
        ...


class Reports:
    """Tells everybody who wants to know of a scan.

    `voice` says what fails; `terminal`: whether there is one for the progress line; `every`:
    the seconds of a minute; `clock`, `now`: the time. Raises UsageError if metrics cannot be
    written.
    """

    def __init__(
        self,
        settings: Settings,
        scan: AnyScan,
        voice: Voice,
        *,
        terminal: bool,
        every: float = _MINUTE,
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
        self._voice = voice
        self._begun = False
        voice.as_json = settings.log_format == "json"
        speaker = Events if voice.as_json else People
        self._handler: Events | People = speaker(quiet=settings.quiet)
        self._shown = terminal and not voice.as_json and not settings.quiet
        self._listeners: list[Listener] = [self._handler]
        if settings.metrics is not None:
            # Before the one that speaks, whose last word is the end.
            self._listeners.insert(0, MetricsFile(settings.metrics))

    def begin(self, fingerprint: str, inputs: Mapping[str, Any]) -> None:
        """Tell that the run begins; see `Begun`. Raises UsageError for metrics, as above."""
        self._began = self._clock()
        self._before = self._scan.tally.records
        begun = Begun(self._now(), self._settings, fingerprint, inputs)
        for listener in self._listeners:
            listener.begin(begun)
        self._begun = True

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Tell each minute how far the run is, and meanwhile what the engines report."""
        log = logging.getLogger("auditor")
        level = log.level
        # What only machines want to know, such as every dead zone, is logged as INFO.
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

    def stopping(self, why: str) -> None:
        """Tell that the run was told to stop: by a signal, or by its deadline."""
        for listener in self._listeners:
            listener.stopping(why, self._now())

    def end(
        self,
        how: str,
        code: int,
        *,
        records: Path | str | None = None,
        manifest: Path | str | None = None,
    ) -> None:
        """Tell how the run ended, if it has begun at all; see `Ended`."""
        if not self._begun:
            return
        ended = Ended(self._snapshot(), how, code, records, manifest)
        if ended.failed and self._voice.as_json:
            self._voice.fail(how, code)  # so that `end` is the last event
        for listener in self._listeners:
            listener.end(ended)

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._every, self._on_minute)

    def _on_minute(self) -> None:
        snapshot = self._snapshot()
        for listener in self._listeners:
            listener.minute(snapshot)
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
        )
