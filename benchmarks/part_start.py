"""Starting up: the cost of `import auditor`, and of `auditor check` of one address."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from benchmarks import material, measure
from benchmarks.serving import serve
from benchmarks.tables import Samples, Table

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.options import Options

__all__ = ["run"]

_IMPORT: Final = "import auditor"
_EVERYTHING: Final = "import auditor, and scan and Settings used"
_CHECK: Final = "auditor check, one address"
_MOST_IMPORT: Final = 0.150
_MOST_CHECK: Final = 0.300


def run(options: Options) -> Iterator[Table]:
    """Start programs repeatedly; the interpreter's own start is measured as well."""
    zones = material.write_zones(options.folder / "start", txt="v=spf1 a -all")
    samples = Samples()
    with serve("knot", zones) as server:
        check = ["-m", "auditor", "check", "--server", f"127.0.0.1:{server.port}", "20.30.1.2"]
        rows = {
            "python -c pass": ["-c", "pass"],
            _IMPORT: ["-c", "import auditor"],
            _EVERYTHING: ["-c", "import auditor; auditor.scan; auditor.Settings"],
            _CHECK: check,
        }
        for _ in range(options.runs if options.quick else max(options.runs, 9)):
            for row, arguments in rows.items():
                samples.add(row, measure.run([sys.executable, *arguments]))
    yield _table(samples)


def _table(samples: Samples) -> Table:
    table = Table("Starting up", ["what", "n", "CPU ms", "wall ms", "peak MB"])
    table.about = "Whole processes, the interpreter's own start included; `check` asks Knot DNS."
    for row in samples.rows():
        table.add(
            row,
            str(len(samples[row])),
            f"{samples.median(row, lambda r: r.cpu) * 1e3:.0f}",
            f"{samples.median(row, lambda r: r.wall) * 1e3:.0f}",
            f"{samples.median(row, lambda r: r.peak) / 1e6:.0f}",
        )
    wall = samples.median(_EVERYTHING, lambda r: r.wall)
    goal = f"import auditor, and its names used: within {_MOST_IMPORT * 1e3:.0f} ms"
    table.goal(goal, f"{wall * 1e3:.0f} ms", met=wall <= _MOST_IMPORT)
    cpu = samples.median(_CHECK, lambda r: r.cpu)
    goal = f"auditor check of one address: at most {_MOST_CHECK * 1e3:.0f} ms of CPU"
    table.goal(goal, f"{cpu * 1e3:.0f} ms", met=cpu <= _MOST_CHECK)
    return table
