"""The summary counts what a plain loop over parsed records counts, only faster.

Also tests `owner.py`, `line_classes.py` and `top_counts.py`.
"""

from __future__ import annotations

import ipaddress
import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples
from views.making import address, domain, finding, invalid, lines, records, spf, write

from auditor.errors import InputError
from auditor.publicsuffix import registrable
from auditor.views.block_facts import BlockFacts
from auditor.views.owner import owner
from auditor.views.reader.results import Chunk, Results
from auditor.views.summary.line_classes import LineClasses
from auditor.views.summary.summary import SPF_RESULTS, Summary, summarise
from auditor.views.summary.top_counts import TopCounts

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path


def _plain(lines: Iterable[bytes]) -> dict[str, Any]:
    """Count with nothing but json and ipaddress."""
    found: dict[str, Any] = {
        name: Counter()
        for name in (
            "verdicts",
            "findings",
            "targets",
            "ptr",
            "iprev",
            "prefixes",
            "domains",
            "spf",
        )
    }
    for line in lines:
        record = json.loads(line)
        verdict, fails = record["verdict"], record["verdict"] == "fail"
        found["verdicts"][record["kind"], verdict] += 1
        for one in record["findings"]:
            found["findings"][one["code"], one["severity"]] += 1
        found["targets"].update({(one["code"], one["severity"]) for one in record["findings"]})
        if record["kind"] != "ip":
            continue
        found["ptr"][record["ptr"]["status"]] += 1
        found["iprev"][record["iprev"]["result"]] += 1
        number = ipaddress.ip_address(record["target"])
        length = 24 if number.version == 4 else 48
        prefix = ipaddress.ip_network(f"{number}/{length}", strict=False)
        found["prefixes"][str(prefix), "records"] += 1
        found["prefixes"][str(prefix), "failing"] += fails
        for name in {_domain(name) for name in record["ptr"]["names"]}:
            found["domains"][name, "records"] += 1
            found["domains"][name, "failing"] += fails
        for fact in record["spf"]:
            name = _domain(fact["domain"])
            if name and fact["identity"] == "mailfrom":
                name = fact["domain"]
            found["spf"][fact["identity"], name, fact["result"]] += 1
    return {name: +counts for name, counts in found.items()}


def _domain(name: str) -> str:
    labels = name.split(".")
    if labels[-1].isdigit() or ":" in name:
        return ""
    above = ".".join(labels[1:])
    return (registrable(above) if above else None) or registrable(name) or name


def _counted(summary: Summary) -> dict[str, Any]:
    """Return what a summary counted, in the form of `_plain`."""
    prefixes: Counter[tuple[str, str]] = Counter()
    for found in summary.as_json(1000)["prefixes"]:
        ranking = summary.prefixes[found["version"]]
        for number, (count, failing, *_) in ranking.rows.items():
            make = ipaddress.IPv4Network if found["version"] == 4 else ipaddress.IPv6Network
            shift = (32 if found["version"] == 4 else 128) - found["length"]
            prefix = str(make((number << shift, found["length"])))
            prefixes[prefix, "records"] += count
            prefixes[prefix, "failing"] += failing
    domains: Counter[tuple[str, str]] = Counter()
    for name, (count, failing) in summary.domains.rows.items():
        domains[name, "records"] += count
        domains[name, "failing"] += failing
    results: Counter[tuple[str, str, str]] = Counter()
    for (identity, name), row in summary.spf.rows.items():
        for result, count in zip(SPF_RESULTS, row, strict=True):
            results[identity, name, result] += count
    return {
        "verdicts": +summary.verdicts,
        "findings": +summary.findings,
        "targets": +summary.targets,
        "ptr": +summary.ptr,
        "iprev": +summary.iprev,
        "prefixes": +prefixes,
        "domains": +domains,
        "spf": +results,
    }


def _summed(lines: list[bytes], size: int = 3) -> Summary:
    summary = Summary()
    classes = LineClasses(summary.counts, summary.count_record, summary.facts)
    for at in range(0, len(lines), size):
        classes.count_chunk(Chunk(lines[at : at + size], "test", at + 1))
    classes.flush()
    return summary


@settings(max_examples=examples(150))
@given(st.lists(lines, max_size=8))
def test_it_counts_what_a_plain_loop_counts(some: list[bytes]) -> None:
    # Twice, so that the second half meets what is known from the first.
    assert _counted(_summed(some + some)) == _plain(some + some)


@settings(max_examples=examples(100))
@given(records, st.lists(st.sampled_from(("192.0.2.1", "192.0.2.2", "pass")), max_size=4))
def test_lines_that_differ_in_the_target_only_are_still_told_apart(
    record: dict[str, Any], targets: list[str]
) -> None:
    if record["kind"] == "ip":
        targets = [target for target in targets if target != "pass"]
    some = [json.dumps({**record, "target": t}, separators=(",", ":")).encode() for t in targets]
    assert _counted(_summed(some)) == _plain(some)


def test_records_of_one_kind_are_parsed_once() -> None:
    summary = Summary()
    noted: list[int] = []
    classes = LineClasses(summary.counts, lambda _, times: noted.append(times), BlockFacts())
    names = [f"host-{number}.dyn.example.net" for number in range(256)]
    some = [
        address(f"192.0.2.{n}", "pass", name, facts=[spf(name, "none")], labels={"n": str(n)})
        for n, name in enumerate(names)
    ]
    some += [address(f"2001:db8::{n:x}", "fail") for n in range(16)]
    some += [address(f"192.0.2.{n}", "pass", name, f"www.{name}") for n, name in enumerate(names)]
    for record in some[-256:]:
        record["ptr"]["chain"] = [f"{record['target']}.in-addr.arpa"]
    classes.count_chunk(
        Chunk([json.dumps(one, separators=(",", ":")).encode() for one in some], "x", 1)
    )
    classes.flush()
    assert noted == [256, 256, 16]


def used(in_use: int, failing: int) -> dict[str, int]:
    return {"in_use": in_use, "failing_in_use": failing}


def test_the_worst_prefixes_come_first(tmp_path: Path) -> None:
    some = [
        address("192.0.2.1", "pass", "a.example.net"),
        address("198.51.100.1", "fail"),
        address("198.51.100.2", "fail", "b.example.org"),
        address("198.51.100.3", "pass", "b.example.org"),
        address("203.0.113.1", "fail", "c.example.com"),
        address("2001:db8:1:ffff::1", "fail"),
        address("2001:db8:2::1", "pass"),
    ]
    data = summarise(Results([write(tmp_path / "x.ndjson", some)])).as_json(2)
    whole = {"rows": 3, "dropped": 0, "missed": 0}
    assert data["prefixes"][0] == {
        "version": 4,
        "length": 24,
        "worst": [
            {"prefix": "198.51.100.0/24", "records": 3, "failing": 2, **used(2, 1)},
            {"prefix": "203.0.113.0/24", "records": 1, "failing": 1, **used(1, 1)},
        ],
        "worst_in_use": [
            {"prefix": "198.51.100.0/24", "records": 3, "failing": 2, **used(2, 1)},
            {"prefix": "203.0.113.0/24", "records": 1, "failing": 1, **used(1, 1)},
        ],
        **whole,
    }
    assert data["prefixes"][1]["worst"] == [
        {"prefix": "2001:db8:1::/48", "records": 1, "failing": 1, **used(0, 0)}
    ]
    assert data["domains"] == {
        "worst": [
            {"domain": "example.com", "records": 1, "failing": 1},
            {"domain": "example.org", "records": 2, "failing": 1},
        ],
        **whole,
    }


def test_every_key_is_there_when_there_is_nothing() -> None:
    data = Summary().as_json(10)
    assert data["records"] == 0
    assert data["verdicts"] == {"pass": 0, "warn": 0, "unknown": 0, "fail": 0}
    assert set(data["kinds"]) == {"ip", "domain", "invalid"}
    assert data["findings"] == data["spf"]["domains"] == data["domains"]["worst"] == []
    assert data["ptr"] == {}
    assert set(data["iprev"].values()) == {0}


def test_findings_are_listed_from_the_gravest_to_the_most_harmless() -> None:
    summary = Summary()
    graded = {"A": "notice", "B": "error", "C": "warning", "D": "error", "E": "info"}
    for code, severity in graded.items():
        summary.count_record(domain("example.net", findings=[finding(code, severity)]), 1)
    summary.count_record(invalid("x"), 5)
    found = [(one["code"], one["count"]) for one in summary.as_json(1)["findings"]]
    assert found == [("TARGET_INVALID", 5), ("B", 1), ("D", 1), ("C", 1), ("A", 1), ("E", 1)]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("mail.example.net", "example.net"),
        ("example.net", "example.net"),
        ("a.b.example.co.uk", "example.co.uk"),
        ("co.uk", "co.uk"),
        ("localhost", "localhost"),
        ("192.0.2.1", ""),
        ("2001:db8::1", ""),
        ("", ""),
    ],
)
def test_a_name_counts_for_the_domain_that_a_registry_gave_out(name: str, expected: str) -> None:
    assert owner(name) == expected


# --- Bounds


def test_a_ranking_that_overflows_says_what_it_may_lack() -> None:
    ranking: TopCounts[int] = TopCounts(2, lambda row: row[1], limit=4)
    for key in range(6):
        ranking.row(key)[1] += key
    assert ranking.trim()
    assert (set(ranking.rows), ranking.dropped, ranking.missed) == ({4, 5}, 4, 3)
    assert not ranking.trim()
    # A key that comes again begins at nought: it lacks no more than it says.
    ranking.row(3)[1] += 3
    assert ranking.heaviest(9) == [(5, [0, 5]), (4, [0, 4]), (3, [0, 3])]


@settings(max_examples=examples(100))
@given(st.lists(st.integers(0, 15), max_size=200), st.integers(2, 12))
def test_no_count_is_too_high_and_none_lacks_more_than_it_says(keys: list[int], limit: int) -> None:
    ranking: TopCounts[int] = TopCounts(1, sum, limit)
    for key in keys:
        ranking.row(key)[0] += 1
        ranking.trim()
        assert len(ranking.rows) <= limit
    for key, true in Counter(keys).items():
        shown = ranking.rows.get(key, [0])[0]
        assert true - ranking.missed <= shown <= true


def test_memory_stays_bounded_and_the_worst_prefix_is_found(tmp_path: Path) -> None:
    some = [address(f"10.{n >> 8}.{n & 255}.1", "pass") for n in range(3000)]
    some[100:100] = [address(f"192.0.2.{n}", "fail") for n in range(50)]
    summary = summarise(Results([write(tmp_path / "x.ndjson", some)]), Summary(limit=64))
    found = summary.as_json(5)["prefixes"][0]
    # Trimmed between chunks, of which one has some hundred lines.
    assert found["rows"] < 600
    assert found["dropped"] > 2000
    assert found["missed"] == 0
    assert found["worst"] == [
        {"prefix": "192.0.2.0/24", "records": 50, "failing": 50, **used(0, 0)}
    ]
    assert summary.records == 3050


def test_prefixes_are_counted_on_after_others_were_dropped(tmp_path: Path) -> None:
    some = [address(f"10.0.{n % 200}.1", "fail") for n in range(2000)]
    summary = summarise(Results([write(tmp_path / "x.ndjson", some)]), Summary(limit=100))
    ranking = summary.prefixes[4]
    for row in ranking.rows.values():
        assert 10 - ranking.missed <= row[1] <= 10


# --- What is no record


@pytest.mark.parametrize(
    "line",
    [
        b'{"target":"192.0.2.1","kind":"ip","verdict":"fail"}',
        json.dumps({**address("192.0.2.1"), "verdict": "awful"}).encode(),
        json.dumps({**address("192.0.2.1"), "ptr": None}).encode(),
        b'{"target":"192.0.2.1","kind":"ip","verdict":"',
        b"spam",
        b"\xff",
    ],
)
def test_a_line_that_is_no_record_is_named(tmp_path: Path, line: bytes) -> None:
    path = write(tmp_path / "x.ndjson", [address("192.0.2.1"), address("192.0.2.2")])
    path.write_bytes(path.read_bytes() + line + b"\n")
    with pytest.raises(InputError, match=r"x\.ndjson line 3: .*expected the NDJSON of"):
        summarise(Results([path]))
