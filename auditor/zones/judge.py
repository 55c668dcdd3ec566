"""Judges a zone: zone facts to findings, and who can fix them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from auditor.findings.judge import weigh
from auditor.resolve.direct import NO_ROUTE, NOT_ASKED
from auditor.wire.codes import SETTLED, TIMEOUT, UNREACHABLE
from auditor.wire.names import mail_address
from auditor.wire.reverse import is_reverse
from auditor.zones.facts import MAX_NAMES
from auditor.zones.placing import is_registry

if TYPE_CHECKING:
    from auditor.findings.judge import Finding
    from auditor.findings.rules import RuleSet
    from auditor.zones.facts import ServerRow, ZoneFact

__all__ = ["judge_zone", "responsible_party", "zone_line"]

#: Findings that are about the parent's zone.
_OF_PARENT: Final = frozenset({"DELEGATION_MISSING", "DELEGATION_PARTIAL"})
_SILENT: Final = frozenset({TIMEOUT, UNREACHABLE})
#: Most owners with differing answers that become findings of their own.
_MOST_DIFFERING: Final = 100


def judge_zone(fact: ZoneFact, rule_set: RuleSet) -> list[Finding]:
    """Return the findings about a zone, sorted by code and subject."""
    zone = fact.zone
    codes: list[tuple[str, str]] = []
    delegating = [row for row in fact.parent_servers if row.ns]
    if fact.denied:
        codes.append(("DELEGATION_MISSING", zone))
    elif delegating and any(row.denies for row in fact.parent_servers):
        codes.append(("DELEGATION_PARTIAL", zone))
    judged = [row for row in fact.servers if not row.is_proxy]
    for row in judged:
        if (code := _fault(row, fact)) is not None:
            codes.append((code, row.name))
        if row.is_alias:
            codes.append(("SERVER_WITHOUT_ADDRESS", row.name))
    serving = [row for row in judged if row.serves]
    faulty = any(_fault(row, fact) for row in judged)
    if len(judged) == len(fact.servers) and not serving and faulty:
        codes.append(("ZONE_UNSERVED", zone))
    sets = {row.ns for row in delegating} | {row.ns for row in serving if row.ns}
    if len(sets) > 1:
        codes.append(("NS_MISMATCH", zone))
    if any(len(ns) > MAX_NAMES for ns in sets):
        codes.append(("NS_TOO_MANY", zone))
    if len({row.soa.serial for row in serving if row.soa is not None}) > 1:
        codes.append(("SERIALS_DIFFER", zone))
    codes += [("SERVERS_DISAGREE", owner) for owner in fact.differing[:_MOST_DIFFERING]]
    codes += [("ANCESTOR_NXDOMAIN", name) for name in fact.hidden]
    return weigh(codes, rule_set)


def _fault(row: ServerRow, fact: ZoneFact) -> str | None:
    """Return the code of the fault of a server, None if there is none or it is unknown."""
    if row.address is None:
        # Servers whose names are in the zone cannot be found without glue.
        is_circular = f".{row.name}".endswith(f".{fact.zone}") and not any(
            row.address for row in fact.servers
        )
        return "SERVER_WITHOUT_ADDRESS" if row.status in SETTLED or is_circular else None
    if row.status in _SILENT:
        return "SERVER_SILENT"
    return None if row.serves or row.status in {NO_ROUTE, NOT_ASKED} else "SERVER_LAME"


def responsible_party(fact: ZoneFact, findings: list[Finding]) -> str:
    """Return who can fix the faults: `rir`, `isp` or `customer`.

    The parent fixes faults of the delegation, the holder of the zone all others.
    """
    if any(code in _OF_PARENT for code, _, _ in findings):
        if is_registry(fact.parent):
            return "rir"
        return "isp"
    if is_registry(fact.zone):
        return "rir"
    if not is_reverse(fact.zone):
        return "customer"
    return "isp" if not fact.parent or is_registry(fact.parent) else "customer"


def zone_line(fact: ZoneFact, addresses: int, rule_set: RuleSet) -> dict[str, Any]:
    """Return the line of a zone in `FILE.zones.ndjson`; `addresses`: its number of targets."""
    findings = judge_zone(fact, rule_set)
    soa = fact.soa
    rname = fact.parent_rname or (soa.rname if soa else ".")
    return {
        "zone": fact.zone,
        "parent": fact.parent or None,
        "soa": soa and {"mname": soa.mname, "rname": soa.rname, "serial": soa.serial},
        "parent_servers": [
            {"name": row.name, "address": row.address, "status": row.status, "ns": list(row.ns)}
            for row in fact.parent_servers
        ],
        "servers": [
            {
                "name": row.name,
                "address": row.address,
                "status": row.status,
                "aa": row.aa,
                "serial": None if row.soa is None else row.soa.serial,
                "ns": list(row.ns),
                "only": None if row.only is None else list(row.only),
            }
            for row in fact.servers
        ],
        "addresses": addresses,
        "findings": [finding._asdict() for finding in findings],
        "mends": responsible_party(fact, findings),
        "contact": mail_address(rname) or None,
    }
