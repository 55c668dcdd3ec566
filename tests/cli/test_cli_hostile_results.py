"""Results that somebody has written to move a terminal's cursor, or to turn its text around."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from cli.driving import ZONES, Ended, records
from views.making import address, domain, finding, invalid, spf, write

from auditor.findings.catalogue import ENTRIES
from auditor.wire.reverse import reverse_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

#: CSI of C1, right-to-left override, an isolate, DEL, an escape sequence, a line separator.
EVIL = "\x9b31m\u202e\u2066\x7f\x1b]0;x\x07\u2028\U000e0001 \u00fcber"


def _unprintable(text: str) -> set[str]:
    return {letter for letter in text if not letter.isprintable() and letter != "\n"}


def _results(path: Path, *, worse: bool) -> Path:
    verdict = "fail" if worse else "pass"
    found = [finding("PTR_GENERIC" if worse else "PTR_MULTIPLE", "error", EVIL), finding(EVIL)]
    facts = [{**spf(EVIL, "fail" if worse else "pass"), "record": EVIL, "explanation": EVIL}]
    more: dict[str, Any] = {"findings": found, "facts": facts, "labels": {EVIL: EVIL}}
    return write(
        path,
        [
            address("192.0.2.1", verdict, EVIL, f"{EVIL}.example.net", **more),
            address(f"192.0.2.2{EVIL}", verdict, EVIL, **more),
            domain(f"{EVIL}.example.net", verdict, findings=found, labels={EVIL: EVIL}),
            invalid(EVIL, EVIL),
        ],
    )


@pytest.mark.parametrize(
    "command",
    [
        ("summary", "old.ndjson"),
        ("summary", "--json", "old.ndjson"),
        ("diff", "old.ndjson", "new.ndjson"),
        ("diff", "--json", "old.ndjson", "new.ndjson"),
        ("explain", EVIL),
        ("explain", "--json", f"550 5.7.25 {EVIL} 192.0.2.1 {EVIL}"),
        ("explain", f"550 5.7.25 {EVIL} 192.0.2.1 {EVIL}"),
        ("check", "--zones", ZONES, EVIL),
        ("spf", "--zones", ZONES, EVIL),
        ("scan", "--zones", ZONES, EVIL),
        ("scan", "--zones", ZONES, "--log-format", "json", "-i", EVIL),
        ("config", "--helo", EVIL),
        ("config", "--json", "--metrics", EVIL),
        ("receivers", EVIL),
        ("history", EVIL),
        ("convert", "old.ndjson", "-o", EVIL),
        ("report", "old.ndjson", "-o", f"{EVIL}.pdf"),
        ("fix", "old.ndjson", "--own", EVIL, "-o", "plan/"),
        ("demo", "-o", f"/dev/null/{EVIL}"),
        ("demo", "-o", EVIL),
        ("report", "old.ndjson", "-o", f"{EVIL}.html"),
        ("convert", "old.ndjson", "-o", f"{EVIL}.csv"),
        ("scan", "--zones", ZONES, "198.51.100.50", "-o", EVIL),
        ("check", "--zones", EVIL, "192.0.2.1"),
        ("check", "--zones", f"zones-{EVIL}", "192.0.2.1"),
        (EVIL,),
    ],
    ids=lambda command: " ".join(command[:2]).encode("ascii", "ignore").decode(),
)
def test_no_command_prints_what_moves_the_cursor(
    command: tuple[str, ...], here: Path, call: Callable[..., Ended]
) -> None:
    _results(here / "old.ndjson", worse=False)
    _results(here / "new.ndjson", worse=True)
    (here / f"zones-{EVIL}").write_text("$TTL 1\n@ SOA a b 1 1 1 1 1\nx y z\n")
    ended = call(*command)
    assert ended.out + ended.err
    assert _unprintable(ended.out) == set()
    assert _unprintable(ended.err) == set()


@pytest.mark.parametrize("target", ["198.51.100.1", "example.org"])
@pytest.mark.parametrize("trace", [(), ("--trace",)])
def test_labels_are_the_same_values_and_print_nothing_odd(
    target: str, trace: tuple[str, ...], here: Path, call: Callable[..., Ended]
) -> None:
    (here / "in.ndjson").write_text(json.dumps({"target": target, EVIL: EVIL}) + "\n")
    ended = call("scan", "-q", "--zones", ZONES, "-i", "in.ndjson", *trace)
    assert _unprintable(ended.out) == set()
    (record,) = records(ended.out)
    assert record["labels"] == {EVIL: EVIL}


@pytest.mark.parametrize(
    "command",
    [
        ("report", "-q", "r.ndjson", "-o", "r.html"),
        ("summary", "--receivers", "r.ndjson"),
        ("convert", "-q", "--flat", "r.ndjson", "-o", "r.csv"),
        ("fix", "-q", "r.ndjson", "--zones", ZONES, "--own", "example.net", "-o", "plan/"),
    ],
    ids=lambda command: command[0],
)
def test_findings_that_contradict_the_facts_are_no_trouble(
    command: tuple[str, ...], here: Path, call: Callable[..., Ended]
) -> None:
    lines = []
    for code in (entry.code for entry in ENTRIES):
        for subject in ("198.51.100.1", "mail.example.net"):
            found = [finding(code, "error", subject)]
            missing = address("198.51.100.1", "fail", findings=found)
            named = address("2001:db8::1", "fail", "mail.example.net", findings=found)
            for record in (missing, named):
                record["ptr"]["owner"] = reverse_name(record["target"])
            lines += [missing, named, domain("example.net", "fail", findings=found)]
    write(here / "r.ndjson", lines)
    ended = call(*command)
    assert (ended.code, ended.err) == (0, "")
