"""What is shown on a terminal while a scan goes on, and what is not."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Any

import click
import pytest
from cli.driving import ZONES, at_terminal, auditor
from support.faults import Gate, answer, delay, invent
from support.faulty import FaultyServer, always, per_name

from auditor.cli.progress import describe

if TYPE_CHECKING:
    from pathlib import Path

ZONE = """
$ORIGIN 2.0.192.in-addr.arpa.
1 PTR one.example.net.
2 PTR two.example.net.
3 PTR three.example.net.
$ORIGIN example.net.
one A 192.0.2.1
two A 192.0.2.2
"""


def test_the_progress_line_says_how_far_how_fast_and_how_long() -> None:
    gate = Gate()
    slow: dict[str, list[Any]] = {"2.2.0.192.in-addr.arpa": [delay(gate), answer]}
    with FaultyServer(ZONE, per_name(slow)) as server:
        where = ("--server", f"127.0.0.1:{server.port}", "--timeout", "30")
        scan_it = ("scan", *where, "192.0.2.1-192.0.2.3")
        with at_terminal(*scan_it, stdout=subprocess.DEVNULL) as (scan, terminal):
            line = r"2/3 67% · [\d,]+/s · 1 under way · 1 fail · 1 pass · ETA \d+:\d\d"
            terminal.read_until(lambda text: re.search(line, text))
            gate.open()
            shown = terminal.read_all()
            assert scan.wait(120) == 0
    # It is gone at the end, and the summary stands in its place.
    rest = shown.rpartition("\x1b[2K")[2].replace("\r\n", "\n")
    assert re.match(r"3 records in [\d.]+ s \(\d+/s\): 2 pass · 1 fail\n", rest)


def test_reports_of_servers_do_not_disturb_the_progress_line() -> None:
    gate = Gate()
    slow: dict[str, list[Any]] = {"2.2.0.192.in-addr.arpa": [delay(gate), answer]}
    with (
        FaultyServer(ZONE, per_name(slow)) as server,
        FaultyServer(ZONE, always(invent("192.0.2.99"))) as liar,
    ):
        ports = [server.port, liar.port]
        where = [word for port in ports for word in ("--server", f"127.0.0.1:{port}")]
        scan_it = ("scan", *where, "--timeout", "30", "192.0.2.1-192.0.2.3")
        with at_terminal(*scan_it, stdout=subprocess.DEVNULL) as (_, terminal):
            terminal.read_until(lambda text: "1 under way" in text)
            gate.open()
            shown = terminal.read_all()
    plain = re.sub(r"\x1b\[[\d?]*[A-Za-z]", "", shown).replace("\r", "\n")
    report = f"auditor: server 127.0.0.1:{liar.port} makes up answers for names that do not exist"
    assert [line for line in plain.split("\n") if line.startswith("auditor: ")] == [
        f"{report}: left out"
    ]


@pytest.mark.parametrize(
    ("options", "on", "progress"),
    [
        ((), ("stderr",), True),
        (("--quiet",), ("stderr",), False),
        # Records on the same terminal are progress enough.
        ((), ("stdout", "stderr"), False),
        (("-o", "out.ndjson"), ("stdout", "stderr"), True),
    ],
)
def test_progress_shows_where_it_is_of_use(
    options: tuple[str, ...], on: tuple[str, ...], *, progress: bool
) -> None:
    scan_it = ("scan", "--zones", ZONES, *options, "198.51.100.0/29")
    streams = {} if "stdout" in on else {"stdout": subprocess.DEVNULL}
    with at_terminal(*scan_it, on=on, **streams) as (_, terminal):
        shown = terminal.read_all()
    assert ("under way" in shown) == progress
    assert ("records in" in shown) == ("--quiet" not in options)


def test_without_a_terminal_there_is_neither_progress_nor_colour() -> None:
    ended = auditor("scan", "--zones", ZONES, "198.51.100.40")
    assert "\x1b" not in ended.out + ended.err
    assert "under way" not in ended.err


def test_the_summary_is_in_colour_on_a_terminal_and_uses_its_width() -> None:
    scan_it = ("scan", "--zones", ZONES, "198.51.100.44")
    with at_terminal(*scan_it, columns=200, stdout=subprocess.DEVNULL) as (_, terminal):
        shown = terminal.read_all()
    assert (
        "  1  \x1b[33mwarning\x1b[0m  PTR_GENERIC  "
        "The PTR name looks made up for a number or a customer's line\r\n" in shown
    )


def test_the_summary_fits_into_a_narrow_terminal(tmp_path: Path) -> None:
    results = tmp_path / "r"
    scan_it = ("scan", "--zones", ZONES, "198.51.100.0/24", "-o", results)
    with at_terminal(*scan_it, columns=60) as (_, terminal):
        shown = terminal.read_all().replace("\r\n", "\n").rpartition("\r")[2]
    lines = click.unstyle(shown).splitlines()
    assert "198.51.100.224/27, 198.51.100.112/28, 198.51.100.8/29" in " ".join(shown.split())
    assert [line for line in lines if len(line) > 60 and str(results) not in line] == []


@pytest.mark.parametrize(
    ("done", "total", "seconds", "line"),
    [
        (0, 1_000_000, 0.0, "0/1,000,000 0% · 0/s · 7 under way"),
        (250_000, 1_000_000, 10.0, "250,000/1,000,000 25% · 25,000/s · 7 under way · ETA 0:30"),
        (100, 1_000_000, 1.0, "100/1,000,000 0% · 100/s · 7 under way · ETA 2:46:39"),
        (5, None, 2.0, "5 · 2/s · 7 under way"),
        (0, 0, 1.0, "0/0 · 0/s · 7 under way"),
    ],
)
def test_the_line_in_all_states(done: int, total: int | None, seconds: float, line: str) -> None:
    assert describe(done, total, 7, {}, seconds) == line


def test_the_line_counts_verdicts() -> None:
    said = describe(3, 3, 0, {"pass": 2, "fail": 1_000}, 1.0)
    assert said == "3/3 100% · 3/s · 0 under way · 1,000 fail · 2 pass · ETA 0:00"
