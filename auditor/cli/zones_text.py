"""Text of `auditor zones`: delegation and servers of a zone, its problems, and who can fix them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from auditor.cli.formatting import counted, paragraph, severity_style
from auditor.findings.catalogue import entry, zone_lines
from auditor.resolve.direct import NO_ROUTE, NOT_ASKED

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["describe_zone"]

_WHO: Final = {
    "rir": "the registry (RIR or domain registry), in the parent zone",
    "isp": "the provider that holds the address block",
    "customer": "the holder of the zone",
}


def describe_zone(line: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines that explain a zone, from its line of zone facts."""
    yield f"{click.style(line['zone'], bold=True)}  {counted(line['addresses'], 'target')}"
    yield paragraph(f"below {line['parent'] or 'a zone that is not known'}")
    for row in line["parent_servers"]:
        delegation = f"delegates to {', '.join(row['ns'])}" if row["ns"] else row["status"]
        yield paragraph(f"{_place(row)}: {delegation}", 4, hanging=2)
    yield paragraph("served by" if line["servers"] else "no name servers")
    for row in line["servers"]:
        yield paragraph(f"{_place(row)}: {_said(row)}", 4, hanging=2)
    if line["contact"] and not line["findings"]:
        yield paragraph(f"contact {line['contact']}")
    if not line["findings"]:
        asked = any(row["status"] != NOT_ASKED for row in line["servers"])
        yield f"  No problems {'found' if asked else 'looked for: no server was asked'}."
        return
    for finding in line["findings"]:
        known = entry(finding["code"])
        style = severity_style(finding["severity"])
        yield ""
        code = click.style(finding["code"], **style)
        yield f"  {code} {finding['severity']}: {finding['subject']}"
        yield paragraph(f"{known.title}. {known.why}", 4)
        yield paragraph(f"Remedy: {known.remedy}", 4)
        for text in _lines(finding, line):
            yield f"      {text}"
    yield ""
    contact = f"; write to {line['contact']}" if line["contact"] else ""
    yield paragraph(f"Can be fixed by {_WHO[line['mends']]}{contact}.")


def _place(row: Mapping[str, Any]) -> str:
    return f"{row['name']} {row['address'] or '(no address)'}"


def _said(row: Mapping[str, Any]) -> str:
    status: str = row["status"]
    if row["serial"] is not None and row["aa"]:
        alone = f", {counted(len(row['only']), 'PTR record')} of its own" if row["only"] else ""
        return f"serial {row['serial']}{alone}"
    if status == "NOERROR" and row["address"] is not None:
        return "not authoritative"
    return {NO_ROUTE: "no route to it from here", NOT_ASKED: "not asked"}.get(status, status)


def _lines(finding: Mapping[str, str], line: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the lines to publish, filled in with the servers that are known.

    The NS records of the zone itself go into its parent; without any, those of the parent.
    """
    code, subject = finding["code"], finding["subject"]
    names = {name for row in line["servers"] for name in row["ns"]}
    names = names or {name for row in line["parent_servers"] for name in row["ns"]}
    if entry(code).subject != "zone" or not names:
        return zone_lines(code, subject=subject)
    made = [zone_lines(code, zone=subject, server=name) for name in sorted(names)]
    return tuple(text for lines in made for text in lines)
