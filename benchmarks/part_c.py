"""(c) The whole scan of a /16, compared with massdns making only the same lookups."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks import material
from benchmarks.measure import BenchError, Run
from benchmarks.profiles import shares
from benchmarks.runners import DEFAULT_WINDOW, Place, best_window, massdns, missing, scan
from benchmarks.serving import TITLES, serve
from benchmarks.tables import Samples, Table, count, percent, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from benchmarks.options import Options

__all__ = ["run"]

_ABOUT: Final = """\
`auditor scan --server … {block}`: PTR, A of the name, SPF of the name as HELO identity,
findings, NDJSON to a file; CPU and wall time of the whole process, start and manifest included.
massdns looks up PTR, A and TXT of the same names one type after the other with `-s {window}`,
JSON to files, whole processes too. SPF: {spf}."""


class _Variant(NamedTuple):
    """A server, the SPF records of its hosts, and massdns's window if not the best one."""

    server: str
    spf: str
    txt: str | None
    window: str | None = None


_POLICY: Final = "v=spf1 a -all"
_VARIANTS: Final = (
    _Variant("knot", f"every host publishes `{_POLICY}`", _POLICY),
    _Variant("knot", "no host publishes any, so TXT is NODATA", None),
    _Variant(
        "nsd",
        "no host publishes any, so TXT is NODATA, which NSD by default answers 200 times a"
        " second and drops or truncates beyond (RRL)",
        None,
        # Dropped queries stay in the window for half a second: it has to be large.
        DEFAULT_WINDOW,
    ),
)
_SCAN: Final = "auditor scan"
_NO_SPF: Final = "auditor scan --no-spf"
_SHARE: Final = 1.0
_TARGETS: Final = 65_536

#: Seconds after which a client is ended: NSD's rate limit can delay one for long.
_PATIENCE: Final = 240.0


class _Lists(NamedTuple):
    """The names for massdns, by type."""

    ptr: Path
    hosts: Path


def run(options: Options) -> Iterator[Table]:
    """Measure the variants one after the other."""
    lists = _Lists(
        material.write_lines(options.folder / "ptr.txt", material.reverse_names()),
        material.write_lines(options.folder / "hosts.txt", material.hosts()),
    )
    folders: dict[str | None, Path] = {}
    for number, variant in enumerate(_VARIANTS):
        if variant.txt not in folders:
            where = options.folder / f"c{number}"
            folders[variant.txt] = material.write_zones(where, txt=variant.txt)
        options.say(f" {variant.server}: {variant.spf}")
        with serve(variant.server, folders[variant.txt]) as server:
            place = Place(server.port, options.folder)
            yield _compare(options, variant, place, lists)
            if options.profile and variant.server == "knot":
                yield _profile(options, variant, place)


def _compare(options: Options, variant: _Variant, place: Place, lists: _Lists) -> Table:
    why = missing("massdns", options.peers)
    window = "-" if why else variant.window or best_window(place, lists.ptr)
    rows = [_SCAN, _NO_SPF, *([] if why else ["massdns"])]
    samples = Samples()
    for _ in range(options.runs):
        for row in rows:
            if row in samples.failed:
                continue
            try:
                samples.add(row, _one(row, place, lists, window))
            except BenchError as error:
                samples.failed[row] = str(error)
            options.say(samples.latest(row))
    about = _ABOUT.format(block=material.BLOCK, window=window, spf=variant.spf)
    return _table(variant, about, samples, [why] if why else [])


def _one(row: str, place: Place, lists: _Lists, window: str) -> Run:
    if row == "massdns":
        runs = [
            massdns(place, names, rdtype, window, limit=_PATIENCE)
            for names, rdtype in ((lists.ptr, "PTR"), (lists.hosts, "A"), (lists.hosts, "TXT"))
        ]
        return _sum(runs)
    flags = ["--no-spf"] if row == _NO_SPF else []
    server = f"{place.address}:{place.port}"
    output = place.folder / "scan.ndjson"
    done = scan(output, "--server", server, *flags, material.BLOCK, limit=_PATIENCE)
    if done.detail["records"] != _TARGETS:
        raise BenchError(f"{done.detail['records']} records of {_TARGETS}")
    return done


def _sum(runs: list[Run]) -> Run:
    cpu = sum(run.cpu for run in runs)
    wall = sum(run.wall for run in runs)
    return replace(
        runs[0],
        cpu=cpu,
        wall=wall,
        work_cpu=cpu,
        work_wall=wall,
        peak=max(run.peak for run in runs),
        asked=sum(run.asked for run in runs),
        answered=sum(run.answered for run in runs),
    )


def _table(variant: _Variant, about: str, samples: Samples, left_out: list[str]) -> Table:
    columns = ["what", "n", "lookups", "CPU s", "µs CPU a target", "÷ massdns", "wall s"]
    title = f"(c) The whole scan, {TITLES[variant.server]}, "
    title += f"`{variant.txt}`" if variant.txt else "no SPF"
    table = Table(title, [*columns, "peak MB", "answered"], about)
    table.left_out += [*left_out, *(f"{row}: {why}" for row, why in samples.failed.items())]
    for row in samples.rows():
        cpu = samples.median(row, lambda r: r.cpu)
        table.add(
            row,
            str(len(samples[row])),
            count(samples[row][-1].asked),
            seconds(cpu),
            f"{cpu / _TARGETS * 1e6:.1f}",
            f"{samples.ratio(row, 'massdns', lambda r: r.cpu):.2f}"
            if "massdns" in samples
            else "-",
            seconds(samples.median(row, lambda r: r.wall)),
            f"{samples.median(row, lambda r: r.peak) / 1e6:.0f}",
            percent(samples.worst_share(row)),
        )
    if _SCAN in samples and _NO_SPF in samples:
        spf = samples.median(_SCAN, lambda r: r.cpu) - samples.median(_NO_SPF, lambda r: r.cpu)
        table.about += (
            f"\nSPF, its lookup included, costs {spf / _TARGETS * 1e6:.1f} µs of CPU an address."
        )
    if _SCAN in samples:
        _judge(table, samples)
    return table


def _judge(table: Table, samples: Samples) -> None:
    if "massdns" in samples:
        ratio = samples.ratio(_SCAN, "massdns", lambda r: r.cpu)
        goal = f"scan: CPU at most {_SHARE} times massdns for as many lookups"
        table.goal(goal, f"{ratio:.2f}", met=ratio <= _SHARE)
    share = samples.worst_share(_SCAN)
    table.goal("scan: every question answered", percent(share), met=share == 1.0)


def _profile(options: Options, variant: _Variant, place: Place) -> Table:
    """Return the scan's time by source file; the profiler exaggerates the cost of calls."""
    path = options.folder / "scan.prof"
    server = f"{place.address}:{place.port}"
    output = place.folder / "scan.ndjson"
    scan(output, "--server", server, material.BLOCK, profile=path)
    spf = variant.txt or "no SPF"
    table = Table(f"(c) Where the scan's time goes, {spf}", ["file", "share of time", "calls"])
    table.about = "By cProfile, own time and waits, which exaggerates the cost of calls."
    for name, share, calls in shares(path):
        table.add(name, percent(share), count(calls))
    return table
