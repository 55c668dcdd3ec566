"""Text of `auditor spf` about a range, and about one address term by term."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

import click

from auditor.cli.formatting import counted, fitted, paragraph
from auditor.cli.spf_report import networks_of
from auditor.spf.lint.problems import shown
from auditor.wire.addresses import format_address

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from auditor.cli.spf_report import Explained, Partition
    from auditor.spf.explain import AskedLookup, Trace, TraceStep
    from auditor.spf.ranges import RangeResult

__all__ = ["count_columns", "explained_lines", "partition_lines", "span_text"]

_MAX_PARTS: Final = 200
_MAX_SHOWN: Final = 4

_RESULTS: Final[dict[str, dict[str, Any]]] = {
    "pass": {"fg": "green", "bold": True},
    "softfail": {"fg": "yellow", "bold": True},
    "neutral": {"fg": "yellow"},
    "none": {"fg": "yellow"},
    "fail": {"fg": "red", "bold": True},
    "permerror": {"fg": "red", "bold": True},
    "temperror": {"fg": "magenta", "bold": True},
}
_OUTCOMES: Final[dict[str, dict[str, Any]]] = {
    "match": {"bold": True},
    "error": {"fg": "red", "bold": True},
}


def span_text(version: int, first: int, last: int) -> str:
    """Return an address, a prefix, or a range `a - b`: the shortest that it is."""
    if first == last:
        return format_address(version, first)
    networks = networks_of(version, first, last)
    if len(networks) == 1:
        return str(networks[0])
    return f"{format_address(version, first)} - {format_address(version, last)}"


def count_columns(lookups: int | None = None, voids: tuple[int, int] | int = 0) -> str:
    """Return the columns before a term: lookups and void lookups so far, or blanks."""
    if lookups is None:
        return " " * 15
    both = (voids,) if isinstance(voids, int) else tuple(dict.fromkeys(voids))
    return f"{lookups:>7}{'/'.join(map(str, both)):>6}  "


def partition_lines(partition: Partition) -> Iterator[str]:
    """Yield the results of a policy for a range, part by part."""
    yield f"  {click.style(span_text(*partition.span), bold=True)}"
    for part in partition.parts[:_MAX_PARTS]:
        yield from _part_lines(part)
    more = len(partition.parts) - _MAX_PARTS
    if more > 0:
        yield f"    ... and {counted(more, 'part')} more: --json lists all"


def _part_lines(part: RangeResult) -> Iterator[str]:
    cost = f"({counted(part.lookups, 'lookup')}, {part.voids} void)"
    result = click.style(part.result or "undecided", **_RESULTS.get(part.result or "", {}))
    yield fitted(f"    {span_text(part.version, part.first, part.last)}  {result}  {cost}")
    path = [shown(term) for _, term in part.path if term is not None]
    end = "" if part.result is None or part.mechanism is not None else ", no term matches"
    if part.result is None:
        text = f"depends on the sender or on each address: {' > '.join(path)}"
        yield paragraph(f"{text}; see --sender and --ip", 8, hanging=2)
    elif part.explanation and part.result in {"permerror", "temperror"}:
        yield paragraph(part.explanation, 8, hanging=2)
    elif path:
        yield paragraph(f"by {' > '.join(path)}{end}", 8, hanging=2)


def explained_lines(explained: Explained) -> Iterator[str]:
    """Yield one `check_host()`: its result, and each term of the policy in order."""
    address, sender, helo, fact, trace = explained
    by = f" by {shown(fact.mechanism)}" if fact.mechanism else ""
    cost = f"{counted(fact.lookups, 'lookup')}, {fact.voids} void"
    result = click.style(fact.result, **_RESULTS.get(fact.result, {}))
    yield f"  {click.style(address, bold=True)}  {result}{by} ({cost})"
    yield paragraph(f"MAIL FROM {sender}, HELO {helo}", 4, hanging=2)
    if fact.explanation:
        yield paragraph(fact.explanation, 4, hanging=2)
    if trace is not None:
        yield "    Terms, with the lookups and void lookups up to each"
        yield from _trace_lines(trace, 0)


def _trace_lines(trace: Trace, depth: int) -> Iterator[str]:
    """Yield the terms of a policy; neighbours that did nothing are on one line."""
    if trace.error:
        yield _line(depth, count_columns(), "the policy is in error: no term is evaluated")
        return
    for quiet, group in groupby(trace.steps, _is_quiet):
        steps = list(group)
        if quiet:
            yield _line(depth, count_columns(), _quiet(steps))
            continue
        for step in steps:
            yield from _step_lines(step, depth)


def _is_quiet(step: TraceStep) -> str:
    """Return the outcome of a step that cost nothing and changed nothing, else ""."""
    silent = step.outcome in {"no match", "not reached"} and not step.asked
    return step.outcome if silent and step.policy is None else ""


def _quiet(steps: Sequence[TraceStep]) -> str:
    listed = " ".join(shown(step.term) for step in steps[:_MAX_SHOWN])
    more = len(steps) - _MAX_SHOWN
    rest = f" and {counted(more, 'term')} more" if more > 0 else ""
    return f"{listed}{rest}: {steps[0].outcome}"


def _step_lines(step: TraceStep, depth: int) -> Iterator[str]:
    """Yield a term, its lookups, and the policy that it led to.

    The counts come where they are reached: after a policy, if the term led to one.
    """
    counts = count_columns(step.lookups, step.voids)
    outcome = click.style(step.outcome, **_OUTCOMES.get(step.outcome, {}))
    before = count_columns() if step.policy is not None else counts
    words = "" if step.policy is not None else f": {outcome}"
    yield _line(depth, before, f"{shown(step.term)}{words}")
    for asked in step.asked:
        if asked.rdtype != "TXT" or step.policy is None:
            yield _line(depth + 1, count_columns(), _asked(asked))
    if step.policy is not None:
        yield from _trace_lines(step.policy, depth + 1)
        yield _line(depth, counts, f"{shown(step.term)}: {outcome}")


def _asked(asked: AskedLookup) -> str:
    records = ", ".join(asked.records[:_MAX_SHOWN])
    more = ", ..." if len(asked.records) > _MAX_SHOWN else ""
    return f"{asked.rdtype} of {asked.name}: {records or asked.status}{more}"


def _line(depth: int, counts: str, text: str) -> str:
    return paragraph(f"{counts}{'  ' * depth}{text}", 0, hanging=len(counts) + 2 * depth + 2)
