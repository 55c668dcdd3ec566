"""The example fleet: its README tells the truth, and shows every finding there is."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cli.driving import call
from support.fleet import FLEET, Expected, expected, targets

from auditor.findings.catalogue import ENTRIES

if TYPE_CHECKING:
    from pathlib import Path


def _scan(file: str, folder: Path) -> list[dict[str, Any]]:
    output = folder / "out.ndjson"
    given = ("--zones", FLEET / "zones", "-i", FLEET / file)
    assert call("scan", "--quiet", *given, "-o", output).code == 0
    return [json.loads(line) for line in output.read_text("utf-8").splitlines()]


def _codes(record: dict[str, Any]) -> list[str]:
    return sorted({finding["code"] for finding in record["findings"]})


def test_the_readme_has_a_row_for_every_target_in_order() -> None:
    assert [row.target for row in expected("targets.txt")] == targets()


def test_the_fleet_has_a_specimen_of_every_finding() -> None:
    shown = {
        code for file in ("targets.txt", "targets.csv") for row in expected(file) for code in row[1]
    }
    # What a scan cannot find, the tests of `auditor check` show; what fails validation, which no
    # zone file says, `test_bogus`.
    assert shown == {
        entry.code
        for entry in ENTRIES
        if not entry.beyond_scan and not entry.code.endswith("_BOGUS")
    }


@pytest.mark.parametrize("file", ["targets.txt", "targets.csv"])
def test_a_scan_finds_what_the_readme_says(file: str, tmp_path: Path) -> None:
    rows = expected(file)
    records = _scan(file, tmp_path)
    found = []
    for row, record in zip(rows, records, strict=True):
        results = {fact["identity"]: fact["result"] for fact in record["spf"]}
        spf = (results.get("helo", ""), results.get("mailfrom", "")) if file[-3:] == "csv" else ()
        found.append(Expected(record["target"], _codes(record), *spf))
        # Files refuse nothing: that is what name servers do (see test_scan_real_servers.py).
        codes = [code for code in row.codes if code != "SERVER_LAME"]
        assert found[-1] == row._replace(codes=codes)
