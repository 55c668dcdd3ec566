"""Early ends: deadlines and signals, in time that passes by itself."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from typing import TYPE_CHECKING, Any, cast

import pytest
from cli.driving import ZONES, Ended, manifest, running
from support.faults import answer
from support.faulty import FaultyServer, per_name
from support.virtual_time import run_virtual

from auditor.output.tally import is_countable
from auditor.run import shutdown as ending_module
from auditor.run.shutdown import Shutdown

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from auditor.run.scan import Scan

pytestmark = pytest.mark.process

ZONE = """
$ORIGIN 2.0.192.in-addr.arpa.
1 PTR one.example.net.
2 PTR two.example.net.
$ORIGIN example.net.
one A 192.0.2.1
two A 192.0.2.2
"""


class _Scan:
    """Has something under way for so many seconds after it was told to stop."""

    def __init__(self, seconds: float) -> None:
        self.dropped = False
        self._seconds = seconds
        self._until: float | None = None

    @property
    def open_targets(self) -> int:
        now = asyncio.get_running_loop().time()
        return int(self._until is None or now < self._until)

    def abort(self) -> None:
        self.dropped = True

    def finish_early(self) -> None:
        self._until = asyncio.get_running_loop().time() + self._seconds


def _ended_at(
    deadline: float | None, under_way: float, tell: Callable[[Shutdown], None] = lambda _: None
) -> tuple[float, str, list[str]]:
    """Return when a run that never ends by itself does, why, and what was said meanwhile."""
    messages: list[str] = []

    async def main() -> tuple[float, str, list[str]]:
        loop = asyncio.get_running_loop()
        work: asyncio.Future[None] = loop.create_future()
        scan = _Scan(under_way)
        ending = Shutdown(
            cast("Scan", scan),
            work,
            stopping=messages.append,
            drop=lambda: messages.append(f"dropped at {loop.time():.0f}"),
        )
        with ending.signals_handled(deadline):
            tell(ending)
            with pytest.raises(asyncio.CancelledError):
                await work
        assert scan.dropped
        return loop.time(), ending.why, messages

    return run_virtual(main())


@pytest.mark.parametrize(("seconds", "when"), [(60.0, 61), (19_800.0, 19_801), (-5.0, 1), (0.0, 1)])
def test_a_deadline_ends_a_run_when_what_is_under_way_is_done(seconds: float, when: float) -> None:
    ended, why, said = _ended_at(seconds, 1.0)
    assert (round(ended), why) == (when, "deadline")
    assert said == ["deadline", f"dropped at {when}"]


def test_what_is_under_way_has_a_time_of_grace_and_no_more() -> None:
    ended, _, _ = _ended_at(60.0, 1e6)
    assert round(ended) == 64


def test_a_signal_before_the_deadline_is_what_is_said() -> None:
    def tell(_ending: Shutdown) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    ended, why, said = _ended_at(60.0, 1.0, tell)
    assert (round(ended), why, said[0]) == (1, "interrupted", "interrupted")


def test_a_signal_after_the_deadline_drops_what_is_under_way() -> None:
    def tell(ending: Shutdown) -> None:
        asyncio.get_running_loop().call_later(61.0, ending._on_signal)

    ended, why, said = _ended_at(60.0, 1e6, tell)
    assert (round(ended), why) == (61, "deadline")
    assert said == ["deadline", "dropped at 61"]


def test_a_second_signal_drops_what_is_under_way_at_once() -> None:
    def tell(ending: Shutdown) -> None:
        for seconds in (1.0, 2.0):
            asyncio.get_running_loop().call_later(seconds, ending._on_signal)

    ended, why, said = _ended_at(None, 1e6, tell)
    assert (round(ended), why) == (2, "interrupted")
    assert said == ["interrupted", "dropped at 2"]


def test_a_third_signal_ends_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    codes: list[int] = []
    monkeypatch.setattr(os, "_exit", codes.append)

    def tell(ending: Shutdown) -> None:
        for _ in range(3):
            ending._on_signal()

    _ended_at(None, 1e6, tell)
    assert codes == [3]


def test_what_has_ended_is_not_told_to() -> None:
    messages: list[str] = []

    async def main() -> None:
        work: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        work.set_result(None)
        ending = Shutdown(
            cast("Scan", _Scan(0)),
            work,
            stopping=messages.append,
            drop=lambda: messages.append("dropped"),
        )
        with ending.signals_handled(5.0):
            await asyncio.sleep(60.0)
            ending._on_signal()
        assert (ending.why, messages) == ("", [])

    run_virtual(main())


# --- At the command line


@pytest.mark.parametrize("suffix", ["", ".gz", ".zst"])
def test_a_deadline_is_exit_code_3_and_resume_goes_on(
    here: Path, call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    monkeypatch.setattr(ending_module, "_GRACE_PERIOD_S", 0.0)
    output = here / f"out.ndjson{suffix}"
    answering = False

    def plan(*asked: Any) -> Any:
        return (answer,) if answering else per_name({"2.2.0.192.in-addr.arpa": []})(*asked)

    with FaultyServer(ZONE, plan) as server:
        scan = ("scan", "--server", f"127.0.0.1:{server.port}", "--timeout", "30", "192.0.2.1-2")
        ended = call(*scan, "-o", output, "--deadline", "1s")
        assert (ended.code, ended.out) == (3, "")
        lines = ended.err.splitlines()
        assert lines[0] == "auditor: deadline, finishing what is under way"
        # The first was finished, and waits no longer for the one of its block that is late.
        assert lines[1].startswith("1 record in ")
        assert lines[-3:] == [
            "not finished: deadline",
            f"records: {output}.partial",
            f"manifest: {output}.run.json",
        ]
        content = manifest(output)
        assert (content["how"], content["records"], content["settings"]["deadline"]) == (
            "deadline",
            1,
            1.0,
        )
        answering = True
        assert call(*scan, "-q", "-o", output, "--resume") == (0, "", "")
    assert [part["how"] for part in manifest(output)["sessions"]] == ["deadline", "finished"]
    assert manifest(output)["records"] == 2


def test_a_deadline_may_be_over_before_the_scan_has_begun(
    here: Path, call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    times = iter([0.0, 100.0])
    monkeypatch.setattr("auditor.cli.scan.time.monotonic", lambda: next(times, 100.0))
    ended = call("scan", "--zones", ZONES, "198.51.100.1", "-o", "out.ndjson", "--deadline", "5s")
    assert ended.code == 3
    assert ended.err.splitlines()[0] == "auditor: deadline, finishing what is under way"
    assert not (here / "out.ndjson").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("soon", "'soon' is not a duration; expected one such as 5h30m, 90s or 2d"),
        ("0s", "deadline: 0.0 is not within 1 and 10,000,000"),
    ],
)
def test_a_deadline_that_is_none(call: Callable[..., Ended], text: str, message: str) -> None:
    ended = call("scan", "--zones", ZONES, "198.51.100.1", "--deadline", text)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("auditor: ")
    assert ended.err.endswith(f"{message}\n")


def test_a_deadline_that_is_far_away_changes_nothing(call: Callable[..., Ended]) -> None:
    ended = call("scan", "-q", "--zones", ZONES, "198.51.100.1", "--deadline", "5h30m")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.count("\n") == 1


def test_a_scan_that_is_told_to_end_while_it_reads_what_there_is_leaves_it_as_it_is(
    here: Path, call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    scan = ("scan", "--zones", ZONES, "198.51.100.0/24", "-o", "out.ndjson")
    assert call(*scan, "-q").code == 0
    whole = (here / "out.ndjson").read_bytes()
    (here / "out.ndjson").rename(here / "out.ndjson.partial")
    content = (here / "out.ndjson.run.json").read_bytes()
    told, given_up = threading.Event(), threading.Event()
    give_up = Shutdown.give_up

    def tell(value: object) -> bool:
        if not told.is_set():
            told.set()
            os.kill(os.getpid(), signal.SIGTERM)
            assert given_up.wait(120)
        return is_countable(value)

    def note(ending: Shutdown) -> None:
        give_up(ending)
        given_up.set()

    with monkeypatch.context() as telling:
        telling.setattr("auditor.session.is_countable", tell)
        telling.setattr(Shutdown, "give_up", note)
        ended = call(*scan, "--resume")
    assert ended == (3, "", "auditor: interrupted, finishing what is under way\n")
    assert (here / "out.ndjson.partial").read_bytes() == whole
    assert (here / "out.ndjson.run.json").read_bytes() == content
    assert call(*scan, "-q", "--resume") == (0, "", "")


def test_sigterm_before_there_is_a_scan_ends_in_order(here: Path) -> None:
    os.mkfifo(here / "excludes")
    excludes = ("-x", f"@{here / 'excludes'}")
    with running("scan", "--zones", ZONES, "198.51.100.1", *excludes) as scan:
        # This waits until the scan reads, which waits for what will never be written.
        writer = os.open(here / "excludes", os.O_WRONLY)
        scan.send_signal(signal.SIGTERM)
        assert scan.communicate() == (b"", b"\nauditor: interrupted\n")
        os.close(writer)
    assert scan.returncode == 3
