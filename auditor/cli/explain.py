"""`auditor explain`: the catalogue, for people."""

from __future__ import annotations

import click

from auditor.cli.streams import put
from auditor.cli.text import paragraph, severity_style
from auditor.errors import UsageError
from auditor.findings.catalogue import ENTRIES, Entry, entry, nearest, zone_lines
from auditor.targets.quoting import quoted

__all__ = ["command"]


@click.command("explain", epilog="Example: auditor explain PTR_GENERIC")
@click.argument("code", required=False)
def command(code: str | None) -> None:
    """Say what a finding means, why receivers care, and what to do about it.

    Without a CODE, list all of them with their severities.
    """
    if code is None:
        for known in ENTRIES:
            put(_line(known))
        return
    try:
        found = entry(code.upper())
    except KeyError:
        near = nearest(code)
        hint = f", did you mean {near}?" if near else "; `auditor explain` lists them"
        raise UsageError(f"no finding is called {quoted(code)}{hint}") from None
    put(_page(found))


def _line(found: Entry) -> str:
    head = f"{found.code:<26} {found.severity:<8}"
    text = paragraph(f"{head} {found.title}", 0, hanging=len(head) + 1)
    severity = click.style(f"{found.severity:<8}", **severity_style(found.severity))
    return f"{found.code:<26} {severity}{text[len(head) :]}"


def _page(found: Entry) -> str:
    kind = ", undetermined" if found.undetermined else ""
    severity = click.style(found.severity + kind, **severity_style(found.severity))
    parts = [
        f"{click.style(found.code, bold=True)} ({severity})\n{paragraph(found.title, 0)}",
        f"Why it matters\n{paragraph(found.why)}",
        f"What to do\n{paragraph(found.remedy)}",
    ]
    lines = zone_lines(found.code)
    if lines:
        parts.append("To publish\n" + "\n".join(f"  {line}" for line in lines))
    if found.references:
        parts.append(paragraph(f"See {', '.join(found.references)}", 0, hanging=4))
    return "\n\n".join(parts)
