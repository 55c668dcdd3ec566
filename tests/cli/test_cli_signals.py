"""A scan that is told to stop, and one that reads what a person types."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
from cli.driving import (
    ZONES,
    Ended,
    interrupt_until_gone,
    manifest,
    read_line,
    records,
    running,
    wait_until,
)
from support.faults import answer
from support.faulty import FaultyServer

from auditor.resolve.zones.reader import Interrupted
from auditor.run import shutdown as ending

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.faults import Action
    from support.held import Held

pytestmark = pytest.mark.process


def _interrupted(output: Path) -> list[str]:
    """Return the targets in what an interrupted scan leaves, which must be whole."""
    assert not output.exists()
    content = manifest(output)
    found = records(output.with_name(output.name + ".partial").read_text())
    assert (content["how"], content["records"]) == ("interrupted", len(found))
    return [record["target"] for record in found]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_what_is_under_way_finish(
    here: Path, held: Held, number: signal.Signals
) -> None:
    output = here / "out.ndjson"
    with running("scan", *held.options, "-", "-o", output) as scan:
        assert scan.stdin
        scan.stdin.write(b"192.0.2.1\n192.0.2.2\n")
        scan.stdin.flush()
        assert held.asked.acquire(timeout=120)
        scan.send_signal(number)
        assert read_line(scan.stderr) == "auditor: interrupted, finishing what is under way"
        held.gate.open()
        # The input is still open: nobody waits for it any more.
        _, errors = scan.communicate()
    assert scan.returncode == 3
    assert _interrupted(output) == ["192.0.2.1", "192.0.2.2"]
    head, *rest = errors.decode().splitlines()
    assert head.startswith("2 records in ")
    assert rest == [
        "not finished: interrupted",
        f"records: {output}.partial",
        f"manifest: {output}.run.json",
    ]


def test_a_second_signal_drops_what_is_under_way(here: Path, held: Held) -> None:
    output = here / "out.ndjson"
    with running("scan", *held.options, "-", "-o", output) as scan:
        assert scan.stdin
        scan.stdin.write(b"192.0.2.1\n")
        scan.stdin.flush()
        partial = output.with_name("out.ndjson.partial")
        wait_until(lambda: partial.exists() and partial.stat().st_size > 0)
        scan.stdin.write(b"192.0.2.2\n192.0.2.3\n")
        scan.stdin.flush()
        assert held.asked.acquire(timeout=120)
        scan.send_signal(signal.SIGINT)
        assert read_line(scan.stderr) == "auditor: interrupted, finishing what is under way"
        scan.send_signal(signal.SIGINT)
        _, errors = scan.communicate()
    assert scan.returncode == 3
    assert b"Traceback" not in errors
    # The third is done, but its turn comes after the second.
    assert partial.read_text().count("\n") == 1
    assert manifest(output)["how"] == "interrupted"


def test_a_signal_while_nothing_is_under_way_ends_the_wait_for_input() -> None:
    with running("scan", "--zones", ZONES, "-") as scan:
        assert scan.stdin
        scan.stdin.write(b"198.51.100.1\n")
        scan.stdin.flush()
        assert '"198.51.100.1"' in read_line(scan.stdout)
        scan.send_signal(signal.SIGINT)
        out, errors = scan.communicate()
    assert (scan.returncode, out) == (3, b"")
    lines = errors.decode().splitlines()
    assert lines[0] == "auditor: interrupted, finishing what is under way"
    assert lines[-1] == "not finished: interrupted"


def test_after_a_time_of_grace_the_rest_is_dropped(
    here: Path, held: Held, call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ending, "_GRACE_PERIOD_S", 0.0)

    def interrupt() -> None:
        if held.asked.acquire(timeout=120):
            os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=interrupt)
    thread.start()
    ended = call("scan", "--quiet", *held.options, "192.0.2.1-192.0.2.3", "-o", "out.ndjson")
    thread.join()
    assert ended == (3, "", "")
    assert manifest(here / "out.ndjson")["how"] == "interrupted"


def test_a_reader_that_holds_everything_up_cannot_hold_a_third_signal() -> None:
    with running("scan", "--quiet", "--zones", ZONES, "198.51.0.0/16") as scan:
        # Its pipe is full when this line has been read, and nobody reads on.
        assert '"198.51.0.0"' in read_line(scan.stdout)
        assert interrupt_until_gone(scan) == 3
        assert scan.stderr
        assert scan.stderr.read() == b""


def test_a_signal_that_is_ignored_by_the_caller_stays_ignored(held: Held) -> None:
    def ignore() -> None:
        signal.signal(signal.SIGINT, signal.SIG_IGN)

    scan_it = ("scan", *held.options, "192.0.2.1-192.0.2.3")
    with running(*scan_it, preexec_fn=ignore) as scan:
        assert held.asked.acquire(timeout=120)
        scan.send_signal(signal.SIGINT)
        held.gate.open()
        out, errors = scan.communicate()
    assert (scan.returncode, len(records(out.decode()))) == (0, 3)
    assert b"interrupted" not in errors


def test_check_can_be_interrupted(held: Held) -> None:
    with running("check", *held.options, "192.0.2.2") as check:
        assert held.asked.acquire(timeout=120)
        check.send_signal(signal.SIGINT)
        # The line feed is for the terminal, which has written `^C` there.
        assert check.communicate() == (b"", b"\nauditor: interrupted\n")
    assert check.returncode == 3


def test_records_appear_before_the_input_ends(held: Held) -> None:
    with running("scan", "-q", *held.options, "-") as scan:
        assert scan.stdin
        assert scan.stdout
        for target in ("192.0.2.1", "nonsense!", "192.0.2.3"):
            scan.stdin.write(f"{target}\n".encode())
            scan.stdin.flush()
            assert f'"target":"{target}"' in read_line(scan.stdout)
        scan.stdin.close()
        assert scan.stdout.read() == b""
        assert scan.wait(120) == 0


@pytest.mark.parametrize(
    "text",
    [
        "# targets\n192.0.2.1\r\n\n192.0.2.3",
        "ip,helo\n192.0.2.1,\n192.0.2.3,\n",
        '{"ip":"192.0.2.1"}\n{"ip":"192.0.2.3"}\n',
    ],
)
def test_standard_input_is_read_as_what_it_is(held: Held, text: str, here: Path) -> None:
    name = "list.csv" if text.startswith("ip,") else "list"
    (here / name).write_text(text, newline="")
    source = "list.csv" if name == "list.csv" else "-"
    with (
        (here / name).open("rb") as file,
        running("scan", "-q", *held.options, "-i", source, stdin=file) as scan,
    ):
        out, errors = scan.communicate()
    assert (scan.returncode, errors) == (0, b"")
    assert [record["target"] for record in records(out.decode())] == ["192.0.2.1", "192.0.2.3"]


def test_devnull_is_an_input_of_no_targets() -> None:
    with running("scan", "--zones", ZONES, "-", stdin=subprocess.DEVNULL) as scan:
        out, errors = scan.communicate()
    assert (scan.returncode, out) == (2, b"")
    assert errors == b"auditor: no target in standard input\n"


def test_at_a_low_rate_a_signal_loses_not_an_answer(here: Path, call: Callable[..., Ended]) -> None:
    hosts = range(256)
    zone = "$ORIGIN 2.0.192.in-addr.arpa.\n"
    zone += "".join(f"{host} PTR h{host}.example.net.\n" for host in hosts)
    zone += "$ORIGIN example.net.\n" + "".join(f"h{host} A 192.0.2.{host}\n" for host in hosts)
    asked = itertools.count(1)

    def plan(*_: Any) -> tuple[Action]:
        if next(asked) == 150:
            os.kill(os.getpid(), signal.SIGTERM)
        return (answer,)

    with FaultyServer(zone, plan) as server:
        scan = ("scan", "--server", f"127.0.0.1:{server.port}", "--qps", "200", "192.0.2.0/24")
        assert call(*scan, "-q", "-o", "out.ndjson").code == 3
    finished = _interrupted(here / "out.ndjson")
    assert finished == [f"192.0.2.{number}" for number in range(len(finished))]
    assert 20 < len(finished) < 256
    # PTR, address and policy of each, and one question about a wildcard.
    assert manifest(here / "out.ndjson")["queries"]["answered"] == 3 * len(finished) + 1


@pytest.mark.parametrize("output", ["out.ndjson", "out/", "-"])
def test_a_signal_ends_a_scan_that_still_reads_its_zone_files(
    call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, output: str
) -> None:
    def endless(_file: object, go_on: Callable[[], bool]) -> None:
        os.kill(os.getpid(), signal.SIGTERM)
        while go_on():
            time.sleep(0)
        raise Interrupted

    monkeypatch.setattr("auditor.resolve.zones.engine.read_zone", endless)
    ended = call("scan", "-q", "--zones", ZONES, "198.51.100.0/24", "-o", output)
    assert (ended.code, ended.out) == (3, "")
