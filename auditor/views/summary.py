"""A result in numbers: what `auditor summary` shows. Streamed, in memory that does not grow."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Any, Final

from auditor.findings.judge import SEVERITIES, VERDICTS
from auditor.views.summary_classes import Classes, is_literal, owner
from auditor.views.summary_ranking import LIMIT, Ranking

if TYPE_CHECKING:
    from auditor.views.results import Results
    from auditor.views.summary_classes import Network

__all__ = ["SPF_RESULTS", "Summary", "summarise"]

#: Columns of SPF counts, from the best result to the worst.
SPF_RESULTS: Final = ("pass", "neutral", "none", "softfail", "fail", "temperror", "permerror")
_COLUMN: Final = {result: column for column, result in enumerate(SPF_RESULTS)}
_KINDS: Final = ("ip", "domain", "invalid")
_IPREV: Final = ("pass", "fail", "temperror", "permerror")
_FAILING: Final = 1
_V4: Final = 4
_V6: Final = 6
_BITS: Final = {_V4: 24, _V6: 48}


class Summary:
    """Counts of records, by all that a person asks first.

    `verdicts` by (kind, verdict), `findings` by (code, severity): there may be several in a
    record, which `targets` counts once. `ptr` and `iprev` are those of address targets.
    `prefixes` (by IP version) and `domains` (of PTR names, see `owner`) have [records, failing]
    in a row; `spf` by identity and domain (for HELO the owner of the name) has a column for
    each of SPF_RESULTS. The domain is "" where an address stands in place of a name.
    """

    def __init__(self, limit: int = LIMIT) -> None:
        self.verdicts: Counter[tuple[str, str]] = Counter()
        self.findings: Counter[tuple[str, str]] = Counter()
        self.targets: Counter[tuple[str, str]] = Counter()
        self.ptr: Counter[str] = Counter()
        self.iprev: Counter[str] = Counter()
        self.prefixes: dict[int, Ranking[int]] = {
            version: Ranking(2, _failing, limit) for version in (_V4, _V6)
        }
        self.domains: Ranking[str] = Ranking(2, _failing, limit)
        self.spf: Ranking[tuple[str, str]] = Ranking(len(SPF_RESULTS), sum, limit)

    @property
    def records(self) -> int:
        """How many there were."""
        return self.verdicts.total()

    def counts(self, network: Network) -> list[int]:
        """Return the row of a network, for `Classes`."""
        version, number = network
        return self.prefixes[version].row(number)

    def note(self, record: dict[str, Any], times: int) -> None:
        """Count a record `times` times, in all but its prefix."""
        verdict = record["verdict"]
        self.verdicts[record["kind"], verdict] += times
        found = [(finding["code"], finding["severity"]) for finding in record["findings"]]
        for key in found:
            self.findings[key] += times
        for key in set(found):
            self.targets[key] += times
        if record["kind"] != "ip":
            return
        self.ptr[record["ptr"]["status"]] += times
        self.iprev[record["iprev"]["result"]] += times
        for domain in {owner(name) for name in record["ptr"]["names"]}:
            row = self.domains.row(domain)
            row[0] += times
            row[_FAILING] += times if verdict == "fail" else 0
        for fact in record["spf"]:
            identity, domain = fact["identity"], fact["domain"]
            if identity == "helo":
                domain = owner(domain)
            elif is_literal(domain):
                domain = ""
            self.spf.row((identity, domain))[_COLUMN[fact["result"]]] += times

    def as_json(self, top: int) -> dict[str, Any]:
        """Return the object of `auditor summary --json`, with up to `top` rows a table.

            {"records","verdicts":{VERDICT: n},"kinds":{KIND: {"records","verdicts"}},
             "findings":[{"code","severity","count","targets"}],
             "ptr":{STATUS: n},"iprev":{RESULT: n},
             "prefixes":[{"version","length","worst":[{"prefix","records","failing"}],
                          "rows","dropped","missed"}],
             "domains":{"worst":[{"domain","records","failing"}],"rows","dropped","missed"},
             "spf":{"domains":[{"identity","domain","count","results":{RESULT: n}}],
                    "rows","dropped","missed"}}

        Findings are all of them, the gravest first; `targets` have at least one. `rows` are
        those kept of a table; when it overflowed, `dropped` says how many were not, and `missed`
        by how much the failing (of SPF: the count) of a row may be too low. Every key is there;
        keys may be added.
        """
        verdicts: Counter[str] = Counter()
        kinds: Counter[str] = Counter()
        for (kind, verdict), count in self.verdicts.items():
            verdicts[verdict] += count
            kinds[kind] += count
        return {
            "records": self.records,
            "verdicts": {verdict: verdicts[verdict] for verdict in VERDICTS},
            "kinds": {
                kind: {
                    "records": kinds[kind],
                    "verdicts": {verdict: self.verdicts[kind, verdict] for verdict in VERDICTS},
                }
                for kind in _KINDS
            },
            "findings": [
                {"code": key[0], "severity": key[1], "count": count, "targets": self.targets[key]}
                for key, count in sorted(self.findings.items(), key=_gravest)
            ],
            "ptr": dict(sorted(self.ptr.items(), key=_most)),
            "iprev": {result: self.iprev[result] for result in _IPREV},
            "prefixes": [self._prefixes(version, top) for version in (_V4, _V6)],
            "domains": {
                "worst": [_row("domain", *row) for row in self.domains.heaviest(top)],
                **_honest(self.domains),
            },
            "spf": {
                "domains": [
                    {
                        "identity": identity,
                        "domain": domain,
                        "count": sum(row),
                        "results": dict(zip(SPF_RESULTS, row, strict=True)),
                    }
                    for (identity, domain), row in self.spf.heaviest(top)
                ],
                **_honest(self.spf),
            },
        }

    def _prefixes(self, version: int, top: int) -> dict[str, Any]:
        ranking, bits = self.prefixes[version], _BITS[version]
        make = IPv4Network if version == _V4 else IPv6Network
        shift = make(0).max_prefixlen - bits
        return {
            "version": version,
            "length": bits,
            "worst": [
                _row("prefix", str(make((number << shift, bits))), row)
                for number, row in ranking.heaviest(top)
            ],
            **_honest(ranking),
        }


def summarise(results: Results, summary: Summary | None = None) -> Summary:
    """Read results and return their summary. Raises InputError for what is no record."""
    summary = Summary() if summary is None else summary
    classes = Classes(summary.counts, summary.note)
    for chunk in results.chunks():
        classes.add(chunk)
        if summary.prefixes[_V4].trim() or summary.prefixes[_V6].trim():
            classes.forget_networks()
        summary.domains.trim()
        summary.spf.trim()
    classes.flush()
    return summary


def _failing(row: list[int]) -> int:
    return row[_FAILING]


def _row(named: str, key: object, row: list[int]) -> dict[str, Any]:
    return {named: key, "records": row[0], "failing": row[_FAILING]}


def _honest(ranking: Ranking[Any]) -> dict[str, int]:
    """Return how whole a table is: rows, rows forgotten, and what a row may lack for that."""
    return {"rows": len(ranking.rows), "dropped": ranking.dropped, "missed": ranking.missed}


def _gravest(item: tuple[tuple[str, str], int]) -> tuple[int, int, str]:
    (code, severity), count = item
    return -SEVERITIES.index(severity), -count, code


def _most(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]
