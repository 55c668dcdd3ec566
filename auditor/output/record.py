"""The record (DESIGN §5): one object per target, every key always present.

Built from facts, and made of nothing but them, so the same answers give the same bytes.
`schema.py` says the same in JSON Schema; a test holds the two together.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypedDict

from auditor.wire.codes import type_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.checks.facts import (
        AddressFact,
        DomainFact,
        IprevFact,
        MxHost,
        PtrFact,
        SpfFact,
    )
    from auditor.findings.judge import Finding
    from auditor.resolve.answer import Answer, Question
    from auditor.targets.target import Target

__all__ = ["Record", "domain_record", "invalid_record", "ip_record", "trace_entry"]


_MAX_WHOLE: Final = 1 << 63


class Record(TypedDict):
    """One audited target. A last key `trace` is there if it was asked for."""

    target: str
    kind: str
    verdict: str
    findings: list[dict[str, str]]
    ptr: dict[str, Any] | None
    iprev: dict[str, Any] | None
    spf: list[dict[str, Any]]
    domain: dict[str, Any] | None
    labels: dict[str, str]
    error: str | None


def ip_record(
    target: Target,
    verdict: str,
    findings: Sequence[Finding],
    *,
    ptr: PtrFact,
    iprev: IprevFact,
    spf: Sequence[SpfFact],
) -> Record:
    """Return the record of an address."""
    return {
        "target": target.text,
        "kind": "ip",
        "verdict": verdict,
        "findings": [_finding(finding) for finding in findings],
        "ptr": _ptr(ptr),
        "iprev": _iprev(iprev),
        "spf": [fact._asdict() for fact in spf],
        "domain": None,
        "labels": dict(target.origin.labels),
        "error": None,
    }


def domain_record(
    target: Target, verdict: str, findings: Sequence[Finding], fact: DomainFact
) -> Record:
    """Return the record of a domain."""
    return {
        "target": target.text,
        "kind": "domain",
        "verdict": verdict,
        "findings": [_finding(finding) for finding in findings],
        "ptr": None,
        "iprev": None,
        "spf": [],
        "domain": {
            "addresses": {"status": fact.status, "list": _addresses(fact.addresses)},
            "mx": {"status": fact.mx_status, "hosts": [_host(host) for host in fact.mx]},
            "spf": {
                "status": fact.spf.status,
                "record": fact.spf.record,
                "lookups": fact.spf.lookups,
                "voids": fact.spf.voids,
                "addresses_v4": fact.spf.addresses_v4,
                "addresses_v6": _rounded(fact.spf.addresses_v6),
            },
        },
        "labels": dict(target.origin.labels),
        "error": None,
    }


def invalid_record(target: Target, verdict: str, findings: Sequence[Finding]) -> Record:
    """Return the record of a line that is not a target; `error` says where it stands."""
    origin = target.origin
    where = f"{origin.source}: " if not origin.line else f"{origin.source} line {origin.line}: "
    return {
        "target": target.text,
        "kind": "invalid",
        "verdict": verdict,
        "findings": [_finding(finding) for finding in findings],
        "ptr": None,
        "iprev": None,
        "spf": [],
        "domain": None,
        "labels": dict(origin.labels),
        "error": f"{where}{target.error}",
    }


def trace_entry(question: Question, answer: Answer) -> dict[str, Any]:
    """Return one lookup as `--trace` shows it."""
    how = answer.how
    return {
        "name": question.name,
        "type": type_name(question.rdtype),
        "status": answer.status,
        "server": how.server if how else "",
        "transport": how.transport if how else "",
        "attempts": how.attempts if how else 0,
        "rtt_ms": how.rtt_ms if how else None,
        "ttl": answer.ttl,
        "ede": [{"code": code, "text": text} for code, text in how.ede] if how else [],
        "cached": how.cached if how else False,
    }


def _rounded(number: int | None) -> float | None:
    """Return a number of IPv6 addresses as JSON can hold it: to 53 bits from 2^63 on."""
    return number if number is None or number < _MAX_WHOLE else float(number)


def _finding(finding: Finding) -> dict[str, str]:
    code, severity, subject = finding
    return {"code": code, "severity": severity, "subject": subject}


def _ptr(ptr: PtrFact) -> dict[str, Any]:
    return {"status": ptr.status, "names": ptr.names, "chain": ptr.chain}


def _iprev(iprev: IprevFact) -> dict[str, Any]:
    return {
        "result": iprev.result,
        "names": [
            {"name": name, "status": status, "addresses": addresses, "confirms": confirms}
            for name, status, addresses, confirms, _ in iprev.names
        ],
    }


def _addresses(facts: Sequence[AddressFact]) -> list[dict[str, Any]]:
    return [
        {"address": address, "ptr": _ptr(ptr), "iprev": _iprev(iprev)}
        for address, ptr, iprev in facts
    ]


def _host(host: MxHost) -> dict[str, Any]:
    return {
        "preference": host.preference,
        "name": host.name,
        "status": host.status,
        "addresses": _addresses(host.addresses),
    }
