"""The text of `auditor diff`: how many targets changed, and the first of each kind."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any, Final

import click

from auditor.cli.text import WIDTH, counted, severity_style, verdict_style
from auditor.targets.quoting import printable
from auditor.views.diff import CHANGES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditor.views.diff import Diff

__all__ = ["as_text"]

#: What is said of a kind of change, and in which colours.
_SAID: Final = {
    "worse": ("got worse", verdict_style("fail")),
    "undetermined": ("cannot be told any more", verdict_style("unknown")),
    "better": ("got better", verdict_style("pass")),
    "determined": ("can be told again", verdict_style("warn")),
    "changed": ("changed, no better or worse", {"bold": True}),
    "appeared": ("appeared", {"bold": True}),
    "vanished": ("vanished", {"bold": True}),
}
_MARKS: Final = (("added", "+"), ("removed", "-"))
_NOTHING: Final = "nothing"
_VALUE: Final = 60


def as_text(diff: Diff, top: int) -> Iterator[str]:
    """Yield the lines of text for a person, with up to `top` targets of each kind."""
    changed = diff.counts.total()
    total = diff.unchanged + changed
    if not total:
        yield "no records in either: there is nothing to compare"
        return
    if not changed:
        yield f"{counted(total, 'target')}, and none has changed"
        return
    digits = len(f"{total:,}")
    for what in CHANGES:
        if count := diff.counts[what]:
            said, style = _SAID[what]
            yield f"{count:>{digits},}  {click.style(said, **style)}{_moves(diff, what)}"
    yield f"{diff.unchanged:>{digits},}  did not change"
    if not top:
        return
    first: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for change in diff.changes():
        shown = first[change["change"]]
        if len(shown) < top:
            shown.append(change)
    for what in CHANGES:
        if first[what]:
            said, style = _SAID[what]
            yield f"\n{click.style(said.capitalize(), **style)}"
            for change in first[what]:
                yield from _change(change)
            more = diff.counts[what] - len(first[what])
            if more:
                yield f"  and {more:,} more; --json shows all"


def _moves(diff: Diff, what: str) -> str:
    """Say between which verdicts targets went, the most frequent first."""
    moves = diff.moves[what]
    if what == "changed":
        return ""
    said = [
        f"{count:,} {_verdicts(old, new)}"
        for (old, new), count in sorted(moves.items(), key=lambda item: (-item[1], str(item[0])))
    ]
    return f": {', '.join(said)}"


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
    yield f"  {printable(change['target'], WIDTH)}  {shown}"
    for key, mark in _MARKS:
        for found in change["findings"][key]:
            code = click.style(printable(found["code"]), **severity_style(found["severity"]))
            subject = found["subject"]
            about = "" if subject == change["target"] else f"  {printable(subject, _VALUE)}"
            yield f"    {mark} {code}{about}"
    for fact in change["facts"]:
        yield f"    {_fact(fact)}"


def _fact(fact: dict[str, Any]) -> str:
    of = f" of {' of '.join(map(_value, reversed(fact['of'])))}" if fact["of"] else ""
    return f"{fact['fact']}{of}: {_value(fact['old'])} → {_value(fact['new'])}"


def _value(value: object) -> str:
    """Return a value of a record in a few words."""
    if value is None or value in ([], ""):
        return _NOTHING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        # A whole object, whose name is said already: what it came to.
        told = value.get("result") or value.get("status") or ""
        return printable(str(told), _VALUE) or "there"
    if isinstance(value, list):
        return printable(", ".join(map(_value, value)), _VALUE)
    return printable(str(value), _VALUE)
