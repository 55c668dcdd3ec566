"""(e) Some targets are slow or silent: the rate of the others."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks.measure import BenchError, helper
from benchmarks.runners import scan
from benchmarks.tables import Samples, Table, count, percent, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.measure import Run
    from benchmarks.options import Options

__all__ = ["run"]

_ABOUT: Final = """\
`auditor scan --server … {block}` ({targets} targets) from a responder of the benchmark's own,
in which a share of the targets fails: `servfail` answers SERVFAIL after 5 s, `silent` never
answers. `zones`: whole /24s fail; `scattered`: single addresses in every /24, so that no dead zone
can be detected. The rate of the rest is that of healthy targets from their first question to the
last one of 99 % of them, as the responder saw it ("all after": of all of them); the wall time of
the scan ends with the last straggler."""

_BLOCKS: Final = {True: ("20.30.0.0/16", 65_536), False: ("20.30.0.0/15", 131_072)}
_LEAST: Final = {1: 0.8, 10: 0.5}
_MOST_MEMORY: Final = 200e6
_UNDISTURBED: Final = "undisturbed"


class _Case(NamedTuple):
    """Which failure, of which share of the targets, and where."""

    kind: str
    layout: str
    percent: int

    def __str__(self) -> str:
        """Return the row's name."""
        return f"{self.percent} % {self.kind}, {self.layout}" if self.percent else _UNDISTURBED


def run(options: Options) -> Iterator[Table]:
    """Measure the undisturbed scan and each kind of failure."""
    block, targets = _BLOCKS[options.quick]
    cases = [_Case("silent", "zones", 0)] + [
        _Case(kind, layout, share)
        for kind in ("servfail", "silent")
        for layout in ("zones", "scattered")
        for share in _LEAST
    ]
    samples = Samples()
    for _ in range(options.runs):
        for case in cases:
            row = str(case)
            if row in samples.failed:
                continue
            try:
                samples.add(row, _one(options, case, block, targets))
            except BenchError as error:
                samples.failed[row] = str(error)
                options.say(f"  {row}: {error}")
                continue
            last = samples[row][-1]
            options.say(
                f"  {row}: {_rate(last):,.0f}/s, {last.wall:.1f} s, {last.detail['queries']}"
            )
    yield _table(samples, cases, _ABOUT.format(block=block, targets=count(targets)))


def _one(options: Options, case: _Case, block: str, targets: int) -> Run:
    output = options.folder / "e.ndjson"
    with helper("responder", case.kind, case.layout, str(case.percent)) as responder:
        done = scan(output, "--server", f"127.0.0.1:{responder.port}", block, limit=300)
        seen = responder.stop()
    statuses = done.detail["ptr_statuses"]
    if done.detail["records"] != targets:
        raise BenchError(f"{done.detail['records']} records of {targets}")
    healthy = statuses.get("NOERROR", 0)
    return replace(done, detail={**done.detail, "healthy": healthy, "seen": seen})


def _rate(run: Run) -> float:
    """Return healthy targets a second, the last hundredth of them left out."""
    return float(0.99 * run.detail["seen"]["healthy"] / run.detail["seen"]["most_seconds"])


def _last(run: Run) -> float:
    """Return when the last healthy target was finished, in seconds."""
    return float(run.detail["seen"]["seconds"])


def _table(samples: Samples, cases: list[_Case], about: str) -> Table:
    columns = [
        "failing targets",
        "n",
        "rate of the rest",
        "÷ undisturbed",
        "all after s",
        "scan wall s",
    ]
    table = Table(
        "(e) Stragglers", [*columns, "CPU s", "peak MB", "queries for failing", "healthy"], about
    )
    table.left_out += [f"{row}: {why}" for row, why in samples.failed.items()]
    rows = [str(case) for case in cases if str(case) in samples]
    for row in rows:
        table.add(
            row,
            str(len(samples[row])),
            f"{samples.median(row, _rate):,.0f}/s",
            f"{samples.ratio(row, _UNDISTURBED, _rate):.2f}",
            seconds(samples.median(row, _last)),
            seconds(samples.median(row, lambda r: r.wall)),
            seconds(samples.median(row, lambda r: r.cpu)),
            f"{samples.median(row, lambda r: r.peak) / 1e6:.0f}",
            count(samples.median(row, lambda r: r.detail["seen"]["failing_queries"])),
            count(samples.median(row, lambda r: r.detail["healthy"])),
        )
    for share, least in _LEAST.items():
        rates = [
            samples.ratio(str(case), _UNDISTURBED, _rate)
            for case in cases
            if case.percent == share and str(case) in samples
        ]
        goal = f"the rest keeps at least {least:.0%} of its rate at {share} % (worst of all rows)"
        if rates:
            table.goal(goal, percent(min(rates)), met=min(rates) >= least)
    peak = max(run.peak for row in rows for run in samples[row])
    goal = f"at most {_MOST_MEMORY / 1e6:.0f} MB"
    table.goal(goal, f"{peak / 1e6:.0f} MB", met=peak <= _MOST_MEMORY)
    return table
