"""The text of `auditor senders`: who authorises what, and what is wrong with it."""

from __future__ import annotations

from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final

import click

from auditor.cli.formatting import amount, counted, severity_style
from auditor.cli.text_table import text_table
from auditor.quoting import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

__all__ = ["as_text"]

#: Domains, and hosts, that a row lists.
_MAX_NAMED: Final = 3
_MAX_SHOWN_CHARACTERS: Final = 300  # characters of a name or a term
_PTR: Final = {
    "named": "with PTR names",
    "generic": "with generic PTR names",
    "missing": "without a PTR",
    "undetermined": "whose PTR could not be looked up",
    "not_audited": "in no results",
}
_FAULTS: Final = {
    "without_ptr": "Authorised without a PTR",
    "generic_ptr": "Authorised with a generic PTR",
}


def as_text(data: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines for a person, made of `SenderSummary.as_json`."""
    yield from _totals(data["totals"])
    yield from _domains(data["world"], "Authorise every address", "error", _world)
    yield from _domains(data["errors"], "End in an error", "error", _errors)
    yield from _domains(data["undetermined"], "Not resolved to ranges", "warning", _unclear)
    yield from _includes(data["includes"])
    yield from _ranges(data["ranges"], "Authorised")
    yield from _ranges(data["outside"], "Authorised outside --mine")
    for kind, title in _FAULTS.items():
        yield from _hosts(data[kind], kind, title)
    yield from _unauthorised(data["unauthorised"])


def _totals(totals: Mapping[str, Any]) -> Iterator[str]:
    domains = totals["domains"]
    broken = domains["permerror"] + domains["temperror"]
    parts = [f"{domains['policy']:,} with an SPF policy", f"{domains['none']:,} without"]
    parts += [f"{broken:,} with none that can be read"] if broken else []
    yield f"{click.style(counted(domains['all'], 'domain'), bold=True)}: {', '.join(parts)}"
    results = [f"{result} {count:,}" for result, count in totals["otherwise"].items() if count]
    if results:
        yield f"  result for most addresses: {', '.join(results)}"
    ranges = counted(totals["ranges"], "range")
    yield f"  authorised: {_both(totals)} addresses in {ranges}"
    if totals["outside"] is not None:
        yield f"  outside --mine: {_both(totals['outside'])} addresses"
    if totals["hosts"] is not None:
        authorised, nobody = totals["hosts"]["authorised"], totals["hosts"]["unauthorised"]
        yield f"  hosts: {authorised:,} authorised, {nobody:,} by nobody"


def _domains(
    ranking: Mapping[str, Any],
    title: str,
    severity: str,
    describe: Callable[[Mapping[str, Any]], Iterable[str]],
) -> Iterator[str]:
    """Yield the domains of a ranking, each with its description."""
    if not ranking["rows"]:
        return
    yield from _head(title, ranking["rows"], severity)
    for line in ranking["first"]:
        yield f"  {_shown(line['domain'])}"
        texts = list(describe(line))
        yield from (f"    {text}" for text in texts[:_MAX_NAMED])
        if len(texts) > _MAX_NAMED:
            yield f"    and {len(texts) - _MAX_NAMED:,} more"
    yield from _cut(ranking)


def _world(line: Mapping[str, Any]) -> Iterator[str]:
    return (_way(way) for way in line["world"])


def _errors(line: Mapping[str, Any]) -> Iterator[str]:
    if line["status"] != "policy":
        yield f"{line['status']}: {_shown(line['explanation'] or '')}"
    for error in line["errors"]:
        yield f"{error['result']} at {_way(error)}: {_shown(error['why'])}"


def _unclear(line: Mapping[str, Any]) -> Iterator[str]:
    return (f"{_way(way)}: {_shown(way['why'])}" for way in line["undetermined"])


def _includes(ranking: Mapping[str, Any]) -> Iterator[str]:
    if not ranking["rows"]:
        return
    has_mine = ranking["first"][0]["outside"] is not None
    heads = ["included policy", "domains", "addresses", *(["outside --mine"] if has_mine else [])]
    rows = [
        [
            _shown(line["include"]),
            f"{line['domains']:,}",
            _both(line),
            *([_both(line["outside"])] if has_mine else []),
        ]
        for line in ranking["first"]
    ]
    yield ""
    yield from text_table(heads, rows, right=len(heads) - 1)
    yield from _cut(ranking)


def _ranges(ranking: Mapping[str, Any], title: str) -> Iterator[str]:
    if not ranking["rows"]:
        return
    yield from _head(title, ranking["rows"], None)
    rows = ranking["first"]
    if len(rows) == ranking["rows"]:
        rows = sorted(rows, key=_place)
    for line in rows:
        yield f"  {line['range']}  {counted(line['domains'], 'domain')}"
        for way in line["ways"][:_MAX_NAMED]:
            yield f"    {_named(way['domains'], way['count'])}: {_way(way)}"
        if len(line["ways"]) > _MAX_NAMED:
            yield f"    and {counted(len(line['ways']) - _MAX_NAMED, 'more way')}"
    yield from _cut(ranking)


def _hosts(ranking: Mapping[str, Any], kind: str, title: str) -> Iterator[str]:
    """Yield the ranges with hosts that are authorised and have something wrong."""
    if not ranking["rows"]:
        return
    yield from _head(title, ranking["rows"], "warning")
    for line in ranking["first"]:
        hosts = line["hosts"][kind]
        domains = [name for way in line["ways"] for name in way["domains"]]
        some = _named(hosts["first"], hosts["count"])
        yield f"  {line['range']}  {some}  by {_named(sorted(domains), line['domains'])}"
    yield from _cut(ranking)


def _unauthorised(ranking: Mapping[str, Any]) -> Iterator[str]:
    if not ranking["rows"]:
        return
    yield from _head("Hosts that nobody authorises", ranking["rows"], "warning")
    rows = ranking["first"]
    if len(rows) == ranking["rows"]:
        rows = sorted(rows, key=_place)
    for line in rows:
        yield f"  {line['range']}  {counted(line['hosts'], 'host')} {_PTR[line['ptr']]}"
    yield from _cut(ranking)


def _head(title: str, number: int, severity: str | None) -> Iterator[str]:
    style = severity_style(severity) if severity else {"bold": True}
    yield ""
    yield f"{click.style(title, **style)} ({number:,})"


def _cut(ranking: Mapping[str, Any]) -> Iterator[str]:
    more = ranking["rows"] - len(ranking["first"])
    if more:
        yield f"  and {more:,} more: --top {ranking['rows']} or --json shows all"


def _way(way: Mapping[str, Any]) -> str:
    """Return the terms that lead to a range, and the domain of the last one."""
    terms = [way["term"], *(term["term"] for term in way["through"])]
    texts = [_shown(term) if term else "its end" for term in terms]
    return " > ".join(texts)


def _named(names: Sequence[str], number: int) -> str:
    shown = [_shown(name) for name in names[:_MAX_NAMED]]
    more = number - len(shown)
    return ", ".join(shown) + (f" and {more:,} more" if more else "")


def _both(numbers: Mapping[str, Any]) -> str:
    """Return numbers of IPv4 and IPv6 addresses."""
    parts = [
        f"{amount(int(numbers[key]))} {name}"
        for key, name in (("ipv4", "IPv4"), ("ipv6", "IPv6"))
        if numbers[key]
    ]
    return " and ".join(parts) or "no"


def _place(line: Mapping[str, Any]) -> tuple[int, int]:
    address = ip_address(line["first"])
    return address.version, int(address)


def _shown(text: str) -> str:
    return printable(text, _MAX_SHOWN_CHARACTERS)
