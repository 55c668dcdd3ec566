"""Compares a scan with an earlier one for the page."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from typing import TYPE_CHECKING

from auditor.errors import UsageError
from auditor.views.diff.diff import Diff
from auditor.views.report.aggregate import ScanAggregate
from auditor.views.report.lines import LineCounter

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.findings.receivers import Receiver
    from auditor.views.reader.results import Results
    from auditor.views.report.aggregate import AggregateLimits

__all__ = ["gather"]


def gather(
    results: Results,
    previous: Results | None = None,
    limits: AggregateLimits | None = None,
    receivers: Sequence[Receiver] = (),
) -> tuple[ScanAggregate, Counter[str] | None]:
    """Return what the page shows of `results`, and how many targets changed since `previous`.

    `receivers`: those whose rules are counted. The changes are those of `auditor diff`, counted
    by kind. Raises InputError for an invalid record, with file and line, and UsageError for
    standard input, since a comparison reads everything twice.
    """
    if previous is not None and "-" in (*results.names, *previous.names):
        raise UsageError("standard input (-) can be read once only; --previous needs files")
    gathered = ScanAggregate(limits, receivers)
    _count(results, LineCounter(gathered))
    if previous is None:
        return gathered, None
    _count(previous, LineCounter(gathered, before=True))
    with Diff(previous, results) as diff:
        diff.read_both()
        _annotate(gathered, diff)
        return gathered, diff.counts


def _count(results: Results, counter: LineCounter) -> None:
    for chunk in results.chunks():
        counter.count_chunk(chunk)
    counter.flush()


def _annotate(gathered: ScanAggregate, diff: Diff) -> None:
    """Add the changes of targets to their rows."""
    # Of a target that was audited twice, each record has a change of its own.
    changes: defaultdict[tuple[str, str], deque[tuple[str, str]]] = defaultdict(deque)
    wanted = {(row.target, row.shape.verdict) for row in gathered.rows}
    for change in diff.changes():
        key = change["target"], change["verdict"]["new"]
        if key in wanted:
            changes[key].append((change["change"], change["verdict"]["old"] or ""))
    for row in gathered.rows:
        waiting = changes.get((row.target, row.shape.verdict))
        row.change, row.before = waiting.popleft() if waiting else ("", row.shape.verdict)
