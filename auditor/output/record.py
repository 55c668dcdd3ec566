"""The record: one object per target, every key always present.

Built only from facts, so the same answers give the same bytes.
`schema.py` describes it in JSON Schema, `record_types.py` in types; tests compare the three. Tuples
are used for lists: in JSON they are the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from auditor.wire.codes import type_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.checks.facts import AddressFact, DomainFact, HeloFact, IprevFact, MxHost, PtrFact
    from auditor.findings.entry import Verdict
    from auditor.findings.judge import Finding
    from auditor.output.record_types import Lookup, Record
    from auditor.resolve.answer import Answer, Question
    from auditor.spf.result import SpfFact
    from auditor.targets.target import Target

__all__ = [
    "domain_record",
    "invalid_record",
    "invalid_text",
    "ip_record",
    "spf_entry",
    "trace_entry",
    "with_findings",
]


def ip_record(
    target: Target,
    verdict: Verdict,
    findings: Sequence[Finding],
    *,
    ptr: PtrFact,
    helo: HeloFact | None,
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
        "helo": _helo(helo),
        "iprev": _iprev(iprev),
        "spf": [spf_entry(fact) for fact in spf],
        "domain": None,
        "labels": dict(target.origin.labels),
        "error": None,
    }


def domain_record(
    target: Target, verdict: Verdict, findings: Sequence[Finding], fact: DomainFact
) -> Record:
    """Return the record of a domain."""
    return {
        "target": target.text,
        "kind": "domain",
        "verdict": verdict,
        "findings": [_finding(finding) for finding in findings],
        "ptr": None,
        "helo": None,
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
                "addresses_v6": _as_double(fact.spf.addresses_v6),
            },
        },
        "labels": dict(target.origin.labels),
        "error": None,
    }


def invalid_record(target: Target, verdict: Verdict, findings: Sequence[Finding]) -> Record:
    """Return the record of an invalid line; `error` has its source, line and fault."""
    return {
        "target": target.text,
        "kind": "invalid",
        "verdict": verdict,
        "findings": [_finding(finding) for finding in findings],
        "ptr": None,
        "helo": None,
        "iprev": None,
        "spf": [],
        "domain": None,
        "labels": dict(target.origin.labels),
        "error": invalid_text(target),
    }


def invalid_text(target: Target) -> str:
    """Return the source, the line number and the fault of an invalid line."""
    origin = target.origin
    line = f" line {origin.line}" if origin.line else ""
    return f"{origin.source}{line}: {target.error}"


def with_findings(record: Record, verdict: Verdict, findings: Sequence[Finding]) -> Record:
    """Return a record with other findings and their verdict."""
    return {
        **record,
        "verdict": verdict,
        "findings": [_finding(finding) for finding in findings],
    }


def spf_entry(fact: SpfFact) -> Any:
    """Return an SPF fact in the form of a record."""
    entry = fact._asdict()
    del entry["differs"]
    return entry


def trace_entry(question: Question, answer: Answer) -> Lookup:
    """Return one lookup in the form of `--trace`."""
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


def _as_double(number: int | None) -> float | None:
    """Return a number of IPv6 addresses as a double, even if it is small.

    Readers infer the type of a column from its first lines, and no integer type holds 2^128.
    """
    return None if number is None else float(number)


def _finding(finding: Finding) -> Any:
    code, severity, subject = finding
    return {"code": code, "severity": severity, "subject": subject}


def _ptr(ptr: PtrFact) -> Any:
    return {
        "status": ptr.status,
        "names": ptr.names,
        "chain": ptr.chain,
        "owner": ptr.owner,
        "zone": ptr.zone or None,
    }


def _helo(helo: HeloFact | None) -> Any:
    return None if helo is None else helo._asdict()


def _iprev(iprev: IprevFact) -> Any:
    return {
        "result": iprev.result,
        "names": [
            {"name": name, "status": status, "addresses": addresses, "confirms": confirms}
            for name, status, addresses, confirms, _ in iprev.names
        ],
    }


def _addresses(facts: Sequence[AddressFact]) -> Any:
    return [
        {"address": address, "ptr": _ptr(ptr), "iprev": _iprev(iprev)}
        for address, ptr, iprev in facts
    ]


def _host(host: MxHost) -> Any:
    return {
        "preference": host.preference,
        "name": host.name,
        "status": host.status,
        "addresses": _addresses(host.addresses),
    }
