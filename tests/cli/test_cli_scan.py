"""Every option of `auditor scan` does what its help says: over zone files.

Also tests `dry_run.py`, `input_options.py`, `given_targets.py` and `workers/factory.py`.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from cli.driving import ZONES, Ended, codes, manifest, records
from support.fleet import FLEET

from auditor.output.schema import record_schema
from auditor.wire.reverse import reverse_name

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


def test_duplicates_are_kept_and_bad_lines_become_records(
    here: Path, scan: Callable[..., Any]
) -> None:
    (here / "list.txt").write_text(f"{GOOD}\n198.51.100.300\n{GOOD}\n")
    found = scan("-i", "list.txt")
    assert _targets(found) == [GOOD, "198.51.100.300", GOOD]
    assert found[0] == found[2]
    assert (found[1]["kind"], found[1]["verdict"], codes(found[1])) == (
        "invalid",
        "fail",
        ["TARGET_INVALID"],
    )


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


def test_labels_of_the_run_are_those_of_each_record(here: Path, scan: Callable[..., Any]) -> None:
    (here / "a.csv").write_text(f"ip,site\n{GOOD},ams\n")
    (here / "b.txt").write_text("no\n")
    labels = ("--label", "site=all", "--label", "run = 7")
    arguments = ("198.51.100.2", "-i", "a.csv", "-i", "b.txt", *labels)
    found = scan(*arguments)
    assert [record["labels"] for record in found] == [
        {"site": "all", "run": "7"},
        {"site": "ams", "run": "7"},
        {"site": "all", "run": "7"},
    ]
    assert found == scan(*arguments, "--workers", "2")


def test_a_column_can_be_named_and_interfaces_are_addresses(
    here: Path, scan: Callable[..., Any]
) -> None:
    (here / "a.txt").write_text("if;addr\neth0;198.51.100.2/24\n")
    (found,) = scan("-i", "a.txt", "--column", "addr", "--interfaces")
    assert (found["target"], found["labels"]) == ("198.51.100.2", {"if": "eth0"})
    (found,) = scan("--interfaces", "198.51.100.0/24")
    assert found["target"] == "198.51.100.0"


def test_unique_leaves_out_what_comes_up_again(here: Path, call: Callable[..., Ended]) -> None:
    arguments = ("--zones", ZONES, "198.51.100.2/31", "198.51.100.3", "-o", "a.ndjson")
    assert call("scan", "--unique", *arguments).code == 0
    content = manifest(here / "a.ndjson")
    assert (content["records"], content["inputs"]["repeated"]) == (2, 1)
    assert content["inputs"]["options"] == ["--unique"]


@pytest.mark.usefixtures("here")
def test_an_output_is_gone_on_with_under_the_same_input_options(call: Callable[..., Ended]) -> None:
    arguments = ("scan", "--zones", ZONES, "198.51.100.2", "-o", "a.ndjson", "--resume")
    assert call(*arguments, "--label", "a=1").code == 0
    assert call(*arguments, "--label", "a=1").code == 0
    ended = call(*arguments, "--label", "a=2")
    assert ended.code == 2
    assert "input options was '--label a=1' and is '--label a=2'" in ended.err


def test_only_some_verdicts_are_written_and_all_are_counted(
    here: Path, call: Callable[..., Ended]
) -> None:
    arguments = ("scan", "--zones", ZONES, GOOD, ERROR, WARNING, "--only")
    for verdicts, expected in (("fail", [ERROR]), (" PASS , warn", [GOOD, WARNING])):
        ended = call(*arguments, verdicts, "-q", "--fail-on", "error")
        assert (ended.code, _targets(records(ended.out))) == (1, expected)
    assert call(*arguments, "fail", "-o", "a.ndjson").err.startswith("3 records")
    assert _targets(records((here / "a.ndjson").read_text())) == [ERROR]
    content = manifest(here / "a.ndjson")
    assert (content["records"], content["inputs"]["options"]) == (3, ["--only fail"])
    assert call(*arguments, "fail", "-q", "--workers", "2").out == (here / "a.ndjson").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bad",), "--only: 'bad' is not one of pass, warn, fail, unknown"),
        (("fail", "-o", "d/"), "--only: the parts of a folder have every record; write to a file"),
        (
            ("fail", "-o", "a.ndjson", "--resume"),
            "--resume finds its place by the records, and --only leaves some out",
        ),
    ],
)
def test_only_is_refused_where_records_would_be_missed(
    call: Callable[..., Ended], arguments: tuple[str, ...], message: str
) -> None:
    ended = call("scan", "--zones", ZONES, GOOD, "--only", *arguments)
    assert (ended.code, ended.err) == (2, f"auditor: {message}\n")


def test_a_dry_run_says_what_would_be_done_and_does_not_do_it(
    here: Path, call: Callable[..., Ended]
) -> None:
    (here / "a.txt").write_text("198.51.100.0/29\nno\nexample.net\n2001:db8::1\n198.51.100.2\n")
    dry = ("scan", "--dry-run", "--unique", "-i", "a.txt", "-x", "198.51.100.0")
    ended = call(*dry, "--server", "192.0.2.53,[2001:db8::53]:5353", "-o", "out.ndjson")
    assert ended == (
        0,
        (
            "10 targets: 7 IPv4, 1 IPv6, 1 domains, 1 invalid\n"
            "left out: 1 excluded, 1 repeated\n"
            "invalid: a.txt line 2: 'no' is a single label; expected an address, a prefix, "
            "a range a-b or a domain such as mail.example.net\n"
            "asked: 192.0.2.53:53, [2001:db8::53]:5353\n"
            "written: out.ndjson\n"
        ),
        "",
    )
    assert [path.name for path in here.iterdir()] == ["a.txt"]
    assert "asked: no server; answers come from zones\nwritten: standard output\n" in (
        call("scan", "--dry-run", GOOD, "--zones", "zones").out
    )
    assert "asked: the system's resolvers" in call("scan", "--dry-run", GOOD).out
    (here / "b.txt").write_text("no\n" * 12)
    assert "invalid: 2 more\n" in call("scan", "--dry-run", GOOD, "-i", "b.txt").out


def test_a_dry_run_fails_where_the_scan_would(here: Path, call: Callable[..., Ended]) -> None:
    (here / "a.txt").write_text("no\n")
    assert call("scan", "--dry-run", "-i", "a.txt").code == 2
    assert call("scan", "--dry-run", GOOD, "-o", "a.txt") == (
        2,
        "",
        "auditor: a.txt: exists already; --overwrite replaces it\n",
    )
    assert call("scan", "--dry-run", GOOD, "-o", "a.txt", "--overwrite").code == 0
    assert (here / "a.txt").read_text() == "no\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--label", "x"), "--label: 'x' is no KEY=VALUE, such as site=ams"),
        (("--label", "=x"), "--label: '=x' is no KEY=VALUE, such as site=ams"),
        (("--label", "a=1", "--label", "a=2"), "--label: 'a' is given twice"),
        (("--column", "x"), "--column says nothing without a file of targets"),
        (("--column", " "), "--column: expected the name of a column"),
    ],
)
def test_input_options_that_cannot_work_are_refused(
    call: Callable[..., Ended], arguments: tuple[str, ...], message: str
) -> None:
    ended = call("scan", "--zones", ZONES, GOOD, *arguments)
    assert (ended.code, ended.err) == (2, f"auditor: {message}\n")


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
    content = manifest(here / "out.ndjson")
    assert (content["how"], content["records"]) == ("finished", 2)
    assert (content["verdicts"], content["findings"]) == (
        {"fail": 1, "pass": 1},
        {"PTR_MISSING": 1},
    )
    assert content["inputs"] == {
        "arguments": [GOOD, ERROR],
        "files": [],
        "excludes": [BETTER],
        "options": [],
        "targets": 2,
        "invalid": 0,
        "excluded": 0,
        "repeated": 0,
    }
    queries = content["queries"]
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
        "  2  warning  PTR_GENERIC   The PTR name looks made up for a number or a customer's line",
        (
            "  2  warning  PTR_TOO_MANY  The address has more than ten PTR names; "
            "only the first ten were confirmed"
        ),
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
    # A block of 256 asks once for all of its targets; one that begins later finds it in the cache.
    found = scan(*[GOOD] * 1025, "--trace")
    assert any(all(entry["cached"] for entry in record["trace"]) for record in found)


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


@pytest.mark.parametrize("given", ["::192.0.2.7", "::c000:207", "0:0::C000:0207"])
def test_an_ipv4_compatible_address_points_back_however_it_is_spelt(
    given: str, call: Callable[..., Ended], here: Path
) -> None:
    owner = reverse_name("::c000:207")
    (here / "ip6.arpa.zone").write_text(
        f"$ORIGIN ip6.arpa.\n@ 60 SOA . . 1 1 1 1 1\n{owner}. 60 PTR mail.example.net.\n"
    )
    (here / "example.net.zone").write_text(
        "$ORIGIN example.net.\n@ 60 SOA . . 1 1 1 1 1\nmail 60 AAAA ::192.0.2.7\n"
    )
    ended = call("scan", "--zones", here, "--no-spf", given)
    (record,) = records(ended.out)
    assert record["target"] == "::c000:207"
    assert record["iprev"]["result"] == "pass"
    assert record["iprev"]["names"][0]["addresses"] == ["::c000:207"]
