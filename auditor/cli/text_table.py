"""Rows in columns as wide as their widest cell, or as lists where the terminal is narrower."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import click

from auditor.cli.formatting import terminal_width

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["text_table"]

_GAP: Final = "  "
_STDOUT: Final = 1


def text_table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: int) -> Iterator[str]:
    """Yield a head and rows; the last `right` columns are numbers, aligned to the right.

    Cells may be styled. On a terminal that is too narrow for all columns each row is a list.
    """
    lines = [heads, *rows]
    widths = [max(_width(line[column]) for line in lines) for column in range(len(heads))]
    if sum(widths) + len(_GAP) * (len(widths) - 1) > (terminal_width(_STDOUT) or math.inf):
        yield from (_as_list(heads, row) for row in rows)
        return
    left = len(heads) - right
    for number, line in enumerate(lines):
        cells = []
        for column, (cell, width) in enumerate(zip(line, widths, strict=True)):
            gap = " " * (width - _width(cell))
            cells.append(cell + gap if column < left else gap + cell)
        text = _GAP.join(cells).rstrip()
        yield text if number else click.style(text, bold=True)


def _as_list(heads: Sequence[str], row: Sequence[str]) -> str:
    """Return the cells of a row, each with its head."""
    first, *cells = [
        f"{head} {cell}".strip() for head, cell in zip(heads, row, strict=True) if cell
    ]
    return f"{first}: {', '.join(cells)}"


def _width(cell: str) -> int:
    return len(click.unstyle(cell))
