"""The text of `auditor history`: nights, the oldest findings, and findings that flap."""

from __future__ import annotations

from heapq import heappush, heappushpop
from typing import TYPE_CHECKING, Any, Final

import click

from auditor.cli.formatting import counted, severity_style
from auditor.cli.text_table import text_table
from auditor.quoting import printable

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

__all__ = ["as_text"]

_MAX_SHOWN_CHARACTERS: Final = 300  # characters of a target


class _First:
    """The lines of the largest weight; of the same weight, the earlier ones."""

    def __init__(self, most: int) -> None:
        self.number = 0
        self._most = most
        self._heap: list[tuple[float, int, Mapping[str, Any]]] = []

    def offer(self, weight: float, line: Mapping[str, Any]) -> None:
        self.number += 1
        entry = weight, -self.number, line
        if len(self._heap) < self._most:
            heappush(self._heap, entry)
        else:
            heappushpop(self._heap, entry)

    def lines(self) -> list[Mapping[str, Any]]:
        return [line for _, _, line in sorted(self._heap, key=lambda entry: (-entry[0], -entry[1]))]


def as_text(
    nights: Sequence[Mapping[str, Any]], findings: Iterable[Mapping[str, Any]], top: int
) -> Iterator[str]:
    """Yield the lines for a person: up to `top` rows of each kind."""
    order = {night["night"]: number for number, night in enumerate(nights)}
    old, flapping = _First(top), _First(top)
    still = 0
    for line in findings:
        if line["state"] == "open":
            still += 1
            old.offer(len(nights) - order[line["since"]], line)
        if line["times"] > 1:
            flapping.offer(line["times"], line)
    yield from _nights(nights, top)
    yield ""
    if not still:
        yield "No finding is open."
    else:
        yield f"{click.style('Open for the longest', bold=True)} (of {counted(still, 'finding')})"
        heads = ["target", "finding", "", "since", "days", "nights", "times"]
        yield from text_table(heads, [_row(line) for line in old.lines()], right=3)
    if flapping.number:
        yield ""
        yield f"{click.style('Come and go', bold=True)} ({flapping.number:,})"
        heads = ["target", "finding", "", "last seen", "state", "nights", "times"]
        yield from text_table(heads, [_flap(line) for line in flapping.lines()], right=2)


def _nights(nights: Sequence[Mapping[str, Any]], top: int) -> Iterator[str]:
    """Yield the latest nights."""
    if len(nights) > top:
        yield f"The last {top:,} of {counted(len(nights), 'night')}"
    rows = [
        [
            printable(night["night"], _MAX_SHOWN_CHARACTERS),
            f"{night['targets']:,}",
            *(f"{night['verdicts'][verdict]:,}" for verdict in ("fail", "warn", "unknown")),
            f"{sum(night['findings'].values()):,}",
            *("-" if night[key] is None else f"{night[key]:,}" for key in ("appeared", "gone")),
        ]
        for night in nights[-top:]
    ]
    heads = ["night", "targets", "fail", "warn", "unknown", "findings", "new", "gone"]
    yield from text_table(heads, rows, right=7)


def _row(line: Mapping[str, Any]) -> list[str]:
    age = line["age_days"]
    return [
        *_what(line),
        line["since"],
        "?" if age is None else f"{age:,}",
        f"{line['nights']:,}",
        f"{line['times']:,}",
    ]


def _flap(line: Mapping[str, Any]) -> list[str]:
    return [
        *_what(line),
        line["last_seen"],
        line["state"],
        f"{line['nights']:,}",
        f"{line['times']:,}",
    ]


def _what(line: Mapping[str, Any]) -> list[str]:
    subject = line["subject"]
    about = "" if subject == line["target"] else printable(subject, _MAX_SHOWN_CHARACTERS)
    code = click.style(
        printable(line["code"], _MAX_SHOWN_CHARACTERS), **severity_style(line["severity"])
    )
    return [printable(line["target"], _MAX_SHOWN_CHARACTERS), code, about]
