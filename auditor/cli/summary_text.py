"""The text of `auditor summary`: tables that fit 80 columns, plain where there is no terminal."""

from __future__ import annotations

import io
import sys
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from auditor.cli.formatting import counted, text_width
from auditor.cli.summary_blocks import empty_lines, fault_rows, in_use_line, template_rows
from auditor.findings.catalogue import entry
from auditor.findings.judge import VERDICTS
from auditor.quoting import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from rich.console import RenderableType

    from auditor.views.summary.summary import Summary

__all__ = ["as_text"]

_BAR_COLUMNS: Final = 16
#: Rows of a table by default: of findings, and of others.
_MOST_FINDINGS: Final = 10
_FEW_ROWS: Final = 3
#: Columns where there is no terminal: as many as the longest name takes.
_UNBOUNDED_COLUMNS: Final = 1_000
#: Columns of a finding beside its code and title: count, severity, the gaps; targets.
_COLUMNS_BESIDE_TITLE: Final = 11 + 8 + 3 * 2
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
_EFFECT_HEADS: Final = {
    "refuse": "refused",
    "defer": "deferred",
    "junk": "spam",
    "score": "counted",
    "depends": "depends",
}
_SPF_HEADS: Final = {"softfail": "soft", "temperror": "temp", "permerror": "perm"}


def as_text(summary: Summary, top: int | None) -> str:
    """Return the summary for a person, with up to `top` rows a table.

    Without it as many as fit a large scan on one screen.
    """
    by = None if summary.labels is None else summary.labels.as_json(top or _MOST_FINDINGS)
    findings_top, top = top or _MOST_FINDINGS, top or _FEW_ROWS
    data = {**summary.as_json(top), "by": by}
    if not data["records"]:
        return "no records: there is nothing to count"
    terminal = sys.stdout is not None and sys.stdout.isatty()
    width = text_width() if terminal else _UNBOUNDED_COLUMNS
    parts: list[RenderableType] = [_verdicts(data)]
    if data["kinds"]["ip"]["records"]:
        parts.append(Text(in_use_line(data["in_use"])))
    parts += _findings(data["findings"], findings_top, width)
    if data["kinds"]["ip"]["records"]:
        parts += [_lookups(data), *_blocks(data, top), *_prefixes(data["prefixes"])]
        parts += _domains(data["domains"])
    if data["by"] is not None:
        parts += _labels(data["by"])
    if data["spf"]["domains"]:
        parts += _spf(data["spf"])
    if data["receivers"] is not None:
        parts += _receivers(data["receivers"])
    if data["zones"] is not None:
        parts += _zones(data["zones"])
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
    # Tables are padded to their width, which is of no use in a file.
    return "\n".join(line.rstrip() for line in captured.get().splitlines()).rstrip()


def _table(*heads: str) -> Table:
    """Return a table whose first column is text and all others are figures."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    # It is cut where there is no room, figures never: they may not be wrapped.
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
    return Text(block * -(-_BAR_COLUMNS * part // whole) if whole else "", style=style)


def _verdicts(data: Mapping[str, Any]) -> RenderableType:
    kinds = {kind: counts for kind, counts in data["kinds"].items() if counts["records"]}
    total = data["records"]
    table = _table("verdict", "records", "share", "", *(_KINDS[kind] for kind in kinds))
    table.columns[3].justify = "left"
    table.columns[3].min_width = _BAR_COLUMNS
    for verdict, count in data["verdicts"].items():
        style = _STYLES[verdict]
        cells = [f"{counts['verdicts'][verdict]:,}" for counts in kinds.values()]
        table.add_row(
            Text(verdict, style), f"{count:,}", _share(count, total), _bar(count, total, style),
            *cells,
        )  # fmt: skip
    table.add_row(
        "all", f"{total:,}", "", "", *(f"{counts['records']:,}" for counts in kinds.values())
    )
    return table


def _findings(findings: list[dict[str, Any]], top: int, width: int) -> list[RenderableType]:
    if not findings:
        return [Text(""), Text("No findings.")]
    # A target mostly has one finding of a code, so that both counts are the same.
    several = any(finding["count"] != finding["targets"] for finding in findings[:top])
    figures = ("count", "targets") if several else ("count",)
    table = _table("finding", *figures, "severity", "")
    table.columns[-2].justify = table.columns[-1].justify = "left"
    letters = max(len(printable(finding["code"])) for finding in findings[:top])
    room = width - letters - _COLUMNS_BESIDE_TITLE - (_TARGETS if several else 0)
    for finding in findings[:top]:
        style = _STYLES[finding["severity"]]
        table.add_row(
            _text(finding["code"], style),
            *(f"{finding[figure]:,}" for figure in figures),
            Text(finding["severity"], style),
            _title(finding["code"], room),
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


def _labels(labels: Mapping[str, Any]) -> list[RenderableType]:
    """Return the counts by the values of a label, and the most frequent finding of each."""
    table = _table(printable(f"by {labels['label']}"), "records", *VERDICTS, "mostly")
    table.columns[-1].justify = "left"
    rows = [(row["value"], row) for row in labels["values"]]
    if labels["others"]["records"]:
        rows.append(("(others)", labels["others"]))
    for value, row in rows:
        counts = (f"{row['verdicts'][verdict]:,}" for verdict in VERDICTS)
        mostly = row["findings"][0] if row["findings"] else None
        table.add_row(
            Text("(none)") if value is None else _text(value),
            f"{row['records']:,}",
            *counts,
            _text(f"{mostly['code']} {mostly['targets']:,}") if mostly else "",
        )
    more = labels["rows"] - len(labels["values"])
    notes = [Text(f"and {more:,} more: --top {labels['rows']} shows all")] if more else []
    return [Text(""), table, *notes]


def _lookups(data: Mapping[str, Any]) -> RenderableType:
    both = Table.grid(padding=(0, 8, 0, 0))
    ptr, iprev = _table("PTR lookup", "addresses"), _table("forward confirmed", "addresses")
    for table, counts in ((ptr, data["ptr"]), (iprev, data["iprev"])):
        for status, count in counts.items():
            if count:
                table.add_row(_text(status), f"{count:,}")
    both.add_row(ptr, iprev)
    return Group(Text(""), both)


def _blocks(data: Mapping[str, Any], top: int) -> list[RenderableType]:
    """Return the tables about whole prefixes: faults, naming templates, empty /24s."""
    parts: list[RenderableType] = []
    if rows := list(fault_rows(data["faults"]))[: top + _FEW_ROWS]:
        table = _table("fault of whole", "prefixes", "addresses")
        table.columns[0].no_wrap, table.columns[1].no_wrap = True, False
        table.columns[1].justify = "left"
        for code, severity, prefixes, addresses in rows:
            table.add_row(Text(code, _STYLES[severity]), prefixes, addresses)
        parts += [Text(""), table]
    if rows := list(template_rows(data["naming"], top)):
        table = _table("PTR names by template", "addresses", "", "")
        table.columns[2].justify = table.columns[3].justify = "left"
        for row in rows:
            table.add_row(*map(Text, row))
        parts += [Text(""), table]
        if generic := data["naming"]["generic"]:
            parts.append(Text(f"generic by their neighbours, beside PTR_GENERIC: {generic:,}"))
    if lines := empty_lines(data["empty"]):
        parts += [Text(""), *(Text(line, no_wrap=True) for line in lines)]
    if data["beyond"]:
        parts.append(Text(f"Too many prefixes: {data['beyond']:,} addresses were not looked at."))
    return parts


def _prefixes(prefixes: list[dict[str, Any]]) -> list[RenderableType]:
    parts: list[RenderableType] = []
    for level in prefixes:
        if level["worst_in_use"]:
            rows = [
                {
                    "prefix": row["prefix"],
                    "records": row["in_use"],
                    "failing": row["failing_in_use"],
                }
                for row in level["worst_in_use"]
            ]
            title = f"worst /{level['length']} of those in use"
            parts += _worst(title, "prefix", {**level, "worst": rows})
    return parts or [Text(""), Text("No address in use fails.")]


def _domains(domains: dict[str, Any]) -> list[RenderableType]:
    if not domains["worst"]:
        return []
    return _worst("PTR names of domain", "domain", domains)


def _worst(title: str, key: str, worst: Mapping[str, Any]) -> list[RenderableType]:
    table = _table(title, "addresses", "failing", "share", "")
    table.columns[4].justify = "left"
    for row in worst["worst"]:
        failing, records = row["failing"], row["records"]
        table.add_row(
            _text(row[key]), f"{records:,}", f"{failing:,}", _share(failing, records),
            _bar(failing, records, _STYLES["fail"]),
        )  # fmt: skip
    return [Text(""), table, *_cut(worst, "failing")]


def _spf(spf: Mapping[str, Any]) -> list[RenderableType]:
    shown = [
        result
        for result in spf["domains"][0]["results"]
        if any(row["results"][result] for row in spf["domains"])
    ]
    table = _table(
        "SPF of domain", "identity", *(_SPF_HEADS.get(result, result) for result in shown)
    )
    table.columns[1].justify = "left"
    for row in spf["domains"]:
        name = _text(row["domain"]) if row["domain"] else Text("(address)")
        results = (row["results"][result] for result in shown)
        table.add_row(
            name, row["identity"], *(_short(count) if count else "-" for count in results)
        )
    return [Text(""), table, *_cut(spf, "counted")]


def _receivers(receivers: Mapping[str, Any]) -> list[RenderableType]:
    """Return what receivers do, as published; receivers without a rule that applies are counted."""
    table = _table("receiver, as published", *_EFFECT_HEADS.values())
    shown = [row for row in receivers["receivers"] if any(row[effect] for effect in _EFFECT_HEADS)]
    for row in shown:
        counts = (f"{row[effect]:,}" if row[effect] else "-" for effect in _EFFECT_HEADS)
        table.add_row(_text(row["name"]), *counts)
    legend = "depends: on DKIM, the sender's volume or a setting of the operator"
    return [Text(""), table, Text(f"of {receivers['addresses']:,} addresses; {legend}")]


def _zones(zones_data: Mapping[str, Any]) -> list[RenderableType]:
    if not zones_data["findings"]:
        return [Text(""), Text(f"{counted(zones_data['zones'], 'zone')}: no findings about them.")]
    table = _table("fault of zones", "targets", "zones", "severity", "can fix it", "")
    for column in table.columns[3:]:
        column.justify = "left"
    for fault in zones_data["findings"]:
        style = _STYLES[fault["severity"]]
        table.add_row(
            _text(fault["code"], style),
            f"{fault['addresses']:,}",
            f"{fault['zones']:,}",
            Text(fault["severity"], style),
            _text(", ".join(party for party, zones in fault["mends"].items() if zones)),
            _text(fault["subject"]),
        )
    more = zones_data["rows"] - len(zones_data["findings"])
    more_lines = [Text(f"and {more:,} more: --top {zones_data['rows']} shows all")] if more else []
    return [Text(""), table, *more_lines, *_cut(zones_data, "targets")]


def _short(count: int) -> str:
    """Return a number in at most five characters: there are many in a row."""
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= 10 * size:
            return f"{count // size}{unit}"
    return f"{count:,}"


def _cut(table: Mapping[str, Any], noun: str) -> Iterable[Text]:
    """Yield a line if there were more rows than fit."""
    if table["dropped"]:
        yield Text(
            f"Too many to keep all: {table['dropped']:,} of the smallest were dropped, so a row"
            f" may lack up to {table['missed']:,} {noun}."
        )
