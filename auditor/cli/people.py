"""What a person is told of a scan: a progress line on a terminal, messages, the summary."""

from __future__ import annotations

import logging
import textwrap
from typing import TYPE_CHECKING, Final

import click

from auditor.cli.streams import say
from auditor.cli.text import counted, severity_style, width
from auditor.findings.catalogue import SEVERITIES, entry
from auditor.findings.ruling import Ruling

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from auditor.findings.entry import Severity
    from auditor.run.moments import Begun, Ended, Snapshot

__all__ = ["People"]

#: Columns of a line of the summary beside count, code and title: gaps and severity.
_BETWEEN: Final = 15


class People(logging.Handler):
    """A `Listener` for people, and the handler of what the engines log.

    Errors are not shown: whatever is one ends the command, and is its last message. With
    `quiet` nothing is said at all.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__(logging.WARNING)
        self._quiet = quiet
        self._severities: Mapping[str, Severity] = {}

    def begin(self, begun: Begun) -> None:
        """Say nothing: whoever started the run knows."""
        self._severities = Ruling(begun.settings.severities).severities

    def minute(self, snapshot: Snapshot) -> None:
        """Say nothing: the progress line does, where there is somebody to look at it."""

    def stopping(self, why: str, when: datetime) -> None:
        """Say that the run is told to stop, which takes some seconds."""
        del when
        if not self._quiet:
            say(f"auditor: {why}, finishing what is under way")

    def emit(self, record: logging.LogRecord) -> None:
        """Say what an engine reports."""
        if not self._quiet and record.levelno < logging.ERROR:
            say(f"auditor: {record.getMessage()}")

    def end(self, ended: Ended) -> None:
        """Say what came out, the worst first, and where it is.

        An error is said by whoever it is raised to.
        """
        if self._quiet or ended.failed:
            return
        self._totals(ended.snapshot)
        if ended.how != "finished":
            say(f"not finished: {ended.how}")
        if ended.records is not None:
            say(f"records: {ended.records}")
        if ended.manifest is not None:
            say(f"manifest: {ended.manifest}")

    def _totals(self, snapshot: Snapshot) -> None:
        tally = snapshot.tally
        verdicts = " · ".join(
            f"{tally.verdicts[name]:,} {name}"
            for name in ("pass", "warn", "fail", "unknown")
            if tally.verdicts[name]
        )
        said = f": {verdicts}" if verdicts else ""
        records = counted(tally.records, "record")
        say(f"{records} in {snapshot.seconds:.1f} s ({snapshot.rate:,.0f}/s){said}")
        severities = self._severities
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
