"""Faults of zones and their servers, by finding, their targets, and who can fix them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.findings.catalogue import entry
from auditor.views.report.rows import shown
from auditor.views.zone_facts import ZoneFaults

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.views.zone_facts import ZoneFault

__all__ = ["ZoneFinding", "zone_findings"]

#: Zones and servers that the page names for one finding.
_MAX_NAMED: Final = 20
_WHO: Final = {"rir": "the registry", "isp": "the provider", "customer": "the holder of the zone"}


class ZoneFinding(NamedTuple):
    """A finding about zones: each zone or server that has it, with zones, targets and who fixes it.

    `subjects` are those that affect the most targets, `more` is the number of the others.
    """

    code: str
    severity: str
    title: str
    why: str
    remedy: str
    references: tuple[str, ...]
    subjects: tuple[tuple[str, int, int, str], ...]
    more: int


def zone_findings(results: Sequence[str]) -> list[ZoneFinding] | None:
    """Return the findings about zones, most severe first; None without zone facts.

    Raises InputError for invalid zone facts.
    """
    found = ZoneFaults()
    found.add_files(results)
    if found.zones is None:
        return None
    by_code: dict[str, list[ZoneFault]] = {}
    for fault in found.faults():
        by_code.setdefault(fault.code, []).append(fault)
    return [_finding(code, faults) for code, faults in by_code.items()]


def _finding(code: str, faults: Sequence[ZoneFault]) -> ZoneFinding:
    subjects = tuple(
        (shown(fault.subject), fault.zones, fault.addresses, _who(fault))
        for fault in faults[:_MAX_NAMED]
    )
    severity, more = faults[0].severity, max(0, len(faults) - _MAX_NAMED)
    try:
        known = entry(code)
    except KeyError:
        title = "A finding that this version of auditor does not know"
        return ZoneFinding(shown(code), severity, title, "", "", (), subjects, more)
    return ZoneFinding(
        code, severity, known.title, known.why, known.remedy, known.references, subjects, more
    )


def _who(fault: ZoneFault) -> str:
    return ", ".join(_WHO[party] for party, zones in fault.mends.items() if zones)
