"""The report of a /16, timed: made by `auditor report`, and opened in Chromium."""

from __future__ import annotations

import shutil
import sys
import time
from itertools import islice
from statistics import median
from typing import TYPE_CHECKING, Final

from benchmarks import measure
from benchmarks.tables import Table, count, seconds
from benchmarks.view_material import NEW, OLD

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["page_table"]

_BLOCK: Final = 1 << 16
_MOST_MB: Final = 5.0
_MOST_SECONDS: Final = 2.0
#: The beginning of the records of the first /16.
_FIRST: Final = b'{"target":"20.0.'
_READY: Final = "html[data-ready]"


def page_table(folder: Path, runs: int) -> Table:
    """Return the table of the report of a /16, from the material in `folder`."""
    columns = ["page", "n", "records", "CPU s", "wall s", "peak MB", "page MB", "usable s"]
    table = Table("Report", columns)
    table.about = (
        "`auditor report` of the records of a /16, whole processes. Usable: from opening the file"
        " in\nheadless Chromium, a new one each time, until maps and tables respond."
    )
    for name in (OLD, NEW):
        _first(folder / name, folder / f"block-{name}")
    old, new = (str(folder / f"block-{name}") for name in (OLD, NEW))
    rows = {"a /16": [new], "a /16, and what has changed": [new, "--previous", old]}
    for row, arguments in rows.items():
        page = folder / "report.html"
        command = [sys.executable, "-m", "auditor", "report", "-q", "--overwrite", *arguments]
        made = [measure.run([*command, "-o", str(page)]) for _ in range(runs)]
        opened = _opened(page, runs)
        cpu, wall = median(run.cpu for run in made), median(run.wall for run in made)
        peak, size = median(run.peak for run in made) / 1e6, page.stat().st_size / 1e6
        usable = "-" if opened is None else seconds(opened)
        figures = (seconds(cpu), seconds(wall), f"{peak:.0f}", f"{size:.2f}", usable)
        table.add(row, str(runs), count(_BLOCK), *figures)
        table.goal(f"{row}: under 5 MB", f"{size:.2f} MB", met=size < _MOST_MB)
        if opened is not None:
            goal = f"{row}: usable within two seconds"
            table.goal(goal, f"{usable} s", met=opened <= _MOST_SECONDS)
    return table


def _first(source: Path, target: Path) -> None:
    """Write the records of the first /16 in a file of records."""
    with source.open("rb") as lines, target.open("wb") as file:
        file.writelines(line for line in islice(lines, _BLOCK) if line.startswith(_FIRST))


def _opened(page: Path, runs: int) -> float | None:
    """Return the seconds until a page is usable, None where there is no Chromium."""
    program = shutil.which("chromium")
    if program is None:
        return None
    from playwright.sync_api import sync_playwright  # noqa: PLC0415 - slow to import

    taken = []
    with sync_playwright() as playwright:
        for _ in range(runs):
            browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
            opened = browser.new_page()
            started = time.perf_counter()
            opened.goto(page.as_uri())
            opened.wait_for_selector(_READY)
            taken.append(time.perf_counter() - started)
            browser.close()
    return median(taken)
