"""The lines of `auditor senders` as JSON objects: address ranges, and the domains authorising them.

`docs/senders.md` describes each type, `docs/senders.schema.json` is their schema. The command, and
through `views.senders` the report, show this data.

In this order, and sorted within each type: `domain` (one for each), `include` (policies that
domains include or redirect to), `range`, `unauthorised` (outbound hosts in no range), `totals`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from auditor.senders.sweep import sweep, users_of
from auditor.spf.limits import MAX_LOOKUPS, MAX_MX, MAX_VOIDS
from auditor.spf.parser import parse_term
from auditor.wire.address_set import address_count, overlaps, uncovered, union
from auditor.wire.addresses import V4, V6, format_address
from auditor.wire.codes import type_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from auditor.senders.hosts import Hosts
    from auditor.senders.policies import DomainPolicy
    from auditor.senders.sweep import AuthorisedRange
    from auditor.spf.range_evaluator import Path
    from auditor.spf.shared_ranges import EvaluationTrouble, Piece, PolicyRanges, SharedRanges
    from auditor.wire.address_set import Interval

__all__ = ["Question", "sender_lines"]

_VERSIONS: Final = (V4, V6)
_BITS: Final = {V4: 32, V6: 128}
_CLIENT_MACROS: Final = frozenset("ilshpc")
_TROUBLES: Final = {
    "lookups": f"more than {MAX_LOOKUPS} DNS lookups",
    "syntax": "not valid SPF",
    "no policy": "no policy there",
    "mx": f"more than {MAX_MX} MX records",
    "empty": "about no name",
}
_PTR_HOSTS: Final = {"without_ptr": "missing", "generic_ptr": "generic"}


class Question(NamedTuple):
    """The request: `hosts` to look for, own address space; None if not given.

    `names`: the most domains, and hosts, that a range lists.
    """

    hosts: Hosts
    mine: Mapping[int, list[Interval]] | None
    names: int


def sender_lines(facts: Sequence[DomainPolicy], question: Question) -> Iterator[dict[str, Any]]:
    """Yield the lines; `facts` are sorted by domain, none twice."""
    users = {version: users_of(facts, version) for version in _VERSIONS}
    sizes = _Sizes()
    totals = _Totals(len(facts))
    for fact in facts:
        line = _domain_line(fact, sizes)
        totals.add_domain(line)
        yield line
    for line in _include_lines(facts, users, question):
        totals.add_include(line)
        yield line
    covered: dict[int, list[Interval]] = {}
    for version in _VERSIONS:
        ranges: list[Interval] = []
        covered[version] = ranges
        borders = question.mine[version] if question.mine else ()
        for row in sweep(version, facts, users[version], borders=borders, names=question.names):
            if ranges and ranges[-1][1] + 1 == row.first:
                ranges[-1] = ranges[-1][0], row.last
            else:
                ranges.append((row.first, row.last))
            line = _range_line(row, question)
            totals.add_range(line, row)
            yield line
    for version in _VERSIONS:
        for run in question.hosts.outside(version, covered[version]):
            line = {"type": "unauthorised", **_span(*run[:3])}
            line |= {"hosts": run.last - run.first + 1, "ptr": run.ptr}
            totals.unauthorised += line["hosts"]
            yield line
    yield totals.line(covered, question)


class _Sizes:
    """How many addresses shared ranges have, and through which policies."""

    def __init__(self) -> None:
        self._known: dict[SharedRanges, tuple[int, frozenset[str]]] = {}

    def size_of(self, shared: SharedRanges) -> tuple[int, frozenset[str]]:
        """Return the number of addresses, and the domains of the policies on the way."""
        if shared not in self._known:
            through = {domain for _, _, path in shared.pieces for domain, _ in path[1:]}
            self._known[shared] = _amount(shared.pieces), frozenset(through)
        return self._known[shared]


def _domain_line(fact: DomainPolicy, sizes: _Sizes) -> dict[str, Any]:
    line: dict[str, Any] = {
        "type": "domain",
        "domain": fact.domain,
        "status": fact.status,
        "explanation": fact.explanation,
        "otherwise": None,
        "ipv4": 0,
        "ipv6": 0,
        "through": [],
        "world": [],
        "undetermined": [],
        "errors": [],
    }
    if not fact.ranges:
        return line
    through: set[str] = set()
    for version, ranges in fact.ranges.items():
        number = sum(last - first + 1 for first, last, _ in ranges.own)
        for shared, exceptions in ranges.shared:
            amount, names = sizes.size_of(shared)
            number += amount - _amount(exceptions)
            through |= names
        line[f"ipv{version}"] = number
        through |= {domain for path in ranges.wide for domain, _ in path[1:]}
    return line | _beyond_ranges(fact.ranges) | {"through": sorted(through)}


def _beyond_ranges(ranges: Mapping[int, PolicyRanges]) -> dict[str, Any]:
    """Return the result for all other addresses, once for both IP versions."""
    otherwise = {policy.otherwise for policy in ranges.values()}
    wide = dict.fromkeys(path for policy in ranges.values() for path in policy.wide)
    undetermined = dict.fromkeys(path for policy in ranges.values() for path in policy.undetermined)
    errors = dict.fromkeys(error for policy in ranges.values() for error in policy.errors)
    return {
        "otherwise": otherwise.pop() if len(otherwise) == 1 else ranges[V4].otherwise,
        "world": [_way(path) for path in wide],
        "undetermined": [{**_way(path), "why": _why(path)} for path in undetermined],
        "errors": [
            {"result": error.result, **_way(error.path), "why": _trouble(error)} for error in errors
        ],
    }


def _include_lines(
    facts: Sequence[DomainPolicy],
    users: Mapping[int, Mapping[SharedRanges, Sequence[int]]],
    question: Question,
) -> Iterator[dict[str, Any]]:
    """Yield for each included policy what domains authorise through it."""
    sets: dict[str, dict[int, list[Interval]]] = {}
    domains: dict[str, bytearray] = {}
    for version, shared_users in users.items():
        for shared, places in shared_users.items():
            found: dict[str, list[Interval]] = {}
            for first, last, path in shared.pieces:
                for domain in dict.fromkeys(domain for domain, _ in path[1:]):
                    found.setdefault(domain, []).append((first, last))
            for domain, spans in found.items():
                sets.setdefault(domain, {V4: [], V6: []})[version] += spans
                marks = domains.setdefault(domain, bytearray(len(facts)))
                for place in places:
                    marks[place] = 1
    for name in sorted(sets):
        ranges = {version: union(sets[name][version]) for version in _VERSIONS}
        yield {
            "type": "include",
            "include": name,
            "domains": sum(domains[name]),
            **{f"ipv{version}": address_count(ranges[version]) for version in _VERSIONS},
            "outside": None
            if question.mine is None
            else {
                f"ipv{version}": _outside(ranges[version], question.mine[version])
                for version in _VERSIONS
            },
        }


def _range_line(row: AuthorisedRange, question: Question) -> dict[str, Any]:
    version, first, last, ways = row
    hosts = question.hosts
    return {
        "type": "range",
        **_span(version, first, last),
        "domains": row.domains,
        "ways": [
            {**_way(way.path), "count": way.number, "domains": list(way.domains)} for way in ways
        ],
        "mine": None
        if question.mine is None
        else bool(overlaps(question.mine[version], first, last)),
        "hosts": _host_counts(hosts, row, question.names) if hosts.are_audited else None,
    }


def _host_counts(hosts: Hosts, row: AuthorisedRange, names: int) -> dict[str, Any]:
    version, first, last, _ = row
    counts = hosts.count_by_ptr(version, first, last)
    found: dict[str, Any] = {"audited": sum(counts.values())}
    for key, kind in _PTR_HOSTS.items():
        listed = hosts.first(version, first, last, kind, names) if counts[kind] else []
        found[key] = {"count": counts[kind], "first": listed}
    return found


class _Totals:
    """Counts the lines."""

    def __init__(self, domains: int) -> None:
        self._counts = dict.fromkeys(
            ("policy", "none", "permerror", "temperror", "world", "undetermined", "errors"), 0
        )
        self._otherwise = dict.fromkeys(("fail", "softfail", "neutral", "pass"), 0)
        self._domains = domains
        self._includes = self._outside_includes = self._ranges = 0
        self._hosts = {"audited": 0, "without_ptr": 0, "generic_ptr": 0}
        self._outside = dict.fromkeys(_VERSIONS, 0)
        self.unauthorised = 0

    def add_domain(self, line: Mapping[str, Any]) -> None:
        self._counts[line["status"]] += 1
        for key in ("world", "undetermined", "errors"):
            self._counts[key] += bool(line[key])
        if line["otherwise"] in self._otherwise:
            self._otherwise[line["otherwise"]] += 1

    def add_include(self, line: Mapping[str, Any]) -> None:
        self._includes += 1
        self._outside_includes += bool(line["outside"]) and any(line["outside"].values())

    def add_range(self, line: Mapping[str, Any], row: AuthorisedRange) -> None:
        self._ranges += 1
        if line["mine"] is False:
            self._outside[row.version] += row.last - row.first + 1
        if line["hosts"] is not None:
            self._hosts["audited"] += line["hosts"]["audited"]
            for key in _PTR_HOSTS:
                self._hosts[key] += line["hosts"][key]["count"]

    def line(self, covered: Mapping[int, list[Interval]], question: Question) -> dict[str, Any]:
        has_mine, hosts = question.mine is not None, question.hosts
        return {
            "type": "totals",
            "domains": {"all": self._domains, **self._counts},
            "otherwise": self._otherwise,
            "includes": {
                "all": self._includes,
                "outside": self._outside_includes if has_mine else None,
            },
            "ranges": self._ranges,
            **{f"ipv{version}": address_count(covered[version]) for version in _VERSIONS},
            "outside": {f"ipv{version}": self._outside[version] for version in _VERSIONS}
            if has_mine
            else None,
            "hosts": {
                "authorised": sum(hosts.covered(v, covered[v]) for v in _VERSIONS),
                "unauthorised": self.unauthorised,
            }
            if hosts
            else None,
            "authorised_hosts": self._hosts if hosts.are_audited else None,
        }  # fmt: skip


def _way(path: Path) -> dict[str, Any]:
    """Return a path: the domain's own term, and the terms of the policies that it led to."""
    return {
        "term": path[0][1],
        "through": [{"domain": domain, "term": term} for domain, term in path[1:]],
    }


def _why(path: Path) -> str:
    """Return why the term at the end of a path has no single outcome for all clients."""
    text = path[-1][1]
    term = parse_term(text) if text else None
    if term is not None and term.kind == "ptr":
        return "depends on the PTR name of the client"
    letters = sorted(_CLIENT_MACROS & term.macros) if term is not None else []
    if letters:
        return f"depends on {', '.join(f'%{{{letter}}}' for letter in letters)}"
    return "verifiers differ, or it takes too much to evaluate"


def _trouble(error: EvaluationTrouble) -> str:
    if error.trouble in _TROUBLES:
        return _TROUBLES[error.trouble]
    number, _, name = error.trouble.partition(" ")
    lookup = f"{type_name(int(number))} of {name}" if number.isdigit() else "a lookup"
    if error.result == "temperror":
        return f"{lookup}: failed"
    return f"more than {MAX_VOIDS} void lookups: {lookup}"


def _span(version: int, first: int, last: int) -> dict[str, str]:
    low, high = format_address(version, first), format_address(version, last)
    bits = (last - first + 1).bit_length() - 1
    if first == last:
        text = low
    elif last - first + 1 == 1 << bits and first & (last - first) == 0:
        text = f"{low}/{_BITS[version] - bits}"
    else:
        text = f"{low}-{high}"
    return {"range": text, "first": low, "last": high}


def _amount(pieces: Sequence[Piece]) -> int:
    return sum(last - first + 1 for first, last, _ in pieces)


def _outside(ranges: list[Interval], mine: list[Interval]) -> int:
    """Return how many addresses of a set are outside of another."""
    return address_count(gap for first, last in ranges for gap in uncovered(mine, first, last))
