"""Transfers: a reverse zone of 65,536 PTR records by AXFR, compared with dnspython."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from benchmarks import measure
from benchmarks.serving import TITLES, serve
from benchmarks.tables import Samples, Table

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.options import Options

__all__ = ["run"]

_ORIGIN: Final = "30.20.in-addr.arpa"
_OCTETS: Final = {True: 16, False: 256}  # third octets of the zone, with and without --quick
_SERVER: Final = "powerdns"  # by default, it allows transfers to loopback
_AUDITOR: Final = "auditor"
_DNSPYTHON: Final = "dnspython"
_CLIENTS: Final = {
    _AUDITOR: (
        "import asyncio; from auditor.resolve.transfer import transfer_zones; "
        "from auditor.settings import Server; "
        "servers = [Server('127.0.0.1', {port})]; "
        "(found,) = asyncio.run(transfer_zones(['{origin}'], servers, None)); "
        "assert len(found.zone().nodes) > {records}"
    ),
    _DNSPYTHON: (
        "import dns.query, dns.zone; "
        "zone = dns.zone.from_xfr(dns.query.xfr('127.0.0.1', '{origin}', port={port})); "
        "assert len(zone.nodes) > {records}"
    ),
}
_MAX_CPU_S: Final = 1.0


def run(options: Options) -> Iterator[Table]:
    """Transfer a zone with each client in turn."""
    octets = _OCTETS[options.quick]
    zones = _write_zone(options.folder / "transfer", octets)
    samples = Samples()
    with serve(_SERVER, zones) as server:
        for _ in range(options.runs):
            for row, program in _CLIENTS.items():
                code = program.format(origin=_ORIGIN, port=server.port, records=octets * 256)
                samples.add(row, measure.run([sys.executable, "-c", code]))
    yield _table(samples, octets * 256)


def _write_zone(folder: Path, octets: int) -> Path:
    folder.mkdir()
    lines = [
        f"$ORIGIN {_ORIGIN}.\n$TTL 3600\n",
        "@ SOA ns1.example.net. hostmaster.example.net. 1 7200 900 1209600 300\n",
        "@ NS ns1.example.net.\n",
    ]
    lines += [
        f"{last}.{third} PTR host-{third}-{last}.example.net.\n"
        for third in range(octets)
        for last in range(256)
    ]
    (folder / f"{_ORIGIN}.zone").write_text("".join(lines), "ascii")
    return folder


def _table(samples: Samples, records: int) -> Table:
    title = f"Transfer of {records:,} PTR records, {TITLES[_SERVER]}"
    table = Table(title, ["client", "n", "CPU s", "wall s", "peak MB", "times the CPU"])
    table.about = "Whole processes, from the query to a zone in memory."
    for row in samples.rows():
        table.add(
            row,
            str(len(samples[row])),
            f"{samples.median(row, lambda r: r.cpu):.2f}",
            f"{samples.median(row, lambda r: r.wall):.2f}",
            f"{samples.median(row, lambda r: r.peak) / 1e6:.0f}",
            f"{samples.ratio(row, _AUDITOR, lambda r: r.cpu):.1f}",
        )
    cpu = samples.median(_AUDITOR, lambda r: r.cpu)
    goal = f"a transfer: at most {_MAX_CPU_S:g} s of CPU"
    table.goal(goal, f"{cpu:.2f} s", met=cpu <= _MAX_CPU_S)
    return table
