"""What a report gathers: counts, rows, prefixes, blocks, comparison; bounded, and exact.

Also tests `encode.py`, `maps.py` and `ranking.py`.
"""

from __future__ import annotations

from collections import Counter
from ipaddress import IPv4Address
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.reports import address_record, domain_record, spf_fact, write_records

from auditor.errors import InputError, UsageError
from auditor.findings.judge import VERDICTS
from auditor.views.reader.results import Results
from auditor.views.report.aggregate import OTHERS, AggregateLimits, ScanAggregate
from auditor.views.report.compare import gather
from auditor.views.report.encode import page_data
from auditor.views.report.maps import blocks
from auditor.views.report.ranking import no_longer_found, ranked

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

_FIRST = 0xC0000200  # 192.0.2.0
_MAX_CODES = {"pass": (), "warn": ("PTR_GENERIC",), "unknown": ("PTR_UNDETERMINED",)}
_MAX_CODES["fail"] = ("PTR_MISSING",)


def _gathered(records: Iterable[dict[str, Any]], **limits: int) -> ScanAggregate:
    gathered = ScanAggregate(AggregateLimits(**limits))
    for record in records:
        gathered.add_record(record)
    return gathered


def _addresses(*prefixes: str) -> list[dict[str, Any]]:
    """Return records of the first two addresses of some /24s."""
    return [address_record(f"{prefix}.{last}") for prefix in prefixes for last in (0, 1)]


# --- Blocks


@pytest.mark.parametrize(
    ("prefixes", "expected"),
    [
        (["192.0.2"], ["192.0.2.0/24 32"]),
        (["192.0.2", "192.0.3"], ["192.0.2.0/23 32"]),
        (["192.0.3", "192.0.4"], ["192.0.0.0/21 32"]),
        (["192.0.0", "192.0.255"], ["192.0.0.0/16 32"]),
        (["192.0.2", "192.2.2"], ["192.0.2.0/24 32", "192.2.2.0/24 32"]),
        (["192.0.2", "192.1.2"], ["192.0.0.0/15 24"]),
        (["9.255.0", "10.0.0"], ["9.255.0.0/24 32", "10.0.0.0/24 32"]),
    ],
)
def test_a_block_is_the_smallest_prefix_around_neighbours(
    prefixes: list[str], expected: list[str]
) -> None:
    found, others = blocks(_gathered(_addresses(*prefixes)))
    assert [f"{block.text} {block.cell}" for block in found] == expected
    assert sum(sum(block.verdicts) for block in found) == 2 * len(prefixes)
    assert others == 0


def test_with_too_many_targets_for_rows_a_cell_is_a_24() -> None:
    found, _ = blocks(_gathered(_addresses("192.0.2", "198.51.100"), rows=3))
    assert [f"{block.text} {block.cell}" for block in found] == [
        "192.0.0.0/16 24",
        "198.51.0.0/16 24",
    ]


def test_with_too_many_prefixes_the_whole_space_is_one_map_of_16s() -> None:
    records = _addresses("192.0.2", "192.0.3", "198.51.100")
    gathered = _gathered([*records, address_record("2001:db8::1")], prefixes=2)
    assert [f"{block.text} {block.cell}" for block in blocks(gathered)[0]] == ["0.0.0.0/0 16"]
    counts = {key: sum(prefix.verdicts) for key, prefix in gathered.prefixes.items()}
    assert counts == {(4, 16, 0xC000): 4, (4, 16, 0xC633): 2, (6, 32, 0x20010DB8): 1}


def test_of_too_many_blocks_those_with_the_most_targets_are_kept() -> None:
    records = _addresses(*(f"10.{2 * number}.0" for number in range(70)))
    records.append(address_record("10.138.0.2"))
    found, others = blocks(_gathered(records))
    assert len(found) == 64
    assert others == 6
    assert found[-1].text == "10.138.0.0/24"


def test_without_ipv4_there_is_no_block() -> None:
    records = [address_record("2001:db8::1"), domain_record("example.net")]
    assert blocks(_gathered(records)) == ([], 0)


# --- Bounds


def test_past_the_limit_only_problems_keep_a_row() -> None:
    records = [
        address_record(f"192.0.2.{n}", *(["PTR_MISSING"] if n % 2 else [])) for n in range(20)
    ]
    assert _gathered(records, rows=20).complete
    gathered = _gathered(records, rows=19, problems=7)
    assert not gathered.complete
    assert [row.target for row in gathered.rows] == [f"192.0.2.{n}" for n in range(1, 14, 2)]
    assert gathered.now.verdicts == {"pass": 10, "fail": 10}


def test_domains_past_the_limit_are_counted_together() -> None:
    records = [
        address_record(
            f"192.0.2.{n}",
            names=[f"mail.example-{n}.net"],
            spf=[spf_fact("helo", f"mail.example-{n}.net", "pass")],
        )
        for n in range(5)
    ]
    gathered = _gathered(records, domains=2)
    assert {name: domain.addresses for name, domain in gathered.domains.items()} == {
        "example-0.net": 1,
        "example-1.net": 1,
        OTHERS: 3,
    }
    assert sum(counts["pass"] for counts in gathered.spf.values()) == 5
    assert len(gathered.spf) == 3


def test_codes_without_end_are_counted_together() -> None:
    records = []
    for number in range(600):
        record = address_record(f"192.0.{number >> 8}.{number & 255}", "PTR_GENERIC")
        record["findings"][0]["code"] = f"NEW_{number}"
        records.append(record)
    gathered = _gathered(records)
    assert len(gathered.now.codes) == 513
    assert gathered.now.codes[OTHERS] == 600 - 512
    found = page_data(gathered, blocks(gathered)[0], others=0, compared=False)
    assert {code for code, _, _ in found["codes"]} == {f"NEW_{n}" for n in range(600)} | {OTHERS}
    assert {each.code for each in ranked(gathered, compared=False)} >= {"NEW_0", OTHERS}


# --- What is counted


def test_an_address_counts_once_for_a_domain_and_a_result() -> None:
    names = ["a.example.net", "b.example.net", "c.example.org"]
    spf = [spf_fact("helo", name, "pass") for name in names]
    gathered = _gathered([address_record("192.0.2.1", names=names, spf=spf)])
    assert {name: found.addresses for name, found in gathered.domains.items()} == {
        "example.net": 1,
        "example.org": 1,
    }
    assert gathered.spf == {
        (0xC000, "helo", "example.net"): Counter({"pass": 1}),
        (0xC000, "helo", "example.org"): Counter({"pass": 1}),
    }


def test_names_count_for_the_domains_that_a_summary_counts_them_for() -> None:
    names = ["x\\.y.example.net", "192.0.2.1", "net", "a.b.example.co.uk"]
    gathered = _gathered([address_record(f"192.0.2.{n}", names=[names[n]]) for n in range(4)])
    assert set(gathered.domains) == {"example.net", "192.0.2.1", "net", "example.co.uk"}


def test_findings_are_ranked_by_severity_and_number_with_lines_to_publish() -> None:
    records = [
        address_record(f"192.0.2.{n}", "PTR_GENERIC", names=["p.example.net"]) for n in "123"
    ]
    records += [address_record(f"192.0.3.{n}", "PTR_MISSING") for n in "4567"]
    records += [address_record("192.0.2.8", "FORWARD_MISSING", names=["gone.example.net"])]
    found = ranked(_gathered(records), compared=False)
    assert [(each.code, each.targets) for each in found] == [
        ("PTR_MISSING", 4),
        ("FORWARD_MISSING", 1),
        ("PTR_GENERIC", 3),
    ]
    assert found[1].lines == ("; 192.0.2.8\ngone.example.net. IN A 192.0.2.8",)
    assert found[0].lines[0] == (
        "; 192.0.3.4\n; 4.3.0.192.in-addr.arpa. IN PTR <host>.\n; <host>. IN A 192.0.3.4"
    )
    assert (found[0].more, found[1].more) == (1, 0)
    assert found[0].places == (("192.0.3.0/24", 4),)
    assert found[0].before is None


def test_what_belongs_to_lines_to_publish_is_a_comment_beside_them() -> None:
    record = address_record("192.0.2.9", "PTR_INVALID_NAME", names=["a_b.example.net"])
    record = {**record, "helo": {"name": "mx.example.net", "status": "NXDOMAIN", "addresses": []}}
    (found,) = ranked(_gathered([record]), compared=False)
    lines = found.lines[0].splitlines()
    assert lines[1] == "9.2.0.192.in-addr.arpa. IN PTR mx.example.net."
    assert lines[3] == "; The PTR record takes the place of the record with a_b.example.net."


def test_severities_are_those_of_the_records() -> None:
    record = address_record("192.0.2.1", "PTR_GENERIC", names=["p.example.net"])
    record["findings"][0]["severity"] = "error"
    assert [each.severity for each in ranked(_gathered([record]), compared=False)] == ["error"]


def test_a_finding_of_a_later_version_is_named_without_advice() -> None:
    record = address_record("192.0.2.1", "PTR_GENERIC")
    record["findings"][0]["code"] = "PTR_TOO_LATE"
    (found,) = ranked(_gathered([record]), compared=False)
    assert (found.code, found.why, found.remedy, found.lines) == ("PTR_TOO_LATE", "", "", ())


def test_a_target_that_is_no_address_is_listed_and_on_no_map() -> None:
    gathered = _gathered([address_record("not an address", "PTR_MISSING")])
    assert blocks(gathered) == ([], 0)
    assert [row.target for row in gathered.rows] == ["not an address"]
    (found,) = ranked(gathered, compared=False)
    assert found.lines == ()


# --- Comparison


def _scan(folder: Path, name: str, targets: list[tuple[int, str]]) -> Results:
    records = [
        address_record(str(IPv4Address(_FIRST + number)), *_MAX_CODES[verdict])
        for number, verdict in targets
    ]
    return Results([write_records(folder / name, records)])


_TARGETS = st.lists(
    st.tuples(st.integers(0, 255), st.sampled_from(VERDICTS)), max_size=40, unique_by=lambda t: t[0]
)


@given(old=_TARGETS, new=_TARGETS)
def test_rows_know_what_became_of_their_targets_in_whatever_order(
    tmp_path_factory: pytest.TempPathFactory,
    old: list[tuple[int, str]],
    new: list[tuple[int, str]],
) -> None:
    folder = tmp_path_factory.mktemp("compare")
    gathered, changes = gather(_scan(folder, "new", new), _scan(folder, "old", old))
    before, now = dict(old), dict(new)
    assert {row.number - _FIRST: row.before for row in gathered.rows} == {
        number: before.get(number, "") for number in now
    }
    assert {row.number - _FIRST for row in gathered.rows if row.change} == {
        number for number, verdict in now.items() if verdict != before.get(number)
    }
    assert changes is not None
    assert changes["appeared"] == len(now.keys() - before.keys())
    assert changes["vanished"] == len(before.keys() - now.keys())
    assert gathered.before.verdicts == Counter(before.values())
    assert {code for code, _ in no_longer_found(gathered)} == {
        code for verdict in {*before.values()} - {*now.values()} for code in _MAX_CODES[verdict]
    }


def test_a_target_named_twice_is_compared_one_by_one(tmp_path: Path) -> None:
    old = _scan(tmp_path, "old", [(1, "pass"), (1, "fail")])
    new = _scan(tmp_path, "new", [(1, "fail"), (1, "fail"), (1, "pass")])
    gathered, _ = gather(new, old)
    assert sorted((row.shape.verdict, row.change, row.before) for row in gathered.rows) == [
        ("fail", "", "fail"),
        ("fail", "worse", "pass"),
        ("pass", "appeared", ""),
    ]


def test_a_prefix_knows_how_many_failed_before(tmp_path: Path) -> None:
    new = _scan(tmp_path, "new", [(1, "fail"), (2, "pass")])
    old = _scan(tmp_path, "old", [(n, "fail") for n in range(9)])
    gathered, _ = gather(new, old)
    assert gathered.failed_before == {(4, 24, _FIRST >> 8): 9}
    # Also when prefixes have become coarse in the meantime.
    some = write_records(tmp_path / "some", _addresses("192.0.2", "192.0.3"))
    gathered, _ = gather(Results([some]), old, AggregateLimits(prefixes=1))
    assert gathered.failed_before == {(4, 16, _FIRST >> 16): 9}


def test_standard_input_is_not_compared(tmp_path: Path) -> None:
    old = _scan(tmp_path, "old", [])
    with pytest.raises(UsageError, match="can be read once only; --previous needs files"):
        gather(Results(["-"]), old)


@pytest.mark.parametrize(
    ("damage", "where"),
    [
        ({"ptr": {"status": "NOERROR", "names": [1], "chain": []}}, "ptr.names"),
        ({"findings": [{"code": "X", "severity": "grave", "subject": ""}]}, "findings.severity"),
        ({"spf": [{}]}, "spf.identity"),
        ({"labels": {"a": []}}, "labels"),
    ],
)
def test_what_is_no_record_inside_is_named_with_file_and_line(
    tmp_path: Path, damage: dict[str, Any], where: str
) -> None:
    path = tmp_path / "x.ndjson"
    good = address_record("192.0.2.1")
    path.write_bytes(orjson.dumps(good) + b"\n" + orjson.dumps({**good, **damage}) + b"\n")
    with pytest.raises(InputError, match=rf'x\.ndjson line 2: no record: "{where}"'):
        gather(Results([str(path)]))
