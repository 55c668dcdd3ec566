"""The example fleet: its README tells the truth, and shows every finding there is."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.fleet import FLEET, Expected, expected, targets

from auditor.findings.catalogue import ENTRIES

if TYPE_CHECKING:
    from pathlib import Path


def _scan(file: str, folder: Path) -> list[dict[str, Any]]:
    output = folder / "out.ndjson"
    command = [sys.executable, "-m", "auditor", "scan", "--quiet", "--zones", str(FLEET / "zones")]
    subprocess.run([*command, "-i", str(FLEET / file), "-o", str(output)], check=True)
    return [json.loads(line) for line in output.read_text("utf-8").splitlines()]


def _codes(record: dict[str, Any]) -> list[str]:
    return sorted({finding["code"] for finding in record["findings"]})


def test_the_readme_has_a_row_for_every_target_in_order() -> None:
    assert [row.target for row in expected("targets.txt")] == targets()


def test_the_fleet_has_a_specimen_of_every_finding() -> None:
    shown = {
        code for file in ("targets.txt", "targets.csv") for row in expected(file) for code in row[1]
    }
    # What a scan cannot find, the tests of `auditor check` show.
    assert shown == {entry.code for entry in ENTRIES if not entry.only_check}


@pytest.mark.parametrize("file", ["targets.txt", "targets.csv"])
def test_a_scan_finds_what_the_readme_says(file: str, tmp_path: Path) -> None:
    rows = expected(file)
    records = _scan(file, tmp_path)
    found = []
    for row, record in zip(rows, records, strict=True):
        results = {fact["identity"]: fact["result"] for fact in record["spf"]}
        spf = (results.get("helo", ""), results.get("mailfrom", "")) if file[-3:] == "csv" else ()
        found.append(Expected(record["target"], _codes(record), *spf))
        assert found[-1] == row
