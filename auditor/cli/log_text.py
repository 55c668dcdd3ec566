"""Text log of a scan on standard error: messages, and the summary at the end."""

from __future__ import annotations

import logging
import textwrap
from typing import TYPE_CHECKING, Final

import click

from auditor.cli.console import print_message
from auditor.cli.formatting import counted, fitted, severity_style, terminal_width
from auditor.errors import AuditorError
from auditor.findings.catalogue import entry
from auditor.findings.entry import SEVERITIES

if TYPE_CHECKING:
    from datetime import datetime

    from auditor.run.progress import Begun, Ended, Snapshot

__all__ = ["TextLog"]

#: Columns of a line of the summary beside count, code and title: gaps and severity.
_COLUMNS_BESIDE_TITLE: Final = 15
_MIN_TITLE_COLUMNS: Final = 12
_STDERR: Final = 2
#: Addresses in an output that is read again for faults of whole prefixes: with fewer they are
#: obvious, and more would take seconds.
_MIN_BLOCK_ADDRESSES: Final = 256
_MAX_BLOCK_ADDRESSES: Final = 1 << 18
_MAX_FAULTS: Final = 3
_RANK: Final[dict[str, int]] = {severity: rank for rank, severity in enumerate(SEVERITIES)}


class TextLog(logging.Handler):
    """A `Listener` for people, and the handler of what the engines log.

    Errors are not printed: an error ends the command, and is its last message. With `quiet`
    nothing is printed.
    """

    def __init__(self, *, quiet: bool = False) -> None:
        super().__init__(logging.WARNING)
        self._quiet = quiet

    def on_begin(self, begun: Begun) -> None:
        """Print nothing: the user has started the run."""

    def on_progress(self, snapshot: Snapshot) -> None:
        """Print nothing: the progress line shows it, at a terminal."""

    def on_stopping(self, why: str, when: datetime) -> None:
        """Print that the run is stopping, which takes some seconds."""
        del when
        if not self._quiet:
            print_message(f"auditor: {why}, finishing what is under way")

    def emit(self, record: logging.LogRecord) -> None:
        """Print what an engine logs."""
        if not self._quiet and record.levelno < logging.ERROR:
            print_message(f"auditor: {record.getMessage()}")

    def on_end(self, ended: Ended) -> None:
        """Print the summary, most severe findings first, and where the records are.

        Errors are printed by the caller that they are raised to.
        """
        if self._quiet or ended.failed:
            return
        self._totals(ended)
        if ended.how != "finished":
            print_message(f"not finished: {ended.how}")
        if ended.records is not None:
            print_message(f"records: {ended.records}")
        if ended.manifest is not None:
            print_message(f"manifest: {ended.manifest}")

    def _totals(self, ended: Ended) -> None:
        snapshot = ended.snapshot
        tally = snapshot.tally
        verdicts = " · ".join(
            f"{tally.verdicts[name]:,} {name}"
            for name in ("pass", "warn", "fail", "unknown")
            if tally.verdicts[name]
        )
        counts = f": {verdicts}" if verdicts else ""
        records = counted(tally.records, "record")
        rate = f"{snapshot.seconds:.1f} s ({snapshot.rate:,.0f}/s)"
        print_message(fitted(f"{records} in {rate}{counts}", _STDERR))
        rows = [
            (code, severity, count)
            for (code, severity), count in (
                (finding.split(), count) for finding, count in tally.findings.items()
            )
        ]
        rows.sort(key=lambda row: (-_RANK[row[1]], -row[2], row[0]))
        digits = max((len(f"{count:,}") for _, _, count in rows), default=0)
        letters = max((len(code) for code, _, _ in rows), default=0)
        columns = terminal_width(_STDERR)
        for code, severity, count in rows:
            shown = click.style(f"{severity:<7}", **severity_style(severity))
            title = entry(code).title
            if columns is not None:
                room = max(columns - digits - letters - _COLUMNS_BESIDE_TITLE, _MIN_TITLE_COLUMNS)
                title = textwrap.shorten(title, room, placeholder=" …")
            print_message(f"  {count:>{digits},}  {shown}  {code:<{letters}}  {title}")
        lines = _whole_prefixes(ended)
        if rows:
            lines.append("`auditor explain CODE` says why a finding matters and what to do.")
        for line in lines:
            print_message(fitted(line, _STDERR))


def _whole_prefixes(ended: Ended) -> list[str]:
    """Return a line for each fault of whole prefixes in the output."""
    tally, output = ended.snapshot.tally, ended.records
    if output is None or ended.how != "finished" or "://" in str(output):
        return []
    if not (_MIN_BLOCK_ADDRESSES <= tally.kinds["ip"] <= _MAX_BLOCK_ADDRESSES and tally.findings):
        return []
    from auditor.cli.summary_blocks import fault_rows  # noqa: PLC0415 - not needed for a few targets
    from auditor.views.block_facts import fault_json  # noqa: PLC0415
    from auditor.views.scan_faults import scan_faults  # noqa: PLC0415

    try:
        faults = scan_faults(output)
    except AuditorError:  # the output was moved away meanwhile
        return []
    rows = list(fault_rows([fault_json(fault, _MAX_FAULTS) for fault in faults]))[:_MAX_FAULTS]
    letters = max((len(code) for code, *_ in rows), default=0)
    return [
        f"  {'whole prefixes:' if not at else '':<15}  {code:<{letters}}  {prefixes}"
        for at, (code, _, prefixes, _) in enumerate(rows)
    ]
