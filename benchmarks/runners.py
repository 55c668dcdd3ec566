"""One run of each client, against one server, over one list of names."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks.measure import BenchError, Run, run
from benchmarks.versions import program

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Place", "best_window", "client", "dnsperf", "massdns", "missing", "scan"]

#: Values of `massdns -s` to try: concurrent lookups of one process; 10,000 is its default.
WINDOWS: Final = ("64", "128", "256", "1000", "2000", "10000")
DEFAULT_WINDOW: Final = "10000"

#: Clients run by `PYTHON`, and by the Python of `--peers`.
_OWN: Final = {
    "auditor bulk": ("engine", "bulk"),
    "auditor cares": ("engine", "cares"),
    "aiodns": ("aiodns_alone",),
    "dnspython": ("dnspython_alone",),
}
_PEERS: Final = {"blastdns": ("blastdns_alone",), "presolv": ("presolv_alone",)}

_ANSWERS: Final = re.compile(r"(?:NOERROR|NXDOMAIN) (\d+)")
_SENT: Final = re.compile(r"Queries sent:\s+(\d+)")
_TOOK: Final = re.compile(r"Run time \(s\):\s+([\d.]+)")


class Place(NamedTuple):
    """The server that a client asks, and the folder it may write to."""

    port: int
    folder: Path
    peers: str = sys.executable
    address: str = "127.0.0.1"


def missing(name: str, peers: str) -> str | None:
    """Return why a client cannot be run, or None if it can."""
    if name in _PEERS:
        library = _PEERS[name][0].removesuffix("_alone")
        try:
            run([peers, "-c", f"import {library}"])
        except BenchError:
            return f"{name}: not importable; pip install {name}, and --peers its python"
    if name in {"massdns", "dnsperf", "zdns", "dnsx"} and program(name) is None:
        return f"{name}: not on PATH"
    return None


def client(
    name: str,
    place: Place,
    names: Path,
    rdtype: str,
    *,
    questions: int | None = None,
    profile: Path | None = None,
) -> Run:
    """Run a client of `benchmarks.clients` over the first `questions` names of a file."""
    python, parts = (place.peers, _PEERS[name]) if name in _PEERS else (sys.executable, _OWN[name])
    limit = [str(questions)] if questions else []
    profiled = ["-m", "cProfile", "-o", str(profile)] if profile is not None else []
    command = [python, *profiled, "-m", f"benchmarks.clients.{parts[0]}", place.address]
    command += [str(place.port)]
    command += [str(names), rdtype, *limit, *parts[1:]]
    done = run(command)
    figures = json.loads(done.output)
    return replace(
        done,
        asked=figures["asked"],
        answered=figures["answered"],
        work_cpu=figures["cpu"],
        work_wall=figures["wall"],
        detail=figures,
    )


def _line_count(path: Path) -> int:
    with path.open("rb") as file:
        return sum(1 for _ in file)


def massdns(place: Place, names: Path, rdtype: str, window: str, *, limit: float = 180.0) -> Run:
    """Run massdns in one process, with JSON output, so that it decodes the records."""
    resolvers = place.folder / "resolvers.txt"
    resolvers.write_text(f"{place.address}:{place.port}\n", "ascii")
    output = place.folder / "massdns.ndjson"
    command = ["massdns", "-r", str(resolvers), "-t", rdtype, "-o", "J", "-w", str(output)]
    command += ["--root", "-q", "-s", window, str(names)]
    done = run(command, limit=limit)
    records = output.read_bytes()
    answered = records.count(b'"status":"NOERROR"') + records.count(b'"status":"NXDOMAIN"')
    asked = _line_count(names)
    return replace(done, asked=asked, answered=min(answered, asked))


def best_window(place: Place, names: Path, *, far: bool = False) -> str:
    """Return the `-s` with which massdns uses the least CPU and leaves nothing unanswered.

    `far`: the server is far away, so the least wall time is best.
    """
    tried = [(massdns(place, names, "PTR", window), window) for window in WINDOWS]
    tried.sort(key=lambda pair: (-round(pair[0].share, 4), pair[0].wall if far else pair[0].cpu))
    return tried[0][1]


def dnsperf(place: Place, names: Path, rdtype: str, *, window: int = 100) -> Run:
    """Run dnsperf: as fast as the server answers `window` at a time, nothing decoded."""
    data = place.folder / "dnsperf.txt"
    lines = names.read_text("ascii").split()
    data.write_text("".join(f"{name} {rdtype}\n" for name in lines), "ascii")
    command = [str(program("dnsperf")), "-s", place.address, "-p", str(place.port)]
    done = run([*command, "-d", str(data), "-n", "1", "-c", "1", "-T", "1", "-q", str(window)])
    sent, took = _SENT.search(done.output), _TOOK.search(done.output)
    if not (sent and took):
        raise BenchError(f"dnsperf: unexpected output: {done.output[-300:]}")
    answered = sum(int(number) for number in _ANSWERS.findall(done.output))
    return replace(done, asked=int(sent[1]), answered=answered, work_wall=float(took[1]))


def scan(output: Path, *arguments: str, profile: Path | None = None, limit: float = 3600.0) -> Run:
    """Run `auditor scan` as a user would, its records to a file; count those by its manifest.

    `asked` are the lookups that its stages made, `answered` those the engine or the cache
    answered; the manifest is in `detail`.
    """
    profiled = ["-m", "cProfile", "-o", str(profile)] if profile is not None else []
    command: Sequence[str] = [sys.executable, *profiled, "-m", "auditor", "scan", "--quiet"]
    done = run([*command, "--overwrite", "-o", str(output), *arguments], limit=limit)
    manifest = json.loads(output.with_name(output.name + ".run.json").read_text("utf-8"))
    queries = manifest["queries"]
    return replace(
        done,
        asked=queries["asked"],
        answered=queries["asked"] - queries["failed"],
        detail=manifest,
    )
