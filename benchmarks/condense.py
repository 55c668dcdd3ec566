"""Condenses sections for RESULTS.md: merges similar tables, puts versions last, moves profiles."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from itertools import zip_longest
from typing import Final

__all__ = ["condensed"]

_PROFILE: Final = "Where the"
_GOAL: Final = "goal"


@dataclass
class _Part:
    """The content below one heading: its texts, and its tables as rows of cells."""

    title: str
    texts: list[str] = field(default_factory=list)
    tables: list[list[list[str]]] = field(default_factory=list)


def condensed(section: str) -> tuple[str, str]:
    """Return a condensed section, and its profiles as a section of their own ("" for none)."""
    head, *rest = re.split(r"^(?=## )", section, flags=re.MULTILINE)
    title, *notes = _paragraphs(head)
    profiles = [each.strip() for each in rest if _PROFILE in each.partition("\n")[0]]
    parts = [_part(each) for each in rest if _PROFILE not in each.partition("\n")[0]]
    printed, versions = notes[:1], notes[1:]
    blocks = [title, *printed, *_merged(parts), *versions]
    profile = "\n\n".join([title, *notes, *profiles]) if profiles else ""
    return "\n\n".join(blocks), profile


def _paragraphs(text: str) -> list[str]:
    return [each.strip() for each in text.split("\n\n") if each.strip()]


def _part(text: str) -> _Part:
    title, _, body = text.partition("\n")
    part = _Part(title.removeprefix("## ").strip())
    for each in _paragraphs(body):
        if each.startswith("|"):
            rows = [re.split(r"(?<!\\)\|", line)[1:-1] for line in each.splitlines()]
            part.tables.append([[cell.strip() for cell in row] for row in rows])
        else:
            part.texts.append(each)
    return part


def _merged(parts: list[_Part]) -> list[str]:
    """Return the texts of all parts once, then similar tables merged, goals last."""
    places = _places([part.title for part in parts])
    texts: dict[str, list[str]] = {}
    tables: dict[tuple[str, ...], list[list[str]]] = {}
    goals: dict[str, dict[str, str]] = {}
    for part, at in zip(parts, places, strict=True):
        for text in part.texts:
            texts.setdefault(text, []).append(at)
        for names, rule, *rows in part.tables:
            if names[0] == _GOAL:
                for goal, measured, end in rows:
                    shown = measured if end == "met" else f"{measured}, {end}"
                    goals.setdefault(goal, {})[at] = shown
                continue
            if tuple(names) not in tables:
                tables[tuple(names)] = [["at", *names], ["---", *rule]] if at else [names, rule]
            tables[tuple(names)] += [[at, *row] for row in rows] if at else rows
    blocks = []
    for text, named in texts.items():
        common = len(named) == len(parts) or named == places[:1]
        blocks.append(text if common else f"{'; '.join(named)}: {text}")
    blocks += map(_markdown, tables.values())
    return [*blocks, _goals(goals, places)] if goals else blocks


def _places(titles: list[str]) -> list[str]:
    """Return the differing parts of titles, "" for a single one."""
    if len(titles) == 1:
        return [""]
    shared = 0
    words = [title.split(" ") for title in titles]
    while len({*(tuple(each[: shared + 1]) for each in words)}) == 1:
        shared += 1
    return [" ".join(each[shared:]) for each in words]


def _goals(goals: dict[str, dict[str, str]], places: list[str]) -> str:
    """Return a row for each goal with its measurements: a column for each place, or one."""
    if any(len(each) > 1 for each in goals.values()):
        rows = [["goal", *places], ["---", *("--:" for _ in places)]]
        rows += [[goal, *(each.get(at, "") for at in places)] for goal, each in goals.items()]
    else:
        rows = [["goal", "measured"], ["---", "--:"]]
        rows += [[goal, *each.values()] for goal, each in goals.items()]
    return _markdown(rows)


def _markdown(rows: list[list[str]]) -> str:
    """Return a table whose second row has the alignment of the columns."""
    _, rule, *_ = rows
    others = [row for row in rows if row is not rule]
    widths = [max(map(len, column)) for column in zip_longest(*others, fillvalue="")]
    widths = [max(width, len("---")) for width in widths]
    right = [each.endswith(":") for each in rule]
    lines = []
    for row in rows:
        if row is rule:
            cells = [
                "-" * (width - 1) + ":" if is_right else "-" * width
                for width, is_right in zip(widths, right, strict=True)
            ]
        else:
            cells = [
                cell.rjust(width) if is_right else cell.ljust(width)
                for cell, width, is_right in zip(row, widths, right, strict=True)
            ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)
