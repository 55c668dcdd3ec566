"""A scan that is only told of: how far it is, as a test says."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

from support.virtual_time import run_virtual

from auditor.cli.console import ErrorOutput
from auditor.cli.run_reporter import RunReporter
from auditor.output.tally import Tally
from auditor.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

__all__ = ["BEGAN", "FINGERPRINT", "INPUTS", "FakeScan", "events", "told"]

BEGAN = datetime(2026, 11, 23, 2, 0, 0, 123_456, UTC)
FINGERPRINT = "f" * 64
INPUTS: dict[str, Any] = {"arguments": ["192.0.2.0/24"], "files": [], "targets": 256}


class FakeScan:
    """What `RunReporter` looks at of a scan."""

    def __init__(self, total: int | None = 256) -> None:
        self.stream = SimpleNamespace(total=total)
        self.tally = Tally()
        self.open_targets = 0
        self.queries: dict[str, int | None] = {}
        self.server_limits: dict[str, dict[str, int | str]] = {}
        self._lookups = 0

    def go_on(self, records: int, *, verdict: str = "pass", codes: Any = ()) -> None:
        """Finish some records, three lookups each, one of them cached."""
        self.tally.count_equal_records("ip", verdict, codes, "NOERROR", records)
        self._lookups += records

    def counters(self) -> dict[str, int | None]:
        """Return counters that add up."""
        n = self._lookups
        return {
            "asked": 3 * n, "cached": n, "joined": 0, "answered": 2 * n, "failed": 0, "open": 0,
            "sent": 2 * n, "retried": 0, "lost": 0,
        }  # fmt: skip


def told(story: Callable[[RunReporter, FakeScan], Awaitable[None]], **settings: Any) -> None:
    """Have a story told on a loop whose minutes take no time."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        scan = FakeScan(settings.pop("total", 256))
        reports = RunReporter(
            Settings(**settings),
            ErrorOutput(),
            "-",
            scan,  # type: ignore[arg-type]  # it has all that is looked at
            clock=loop.time,
            now=lambda: BEGAN + timedelta(seconds=loop.time()),
        )
        await story(reports, scan)

    run_virtual(main())


def events(text: str) -> list[dict[str, Any]]:
    """Return the events of a log, every line of which must be one."""
    assert not text or text.endswith("\n")
    found = [json.loads(line) for line in text.splitlines()]
    assert all({"time", "event", "level"} <= set(event) for event in found)
    return found
