"""(b) The lookups of (a) through Unbound: cold, and with everything in its cache.

Unbound is in front of Knot DNS, and of NSD, whose rate limit applies to Unbound, too: with QNAME
minimisation (RFC 9156) Unbound asks for the names in between, which are NODATA, and NSD answers 200
of these a second.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks import material
from benchmarks.measure import BenchError
from benchmarks.runners import Place, best_window, client, dnsperf, massdns, missing
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
_CLIENTS: Final = ("auditor bulk", "massdns", "auditor cares", "dnsperf")

#: Unbound on Debian caches 4 MiB of answers by default: a /16 does not fit, this many names do.
_WARM: Final = 8_192
_COLD: Final = 65_536
_COLD_CARES: Final = 16_384

_ABOUT: Final = {
    "cold": "Unbound is started anew for every run, so each name is fetched from {upstream}."
    " A SERVFAIL of Unbound counts as unanswered: dnsperf shows how many there are.",
    "warm": "Each name was asked before; {names} names, which fit the 4 MiB of Unbound's cache"
    " by default.",
}
_MASSDNS_SHARE: Final = 0.8


class _Case(NamedTuple):
    """The server behind Unbound, a cold or warm cache, the names; and massdns's window."""

    upstream: str
    temper: str
    names: Path
    window: str


def run(options: Options) -> Iterator[Table]:
    """Measure cold, then warm."""
    zones = material.write_zones(options.folder / "b")
    cold = _COLD // 4 if options.quick else _COLD
    lists = {
        temper: material.write_lines(
            options.folder / f"{temper}.txt", islice(material.reverse_names(), size)
        )
        for temper, size in (("cold", cold), ("warm", _WARM))
    }
    clients = [name for name in _CLIENTS if not missing(name, options.peers)]
    left_out = [why for name in _CLIENTS if (why := missing(name, options.peers))]
    for upstream in _UPSTREAMS:
        with serve(upstream, zones) as source, serve_unbound(source, zones) as unbound:
            place = Place(unbound.port, options.folder)
            _warm(place, lists["warm"])
            window = best_window(place, lists["warm"]) if "massdns" in clients else ""
            for temper, names in lists.items():
                case = _Case(upstream, temper, names, window)
                samples = _measure(options, unbound, clients, case)
                yield _table(case, samples, left_out)


def _measure(options: Options, unbound: Server, clients: list[str], case: _Case) -> Samples:
    place = Place(unbound.port, options.folder)
    samples = Samples()
    for number in range(options.runs):
        for name in clients:
            if name in samples.failed:
                continue
            if case.temper == "cold":
                unbound.restart()
            elif not number:
                _warm(place, case.names)
            try:
                samples.add(name, _one(place, name, case))
            except BenchError as error:
                samples.failed[name] = str(error)
            options.say(samples.latest(name))
    return samples


def _warm(place: Place, names: Path) -> None:
    """Ask for everything once, with an available client."""
    if missing("dnsperf", place.peers):
        client("auditor bulk", place, names, "PTR")
    else:
        dnsperf(place, names, "PTR")


def _one(place: Place, name: str, case: _Case) -> Run:
    if name == "dnsperf":
        return dnsperf(place, case.names, "PTR")
    if name == "massdns":
        return massdns(place, case.names, "PTR", case.window)
    questions = _COLD_CARES if name == "auditor cares" else None
    return client(name, place, case.names, "PTR", questions=questions)


def _table(case: _Case, samples: Samples, left_out: list[str]) -> Table:
    upstream = TITLES[case.upstream]
    about = _ABOUT[case.temper].format(names=count(_WARM), upstream=upstream)
    if case.window:
        about += f" massdns with `-s {case.window}`."
    columns = ["client", "n", "names", "µs CPU", "÷ massdns", "lookups/s", "wall s", "answered"]
    title = f"(b) PTR lookups through Unbound in front of {upstream}, {case.temper}"
    table = Table(title, columns, about)
    table.left_out += [*left_out, *(f"{name}: {why}" for name, why in samples.failed.items())]
    for name in samples.rows():
        table.add(
            name,
            str(len(samples[name])),
            count(samples[name][0].asked),
            f"{samples.median(name, lambda r: r.micros):.2f}",
            samples.shown_ratio(name, "massdns"),
            count(samples.median(name, lambda r: r.answered / r.work_wall)),
            seconds(samples.median(name, lambda r: r.work_wall)),
            percent(samples.worst_share(name)),
        )
    bulk = "auditor bulk"
    if bulk in samples and "massdns" in samples:
        ratio = samples.ratio(bulk, "massdns", lambda r: r.micros)
        goal = f"bulk: CPU per lookup at most {_MASSDNS_SHARE} times massdns"
        table.goal(goal, f"{ratio:.2f}", met=ratio <= _MASSDNS_SHARE)
    if bulk in samples:
        share = samples.worst_share(bulk)
        table.goal("bulk: every question answered", percent(share), met=share == 1.0)
    return table
