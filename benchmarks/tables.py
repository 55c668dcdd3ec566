"""Medians, ratios and goals, as Markdown."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from benchmarks.measure import Run

__all__ = ["Goal", "Samples", "Table", "count", "percent", "seconds"]


def percent(share: float) -> str:
    """Return a share as percent; 100 % only if it is exactly 1."""
    if share in {0.0, 1.0}:
        return f"{share:.0%}"
    return f"{min(share, 0.99999) * 100:.3f} %" if share > 0.99 else f"{share * 100:.2f} %"


def seconds(value: float) -> str:
    """Return a duration as text, in seconds."""
    return f"{value:.2f}" if value < 100 else f"{value:.0f}"


def count(value: float) -> str:
    """Return a whole number as text, with thousands separators."""
    return f"{value:,.0f}"


@dataclass(frozen=True)
class Goal:
    """A goal: its text, the measured figure, and whether it is met."""

    goal: str
    measured: str
    met: bool


@dataclass
class Table:
    """Rows under a heading, with the goals for them."""

    title: str
    columns: Sequence[str]
    about: str = ""
    rows: list[list[str]] = field(default_factory=list)
    goals: list[Goal] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)

    def add(self, *cells: str) -> None:
        """Add a row, one cell a column."""
        if len(cells) != len(self.columns):
            raise ValueError(f"{len(cells)} cells for {len(self.columns)} columns")
        self.rows.append(list(cells))

    def goal(self, goal: str, measured: str, *, met: bool) -> None:
        """Add a goal."""
        self.goals.append(Goal(goal, measured, met))

    def markdown(self) -> str:
        """Return the table as Markdown."""
        lines = [f"## {self.title}", ""]
        if self.about:
            lines += [self.about, ""]
        lines += _grid(self.columns, self.rows)
        if self.left_out:
            lines += ["", *(f"Left out: {why}." for why in self.left_out)]
        if self.goals:
            rows = [[g.goal, g.measured, "met" if g.met else "**missed**"] for g in self.goals]
            lines += ["", *_grid(["goal", "measured", ""], rows)]
        return "\n".join(lines) + "\n"


def _grid(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    rows = list(rows)
    widths = [max(3, *(len(row[i]) for row in [columns, *rows])) for i in range(len(columns))]

    def line(cells: Sequence[str]) -> str:
        # The first column is text, the others are figures.
        padded = [cells[0].ljust(widths[0])]
        padded += [cell.rjust(width) for cell, width in zip(cells[1:], widths[1:], strict=True)]
        return "| " + " | ".join(padded) + " |"

    rule = ["-" * widths[0], *("-" * (width - 1) + ":" for width in widths[1:])]
    return [line(columns), "| " + " | ".join(rule) + " |", *(line(row) for row in rows)]


class Samples:
    """Runs by row, interleaved in rounds (A B C, A B C, …), so that slow moments hit all rows."""

    def __init__(self) -> None:
        self._runs: defaultdict[str, list[Run]] = defaultdict(list)
        self.failed: dict[str, str] = {}

    def add(self, row: str, run: Run) -> None:
        """Add a run to a row."""
        self._runs[row].append(run)

    def __contains__(self, row: str) -> bool:
        return row in self._runs

    def __getitem__(self, row: str) -> list[Run]:
        return self._runs[row]

    def rows(self) -> list[str]:
        """Return the rows in the order they first ran."""
        return list(self._runs)

    def median(self, row: str, figure: Callable[[Run], float]) -> float:
        """Return the median over the runs of a row."""
        return median(figure(run) for run in self._runs[row])

    def worst_share(self, row: str) -> float:
        """Return the smallest share of questions answered of any run of a row."""
        return min(run.share for run in self._runs[row])

    def ratio(self, row: str, other: str, figure: Callable[[Run], float]) -> float:
        """Return the median of the ratios, each within one round."""
        pairs = zip(self._runs[row], self._runs[other], strict=False)
        return median(figure(first) / figure(second) for first, second in pairs)

    def shown_ratio(self, row: str, other: str) -> str:
        """Return the ratio of CPU per question as text, "-" without the other row."""
        return f"{self.ratio(row, other, lambda run: run.micros):.2f}" if other in self else "-"

    def latest(self, row: str) -> str:
        """Return the result of the last run of a row as text."""
        if row in self.failed:
            return f"  {row}: {self.failed[row]}"
        last = self._runs[row][-1]
        return (
            f"  {row} #{len(self._runs[row])}: {last.micros:.2f} µs CPU a lookup,"
            f" {last.work_wall:.2f} s, {percent(last.share)} of {count(last.asked)} answered"
        )
