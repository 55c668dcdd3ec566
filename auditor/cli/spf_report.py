"""Collects the report of `auditor spf` as steps: questions out, answers in; nothing is printed."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, summarize_address_range
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from auditor.resolve.steps import together
from auditor.spf.check_host import check_host
from auditor.spf.explain import trace_host
from auditor.spf.lint.policy import lint
from auditor.spf.ranges import check_range, decided_by, range_table
from auditor.wire.address_set import union
from auditor.wire.addresses import format_address

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.resolve.answer import Steps
    from auditor.spf.explain import Trace
    from auditor.spf.lint.policy import LintReport
    from auditor.spf.ranges import RangeResult
    from auditor.spf.result import SpfFact
    from auditor.targets.spans import Span
    from auditor.wire.address_set import Interval

__all__ = ["Explained", "Partition", "SpfReport", "Wanted", "networks_of", "spf_report"]

#: Addresses of a range that are evaluated one by one, where the result depends on each.
MAX_SINGLE: Final = 256

Network: TypeAlias = IPv4Network | IPv6Network


class Wanted(NamedTuple):
    """What to find out beside the policy itself.

    `sender` and `helo` are as for `check_host`; None stands for the postmaster of
    the domain, and for the domain itself.
    """

    ranges: tuple[Span, ...] = ()
    addresses: tuple[str, ...] = ()
    sender: str | None = None
    helo: str | None = None


class Partition(NamedTuple):
    """The results of the policy for a range of addresses."""

    span: Span
    parts: tuple[RangeResult, ...]


class Explained(NamedTuple):
    """One `check_host()`, and how it came to its result; no trace without a policy."""

    address: str
    sender: str
    helo: str
    fact: SpfFact
    trace: Trace | None


class SpfReport(NamedTuple):
    """A policy with what is wrong with it, the addresses it passes, and what was asked for.

    `authorised` are by IP version, sorted, disjoint, neighbours merged.
    """

    lint: LintReport
    authorised: dict[int, list[Interval]]
    partitions: tuple[Partition, ...]
    explained: tuple[Explained, ...]


def spf_report(domain: str, wanted: Wanted) -> Steps[SpfReport]:
    """Collect the report about the policy of a domain (lower-case A-labels)."""
    report = yield from lint(domain)
    authorised = {}
    for version in (4, 6):
        table = yield from range_table(domain, version)
        passing = ((r.first, r.last) for r in table.results if r.result == "pass")
        authorised[version] = union(passing)
    partitions = []
    for span in wanted.ranges:
        parts = yield from _partition(domain, networks_of(*span), wanted)
        partitions.append(Partition(span, parts))
    explained = []
    sender, helo = wanted.sender or f"postmaster@{domain}", wanted.helo or domain
    for address in wanted.addresses:
        fact, trace = yield from trace_host(address, "mailfrom", sender, helo)
        explained.append(Explained(address, sender, helo, fact, trace))
    return SpfReport(report, authorised, tuple(partitions), tuple(explained))


def networks_of(version: int, first: int, last: int) -> Sequence[Network]:
    """Return the networks that a range of addresses consists of."""
    if version == 4:  # noqa: PLR2004 - IP version
        return list(summarize_address_range(IPv4Address(first), IPv4Address(last)))
    return list(summarize_address_range(IPv6Address(first), IPv6Address(last)))


def _partition(
    domain: str, networks: Sequence[Network], wanted: Wanted
) -> Steps[tuple[RangeResult, ...]]:
    """Return the parts of networks; a few addresses are evaluated one by one if necessary."""
    parts = yield from check_range(networks, domain, sender=wanted.sender, helo=wanted.helo)
    helo = wanted.helo or domain
    room = MAX_SINGLE
    found: list[RangeResult] = []
    for part in parts:
        size = part.last - part.first + 1
        if part.decided or size > room or wanted.sender is None:
            found.append(part)
            continue
        room -= size
        facts = yield from together(
            [
                check_host(format_address(part.version, number), "mailfrom", wanted.sender, helo)
                for number in range(part.first, part.last + 1)
            ]
        )
        found += decided_by(part, facts)
    return tuple(found)
