"""`auditor receivers`: what mail receivers have published about the DNS of a sending address."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from auditor.cli.check_receivers import effect_text
from auditor.cli.console import print_data, print_json
from auditor.cli.formatting import paragraph
from auditor.cli.receivers_options import receivers_file
from auditor.findings.receivers import FACTS, rule_data, select_receivers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from auditor.findings.receivers import Receiver, Rule

__all__ = ["command"]


@click.command("receivers", epilog="Example: auditor receivers gmail")
@click.argument("name", nargs=-1)
@receivers_file
@click.option("--json", "as_json", is_flag=True, help="Print the rules as JSON.")
def command(name: tuple[str, ...], *, receivers_file: Path | None, as_json: bool) -> None:
    """Show the rules that mail receivers have published, each with source and date.

    Without a NAME, all of them. A rule says what a receiver does where facts about an address
    hold; `auditor check` applies them.
    """
    chosen = select_receivers(",".join(name).split(","), receivers_file)
    if as_json:
        print_json([_data(receiver) for receiver in chosen])
        return
    for number, receiver in enumerate(chosen):
        if number:
            print_data()
        for line in _page(receiver):
            print_data(line)


def _page(receiver: Receiver) -> Iterator[str]:
    yield f"{click.style(receiver.key, bold=True)}  {receiver.name}"
    for rule in receiver.rules:
        facts = " and ".join(FACTS[fact] for fact in FACTS if fact in rule.when)
        yield paragraph(f"{facts}: {effect_text(rule)}", 2, hanging=2)
    sources = dict.fromkeys((rule.source, _published(rule)) for rule in receiver.rules)
    for source, published in sources:
        yield paragraph(f"{published}: {source}", 2, hanging=2)


def _published(rule: Rule) -> str:
    """Return when a rule was published and how reliable that is: `published 2025-06`."""
    how = "published" if rule.sure == "read" else "quoted by others, published"
    return f"{how} {rule.published}, seen {rule.seen.isoformat()}"


def _data(receiver: Receiver) -> dict[str, Any]:
    return {
        "receiver": receiver.key,
        "name": receiver.name,
        "rules": [rule_data(rule) for rule in receiver.rules],
    }
