"""The text of `auditor summary`: tables that fit 80 columns, plain where there is no terminal."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from auditor.cli.text import WIDTH, counted
from auditor.findings.catalogue import entry
from auditor.targets.quoting import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import RenderableType

    from auditor.views.summary import Summary

__all__ = ["as_text"]

_BAR: Final = 16
_MOST: Final = 100
#: Columns of a finding beside its code and title: count, severity, the gaps; targets.
_BESIDE_TITLE: Final = 11 + 8 + 3 * 2
_TARGETS: Final = 11 + 2
_STYLES: Final = {
    "pass": "bold green",
    "warn": "bold yellow",
    "unknown": "bold magenta",
    "fail": "bold red",
    "error": "bold red",
    "warning": "yellow",
    "notice": "cyan",
    "info": "dim",
}
_KINDS: Final = {"ip": "addresses", "domain": "domains", "invalid": "invalid"}
_SPF_HEADS: Final = {"softfail": "soft", "temperror": "temp", "permerror": "perm"}


def as_text(summary: Summary, top: int) -> str:
    """Return the summary for a person, with up to `top` rows a table."""
    data = summary.as_json(top)
    if not data["records"]:
        return "no records: there is nothing to count"
    terminal = sys.stdout is not None and sys.stdout.isatty()
    width = min(Console(file=sys.stdout).width, _MOST) if terminal else WIDTH
    parts: list[RenderableType] = [_verdicts(data)]
    parts += _findings(data["findings"], top, width)
    if data["kinds"]["ip"]["records"]:
        parts += [_lookups(data), *_prefixes(data["prefixes"]), *_domains(data["domains"])]
    if data["spf"]["domains"]:
        parts += _spf(data["spf"])
    console = Console(
        file=io.StringIO(),
        force_terminal=terminal,
        color_system="standard" if terminal else None,
        width=width,
        highlight=False,
        markup=False,
        emoji=False,
    )
    with console.capture() as captured:
        for part in parts:
            console.print(part)
    # Tables are padded to their width, which nobody wants in a file.
    return "\n".join(line.rstrip() for line in captured.get().splitlines()).rstrip()


def _table(*heads: str) -> Table:
    """Return a table whose first column is text and all others are figures."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    # It gives way where there is no room, figures never: they may not be wrapped.
    table.add_column(heads[0], overflow="ellipsis")
    for head in heads[1:]:
        table.add_column(head, justify="right", no_wrap=True)
    return table


def _text(text: str, style: str = "") -> Text:
    """Return text from a record, which may hold anything, as a cell."""
    return Text(printable(text), style=style)


def _share(part: int, whole: int) -> str:
    """Return a share in per cent; neither 0 nor 100 unless it is."""
    if part in (0, whole):
        return f"{100 if part else 0} %"
    percent = round(100 * part / whole)
    return {0: "<1 %", 100: ">99 %"}.get(percent, f"{percent} %")


def _bar(part: int, whole: int, style: str) -> Text:
    block = (
        "█" if (sys.stdout is not None and "utf" in (sys.stdout.encoding or "").lower()) else "#"
    )
    return Text(block * -(-_BAR * part // whole) if whole else "", style=style)


def _verdicts(data: Mapping[str, Any]) -> RenderableType:
    kinds = {kind: found for kind, found in data["kinds"].items() if found["records"]}
    total = data["records"]
    table = _table("verdict", "records", "share", "", *(_KINDS[kind] for kind in kinds))
    table.columns[3].justify = "left"
    table.columns[3].min_width = _BAR
    for verdict, count in data["verdicts"].items():
        style = _STYLES[verdict]
        cells = [f"{found['verdicts'][verdict]:,}" for found in kinds.values()]
        table.add_row(
            Text(verdict, style), f"{count:,}", _share(count, total), _bar(count, total, style),
            *cells,
        )  # fmt: skip
    table.add_row(
        "all", f"{total:,}", "", "", *(f"{found['records']:,}" for found in kinds.values())
    )
    return table


def _findings(findings: list[dict[str, Any]], top: int, width: int) -> list[RenderableType]:
    if not findings:
        return [Text(""), Text("No findings.")]
    # Mostly a target has one finding of a code, so that there is nothing to tell apart.
    several = any(found["count"] != found["targets"] for found in findings[:top])
    figures = ("count", "targets") if several else ("count",)
    table = _table("finding", *figures, "severity", "")
    table.columns[-2].justify = table.columns[-1].justify = "left"
    letters = max(len(printable(found["code"])) for found in findings[:top])
    room = width - letters - _BESIDE_TITLE - (_TARGETS if several else 0)
    for found in findings[:top]:
        style = _STYLES[found["severity"]]
        table.add_row(
            _text(found["code"], style),
            *(f"{found[figure]:,}" for figure in figures),
            Text(found["severity"], style),
            _title(found["code"], room),
        )
    parts: list[RenderableType] = [Text(""), table]
    more = len(findings) - top
    if more > 0:
        parts.append(Text(f"and {counted(more, 'more finding')}: --top {len(findings)} shows all"))
    return parts


def _title(code: str, room: int) -> str:
    try:
        title = entry(code).title
    except KeyError:
        return ""  # a newer version's
    return title if len(title) <= room else f"{title[: room - 1].rstrip()}…"


def _lookups(data: Mapping[str, Any]) -> RenderableType:
    both = Table.grid(padding=(0, 8, 0, 0))
    ptr, iprev = _table("PTR lookup", "addresses"), _table("forward confirmed", "addresses")
    for table, counts in ((ptr, data["ptr"]), (iprev, data["iprev"])):
        for status, count in counts.items():
            if count:
                table.add_row(_text(status), f"{count:,}")
    both.add_row(ptr, iprev)
    return Group(Text(""), both)


def _prefixes(prefixes: list[dict[str, Any]]) -> list[RenderableType]:
    parts = []
    for found in prefixes:
        if found["worst"]:
            parts += _worst(f"worst /{found['length']}", "prefix", found)
    return parts or [Text(""), Text("No prefix has a failing address.")]


def _domains(domains: dict[str, Any]) -> list[RenderableType]:
    if not domains["worst"]:
        return []
    return _worst("PTR names of domain", "domain", domains)


def _worst(title: str, key: str, found: Mapping[str, Any]) -> list[RenderableType]:
    table = _table(title, "addresses", "failing", "share", "")
    table.columns[4].justify = "left"
    for row in found["worst"]:
        failing, records = row["failing"], row["records"]
        table.add_row(
            _text(row[key]), f"{records:,}", f"{failing:,}", _share(failing, records),
            _bar(failing, records, _STYLES["fail"]),
        )  # fmt: skip
    return [Text(""), table, *_cut(found, "failing")]


def _spf(found: Mapping[str, Any]) -> list[RenderableType]:
    shown = [
        result
        for result in found["domains"][0]["results"]
        if any(row["results"][result] for row in found["domains"])
    ]
    table = _table(
        "SPF of domain", "identity", *(_SPF_HEADS.get(result, result) for result in shown)
    )
    table.columns[1].justify = "left"
    for row in found["domains"]:
        name = _text(row["domain"]) if row["domain"] else Text("(address)")
        results = (row["results"][result] for result in shown)
        table.add_row(
            name, row["identity"], *(_short(count) if count else "-" for count in results)
        )
    return [Text(""), table, *_cut(found, "counted")]


def _short(count: int) -> str:
    """Return a number in at most five characters: there are many in a row."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= 10 * size:
            return f"{count // size}{unit}"
    return f"{count:,}"


def _cut(found: Mapping[str, Any], what: str) -> Iterable[Text]:
    """Say so if there were more rows than fit."""
    if found["dropped"]:
        yield Text(
            f"Too many to keep all: {found['dropped']:,} of the lightest were let go, so a row"
            f" may lack up to {found['missed']:,} {what}."
        )
