"""Every option of `auditor scan` does what its help says: over zone files."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from cli.driving import ZONES, Ended, codes, manifest, records
from support.fleet import FLEET

from auditor.output.schema import record_schema

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SCAN = ("scan", "--zones", ZONES)

#: Two addresses in order, one with a notice, one with a warning, one with an error.
GOOD, BETTER, NOTICE, WARNING, ERROR = (
    "198.51.100.1",
    "198.51.100.16",
    "198.51.100.41",
    "198.51.100.44",
    "198.51.100.40",
)


@pytest.fixture
def scan(call: Callable[..., Ended]) -> Callable[..., list[dict[str, Any]]]:
    """Scan quietly and return the records."""

    def scan_quietly(*arguments: str | Path) -> list[dict[str, Any]]:
        ended = call(*SCAN, "-q", *arguments)
        assert (ended.code, ended.err) == (0, "")
        return records(ended.out)

    return scan_quietly


def _targets(found: list[dict[str, Any]]) -> list[str]:
    return [record["target"] for record in found]


def test_targets_of_every_kind_give_records_in_order(scan: Callable[..., Any]) -> None:
    found = scan("198.51.100.2/31", "198.51.100.7-8", "2001:DB8:100:25::1", "Bücher.Example.org")
    assert _targets(found) == [
        "198.51.100.2",
        "198.51.100.3",
        "198.51.100.7",
        "198.51.100.8",
        "2001:db8:100:25::1",
        "xn--bcher-kva.example.org",
    ]


def test_duplicates_are_kept_and_bad_lines_become_records(scan: Callable[..., Any]) -> None:
    found = scan(GOOD, "198.51.100.300", GOOD)
    assert _targets(found) == [GOOD, "198.51.100.300", GOOD]
    assert found[0] == found[2]
    assert (found[1]["kind"], found[1]["verdict"], codes(found[1])) == (
        "invalid",
        "fail",
        ["TARGET_INVALID"],
    )


def test_no_target_at_all_is_a_scan_of_nothing(here: Path, call: Callable[..., Ended]) -> None:
    (here / "empty.txt").write_text("# nobody\n\n")
    ended = call(*SCAN, "-i", "empty.txt", "-o", "out.ndjson")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.startswith("0 records in ")
    assert (here / "out.ndjson").read_bytes() == b""
    assert manifest(here / "out.ndjson")["records"] == 0


def test_input_files_follow_the_arguments_in_order(here: Path, scan: Callable[..., Any]) -> None:
    (here / "a.txt").write_bytes(b"\xef\xbb\xbf198.51.100.2 # one\r\n\r\n198.51.100.3\r\n")
    (here / "b.txt").write_text("198.51.100.4")
    found = scan("-i", "a.txt", GOOD, "--input", here / "b.txt")
    assert _targets(found) == [GOOD, "198.51.100.2", "198.51.100.3", "198.51.100.4"]


def test_csv_and_ndjson_bring_identities_and_labels(here: Path, scan: Callable[..., Any]) -> None:
    rows = {
        "a.csv": "customer,IP,helo,mail_from\nme,198.51.100.16,mx-1.example.net,example.net\n",
        "b.ndjson": '{"target": "198.51.100.16", "helo": "mx-1.example.net", '
        '"mail_from": "example.net", "customer": "me"}\n',
    }
    for name, text in rows.items():
        (here / name).write_text(text)
    first, second = scan("-i", "a.csv", "-i", "b.ndjson")
    assert first == second
    assert first["labels"] == {"customer": "me"}
    assert [(spf["identity"], spf["result"]) for spf in first["spf"]] == [
        ("helo", "pass"),
        ("mailfrom", "pass"),
    ]


def test_excludes_are_left_out(here: Path, scan: Callable[..., Any]) -> None:
    (here / "not.txt").write_text("198.51.100.4-5\nexample.org\n")
    found = scan(
        "198.51.100.0/29", "www.example.org", "example.com", "-x", "198.51.100.0/31",
        "--exclude", "@not.txt",
    )  # fmt: skip
    assert _targets(found) == [
        "198.51.100.2",
        "198.51.100.3",
        "198.51.100.6",
        "198.51.100.7",
        "example.com",
    ]


def test_an_output_file_is_whole_and_has_a_manifest(here: Path, call: Callable[..., Ended]) -> None:
    ended = call(*SCAN, GOOD, ERROR, "-x", BETTER, "--output", "out.ndjson")
    assert (ended.code, ended.out) == (0, "")
    assert ended.err.splitlines()[1:] == [
        "  1  error    PTR_MISSING  The address has no PTR record",
        "`auditor explain CODE` says why a finding matters and what to do.",
        "records: out.ndjson",
        "manifest: out.ndjson.run.json",
    ]
    assert _targets(records((here / "out.ndjson").read_text())) == [GOOD, ERROR]
    assert sorted(path.name for path in here.iterdir()) == ["out.ndjson", "out.ndjson.run.json"]
    said = manifest(here / "out.ndjson")
    assert (said["how"], said["records"]) == ("finished", 2)
    assert (said["verdicts"], said["findings"]) == ({"fail": 1, "pass": 1}, {"PTR_MISSING": 1})
    assert said["inputs"] == {
        "arguments": [GOOD, ERROR],
        "files": [],
        "excludes": [BETTER],
        "targets": 2,
        "invalid": 0,
        "excluded": 0,
    }
    queries = said["queries"]
    done = queries["cached"] + queries["joined"] + queries["answered"] + queries["failed"]
    assert queries["asked"] == done > 0


def test_overwrite_replaces_an_output_and_its_rest(here: Path, call: Callable[..., Ended]) -> None:
    for name in ("out.ndjson", "out.ndjson.partial"):
        (here / name).write_text("old\n")
    assert call(*SCAN, "-q", GOOD, "-o", "out.ndjson", "--overwrite") == (0, "", "")
    assert _targets(records((here / "out.ndjson").read_text())) == [GOOD]
    assert not (here / "out.ndjson.partial").exists()


def test_a_scan_that_fails_leaves_the_old_output_alone(
    here: Path, call: Callable[..., Ended]
) -> None:
    (here / "out.ndjson").write_text("old\n")
    ended = call("scan", "--zones", "none", GOOD, "-o", "out.ndjson", "--overwrite")
    assert ended.code == 2
    assert [path.name for path in here.iterdir()] == ["out.ndjson"]
    assert (here / "out.ndjson").read_text() == "old\n"


def test_the_summary_counts_verdicts_and_findings_worst_first(call: Callable[..., Ended]) -> None:
    ended = call(*SCAN, "198.51.100.40-45", GOOD)
    head, *rest = ended.err.splitlines()
    assert head.startswith("7 records in ")
    assert head.endswith("/s): 2 pass · 4 warn · 1 fail")
    assert rest == [
        "  1  error    PTR_MISSING   The address has no PTR record",
        "  2  warning  PTR_GENERIC   The PTR name looks made up for a number or a …",
        "  2  warning  PTR_TOO_MANY  The address has more than ten PTR names; only the …",
        "  1  notice   PTR_MULTIPLE  The address has several PTR names",
        "`auditor explain CODE` says why a finding matters and what to do.",
    ]


@pytest.mark.parametrize("flag", ["-q", "--quiet"])
def test_quiet_says_nothing(call: Callable[..., Ended], flag: str) -> None:
    ended = call(*SCAN, flag, ERROR)
    assert (ended.code, ended.err) == (0, "")
    assert len(records(ended.out)) == 1


@pytest.mark.parametrize(
    ("fail_on", "target", "code"),
    [
        ("error", GOOD, 0),
        ("error", WARNING, 0),
        ("error", ERROR, 1),
        ("warning", NOTICE, 0),
        ("warning", WARNING, 1),
        ("warning", ERROR, 1),
        ("never", ERROR, 0),
    ],
)
@pytest.mark.parametrize("command", ["scan", "check"])
def test_fail_on_decides_the_exit_code(
    call: Callable[..., Ended], command: str, fail_on: str, target: str, code: int
) -> None:
    ended = call(command, "--zones", ZONES, "--fail-on", fail_on, GOOD, target)
    assert ended.code == code
    assert ended.out


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ["FORWARD_PARTIAL", "PTR_MULTIPLE"]),
        (["--select", "PTR"], ["PTR_MULTIPLE"]),
        (["--select", "PTR_,FORWARD_PARTIAL"], ["FORWARD_PARTIAL", "PTR_MULTIPLE"]),
        (["--select", "ptr", "--select", "forward"], ["FORWARD_PARTIAL", "PTR_MULTIPLE"]),
        (["--select", "SPF"], []),
        (["--ignore", "FORWARD_PARTIAL"], ["PTR_MULTIPLE"]),
        (["--ignore", "PTR, FORWARD"], []),
        (["--select", "PTR,FORWARD", "--ignore", "PTR_MULTIPLE"], ["FORWARD_PARTIAL"]),
    ],
)
@pytest.mark.parametrize("command", ["scan", "check"])
def test_select_and_ignore_decide_which_findings_count(
    call: Callable[..., Ended], command: str, options: list[str], expected: list[str]
) -> None:
    ended = call(command, "--zones", ZONES, "198.51.100.53", *options)
    if command == "scan":
        (record,) = records(ended.out)
        assert (codes(record), record["verdict"]) == (expected, _verdict(expected))
    else:
        assert [code for code in ("FORWARD_PARTIAL", "PTR_MULTIPLE") if code in ended.out] == (
            expected
        )


def _verdict(expected: list[str]) -> str:
    return "warn" if "FORWARD_PARTIAL" in expected else "pass"


@pytest.mark.parametrize(
    ("options", "identities"),
    [
        ([], [("helo", "mx-1.example.net", "pass")]),
        (["--helo", "Relay-1.Example.ORG."], [("helo", "relay-1.example.org", "fail")]),
        (["--mail-from", "example.net"], [("mailfrom", "example.net", "pass")]),
        (
            ["--mail-from", "me@example.org", "--mail-from", "bücher.example.org"],
            [
                ("mailfrom", "xn--bcher-kva.example.org", "fail"),
                ("mailfrom", "example.org", "fail"),
            ],
        ),
        (
            ["--helo", "mx-1.example.net", "--mail-from", "example.net"],
            [("helo", "mx-1.example.net", "pass"), ("mailfrom", "example.net", "pass")],
        ),
        (["--helo", "mx-1.example.net", "--no-spf"], []),
    ],
)
def test_identities_are_those_given(
    scan: Callable[..., Any], options: list[str], identities: list[tuple[str, str, str]]
) -> None:
    (record,) = scan("198.51.100.16", *options)
    found = [(spf["identity"], spf["domain"], spf["result"]) for spf in record["spf"]]
    assert sorted(found) == sorted(identities)


def test_trace_adds_how_each_answer_was_obtained(scan: Callable[..., Any]) -> None:
    plain, traced = scan(GOOD), scan(GOOD, GOOD, "--trace")
    trace = traced[0].pop("trace")
    assert traced[0] == plain[0]
    assert [(entry["name"], entry["type"], entry["transport"]) for entry in trace][:2] == [
        ("1.100.51.198.in-addr.arpa", "PTR", "file"),
        ("gw.example.net", "A", "file"),
    ]
    assert trace[0]["server"] == "100.51.198.in-addr.arpa.zone"
    # A block of 256 asks once for all of its targets; the next one finds it in the cache.
    cached = {entry["cached"] for entry in scan(*[GOOD] * 257, "--trace")[-1]["trace"]}
    assert cached == {True}


def test_the_record_is_what_the_schema_says(
    call: Callable[..., Ended], scan: Callable[..., Any]
) -> None:
    schema = json.loads(call("schema").out)
    assert schema == record_schema()
    validator = jsonschema.Draft202012Validator(schema)
    found = scan("-i", FLEET / "targets.txt", "-i", FLEET / "targets.csv", "--trace")
    assert len(found) > 300
    for record in found:
        validator.validate(record)


def test_the_cache_is_as_large_as_cache_size_says(here: Path, scan: Callable[..., Any]) -> None:
    cached = []
    for size in ("0", "1000"):
        scan("-i", FLEET / "targets.txt", "-o", here / size, "--cache-size", size)
        cached.append(manifest(here / size)["queries"]["cached"])
    assert cached[0] == 0 < cached[1]


def test_max_targets_is_a_limit_and_not_a_cut(scan: Callable[..., Any]) -> None:
    assert len(scan("198.51.100.0/29", "--max-targets", "8")) == 8


def test_a_pipe_can_be_an_input_file(scan: Callable[..., Any]) -> None:
    reader, writer = os.pipe()
    try:
        os.write(writer, b"198.51.100.1\n")
        os.close(writer)
        assert _targets(scan("-i", f"/dev/fd/{reader}")) == [GOOD]
    finally:
        os.close(reader)
