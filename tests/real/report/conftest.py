"""Reports to look at, and a browser to do that with."""

from __future__ import annotations

import random
import subprocess
import sys
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

import pytest
from support.browser import chromium, visits
from support.effort import is_quick
from support.fleet import FLEET
from support.reports import address_record, write_records

from auditor.views.report.page import make_page

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from playwright.sync_api import Browser
    from support.browser import Opened


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as started:
        yield started


@pytest.fixture
def show(browser: Browser) -> Iterator[Callable[..., Opened]]:
    """Open reports; at the end they must have talked to nobody and complained of nothing."""
    every: list[Opened] = []
    with visits(browser) as visit:

        def remembered(path: Path, **options: Any) -> Opened:
            every.append(visit(path, **options))
            return every[-1]

        yield remembered
        for opened in every:
            assert opened.requests == [opened.path.as_uri()]
            assert opened.complaints == []
            assert opened.dialogs == []


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("reports")


@pytest.fixture(scope="session")
def fleet(folder: Path) -> Path:
    """Return the report of the example fleet, held against a scan of the CSV list alone."""
    results, old, page = (folder / name for name in ("fleet.ndjson", "old.ndjson", "fleet.html"))
    for file, output in (("targets.txt", results), ("targets.csv", old)):
        options = ["--quiet", "--zones", str(FLEET / "zones"), "-i", str(FLEET / file)]
        _auditor("scan", *options, "-o", str(output))
    _auditor("report", str(results), "--previous", str(old), "-o", str(page))
    return page


@pytest.fixture(scope="session")
def large(report: Callable[..., Path]) -> tuple[Path, list[str]]:
    """Return the report of a /16, in a quick run of a /20, and the verdicts of its addresses."""
    chance = random.Random(16)
    kinds = [(), ("PTR_GENERIC",), ("PTR_UNDETERMINED",), ("PTR_MISSING",)]
    records = []
    for number in range(4_096 if is_quick() else 65_536):
        target = str(IPv4Address("10.20.0.0") + number)
        codes = chance.choices(kinds, [70, 20, 1, 9])[0]
        names = [] if codes == ("PTR_MISSING",) else [f"h{number}.{number >> 8}.example.net"]
        records.append(address_record(target, *codes, names=names))
    return report("large", records), [record["verdict"] for record in records]


@pytest.fixture(scope="session")
def report(folder: Path) -> Callable[..., Path]:
    """Make the report of some records."""

    def make(name: str, records: list[dict[str, Any]], **options: Any) -> Path:
        results = write_records(folder / f"{name}.ndjson", records)
        path = folder / f"{name}.html"
        path.write_bytes(make_page([results], version="1.2.3", **options))
        return path

    return make


def _auditor(*arguments: str) -> None:
    # In a process of its own: the browser's event loop runs in this one.
    subprocess.run([sys.executable, "-m", "auditor", *arguments], check=True)
