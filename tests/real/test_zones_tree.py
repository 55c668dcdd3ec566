"""Every fault of a delegation or a server, seeded in a tree of real servers, and found.

Also tests `run/authority.py`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest
from cli.driving import auditor
from support.dns_tree import Tree, dns_tree
from support.effort import sample

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.process

_R: Final = "51.198.in-addr.arpa"
#: What is wrong with each zone: findings and who can fix them.
EXPECTED: Final[dict[str, tuple[set[tuple[str, str]], str]]] = {
    f"100.{_R}": (set(), "isp"),
    f"0/26.100.{_R}": (set(), "customer"),
    f"64/26.100.{_R}": ({("DELEGATION_MISSING", f"64/26.100.{_R}")}, "isp"),
    f"101.{_R}": ({("DELEGATION_MISSING", f"101.{_R}")}, "rir"),
    f"102.{_R}": ({("DELEGATION_PARTIAL", f"102.{_R}")}, "rir"),
    f"103.{_R}": ({("ZONE_UNSERVED", f"103.{_R}"), ("SERVER_LAME", "a.example")}, "isp"),
    f"104.{_R}": ({("SERVER_LAME", "b.example")}, "isp"),
    f"105.{_R}": ({("SERVER_WITHOUT_ADDRESS", "ghost.example")}, "isp"),
    f"106.{_R}": ({("NS_MISMATCH", f"106.{_R}")}, "isp"),
    f"107.{_R}": ({("SERIALS_DIFFER", f"107.{_R}")}, "isp"),
    f"108.{_R}": ({("SERVERS_DISAGREE", f"7.108.{_R}")}, "isp"),
    f"110.{_R}": ({("SERVER_LAME", "upward.example")}, "isp"),
    f"111.{_R}": ({("SERVER_LAME", "without-aa.example")}, "isp"),
    f"112.{_R}": ({("SERVER_SILENT", "nobody.example")}, "isp"),
    "52.198.in-addr.arpa": ({("ANCESTOR_NXDOMAIN", "1.52.198.in-addr.arpa")}, "isp"),
}
TARGETS: Final = (
    *(f"198.51.{number}.7" for number in range(100, 113) if number != 109),
    "198.51.100.10",
    "198.51.100.70",
    "198.52.1.7",
)


@pytest.fixture(scope="module")
def tree() -> Iterator[Tree]:
    with dns_tree() as running:
        yield running


def _options(tree: Tree) -> list[str]:
    return ["--server", tree.recursor, "--authority-port", str(tree.port), "--timeout", "1"]


def _found(lines: list[dict[str, Any]]) -> dict[str, tuple[set[tuple[str, str]], str]]:
    return {
        line["zone"]: (
            {(finding["code"], finding["subject"]) for finding in line["findings"]},
            line["mends"],
        )
        for line in lines
    }


def test_every_seeded_fault_is_found_and_nothing_else_with_who_can_mend_it(tree: Tree) -> None:
    ended = auditor("zones", *_options(tree), "--authority=every", "--json", *TARGETS)
    assert ended.code == 0, ended.err
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert _found(lines) == EXPECTED
    assert [line["zone"] for line in lines] == sorted(EXPECTED)
    only = {
        server["name"]: server["only"]
        for line in lines
        if line["zone"] == f"108.{_R}"
        for server in line["servers"]
    }
    assert only == {"a.example": [f"7.108.{_R}"], "b.example": [f"7.108.{_R}"]}


def test_a_scan_writes_the_same_zones_beside_its_records(tree: Tree, tmp_path: Path) -> None:
    plain, beside = tmp_path / "plain.ndjson", tmp_path / "out.ndjson"
    options = [*_options(tree), "--no-spf", "--quiet"]
    assert auditor("scan", *options, "-o", plain, *TARGETS).code == 0
    ended = auditor("scan", *options, "--authority=every", "-o", beside, *TARGETS)
    assert ended.code == 0, ended.err
    assert plain.read_text().splitlines() == beside.read_text().splitlines()
    manifest = json.loads((tmp_path / "out.ndjson.run.json").read_text())
    assert manifest["zones"]["zones"] == len(EXPECTED)
    assert manifest["zones"]["findings"]["SERVER_LAME"] == 4
    written = (tmp_path / "out.ndjson.zones.ndjson").read_text()
    shown = auditor("zones", *_options(tree), "--authority=every", "--json", *TARGETS)
    assert shown.out.splitlines() == written.splitlines()


@pytest.mark.parametrize("options", sample([["--workers", "2"], ["--concurrency", "1"]]))
def test_neither_concurrency_nor_workers_change_the_zone_facts(
    tree: Tree, tmp_path: Path, options: list[str]
) -> None:
    path = tmp_path / "out.ndjson"
    common = [*_options(tree), "--authority=every", "--no-spf", "--quiet", "-o", str(path)]
    assert auditor("scan", *common, *options, *TARGETS).code == 0
    shown = auditor("zones", *_options(tree), "--authority=every", "--json", *TARGETS)
    assert (tmp_path / "out.ndjson.zones.ndjson").read_text() == shown.out


def test_a_scan_that_is_resumed_writes_the_facts_of_all_its_records(
    tree: Tree, tmp_path: Path
) -> None:
    path = tmp_path / "out.ndjson"
    common = ["scan", *_options(tree), "--authority", "--no-spf", "--quiet", "-o", str(path)]
    assert auditor(*common, *TARGETS).code == 0
    facts = (tmp_path / "out.ndjson.zones.ndjson").read_text()
    # As it is after the first session, which has written half of the records and no facts.
    lines = path.read_bytes().splitlines(keepends=True)
    path.unlink()
    (tmp_path / "out.ndjson.zones.ndjson").unlink()
    (tmp_path / "out.ndjson.partial").write_bytes(b"".join(lines[: len(lines) // 2]))
    assert auditor(*common, "--resume", *TARGETS).code == 0
    assert path.read_bytes() == b"".join(lines)
    assert (tmp_path / "out.ndjson.zones.ndjson").read_text() == facts
    # Finished, there is nothing to resume; and no facts are no result either.
    assert auditor(*common, "--resume", *TARGETS).code == 0
    (tmp_path / "out.ndjson.zones.ndjson").unlink()
    ended = auditor(*common, "--resume", *TARGETS)
    assert ended.code == 2
    assert "is missing, and the records are complete; --overwrite writes both" in ended.err


def test_authority_takes_no_target_for_its_value(tree: Tree, tmp_path: Path) -> None:
    path = tmp_path / "out.ndjson"
    options = [*_options(tree), "--quiet", "--no-spf", "-o", str(path)]
    ended = auditor("scan", *options, "--authority", "198.51.108.7")
    assert ended.code == 0, ended.err
    (line,) = (tmp_path / "out.ndjson.zones.ndjson").read_text().splitlines()
    # Equal serials: without asking for each PTR record nothing shows.
    assert json.loads(line)["findings"] == []
    assert json.loads(line)["addresses"] == 1


def test_a_check_says_that_the_registry_delegates_no_zone_and_whom_to_write_to(tree: Tree) -> None:
    options = ("--server", tree.recursor, "--timeout", "1")
    words = " ".join(auditor("check", *options, "198.51.101.7").out.split())
    assert "no name in the zone 198.in-addr.arpa" in words
    assert "contact host.master@isp.example a registry's, which delegates no zone" in words
    words = " ".join(auditor("check", *options, "198.51.100.9").out.split())
    assert "no name in the zone 100.51.198.in-addr.arpa" in words
    assert "a registry's" not in words


def test_a_person_is_shown_the_servers_the_fault_and_the_contact(tree: Tree) -> None:
    ended = auditor("zones", *_options(tree), "--fail-on", "error", "198.51.103.7", "198.51.104.7")
    assert ended.code == 1
    words = " ".join(ended.out.split())
    assert f"104.{_R} 1 target" in words
    assert "b.example 127.53.2.2: REFUSED" in words
    assert "write to host.master@isp.example" in words
    assert "ZONE_UNSERVED error" in words
    assert "Can be fixed by the provider" in words


def test_a_zone_is_compared_with_what_each_of_its_servers_has(tree: Tree, tmp_path: Path) -> None:
    # As the second of its servers has it; the first one still says what has been.
    origin = f"108.{_R}"
    (tmp_path / "zone").write_text(
        f"$ORIGIN {origin}.\n$TTL 300\n"
        "@ SOA a.example. host\\.master.isp.example. 4 7200 900 86400 60\n"
        "@ NS a.example.\n@ NS b.example.\n7 PTR old108.example.\n8 PTR other108.example.\n"
    )
    arguments = ["compare", origin, "--primary", str(tmp_path / "zone"), *_options(tree)]
    ended = auditor(*arguments, "--json")
    assert ended.code == 1, ended.err
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert [(line["server"], line["alike"], line["compared"]) for line in lines] == [
        ("a.example", False, 3),
        ("b.example", True, 3),
    ]
    (difference,) = lines[0]["differences"]
    assert (difference["owner"], difference["primary"], difference["server"]) == (
        f"7.{origin}",
        ["old108.example."],
        ["mail108.example."],
    )
    text = auditor(*arguments).out
    assert "the same serial, 1 of 3 record sets differ, 0 undetermined" in text
    assert "    server:  mail108.example. (NOERROR)" in text
