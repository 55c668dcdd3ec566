"""Published rules of mail receivers that apply to the address of a record."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from auditor.cli.formatting import paragraph
from auditor.findings.receivers import FACTS, matching_rules

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from auditor.findings.receivers import Receiver, Rule

__all__ = ["effect_text", "receiver_rule_lines"]

#: What is done with the mail, the strictest first.
_VERBS: Final = {
    "refuse": "refused",
    "defer": "deferred",
    "junk": "filed as spam",
    "score": "counted",
}


def receiver_rule_lines(record: Mapping[str, Any], chosen: Iterable[Receiver]) -> Iterator[str]:
    """Yield lines for a person: which receivers have a published rule for such an address.

    Grouped by the facts that the rules name, then by effect. Nothing if no rule applies.
    """
    groups: dict[str, dict[str, list[str]]] = {}
    for receiver, rule in matching_rules(record, chosen):
        effects = groups.setdefault(_facts(rule), {effect: [] for effect in _VERBS})
        effects[rule.effect].append(f"{receiver.name}{_details(rule)}")
    if groups:
        head = click.style("Receiver rules that apply", bold=True)
        yield f"  {head}, as published (auditor receivers)"
    for facts, effects in groups.items():
        yield paragraph(f"{facts}:", 4, hanging=2)
        for effect, names in effects.items():
            if names:
                yield paragraph(f"{_VERBS[effect]} by {'; '.join(names)}", 6, hanging=2)


def effect_text(rule: Rule) -> str:
    """Return what a receiver does by a rule, in a few words: `refused (550 5.7.25)`."""
    return f"{_VERBS[rule.effect]}{_details(rule)}"


def _facts(rule: Rule) -> str:
    return " and ".join(FACTS[fact] for fact in FACTS if fact in rule.when)


def _details(rule: Rule) -> str:
    """Return the reply, the points and the conditions of a rule: ` (550 5.7.26; unless …)`."""
    parts = [
        f"{rule.points:g} of {rule.threshold:g} points" if rule.effect == "score" else "",
        rule.reply,
        f"unless {rule.unless}" if rule.unless else "",
        f"with {rule.option}" if rule.option else "",
    ]
    shown = "; ".join(part for part in parts if part)
    return f" ({shown})" if shown else ""
