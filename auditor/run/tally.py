"""What a run counts while it goes on."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, Final

from auditor.findings.catalogue import ENTRIES, SEVERITIES
from auditor.findings.judge import VERDICTS

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.output.record import Record

__all__ = ["Tally", "is_countable"]

_KINDS: Final = ("ip", "domain", "invalid")
#: A tuple, as the others: what is no text has no hash, perhaps, but can be looked for.
_CODES: Final = tuple(entry.code for entry in ENTRIES)


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

    def forget(self, record: Record) -> None:
        """Take back one record that was counted, and did not get to where it was to go."""
        self.records -= 1
        self.kinds[record["kind"]] -= 1
        self.verdicts[record["verdict"]] -= 1
        for finding in record["findings"]:
            self.codes[finding["code"]] -= 1
            self.severities[finding["severity"]] -= 1
        ptr = record["ptr"]
        if ptr is not None:
            self.statuses[ptr["status"]] -= 1
        for counter in (self.kinds, self.verdicts, self.codes, self.severities, self.statuses):
            for key in [key for key, number in counter.items() if not number]:
                del counter[key]

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

    def add(self, other: Tally) -> None:
        """Count all that another tally has counted."""
        self.records += other.records
        self.kinds.update(other.kinds)
        self.verdicts.update(other.verdicts)
        self.codes.update(other.codes)
        self.severities.update(other.severities)
        self.statuses.update(other.statuses)


def is_countable(value: Any) -> bool:
    """Tell whether something read from a file is a record, as far as it is counted."""
    if not isinstance(value, dict):
        return False
    findings, ptr = value.get("findings"), value.get("ptr", "")
    return (
        isinstance(value.get("target"), str)
        and value.get("kind") in _KINDS
        and value.get("verdict") in VERDICTS
        and isinstance(findings, list)
        and all(
            isinstance(finding, dict)
            and finding.get("code") in _CODES
            and finding.get("severity") in SEVERITIES
            for finding in findings
        )
        and (ptr is None or (isinstance(ptr, dict) and isinstance(ptr.get("status"), str)))
    )
