"""An outage of a server or of the link is no answer: the records are those of a scan without."""

from __future__ import annotations

import json
import subprocess
import sys
from contextlib import ExitStack
from random import Random
from typing import TYPE_CHECKING, Final, NamedTuple

import pytest
from support.data import installed
from support.delayed import DelayedAuthority, Outage, fleet_replies
from support.effort import sample
from support.small_fleet import ADDRESSES

from auditor.cli.app import run as run_command

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


#: Queries of a scan of the fleet: an outage begins after some of them.
_QUERIES: Final = 3 * len(ADDRESSES)

_SECONDS: Final = (0.5, 2.0, 4.0, 8.0)
_RATES: Final[tuple[list[str], ...]] = ([], ["--qps", "400"])


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """Return the records without an outage."""
    output = tmp_path_factory.mktemp("right") / "right.ndjson"
    with DelayedAuthority(fleet_replies(), 0.0) as server:
        where = f"127.0.0.1:{server.port}"
        assert (
            run_command(["scan", "--quiet", "--server", where, "-o", str(output), *ADDRESSES]) == 0
        )
    return output.read_bytes()


@pytest.fixture
def scan(tmp_path: Path) -> Callable[..., int]:
    """Scan the fleet with some servers into `out.ndjson`; return the exit code."""

    def scan_with(*options: str) -> int:
        output = str(tmp_path / "out.ndjson")
        return run_command(["scan", "--quiet", "-o", output, *options, *ADDRESSES])

    return scan_with


class Case(NamedTuple):
    """An outage of so many seconds in a scan of some speed, after some of the queries."""

    kind: str
    seconds: float
    rate: list[str]

    def __str__(self) -> str:
        return f"{self.kind}, {self.seconds} s, {' '.join(self.rate) or 'full speed'}"

    def outage(self, *, within: int) -> Outage:
        """Return the outage, which begins within so many queries."""
        after = Random(str(self)).randrange(50, within)
        return Outage(after, self.seconds, self.kind)


def _cases() -> list[Case]:
    """Return outages in an order in which a sample has some of each."""
    cases = [
        Case(kind, seconds, rate)
        for seconds in _SECONDS
        for kind in ("silent", "refusing")
        for rate in _RATES
    ]
    Random(7).shuffle(cases)
    return list(sample(cases, fewest=2))


@pytest.mark.parametrize("case", _cases(), ids=str)
def test_an_outage_of_the_only_server_changes_no_record(
    scan: Callable[..., int], tmp_path: Path, right: bytes, case: Case
) -> None:
    outage = case.outage(within=_QUERIES)
    with DelayedAuthority(fleet_replies(), 0.005, outage=outage) as server:
        assert scan("--server", f"127.0.0.1:{server.port}", *case.rate) == 0
        assert server.queries >= outage.after
    assert (tmp_path / "out.ndjson").read_bytes() == right


@pytest.mark.parametrize("case", _cases(), ids=str)
def test_an_outage_of_one_of_two_servers_changes_no_record(
    scan: Callable[..., int], tmp_path: Path, right: bytes, case: Case
) -> None:
    outage = case.outage(within=_QUERIES // 3)
    with ExitStack() as stack:
        servers = [
            stack.enter_context(DelayedAuthority(fleet_replies(), 0.005, outage=planned))
            for planned in (outage, None)
        ]
        where = ",".join(f"127.0.0.1:{server.port}" for server in servers)
        assert scan("--server", where, *case.rate) == 0
        assert servers[0].queries >= outage.after
    assert (tmp_path / "out.ndjson").read_bytes() == right


def test_an_outage_that_outlasts_the_patience_is_exit_code_3_and_resume_goes_on(
    scan: Callable[..., int], tmp_path: Path, right: bytes
) -> None:
    # Late, and at a low rate: some records are finished by then, however busy the machine.
    outage = Outage(after=_QUERIES * 9 // 10, seconds=1_000.0, kind="silent")
    with DelayedAuthority(fleet_replies(), 0.005, outage=outage) as server:
        where = f"127.0.0.1:{server.port}"
        assert scan("--server", where, "--qps", "400") == 3
        manifest = json.loads((tmp_path / "out.ndjson.run.json").read_text("utf-8"))
        assert manifest["how"] != "finished"
        server.end_outage()
        assert scan("--server", where, "--resume") == 0
    assert (tmp_path / "out.ndjson").read_bytes() == right


@pytest.mark.parametrize(("seconds", "rate"), sample([(2.0, ["--qps", "400"]), (4.0, [])]))
def test_a_link_that_is_down_for_a_while_changes_no_record(
    namespace: str, tmp_path: Path, right: bytes, seconds: float, rate: list[str]
) -> None:
    output = tmp_path / "out.ndjson"
    outage = Outage(after=_QUERIES // 3, seconds=seconds, kind="link")
    with DelayedAuthority(fleet_replies(), 0.005, outage=outage, namespace=namespace) as server:
        where = f"127.0.0.1:{server.port}"
        command = [
            installed("ip", "iproute2"),
            "netns",
            "exec",
            namespace,
            sys.executable,
            "-m",
            "auditor",
            "scan",
        ]
        command += ["--quiet", "-o", str(output), "--server", where, *rate, *ADDRESSES]
        assert subprocess.run(command, check=False, timeout=180).returncode == 0
        assert server.queries > outage.after
    assert output.read_bytes() == right
