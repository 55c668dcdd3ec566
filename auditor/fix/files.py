"""All files of a plan, by name."""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import orjson

from auditor.fix.folder import PLAN_FILE
from auditor.fix.formats import FORMATS
from auditor.fix.letters import (
    DELEGATION_CODES,
    REGISTRY_FILE,
    UNDECIDED_FILE,
    letters,
    registry_requests,
    undecided_text,
)
from auditor.fix.zone_text import changed_files, diff_of
from auditor.wire.codes import NS

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from auditor.fix.changes import Change, Plan
    from auditor.fix.zone_data import ZoneData
    from auditor.fix.zone_faults import ZoneFault

__all__ = ["ZONE_FORMAT", "changed_zone_files", "plan_files"]

#: The format that edits the zones' own files; the others are those of `FORMATS`.
ZONE_FORMAT: Final = "zone"
_DIFF: Final = "mine.diff"
_FOLDER: Final = "mine.zones"


def changed_zone_files(plan: Plan, zones: ZoneData) -> dict[str, bytes]:
    """Return the master files that the plan changes, by label. Raises ZoneFileError."""
    by_zone: defaultdict[str, list[Change]] = defaultdict(list)
    for change in plan.own:
        by_zone[change.responsible.zone].append(change)
    return {
        label: data
        for zone, changes in by_zone.items()
        for label, data in changed_files(zones.sources[zone].file, changes).items()
    }


def plan_files(
    plan: Plan,
    zones: ZoneData,
    changed: Mapping[str, bytes],
    faults: Sequence[ZoneFault],
    format_name: str,
) -> dict[str, bytes]:
    """Return the files of a plan; `changed`: the master files that it changes."""
    servers = _servers(zones)
    files = {
        PLAN_FILE: b"".join(
            orjson.dumps(line) + b"\n" for change in plan.changes for line in change.lines()
        ),
        **letters(plan, _of_others(faults, zones), servers),
    }
    requests = registry_requests(faults, servers)
    if requests:
        files[REGISTRY_FILE] = requests
    if plan.undecided:
        files[UNDECIDED_FILE] = undecided_text(plan.undecided)
    if format_name == ZONE_FORMAT:
        files |= _zone_files(zones, changed)
    elif plan.own:
        files |= FORMATS[format_name](plan.own)
    return files


def _of_others(faults: Sequence[ZoneFault], zones: ZoneData) -> Iterator[ZoneFault]:
    """Yield the faults of zones of others, and of their delegations of own zones."""
    for fault in faults:
        if fault.party == "rir":
            continue
        if fault.zone not in zones.own:
            yield fault
        elif fault.parent not in zones.own:
            findings = [
                finding for finding in fault.findings if finding["code"] in DELEGATION_CODES
            ]
            yield fault._replace(findings=findings)


def _servers(zones: ZoneData) -> dict[str, list[str]]:
    """Return the names of the servers of zones that are loaded."""
    return {
        origin: [cast("str", name) for name in zone.nodes[origin][NS][1]]
        for origin, zone in zones.zones.items()
        if NS in zone.nodes[origin]
    }


def _zone_files(zones: ZoneData, changed: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return the changed master files whole, and their differences."""
    if not changed:
        return {}
    above = os.path.commonpath([Path(label).absolute().parent for label in changed])
    files = {}
    diff: list[bytes] = []
    originals = {source.file.label: source.file.data for source in zones.sources.values()}
    for label, data in sorted(changed.items()):
        name = Path(label).absolute().relative_to(above).as_posix()
        old = originals[label] if label in originals else Path(label).read_bytes()
        diff += diff_of(name, old, data)
        files[f"{_FOLDER}/{name}"] = data
    return {_DIFF: b"".join(diff), **files}
