"""Zone facts beside results: who runs the zones of others, and their faults."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from auditor.errors import WireError
from auditor.views.zone_facts import read_zones, zone_files
from auditor.wire.names import mail_address
from auditor.zones.placing import is_registry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["ZoneFault", "read_zone_faults", "undelegated_zones"]


class ZoneFault(NamedTuple):
    """Faults of a zone: who can fix them, the findings, and the names of its servers.

    `parent`: the zone above, "" if it is not known.
    """

    zone: str
    parent: str
    party: str
    contact: str
    findings: Sequence[Mapping[str, str]]
    servers: Sequence[str]


def read_zone_faults(names: Iterable[str]) -> list[ZoneFault]:
    """Return the zones with zone facts beside results. Raises InputError."""
    return [
        ZoneFault(
            fact["zone"],
            parent if isinstance(parent := fact.get("parent"), str) else "",
            fact["mends"],
            _contact(fact),
            fact["findings"],
            _server_names(fact),
        )
        for path in zone_files(names)
        for fact in read_zones(path)
    ]


def undelegated_zones(
    parents: Mapping[str, str], known: Iterable[ZoneFault], contact_of: Callable[[str], str]
) -> list[ZoneFault]:
    """Return zones that are not delegated according to records, without those in zone facts.

    `parents`: the zones that deny them, by zone. `contact_of`: the mail address of a zone, "" if
    it is not known.
    """
    known_zones = {fault.zone for fault in known}
    return [
        ZoneFault(
            zone,
            parent,
            "rir" if is_registry(parent) else "isp",
            contact_of(parent),
            [{"code": "DELEGATION_MISSING", "severity": "error", "subject": zone}],
            (),
        )
        for zone, parent in sorted(parents.items())
        if zone not in known_zones
    ]


def _contact(fact: Mapping[str, Any]) -> str:
    if isinstance(fact.get("contact"), str):
        return str(fact["contact"])
    soa = fact.get("soa")
    rname = soa.get("rname") if isinstance(soa, dict) else None
    try:
        return mail_address(rname) if isinstance(rname, str) else ""
    except WireError:
        return ""


def _server_names(fact: Mapping[str, Any]) -> list[str]:
    servers = fact.get("servers")
    rows = servers if isinstance(servers, list) else []
    zone_names = [row.get("name") for row in rows if isinstance(row, dict)]
    return list(dict.fromkeys(name for name in zone_names if isinstance(name, str)))
