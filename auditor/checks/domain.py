"""A domain as a target: its addresses, its MX hosts, its SPF record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from auditor.checks.address import check_address
from auditor.checks.facts import AddressFact, DomainFact, MxHost, SpfPolicyFact
from auditor.resolve.answer import Question
from auditor.resolve.steps import together
from auditor.wire.codes import AAAA, MX, NODATA, NOERROR, NXDOMAIN, SETTLED, A
from auditor.wire.names import NULL_MX

if TYPE_CHECKING:
    from auditor.checks.address import Wildcards
    from auditor.resolve.answer import Answer, Steps
    from auditor.spf.lint.policy import LintReport

__all__ = ["MAX_ADDRESSES", "MAX_HOSTS", "check_domain"]

#: Limits of lookups for one domain: MX hosts, by preference and name, and addresses of a host,
#: in sorted order.
MAX_HOSTS: Final = 20
MAX_ADDRESSES: Final = 32


def check_domain(domain: str, wildcards: Wildcards) -> Steps[DomainFact]:
    """Look up what a receiver looks up about a sending domain, and lint its policy."""
    from auditor.spf.lint.policy import lint  # noqa: PLC0415 - addresses, the most by far, need it not

    found = yield from together([_hosts(domain, wildcards), lint(domain)])
    (status, addresses, mx_status, hosts), report = cast("tuple[_Hosts, LintReport]", tuple(found))
    return DomainFact(status, addresses, mx_status, hosts, _policy(report))


_Hosts = tuple[str, tuple[AddressFact, ...], str, tuple[MxHost, ...]]


def _hosts(domain: str, wildcards: Wildcards) -> Steps[_Hosts]:
    """Check the addresses of a domain and those of its MX hosts."""
    v4, v6, mx = yield [Question(domain, rdtype) for rdtype in (A, AAAA, MX)]
    hosts = cast("tuple[tuple[int, str], ...]", mx.records)[:MAX_HOSTS]
    own, *others = yield from together(
        [_addresses(v4, v6, wildcards), *(_host(name, wildcards) for _, name in hosts)]
    )
    return (
        own[0],
        own[1],
        mx.status,
        tuple(
            MxHost(preference, name, status, addresses, alias)
            for (preference, name), (status, addresses, alias) in zip(hosts, others, strict=True)
        ),
    )


_Found = tuple[str, tuple[AddressFact, ...], str]


def _host(name: str, wildcards: Wildcards) -> Steps[_Found]:
    if name == NULL_MX:
        return (NODATA, (), "")
    v4, v6 = yield [Question(name, A), Question(name, AAAA)]
    return (yield from _addresses(v4, v6, wildcards))


def _addresses(v4: Answer, v6: Answer, wildcards: Wildcards) -> Steps[_Found]:
    """Check every address of a name; return their common status, the facts and the alias."""
    found = [
        (cast("str", address), version)
        for answer, version in ((v4, 4), (v6, 6))
        for address in answer.records[:MAX_ADDRESSES]
    ]
    facts = []
    if found:
        facts = yield from together(
            [check_address(address, version, wildcards) for address, version in found]
        )
    return (
        _common_status(v4.status, v6.status),
        tuple(
            AddressFact(address, ptr, iprev)
            for (address, _), (ptr, iprev) in zip(found, facts, strict=True)
        ),
        v4.canonical or v6.canonical,
    )


def _common_status(*statuses: str) -> str:
    """Return the common status of the A and the AAAA lookup.

    NOERROR if either found addresses; else that of a failed lookup; a name exists if either
    lookup says so.
    """
    if NOERROR in statuses:
        return NOERROR
    failed = [status for status in statuses if status not in SETTLED]
    if failed:
        return failed[0]
    return NODATA if NODATA in statuses else NXDOMAIN


def _policy(report: LintReport) -> SpfPolicyFact:
    summary = report.summary
    status = summary.status or NXDOMAIN  # text that is not a domain name does not exist
    problems = tuple(report.findings)
    if summary.tree is None:
        return SpfPolicyFact(status, summary.record, report.policies, problems=problems)
    counted = summary.settled
    return SpfPolicyFact(
        status,
        summary.record,
        report.policies,
        summary.lookups,
        max(summary.voids),
        summary.addresses_v4 if counted else None,
        summary.addresses_v6 if counted else None,
        problems,
    )
