"""The text of `auditor diff`: how many targets changed, and the first of each kind."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import click

from auditor.cli.formatting import counted, severity_style, terminal_width, verdict_style
from auditor.quoting import printable
from auditor.views.diff.diff import CHANGES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from auditor.views.diff.diff import Diff

__all__ = ["as_text"]

#: Words and colours of the kinds of change.
_WORDS: Final = {
    "worse": ("got worse", verdict_style("fail")),
    "undetermined": ("became unknown", verdict_style("unknown")),
    "better": ("got better", verdict_style("pass")),
    "determined": ("became known", verdict_style("warn")),
    "changed": ("changed, no better or worse", {"bold": True}),
    "appeared": ("appeared", {"bold": True}),
    "vanished": ("vanished", {"bold": True}),
}
_MARKS: Final = (("added", "+"), ("removed", "-"))
#: New and fixed findings shown.
_FINDINGS_SHOWN: Final = 10
_NOTHING: Final = "nothing"
#: Characters shown of a value, and of a name or an invalid line (in effect all).
_VALUE: Final = 60
_WHOLE: Final = 1_000
_STDOUT: Final = 1


def as_text(diff: Diff, top: int | None, most: int = 0, *, every: bool = False) -> Iterator[str]:
    """Yield the lines of text for a person.

    With up to `top` targets of each kind; if it is None, up to `most` of all kinds together; or
    with `every` target.
    """
    changed = diff.counts.total()
    total = diff.unchanged + changed
    zones = most if top is None else top
    if not total:
        yield "no records in either: there is nothing to compare"
        return
    if not changed:
        yield f"{counted(total, 'target')}, and none has changed"
        yield from _zones(diff.zones, zones)
        return
    shown = _shown(diff, top, most, every=every)
    if sum(shown.values()) < changed:
        yield from _places(diff)
    digits = len(f"{total:,}")
    for kind in CHANGES:
        if count := diff.counts[kind]:
            template, style = _WORDS[kind]
            yield f"{count:>{digits},}  {click.style(template, **style)}{_moves(diff, kind)}"
    yield f"{diff.unchanged:>{digits},}  did not change"
    if top == 0 and not every:
        return
    for kind, changes in _by_kind(diff, shown, every=every):
        template, style = _WORDS[kind]
        yield f"\n{click.style(template.capitalize(), **style)}"
        for change in changes:
            yield from _change(change)
        more = diff.counts[kind] - shown[kind]
        if more:
            yield f"  and {more:,} more; --all shows all"
    yield from _zones(diff.zones, zones)


def _shown(diff: Diff, top: int | None, room: int, *, every: bool) -> dict[str, int]:
    """Return how many targets are shown of each kind of change."""
    shown = {}
    for kind in CHANGES:
        count = diff.counts[kind]
        shown[kind] = count if every else min(count, room if top is None else top)
        room -= shown[kind] if top is None else 0
    return shown


def _by_kind(
    diff: Diff, shown: Mapping[str, int], *, every: bool
) -> Iterator[tuple[str, Iterator[dict[str, Any]]]]:
    """Yield each kind of change with its first changes, or all."""
    if every:  # read once for each kind: there may be too many for memory
        for kind in CHANGES:
            if diff.counts[kind]:
                yield kind, (change for change in diff.changes() if change["change"] == kind)
        return
    first: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for change in diff.changes():
        some = first[change["change"]]
        if len(some) < shown[change["change"]]:
            some.append(change)
    for kind in CHANGES:
        if first[kind]:
            yield kind, iter(first[kind])


def _places(diff: Diff) -> Iterator[str]:
    """Yield which findings are new or fixed, and where most of them are."""
    changed = diff.places.changed_findings()
    if not changed:
        return
    added = max(len(f"{finding.added:,}") for finding in changed) + 1
    removed = max(len(f"{finding.removed:,}") for finding in changed) + 1
    letters = max(len(printable(finding.code)) for finding in changed[:_FINDINGS_SHOWN])
    for finding in changed[:_FINDINGS_SHOWN]:
        came = f"+{finding.added:,}" if finding.added else ""
        went = f"-{finding.removed:,}" if finding.removed else ""
        line = f"{came:>{added}} {went:>{removed}}  {printable(finding.code):<{letters}}"
        if finding.prefix is not None:
            most = max(finding.added, finding.removed)
            share = "" if finding.inside == most else "most "
            line += f"  {share}in {finding.prefix}"
        yield line.rstrip()
    if len(changed) > _FINDINGS_SHOWN:
        yield f"and {counted(len(changed) - _FINDINGS_SHOWN, 'more finding')}"
    yield ""


def _zones(zones: Sequence[Mapping[str, Any]], top: int) -> Iterator[str]:
    """Yield the zones whose findings changed, those with the most targets first."""
    if not zones:
        return
    yield f"\n{click.style('Findings about zones changed', bold=True)}"
    for zone in sorted(zones, key=lambda zone: -zone["addresses"])[:top]:
        targets = counted(zone["addresses"], "target")
        yield f"  {printable(zone['target'], _WHOLE)}  {targets}"
        yield from _findings(zone)
    if len(zones) > top:
        yield f"  and {len(zones) - top:,} more; --json shows all"


def _moves(diff: Diff, kind: str) -> str:
    """Return between which verdicts targets changed, the most frequent first."""
    moves = diff.moves[kind]
    if kind == "changed":
        return ""
    template = [
        f"{count:,} {_verdicts(old, new)}"
        for (old, new), count in sorted(moves.items(), key=lambda item: (-item[1], str(item[0])))
    ]
    return f": {', '.join(template)}"


def _verdicts(old: str | None, new: str | None) -> str:
    if old == new:
        return f"still {new}"
    if old is None or new is None:
        return f"{new or old}"
    return f"{old} → {new}"


def _change(change: dict[str, Any]) -> Iterator[str]:
    old, new = change["verdict"]["old"], change["verdict"]["new"]
    shown = " → ".join(
        click.style(verdict, **verdict_style(verdict))
        for verdict in ((old, new) if old != new else (new,))
        if verdict
    )
    yield f"  {printable(change['target'], _WHOLE)}  {shown}"
    yield from _findings(change)
    for fact in change["facts"]:
        yield f"    {_fact(fact)}"


def _findings(change: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each new or fixed finding."""
    for key, mark in _MARKS:
        for finding in change["findings"][key]:
            code = click.style(printable(finding["code"]), **severity_style(finding["severity"]))
            subject = finding["subject"]
            about = "" if subject == change["target"] else f"  {printable(subject, _limit())}"
            yield f"    {mark} {code}{about}"


def _fact(fact: dict[str, Any]) -> str:
    of = f" of {' of '.join(map(_value, reversed(fact['of'])))}" if fact["of"] else ""
    return f"{fact['fact']}{of}: {_value(fact['old'])} → {_value(fact['new'])}"


def _limit() -> int:
    """Return how many characters of a value are shown: few on a terminal, all in a file."""
    return _WHOLE if terminal_width(_STDOUT) is None else _VALUE


def _value(value: object) -> str:
    """Return a value of a record in a few words."""
    if value is None or value in ([], ""):
        return _NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        # A whole object, whose name is shown already: its result.
        value_text = value.get("result") or value.get("status") or ""
        return printable(str(value_text), _limit()) or "there"
    if isinstance(value, list):
        return printable(", ".join(map(_value, value)), _limit())
    return printable(str(value), _limit())
