"""`auditor diff` as a person and a program meet it.

Also tests `diff_text.py`.
"""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Final

import pytest
from cli.driving import SECONDS, at_terminal, running
from views.making import address, finding, spf, write

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.driving import Ended

OLD: Final = [
    address("192.0.2.1", "pass", "a.example.net", facts=[spf("a.example.net", "none")]),
    address("192.0.2.2", "fail", findings=[finding("PTR_MISSING", subject="192.0.2.2")]),
    address("192.0.2.3", "unknown"),
    address("192.0.2.4", "pass"),
    address("192.0.2.5", "pass"),
]
NEW: Final = [
    address("192.0.2.9", "pass"),
    address("192.0.2.1", "fail", findings=[finding("PTR_MISSING", subject="192.0.2.1")]),
    address("192.0.2.2", "pass", "b.example.net", facts=[spf("b.example.net", "pass")]),
    address("192.0.2.3", "fail"),
    address("192.0.2.4", "pass"),
]


@pytest.fixture
def two(here: Path) -> tuple[str, str]:
    write(here / "old.ndjson", OLD)
    write(here / "new.ndjson", NEW)
    return "old.ndjson", "new.ndjson"


def test_it_tells_what_happened_and_to_whom(
    two: tuple[str, str], call: Callable[..., Ended]
) -> None:
    code, out, err = call("diff", *two)
    assert (code, err) == (0, "")
    assert (
        out
        == """\
1  got worse: 1 pass → fail
1  got better: 1 fail → pass
1  became known: 1 unknown → fail
1  appeared: 1 pass
1  vanished: 1 pass
1  did not change

Got worse
  192.0.2.1  pass → fail
    + PTR_MISSING
    ptr.names: a.example.net → nothing
    ptr.status: NOERROR → NXDOMAIN
    iprev.names of a.example.net: NOERROR → nothing
    iprev.result: pass → permerror
    spf of helo a.example.net: none → nothing

Got better
  192.0.2.2  fail → pass
    - PTR_MISSING
    ptr.names: nothing → b.example.net
    ptr.status: NXDOMAIN → NOERROR
    iprev.names of b.example.net: nothing → NOERROR
    iprev.result: permerror → pass
    spf of helo b.example.net: nothing → pass

Became known
  192.0.2.3  unknown → fail

Appeared
  192.0.2.9  pass

Vanished
  192.0.2.5  pass
"""
    )


def test_json_has_a_line_a_change_in_the_order_of_new(
    two: tuple[str, str], call: Callable[..., Ended]
) -> None:
    code, out, _ = call("diff", "--json", *two)
    changes = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert [(one["target"][-1], one["change"], one["regression"]) for one in changes] == [
        ("9", "appeared", False),
        ("1", "worse", True),
        ("2", "better", False),
        ("3", "determined", True),
        ("5", "vanished", False),
    ]
    assert all(list(one) == list(changes[0]) for one in changes)
    assert call("diff", "--json", *two).out == out


def test_more_than_fits_is_counted(here: Path, call: Callable[..., Ended]) -> None:
    for name, verdict in (("old", "pass"), ("new", "warn")):
        write(here / name, [address(f"192.0.2.{n}", verdict) for n in range(13)])
    out = call("diff", "old", "new", "--top", "3").out
    assert out.count("pass → warn") == 4
    assert "  and 10 more; --all shows all\n" in out
    assert call("diff", "old", "new", "--top", "0").out == (
        "13  got worse: 13 pass → warn\n 0  did not change\n"
    )
    assert len(call("diff", "old", "new", "--json").out.splitlines()) == 13


def test_it_leads_with_what_changed_where_and_lists_few_targets(
    here: Path, call: Callable[..., Ended]
) -> None:
    missing = [finding("PTR_MISSING")]
    old = [address(f"192.0.{n // 256}.{n % 256}", "pass") for n in range(1024)]
    new = [
        address(each["target"], "fail", findings=missing) if 512 <= n < 700 else each
        for n, each in enumerate(old)
    ]
    new[0] = address("192.0.0.0", "fail", findings=missing)
    old[1] = address("192.0.0.1", "fail", findings=[finding("FORWARD_MISSING")])
    write(here / "old", old)
    write(here / "new", new)
    out = call("diff", "old", "new").out
    lines = out.splitlines()
    assert lines[:3] == [
        "+189     PTR_MISSING      most in 192.0.2.0/24",
        "     -1  FORWARD_MISSING  in 192.0.0.0/24",
        "",
    ]
    assert out.count("\n    + PTR_MISSING") == 10
    assert "and 179 more; --all shows all\n" in out
    assert "Got better" not in out
    whole = call("diff", "--all", "old", "new").out
    assert whole.count("\n    + PTR_MISSING") == 189
    assert "Got better\n  192.0.0.1  fail → pass\n" in whole


def test_a_verdict_that_stays_is_said_to_stay(here: Path, call: Callable[..., Ended]) -> None:
    write(here / "old", [address("192.0.2.1", "fail")])
    write(here / "new", [address("192.0.2.1", "fail", findings=[finding("FORWARD_MISMATCH")])])
    assert call("diff", "old", "new").out.startswith("1  got worse: 1 still fail\n")


def test_it_fails_on_a_regression_if_asked_to(
    here: Path, two: tuple[str, str], call: Callable[..., Ended]
) -> None:
    old, new = two
    assert call("diff", old, new, "--fail-on", "regression").code == 1
    assert call("diff", old, new, "--json", "--fail-on", "regression").code == 1
    assert call("diff", old, old, "--fail-on", "regression").code == 0
    assert call("diff", old, new, "--fail-on", "never").code == 0
    for name, verdict in (("known", "pass"), ("lost", "unknown")):
        write(here / name, [address("192.0.2.1", verdict)])
    # A lookup that timed out is no regression.
    assert call("diff", "known", "lost", "--fail-on", "regression").code == 0


def test_no_change_is_said_to_be_none(
    here: Path, two: tuple[str, str], call: Callable[..., Ended]
) -> None:
    (here / "empty").touch()
    old, _ = two
    assert call("diff", old, old) == (0, "5 targets, and none has changed\n", "")
    assert call("diff", old, old, "--json") == (0, "", "")
    message = "no records in either: there is nothing to compare\n"
    assert call("diff", "empty", "empty") == (0, message, "")


def test_one_may_be_standard_input(
    two: tuple[str, str], here: Path, call: Callable[..., Ended]
) -> None:
    old, new = two
    expected = call("diff", old, new).out
    assert call("diff", old, "-", stdin=(here / new).read_bytes()).out == expected
    assert call("diff", "-", new, stdin=(here / old).read_bytes()).out == expected


def test_escapes_in_a_result_do_not_reach_the_terminal(
    here: Path, call: Callable[..., Ended]
) -> None:
    evil = "\x1b[2J\x9b.example.net"
    write(here / "old", [address("192.0.2.1", "pass", "a.example.net"), address(evil, "pass")])
    found = [finding(evil, subject=evil)]
    new = address("192.0.2.1", "fail", evil, facts=[spf(evil, "fail")], findings=found)
    write(here / "new", [new, {**address(evil, "fail"), "kind": "ip"}])
    out = call("diff", "old", "new").out
    assert r"\x1b[2J\x9b.example.net" in out
    assert not any((ord(one) < 32 and one != "\n") or one == "\x9b" for one in out)


def test_a_terminal_gets_colours(two: tuple[str, str]) -> None:
    with at_terminal("diff", *two, on=("stdout",)) as (process, screen):
        shown = screen.read_all()
        assert process.wait(SECONDS) == 0
    assert "\x1b[31m\x1b[1mgot worse" in shown


def test_a_reader_that_leaves_early_ends_it(here: Path) -> None:
    for name, verdict in (("old", "pass"), ("new", "warn")):
        write(here / name, [address(f"10.0.{n >> 8}.{n & 255}", verdict) for n in range(3000)])
    read, written = os.pipe()
    os.close(read)
    with running("diff", "old", "new", "--json", stdout=written) as process:
        os.close(written)
        _, err = process.communicate(timeout=SECONDS)
    assert (process.returncode, err) == (0, b"")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "nothing to compare: give OLD and NEW, two results of `auditor scan`"),
        (("old.ndjson",), "nothing to compare: give OLD and NEW, two results of"),
        (("-", "-"), "standard input (-) is named twice; it can be read once only"),
        (("old.ndjson", "gone"), "gone: cannot be read: No such file or directory"),
        (("old.ndjson", "page.html"), "page.html line 1: not JSON ("),
        (("page.html", "page.html"), "page.html line 1: not JSON ("),
        (("old.ndjson", "torn"), "torn line 5: cut off; the file is not complete"),
    ],
)
def test_a_mistake_is_one_line(
    here: Path,
    two: tuple[str, str],
    call: Callable[..., Ended],
    arguments: tuple[str, ...],
    message: str,
) -> None:
    (here / "page.html").write_text("<html>\n")
    (here / "torn").write_bytes((here / two[0]).read_bytes()[:-9])
    code, out, err = call("diff", *arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"auditor: {message}")
    assert err.count("\n") == 1
