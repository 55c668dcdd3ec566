"""Records boiled down to what the page shows: rows, prefixes, domains, SPF, findings.

Memory is bounded, whatever comes in. Up to `Limits.rows` targets have a row each; when there
are more, only the first ones with a problem have. Prefixes are counted by /24 and /48, and
by /16 and /32 once they are too many; domains beyond the limit are counted together.
"""

from __future__ import annotations

from collections import Counter
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from auditor.findings.judge import SEVERITIES, VERDICTS
from auditor.views.report.rows import IPV4, IPV6, WIDTHS, Row, address, make_row, owner, shown

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["OTHERS", "Domain", "Gathered", "Limits", "Prefix", "Scan"]

#: What is counted under this is beyond a limit; no domain and no finding is called that.
OTHERS: Final = "(all others)"
#: Codes that are told apart: more than any catalogue has.
_CODES: Final = 512
#: Examples of a finding that the page shows.
_EXAMPLES: Final = 3
#: Lengths of prefixes that are counted by, by version: at first, and when they are too many.
_FINE: Final = {IPV4: 24, IPV6: 48}
_COARSE: Final = {IPV4: 16, IPV6: 32}

_VERDICTS: Final = {verdict: rank for rank, verdict in enumerate(VERDICTS)}
_SEVERITIES: Final[dict[str, int]] = {severity: rank for rank, severity in enumerate(SEVERITIES)}


class Limits(NamedTuple):
    """How much is kept: rows, rows with `problems` when not all have one, prefixes, domains."""

    rows: int = 131_072
    problems: int = 20_000
    prefixes: int = 65_536
    domains: int = 65_536


class Prefix:
    """What was found in a prefix: targets by verdict, in the order of VERDICTS, and by code."""

    __slots__ = ("codes", "verdicts")

    def __init__(self) -> None:
        self.verdicts = [0] * len(VERDICTS)
        self.codes: Counter[str] = Counter()

    def join(self, other: Prefix) -> None:
        """Add what was found in another one."""
        self.verdicts = [a + b for a, b in zip(self.verdicts, other.verdicts, strict=True)]
        self.codes.update(other.codes)


class Domain:
    """Addresses with a PTR name in a domain: all, confirmed by it, failing, with a generic name."""

    __slots__ = ("addresses", "confirmed", "failing", "generic")

    def __init__(self) -> None:
        self.addresses = self.confirmed = self.failing = self.generic = 0


class Scan:
    """How many targets there were, by kind and verdict, and how many have each finding."""

    def __init__(self) -> None:
        self.records = 0
        self.kinds: Counter[str] = Counter()
        self.verdicts: Counter[str] = Counter()
        self.codes: Counter[str] = Counter()

    def count(self, record: Mapping[str, Any]) -> set[str]:
        """Count a record; return the codes of its findings, as they are counted."""
        self.records += 1
        self.kinds[record["kind"]] += 1
        self.verdicts[record["verdict"]] += 1
        codes = {self.known(finding["code"]) for finding in record["findings"]}
        self.codes.update(codes)
        return codes

    def known(self, code: str) -> str:
        """Return what a code is counted as: itself, unless there are too many in all."""
        return code if code in self.codes or len(self.codes) < _CODES else OTHERS


class Gathered:
    """What the page shows of a scan, fed by `add`; and by `past` with the scan before it.

    Keys: of `prefixes` (version, length, its first bits as a number); of `spf` (first 16 bits
    of the addresses or -1 for IPv6, identity, domain), and it counts addresses by result.
    """

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self.now = Scan()
        self.before = Scan()
        self.severities: dict[str, str] = {}
        self.examples: dict[str, list[dict[str, str]]] = {}
        self.rows: list[Row] = []
        #: Whether every target has a row.
        self.complete = True
        self.lengths = _FINE
        self.prefixes: dict[tuple[int, int, int], Prefix] = {}
        self.failed_before: Counter[tuple[int, int, int]] = Counter()
        self.domains: dict[str, Domain] = {}
        self.spf: dict[tuple[int, str, str], Counter[str]] = {}

    def add(self, record: Mapping[str, Any]) -> None:
        """Count a record, and keep a row of it if there is room."""
        codes = self.now.count(record)
        self._findings(record)
        where = address(record["target"]) if record["kind"] == "ip" else None
        if where is not None:
            self._prefix(where, record["verdict"], codes)
            self._domains(record, codes)
            self._spf(record, where)
        if self._room(record["verdict"]):
            self.rows.append(make_row(record, where))

    def past(self, record: Mapping[str, Any]) -> None:
        """Count a record of the scan before."""
        self.before.count(record)
        if record["verdict"] == "fail" and record["kind"] == "ip":
            where = address(record["target"])
            if where is not None:
                key = self._key(*where)
                if key in self.failed_before or self._fits(self.failed_before):
                    self.failed_before[key] += 1

    def _findings(self, record: Mapping[str, Any]) -> None:
        seen: set[str] = set()
        for finding in record["findings"]:
            code, severity = self.now.known(finding["code"]), finding["severity"]
            worst = self.severities.setdefault(code, severity)
            if _SEVERITIES[severity] > _SEVERITIES[worst]:
                self.severities[code] = severity
            examples = self.examples.setdefault(code, [])
            if code not in seen and len(examples) < _EXAMPLES:
                examples.append(
                    {
                        "kind": record["kind"],
                        "target": shown(record["target"]),
                        "subject": shown(finding["subject"]),
                    }
                )
            seen.add(code)

    def _key(self, version: int, number: int) -> tuple[int, int, int]:
        length = self.lengths[version]
        return version, length, number >> (WIDTHS[version] - length)

    def _prefix(self, where: tuple[int, int], verdict: str, codes: set[str]) -> None:
        found = self.prefixes.get(self._key(*where))
        if found is None:
            if len(self.prefixes) >= self._limits.prefixes and self.lengths is _FINE:
                self._coarsen()
            found = self.prefixes.setdefault(self._key(*where), Prefix())
        found.verdicts[_VERDICTS[verdict]] += 1
        found.codes.update(codes)

    def _coarsen(self) -> None:
        fine, past = self.prefixes, self.failed_before
        self.prefixes, self.failed_before, self.lengths = {}, Counter(), _COARSE
        for (version, _, number), found in fine.items():
            wider = number >> (_FINE[version] - _COARSE[version])
            self.prefixes.setdefault((version, _COARSE[version], wider), Prefix()).join(found)
        for (version, _, number), failed in past.items():
            wider = number >> (_FINE[version] - _COARSE[version])
            self.failed_before[version, _COARSE[version], wider] += failed

    def _domains(self, record: Mapping[str, Any], codes: set[str]) -> None:
        if not record["ptr"] or not record["iprev"]:
            return
        confirming = {owner(name["name"]) for name in record["iprev"]["names"] if name["confirms"]}
        for name in {owner(name) for name in record["ptr"]["names"]}:
            known = name if name in self.domains or self._fits(self.domains) else OTHERS
            found = self.domains.setdefault(known, Domain())
            found.addresses += 1
            found.confirmed += name in confirming
            found.failing += record["verdict"] == "fail"
            found.generic += "PTR_GENERIC" in codes

    def _spf(self, record: Mapping[str, Any], where: tuple[int, int]) -> None:
        block = where[1] >> 16 if where[0] == IPV4 else -1
        results: dict[tuple[int, str, str], set[str]] = {}
        for fact in record["spf"]:
            identity = fact["identity"]
            # HELO names are those of machines: what counts is whose they are.
            domain = owner(fact["domain"]) if identity == "helo" else shown(fact["domain"])
            key = block, identity, domain
            if key not in self.spf and not self._fits(self.spf):
                key = block, identity, OTHERS
            results.setdefault(key, set()).add(fact["result"])
        for key, found in results.items():
            self.spf.setdefault(key, Counter()).update(found)

    def _fits(self, kept: Mapping[Any, object]) -> bool:
        return len(kept) < self._limits.domains

    def _room(self, verdict: str) -> bool:
        """Tell whether a target gets a row; from the limit on only problems do."""
        if self.complete and len(self.rows) >= self._limits.rows:
            self.complete = False
            problems = (row for row in self.rows if row.shape.verdict != "pass")
            self.rows = list(islice(problems, self._limits.problems))
        return self.complete or (verdict != "pass" and len(self.rows) < self._limits.problems)
