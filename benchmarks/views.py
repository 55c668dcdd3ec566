"""Times the views: `python -m benchmarks.views [--records N] [--runs N] [--write]`.

Each of MEASUREMENTS is a command run on files from `view_material`, in a process of its own.
`--write` puts the table into its section of RESULTS.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

from benchmarks import measure
from benchmarks.report_page import page_table
from benchmarks.results import NAME, put
from benchmarks.tables import Samples, Table, count, seconds
from benchmarks.versions import machine
from benchmarks.view_material import ALL_CHANGED, NEW, OLD, OLD_ZSTD, SHUFFLED

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MEASUREMENTS", "Measurement"]

_RECORDS: Final = 1_000_000
_MOST_MB: Final = 200
_RATE: Final = 300_000
_TITLE: Final = "# Views"


class Measurement(NamedTuple):
    """A row of the table: the command, its number of records, and its goal.

    `command` returns the arguments of `auditor` for a folder of material, `records` how many
    records it reads, given their number in a file. `rate`: the least records per second of CPU.
    """

    what: str
    command: Callable[[Path], list[str]]
    records: Callable[[int], int]
    rate: int | None = None


def _summary(folder: Path) -> list[str]:
    return ["summary", str(folder / OLD)]


def _summary_zstd(folder: Path) -> list[str]:
    return ["summary", str(folder / OLD_ZSTD)]


def _diff_self(folder: Path) -> list[str]:
    return ["diff", "--top", "0", str(folder / OLD), str(folder / OLD)]


def _diff(folder: Path) -> list[str]:
    return ["diff", "--top", "0", str(folder / OLD), str(folder / NEW)]


def _diff_json(folder: Path) -> list[str]:
    return ["diff", "--json", str(folder / OLD), str(folder / NEW)]


def _diff_shuffled(folder: Path) -> list[str]:
    return ["diff", "--top", "0", str(folder / OLD), str(folder / SHUFFLED)]


def _diff_everything(folder: Path) -> list[str]:
    return ["diff", "--top", "0", str(folder / OLD), str(folder / ALL_CHANGED)]


def _all(records: int) -> int:
    return records


def _both(records: int) -> int:
    return 2 * records


#: To add a view, add a row.
MEASUREMENTS: Final = (
    Measurement("summary", _summary, _all, rate=_RATE),
    Measurement("summary, .zst", _summary_zstd, _all),
    Measurement("diff with itself", _diff_self, _both),
    Measurement("diff, same order", _diff, _both),
    Measurement("diff --json, same order", _diff_json, _both),
    Measurement("diff, other order", _diff_shuffled, _both),
    Measurement("diff, other order, other verdicts", _diff_everything, _both),
)


def _table(records: int, runs: int, samples: Samples, sizes: dict[str, int]) -> Table:
    columns = ["command", "n", "records", "CPU s", "wall s", "records/s", "peak MB"]
    table = Table("Summary and diff", columns)
    table.about = (
        f"Results of {count(records)} records ({sizes[OLD] / 1e6:.0f} MB), derived from the scan"
        " of a /16 over zone files. NEW has\nanother verdict for one target in a hundred, in the"
        " last row for all; one in two hundred is gone, and one new.\nWhole processes, start and"
        " output included; the rate is by CPU time, for there is one core in use."
    )
    for row in MEASUREMENTS:
        read = row.records(records)
        cpu = samples.median(row.what, lambda run: run.cpu)
        wall = samples.median(row.what, lambda run: run.wall)
        peak = samples.median(row.what, lambda run: run.peak) / 1e6
        figures = (seconds(cpu), seconds(wall), count(read / cpu), f"{peak:.0f}")
        table.add(row.what, str(runs), count(read), *figures)
        if row.rate:
            what = f"{row.what}: at least {count(row.rate)} records a second"
            table.goal(what, count(read / cpu), met=read / cpu >= row.rate)
    most = max(samples.median(row.what, lambda run: run.peak) for row in MEASUREMENTS) / 1e6
    table.goal(f"at most {_MOST_MB} MB", f"{most:.0f} MB", met=most <= _MOST_MB)
    return table


def _measured(folder: Path, runs: int) -> Samples:
    samples = Samples()
    for number in range(runs):
        for row in MEASUREMENTS:
            command = [sys.executable, "-m", "auditor", *row.command(folder)]
            samples.add(row.what, measure.run(command))
            last = samples[row.what][-1]
            print(f"  {row.what} #{number + 1}: {last.wall:.2f} s", file=sys.stderr, flush=True)
    return samples


def main() -> None:
    """Measure, print, and write if asked to."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.views")
    parser.add_argument("--records", type=int, default=_RECORDS, help="default: %(default)s")
    parser.add_argument("--runs", type=int, default=3, help="rounds (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help=f"put it into {NAME}")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="auditor-bench-") as name:
        folder = Path(name)
        # In a process of its own: peak memory of this one would count for its children.
        command = [sys.executable, "-m", "benchmarks.view_material", name]
        measure.run([*command, "--records", str(arguments.records)])
        samples = _measured(folder, arguments.runs)
        page = page_table(folder, arguments.runs)
        sizes = {OLD: (folder / OLD).stat().st_size}
    given = " ".join(["python -m benchmarks.views", *sys.argv[1:]])
    table = _table(arguments.records, arguments.runs, samples, sizes)
    tables = f"{table.markdown()}\n{page.markdown()}"
    text = f"{_TITLE}\n\nPrinted by `{given}` on {machine()}.\n\n{tables}"
    print(text)
    if arguments.write:
        put(text)


if __name__ == "__main__":
    main()
