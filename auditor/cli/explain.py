"""`auditor explain`: a finding of the catalogue, or what a bounce means, for people."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from auditor.cli.console import print_data, print_json
from auditor.cli.formatting import paragraph, severity_style
from auditor.cli.receivers_options import receivers_file
from auditor.errors import InputError, UsageError
from auditor.findings.catalogue import ENTRIES, entry, nearest, zone_lines
from auditor.quoting import printable, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from auditor.findings.bounces import Diagnosis
    from auditor.findings.entry import Entry

__all__ = ["command"]

#: Characters of a reply that are repeated.
_REPLY_SHOWN_CHARACTERS: Final = 300
#: Prefixes of the codes of findings about domains.
_OF_DOMAINS: Final = frozenset({"ADDRESS", "MX"})


@click.command("explain", epilog="Example: auditor explain PTR_GENERIC")
@click.argument("code_or_text", nargs=-1)
@click.option(
    "-i",
    "--input",
    "source",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Read a bounce from a file.",
)
@receivers_file
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    code_or_text: tuple[str, ...],
    *,
    source: Path | None,
    receivers_file: Path | None,
    as_json: bool,
) -> None:
    """Explain a finding or a bounce: what it means, why receivers care, and what to do.

    CODE_OR_TEXT is a finding (PTR_GENERIC), an enhanced status code (5.7.25), the text of an
    SMTP reply or a line of a log; `-` reads a whole bounce from standard input. Without any,
    list all findings with their severities.
    """
    if source is not None and code_or_text:
        raise UsageError("give either a text or --input, not both")
    if source is not None:
        _explain_bounce(_file_text(source), str(source), receivers_file, as_json=as_json)
    elif code_or_text == ("-",):
        from auditor.findings.bounces import BOUNCE_LIMIT_OCTETS  # noqa: PLC0415 - only here

        octets = sys.stdin.buffer.read(BOUNCE_LIMIT_OCTETS)
        text = octets.decode("utf-8", "replace")
        _explain_bounce(text, "standard input", receivers_file, as_json=as_json)
    elif code_or_text:
        _explain(" ".join(code_or_text), receivers_file, as_json=as_json)
    elif as_json:
        print_json([_entry_data(known) for known in ENTRIES])
    else:
        for known in ENTRIES:
            print_data(_line(known))


def _explain(text: str, own: Path | None, *, as_json: bool) -> None:
    try:
        known = entry(text.strip().upper())
    except KeyError:
        _explain_bounce(text, "", own, as_json=as_json)
        return
    if as_json:
        print_json(_entry_data(known))
    else:
        print_data(_page(known))


def _explain_bounce(text: str, where: str, own: Path | None, *, as_json: bool) -> None:
    from auditor.findings.bounces import diagnose  # noqa: PLC0415 - only for bounces
    from auditor.findings.receivers import receivers  # noqa: PLC0415 - the same

    known = receivers(own)
    diagnosis = diagnose(text, known)
    if diagnosis is None:
        if where:
            raise InputError(f"{printable(where)}: found no SMTP reply that auditor knows")
        if " " in text.strip():
            raise UsageError(f"{quoted(text)} is no SMTP reply that auditor knows")
        near = nearest(text)
        hint = f", did you mean {near}?" if near else "; `auditor explain` lists them"
        raise UsageError(f"no finding is called {quoted(text)}{hint}")
    if as_json:
        data = {**diagnosis._asdict(), "next": list(_next_commands(diagnosis))}
        print_json(data)
    else:
        names = [known[key].name for key in diagnosis.receivers]
        print_data("\n\n".join(_diagnosis_parts(diagnosis, names)))


def _file_text(source: Path) -> str:
    from auditor.findings.bounces import BOUNCE_LIMIT_OCTETS  # noqa: PLC0415 - only for bounces

    try:
        with source.open("rb") as file:
            return file.read(BOUNCE_LIMIT_OCTETS).decode("utf-8", "replace")
    except OSError as error:
        raise InputError(f"{printable(str(source))}: cannot be read: {error.strerror}") from None


def _line(known: Entry) -> str:
    head = f"{known.code:<26} {known.severity:<8}"
    text = paragraph(f"{head} {known.title}", 0, hanging=len(head) + 1)
    severity = click.style(f"{known.severity:<8}", **severity_style(known.severity))
    return f"{known.code:<26} {severity}{text[len(head) :]}"


def _page(known: Entry) -> str:
    kind = ", undetermined" if known.undetermined else ""
    severity = click.style(known.severity + kind, **severity_style(known.severity))
    parts = [
        f"{click.style(known.code, bold=True)} ({severity})\n{paragraph(known.title, 0)}",
        f"Why it matters\n{paragraph(known.why)}",
        f"What to do\n{paragraph(known.remedy)}",
    ]
    lines = zone_lines(known.code)
    if lines:
        parts.append("What to publish looks like\n" + "\n".join(f"  ; {line}" for line in lines))
    if known.references:
        parts.append(paragraph(f"See {', '.join(known.references)}", 0, hanging=4))
    return "\n\n".join(parts)


def _diagnosis_parts(diagnosis: Diagnosis, receivers: Sequence[str]) -> Iterator[str]:
    reference = f" ({diagnosis.reference})" if diagnosis.reference else ""
    head = click.style(diagnosis.code or "SMTP reply", bold=True)
    yield f"{head}\n{paragraph(f'{diagnosis.title}{reference}', 0)}"
    if diagnosis.reply not in {"", diagnosis.code}:
        yield "The reply\n" + paragraph(printable(diagnosis.reply, _REPLY_SHOWN_CHARACTERS))
    if diagnosis.findings:
        yield "Findings that cause it\n" + "\n".join(
            paragraph(f"{code:<22} {entry(code).title}", 2, hanging=23)
            for code in diagnosis.findings
        )
    else:
        yield paragraph("It has to do with neither the PTR record nor SPF.", 0)
    if receivers:
        yield "Receivers that answer so\n" + paragraph("; ".join(receivers))
    if commands := list(_next_commands(diagnosis)):
        yield "Next\n" + "\n".join(f"  {command}" for command in commands)


def _next_commands(diagnosis: Diagnosis) -> Iterator[str]:
    if not diagnosis.findings:
        return
    groups = {code.partition("_")[0] for code in diagnosis.findings}
    address, domain = diagnosis.address, diagnosis.domain
    spf, of_domain = "SPF" in groups, not groups.isdisjoint(_OF_DOMAINS)
    identities = f" --mail-from {domain}" if domain and spf else ""
    identities += f" --helo {diagnosis.helo}" if diagnosis.helo and "HELO" in groups else ""
    if domain and of_domain:
        yield f"auditor check {domain}"
    if address and not groups <= _OF_DOMAINS:
        yield f"auditor check{identities} {address}"
    if domain and spf:
        yield f"auditor spf {domain}" + (f" --ip {address}" if address else "")
    if of_domain and not domain and not spf:
        yield "auditor check DOMAIN    (the text names no sender)"
    elif not address and not (domain and (spf or of_domain)):
        yield f"auditor check{identities} ADDRESS    (the text names no sending address)"


def _entry_data(known: Entry) -> dict[str, Any]:
    return {
        "code": known.code,
        "severity": known.severity,
        "undetermined": known.undetermined,
        "title": known.title,
        "why": known.why,
        "remedy": known.remedy,
        "references": list(known.references),
        "zone_lines": list(zone_lines(known.code)),
    }
