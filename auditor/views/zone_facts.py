"""Zone facts beside results: faults of zones and servers, and how many targets they affect.

A scan with --authority writes `FILE.zones.ndjson` beside its records (see `zones.judge`).
"""

from __future__ import annotations

from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from auditor.findings.entry import SEVERITIES
from auditor.views.reader.json_lines import read_json_lines
from auditor.views.summary.top_counts import MAX_COUNTED_KEYS, TopCounts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = [
    "PARTIES",
    "SUFFIX",
    "ZoneFault",
    "ZoneFaults",
    "read_zones",
    "zone_changes",
    "zone_files",
]

#: The ending of the name of a file of zone facts.
SUFFIX: Final = ".zones.ndjson"

#: Who can fix a fault.
PARTIES: Final = ("rir", "isp", "customer")
_HINT: Final = "expected the zone facts of `auditor scan --authority`"
_ADDRESSES, _ZONES, _SEVERITY, _FIRST_PARTY = range(4)


class ZoneFault(NamedTuple):
    """A finding about zones or a server, with the zones that have it and their targets.

    `mends`: for each of PARTIES, in how many of the zones it can fix the fault.
    """

    code: str
    severity: str
    subject: str
    zones: int
    addresses: int
    mends: dict[str, int]


class ZoneFaults:
    """Counts zone facts, in bounded memory; `zones` of them, None where there are none."""

    def __init__(self, limit: int = MAX_COUNTED_KEYS) -> None:
        self.zones: int | None = None
        self._found: TopCounts[tuple[str, str]] = TopCounts(
            _FIRST_PARTY + len(PARTIES), itemgetter(_ADDRESSES), limit
        )

    def add_files(self, names: Iterable[str]) -> None:
        """Count the zone facts beside results. Raises InputError for any other content."""
        for path in zone_files(names):
            self.zones = self.zones or 0
            for line in read_zones(path):
                self.count_zone(line)

    def count_zone(self, line: Mapping[str, Any]) -> None:
        """Count a zone."""
        self.zones = (self.zones or 0) + 1
        # A server has one finding for each of its addresses.
        for (code, subject), severity in _findings(line).items():
            row = self._found.row((code, subject))
            row[_ADDRESSES] += line["addresses"]
            row[_ZONES] += 1
            row[_SEVERITY] = max(row[_SEVERITY], SEVERITIES.index(severity))
            row[_FIRST_PARTY + PARTIES.index(line["mends"])] += 1
        self._found.trim()

    def faults(self) -> list[ZoneFault]:
        """Return the faults, most severe first, then by the number of targets."""
        found = [
            ZoneFault(
                code,
                SEVERITIES[row[_SEVERITY]],
                subject,
                row[_ZONES],
                row[_ADDRESSES],
                dict(zip(PARTIES, row[_FIRST_PARTY:], strict=True)),
            )
            for (code, subject), row in self._found.rows.items()
        ]
        return sorted(found, key=_severity_rank)

    def as_json(self, top: int) -> dict[str, Any] | None:
        """Return the counts for `auditor summary --json`; None without zone facts.

        {"zones": n, "findings": [{"code","severity","subject","zones","addresses",
                                   "mends":{"rir": n,"isp": n,"customer": n}}],
         "rows","dropped","missed"}
        """
        if self.zones is None:
            return None
        found = self._found
        return {
            "zones": self.zones,
            "findings": [fault._asdict() for fault in self.faults()[:top]],
            "rows": len(found.rows),
            "dropped": found.dropped,
            "missed": found.missed,
        }


def zone_files(names: Iterable[str]) -> list[Path]:
    """Return the files of zone facts beside results."""
    beside = (Path(f"{name}{SUFFIX}") for name in names if name != "-" and "://" not in name)
    return [path for path in beside if path.is_file()]


def read_zones(path: Path) -> Iterator[dict[str, Any]]:
    """Yield the lines of a file of zone facts. Raises InputError for an invalid line."""
    return read_json_lines(path, _is_sound, f"no zone fact; {_HINT}")


def zone_changes(old: Sequence[str], new: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the zones whose findings changed, in the form of changes of targets.

    `kind` is `zone`, `addresses` is the number of targets. A zone got `worse` if it has new
    problems and none were fixed, `better` the other way round; a new error is a `regression`.
    Nothing unless there are zone facts beside both. Raises InputError for other content.
    """
    old_files, new_files = zone_files(old), zone_files(new)
    if not old_files or not new_files:
        return
    old_zones, new_zones = _by_zone(old_files), _by_zone(new_files)
    for zone in sorted(old_zones.keys() | new_zones.keys()):
        _, before = old_zones.get(zone, (0, {}))
        addresses, after = new_zones.get(zone) or (old_zones[zone][0], {})
        if before.keys() != after.keys():
            added, removed = _listed(after, before), _listed(before, after)
            has_new, has_fixed = _has_problem(added), _has_problem(removed)
            yield {
                "target": zone,
                "kind": "zone",
                "change": "changed" if has_new == has_fixed else "worse" if has_new else "better",
                "regression": any(finding["severity"] == "error" for finding in added),
                "verdict": {"old": None, "new": None},
                "findings": {"added": added, "removed": removed},
                "facts": [],
                "labels": {},
                "addresses": addresses,
            }


def _by_zone(paths: Iterable[Path]) -> dict[str, tuple[int, dict[tuple[str, str], str]]]:
    """Return targets and findings of each zone that has any."""
    by_zone = {}
    for path in paths:
        for line in read_zones(path):
            if line["findings"]:
                by_zone[line["zone"]] = line["addresses"], _findings(line)
    return by_zone


def _findings(line: Mapping[str, Any]) -> dict[tuple[str, str], str]:
    return {
        (finding["code"], finding["subject"]): finding["severity"] for finding in line["findings"]
    }


def _listed(
    severities: Mapping[tuple[str, str], str], without: Mapping[tuple[str, str], str]
) -> list[dict[str, str]]:
    return [
        {"code": code, "severity": severity, "subject": subject}
        for (code, subject), severity in sorted(severities.items())
        if (code, subject) not in without
    ]


def _has_problem(findings: Iterable[Mapping[str, str]]) -> bool:
    return any(finding["severity"] in {"warning", "error"} for finding in findings)


def _is_sound(line: Any) -> bool:
    return (
        type(line["zone"]) is str
        and type(line["addresses"]) is int
        and line["mends"] in PARTIES
        and all(
            type(finding["code"]) is str
            and type(finding["subject"]) is str
            and finding["severity"] in SEVERITIES
            for finding in line["findings"]
        )
    )


def _severity_rank(fault: ZoneFault) -> tuple[int, int, str, str]:
    return -SEVERITIES.index(fault.severity), -fault.addresses, fault.code, fault.subject
