"""Counts of the records of a run: by kind, verdict, finding and status."""

from __future__ import annotations

from collections import Counter
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from auditor.findings.catalogue import ENTRIES
from auditor.findings.entry import SEVERITIES
from auditor.findings.judge import VERDICTS
from auditor.wire.codes import SETTLED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from auditor.output.record_types import Record

__all__ = ["Tally", "is_countable"]

_KINDS: Final = ("ip", "domain", "invalid")
#: A tuple, as the others: values read from a file may be unhashable, but can be compared.
_CODES: Final = tuple(entry.code for entry in ENTRIES)
_UNDETERMINED: Final = frozenset(entry.code for entry in ENTRIES if entry.undetermined)


class Tally:
    """Counts of finished records: by kind, verdict, finding and PTR status.

    `findings` counts them by "CODE SEVERITY": under receivers' rules a code can have several
    severities. `undetermined` counts the undetermined records by their first failure: the status
    of a lookup, or the code of a finding.
    """

    __slots__ = ("findings", "kinds", "records", "statuses", "undetermined", "verdicts")

    def __init__(self) -> None:
        self.records = 0
        self.kinds: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()
        self.findings: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.undetermined: Counter[str] = Counter()

    @property
    def codes(self) -> Counter[str]:
        """Findings by code."""
        return self._findings_by(0)

    @property
    def severities(self) -> Counter[str]:
        """Findings by severity, for `--fail-on`."""
        return self._findings_by(1)

    def _findings_by(self, word: int) -> Counter[str]:
        counts: Counter[str] = Counter()
        for finding, count in self.findings.items():
            counts[finding.split()[word]] += count
        return counts

    def count_record(self, record: Record) -> None:
        """Count one finished record."""
        self.records += 1
        self.kinds[record["kind"]] += 1
        self.verdicts[record["verdict"]] += 1
        for finding in record["findings"]:
            self.findings[f"{finding['code']} {finding['severity']}"] += 1
        ptr = record["ptr"]
        if ptr is not None:
            self.statuses[ptr["status"]] += 1
        if record["verdict"] == "unknown":
            self.undetermined[_failure(record)] += 1

    def uncount_record(self, record: Record) -> None:
        """Subtract a record that was counted and could not be written."""
        self.records -= 1
        self.kinds[record["kind"]] -= 1
        self.verdicts[record["verdict"]] -= 1
        for finding in record["findings"]:
            self.findings[f"{finding['code']} {finding['severity']}"] -= 1
        ptr = record["ptr"]
        if ptr is not None:
            self.statuses[ptr["status"]] -= 1
        if record["verdict"] == "unknown":
            self.undetermined[_failure(record)] -= 1
        counters = (self.kinds, self.verdicts, self.findings, self.statuses)
        for counter in (*counters, self.undetermined):
            for key in [key for key, number in counter.items() if not number]:
                del counter[key]

    def count_equal_records(
        self,
        kind: str,
        verdict: str,
        codes: Sequence[tuple[str, str]],
        status: str,
        times: int,
        *,
        failed: str = "",
    ) -> None:
        """Count `times` records that are equal in all counted respects.

        `codes` are the findings of each as (code, severity), `status` its PTR status, `failed` the
        status of the first lookup of one of its names that failed.
        """
        self.records += times
        self.kinds[kind] += times
        self.verdicts[verdict] += times
        self.statuses[status] += times
        for code, severity in codes:
            self.findings[f"{code} {severity}"] += times
        if verdict == "unknown":
            undetermined = [code for code, _ in codes if code in _UNDETERMINED]
            reason = (failed or undetermined[0]) if status in SETTLED else status
            self.undetermined[reason] += times

    def add_tally(self, other: Tally) -> None:
        """Add the counts of another tally."""
        self.records += other.records
        self.kinds.update(other.kinds)
        self.verdicts.update(other.verdicts)
        self.findings.update(other.findings)
        self.statuses.update(other.statuses)
        self.undetermined.update(other.undetermined)


def _failure(record: Record) -> str:
    """Return the first failure in an undetermined record."""
    parts = (record["ptr"], record["iprev"], record["domain"])
    failed = (status for status in _statuses(parts) if status not in SETTLED)
    codes = (finding["code"] for finding in record["findings"] if finding["code"] in _UNDETERMINED)
    return next(chain(failed, codes), "?")


def _statuses(value: Any) -> Iterator[str]:
    """Yield the statuses of lookups in a part of a record."""
    if isinstance(value, dict):
        status = value.get("status")
        if isinstance(status, str):
            yield status
        value = value.values()
    elif not isinstance(value, list | tuple):
        return
    for child in value:
        yield from _statuses(child)


def is_countable(value: Any) -> bool:
    """Tell whether a value read from a file has the parts of a record that are counted."""
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
