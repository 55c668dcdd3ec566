"""A record for a person: what the DNS said, what is wrong with it, and the remedy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from auditor.cli.text import counted, paragraph, severity_style, verdict_style
from auditor.findings.catalogue import entry, mending
from auditor.targets.quoting import printable
from auditor.wire.codes import SETTLED, type_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from auditor.checks.agreement import Said
    from auditor.output.record import Record
    from auditor.resolve.answer import Rdata

__all__ = ["describe"]

#: Where the text of a line of evidence begins, after its margin.
_COLUMN: Final = 7


def describe(record: Record, explained: set[str], said: Sequence[Said] = ()) -> Iterator[str]:
    """Yield the lines that explain a record.

    A finding whose code is in `explained` is only named; the codes of this record join it.
    `said`: what several servers answered; shown where they disagree.
    """
    verdict = record["verdict"]
    head = click.style(record["target"], bold=True)
    yield f"{head}  {click.style(verdict.upper(), **verdict_style(verdict))}"
    if record["error"]:
        yield paragraph(record["error"], hanging=2)
    else:
        yield ""
        yield "  Evidence"
    if record["ptr"] is not None and record["iprev"] is not None:
        yield from _address(4, record["ptr"], record["iprev"])
    for spf in record["spf"]:
        yield from _spf(spf)
    if record["domain"] is not None:
        yield from _domain(record["domain"])
    for one in said:
        if one.differs:
            yield from _disagreement(one)
    yield ""
    if not record["findings"]:
        yield "  Nothing to mend."
    for number, finding in enumerate(record["findings"]):
        if number:
            yield ""
        yield from _finding(finding, record, explained)


def _fact(margin: int, label: str, text: str) -> str:
    return paragraph(f"{label:<{_COLUMN}}{text}", margin, hanging=_COLUMN)


def _address(margin: int, ptr: dict[str, Any], iprev: dict[str, Any]) -> Iterator[str]:
    via = f" (via {', '.join(ptr['chain'])})" if ptr["chain"] else ""
    # Unread is not absent.
    names = ", ".join(ptr["names"]) or ("no name" if ptr["status"] in SETTLED else "not known")
    yield _fact(margin, "PTR", f"{ptr['status']}: {names}{via}")
    yield _fact(margin, "iprev", iprev["result"])
    for name in iprev["names"]:
        found = ", ".join(name["addresses"]) or name["status"]
        back = "points back" if name["confirms"] else "does not point back"
        yield paragraph(f"{name['name']} -> {found}: {back}", margin + _COLUMN, hanging=2)


def _spf(spf: dict[str, Any]) -> Iterator[str]:
    by = f" by {spf['mechanism']}" if spf["mechanism"] else ""
    cost = f" ({counted(spf['lookups'], 'lookup')}, {spf['voids']} void)" if spf["record"] else ""
    said = f"{spf['identity']} {spf['domain']}: {spf['result']}{by}{cost}"
    yield _fact(4, "SPF", said)
    for text in (spf["record"], spf["explanation"]):
        if text:
            yield paragraph(text, 4 + _COLUMN, hanging=2)


def _domain(domain: dict[str, Any]) -> Iterator[str]:
    yield _fact(4, "A/AAAA", domain["addresses"]["status"])
    for address in domain["addresses"]["list"]:
        yield f"      {address['address']}"
        yield from _address(8, address["ptr"], address["iprev"])
    yield _fact(4, "MX", domain["mx"]["status"])
    for host in domain["mx"]["hosts"]:
        yield f"      {host['preference']} {host['name']}: {host['status']}"
        for address in host["addresses"]:
            yield f"        {address['address']}"
            yield from _address(10, address["ptr"], address["iprev"])
    spf = domain["spf"]
    yield _fact(4, "SPF", spf["record"] or f"{spf['status']}: no single SPF record")


def _disagreement(said: Said) -> Iterator[str]:
    name, rdtype = said.question
    yield _fact(4, "Differ", f"{name} {type_name(rdtype)}")
    for server, answer in said.answers.items():
        records = ", ".join(map(_shown, answer.records))
        text = f"{server} -> {answer.status}" + (f": {records}" if records else "")
        yield paragraph(text, 4 + _COLUMN, hanging=2)


def _shown(record: Rdata) -> str:
    """Return a record as it is shown: an address, a name, an MX, or the texts of a TXT."""
    if not isinstance(record, tuple):
        return str(record)
    parts = [part.decode("latin-1") if isinstance(part, bytes) else str(part) for part in record]
    return printable(("" if isinstance(record[0], bytes) else " ").join(parts))


def _finding(finding: dict[str, str], record: Record, explained: set[str]) -> Iterator[str]:
    code, severity, subject = finding["code"], finding["severity"], finding["subject"]
    known = entry(code)
    shown = click.style(severity, **severity_style(severity))
    yield f"  {click.style(code, bold=True)} {shown}: {subject}"
    if code in explained:
        yield paragraph(f"{known.title} (explained above).", 4)
    else:
        explained.add(code)
        yield paragraph(f"{known.title}.", 4)
        yield paragraph(f"Why it matters: {known.why}", 4)
        yield paragraph(f"Remedy: {known.remedy}", 4)
    lines = mending(code, subject, kind=record["kind"], target=record["target"])
    if lines:
        yield "    To publish:"
    for line in lines:
        yield f"      {line}"
