"""The cost of shards and workers: `python -m benchmarks.shards [--runs N] [--blocks N] [--write]`.

The same addresses are scanned by one process, by one process shard by shard, and by two
workers, interleaved, each time against the same two NSD processes. `--write` replaces the section
of RESULTS.md.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks import material
from benchmarks.measure import ROOT, BenchError, Run, run
from benchmarks.results import NAME, put
from benchmarks.serving import serve
from benchmarks.tables import Samples, Table, count, percent, seconds
from benchmarks.versions import machine

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_TITLE: Final = "Shards and workers"
_FIRST: Final = 28
_BLOCKS: Final = 2
_RUNS: Final = 3
_OVERHEAD: Final = 0.05
_ABOUT: Final = """\
Printed by `{command}` on {machine}.
`auditor scan` of {targets} addresses with PTR, A and SPF records (`v=spf1 a -all`), against
two NSD processes, all of it on the same cores: compare the CPU time, since wall time depends on
the servers. CPU is that of all processes of the scan, per lookup; "without start" is without the
CPU of a scan of one address with as many workers. The first record is timed from the
start of the program, its output a pipe. A shard costs {shard} ms of CPU. A record takes
{plain} octets, and {packed} in a part; real names are less regular, and compress less well."""


class _Way(NamedTuple):
    """How the addresses are scanned: the options, and whether into a folder of parts."""

    title: str
    options: tuple[str, ...]
    parts: bool = False


_ONE: Final = _Way("one process", ())
_SHARDS: Final = _Way("one process, shard by shard", (), parts=True)
_TWO: Final = _Way("two workers", ("--workers", "2"))
_WAYS: Final = (_ONE, _SHARDS, _TWO)


class _Samples(NamedTuple):
    """Scans of everything, scans of one address, and seconds to the first record."""

    whole: Samples
    start: Samples
    first: dict[str, list[float]]


def _write_zones(folder: Path, blocks: int) -> list[str]:
    """Write the zones of some /16, PTR, A and TXT for each address; return the /16."""
    folder.mkdir()
    nets = [f"20.{second}.0.0/16" for second in range(_FIRST, _FIRST + blocks)]
    places = [(third, fourth) for third in range(256) for fourth in range(256)]
    head = "$TTL 3600\n@ SOA ns.isp.net. hostmaster.isp.net. 1 3600 600 86400 300\n"
    head += "@ NS ns.isp.net.\n"
    with (folder / f"{material.DOMAIN}.zone").open("w", encoding="ascii") as forward:
        forward.write(f"$ORIGIN {material.DOMAIN}.\n{head}ns A 20.30.0.1\n")
        for second in range(_FIRST, _FIRST + blocks):
            origin = f"{second}.20.in-addr.arpa"
            with (folder / f"{origin}.zone").open("w", encoding="ascii") as reverse:
                reverse.write(f"$ORIGIN {origin}.\n{head}")
                for third, fourth in places:
                    host = material.host(second, third, fourth)
                    reverse.write(f"{fourth}.{third} PTR {host}.\n")
                    forward.write(f"{host}. A 20.{second}.{third}.{fourth}\n")
                    forward.write(f'{host}. TXT "v=spf1 a -all"\n')
    return nets


def _scan(way: _Way, folder: Path, given: Sequence[str]) -> Run:
    output = folder / ("parts" if way.parts else "scan.ndjson")
    command = [sys.executable, "-m", "auditor", "scan", "--quiet", "--overwrite", *way.options]
    done = run([*command, "-o", f"{output}/" if way.parts else str(output), *given])
    manifest = output / "manifest.json" if way.parts else folder / "scan.ndjson.run.json"
    detail = json.loads(manifest.read_text("utf-8"))
    if detail["records"] != detail["inputs"]["targets"]:
        raise BenchError(f"{way.title}: {detail['records']:,} records")
    queries = detail["queries"]
    return replace(
        done,
        asked=queries["asked"],
        answered=queries["asked"] - queries["failed"],
        detail=detail,
    )


def _first_record(way: _Way, given: Sequence[str]) -> float:
    """Return the seconds from the start of the program to its first record."""
    command = [sys.executable, "-m", "auditor", "scan", "--quiet", *way.options, *given]
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) as process:
        if process.stdout is None or not process.stdout.readline():
            raise BenchError(f"{way.title}: no record")
        took = time.perf_counter() - began
        process.kill()
        process.stdout.close()
    return took


def _measured(folder: Path, nets: Sequence[str], servers: Sequence[str], runs: int) -> _Samples:
    found = _Samples(Samples(), Samples(), {way.title: [] for way in _WAYS})
    for _ in range(runs):
        for way in _WAYS:
            found.start.add(way.title, _scan(way, folder, [*servers, "20.28.0.1"]))
            found.whole.add(way.title, _scan(way, folder, [*servers, *nets]))
            if not way.parts:
                found.first[way.title].append(_first_record(way, [*servers, *nets]))
            print(found.whole.latest(way.title), file=sys.stderr, flush=True)
    return found


def _octets(folder: Path, targets: int) -> tuple[float, float]:
    """Return the octets of a record, plain and in a part."""
    plain = (folder / "scan.ndjson").stat().st_size
    packed = sum(path.stat().st_size for path in (folder / "parts").glob("part-*"))
    return plain / targets, packed / targets


def _table(samples: _Samples, blocks: int, octets: tuple[float, float]) -> Table:
    whole, start = samples.whole, samples.start
    net = {
        way.title: [
            (run.cpu - begin.cpu) / run.asked * 1e6
            for run, begin in zip(whole[way.title], start[way.title], strict=True)
        ]
        for way in _WAYS
    }
    shards = len(whole[_SHARDS.title][-1].detail["parts"])
    targets = blocks << 16
    over = _middle(_quotients(net[_SHARDS.title], net[_ONE.title])) - 1
    two = _middle(_quotients(net[_TWO.title], net[_ONE.title]))
    lookups = whole[_ONE.title][-1].asked
    shard = over * _middle(net[_ONE.title]) * lookups / shards / 1e3
    command = " ".join(["python -m benchmarks.shards", *sys.argv[1:]])
    about = _ABOUT.format(
        command=command,
        machine=machine(),
        targets=count(targets),
        shard=f"{shard:.1f}",
        plain=count(octets[0]),
        packed=count(octets[1]),
    )
    columns = ["what", "n", "lookups", "µs CPU", "without start", "÷ one process"]
    table = Table(_TITLE, [*columns, "wall s", "first record s", "peak MB", "answered"], about)
    for way in _WAYS:
        row, first = way.title, samples.first[way.title]
        table.add(
            row,
            str(len(whole[row])),
            count(whole[row][-1].asked),
            f"{whole.median(row, lambda r: r.whole_micros):.2f}",
            f"{_middle(net[row]):.2f}",
            f"{_middle(_quotients(net[row], net[_ONE.title])):.2f}",
            seconds(whole.median(row, lambda r: r.wall)),
            f"{_middle(first):.2f}" if first else "-",
            f"{whole.median(row, lambda r: r.peak) / 1e6:.0f}",
            percent(whole.worst_share(row)),
        )
    goal = f"sharding costs at most {percent(_OVERHEAD)} of CPU ({shards} shards)"
    table.goal(goal, percent(max(over, 0.0)), met=over <= _OVERHEAD)
    table.goal(
        "two workers do twice the work for twice the CPU: efficiency at least 90.00 %",
        percent(min(1 / two, 1.0)),
        met=1 / two >= 0.9,
    )
    return table


def _quotients(some: Sequence[float], others: Sequence[float]) -> Iterator[float]:
    return (one / other for one, other in zip(some, others, strict=True))


def _middle(values: Sequence[float] | Iterator[float]) -> float:
    ordered = sorted(values)
    return (ordered[(len(ordered) - 1) // 2] + ordered[len(ordered) // 2]) / 2


def main() -> int:
    """Measure, print, and write if asked to; return 1 if a goal is missed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shards")
    parser.add_argument("--runs", type=int, default=_RUNS, help="rounds (default: %(default)s)")
    parser.add_argument("--blocks", type=int, default=_BLOCKS, help="/16s (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help=f"put it into {NAME}")
    arguments = parser.parse_args()
    try:
        with tempfile.TemporaryDirectory(prefix="auditor-bench-") as name, ExitStack() as stack:
            folder = Path(name)
            nets = _write_zones(folder / "zones", arguments.blocks)
            ports = [stack.enter_context(serve("nsd", folder / "zones")).port for _ in range(2)]
            servers = [text for port in ports for text in ("--server", f"127.0.0.1:{port}")]
            samples = _measured(folder, nets, servers, arguments.runs)
            octets = _octets(folder, arguments.blocks << 16)
    except BenchError as error:
        print(f"shards: {error}", file=sys.stderr)
        return 1
    table = _table(samples, arguments.blocks, octets)
    print(table.markdown())
    if arguments.write:
        put(f"# Shards\n\n{table.markdown()}")
    return 0 if all(goal.met for goal in table.goals) else 1


if __name__ == "__main__":
    sys.exit(main())
