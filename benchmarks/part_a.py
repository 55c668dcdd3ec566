"""(a) Engines and peers on PTR lookups of a /16, on every authoritative server."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks import material
from benchmarks.measure import BenchError
from benchmarks.profiles import shares
from benchmarks.runners import (
    DEFAULT_WINDOW,
    Place,
    best_window,
    client,
    dnsperf,
    massdns,
    missing,
)
from benchmarks.serving import AUTHORITIES, TITLES, serve
from benchmarks.tables import Samples, Table, count, percent, seconds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from benchmarks.measure import Run
    from benchmarks.options import Options

__all__ = ["run"]

_ABOUT: Final = """\
PTR lookups of {block} by name, from a file. CPU is user and system time of the client process
per question asked, after its imports (for massdns and dnsperf: all of it); "with start" is
the whole process. Slow clients ask fewer names, and are shown per lookup. massdns runs in one
process with JSON output: once with its best number of concurrent lookups, once with its default
(`-s {default}`). dnsperf decodes nothing and shows the capacity of the server.
"""

#: Clients with the number of names of the /16 that they ask: all, or fewer for slow clients.
_CLIENTS: Final = {
    "auditor bulk": None,
    "massdns": None,
    "massdns, default -s": None,
    "auditor cares": 32_768,
    "aiodns": 32_768,
    "blastdns": 32_768,
    "presolv": 8_192,
    "dnspython": 4_096,
    "dnsperf": None,
}
_MASSDNS_SHARE: Final = 0.8
_AIODNS_SHARE: Final = 0.1


def run(options: Options) -> Iterator[Table]:
    """Measure all clients on one server after the other."""
    zones = material.write_zones(options.folder / "a")
    names = material.write_lines(options.folder / "ptr.txt", material.reverse_names())
    left_out = [why for name in _CLIENTS if (why := missing(name.split(",")[0], options.peers))]
    clients = [name for name in _CLIENTS if not missing(name.split(",")[0], options.peers)]
    about = _ABOUT.format(block=material.BLOCK, default=DEFAULT_WINDOW)
    for kind in AUTHORITIES:
        try:
            with serve(kind, zones) as server:
                place = Place(server.port, options.folder, options.peers)
                window = best_window(place, names) if "massdns" in clients else DEFAULT_WINDOW
                options.say(f"{TITLES[kind]}: massdns does best with -s {window}")
                samples = _lookups(options, place, names, clients, window)
                profile = [_profile(options, place, names, kind)] if options.profile else []
        except BenchError as error:
            yield Table(f"(a) {TITLES[kind]}", ["client"], left_out=[f"{TITLES[kind]}: {error}"])
            continue
        about += f"massdns does best here with `-s {window}`."
        yield _table(f"(a) PTR lookups, {TITLES[kind]}", about, samples, left_out)
        yield from profile
        about = ""


def _lookups(
    options: Options, place: Place, names: Path, clients: list[str], window: str
) -> Samples:
    """Run the clients in rounds."""
    samples = Samples()
    for _ in range(options.runs):
        for name in clients:
            if name in samples.failed:
                continue
            try:
                samples.add(name, _one(options, place, names, name, window))
            except BenchError as error:
                samples.failed[name] = str(error)
            options.say(samples.latest(name))
    return samples


def _one(options: Options, place: Place, names: Path, name: str, window: str) -> Run:
    special: dict[str, Callable[[], Run]] = {
        "massdns": lambda: massdns(place, names, "PTR", window),
        "massdns, default -s": lambda: massdns(place, names, "PTR", DEFAULT_WINDOW),
        "dnsperf": lambda: dnsperf(place, names, "PTR"),
    }
    if name in special:
        return special[name]()
    questions = _CLIENTS[name]
    if questions is not None and options.quick:
        questions //= 4
    return client(name, place, names, "PTR", questions=questions)


def _table(title: str, about: str, samples: Samples, left_out: list[str]) -> Table:
    columns = ["client", "n", "names", "µs CPU", "with start", "÷ massdns", "÷ aiodns"]
    table = Table(title, [*columns, "lookups/s", "wall s", "answered"], about)
    table.left_out += [*left_out, *(f"{name}: {why}" for name, why in samples.failed.items())]
    for name in samples.rows():
        table.add(
            name,
            str(len(samples[name])),
            count(samples[name][0].asked),
            f"{samples.median(name, lambda r: r.micros):.2f}",
            f"{samples.median(name, lambda r: r.whole_micros):.2f}",
            samples.shown_ratio(name, "massdns"),
            samples.shown_ratio(name, "aiodns"),
            count(samples.median(name, lambda r: r.answered / r.work_wall)),
            seconds(samples.median(name, lambda r: r.work_wall)),
            percent(samples.worst_share(name)),
        )
    _judge(table, samples)
    return table


def _profile(options: Options, place: Place, names: Path, kind: str) -> Table:
    """Return the bulk engine's time by source file."""
    path = options.folder / "a.profile"
    client("auditor bulk", place, names, "PTR", profile=path)
    title = f"(a) Where the bulk engine's time goes, {TITLES[kind]}"
    table = Table(title, ["file", "share of time", "calls"])
    table.about = (
        "By cProfile, own time, imports and waits included; it exaggerates the cost of calls."
    )
    for name, share, calls in shares(path):
        table.add(f"`{name}`", percent(share), count(calls))
    return table


def _judge(table: Table, samples: Samples) -> None:
    bulk = "auditor bulk"
    if bulk not in samples:
        return
    for other, most in (("massdns", _MASSDNS_SHARE), ("aiodns", _AIODNS_SHARE)):
        if other in samples:
            ratio = samples.ratio(bulk, other, lambda r: r.micros)
            goal = f"bulk: CPU per lookup at most {most} times {other}"
            table.goal(goal, f"{ratio:.2f}", met=ratio <= most)
    share = samples.worst_share(bulk)
    table.goal("bulk: every question answered", percent(share), met=share == 1.0)
