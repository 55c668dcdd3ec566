"""An output in parts where others are one file: with the same faces, for whoever runs a scan."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from auditor.errors import OutputError
from auditor.output.frames import Kept
from auditor.output.parts import MANIFEST
from auditor.run.ledger import Ledger
from auditor.run.manifest import KILLED, RUNNING
from auditor.run.opening import not_made

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from auditor.run.identity import Identity
    from auditor.run.scan import AnyScan
    from auditor.settings import Settings
    from auditor.workers.parted import Parted

__all__ = ["FolderLedger", "FolderSink"]


class FolderSink:
    """A folder of parts in the place of a `FileSink`: a fleet puts the parts there itself."""

    def __init__(self, parts: Parted) -> None:
        self.path = Path(parts.folder.name)
        self._parts = parts

    @property
    def size(self) -> int:
        """How many records are in the parts."""
        return self._parts.listed

    @property
    def unwritten(self) -> bytes:
        """Nothing: what is in no part has not been counted."""
        return b""

    def take_up(self, note: Callable[[bytes], bool]) -> Kept:
        """Keep the parts: each of them is counted when its turn comes."""
        del note
        return Kept(0, b"", 0)

    async def write(self, lines: bytes) -> None:
        """Take no lines: they are in the parts."""
        raise TypeError(f"{len(lines)} octets for a folder of parts")

    def keep(self) -> None:
        """Do nothing: parts are safe from the first."""

    def finish(self, last: Callable[[], object]) -> None:
        """Do what is to be done last. Raises InputError for parts of other targets."""
        self._parts.finish()
        last()

    def discard(self) -> None:
        """Do nothing: there is no part."""

    def close(self) -> None:
        """Let go of the folder."""
        self._parts.folder.close()


class FolderLedger(Ledger):
    """Keeps the manifest of a run in the folder, with the list of its parts."""

    def __init__(
        self, parts: Parted, settings: Settings, identity: Identity, scan: AnyScan
    ) -> None:
        # Of the folder's own name there may be none: `./`, a URL.
        super().__init__(Path("parts"), settings, identity, scan)
        self.path = Path(parts.folder.name) / MANIFEST
        self._parts = parts
        self._listed = 0
        parts.content = self.content

    def begin(self) -> None:
        """Write the manifest of a run that begins, or goes on. Raises UsageError or OutputError."""
        self._listed = self._parts.listed
        try:
            self.write(self.content(RUNNING))
        except OutputError as error:
            # Before it, nothing has been written there: it may be a folder of somebody else's.
            raise not_made(str(error), error.__cause__) from error

    def content(self, how: str) -> dict[str, Any]:
        """Return the manifest as of now, without the parts. On the loop of the scan."""
        self._before = min(self._parts.found, self._scan.tally.records)
        if self._earlier:
            # It may have made parts that it did not come to list.
            *before, last = self._earlier
            records = max(self._listed, self._parts.found) - sum(each.records for each in before)
            ended = KILLED if last.how == RUNNING else last.how
            self._earlier = [*before, last._replace(records=max(records, 0), how=ended)]
        return {**super().content(how), "output": self._parts.folder.name}

    def write(self, content: Mapping[str, Any]) -> None:
        """Put the manifest in place, in any thread. Raises OutputError."""
        self._parts.list_parts(content)

    def withdraw(self) -> None:
        """Take the manifest away: there is no part."""
        with suppress(OutputError):
            self._parts.folder.remove(MANIFEST)
