"""What is said of whole prefixes is the same however records are read; memory is bounded.

Also tests `places.py` and `empty_networks.py`.
"""

from __future__ import annotations

import json
import random
from typing import TYPE_CHECKING

import pytest
from support.isp_block import isp_block
from views.making import address, finding

from auditor.views.block_facts import BlockFacts
from auditor.views.diff.places import FindingPlaces
from auditor.views.reader.results import Results
from auditor.views.summary.summary import summarise

if TYPE_CHECKING:
    from pathlib import Path


def test_records_one_by_one_give_what_lines_give(tmp_path: Path) -> None:
    lines = [line for number, line in enumerate(isp_block()) if number % 0x1800 < 0x200]
    random.Random(4).shuffle(lines)
    path = tmp_path / "x.ndjson"
    path.write_bytes(b"".join(line + b"\n" for line in lines))
    facts = BlockFacts()
    for line in lines:
        facts.count_record(json.loads(line))
    one_by_one = facts.as_json(50)
    whole = summarise(Results([path])).facts.as_json(50)
    # Which of a few names wait to become a pattern depends on the order that they come in.
    for found in (one_by_one, whole):
        for template in found["naming"]["templates"]:
            template.pop("others")
    assert one_by_one == whole


def test_an_address_is_in_use_by_its_name_or_its_helo_name() -> None:
    facts = BlockFacts()
    helo = {"name": "mail.example.net", "status": "NOERROR", "addresses": [], "confirms": False}
    facts.count_record(address("192.0.2.1", "pass", "a.example.net"))
    facts.count_record(address("192.0.2.2", "fail", findings=[finding("PTR_MISSING")]))
    facts.count_record(address("192.0.2.3", "fail", helo=helo))
    assert facts.as_json(1)["in_use"] == {"addresses": 3, "in_use": 2, "failing": 1}


def test_places_beyond_the_limit_are_counted_without_their_prefix() -> None:
    places = FindingPlaces(limit=2)
    added = {"added": [finding("PTR_MISSING")], "removed": []}
    for n in range(8):
        places.count_change({"target": f"192.0.{n}.1", "kind": "ip", "findings": added})
    places.count_change({"target": "example.net", "kind": "domain", "findings": added})
    (found,) = places.changed_findings()
    assert (found.code, found.added, found.removed, found.prefix) == ("PTR_MISSING", 9, 0, None)


@pytest.mark.parametrize(
    ("targets", "prefix"),
    [
        (["192.0.2.1", "203.0.113.1"], None),  # 192.0.0.0/4 is nobody's
        (["10.1.0.1", "10.200.0.1"], "10.0.0.0/8"),
        (["2001:db8::1", "2a00::1"], None),
        (["2001:db8::1", "2001:db8:1::1"], "2001:db8::/47"),
    ],
)
def test_a_prefix_that_nobody_holds_is_no_place(targets: list[str], prefix: str | None) -> None:
    places = FindingPlaces()
    added = {"added": [finding("PTR_MISSING")], "removed": []}
    for target in targets:
        places.count_change({"target": target, "kind": "ip", "findings": added})
    (found,) = places.changed_findings()
    assert found.prefix is None if prefix is None else str(found.prefix) == prefix
