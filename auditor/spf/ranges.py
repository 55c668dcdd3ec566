"""`check_host()` (RFC 7208 §4) for ranges of addresses, and tables of ranges.

The results equal those of `check_host` at every address; where a policy depends on the sender,
on HELO or on the single address, the part is marked as undecided. The cost grows
with the size of the policy, not with the number of addresses.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING, Final, Literal, NamedTuple, TypeAlias

from auditor.spf.evaluator import lacking_questions
from auditor.spf.macros import MacroValues
from auditor.spf.range_evaluator import RangeEvaluation
from auditor.spf.records import published
from auditor.spf.result import SpfFact
from auditor.wire.address_set import EVERYTHING, address_count, by_version
from auditor.wire.addresses import format_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from ipaddress import IPv4Network, IPv6Network

    from auditor.resolve.answer import Steps
    from auditor.spf.range_evaluator import Path, RangeOutcome, RangePart
    from auditor.spf.records import PublishedPolicy
    from auditor.wire.address_set import Interval

__all__ = [
    "Identity",
    "RangeResult",
    "RangeTable",
    "check_range",
    "decided_by",
    "partition",
    "passing_numbers",
    "range_table",
]

Identity: TypeAlias = Literal["helo", "mailfrom"]

#: Terms whose errors get an explanation, each by one run of pyspf.
_MAX_EXPLAINED: Final = 8


class RangeResult(NamedTuple):
    """The result of `check_host` for all addresses from `first` to `last`, both included.

    The addresses are integers of IP version `version`. `result`, `mechanism`, `lookups` and
    `voids` are as in `SpfFact`. `path` leads to the term that decided, through the includes
    and redirects: pairs of the domain of a policy, as it was referred to, and a term of it,
    None for the end of a policy; it is empty where no policy was evaluated.

    `decided` is False, and `result` None, where it depends on each address; then `path` leads
    to the term that it depends on, with the lookups and voids before it.
    `explanation` is as in `SpfFact`, unless `explained` is False: only `check_host` can tell.
    """

    first: int
    last: int
    version: int
    result: str | None
    mechanism: str | None
    path: Path
    lookups: int
    voids: int
    decided: bool
    explanation: str | None = None
    explained: bool = True


class RangeTable:
    """The partition of all addresses of an IP version, kept to be looked up many times.

    `settled` is False if a lookup failed that was used: such a table should not be kept.
    `ttl` is the lowest TTL of the answers used, in seconds, None without any.
    Made by `range_table`, for one domain and for the sender and HELO given there.
    """

    __slots__ = ("_facts", "_firsts", "domain", "record", "results", "settled", "ttl", "version")

    def __init__(self, version: int, head: PublishedPolicy, results: Sequence[RangeResult]) -> None:
        self.version = version
        self.domain = head.domain
        self.record = head.record
        self.results = tuple(results)
        self.settled = head.answers.settled
        self.ttl = head.answers.ttl
        self._firsts = [result.first for result in results]
        self._facts: dict[Identity, list[SpfFact | None]] = {}

    def lookup(self, address: int) -> RangeResult:
        """Return the range that an address is in."""
        return self.results[bisect_right(self._firsts, address) - 1]

    def fact(self, address: int, identity: Identity) -> SpfFact | None:
        """Return the fact of `check_host`; None if only `check_host` can tell."""
        facts = self._facts.get(identity)
        if facts is None:
            facts = self._facts[identity] = [self.fact_of(r, identity) for r in self.results]
        return facts[bisect_right(self._firsts, address) - 1]

    def fact_of(self, result: RangeResult, identity: Identity) -> SpfFact | None:
        """Return the fact for all addresses of a range, None if there is none."""
        if result.result is None or not result.explained:
            return None
        return SpfFact(
            identity,
            self.domain,
            result.result,
            result.mechanism,
            result.lookups,
            result.voids,
            self.record,
            result.explanation,
        )


def range_table(
    domain: str, version: int, *, sender: str | None = None, helo: str | None = None
) -> Steps[RangeTable]:
    """Evaluate the policy of a domain for all addresses of an IP version (4 or 6).

    `sender` and `helo` are as in `check_range`. An IPv4-mapped address has to be looked up
    in the table for IPv4 (RFC 7208 §5).
    """
    head = yield from published(domain)
    results = yield from partition(version, [EVERYTHING[version]], head, sender, helo)
    return RangeTable(version, head, results)


def check_range(
    networks: Iterable[IPv4Network | IPv6Network],
    domain: str,
    *,
    sender: str | None = None,
    helo: str | None = None,
) -> Steps[tuple[RangeResult, ...]]:
    """Return the results of the policy of a domain for the addresses of networks.

    The ranges are in order, IPv4 first, disjoint, and cover the networks exactly; neighbours
    differ. IPv4-mapped addresses come out as IPv4.

    `sender` is one of that domain, as for `check_host`; of it only the local-part counts, and
    for the HELO identity it is `postmaster`. `helo` is the HELO name of the clients.
    Without them, parts that depend on them are not decided.
    """
    sets = by_version(networks)
    head = yield from published(domain)
    results: list[RangeResult] = []
    for version, ranges in sets.items():
        results += yield from partition(version, ranges, head, sender, helo)
    return tuple(results)


def decided_by(part: RangeResult, facts: Iterable[SpfFact]) -> tuple[RangeResult, ...]:
    """Return a part as its addresses were decided one by one, in order, neighbours merged."""
    found: list[RangeResult] = []
    for address, fact in enumerate(facts, part.first):
        path = ((fact.domain, fact.mechanism),)
        _, _, result, mechanism, lookups, voids, _, explanation, _ = fact
        single = RangeResult(
            address,
            address,
            part.version,
            result,
            mechanism,
            path,
            lookups,
            voids,
            decided=True,
            explanation=explanation,
        )
        if found and found[-1]._replace(first=address, last=address) == single:
            found[-1] = found[-1]._replace(last=address)
        else:
            found.append(single)
    return tuple(found)


def partition(
    version: int,
    ranges: Sequence[Interval],
    head: PublishedPolicy,
    sender: str | None,
    helo: str | None,
) -> Steps[list[RangeResult]]:
    """Evaluate what is published for a set of addresses of one IP version."""
    if head.fact is not None:
        _, _, result, mechanism, lookups, voids, _, explanation, _ = head.fact
        return [
            RangeResult(
                first,
                last,
                version,
                result,
                mechanism,
                (),
                lookups,
                voids,
                decided=True,
                explanation=explanation,
            )
            for first, last in ranges
        ]
    values = MacroValues(version, head.domain, sender, helo)
    parts = yield from _range_parts(version, ranges, head, values)
    return _in_order(version, parts, _explanations(version, parts, head, values))


def _range_parts(
    version: int, ranges: Sequence[Interval], head: PublishedPolicy, values: MacroValues
) -> Steps[list[RangePart]]:
    """Evaluate a policy for a set of addresses; return its parts, in no order, as they ended."""
    yield from _ask_ahead(version, ranges[0][0], head)
    walk = RangeEvaluation(version, values, head.answers)
    return (yield from walk.evaluate_policy(head.policy, head.domain, {(0, 0): list(ranges)}))


def passing_numbers(version: int, head: PublishedPolicy) -> Steps[tuple[int, int]]:
    """Return how many addresses pass, and about how many only `check_host` can tell."""
    values = MacroValues(version, head.domain, None, None)
    sizes = Counter[str | None]()
    for ranges, label in (yield from _range_parts(version, [EVERYTHING[version]], head, values)):
        sizes[label.result] += address_count(ranges)
    return sizes["pass"], sizes[None]


def _ask_ahead(version: int, address: int, head: PublishedPolicy) -> Steps[None]:
    """Ask ahead for what a client's evaluation needs, to save rounds; it changes no result."""
    known = head.answers.known
    client = format_address(version, address), version, address
    while lacking := lacking_questions(client, head.policy, head.domain, known):
        known.update(zip(lacking, (yield lacking), strict=True))


def _client(version: int, number: int) -> IPv4Address | IPv6Address:
    return IPv4Address(number) if version == 4 else IPv6Address(number)  # noqa: PLR2004 - IP version


def _explanations(
    version: int, parts: Sequence[RangePart], head: PublishedPolicy, values: MacroValues
) -> Mapping[RangeOutcome, str | None]:
    """Return the explanations of the errors among the parts, by pyspf for one address each."""
    if all(label.result not in {"permerror", "temperror"} for _, label in parts):
        return {}
    from auditor.spf.pyspf_evaluator import evaluate  # noqa: PLC0415 - loads pyspf and dnspython

    policy = head.policy.decode("ascii")
    found: dict[tuple[Path, str], str | None] = {}
    explanations = {}
    for ranges, label in parts:
        if label.result not in {"permerror", "temperror"}:
            continue
        key = label.path, label.trouble
        if key not in found and len(found) < _MAX_EXPLAINED:
            client = _client(version, ranges[0][0])
            outcome = evaluate(client, values.sender, values.helo, policy, head.answers.known)
            found[key] = None if isinstance(outcome, list) else outcome[4]
        if found.get(key) is not None:
            explanations[label] = found[key]
    return explanations


def _in_order(
    version: int, parts: Sequence[RangePart], explanations: Mapping[RangeOutcome, str | None]
) -> list[RangeResult]:
    """Return parts as ranges in order, equal neighbours merged."""
    results: list[RangeResult] = []
    pieces = sorted(
        (first, last, index) for index, (ranges, _) in enumerate(parts) for first, last in ranges
    )
    previous = None
    for first, last, index in pieces:
        label = parts[index].label
        if previous == label and results[-1].last + 1 == first:
            results[-1] = results[-1]._replace(last=last)
            continue
        previous = label
        result, mechanism, path, lookups, voids, _, explained = label
        explanation = explanations.get(label)
        decided = result is not None
        if result in {"permerror", "temperror"}:
            explained = explanation is not None
        results.append(
            RangeResult(
                first,
                last,
                version,
                result,
                mechanism,
                path,
                lookups,
                voids,
                decided,
                explanation,
                explained,
            )
        )
    return results
