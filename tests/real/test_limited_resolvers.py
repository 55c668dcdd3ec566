"""Behind real servers at their limits a scan gives the records that it gives without limits."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.data import installed
from support.delayed import DelayedAuthority, fleet_replies
from support.effort import sample
from support.faults import answer, delay, rcode
from support.faulty import FaultyServer
from support.limited_resolvers import RESOLVERS, rate_limiting_nsd, resolver, systemd_resolved
from support.small_fleet import ADDRESSES, BROKEN_NET, HOSTS, ZONE, is_broken

from auditor.cli.app import run as run_command

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from support.faults import Action
    from support.faulty import Asked, Plan

#: What a lookup takes at the authority, so that a resolver has several under way.
LOOKUP_S: Final = 0.02


def _per_second(limit: int, *beyond: Action) -> Plan:
    """Answer so many queries in each second, and do something else with the rest."""
    seconds: dict[int, int] = {}

    def plan(_asked: Asked, _transport: str, _nth: int) -> Sequence[Action]:
        second = int(time.monotonic())
        seconds[second] = seconds.get(second, 0) + 1
        return (delay(LOOKUP_S), answer) if seconds[second] <= limit else beyond

    return plan


class Scanned:
    """What a scan has written: its records' lines, and its manifest."""

    def __init__(self, output: Path) -> None:
        self.lines = output.read_bytes().splitlines()
        self.manifest: dict[str, Any] = json.loads(
            output.with_name(f"{output.name}.run.json").read_text("utf-8")
        )

    @property
    def queries_a_question(self) -> float:
        """How many queries went out for each question that had to be asked."""
        count = self.manifest["queries"]
        return float(count["sent"] / (count["answered"] + count["failed"]))


@pytest.fixture
def scan(tmp_path: Path) -> Callable[..., Scanned]:
    """Scan addresses with a server, to the end."""

    def scan_with(port: int, addresses: Sequence[str] = ADDRESSES, *options: str) -> Scanned:
        targets = tmp_path / "targets.txt"
        targets.write_text("\n".join(addresses), "utf-8")
        output = tmp_path / f"{port}.ndjson"
        where = f"127.0.0.1:{port}"
        arguments = ["scan", "--quiet", "--server", where, "-i", targets, "-o", output, *options]
        assert run_command([str(argument) for argument in arguments]) == 0
        return Scanned(output)

    return scan_with


@pytest.fixture(scope="module")
def right(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the records by address, as they are without a limit."""
    output = tmp_path_factory.mktemp("right") / "right.ndjson"
    with DelayedAuthority(fleet_replies(), 0.0) as server:
        where = f"127.0.0.1:{server.port}"
        command = ["scan", "--quiet", "--server", where, "-o", str(output), *ADDRESSES]
        assert run_command(command) == 0
    return dict(zip(ADDRESSES, output.read_bytes().splitlines(), strict=True))


@pytest.mark.parametrize("name", sample(list(RESOLVERS), fewest=4))
def test_a_resolver_at_its_limit_gives_the_records_of_one_without(
    scan: Callable[..., Scanned], right: dict[str, bytes], name: str
) -> None:
    with (
        DelayedAuthority(fleet_replies(), LOOKUP_S) as authority,
        resolver(name, authority.port) as server,
    ):
        found = scan(server.port)
    assert found.lines == list(right.values())
    assert found.manifest["queries"]["persisted"] == 0
    # In a scan so small the search for the limit is a good part of it.
    assert found.queries_a_question < 2.5


def test_the_stub_of_systemd_resolved_gives_the_records_of_a_server(
    namespace: str, right: dict[str, bytes], tmp_path: Path
) -> None:
    output = tmp_path / "out.ndjson"
    with (
        DelayedAuthority(fleet_replies(), LOOKUP_S, namespace=namespace) as authority,
        systemd_resolved(namespace, authority.port) as port,
    ):
        command = [installed("ip", "iproute2"), "netns", "exec", namespace]
        command += [sys.executable, "-m", "auditor", "scan"]
        command += ["--quiet", "-o", str(output), "--server", f"127.0.0.1:{port}", *ADDRESSES]
        assert subprocess.run(command, check=False, timeout=180).returncode == 0
    assert output.read_bytes().splitlines() == list(right.values())


@pytest.mark.parametrize(
    "name", sample(["dnsmasq, dns-forward-max 20", "BIND, recursive-clients 100"])
)
def test_a_tenth_of_the_zones_broken_behind_a_limit_fails_and_nothing_else(
    scan: Callable[..., Scanned], right: dict[str, bytes], name: str
) -> None:
    with (
        DelayedAuthority(fleet_replies(is_broken), LOOKUP_S) as authority,
        resolver(name, authority.port) as server,
    ):
        found = scan(server.port)
    _assert_broken(found, right)


def test_zones_that_always_fail_cost_no_limit(
    scan: Callable[..., Scanned], right: dict[str, bytes]
) -> None:
    with DelayedAuthority(fleet_replies(is_broken), LOOKUP_S) as server:
        found = scan(server.port)
    _assert_broken(found, right)
    assert found.queries_a_question < 1.3
    assert "server_limits" not in found.manifest


def _assert_broken(found: Scanned, right: dict[str, bytes]) -> None:
    broken = f"20.1.{BROKEN_NET}."
    for (address, record), line in zip(right.items(), found.lines, strict=True):
        if address.startswith(broken):
            assert json.loads(line)["ptr"]["status"] == "SERVFAIL"
        else:
            assert line == record
    assert found.manifest["queries"]["persisted"] == len(HOSTS)


@pytest.mark.parametrize(
    ("limit", "beyond", "most"),
    sample(
        [
            pytest.param(1024, [], len(ADDRESSES), id="drops above 1,024 a second"),
            pytest.param(300, [], len(ADDRESSES), id="drops above 300 a second"),
            pytest.param(30, [rcode("REFUSED")], 40, id="refuses above 30 a second"),
        ],
        fewest=2,
    ),
)
def test_a_server_that_takes_so_many_a_second_gives_the_records_of_one_without(
    scan: Callable[..., Scanned],
    right: dict[str, bytes],
    limit: int,
    beyond: list[Action],
    most: int,
) -> None:
    with FaultyServer(ZONE, _per_second(limit, *beyond)) as server:
        found = scan(server.port, ADDRESSES[:most])
    assert found.lines == list(right.values())[:most]
    assert found.manifest["queries"]["persisted"] == 0


def test_an_authority_that_limits_the_rate_of_its_responses_gives_the_same_records(
    scan: Callable[..., Scanned], right: dict[str, bytes], tmp_path: Path
) -> None:
    head = (
        "@ 300 SOA ns.invalid. hostmaster.invalid. 1 7200 900 1209600 300\n@ 300 NS ns.invalid.\n"
    )
    for origin in ("20.in-addr.arpa", "example.net"):
        lines = [line for line in ZONE.splitlines() if line.split()[0].endswith(f"{origin}.")]
        (tmp_path / f"{origin}.zone").write_text(head + "\n".join(lines) + "\n", "utf-8")
    with rate_limiting_nsd(tmp_path) as server:
        found = scan(server.port)
    assert found.lines == list(right.values())
    assert found.manifest["queries"]["tcp"] > 0
