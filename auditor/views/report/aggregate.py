"""Aggregates records for the page: rows, prefixes, domains, SPF, findings.

Memory is bounded. Up to `AggregateLimits.rows` targets have a row each; when there are more, only
the first ones with a problem have. Prefixes are counted by /24 and /48, and
by /16 and /32 once they are too many; domains beyond the limit are counted together.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from auditor.findings.advice import advise
from auditor.findings.entry import SEVERITIES
from auditor.findings.judge import VERDICTS
from auditor.views.block_facts import BlockFacts
from auditor.views.receiver_counts import ReceiverCounts
from auditor.views.report.rows import WIDTHS, TargetRow, make_row, owner, shown
from auditor.wire.addresses import V4, V6, parse_address

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from auditor.findings.receivers import Receiver

__all__ = [
    "OTHERS",
    "AggregateLimits",
    "DomainCounts",
    "PrefixCounts",
    "ScanAggregate",
    "ScanCounts",
]

#: The key of everything beyond a limit; no domain and no finding has that name.
OTHERS: Final = "(all others)"
#: Codes that are counted separately: more than any catalogue has.
_MAX_CODES: Final = 512
#: Examples of a finding that the page shows.
_MAX_EXAMPLES: Final = 3
#: Lengths of prefixes that are counted by, by version: at first, and when they are too many.
_FINE_PREFIX_BITS: Final = {V4: 24, V6: 48}
_COARSE_PREFIX_BITS: Final = {V4: 16, V6: 32}

_VERDICTS: Final = {verdict: rank for rank, verdict in enumerate(VERDICTS)}
_NO_OWNERS: Final[Mapping[str, str]] = MappingProxyType({})
_SEVERITIES: Final[dict[str, int]] = {severity: rank for rank, severity in enumerate(SEVERITIES)}


#: Octets of a line to publish that the page shows: more than any but a long policy has.
_MAX_LINE_CHARACTERS: Final = 4096


def _lines(record: Mapping[str, Any], finding: Mapping[str, str]) -> str:
    """Return what to publish against a finding, in master file form, with notes as comments."""
    advice = advise(record, finding)
    lines = (*advice.lines, *advice.drafts, *(f"; {note}" for note in advice.notes))
    return "" if any(len(line) > _MAX_LINE_CHARACTERS for line in lines) else "\n".join(lines)


class AggregateLimits(NamedTuple):
    """The most rows and keys that are kept.

    Rows, rows with `problems` when not all have one, prefixes, domains, values of labels.
    """

    rows: int = 131_072
    problems: int = 20_000
    prefixes: int = 65_536
    domains: int = 65_536
    labels: int = 4096


class PrefixCounts:
    """What was found in a prefix or with a label: targets by verdict and by code."""

    __slots__ = ("codes", "verdicts")

    def __init__(self) -> None:
        self.verdicts = [0] * len(VERDICTS)  # in the order of these
        self.codes: Counter[str] = Counter()

    def add_counts(self, other: PrefixCounts) -> None:
        """Add the counts of another one."""
        self.verdicts = [a + b for a, b in zip(self.verdicts, other.verdicts, strict=True)]
        self.codes.update(other.codes)


class DomainCounts:
    """Addresses with a PTR name in a domain: all, confirmed by it, failing, with a generic name."""

    __slots__ = ("addresses", "confirmed", "failing", "generic")

    def __init__(self) -> None:
        self.addresses = self.confirmed = self.failing = self.generic = 0


class ScanCounts:
    """How many targets there were, by kind and verdict, and how many have each finding."""

    def __init__(self) -> None:
        self.records = 0
        self.kinds: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()

    def count_record(self, record: Mapping[str, Any], times: int = 1) -> set[str]:
        """Count a record; return the codes of its findings, as they are counted."""
        self.records += times
        self.kinds[record["kind"]] += times
        self.verdicts[record["verdict"]] += times
        codes = {self.known(finding["code"]) for finding in record["findings"]}
        for code in codes:  # far faster than Counter.update() of a few
            self.codes[code] += times
        return codes

    def known(self, code: str) -> str:
        """Return the key that a code is counted under: itself, unless there are too many."""
        return code if code in self.codes or len(self.codes) < _MAX_CODES else OTHERS


class ScanAggregate:
    """What the page shows of a scan; `past` counts the scan before it.

    Keys: of `prefixes` (version, length, its first bits as a number); of `spf` (first 16 bits
    of the addresses or -1 for IPv6, identity, domain), and it counts addresses by result.
    """

    def __init__(
        self, limits: AggregateLimits | None = None, receivers: Sequence[Receiver] = ()
    ) -> None:
        self.receivers = ReceiverCounts(receivers)
        self._limits = limits or AggregateLimits()
        self.now = ScanCounts()
        self.before = ScanCounts()
        self.severities: dict[str, str] = {}
        self.examples: dict[str, list[dict[str, str]]] = {}
        self.rows: list[TargetRow] = []
        #: Whether every target has a row.
        self.complete = True
        self.lengths = _FINE_PREFIX_BITS
        self.prefixes: dict[tuple[int, int, int], PrefixCounts] = {}
        self.failed_before: Counter[tuple[int, int, int]] = Counter()
        #: Faults of whole prefixes, naming templates, addresses in use.
        self.blocks = BlockFacts()
        #: By label and value.
        self.labels: dict[tuple[str, str], PrefixCounts] = {}
        self.domains: dict[str, DomainCounts] = {}
        self.spf: dict[tuple[int, str, str], Counter[str]] = {}

    def add_record(self, record: Mapping[str, Any]) -> None:
        """Count a record, and keep a row of it if there is room."""
        where = parse_address(record["target"]) if record["kind"] == "ip" else None
        self.note_findings(record)
        self.count_equal_records(record, where)
        self.blocks.count_record(record)
        if self.has_room(record["verdict"]):
            self.rows.append(make_row(record, where))

    def count_equal_records(
        self,
        record: Mapping[str, Any],
        where: tuple[int, int] | None,
        owners: Mapping[str, str] = _NO_OWNERS,
        times: int = 1,
    ) -> None:
        """Count records like this one: of one prefix, and with names in the same domains.

        `where`: the address of any of them. `owners`: the domains of names, if these only stand
        for what the records have.
        """
        codes = self.now.count_record(record, times)
        self.receivers.count_record(record, times)
        if record["labels"]:
            self._labels(record, codes, times)
        if where is not None:
            self._prefix(where, record["verdict"], codes, times)
            self._domains(record, codes, owners, times)
            self._spf(record, where, owners, times)

    def past(
        self,
        record: Mapping[str, Any],
        where: tuple[int, int] | None,
        _owners: Mapping[str, str] = _NO_OWNERS,
        times: int = 1,
    ) -> None:
        """Count records of the scan before, which are like this one."""
        self.before.count_record(record, times)
        if record["verdict"] == "fail" and where is not None:
            key = self._key(*where)
            if key in self.failed_before or self._fits(self.failed_before):
                self.failed_before[key] += times

    def needs_examples(self, codes: Iterable[str]) -> bool:
        """Tell whether a record with these codes may be an example of one of them."""
        known = map(self.now.known, codes)
        return any(len(self.examples.get(code, ())) < _MAX_EXAMPLES for code in known)

    def note_findings(self, record: Mapping[str, Any]) -> None:
        """Take severities and examples from a record."""
        seen: set[str] = set()
        for finding in record["findings"]:
            code, severity = self.now.known(finding["code"]), finding["severity"]
            worst = self.severities.setdefault(code, severity)
            if _SEVERITIES[severity] > _SEVERITIES[worst]:
                self.severities[code] = severity
            examples = self.examples.setdefault(code, [])
            if code not in seen and len(examples) < _MAX_EXAMPLES:
                examples.append(
                    {"target": shown(record["target"]), "lines": _lines(record, finding)}
                )
            seen.add(code)

    def _key(self, version: int, number: int) -> tuple[int, int, int]:
        length = self.lengths[version]
        return version, length, number >> (WIDTHS[version] - length)

    def _prefix(self, where: tuple[int, int], verdict: str, codes: set[str], times: int) -> None:
        key = self._key(*where)
        counts = self.prefixes.get(key)
        if counts is None:
            if len(self.prefixes) >= self._limits.prefixes and self.lengths is _FINE_PREFIX_BITS:
                self._coarsen()
            counts = self.prefixes.setdefault(self._key(*where), PrefixCounts())
        counts.verdicts[_VERDICTS[verdict]] += times
        for code in codes:
            counts.codes[code] += times

    def _labels(self, record: Mapping[str, Any], codes: set[str], times: int) -> None:
        for name, value in record["labels"].items():
            if not value:
                continue
            key = shown(name), shown(value)
            if key not in self.labels and len(self.labels) >= self._limits.labels:
                key = shown(name), OTHERS
                if key not in self.labels and len(self.labels) >= 2 * self._limits.labels:
                    key = OTHERS, OTHERS
            counts = self.labels.get(key)
            if counts is None:
                counts = self.labels[key] = PrefixCounts()
            counts.verdicts[_VERDICTS[record["verdict"]]] += times
            for code in codes:
                counts.codes[code] += times

    def _coarsen(self) -> None:
        fine, past = self.prefixes, self.failed_before
        self.prefixes, self.failed_before, self.lengths = {}, Counter(), _COARSE_PREFIX_BITS
        for (version, _, number), counts in fine.items():
            wider = number >> (_FINE_PREFIX_BITS[version] - _COARSE_PREFIX_BITS[version])
            self.prefixes.setdefault(
                (version, _COARSE_PREFIX_BITS[version], wider), PrefixCounts()
            ).add_counts(counts)
        for (version, _, number), failed in past.items():
            wider = number >> (_FINE_PREFIX_BITS[version] - _COARSE_PREFIX_BITS[version])
            self.failed_before[version, _COARSE_PREFIX_BITS[version], wider] += failed

    def _domains(
        self, record: Mapping[str, Any], codes: set[str], owners: Mapping[str, str], times: int
    ) -> None:
        if not record["ptr"] or not record["iprev"]:
            return

        def of(name: str) -> str:
            return owners.get(name) or owner(name)

        confirming = {of(name["name"]) for name in record["iprev"]["names"] if name["confirms"]}
        for name in dict.fromkeys(map(of, record["ptr"]["names"])):
            known = name if name in self.domains or self._fits(self.domains) else OTHERS
            counts = self.domains.get(known)
            if counts is None:
                counts = self.domains[known] = DomainCounts()
            counts.addresses += times
            counts.confirmed += times * (name in confirming)
            counts.failing += times * (record["verdict"] == "fail")
            counts.generic += times * ("PTR_GENERIC" in codes)

    def _spf(
        self,
        record: Mapping[str, Any],
        where: tuple[int, int],
        owners: Mapping[str, str],
        times: int,
    ) -> None:
        block = where[1] >> 16 if where[0] == V4 else -1
        results: dict[tuple[int, str, str], set[str]] = {}
        for fact in record["spf"]:
            identity = fact["identity"]
            # HELO names are names of hosts: what counts is their domain.
            domain = fact["domain"]
            domain = owners.get(domain) or (owner(domain) if identity == "helo" else shown(domain))
            key = block, identity, domain
            if key not in self.spf and not self._fits(self.spf):
                key = block, identity, OTHERS
            results.setdefault(key, set()).add(fact["result"])
        for key, found in results.items():
            counts = self.spf.get(key)
            if counts is None:
                counts = self.spf[key] = Counter()
            for result in found:
                counts[result] += times

    def _fits(self, kept: Mapping[Any, object]) -> bool:
        return len(kept) < self._limits.domains

    def has_room(self, verdict: str) -> bool:
        """Tell whether a target gets a row; from the limit on only problems do."""
        if self.complete and len(self.rows) >= self._limits.rows:
            self.complete = False
            problems = (row for row in self.rows if row.shape.verdict != "pass")
            self.rows = list(islice(problems, self._limits.problems))
        return self.complete or (verdict != "pass" and len(self.rows) < self._limits.problems)
