"""The quick look at an output finds what looking at each record finds."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.isp_block import isp_block
from views.making import address, domain, finding, invalid, write

from auditor.errors import InputError
from auditor.views.prefixes import PrefixFaults
from auditor.views.scan_faults import scan_faults

if TYPE_CHECKING:
    from pathlib import Path


def test_faults_of_a_block_are_those_of_its_records(tmp_path: Path) -> None:
    lines = [line for number, line in enumerate(isp_block()) if number % 0x3000 < 0x700]
    path = tmp_path / "x.ndjson"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    faults = PrefixFaults()
    for line in lines:
        faults.count_record(json.loads(line))
    assert scan_faults(path) == faults.collapsed()


def test_other_records_and_odd_subjects_are_passed_over(tmp_path: Path) -> None:
    odd = finding("PTR_GENERIC", "warning", '],"ptr":{"code":"X","severity":"error"')
    v4 = [address(f"192.0.2.{n}", "warn", findings=[odd]) for n in range(8)]
    missing = [finding("PTR_MISSING"), finding("PTR_MULTIPLE", "notice")]
    v6 = [address(f"2001:db8::{n:x}", "fail", findings=missing) for n in range(1, 32)]
    mixed = [address(f"::ffff:198.51.100.{n}", "fail", findings=missing) for n in range(8)]
    path = write(tmp_path / "x.ndjson", [*v4, *v6, *mixed, domain("example.net"), invalid("?")])
    assert {(each.code, *map(str, each.prefixes)) for each in scan_faults(path)} == {
        ("PTR_GENERIC", "192.0.2.0/29"),
        ("PTR_MISSING", "2001:db8::/123", "198.51.100.0/29"),
    }


def test_an_output_that_is_gone_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        scan_faults(tmp_path / "x.ndjson")
