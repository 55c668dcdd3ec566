"""(direct) A block with its forward zone: through a cold recursor, and from its own servers.

Unbound is in front of Knot DNS, and of NSD, whose rate limit applies to Unbound, too (see (b)).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks import material
from benchmarks.measure import BenchError
from benchmarks.measure import run as run_command
from benchmarks.runners import DEFAULT_WINDOW, Place, massdns, missing, scan
from benchmarks.serving import TITLES, serve, serve_unbound
from benchmarks.tables import Samples, Table, count, percent, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.servers import Server

    from benchmarks.measure import Run
    from benchmarks.options import Options

__all__ = ["run"]

_UPSTREAMS: Final = ("knot", "nsd")
_THROUGH: Final = "auditor scan, Unbound"
_DIRECT: Final = "auditor scan --direct"
_PEERS: Final = ("massdns", "zdns", "dnsx")
_SIZE: Final = 65_536
_QUICK_SIZE: Final = 16_384
_BLOCKS: Final = {_SIZE: "20.30.0.0/16", _QUICK_SIZE: "20.30.0.0/18"}
_TIMES_THE_RATE: Final = 5.0
_PEER_SECONDS: Final = 600.0

_ABOUT: Final = """\
`auditor scan {block}` (PTR, forward, SPF), the zones served by {upstream}: through Unbound,
started anew for every run, and with `--direct --own 20.in-addr.arpa --own isp.net` beside the same
Unbound. The peers look up only the PTR records, through the same Unbound, cold as well. Lookups a
second are those of the records; massdns with `-s {window}`, zdns and dnsx with their defaults."""


class _Material(NamedTuple):
    """The zones served, the names and addresses that peers look up, and their number."""

    zones: Path
    names: Path
    addresses: Path
    size: int


def run(options: Options) -> Iterator[Table]:
    """Scan through Unbound, then past it; and run the peers through it."""
    size = _QUICK_SIZE if options.quick else _SIZE
    zones = material.write_zones(options.folder / "direct", server="127.0.0.1")
    names = material.write_lines(
        options.folder / "direct.txt", islice(material.reverse_names(), size)
    )
    addresses = material.write_lines(
        options.folder / "addresses.txt", islice(material.addresses(), size)
    )
    asked = _Material(zones, names, addresses, size)
    left_out = [why for name in _PEERS if (why := missing(name, options.peers))]
    peers = [name for name in _PEERS if not missing(name, options.peers)]
    for upstream in filter(options.wants, _UPSTREAMS):
        samples = _measure(options, upstream, asked, peers)
        yield _table(samples, upstream, size, left_out)


def _measure(options: Options, upstream: str, asked: _Material, peers: list[str]) -> Samples:
    """Measure every client in each round."""
    samples = Samples()
    with serve(upstream, asked.zones) as source, serve_unbound(source, asked.zones) as unbound:
        for _ in range(options.runs):
            for name in (_THROUGH, _DIRECT, *peers):
                if name in samples.failed:
                    continue
                unbound.restart()
                try:
                    if name in peers:
                        place = Place(unbound.port, options.folder)
                        samples.add(name, _peer(name, place, asked.names, asked.addresses))
                    else:
                        samples.add(name, _scan(name, options.folder, unbound, source, asked.size))
                except BenchError as error:
                    samples.failed[name] = str(error)
                options.say(samples.latest(name))
    return samples


def _scan(name: str, folder: Path, unbound: Server, source: Server, size: int) -> Run:
    options = ["--server", f"127.0.0.1:{unbound.port}"]
    if name == _DIRECT:
        options += ["--direct", "--authority-port", str(source.port)]
        options += ["--own", "20.in-addr.arpa", "--own", material.DOMAIN]
    return scan(folder / "direct.ndjson", *options, _BLOCKS[size])


def _peer(name: str, place: Place, names: Path, addresses: Path) -> Run:
    """Run a peer over the PTR records of the block."""
    if name == "massdns":
        return massdns(place, names, "PTR", DEFAULT_WINDOW, limit=_PEER_SECONDS)
    output = place.folder / f"{name}.ndjson"
    server = f"{place.address}:{place.port}"
    if name == "zdns":
        command = ["zdns", "PTR", "--name-servers", server, "--input-file", str(addresses)]
        command += ["--output-file", str(output)]
    else:
        command = ["dnsx", "-silent", "-ptr", "-json", "-r", server, "-l", str(addresses)]
        command += ["-o", str(output)]
    done = run_command(command, limit=_PEER_SECONDS)
    asked = sum(1 for _ in addresses.open("rb"))
    output_lines = output.read_bytes()
    answered = output_lines.count(b'"NOERROR"') if name == "zdns" else output_lines.count(b"\n")
    return replace(done, asked=asked, answered=min(answered, asked))


def _table(samples: Samples, upstream: str, size: int, left_out: list[str]) -> Table:
    shown = TITLES[upstream]
    title = f"(direct) A block and its forward zone on {shown}, through cold Unbound and past it"
    about = _ABOUT.format(block=_BLOCKS[size], upstream=shown, window=DEFAULT_WINDOW)
    columns = ["client", "n", "targets", "lookups", "lookups/s", "wall s", "CPU s", "answered"]
    table = Table(title, columns, about)
    table.left_out += [*left_out, *(f"{name}: {why}" for name, why in samples.failed.items())]
    for name in samples.rows():
        table.add(
            name,
            str(len(samples[name])),
            count(size),
            count(samples[name][0].asked),
            count(samples.median(name, lambda r: r.asked / r.wall)),
            seconds(samples.median(name, lambda r: r.wall)),
            seconds(samples.median(name, lambda r: r.cpu)),
            percent(samples.worst_share(name)),
        )
    if _THROUGH in samples and _DIRECT in samples:
        factor = samples.ratio(_THROUGH, _DIRECT, lambda r: r.wall / size)
        goal = f"--direct: at least {_TIMES_THE_RATE:.0f} times the rate of the cold recursor"
        table.goal(goal, f"{factor:.1f}", met=factor >= _TIMES_THE_RATE)
        share = samples.worst_share(_DIRECT)
        table.goal("--direct: every question answered", percent(share), met=share == 1.0)
    return table
