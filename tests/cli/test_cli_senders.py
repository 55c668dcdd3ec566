"""`auditor senders`: domains and hosts in, a table or lines out.

Also tests `senders_text.py`, `text_table.py` and `look_up.py`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
import pytest
from cli.driving import ZONES, at_terminal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.driving import Ended


def test_domains_and_hosts_come_from_files_and_results(
    tmp_path: Path, call: Callable[..., Ended]
) -> None:
    results, targets = tmp_path / "r.ndjson", tmp_path / "t.txt"
    audited = ("198.51.100.16/30", "198.51.100.40", "example.net")
    call("scan", "-q", "--zones", ZONES, *audited, "-o", results)
    targets.write_text("example.com\n198.51.100.200\nno such thing\n")
    ended = call(
        "senders", "--zones", ZONES, "-i", targets, "--results", results, "--mine", "203.0.113.0/24"
    )
    assert ended.code == 0
    assert ended.err.startswith(
        f"auditor: {targets} line 3: 'no such thing' has more than one item"
    )
    assert ended.err.count("\n") == 1
    assert ended.out.startswith("2 domains: 2 with an SPF policy, 0 without\n")
    assert "hosts: 4 authorised, 2 by nobody" in ended.out
    assert "  198.51.100.40  1 host without a PTR\n" in ended.out
    assert "  198.51.100.200  1 host in no results\n" in ended.out
    assert "Authorised outside --mine" in ended.out


def test_what_is_wrong_with_policies_is_shown_by_domain(call: Callable[..., Ended]) -> None:
    names = ("spf-world", "spf-macro", "spf-ptr", "spf-lookups", "spf-strings", "spf-wide")
    ended = call("senders", "--zones", ZONES, *(f"{name}.example.org" for name in names))
    assert "Authorise every address (1)\n  spf-world.example.org\n    +all\n" in ended.out
    assert "    ptr: depends on the PTR name of the client\n" in ended.out
    assert "    permerror at ip4:198.51.100.65include:example.org: not valid SPF\n" in ended.out


def test_a_prefix_of_hosts_may_be_of_any_size(call: Callable[..., Ended]) -> None:
    ended = call("senders", "--zones", ZONES, "example.com", "10.0.0.0/8", "198.0.0.0/7")
    assert "hosts: 24 authorised, 50,331,624 by nobody" in ended.out


def test_it_asks_no_faster_than_a_scan_may(call: Callable[..., Ended]) -> None:
    limits = ("--qps", "50", "--server-qps", "50", "--concurrency", "9", "--cache-size", "100")
    assert call("senders", "--zones", ZONES, "example.com", *limits).code == 0
    ended = call("senders", "--zones", ZONES, "example.com", "--qps", "0")
    assert (ended.code, ended.err.startswith("auditor: qps: 0.0 is not within")) == (2, True)


def test_json_is_a_line_each(call: Callable[..., Ended]) -> None:
    ended = call("senders", "--json", "--zones", ZONES, "-", stdin=b"example.com\n")
    first, *_, last = (json.loads(line) for line in ended.out.splitlines())
    assert (first["domain"], last["type"]) == ("example.com", "totals")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["192.0.2.1"],
            "no domain to look up: give domains, -i FILE, or --results that have some",
        ),
        (
            ["example.com", "--mine", "example.net"],
            "mine: 'example.net' is a domain; expected a prefix or a range",
        ),
        (
            ["example.com", "--mine", "ftp://a.b"],
            "mine: 'ftp://a.b' is a URL (ftp); expected one address, prefix, range a-b or domain",
        ),
        (["-"], "no target: 12 lines, none of which is one"),
    ],
)
def test_without_a_domain_there_is_nothing_to_do(
    call: Callable[..., Ended], arguments: list[str], message: str
) -> None:
    ended = call("senders", "--zones", ZONES, *arguments, stdin=b"no such thing\n" * 12)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.splitlines()[-1] == f"auditor: {message}"


def test_a_schema_describes_the_lines(call: Callable[..., Ended]) -> None:
    assert '"oneOf"' in call("schema", "--senders").out
    ended = call("schema", "--senders", "--for", "clickhouse")
    message = "--for says nothing with --senders: it is about results"
    assert (ended.code, ended.err) == (2, f"auditor: {message}\n")


def _words(text: str) -> set[str]:
    """Return the words of a text, whether in a table or in a list."""
    return {word.strip(",:") for word in text.split()}


def test_lines_fit_into_a_narrow_terminal(call: Callable[..., Ended]) -> None:
    """Unless they have no blank to break at; where there is no terminal none is broken."""
    senders = ("senders", "--zones", ZONES, "--mine", "203.0.113.0/24")
    domains = ("example.com", "example.net", "spf-loop.example.org", "spf-wide.example.org")
    with at_terminal(*senders, *domains, on=("stdout",), columns=50) as (_, terminal):
        shown = terminal.read_all()
    lines = [click.unstyle(line).rstrip() for line in shown.splitlines()]
    lists = [line for line in lines if line.startswith("  ")]
    assert lists
    assert [line for line in lists if len(line) > 50 and " " in line.strip()] == []
    whole = call(*senders, *domains).out
    assert _words(whole) == _words(" ".join(lines))
    assert max(map(len, whole.splitlines())) > 100
