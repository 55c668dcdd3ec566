"""Zones of one's own that the zone above denies: found without a query, in each way of auditing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import pytest
from fix.fleets import head

from auditor.auditor import Auditor
from auditor.checks.address import OwnZones
from auditor.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

_24: Final = "2.0.192.in-addr.arpa"
_16: Final = "0.192.in-addr.arpa"


@pytest.mark.parametrize(
    ("own", "denied_by", "missing"),
    [
        ((_24,), "192.in-addr.arpa", _24),
        ((_24,), _24, ""),
        ((_24,), "", ""),
        ((), "192.in-addr.arpa", ""),
        ((_16,), "192.in-addr.arpa", _16),
        # The one that the zone above would delegate.
        ((_16, _24), "192.in-addr.arpa", _16),
        ((_16, _24), _16, _24),
        (("3.0.192.in-addr.arpa",), "192.in-addr.arpa", ""),
        # What denies it is below one's own, or beside it.
        ((_16,), _24, ""),
        ((_24,), "example.net", ""),
        (("7.2.0.192.in-addr.arpa",), _24, "7.2.0.192.in-addr.arpa"),
    ],
)
def test_a_denial_from_above_ones_own_zone_is_a_missing_delegation(
    own: tuple[str, ...], denied_by: str, missing: str
) -> None:
    assert OwnZones(own).undelegated("7.2.0.192.in-addr.arpa", denied_by) == missing


def _records(folder: Path, *, trace: bool) -> list[dict[str, Any]]:
    (folder / "z").write_text(head(_24) + "8 PTR a.example.net.\n70 CNAME 70.64/26\n")
    own = (f"64/26.{_24}", f"9.{_24}")
    settings = Settings(zones=folder, own=own, spf=False, trace=trace)

    async def scanned() -> list[dict[str, Any]]:
        async with Auditor(settings) as auditor:
            return [dict(each) async for each in auditor.scan(["192.0.2.7-9", "192.0.2.70"])]

    return asyncio.run(scanned())


def test_records_name_the_zone_on_the_fast_path_and_off_it(tmp_path: Path) -> None:
    quick, slow = _records(tmp_path, trace=False), _records(tmp_path, trace=True)
    assert quick == [{key: record[key] for key in record if key != "trace"} for record in slow]
    found = [
        (record["target"], finding["subject"])
        for record in quick
        for finding in record["findings"]
        if finding["code"] == "DELEGATION_MISSING"
    ]
    assert found == [("192.0.2.9", f"9.{_24}"), ("192.0.2.70", f"64/26.{_24}")]
    assert all(
        "PTR_MISSING" in {finding["code"] for finding in record["findings"]}
        for record in (quick[2], quick[3])
    )
