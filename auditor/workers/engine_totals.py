"""Counters and server limits of the engines of all workers, up to their last results."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auditor.workers.messages import Result

__all__ = ["EngineTotals"]


class _Report(NamedTuple):
    """The latest report of one engine: the one with the highest serial number."""

    serial: int
    counters: Mapping[str, int | None]
    server_limits: Mapping[str, Mapping[str, int | str]]


_NOTHING = _Report(0, {}, {})


class EngineTotals:
    """Sums over the engines of a run: their counters, and the limits of servers."""

    def __init__(self) -> None:
        self._reports: dict[str, _Report] = {}

    def add_result(self, result: Result) -> None:
        """Take the counters and server limits that come with a result."""
        if result.serial > self._reports.get(result.engine, _NOTHING).serial:
            report = _Report(result.serial, result.counters, result.server_limits)
            self._reports[result.engine] = report

    def counters(self) -> dict[str, int | None]:
        """Return the counts of questions and queries of all engines."""
        total: Counter[str] = Counter()
        for report in self._reports.values():
            total.update({name: count or 0 for name, count in report.counters.items()})
        return dict(total)

    def server_limits(self) -> dict[str, dict[str, int | str]]:
        """Return the limits of servers for all engines together: each engine finds its share."""
        total: dict[str, dict[str, int | str]] = {}
        for report in self._reports.values():
            for server, server_limits in report.server_limits.items():
                limits = total.setdefault(server, {})
                for name, value in server_limits.items():
                    before = limits.get(name, 0)
                    if isinstance(value, int) and isinstance(before, int):
                        limits[name] = before + value
                    else:
                        limits[name] = value
        return total
