"""Small fleets: zones as texts, the targets in them audited, and what a plan makes of that."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from support.stepping import driven

from auditor.findings.rules import RuleSet
from auditor.fix.decide import Planner
from auditor.fix.files import changed_zone_files
from auditor.fix.prove import Judging, audit_again, changed_zones
from auditor.fix.zone_data import ZoneData, ZoneSource
from auditor.pipeline.target import TargetAuditor
from auditor.resolve.zones.reader import MasterFile, read_zone
from auditor.settings import Settings
from auditor.targets.stream import TargetStream

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from auditor.fix.changes import Plan

__all__ = ["applied", "audited", "head", "lines_of", "planned", "proven", "zone_data"]

Record = dict[str, Any]


def head(origin: str, serial: int = 7) -> str:
    """Return the beginning of a master file."""
    return (
        f"$ORIGIN {origin}.\n$TTL 3600\n"
        f"@ SOA ns1.example.net. hostmaster.example.net. {serial} 7200 900 1209600 300\n"
        "@ NS ns1.example.net.\n"
    )


def zone_data(texts: Mapping[str, str], own: Collection[str] | None = None) -> ZoneData:
    """Return zones by origin from the records of each; all are one's own unless `own` says."""
    sources = {}
    for origin, records in texts.items():
        file = MasterFile(f"{origin}.zone", "", origin, (head(origin) + records).encode())
        sources[origin] = ZoneSource(file, read_zone(file))
    return ZoneData(sources, texts if own is None else own)


def audited(
    zones: ZoneData, targets: Sequence[str], helo: str = "", expected: str = ""
) -> list[Record]:
    """Return the records of targets, as answered by zones."""
    auditor = TargetAuditor(Settings(helo=helo or None), RuleSet())
    found = []
    for block in TargetStream(targets).blocks():
        for each in block:
            target = each._replace(origin=each.origin._replace(expected=expected))
            record, _ = driven(auditor.audit(target), zones.answer)
            found.append(dict(record))
    return found


def planned(
    zones: ZoneData, records: Sequence[Record], names: Mapping[str, str] | None = None
) -> Plan:
    """Return the plan for records."""
    planner = Planner(zones, names or {}, {})
    for record in records:
        planner.note_record(record)
    return planner.plan()


def lines_of(plan: Plan) -> list[str]:
    """Return the plan in short: `add 7.2.0.192.in-addr.arpa PTR mail.example.net.`."""
    return [
        " ".join((line["op"], line["owner"], line["type"], line["value"]))
        for change in plan.changes
        for line in change.lines()
    ]


def applied(zones: ZoneData, plan: Plan) -> ZoneData:
    """Return the zones as the files of the plan have them."""
    changed = changed_zone_files(plan, zones)
    sources = {}
    for origin, (file, _) in zones.sources.items():
        new = file._replace(data=changed.get(file.label, file.data))
        sources[origin] = ZoneSource(new, read_zone(new))
    return ZoneData(sources, zones.own)


def proven(zones: ZoneData, plan: Plan, records: Sequence[Record]) -> list[Record]:
    """Return the records as the proof has them."""
    engine = changed_zones(zones, changed_zone_files(plan, zones))

    async def collect() -> list[Record]:
        return [dict(each) async for each in audit_again(records, engine, plan, Judging())]

    return asyncio.run(collect())
