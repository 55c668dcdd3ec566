"""What a run counts while it goes on."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.output.record import Record

__all__ = ["Tally"]


class Tally:
    """Counts of finished records: by kind, verdict, finding and PTR status.

    `severities` counts findings, for `--fail-on`.
    """

    __slots__ = ("codes", "kinds", "records", "severities", "statuses", "verdicts")

    def __init__(self) -> None:
        self.records = 0
        self.kinds: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()
        self.severities: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()

    def note(self, record: Record) -> None:
        """Count one finished record."""
        self.records += 1
        self.kinds[record["kind"]] += 1
        self.verdicts[record["verdict"]] += 1
        for finding in record["findings"]:
            self.codes[finding["code"]] += 1
            self.severities[finding["severity"]] += 1
        ptr = record["ptr"]
        if ptr is not None:
            self.statuses[ptr["status"]] += 1

    def count(
        self, kind: str, verdict: str, codes: Sequence[tuple[str, str]], status: str, times: int
    ) -> None:
        """Count `times` records that are alike in all that is counted.

        `codes` are the findings of each as (code, severity), `status` its PTR status.
        """
        self.records += times
        self.kinds[kind] += times
        self.verdicts[verdict] += times
        self.statuses[status] += times
        for code, severity in codes:
            self.codes[code] += times
            self.severities[severity] += times
