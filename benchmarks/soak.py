"""A long scan against servers with faults.

    python -m benchmarks.soak [--minutes N] [--qps N] [--seed N] [--write]

One `auditor scan` reads the addresses of a /16 from a pipe, again and again, and asks NSD and Knot
DNS, each behind a relay. Time and again one of the two is restarted, stopped for some seconds,
made slow or made lossy. The records are compared with the targets as they arrive; memory and
descriptors are sampled every second. It ends with status 1 if a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import IO, TYPE_CHECKING, Any, Final, NamedTuple

from benchmarks import material
from benchmarks.measure import ROOT, BenchError
from benchmarks.results import NAME, put
from benchmarks.serving import serve
from benchmarks.tables import Table, count, percent
from benchmarks.versions import machine, versions

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.servers import Server

_MINUTES: Final = 30.0
_QPS: Final = 3_000.0
_SERVERS: Final = ("nsd", "knot")
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")

#: Answers in the cache: few, so that it is full soon and memory should stay flat.
_CACHE: Final = 20_000

#: Seconds between two faults, and the duration of one that ends by itself.
_CALM_S: Final = (2.0, 6.0)
_FAULT_S: Final = (2.0, 5.0)

#: Parts of the time; the first of them is for warming up.
_PARTS: Final = 10

_WIDTH: Final = 98

#: Largest growth of memory that counts as flat.
_GROWTH: Final = 1.05
_SLACK: Final = 4e6
_MOST_MEMORY: Final = 200e6
#: Largest share of targets with a failed lookup: a query that a lossy server drops may have been
#: repeated to the other server while that had a fault.
_UNKNOWN: Final = 0.001
#: Descriptors that are open for a moment: short-lived files.
_SPARE: Final = 2


class _Sample(NamedTuple):
    """Memory and descriptors of the scan at a time, in seconds since the start."""

    when: float
    memory: int
    descriptors: int
    records: int


@dataclass
class _Seen:
    """Results of the scan."""

    fed: int = 0
    records: int = 0
    wrong: str = ""
    verdicts: Counter[str] = field(default_factory=Counter)
    samples: list[_Sample] = field(default_factory=list)
    faults: Counter[str] = field(default_factory=Counter)


class _Relay:
    """A relay in front of a server."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process
        self.port = int(self._line()["port"])

    def _line(self) -> dict[str, Any]:
        values: dict[str, Any] = json.loads(_pipe(self._process.stdout).readline() or "{}")
        return values

    def conditions(self, delay_ms: float, loss: float) -> None:
        """Set delay and loss."""
        pipe = _pipe(self._process.stdin)
        pipe.write(f"{delay_ms} {loss}\n")
        pipe.flush()

    def stop(self) -> dict[str, Any]:
        """End it, and return its counts."""
        _pipe(self._process.stdin).close()
        return self._line()


def _pipe(pipe: IO[Any] | None) -> IO[Any]:
    if pipe is None:
        raise BenchError("a pipe is missing")
    return pipe


@contextmanager
def _relay(server: Server, seed: int) -> Iterator[_Relay]:
    command = [sys.executable, "-m", "benchmarks.relay", str(server.port), str(seed)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield _Relay(process)
        finally:
            process.kill()


def _addresses() -> Iterator[str]:
    while True:
        for third in range(256):
            yield from (f"20.30.{third}.{fourth}" for fourth in range(256))


def _feed(pipe: IO[bytes], until: float, seen: _Seen) -> None:
    """Write addresses until the time is over; the pipe applies back-pressure."""
    addresses = _addresses()
    # The scan may end early: `_read` reports it.
    with suppress(BrokenPipeError), pipe:
        while time.monotonic() < until:
            pipe.write("".join(f"{next(addresses)}\n" for _ in range(64)).encode())
            seen.fed += 64


def _read(pipe: IO[bytes], seen: _Seen) -> None:
    """Read all records: each must be the next address's."""
    addresses = _addresses()
    for line in pipe:
        address = next(addresses)
        seen.records += 1
        if not seen.wrong and not line.startswith(f'{{"target":"{address}",'.encode()):
            seen.wrong = f"record {seen.records}, which should be {address}: {line[:80]!r}"
        seen.verdicts[_verdict(line)] += 1


def _verdict(line: bytes) -> str:
    return line.partition(b'"verdict":"')[2].partition(b'"')[0].decode()


def _sample(pid: int, began: float, over: threading.Event, seen: _Seen) -> None:
    """Sample the memory and descriptors of the scan every second (proc(5))."""
    while not over.wait(1.0):
        try:
            resident = int(Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]) * _PAGE
            descriptors = len(os.listdir(f"/proc/{pid}/fd"))  # noqa: PTH208 - their number only
        except (OSError, IndexError):
            return
        when = time.monotonic() - began
        seen.samples.append(_Sample(when, resident, descriptors, seen.records))


def _disturb(
    chance: random.Random, ways: list[tuple[Server, _Relay]], over: threading.Event, seen: _Seen
) -> None:
    """Cause faults, for one server at a time, until the scan is over."""
    while not over.wait(chance.uniform(*_CALM_S)):
        server, relay = chance.choice(ways)
        fault = chance.choice(("restarted", "silent", "slow", "lossy", "slow and lossy"))
        seen.faults[fault] += 1
        if fault == "restarted":
            server.stop()
            over.wait(chance.uniform(0.0, 3.0))
            server.start()
        elif fault == "silent":
            server.pause()
            over.wait(chance.uniform(*_FAULT_S))
            server.resume()
        else:
            delay = chance.uniform(20, 400) if "slow" in fault else 0
            loss = chance.uniform(0.01, 0.15) if "lossy" in fault else 0
            relay.conditions(delay, loss)
            over.wait(chance.uniform(*_FAULT_S))
            relay.conditions(0, 0)


def _soak(arguments: argparse.Namespace, folder: Path, seen: _Seen) -> dict[str, Any]:
    """Scan for the given time, and return the event that ended the scan."""
    chance = random.Random(arguments.seed)  # noqa: S311 - the same faults for the same seed
    zones = material.write_zones(folder / "zones", txt="v=spf1 a -all")
    with ExitStack() as stack:
        ways = []
        for number, name in enumerate(_SERVERS):
            server = stack.enter_context(serve(name, zones))
            ways.append((server, stack.enter_context(_relay(server, arguments.seed + number))))
        log = folder / "log.ndjson"
        command = [sys.executable, "-m", "auditor", "scan", "-", "--log-format", "json"]
        command += [text for _, way in ways for text in ("--server", f"127.0.0.1:{way.port}")]
        command += ["--qps", str(arguments.qps), "--cache-size", str(_CACHE)]
        command += ["--metrics", str(folder / "auditor.prom")]
        scan = subprocess.Popen(
            command,
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stack.enter_context(log.open("wb")),
        )
        stack.callback(scan.kill)
        began, over = time.monotonic(), threading.Event()
        until = began + 60 * arguments.minutes
        feed = threading.Thread(target=_feed, args=(_pipe(scan.stdin), until, seen), daemon=True)
        look = threading.Thread(target=_sample, args=(scan.pid, began, over, seen), daemon=True)
        stir = threading.Thread(target=_disturb, args=(chance, ways, over, seen), daemon=True)
        for thread in (feed, look, stir):
            thread.start()
        # A scan that ends early closes its output, too.
        _read(_pipe(scan.stdout), seen)
        over.set()
        stir.join()
        look.join()
        seen.faults["code"] = scan.wait()
        return _last_event(log)


def _last_event(log: Path) -> dict[str, Any]:
    lines = log.read_bytes().splitlines()
    if not lines:
        raise BenchError("the scan logged no event")
    event: dict[str, Any] = json.loads(lines[-1])
    if event.get("event") != "end":
        raise BenchError(f"the scan ended with {lines[-1][:300]!r}")
    return event


def _table(arguments: argparse.Namespace, seen: _Seen, end: dict[str, Any]) -> Table:
    code = seen.faults.pop("code")
    faults = ", ".join(f"{name} ({number})" for name, number in seen.faults.most_common())
    programs = ", ".join(f"{name} {version}" for name, version in _versions().items())
    about = (
        f"`python -m benchmarks.soak --minutes {arguments.minutes:g} --qps {arguments.qps:g} "
        f"--seed {arguments.seed}` on {machine()}, {programs}: one scan of {count(seen.records)} "
        f"targets at {arguments.qps:g} queries a second. Time and again one of the two servers had "
        f"a fault, with these counts: {faults or 'none'}. Memory and descriptors are medians of "
        "each part, and `most` its largest."
    )
    about = textwrap.fill(about, _WIDTH, break_on_hyphens=False, break_long_words=False)
    table = Table(
        "Soak",
        ["until minute", "records", "records/s", "memory MB", "most MB", "descriptors", "most"],
        about,
    )
    parts = _parts(seen.samples, 60 * arguments.minutes)
    before = 0
    for number, part in enumerate(parts):
        if not part:
            continue
        seconds = 60 * arguments.minutes / _PARTS
        records = part[-1].records - before
        before = part[-1].records
        table.add(
            f"{(number + 1) * seconds / 60:.3g}",
            count(records),
            count(records / seconds),
            f"{median(sample.memory for sample in part) / 1e6:.1f}",
            f"{max(sample.memory for sample in part) / 1e6:.1f}",
            f"{median(sample.descriptors for sample in part):.0f}",
            str(max(sample.descriptors for sample in part)),
        )
    _goals(table, seen, end, code, parts)
    return table


def _versions() -> dict[str, str]:
    wanted = ("auditor", "Python", "NSD", "Knot DNS")
    return {name: text for name, text in versions(sys.executable).items() if name in wanted}


def _parts(samples: list[_Sample], seconds: float) -> list[list[_Sample]]:
    parts: list[list[_Sample]] = [[] for _ in range(_PARTS)]
    for sample in samples:
        if sample.when < seconds:
            parts[int(sample.when * _PARTS / seconds)].append(sample)
    return parts


def _goals(
    table: Table, seen: _Seen, end: dict[str, Any], code: int, parts: list[list[_Sample]]
) -> None:
    early, late = ([s for part in some for s in part] for some in (parts[1:5], parts[-3:]))
    if not early or not late:
        raise BenchError("too short for a result: give more --minutes")
    # A stall fills buffers, and not all of their memory is freed: its peak is reached early.
    first = max(sample.memory for sample in early)
    last = median(sample.memory for sample in late)
    grown = f"{last / first:.3f} ({(last - first) / 1e6:+.1f} MB)"
    goal = f"memory flat: the last third at most {_GROWTH} times the most of the first half"
    table.goal(goal, grown, met=last <= max(first * _GROWTH, first + _SLACK))
    most = max(sample.memory for sample in seen.samples)
    within = f"at most {_MOST_MEMORY / 1e6:.0f} MB"
    table.goal(within, f"{most / 1e6:.0f} MB", met=most <= _MOST_MEMORY)
    before, after = (max(sample.descriptors for sample in part) for part in (early, late))
    met = after <= before + _SPARE
    table.goal("descriptors flat: no more than early", f"{before} and {after}", met=met)
    whole = seen.fed == seen.records == end["records"] and not seen.wrong
    found = seen.wrong or f"{count(seen.fed)} asked, {count(seen.records)} there"
    table.goal("no target missing, all in order", found, met=whole)
    queries = end["queries"]
    parted = sum(queries[key] for key in ("cached", "joined", "answered", "failed", "open"))
    sent = sum(queries[key] for key in ("first", "retried", "probes"))
    arrived = sum(queries[key] for key in ("accepted", "late", "lost"))
    adds_up = queries["asked"] == parted and queries["sent"] == sent == arrived
    found = f"{count(queries['asked'])} lookups, {count(sent)} queries, {queries['open']} open"
    table.goal("counters add up", found, met=adds_up and not queries["open"])
    same = dict(seen.verdicts) == end["verdicts"]
    table.goal("verdicts counted are those of the records", f"{dict(seen.verdicts)}", met=same)
    unknown = seen.verdicts["unknown"] / max(seen.records, 1)
    goal = f"at most {percent(_UNKNOWN)} undetermined: one server was always there"
    table.goal(goal, percent(unknown), met=unknown <= _UNKNOWN)
    table.goal("finished, exit code 0", f"{end['how']}, {code}", met=code == 0)


def main() -> int:
    """Soak, print, and write if asked to; return 1 if a goal is missed."""
    about, _, _ = (__doc__ or "").partition("\n")
    parser = argparse.ArgumentParser(prog="python -m benchmarks.soak", description=about)
    parser.add_argument("--minutes", type=float, default=_MINUTES, help="(default: %(default)g)")
    parser.add_argument("--qps", type=float, default=_QPS, help="queries a second (%(default)g)")
    parser.add_argument("--seed", type=int, default=1, help="of the faults (%(default)s)")
    parser.add_argument("--write", action="store_true", help=f"put it into {NAME}")
    arguments = parser.parse_args()
    seen = _Seen()
    try:
        with tempfile.TemporaryDirectory(prefix="auditor-soak-") as folder:
            end = _soak(arguments, Path(folder), seen)
        table = _table(arguments, seen, end)
    except BenchError as error:
        print(f"soak: {error}", file=sys.stderr)
        return 1
    text = table.markdown()
    print(text)
    if arguments.write:
        put(text.removeprefix("#"))
    return 0 if all(goal.met for goal in table.goals) else 1


if __name__ == "__main__":
    sys.exit(main())
