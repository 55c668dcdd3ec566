"""JSON log of a scan on standard error, one event a line.

Every event has `time` (UTC, ISO 8601, milliseconds), `event` and `level`; what else, by event:

- `settings`: the `path` of a settings file that was found and not named: `auditor.toml`;
- `start`: `version`, `fingerprint`, `servers`, `zones`, `engine`, `inputs`, `targets`;
- `servers_disagree`: `name`, `type`, `differ` and `asked`: how many of the questions put to
  every server at the end got different answers, and one of these questions;
- `server_left_out`, `server_benched`, `server_back`: `server`, and `why` for the first two;
- `zone_dead`, `zone_back`: `zone`;
- `worker_lost`: `why`, `targets`, and whether these are done `again`; `dashboard`: `url`;
- `progress`, each minute: `records`, `targets`, `under_way`, `seconds`, `rate`, `eta_seconds`,
  `verdicts`, `queries`;
- `stopping`: `why`;
- `error`: `message`, `code`;
- `end`: `how`, `outcome`, `code`, the totals, and where the records and the manifest are;
- `resumed`, `already_finished`, `metrics_unwritable`: what each is about;
- `message`: anything else that the engine reports.

Events of the engine also have a `message` in words.
"""

from __future__ import annotations

import logging
import sys
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import orjson

from auditor.errors import AuditorError
from auditor.quoting import printable_json
from auditor.run.manifest import peak_memory
from auditor.version import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from auditor.run.progress import Begun, Ended, Snapshot
    from auditor.settings import Settings

__all__ = ["JsonLog", "emit", "error_event"]

_LEVELS: Final = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warning",
    logging.ERROR: "error",
    logging.CRITICAL: "error",
}


def emit(event: str, when: datetime, *, level: str = "info", **fields: Any) -> None:
    """Print one event, if standard error is open."""
    time = when.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    head = {"time": time, "event": event, "level": level}
    line = printable_json(orjson.dumps({**head, **fields}, default=str).decode())
    with suppress(OSError):
        if sys.stderr is not None:
            print(line, file=sys.stderr, flush=True)  # noqa: T201 - the command line prints


def error_event(message: str, code: int) -> None:
    """Print the event of an error that ends the command."""
    emit("error", datetime.now(UTC), level="error", message=message, code=code)


def settings_event(path: Path) -> None:
    """Print the event of a file with settings that was found, not named."""
    emit("settings", datetime.now(UTC), path=str(path))


def ignored_event(message: str) -> None:
    """Print the event of a variable that looks like a setting and is none."""
    emit("message", datetime.now(UTC), level="warning", message=message)


class JsonLog(logging.Handler):
    """A `Listener` that prints events, and the handler of what the engines log.

    With `quiet` it prints nothing but errors.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__(logging.ERROR if quiet else logging.INFO)
        self._quiet = quiet

    def on_begin(self, begun: Begun) -> None:
        """Print `start`."""
        if self._quiet:
            return
        settings = begun.settings
        emit(
            "start",
            begun.when,
            version=__version__,
            fingerprint=begun.fingerprint,
            servers=_servers(settings),
            zones=settings.zones,
            engine="zones" if settings.zones is not None else settings.engine,
            inputs={key: value for key, value in begun.inputs.items() if key != "targets"},
            targets=begun.inputs.get("targets"),
        )

    def on_progress(self, snapshot: Snapshot) -> None:
        """Print `progress`."""
        if self._quiet:
            return
        remaining = snapshot.remaining
        emit(
            "progress",
            snapshot.when,
            **_so_far(snapshot),
            eta_seconds=None if remaining is None else round(remaining),
        )

    def on_stopping(self, why: str, when: datetime) -> None:
        """Print `stopping`."""
        if not self._quiet:
            emit("stopping", when, level="warning", why=why)

    def on_end(self, ended: Ended) -> None:
        """Print `end`."""
        if self._quiet:
            return
        snapshot = ended.snapshot
        tally = snapshot.tally
        asked = snapshot.queries.get("asked") or 0
        emit(
            "end",
            snapshot.when,
            level="info" if ended.outcome == "finished" else "error",
            how=ended.how,
            outcome=ended.outcome,
            code=ended.code,
            **_so_far(snapshot),
            kinds=dict(sorted(tally.kinds.items())),
            findings=dict(sorted(tally.codes.items())),
            ptr_statuses=dict(sorted(tally.statuses.items())),
            lookups_per_second=round(asked / max(snapshot.seconds, 1e-6), 1),
            peak_memory=peak_memory(),
            output=ended.records,
            manifest=ended.manifest,
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Print what an engine logged, with its fields as they are."""
        emit(
            getattr(record, "event", "message"),
            datetime.fromtimestamp(record.created, UTC),
            level=_LEVELS.get(record.levelno, "info"),
            message=record.getMessage(),
            **getattr(record, "fields", {}),
        )


def _servers(settings: Settings) -> list[str]:
    """Return the servers that will be asked, the system's if no others are named."""
    servers = settings.servers
    if not servers and settings.zones is None:
        from auditor.resolve.resolv_conf import system_servers  # noqa: PLC0415 - which the run needs too

        with suppress(AuditorError):  # the run reports it
            servers = system_servers()
    return [str(server) for server in servers]


def _so_far(snapshot: Snapshot) -> dict[str, Any]:
    return {
        "records": snapshot.tally.records,
        "targets": snapshot.targets,
        "under_way": snapshot.under_way,
        "seconds": round(snapshot.seconds, 3),
        "rate": round(snapshot.rate, 1),
        "verdicts": dict(sorted(snapshot.tally.verdicts.items())),
        "queries": dict(snapshot.queries),
    }
