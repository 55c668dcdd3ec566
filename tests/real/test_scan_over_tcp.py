"""Which way an answer came by changes nothing in a record: by datagram, over TCP, or either."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

from support import servers
from support.effort import sample
from support.fleet import FLEET
from support.fronts import truncating

if TYPE_CHECKING:
    from pathlib import Path

    from support.processes import Server

TARGETS: Final = ("-i", str(FLEET / "targets.txt"), "-i", str(FLEET / "targets.csv"))


def _scan(output: Path, *arguments: str | Path) -> tuple[bytes, dict[str, int]]:
    """Return the records of a scan, and what its manifest says of queries."""
    command = [sys.executable, "-m", "auditor", "scan", "--quiet", "--overwrite"]
    command += ["-o", str(output), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=180)
    assert (done.returncode, done.stderr) == (0, b"")
    manifest = json.loads(output.with_name(f"{output.name}.run.json").read_text("utf-8"))
    return output.read_bytes(), manifest["queries"]


def test_a_server_says_over_tcp_what_it_says_by_datagram(
    name_server: Server, tmp_path: Path
) -> None:
    output = tmp_path / "out.ndjson"
    where = ("--server", f"127.0.0.1:{name_server.port}", *TARGETS)
    by_datagram, _ = _scan(output, *where)
    with truncating(name_server) as port:
        over_tcp, queries = _scan(output, "--server", f"127.0.0.1:{port}", *TARGETS)
    assert over_tcp == by_datagram
    # What fails is asked once more over TCP, without validation.
    twice = queries["tcp"] - queries["answered"] - queries["failed"]
    assert 0 <= twice <= queries["persisted"]
    assert queries["tcp"] > 500
    assert queries["tcp_sent"] - queries["tcp_lost"] == queries["tcp_accepted"] >= queries["tcp"]


def _limited_zones(folder: Path) -> None:
    """Write a /21 whose aliases end at nothing: each answer is a chain and then NXDOMAIN.

    NSD answers 200 such questions a second by default, and drops or truncates the others.
    """
    head = "$TTL 300\n@ SOA ns.example.net. me.example.net. 1 60 60 60 60\n@ NS ns.example.net.\n"
    lines = "".join(
        f"{number % 256}.{number // 256} CNAME {number % 256}.nowhere.{number // 256}\n"
        for number in range(2048)
    )
    (folder / "100.10.in-addr.arpa.zone").write_text(f"{head}{lines}", "utf-8")


def test_a_server_that_limits_its_rate_gives_the_same_bytes_each_time(tmp_path: Path) -> None:
    zones = tmp_path / "zones"
    zones.mkdir()
    _limited_zones(zones)
    output = tmp_path / "out.ndjson"
    expected, _ = _scan(output, "--zones", zones, "10.100.0.0/21")
    with servers.nsd(zones) as server:
        where = ("--server", f"127.0.0.1:{server.port}", "10.100.0.0/21")
        for options in sample(
            [(), ("--concurrency", "20"), ("--concurrency", "400", "--tries", "2")]
        ):
            found, queries = _scan(output, *where, *options)
            assert found == expected
            assert queries["failed"] == 0
            assert queries["tcp"] > 100
    records: list[Any] = [json.loads(line) for line in expected.splitlines()]
    assert {record["ptr"]["status"] for record in records} == {"NXDOMAIN"}
    assert {len(record["ptr"]["chain"]) for record in records} == {1}
