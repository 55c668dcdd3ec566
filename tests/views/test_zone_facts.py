"""Zone facts beside results: counted, compared, shown and converted with them."""

from __future__ import annotations

import csv
import io
import json
from typing import TYPE_CHECKING, Any

import pytest
from cli.driving import call
from pyarrow import parquet
from support.fleet import FLEET
from views.making import address, finding, write

from auditor.errors import InputError
from auditor.findings.catalogue import entry
from auditor.views.report.page import make_page
from auditor.views.zone_facts import ZoneFaults, read_zones

if TYPE_CHECKING:
    from pathlib import Path


def _zone(
    name: str, addresses: int, *findings: dict[str, str], mends: str = "isp"
) -> dict[str, Any]:
    return {
        "zone": name,
        "parent": "198.in-addr.arpa",
        "soa": {"mname": "a.example", "rname": "host.example", "serial": 4_000_000_000},
        "parent_servers": [{"name": "r.example", "address": None, "status": "NODATA", "ns": []}],
        "servers": [
            {
                "name": "b.example",
                "address": "192.0.2.53",
                "status": "REFUSED",
                "aa": False,
                "serial": None,
                "ns": [],
                "only": None,
            }
        ],
        "addresses": addresses,
        "findings": list(findings),
        "mends": mends,
        "contact": "host@example",
    }


LAME = finding("SERVER_LAME", "warning", "b.example")


def _facts(folder: Path, *zones: dict[str, Any], name: str = "scan.ndjson") -> str:
    """Write one record and zone facts beside it; return the name of the result."""
    path = write(folder / name, [address("192.0.2.1")])
    with (folder / f"{name}.zones.ndjson").open("w") as file:
        file.writelines(json.dumps(zone) + "\n" for zone in zones)
    return str(path)


def _sixteen_lame(folder: Path) -> str:
    # Two addresses of the server are two findings, and one fault of the zone.
    zones = [_zone(f"{n}.198.in-addr.arpa", 256, LAME, LAME) for n in range(16)]
    missing = finding("DELEGATION_MISSING", "error", "99.198.in-addr.arpa")
    return _facts(folder, *zones, _zone("99.198.in-addr.arpa", 9, missing, mends="rir"))


def test_one_lame_server_hurts_the_targets_of_all_its_zones(tmp_path: Path) -> None:
    ended = call("summary", "--json", _sixteen_lame(tmp_path))
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["zones"] == {
        "zones": 17,
        "findings": [
            {
                "code": "DELEGATION_MISSING",
                "severity": "error",
                "subject": "99.198.in-addr.arpa",
                "zones": 1,
                "addresses": 9,
                "mends": {"rir": 1, "isp": 0, "customer": 0},
            },
            {
                "code": "SERVER_LAME",
                "severity": "warning",
                "subject": "b.example",
                "zones": 16,
                "addresses": 4096,
                "mends": {"rir": 0, "isp": 16, "customer": 0},
            },
        ],
        "rows": 2,
        "dropped": 0,
        "missed": 0,
    }


def test_a_person_reads_the_same_in_a_table(tmp_path: Path) -> None:
    name = _sixteen_lame(tmp_path)
    shown = [" ".join(line.split()) for line in call("summary", name).out.splitlines()]
    assert "SERVER_LAME 4,096 16 warning isp b.example" in shown
    cut = call("summary", "--top", "1", name).out
    assert "b.example" not in cut
    assert "and 1 more: --top 2 shows all" in cut


def test_results_without_zone_facts_say_nothing_of_zones(tmp_path: Path) -> None:
    path = write(tmp_path / "scan.ndjson", [address("192.0.2.1")])
    assert json.loads(call("summary", "--json", path).out)["zones"] is None
    assert "zone" not in call("summary", path).out
    assert b'id="zones"' not in make_page([str(path)], version="1")


def test_zones_that_are_fine_are_said_to_be(tmp_path: Path) -> None:
    name = _facts(tmp_path, _zone("1.198.in-addr.arpa", 3))
    assert "1 zone: no findings about them." in call("summary", name).out
    assert b"nothing was found wrong with them" in make_page([name], version="1")


def test_the_memory_for_faults_is_bounded_and_what_is_dropped_is_said() -> None:
    found = ZoneFaults(limit=4)
    for number in range(100):
        fault = finding("SERVER_LAME", "warning", f"{number}.example")
        found.count_zone(_zone(f"{number}.example", number, fault))
    said = found.as_json(100)
    assert said is not None
    assert said["zones"] == 100
    assert said["rows"] == len(said["findings"]) <= 4
    assert said["dropped"] + said["rows"] == 100


@pytest.mark.parametrize(
    "change",
    [
        {"zone": 7},
        {"addresses": "7"},
        {"mends": "you"},
        {"findings": [{"code": "X"}]},
        {"mends": []},
    ],
)
def test_what_is_no_zone_fact_is_named_with_its_line(tmp_path: Path, change: Any) -> None:
    good = _zone("1.198.in-addr.arpa", 3)
    name = _facts(tmp_path, good, {**good, **change})
    with pytest.raises(InputError, match=r"zones\.ndjson line 2: no zone fact"):
        list(read_zones(tmp_path / "scan.ndjson.zones.ndjson"))
    assert call("summary", name).code == 2


def test_a_diff_tells_what_came_and_went_with_zones(tmp_path: Path) -> None:
    serials = finding("SERIALS_DIFFER", "warning", "2.198.in-addr.arpa")
    unserved = finding("ZONE_UNSERVED", "error", "3.198.in-addr.arpa")
    same = _zone("4.198.in-addr.arpa", 1, LAME)
    old = _facts(tmp_path, _zone("2.198.in-addr.arpa", 7, serials), same, name="old.ndjson")
    new = _facts(tmp_path, _zone("3.198.in-addr.arpa", 8, unserved), same, name="new.ndjson")
    ended = call("diff", "--json", "--fail-on", "regression", old, new)
    assert ended.code == 1, ended.err
    found = [json.loads(line) for line in ended.out.splitlines()]
    assert [
        (each["target"], each["kind"], each["change"], each["regression"]) for each in found
    ] == [
        ("2.198.in-addr.arpa", "zone", "better", False),
        ("3.198.in-addr.arpa", "zone", "worse", True),
    ]
    assert found[0]["findings"] == {"added": [], "removed": [serials]}
    assert found[1]["findings"] == {"added": [unserved], "removed": []}
    assert [each["addresses"] for each in found] == [7, 8]
    text = call("diff", old, new).out
    assert "1 target, and none has changed" in text
    assert "3.198.in-addr.arpa  8 targets\n    + ZONE_UNSERVED\n" in text
    assert "2.198.in-addr.arpa  7 targets\n    - SERIALS_DIFFER\n" in text


def test_zone_facts_beside_one_result_only_are_not_compared(tmp_path: Path) -> None:
    old = str(write(tmp_path / "old.ndjson", [address("192.0.2.1")]))
    new = _facts(tmp_path, _zone("3.198.in-addr.arpa", 8, LAME), name="new.ndjson")
    assert call("diff", "--json", old, new).out == ""


def test_the_report_names_the_servers_the_targets_and_who_can_mend_it(tmp_path: Path) -> None:
    odd = finding("SERVER_LAME", "warning", "<b>.example")
    name = _facts(tmp_path, _zone("1.198.in-addr.arpa", 4096, odd, mends="customer"))
    page = make_page([name], version="1").decode()
    assert f"{entry('SERVER_LAME').title} <code>SERVER_LAME</code>" in page
    assert '&lt;b&gt;.example</code></td><td class="number">4,096 targets' in page
    assert "the holder of the zone" in page


def test_zone_facts_become_tables(tmp_path: Path) -> None:
    facts = _sixteen_lame(tmp_path) + ".zones.ndjson"
    ended = call("convert", facts, "-o", "-")
    rows = list(csv.DictReader(io.StringIO(ended.out)))
    assert len(rows) == 17
    assert rows[0] == {
        "zone": "0.198.in-addr.arpa",
        "parent": "198.in-addr.arpa",
        "addresses": "256",
        "mends": "isp",
        "contact": "host@example",
        "codes": "SERVER_LAME SERVER_LAME",
        "soa_mname": "a.example",
        "soa_rname": "host.example",
        "soa_serial": "4000000000",
        "parent_servers": "r.example",
        "servers": "b.example",
        "run": "",
        "scanned_at": "",
    }
    path = tmp_path / "zones.parquet"
    assert call("convert", "--flat", facts, "-o", path).code == 0
    table = parquet.read_table(path).to_pylist()
    assert len(table) == 33
    assert table[-1]["code"] == "DELEGATION_MISSING"
    assert table[-1]["addresses"] == 9
    whole = tmp_path / "whole.parquet"
    assert call("convert", facts, "-o", whole).code == 0
    assert parquet.read_table(whole).to_pylist()[0]["codes"] == ["SERVER_LAME"] * 2


def test_records_and_zone_facts_make_no_common_table(tmp_path: Path) -> None:
    name = _sixteen_lame(tmp_path)
    ended = call("convert", name, f"{name}.zones.ndjson", "-o", "-")
    assert ended.code == 2
    assert "records and zone facts do not fit one table: convert them one by one" in ended.err


def test_a_scan_without_zone_facts_takes_those_away_that_it_makes_stale(tmp_path: Path) -> None:
    name = _sixteen_lame(tmp_path)
    ended = call(
        "scan", "--zones", FLEET / "zones", "--overwrite", "--quiet", "-o", name, "198.51.100.53"
    )
    assert ended.code == 0, ended.err
    assert not (tmp_path / "scan.ndjson.zones.ndjson").exists()
