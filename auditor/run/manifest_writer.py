"""Writes the manifest of a run while it goes on: at the start, at intervals, at the end."""

from __future__ import annotations

import threading
from contextlib import suppress
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from auditor.errors import OutputError
from auditor.output.atomic import nameless_file, replace_file
from auditor.output.sink import partial_path
from auditor.run.manifest import (
    KILLED,
    RUNNING,
    Session,
    manifest,
    manifest_path,
    peak_memory,
    write_manifest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path
    from typing import IO

    from auditor.run.identity import Identity
    from auditor.run.scan import AnyScan
    from auditor.settings import Settings

__all__ = ["ManifestWriter"]

#: Octets of disk space reserved for the last manifest, which is larger than the first.
_ROOM_OCTETS: Final = 16 << 10


class ManifestWriter:
    """Writes the manifest of an output at `path` as the scan goes on.

    `now` is the time, with a zone. `first_given_up`: the index of the first record whose
    target an earlier session has given up, None without one.
    """

    def __init__(
        self,
        path: Path,
        settings: Settings,
        identity: Identity,
        scan: AnyScan,
        *,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.path = manifest_path(path)
        self.identity = identity
        self._output = path
        self._settings = settings
        self._scan = scan
        self._now = now
        self._started = now()
        self._earlier: list[Session] = []
        self._before = 0
        self._replaced: bytes | None = None
        self.first_given_up: int | None = None
        #: Summary of the zone facts, if there are any.
        self.zones: Mapping[str, Any] | None = None
        self._lock = threading.Lock()
        #: An unnamed file: its space is freed when this process ends, in whatever way.
        self._room: IO[bytes] | None = None

    def continue_from(self, earlier: Mapping[str, Any]) -> None:
        """Continue from a manifest of the same run; invalid entries in it are ignored."""
        with suppress(KeyError, TypeError, ValueError, AttributeError, OverflowError):
            self._earlier = [Session.read(noted) for noted in earlier["sessions"]]
        with suppress(KeyError, TypeError, ValueError, OverflowError):
            self.first_given_up = min(int(noted["first"]) for noted in earlier["given_up"])

    def start_session(self) -> None:
        """Write the manifest of a run that starts, or resumes. Raises OutputError.

        The records that the scan has counted by now are those of earlier sessions.
        """
        self._before = self._scan.tally.records
        self._earlier = _settled(self._earlier, self._before)
        with suppress(OSError):
            self._replaced = self.path.read_bytes()
        self.write_manifest(self.content(RUNNING))
        self._keep_room()

    def _keep_room(self) -> None:
        """Reserve disk space for the last manifest, in case the disk is full by then."""
        with suppress(OSError):
            room = nameless_file(self.path)
            try:
                room.write(bytes(_ROOM_OCTETS))
            except OSError:
                room.close()
                raise
            self._room = room

    def content(self, how: str) -> dict[str, Any]:
        """Return the manifest as of now. On the loop that the scan runs on."""
        scan = self._scan
        session = Session(
            self._started,
            self._now(),
            how,
            scan.tally.records - self._before,
            scan.queries or scan.counters(),
            peak_memory(),
        )
        output = self._output if how == "finished" else partial_path(self._output)
        return manifest(
            self._settings,
            self.identity,
            output=output.name,
            inputs={
                "targets": scan.stream.total,
                "invalid": scan.stream.invalid,
                "excluded": scan.stream.excluded,
                "repeated": scan.stream.repeated,
            },
            sessions=[*self._earlier, session],
            tally=scan.tally,
            given_up=scan.given_up,
            server_limits=scan.server_limits,
            zones=self.zones,
        )

    def write_manifest(self, content: Mapping[str, Any]) -> None:
        """Write the manifest, in any thread. Raises OutputError."""
        with self._lock:  # an earlier write that timed out may still be in progress
            write_manifest(self.path, content)

    def conclude(self, content: Mapping[str, Any]) -> None:
        """Write the last manifest, if need be in the space reserved for it."""
        try:
            self.write_manifest(content)
        except OutputError:
            if self._room is None:
                raise
            self.close()
            self.write_manifest(content)

    def close(self) -> None:
        """Free the reserved space."""
        if self._room is not None:
            self._room.close()
            self._room = None

    def withdraw(self) -> None:
        """Restore the manifest from before the run, which has not written anything."""
        with suppress(OSError):
            if self._replaced is None:
                self.path.unlink(missing_ok=True)
            else:
                replace_file(self.path, self._replaced, alone=True)


def _settled(sessions: list[Session], records: int) -> list[Session]:
    """Return earlier sessions, their counts of records corrected to those in the output.

    The last manifest of a killed session may count fewer records than it wrote, or more: records
    that were finished and not written are lost.
    """
    settled = []
    for place, session in enumerate(sessions, 1):
        added = records if place == len(sessions) else min(session.records, records)
        records -= added
        how = KILLED if session.how == RUNNING else session.how
        settled.append(session._replace(how=how, records=added))
    return settled
