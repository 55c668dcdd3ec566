"""Summary of a result in numbers, streamed, in bounded memory."""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Network, IPv6Network
from typing import TYPE_CHECKING, Any, Final

from auditor.findings.entry import SEVERITIES
from auditor.findings.judge import VERDICTS
from auditor.views.block_facts import BlockFacts
from auditor.views.label_counts import LabelCounts
from auditor.views.owner import is_literal, owner
from auditor.views.receiver_counts import ReceiverCounts
from auditor.views.summary.line_classes import LineClasses
from auditor.views.summary.top_counts import MAX_COUNTED_KEYS, TopCounts
from auditor.views.zone_facts import ZoneFaults
from auditor.wire.addresses import V4, V6

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.findings.receivers import Receiver
    from auditor.views.prefixes import Network
    from auditor.views.reader.results import Results

__all__ = ["SPF_RESULTS", "Summary", "summarise"]

#: Columns of SPF counts, from the best result to the worst.
SPF_RESULTS: Final = ("pass", "neutral", "none", "softfail", "fail", "temperror", "permerror")
_COLUMN: Final = {result: column for column, result in enumerate(SPF_RESULTS)}
_KINDS: Final = ("ip", "domain", "invalid")
_IPREV: Final = ("pass", "fail", "temperror", "permerror")
_FAILING, _IN_USE, _FAILING_IN_USE = 1, 2, 3
_BITS: Final = {V4: 24, V6: 48}


class Summary:
    """Counts of records by verdict, finding, status and prefix.

    `verdicts` by (kind, verdict), `findings` by (code, severity): there may be several in a
    record, which `targets` counts once. `ptr` and `iprev` are those of address targets.
    `prefixes` (by IP version) and `domains` (of PTR names, see `owner`) have [records, failing]
    in a row; `receivers` is None if their rules are not counted, `labels`
    if no label is (`by`). `spf` by identity and domain
    (for HELO the owner of the name) has a column for each of SPF_RESULTS. The domain is ""
    where an address stands in place of a name. `zones` are the findings of the zone facts
    beside the results.
    """

    def __init__(
        self,
        limit: int = MAX_COUNTED_KEYS,
        receivers: Sequence[Receiver] | None = None,
        by: str | None = None,
    ) -> None:
        self.labels = None if by is None else LabelCounts(by)
        self.receivers = None if receivers is None else ReceiverCounts(receivers)
        self.verdicts: Counter[tuple[str, str]] = Counter()
        self.findings: Counter[tuple[str, str]] = Counter()
        self.targets: Counter[tuple[str, str]] = Counter()
        self.ptr: Counter[str] = Counter()
        self.iprev: Counter[str] = Counter()
        self.prefixes: dict[int, TopCounts[int]] = {
            version: TopCounts(4, _failing, limit) for version in (V4, V6)
        }
        self.domains: TopCounts[str] = TopCounts(2, _failing, limit)
        self.spf: TopCounts[tuple[str, str]] = TopCounts(len(SPF_RESULTS), sum, limit)
        self.zones = ZoneFaults(limit)
        self.facts = BlockFacts()

    @property
    def records(self) -> int:
        """How many there were."""
        return self.verdicts.total()

    def counts(self, network: Network) -> list[int]:
        """Return the row of a network, for `LineClasses`."""
        version, number = network
        return self.prefixes[version].row(number)

    def trim(self) -> None:
        """Keep memory bounded; rows that `counts` has returned may be dropped."""
        for ranking in self.prefixes.values():
            ranking.trim()
        self.domains.trim()
        self.spf.trim()

    def count_record(self, record: dict[str, Any], times: int) -> None:
        """Count a record `times` times, in all but its prefix."""
        verdict = record["verdict"]
        self.verdicts[record["kind"], verdict] += times
        pairs = [(finding["code"], finding["severity"]) for finding in record["findings"]]
        for key in pairs:
            self.findings[key] += times
        for key in set(pairs):
            self.targets[key] += times
        if record["kind"] != "ip":
            return
        if self.receivers is not None:
            self.receivers.count_record(record, times)
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
             "prefixes":[{"version","length","worst":[{"prefix","records","failing",
                                                      "in_use","failing_in_use"}],
                          "worst_in_use",
                          "rows","dropped","missed"}],
             "domains":{"worst":[{"domain","records","failing"}],"rows","dropped","missed"},
             "spf":{"domains":[{"identity","domain","count","results":{RESULT: n}}],
                    "rows","dropped","missed"},
             "zones": see `ZoneFaults.as_json`, "receivers": see `ReceiverCounts.as_json`, or null,
             "by": see `LabelCounts.as_json`, or null,
             "in_use", "faults", "naming", "empty", "beyond": see `BlockFacts.as_json`}

        All findings, most severe first; `targets` have at least one. `rows` are those kept of a
        table; if it overflowed, `dropped` is how many were not kept, and `missed` by how much the
        failing (of SPF: the count) of a row may be too low. Every key is there;
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
                for key, count in sorted(self.findings.items(), key=_severity_rank)
            ],
            "ptr": dict(sorted(self.ptr.items(), key=_most)),
            "iprev": {result: self.iprev[result] for result in _IPREV},
            "prefixes": [self._prefixes(version, top) for version in (V4, V6)],
            "domains": {
                "worst": [_row("domain", *row) for row in self.domains.heaviest(top)],
                **_completeness(self.domains),
            },
            "spf": self._spf(top),
            "zones": self.zones.as_json(top),
            "receivers": None if self.receivers is None else self.receivers.as_json(),
            "by": None if self.labels is None else self.labels.as_json(top),
            **self.facts.as_json(top),
        }

    def _spf(self, top: int) -> dict[str, Any]:
        return {
            "domains": [
                {
                    "identity": identity,
                    "domain": domain,
                    "count": sum(row),
                    "results": dict(zip(SPF_RESULTS, row, strict=True)),
                }
                for (identity, domain), row in self.spf.heaviest(top)
            ],
            **_completeness(self.spf),
        }

    def _prefixes(self, version: int, top: int) -> dict[str, Any]:
        ranking, bits = self.prefixes[version], _BITS[version]
        make = IPv4Network if version == V4 else IPv6Network
        shift = make(0).max_prefixlen - bits

        def rows(found: list[tuple[int, list[int]]]) -> list[dict[str, Any]]:
            return [
                {
                    **_row("prefix", str(make((number << shift, bits))), row),
                    "in_use": row[_IN_USE],
                    "failing_in_use": row[_FAILING_IN_USE],
                }
                for number, row in found
            ]

        return {
            "version": version,
            "length": bits,
            "worst": rows(ranking.heaviest(top)),
            "worst_in_use": rows(ranking.heaviest(top, _failing_in_use)),
            **_completeness(ranking),
        }


def summarise(results: Results, summary: Summary | None = None) -> Summary:
    """Read results and return their summary. Raises InputError for an invalid record."""
    summary = Summary() if summary is None else summary
    classes = LineClasses(summary.counts, summary.count_record, summary.facts)
    for chunk in results.chunks():
        classes.count_chunk(chunk)
        summary.trim()
        if summary.labels is not None:
            summary.labels.note_lines(chunk)
    classes.flush()
    summary.trim()
    summary.zones.add_files(results.names)
    return summary


def _failing(row: list[int]) -> int:
    return row[_FAILING]


def _failing_in_use(row: list[int]) -> int:
    return row[_FAILING_IN_USE]


def _row(named: str, key: object, row: list[int]) -> dict[str, Any]:
    return {named: key, "records": row[0], "failing": row[_FAILING]}


def _completeness(ranking: TopCounts[Any]) -> dict[str, int]:
    """Return the completeness of a table: rows, rows dropped, and what a row may lack."""
    return {"rows": len(ranking.rows), "dropped": ranking.dropped, "missed": ranking.missed}


def _severity_rank(item: tuple[tuple[str, str], int]) -> tuple[int, int, str]:
    (code, severity), count = item
    return -SEVERITIES.index(severity), -count, code


def _most(item: tuple[str, int]) -> tuple[int, str]:
    return -item[1], item[0]
