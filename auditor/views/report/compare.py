"""A scan held against an earlier one: what became of each target, and how many failed then."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from typing import TYPE_CHECKING

from auditor.errors import UsageError
from auditor.views.diff import Diff
from auditor.views.report.gather import Gathered

if TYPE_CHECKING:
    from auditor.views.report.gather import Limits
    from auditor.views.results import Results

__all__ = ["gather"]


def gather(
    results: Results, previous: Results | None = None, limits: Limits | None = None
) -> tuple[Gathered, Counter[str] | None]:
    """Return what the page shows of `results`, and how many targets changed since `previous`.

    The changes are those of `auditor diff`, counted by kind. Raises InputError for what is no
    record, with file and line, and UsageError for standard input, since a comparison reads
    everything twice.
    """
    if previous is not None and "-" in (*results.names, *previous.names):
        raise UsageError("standard input (-) can be read once only; --previous needs files")
    gathered = Gathered(limits)
    for record in results.records():
        gathered.add(record)
    if previous is None:
        return gathered, None
    for record in previous.records():
        gathered.past(record)
    with Diff(previous, results) as diff:
        diff.run()
        _annotate(gathered, diff)
        return gathered, diff.counts


def _annotate(gathered: Gathered, diff: Diff) -> None:
    """Tell the rows what became of their targets."""
    # Of a target that was audited twice, each record has a change of its own.
    changes: defaultdict[tuple[str, str], deque[tuple[str, str]]] = defaultdict(deque)
    wanted = {(row.target, row.shape.verdict) for row in gathered.rows}
    for found in diff.changes():
        key = found["target"], found["verdict"]["new"]
        if key in wanted:
            changes[key].append((found["change"], found["verdict"]["old"] or ""))
    for row in gathered.rows:
        waiting = changes.get((row.target, row.shape.verdict))
        row.change, row.before = waiting.popleft() if waiting else ("", row.shape.verdict)
