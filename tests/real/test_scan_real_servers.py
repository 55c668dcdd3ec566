"""`auditor scan --server` against real servers and a faulty one: the same as from zone files."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest
from cli.driving import call
from support import faults, servers
from support.effort import is_quick, sample
from support.faults import answer, delay
from support.faulty import Chaos, FaultyServer, per_name
from support.fleet import FLEET, expected

from auditor.wire.reverse import reverse_name

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from support.faults import Action
    from support.processes import Server

ZONES: Final = str(FLEET / "zones")
TARGETS: Final = ("-i", str(FLEET / "targets.txt"), "-i", str(FLEET / "targets.csv"))

#: PTR names with characters that PowerDNS answers SERVFAIL about, and c-ares refuses to ask for.
ODD_NAMES: Final = {"198.51.100.47", "198.51.100.48", "198.51.100.63"}
#: Aliases of RFC 2317 that end at nothing, and the servers that say so in one reply.
DEAD_ALIASES: Final = {"198.51.100.77", *(f"198.51.100.{number}" for number in range(111, 127))}
FOLLOWING: Final = {"nsd", "powerdns", "unbound"}

#: What wild cards answer for, 256 addresses each.
PREFIX: Final = "20.30.0.0/20" if is_quick() else "20.30.0.0/16"
MANY: Final = 4_096 if is_quick() else 65_536
MEMORY: Final = 200_000_000


def _scan(*arguments: str | Path, lame: bool = False) -> bytes:
    # That a server refuses what it has not got is nothing that files say: see below.
    ended = call("scan", "--quiet", *([] if lame else ["--ignore", "SERVER_LAME"]), *arguments)
    assert (ended.code, ended.err) == (0, "")
    return ended.out.encode()


def _scan_apart(*arguments: str | Path) -> bytes:
    """Scan in a process of its own, since this one is the server."""
    command = [sys.executable, "-m", "auditor", "scan", "--quiet", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=False, timeout=180)
    assert (done.returncode, done.stderr) == (0, b"")
    return done.stdout


def _records(lines: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.splitlines()]


def _where(server: Server, version: int) -> str:
    if version == 6:
        if "::1" not in server.addresses:
            pytest.skip("no IPv6 on this machine")
        return f"[::1]:{server.port}"
    return f"127.0.0.1:{server.port}"


@pytest.fixture(scope="session")
def from_files() -> bytes:
    return _scan("--zones", ZONES, *TARGETS)


def _without_an_answer(record: dict[str, Any], status: str) -> None:
    """Change the record of an address whose one PTR name was looked up to a failure."""
    (name,) = record["iprev"]["names"]
    name["status"] = status
    record["iprev"]["result"] = "temperror"
    record["verdict"] = "unknown"
    for finding in record["findings"]:
        if finding["code"] == "FORWARD_MISSING":
            finding.update(code="FORWARD_UNDETERMINED", severity="warning")


def _as_powerdns_says(records: list[dict[str, Any]]) -> list[dict[str, Any]]:
    for record in records:
        if record["target"] in ODD_NAMES:
            _without_an_answer(record, "SERVFAIL")
    return records


def _hide_zones(value: Any) -> None:
    """Take out who denied a PTR: of a failure c-ares drops the SOA."""
    for inner in value.values() if isinstance(value, dict) else value:
        if isinstance(inner, dict | list):
            _hide_zones(inner)
    if isinstance(value, dict) and "zone" in value:
        value["zone"] = None


def _as_cares_says(records: list[dict[str, Any]], server: str) -> list[dict[str, Any]]:
    """Take out what c-ares does not pass on; see the head of `resolve/cares.py`."""
    for record in records:
        if record["target"] in ODD_NAMES:
            _without_an_answer(record, "FORMERR")
        if record["target"] in DEAD_ALIASES and server in FOLLOWING:
            record["ptr"]["chain"] = []
            record["ptr"]["owner"] = reverse_name(record["target"])
        _hide_zones(record)
        # Where strings end, and records of types that it has no parser for.
        record["findings"] = [
            finding
            for finding in record["findings"]
            if finding["code"] not in {"SPF_STRINGS_JOINED", "SPF_TYPE_99"}
        ]
    return records


@pytest.mark.parametrize("version", sample([4, 6]))
def test_a_server_gives_the_records_of_its_zone_files(
    name_server: Server, version: int, from_files: bytes
) -> None:
    found = _scan("--server", _where(name_server, version), *TARGETS)
    if name_server.name == "powerdns":
        assert _records(found) == _as_powerdns_says(_records(from_files))
    else:
        assert found == from_files


def test_what_a_server_refuses_is_named_as_the_readme_says(nsd_server: Server) -> None:
    found = _scan("--server", _where(nsd_server, 4), "--select", "SERVER_LAME", *TARGETS, lame=True)
    lame = {record["target"] for record in _records(found) if record["findings"]}
    assert lame == {row.target for row in expected("targets.txt") if "SERVER_LAME" in row.codes}


@pytest.mark.parametrize("version", sample([6, 4]))
def test_cares_gives_them_too_but_for_what_it_hides(
    name_server: Server, version: int, from_files: bytes
) -> None:
    found = _records(_scan("--server", _where(name_server, version), "--engine", "cares", *TARGETS))
    _hide_zones(found)  # an alias to a name without a PTR comes with the SOA from some servers
    assert found == _as_cares_says(_records(from_files), name_server.name)


def test_what_cares_hides_is_there_to_be_hidden(from_files: bytes) -> None:
    whole = {record["target"]: record for record in _records(from_files)}
    told = _as_cares_says(copy.deepcopy(list(whole.values())), "nsd")
    different = {record["target"] for record in told if record != whole[record["target"]]}
    assert different >= ODD_NAMES | DEAD_ALIASES
    assert {whole[target]["ptr"]["status"] for target in DEAD_ALIASES} == {"NXDOMAIN"}
    assert all(len(whole[target]["ptr"]["chain"]) == 1 for target in DEAD_ALIASES)


@pytest.mark.full
def test_several_servers_and_rates_change_nothing(
    nsd_server: Server, knot_server: Server, from_files: bytes
) -> None:
    where = [
        word for server in (nsd_server, knot_server) for word in ("--server", _where(server, 4))
    ]
    assert _scan(*where, "--concurrency", "5", "--cache-size", "10", *TARGETS) == from_files
    assert _scan(*where, "--server-qps", "2000", "--qps", "3000", *TARGETS) == from_files


# --- Many targets in little memory


@pytest.fixture(scope="session")
def large_zones(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a /16 of 256 wildcards: quick to load, each too seldom asked for to be limited."""
    folder = tmp_path_factory.mktemp("large")
    head = "$TTL 300\n@ SOA ns.example.net. me.example.net. 1 60 60 60 60\n@ NS ns.example.net.\n"
    names = "".join(f"*.{part} PTR mail-{part}.example.net.\n" for part in range(256))
    addresses = "".join(f"mail-{part} A 20.30.{part}.25\n" for part in range(256))
    (folder / "30.20.in-addr.arpa.zone").write_text(head + names)
    (folder / "example.net.zone").write_text(f"{head}ns A 127.0.0.1\n{addresses}")
    return folder


def _scan_many(folder: Path, *where: str | Path) -> None:
    """Scan all of them and look at what came of it."""
    output = folder / "out.ndjson"
    # By a shell: the peak of a process begins with that of whoever started it.
    command = [sys.executable, "-m", "auditor", "scan", "-q", "-o", output, *where, PREFIX]
    subprocess.run(["sh", "-c", '"$@"; exit $?', "sh", *map(str, command)], check=True)
    content = json.loads((folder / "out.ndjson.run.json").read_text("utf-8"))
    assert content["records"] == MANY
    assert content["verdicts"] == {"fail": MANY - MANY // 256, "pass": MANY // 256}
    assert content["queries"]["failed"] == 0
    assert content["peak_memory"] < MEMORY
    with output.open("rb") as lines:
        for number, line in enumerate(lines):
            assert line.startswith(b'{"target":"20.30.%d.%d",' % divmod(number, 256))
    assert number == MANY - 1


def test_many_targets_from_zone_files_take_little_memory(large_zones: Path, tmp_path: Path) -> None:
    _scan_many(tmp_path, "--zones", large_zones)


def test_many_targets_from_a_server_take_little_memory(large_zones: Path, tmp_path: Path) -> None:
    with servers.nsd(large_zones) as server:
        _scan_many(tmp_path, "--server", _where(server, 4))


# --- A server that does wrong

#: What is done with the PTR question of a target, and the status that its record then has.
FAULTS: Final[dict[str, tuple[Sequence[Action], str]]] = {
    "sound": ([answer], "NOERROR"),
    "slow": ([delay(0.05), answer], "NOERROR"),
    "silent": ([], "TIMEOUT"),
    "refusing": ([faults.rcode("REFUSED")], "REFUSED"),
    "failing": ([faults.rcode("SERVFAIL")], "SERVFAIL"),
    "explaining": ([faults.extended_error(22, "no reachable authority")], "SERVFAIL"),
    "unwilling": ([faults.rcode("NOTIMP")], "NOTIMP"),
    "confused": ([faults.rcode("FORMERR")], "FORMERR"),
    "denying": ([faults.rcode("NXDOMAIN")], "NXDOMAIN"),
    "empty": ([faults.empty], "NODATA"),
    "elsewhere": ([faults.referral], "SERVFAIL"),
    "truncating": ([faults.truncate], "NOERROR"),
    "cutting short": ([faults.truncate_with_data], "NOERROR"),
    "old": ([faults.formerr_to_edns], "NOERROR"),
    "stuttering": ([answer, answer], "NOERROR"),
    "other case": ([faults.case_changed], "NOERROR"),
    "wrong ID": ([faults.wrong_id], "TIMEOUT"),
    "wrong question": ([faults.wrong_question], "TIMEOUT"),
    "wrong port": ([faults.answer_from_another_port], "TIMEOUT"),
    "parrot": ([faults.echo], "TIMEOUT"),
    "garbage": ([faults.garbage(b"\xff" * 7)], "TIMEOUT"),
    "loop": ([faults.compression_loop], "MALFORMED"),
    "wrong counts": ([faults.wrong_counts], "MALFORMED"),
    "in half": ([faults.cut(40)], "MALFORMED"),
}
#: c-ares gives up on all that is in flight when a packet cannot be read, and takes a referral
#: for an empty answer.
BEYOND_CARES: Final = {
    "elsewhere", "old", "parrot", "garbage", "loop", "wrong counts", "in half"
}  # fmt: skip


def _faulty(names: Sequence[str]) -> tuple[str, dict[str, Sequence[Action]]]:
    """Return zone lines and actions for the targets 192.0.2.1 and so on."""
    lines, actions = [], {}
    for number, name in enumerate(names, 1):
        owner = f"{number}.2.0.192.in-addr.arpa"
        lines.append(f"{owner}. PTR host-{number}.example.net.")
        lines.append(f"host-{number}.example.net. A 192.0.2.{number}")
        actions[owner] = FAULTS[name][0]
    return "\n".join(lines), actions


@pytest.mark.parametrize("engine", ["bulk", "cares"])
def test_every_fault_has_its_status_and_every_target_its_record(engine: str) -> None:
    names = [name for name in FAULTS if engine == "bulk" or name not in BEYOND_CARES]
    zone, actions = _faulty(names)
    with FaultyServer(zone, per_name(actions)) as server:
        lines = _scan_apart(
            "--server", f"127.0.0.1:{server.port}", "--engine", engine, "--timeout", "0.25",
            "--tries", "2", f"192.0.2.1-192.0.2.{len(names)}",
        )  # fmt: skip
    found = _records(lines)
    assert [record["target"] for record in found] == [
        f"192.0.2.{number}" for number in range(1, len(names) + 1)
    ]
    statuses = {name: record["ptr"]["status"] for name, record in zip(names, found, strict=True)}
    assert statuses == {name: FAULTS[name][1] for name in names}
    verdicts = {"NOERROR": "pass", "NXDOMAIN": "fail", "NODATA": "fail"}
    for record in found:
        codes = {finding["code"] for finding in record["findings"]} - {"TARGET_NOT_GLOBAL"}
        expected = verdicts.get(record["ptr"]["status"], "unknown")
        assert (record["verdict"] == "fail") == (expected == "fail")
        assert ("PTR_UNDETERMINED" in codes) == (expected == "unknown")


def test_a_truncated_answer_that_no_tcp_completes_is_not_called_empty() -> None:
    # The sound one is there because a scan that determines nothing at all ends with an error.
    zone, actions = _faulty(["truncating", "cutting short", "sound"])
    with FaultyServer(zone, per_name(actions), tcp=False) as server:
        where = ("--server", f"127.0.0.1:{server.port}")
        found = _records(_scan_apart(*where, "192.0.2.1-192.0.2.3"))
    assert [record["ptr"]["status"] for record in found] == ["TRUNCATED", "TRUNCATED", "NOERROR"]
    results = [record["iprev"]["result"] for record in found]
    assert results == ["temperror", "temperror", "pass"]


@pytest.mark.full
@pytest.mark.parametrize("seed", [1, 2])
def test_chance_changes_nothing_as_long_as_there_is_an_answer(seed: int, from_files: bytes) -> None:
    chaos = Chaos(seed, lose=0.1, repeat=0.1, reorder=0.1, patience=4)
    with FaultyServer(FLEET / "zones", chaos) as server:
        found = _scan_apart(
            "--server", f"127.0.0.1:{server.port}", "--tries", "6", "--timeout", "0.5",
            "--ignore", "SERVER_LAME", *TARGETS,
        )  # fmt: skip
    assert found == from_files
