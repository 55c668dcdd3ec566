"""`auditor summary` as a person and a program meet it.

Also tests `summary_text.py`, `label_counts.py` and `formatting.py`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pytest
import zstandard
from cli.driving import SECONDS, ZONES, at_terminal, auditor
from views.making import address, domain, finding, spf, write

from auditor.findings.catalogue import entry
from auditor.views.label_counts import LabelCounts

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.driving import Ended

ESCAPE: Final = "\x1b"
SOME: Final = [
    address("192.0.2.1", "pass", "a.example.net", facts=[spf("a.example.net", "none")]),
    address("192.0.2.2", "fail", findings=[finding("PTR_MISSING", subject="192.0.2.2")]),
    address(
        "198.51.100.1", "warn", "b.example.net",
        findings=[finding("FROM_THE_FUTURE", "warning")],
        facts=[spf("example.com", "pass", "mailfrom")],
    ),
    domain("example.net", "unknown"),
]  # fmt: skip


def test_it_shows_all_tables_in_eighty_columns(here: Path, call: Callable[..., Ended]) -> None:
    write(here / "x.ndjson", SOME)
    code, out, err = call("summary", "x.ndjson")
    assert (code, err) == (0, "")
    title = entry("PTR_MISSING").title
    assert (
        out
        == f"""\
verdict  records  share                    addresses  domains
pass           1   25 %  ████                      1        0
warn           1   25 %  ████                      1        0
unknown        1   25 %  ████                      0        1
fail           1   25 %  ████                      1        0
all            4                                   3        1
in use (a PTR name, or a HELO name was given): 2 of 3, 0 of them failing

finding          count  severity
PTR_MISSING          1  error     {title}
FROM_THE_FUTURE      1  warning

PTR lookup  addresses        forward confirmed  addresses
NOERROR             2        pass                       2
NXDOMAIN            1        permerror                  1

No address in use fails.

SPF of domain  identity  pass  none
example.net    helo         -     1
example.com    mailfrom     1     -
"""
    )


def test_json_is_one_object_and_counts_as_the_manifest_does(
    here: Path, call: Callable[..., Ended]
) -> None:
    assert call("scan", "--zones", ZONES, "198.51.100.0/24", "-qo", "x.ndjson").code == 0
    code, out, _ = call("summary", "--json", "x.ndjson")
    data = json.loads(out)
    manifest = json.loads((here / "x.ndjson.run.json").read_text())
    assert code == 0
    assert data["records"] == 256
    counts = {one["code"]: one["count"] for one in data["findings"]}
    assert counts == manifest["findings"]
    assert {key: count for key, count in data["verdicts"].items() if count} == (
        manifest["verdicts"]
    )
    assert data["ptr"] == manifest["ptr_statuses"]


def test_several_compressed_and_standard_input_are_counted_as_one(
    here: Path, call: Callable[..., Ended]
) -> None:
    plain = write(here / "x.ndjson", SOME)
    (here / "x.ndjson.zst").write_bytes(zstandard.compress(plain.read_bytes()))
    ended = call("summary", "--json", "x.ndjson", "-", "x.ndjson.zst", stdin=plain.read_bytes())
    assert ended.code == 0, ended.err
    assert json.loads(ended.out)["records"] == 12


def test_more_findings_than_rows_are_announced(here: Path, call: Callable[..., Ended]) -> None:
    write(here / "x.ndjson", SOME)
    _, out, _ = call("summary", "--top", "1", "x.ndjson")
    assert "FROM_THE_FUTURE" not in out
    assert "and 1 more finding: --top 2 shows all" in out
    assert "example.com" not in out


def test_targets_are_counted_too_where_one_has_a_finding_twice(
    here: Path, call: Callable[..., Ended]
) -> None:
    generic = [finding("PTR_GENERIC", "warning", f"{n}.example.net") for n in range(2)]
    write(here / "x.ndjson", [address("192.0.2.1", "warn", findings=generic)])
    out = call("summary", "x.ndjson").out
    assert "finding      count  targets  severity\n" in out
    title = "The PTR name looks made up for a number or a customer's line"
    assert f"PTR_GENERIC      2        1  warning   {title}\n" in out


def test_a_share_is_none_or_all_only_if_it_is(here: Path, call: Callable[..., Ended]) -> None:
    failing = [address("192.0.2.0", "fail"), address("198.51.100.0", "fail", "a.example.net")]
    passing = [address(f"192.0.2.{n % 256}", "pass") for n in range(999)]
    write(here / "x.ndjson", failing + passing)
    out = call("summary", "x.ndjson").out
    shares = [line.split()[2:4] for line in out.splitlines()[1:5]]
    assert shares == [[">99", "%"], ["0", "%"], ["0", "%"], ["<1", "%"]]
    assert "198.51.100.0/24                    1        1  100 %" in out


def test_nothing_is_said_to_be_nothing(here: Path, call: Callable[..., Ended]) -> None:
    (here / "x.ndjson").touch()
    assert call("summary", "x.ndjson") == (0, "no records: there is nothing to count\n", "")
    assert json.loads(call("summary", "--json", "x.ndjson").out)["records"] == 0


def test_all_well_is_said_as_well(here: Path, call: Callable[..., Ended]) -> None:
    write(here / "x.ndjson", [address("192.0.2.1", "pass", "a.example.net")])
    out = call("summary", "x.ndjson").out
    assert "No findings." in out
    assert "No address in use fails." in out


def test_large_figures_are_never_cut(here: Path, call: Callable[..., Ended]) -> None:
    results = ("pass", "neutral", "none", "softfail", "fail", "temperror", "permerror")
    name = f"{'long.' * 20}example.net"
    facts = [spf(name, result, "mailfrom") for result in results for _ in range(2345)]
    write(here / "x.ndjson", [address(f"192.0.2.{n}", "fail", facts=facts) for n in range(5)])
    out = call("summary", "x.ndjson").out
    row = next(line for line in out.splitlines() if "mailfrom" in line)
    assert row.split() == [name, "mailfrom", *["11k"] * 7]


def test_escapes_in_a_result_do_not_reach_the_terminal(
    here: Path, call: Callable[..., Ended]
) -> None:
    name = "\x1b[2Jevil.[red]example.net"
    record = address("192.0.2.1", "fail", name, facts=[spf(name, "fail", "mailfrom")])
    record["findings"] = [finding("\x1b]0;X\x07", "error")]
    record["ptr"]["status"] = "\x9b31m"
    write(here / "x.ndjson", [record])
    out = call("summary", "x.ndjson").out
    assert not any(ord(character) < 32 and character != "\n" for character in out)
    assert "\x9b" not in out
    assert "[red]" in out


def test_a_terminal_gets_colours_and_a_file_does_not(
    here: Path, call: Callable[..., Ended]
) -> None:
    write(here / "x.ndjson", SOME)
    with at_terminal("summary", "x.ndjson", on=("stdout",), columns=100) as (process, screen):
        shown = screen.read_all()
        assert process.wait(SECONDS) == 0
    assert f"{ESCAPE}[1;31mfail" in shown
    with at_terminal("summary", "x.ndjson", on=("stdout",), env={"NO_COLOR": "1"}) as (_, screen):
        assert ESCAPE not in screen.read_all()
    assert ESCAPE not in call("summary", "x.ndjson").out


def test_bars_are_drawn_with_what_the_character_set_has(here: Path) -> None:
    write(here / "x.ndjson", SOME)
    out = auditor("summary", "x.ndjson", env={"PYTHONIOENCODING": "latin-1"}).out
    assert "25 %  ####  " in out
    assert "u2588" not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing to count: give results of `auditor scan`, or - to read them"),
        (("gone.ndjson",), "gone.ndjson: cannot be read: No such file or directory"),
        (("-", "-"), "standard input (-) is named twice; it can be read once only"),
        (("list.csv",), "list.csv line 1: not JSON ("),
        (("--top", "0", "list.csv"), "--top: 0 is not in the range x>=1"),
    ],
)
def test_a_mistake_is_one_line(
    here: Path, call: Callable[..., Ended], arguments: tuple[str, ...], message: str
) -> None:
    (here / "list.csv").write_text("target\n192.0.2.1\n")
    code, out, err = call("summary", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"auditor: {message}")
    assert err.count("\n") == 1


def test_records_are_counted_by_the_values_of_a_label(
    here: Path, call: Callable[..., Ended]
) -> None:
    missing = [finding("PTR_MISSING"), finding("PTR_MISSING")]
    some = [address(f"192.0.2.{n}", "fail", findings=missing, labels={"a": "x"}) for n in range(3)]
    some += [
        address("192.0.2.7", "pass", "a.example.net", labels={"a": "\x1b[2J"}),
        domain("b.net"),
    ]
    write(here / "x.ndjson", some)
    out = call("summary", "--by", "a", "x.ndjson").out
    rows = [line.split() for line in out[out.index("by a") :].splitlines()[1:4]]
    assert rows[0] == ["x", "3", "0", "0", "0", "3", "PTR_MISSING", "3"]
    assert rows[1][:3] == ["(none)", "1", "1"]
    assert "\x1b" not in out
    data = json.loads(call("summary", "--json", "--by", "a", "--top", "1", "x.ndjson").out)["by"]
    assert (data["label"], data["rows"], data["others"]["records"]) == ("a", 3, 0)
    assert data["values"][0] == {
        "value": "x",
        "records": 3,
        "verdicts": {"pass": 0, "warn": 0, "unknown": 0, "fail": 3},
        "findings": [{"code": "PTR_MISSING", "targets": 3}],
    }


def test_values_of_a_label_beyond_the_limit_are_counted_together() -> None:
    counts = LabelCounts("a", limit=2)
    for n in range(5):
        counts.count_record(address("192.0.2.1", "fail", labels={"a": str(n)}))
    data = counts.as_json(9)
    assert [row["value"] for row in data["values"]] == ["0", "1"]
    assert data["others"]["records"] == 3
