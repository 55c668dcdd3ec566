"""(f) Memory and time by the number of targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks import material
from benchmarks.runners import scan
from benchmarks.tables import Samples, Table, count, seconds

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.options import Options

__all__ = ["run"]

_ABOUT: Final = """\
`auditor scan --zones … BLOCK` over zones in which a wildcard gives every address the same
name; whole process. The time per target is without the start of the smallest scan."""
_SIZES: Final = {
    65_536: "20.30.0.0/16",
    1_048_576: "20.16.0.0/12",
    16_777_216: "20.0.0.0/8",
}
_HUGE: Final = 16_777_216
_MOST_MEMORY: Final = 200e6

#: Linear: time a target of the largest size is within this factor of that of the smallest.
_LINEAR: Final = 1.2


def run(options: Options) -> Iterator[Table]:
    """Scan blocks of growing size."""
    zones = material.write_wildcards(options.folder / "f")
    sizes = [size for size in _SIZES if size < _HUGE or options.huge]
    output = options.folder / "f.ndjson"
    samples = Samples()
    for _ in range(options.runs):
        samples.add("start", scan(output, "--zones", str(zones), "20.30.0.1"))
        for size in sizes:
            if size == _HUGE and str(size) in samples:
                continue  # once is long enough
            samples.add(str(size), scan(output, "--zones", str(zones), _SIZES[size]))
            options.say(samples.latest(str(size)))
    yield _table(samples, sizes)


def _table(samples: Samples, sizes: list[int]) -> Table:
    columns = ["targets", "n", "wall s", "CPU s", "µs CPU a target", "targets/s", "peak MB"]
    table = Table("(f) Memory and time by size", columns, _ABOUT)
    start = samples.median("start", lambda r: r.cpu)
    each = {}
    peaks = {}
    for size in sizes:
        row = str(size)
        cpu = samples.median(row, lambda r: r.cpu)
        wall = samples.median(row, lambda r: r.wall)
        each[size] = (cpu - start) / size * 1e6
        peaks[size] = max(run.peak for run in samples[row])
        table.add(
            count(size),
            str(len(samples[row])),
            seconds(wall),
            seconds(cpu),
            f"{each[size]:.1f}",
            count(size / wall),
            f"{peaks[size] / 1e6:.0f}",
        )
    if _HUGE not in sizes:
        table.left_out.append(f"{count(_HUGE)} targets: only with --huge")
    worst = max(peaks.values())
    goal = f"at most {_MOST_MEMORY / 1e6:.0f} MB at every size"
    table.goal(goal, f"{worst / 1e6:.0f} MB", met=worst <= _MOST_MEMORY)
    factor = each[sizes[-1]] / each[sizes[0]]
    goal = f"time linear: a target of the largest at most {_LINEAR} times one of the smallest"
    table.goal(goal, f"{factor:.2f}", met=factor <= _LINEAR)
    return table
