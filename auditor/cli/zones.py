"""`auditor zones`: who delegates and who serves the zones of a few targets."""

from __future__ import annotations

import json
from itertools import takewhile
from typing import TYPE_CHECKING, Any, Final

import click

from auditor.checks.address import ptr_fact
from auditor.cli.console import engine_messages, print_data
from auditor.cli.formatting import after_demo
from auditor.cli.options import SettingsCommand, make_settings, settings_options
from auditor.cli.zones_text import describe_zone
from auditor.errors import FINDINGS_FOUND, TargetError, UsageError
from auditor.findings.judge import fails
from auditor.resolve.answer import Question
from auditor.run.authority import survey_zones
from auditor.run.event_loop import run_loop
from auditor.run.scan import run_steps
from auditor.settings_option import Group
from auditor.targets.domains import Name
from auditor.targets.given_targets import first_targets, refuse_invalid
from auditor.targets.item import parse_item
from auditor.wire.addresses import V6, format_address
from auditor.wire.codes import PTR
from auditor.wire.reverse import reverse_name
from auditor.zones.owners import Owners

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.checks.facts import PtrFact
    from auditor.resolve.answer import Steps
    from auditor.settings import Settings

__all__ = ["command"]

#: Addresses of all arguments together: those of a /16.
_MAX_TARGETS: Final = 65_536


@click.command(
    "zones", cls=SettingsCommand, epilog=after_demo("zones --zones d/zones 198.51.100.53")
)
@click.argument("target", nargs=-1)
@settings_options(Group.SERVERS, Group.AUTHORITY, Group.FINDINGS)
@click.option("--json", "as_json", is_flag=True, help="As JSON, a line for each zone.")
def command(target: tuple[str, ...], *, as_json: bool, **given: Any) -> int:
    """Show which zones hold targets, who delegates and serves them, and who can fix them.

    A TARGET is an address, a prefix, a range or a domain. Every server of the zones and of
    their parents is asked by itself: does it delegate, does it answer with authority, with
    which serial. With --authority=every each server is asked for each PTR record, too. Of an
    IPv6 prefix shorter than /112 the zone of its own reverse name is shown, none below it.
    """
    settings = make_settings(given)
    if not target:
        raise UsageError("no zone to look for: give an address, a prefix or a domain")
    names = {text: name for text in target if (name := _name_of_large(text))}
    others = [text for text in target if text not in names]
    refuse_invalid(others)
    with engine_messages():
        lines = run_loop(_lines(settings, others, list(names.values())))
    if as_json:
        for line in lines:
            print_data(json.dumps(line, separators=(",", ":")))
    else:
        for number, line in enumerate(lines):
            if number:
                print_data()
            for text in describe_zone(line):
                print_data(text)
    severities = {finding["severity"] for line in lines for finding in line["findings"]}
    return FINDINGS_FOUND if fails(settings.fail_on, severities, ()) else 0


def _name_of_large(text: str) -> str:
    """Return the reverse name of an IPv6 span that is too large to take by address, else ""."""
    try:
        item = parse_item(text, bounded=False)
    except TargetError:
        return ""
    if isinstance(item, Name) or item.version != V6 or item.size <= _MAX_TARGETS:
        return ""
    ends = (reverse_name(format_address(V6, number)) for number in (item.first, item.last))
    labels = zip(*(reversed(end.split(".")) for end in ends), strict=True)
    shared = [label for label, _ in takewhile(lambda pair: pair[0] == pair[1], labels)]
    return ".".join(reversed(shared))


async def _lines(
    settings: Settings, target: Sequence[str], names: Sequence[str]
) -> list[dict[str, Any]]:
    """Look up the targets, and return the zone facts of their zones and of those of names."""
    targets = first_targets(target, _MAX_TARGETS + 1) if target else []
    if len(targets) > _MAX_TARGETS:
        raise UsageError(
            f"zones of {_MAX_TARGETS:,} addresses at most: use auditor scan --authority"
        )
    owners = Owners(every=settings.authority == "every")
    addresses = [target.text for target in targets if target.kind == "ip"]
    for address, fact in zip(
        addresses, await run_steps(settings, _ptr_facts(addresses)), strict=True
    ):
        owners.note_address(address, fact)
    for name in (*names, *(entry.text for entry in targets if entry.kind == "domain")):
        owners.note_domain(name)
    return await survey_zones(settings, owners)


def _ptr_facts(addresses: Sequence[str]) -> Steps[list[PtrFact]]:
    names = [reverse_name(address) for address in addresses]
    answers = yield [Question(name, PTR) for name in names]
    return [ptr_fact(name, answer) for name, answer in zip(names, answers, strict=True)]
