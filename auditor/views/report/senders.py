"""Who may send, from the lines of `auditor senders --json`: a sentence and tables."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from auditor.views.report.headline import counted
from auditor.views.report.rows import shown
from auditor.views.senders import SenderSummary, read_senders

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

__all__ = ["SenderSection", "SenderTable", "sender_section"]

#: Rows of a table, and names listed in one.
_MAX_ROWS: Final = 20
_MAX_NAMED: Final = 3
#: Larger numbers, which IPv6 has, are shown by their order.
_MAX_EXACT: Final = 10**9

_Row = tuple[str, ...]


class SenderTable(NamedTuple):
    """What rows have in common, the heads of columns, rows; `more` are left out."""

    title: str
    heads: tuple[str, ...]
    rows: tuple[_Row, ...]
    more: int


class SenderSection(NamedTuple):
    """The summary of the lines in a sentence, and the tables."""

    sentence: str
    tables: tuple[SenderTable, ...]


def sender_section(path: Path) -> SenderSection:
    """Return the section about a file of lines. Raises InputError for an invalid one."""
    summary = SenderSummary()
    for line in read_senders(path):
        summary.count_line(line)
    data = summary.as_json(_MAX_ROWS)
    made = (_table(data[kind], *layout) for kind, layout in _TABLES.items())
    return SenderSection(_sentence(data["totals"]), tuple(table for table in made if table.rows))


def _sentence(totals: Mapping[str, Any]) -> str:
    domains = totals["domains"]
    text = (
        f"{domains['policy']:,} of {counted(domains['all'], 'domain')} have an SPF policy; "
        f"{_both(totals)} addresses may send for one of them"
    )
    if totals["outside"] is not None:
        text += f", {_both(totals['outside'])} of them outside of your own space"
    if totals["hosts"] is not None:
        nobody = totals["hosts"]["unauthorised"]
        text += f". {nobody:,} of the hosts may send for no domain"
    return f"{text}."


def _table(
    ranking: Mapping[str, Any],
    title: str,
    heads: tuple[str, ...],
    cells: Callable[[Mapping[str, Any]], Sequence[str]],
) -> SenderTable:
    rows = tuple(tuple(map(shown, cells(line))) for line in ranking["first"])
    return SenderTable(title, heads, rows, ranking["rows"] - len(rows))


def _world(line: Mapping[str, Any]) -> _Row:
    return line["domain"], _some([_way(way) for way in line["world"]])


def _errors(line: Mapping[str, Any]) -> _Row:
    whys = [f"{error['result']} at {_way(error)}: {error['why']}" for error in line["errors"]]
    if line["status"] != "policy":
        whys.insert(0, f"{line['status']}: {line['explanation'] or ''}")
    return line["domain"], _some(whys)


def _undetermined(line: Mapping[str, Any]) -> _Row:
    return line["domain"], _some([f"{_way(way)}: {way['why']}" for way in line["undetermined"]])


def _include(line: Mapping[str, Any]) -> _Row:
    outside = line["outside"]
    return (
        line["include"],
        f"{line['domains']:,}",
        _both(line),
        "" if outside is None else _both(outside),
    )


def _range(line: Mapping[str, Any]) -> _Row:
    ways = [f"{_some(way['domains'], way['count'])}: {_way(way)}" for way in line["ways"]]
    return line["range"], f"{line['domains']:,}", _some(ways)


def _hosts(kind: str) -> Callable[[Mapping[str, Any]], _Row]:
    def cells(line: Mapping[str, Any]) -> _Row:
        hosts = line["hosts"][kind]
        domains = sorted({name for way in line["ways"] for name in way["domains"]})
        return line["range"], _some(hosts["first"], hosts["count"]), _some(domains, line["domains"])

    return cells


def _unauthorised(line: Mapping[str, Any]) -> _Row:
    return line["range"], f"{line['hosts']:,}", line["ptr"].replace("_", " ")


def _way(way: Mapping[str, Any]) -> str:
    """Return the terms that lead to an address, from the domain's own policy on."""
    terms = [way["term"], *(term["term"] for term in way["through"])]
    return " > ".join(term or "its end" for term in terms)


def _some(names: Sequence[str], number: int | None = None) -> str:
    """Return the first of some names, and how many more there are."""
    more = (len(names) if number is None else number) - len(names[:_MAX_NAMED])
    return ", ".join(names[:_MAX_NAMED]) + (f" and {more:,} more" if more > 0 else "")


def _both(numbers: Mapping[str, Any]) -> str:
    """Return numbers of IPv4 and IPv6 addresses."""
    numbered = [(int(numbers[key]), name) for key, name in (("ipv4", "IPv4"), ("ipv6", "IPv6"))]
    parts = [
        f"{number:,} {name}" if number < _MAX_EXACT else f"{number:.1e} {name}"
        for number, name in numbered
        if number
    ]
    return " and ".join(parts) or "none"


_DOMAIN: Final = ("Domain", "Terms")
#: By kind of row: title, heads and cells.
_TABLES: Final[
    dict[str, tuple[str, tuple[str, ...], Callable[[Mapping[str, Any]], Sequence[str]]]]
] = {
    "world": ("Domains that authorise every address", _DOMAIN, _world),
    "errors": ("Domains whose policy ends in an error", _DOMAIN, _errors),
    "undetermined": ("Domains whose policy depends on the sender", _DOMAIN, _undetermined),
    "without_ptr": (
        "Addresses that may send and have no PTR record",
        ("Addresses", "Hosts", "May send for"),
        _hosts("without_ptr"),
    ),
    "generic_ptr": (
        "Addresses that may send and have a generic name",
        ("Addresses", "Hosts", "May send for"),
        _hosts("generic_ptr"),
    ),
    "unauthorised": (
        "Hosts that may send for no domain",
        ("Addresses", "Hosts", "PTR"),
        _unauthorised,
    ),
    "outside": (
        "Addresses outside one's own space that may send",
        ("Addresses", "Domains", "By"),
        _range,
    ),
    "includes": (
        "Policies that domains include",
        ("Policy", "Domains", "Addresses", "Outside"),
        _include,
    ),
    "ranges": (
        "Addresses by how many domains they may send for",
        ("Addresses", "Domains", "By"),
        _range,
    ),
}
