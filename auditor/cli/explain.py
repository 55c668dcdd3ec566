"""`auditor explain`: the catalogue, for people."""

from __future__ import annotations

import click

from auditor.cli.text import paragraph, severity_style
from auditor.errors import UsageError
from auditor.findings.catalogue import ENTRIES, Entry, entry, nearest, zone_lines

__all__ = ["command"]


@click.command("explain", epilog="Example: auditor explain PTR_GENERIC")
@click.argument("code", required=False)
def command(code: str | None) -> None:
    """Say what a finding means, why receivers care, and what to do about it.

    Without a CODE, list all of them.
    """
    if code is None:
        for known in ENTRIES:
            severity = click.style(f"{known.severity:<8}", **severity_style(known.severity))
            click.echo(f"{known.code:<26} {severity} {known.title}")
        return
    try:
        _print_entry(entry(code.upper()))
    except KeyError:
        near = nearest(code.upper())
        hint = f"; did you mean {near}?" if near else ""
        raise UsageError(f"no finding is called {code!r}{hint}") from None


def _print_entry(found: Entry) -> None:
    kind = ", undetermined" if found.undetermined else ""
    severity = click.style(found.severity + kind, **severity_style(found.severity))
    click.echo(f"{click.style(found.code, bold=True)} ({severity})")
    click.echo(f"{found.title}\n")
    click.echo(f"Why\n{paragraph(found.why)}\n")
    click.echo(f"What to do\n{paragraph(found.remedy)}")
    lines = zone_lines(found.code)
    if lines:
        click.echo("\nTo publish")
        for line in lines:
            click.echo(f"    {line}")
    if found.references:
        click.echo(f"\nSee {', '.join(found.references)}")
