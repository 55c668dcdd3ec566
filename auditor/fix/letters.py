"""Requests to other parties: a mail to each, and the delegations to ask the registry for."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Final

from auditor.findings.catalogue import entry
from auditor.fix.formats import safe_name
from auditor.quoting import printable
from auditor.wire.master_file import absolute_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from auditor.fix.changes import Change, Plan, Undecided
    from auditor.fix.zone_faults import ZoneFault

__all__ = [
    "DELEGATION_CODES",
    "REGISTRY_FILE",
    "UNDECIDED_FILE",
    "letters",
    "registry_requests",
    "undecided_text",
]

REGISTRY_FILE: Final = "rir.txt"
UNDECIDED_FILE: Final = "undecided.txt"

#: Findings about a delegation, which is in the parent zone.
DELEGATION_CODES: Final = frozenset({"DELEGATION_MISSING", "DELEGATION_PARTIAL"})
#: Severities of the findings that are reported to the operator of a zone.
_TOLD: Final = frozenset({"error", "warning"})
_MAX_LINE: Final = 1_000  # characters of a line of a mail (RFC 5322 §2.1.1 has 998)


def letters(
    plan: Plan, faults: Iterable[ZoneFault], servers: Mapping[str, Sequence[str]]
) -> dict[str, bytes]:
    """Return a mail to each other party, by the name of its file.

    `faults`: those that others than the registry have to fix. `servers`: the names of the
    servers of zones that are loaded.
    """
    lines: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for change in plan.others:
        lines[_recipient(change.responsible.contact, change.responsible.zone)] += _asked(change)
    for fault in faults:
        findings = [finding for finding in fault.findings if finding["severity"] in _TOLD]
        if findings:
            of_parent = DELEGATION_CODES.issuperset(finding["code"] for finding in findings)
            zone = fault.parent if of_parent else fault.zone
            lines[_recipient(fault.contact, zone)] += [
                f"Zone {fault.zone}: {code} {subject}: {_title(code)}"
                for code, subject in [(finding["code"], finding["subject"]) for finding in findings]
            ]
            if of_parent:
                lines[_recipient(fault.contact, zone)] += [
                    f"    {absolute_name(fault.zone)} IN NS {absolute_name(name)}"
                    for name in servers.get(fault.zone) or fault.servers
                ]
    return {
        f"for-{safe_name(contact or zone or 'unknown')}.txt": _mail(contact, zone, of_party)
        for (contact, zone), of_party in lines.items()
    }


def _recipient(contact: str, zone: str) -> tuple[str, str]:
    """Return a mail address, or else the zone whose address is not known."""
    return contact, "" if contact else zone


def _asked(change: Change) -> Iterator[str]:
    owner = absolute_name(change.owner)
    zone = f" (zone {change.responsible.zone})" if change.responsible.zone else ""
    for value in change.deleted:
        yield f"Delete{zone}:"
        yield f"    {owner} IN {change.type} {change.text(value)}"
    for edit in change.edits:
        if edit.op == "add":
            yield f"Add{zone}, for {edit.target} ({', '.join(edit.why)}):"
            yield f"    {owner} {change.ttl} IN {change.type} {change.text(edit.value)}"


def _mail(contact: str, zone: str, lines: Sequence[str]) -> bytes:
    to = contact or (f"whoever runs {zone}" if zone else "whoever runs these zones")
    head = [
        f"To: {to}",
        "Subject: DNS records of mail hosts",
        "",
        "An audit of mail hosts has found faults that records in your zones would fix.",
        "Please make these changes:",
        "",
    ]
    return _text((*head, *lines))


def registry_requests(faults: Iterable[ZoneFault], servers: Mapping[str, Sequence[str]]) -> bytes:
    """Return the objects to send to a registry: zones whose delegation is missing.

    `servers`: the names of the servers of zones that are loaded.
    """
    lines = []
    for fault in faults:
        codes = sorted({finding["code"] for finding in fault.findings} & DELEGATION_CODES)
        if codes and fault.party == "rir":
            known = servers.get(fault.zone) or fault.servers
            lines.append(f"domain:         {_bare(fault.zone)}")
            lines += [f"nserver:        {_bare(name)}" for name in known]
            if not known:
                lines.append("% nserver: the servers of the zone, which are not known here")
            lines += [f"% {code}: {_title(code)}" for code in codes]
            lines.append("")
    return _text(lines) if lines else b""


def _bare(name: str) -> str:
    return absolute_name(name).removesuffix(".")


def undecided_text(undecided: Sequence[Undecided]) -> bytes:
    """Return what only people can decide, a line each."""
    return _text([f"{target.target}: {target.why}" for target in undecided])


def _title(code: str) -> str:
    try:
        return entry(code).title
    except KeyError:  # of a later version
        return ""


def _text(lines: Sequence[str]) -> bytes:
    return "".join(f"{printable(line, _MAX_LINE)}\n" for line in lines).encode()
