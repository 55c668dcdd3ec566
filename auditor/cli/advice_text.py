"""Text of advice: the place of a problem in a policy, and the records to publish."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditor.cli.formatting import paragraph

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditor.findings.advice import Advice
    from auditor.spf.lint.problems import Problem

__all__ = ["advice_lines", "place_lines"]


def place_lines(problem: Problem) -> Iterator[str]:
    """Yield where in a record a problem is, in octets from 1, and what it is."""
    if problem.start is not None and problem.end is not None:
        where = f"octets {problem.start + 1} to {problem.end}: {problem.term}"
        yield paragraph(f"{where} ({problem.note})", 4, hanging=2)
    elif problem.note:
        yield paragraph(problem.note, 4, hanging=2)


def advice_lines(advice: Advice, published: set[str]) -> Iterator[str]:
    """Yield what to publish, once: the same records may fix several findings.

    `published` are the lines shown before; new ones are added to it.
    """
    for lines, head, again in (
        (advice.lines, "To publish:", "To publish: the lines above."),
        (advice.drafts, "To publish, with the parts in < > filled in:", "To decide: as above."),
    ):
        if lines:
            fresh = [line for line in lines if line not in published]
            yield f"    {head if fresh else again}"
            yield from (f"      {line}" for line in fresh)
            published.update(lines)
    for note in advice.notes:
        yield paragraph(note, 4)
