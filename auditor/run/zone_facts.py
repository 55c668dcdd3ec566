"""Zone facts beside the output of a scan, with --authority: collects owners, writes the file."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson

from auditor.errors import OutputError, UsageError
from auditor.output.atomic import replace_file
from auditor.output.folder import is_folder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auditor.settings import Settings
    from auditor.zones.owners import Owners

__all__ = ["ZoneFacts"]


class ZoneFacts:
    """The zone facts beside an output, if the settings ask for them.

    Collects the owner names of the records as they are written, those of earlier sessions
    included. Raises UsageError for an output that is no file.
    """

    def __init__(self, settings: Settings, output: str) -> None:
        #: The severities of the findings.
        self.severities: set[str] = set()
        #: Summary for the manifest: the number of zones, and findings by code.
        self.counts: dict[str, Any] | None = None
        self._settings = settings
        self._owners: Owners | None = None
        self._path = Path(f"{output}.zones.ndjson")
        path = Path(output)
        is_other = output == "-" or is_folder(output) or (path.exists() and not path.is_file())
        self._is_file = not is_other
        if settings.authority is None:
            return
        from auditor.zones.owners import Owners  # noqa: PLC0415 - for few runs

        self._owners = Owners(every=settings.authority == "every")
        if is_other:
            raise UsageError(
                "authority: the zone facts are written beside the output file: add -o FILE"
            )

    def require_made(self) -> None:
        """Raise UsageError if facts are wanted beside an output that is complete without them."""
        if self._owners is not None and not self._path.is_file():
            raise UsageError(
                f"{self._path}: is missing, and the records are complete; --overwrite writes both"
            )

    def note_record(self, record: Mapping[str, Any]) -> None:
        """Take a record that an earlier session has written."""
        if self._owners is not None:
            # The file may have been changed since: a line that is no record has no owner name.
            with suppress(KeyError, TypeError, ValueError):
                self._owners.add_record(record)

    def note_lines(self, lines: bytes) -> None:
        """Take records as they are written."""
        if self._owners is not None:
            for line in lines.splitlines():
                self._owners.add_record(orjson.loads(line))

    async def write_facts(self) -> None:
        """Ask the servers, and write the facts of the zones. Raises AuditorError.

        A scan without zone facts removes those of the records that it replaces.
        """
        if self._owners is None:
            if self._is_file:
                with suppress(OSError):
                    self._path.unlink(missing_ok=True)
            return
        from auditor.run.authority import survey_zones  # noqa: PLC0415 - for few runs

        lines = await survey_zones(self._settings, self._owners)
        self.severities = {finding["severity"] for line in lines for finding in line["findings"]}
        codes = Counter(finding["code"] for line in lines for finding in line["findings"])
        self.counts = {"zones": len(lines), "findings": dict(sorted(codes.items()))}
        data = b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines)
        try:
            replace_file(self._path, data)
        except OSError as error:
            raise OutputError(
                f"{self._path}: cannot be written: {error.strerror or error}"
            ) from error
