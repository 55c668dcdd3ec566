"""Rows in columns as wide as their widest cell, for people and plain where there is no terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["text_table"]


def text_table(heads: Sequence[str], rows: Sequence[Sequence[str]], right: int) -> Iterator[str]:
    """Yield a head and rows; the last `right` columns are figures, to the right.

    Cells may be styled.
    """
    lines = [heads, *rows]
    widths = [
        max(len(click.unstyle(line[column])) for line in lines) for column in range(len(heads))
    ]
    left = len(heads) - right
    for number, line in enumerate(lines):
        cells = []
        for column, (cell, width) in enumerate(zip(line, widths, strict=True)):
            gap = " " * (width - _width(cell))
            cells.append(cell + gap if column < left else gap + cell)
        text = "  ".join(cells).rstrip()
        yield text if number else click.style(text, bold=True)


def _width(cell: str) -> int:
    return len(click.unstyle(cell))
