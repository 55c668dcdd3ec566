"""Report of a client's run. Standard library only: the Python of `--peers` may lack all else."""

from __future__ import annotations

import json
import resource
import sys
import time
from collections import Counter
from typing import Any

__all__ = ["Task"]


class Task:
    """The questions of one client run, from its command line, and its clock."""

    def __init__(self) -> None:
        address, port, path, self.rdtype = sys.argv[1:5]
        self.address, self.port = address, int(port)
        self.statuses: Counter[str] = Counter()
        self._wall = time.perf_counter()
        self._cpu = _cpu()
        limit = int(sys.argv[5]) if len(sys.argv) > 5 else None
        with open(path, encoding="ascii") as file:  # noqa: PTH123 - as cheap as can be
            self.names = file.read().split()[:limit]

    def finish(self, **detail: Any) -> None:
        """Print the report; a question with NOERROR, NODATA or NXDOMAIN counts as answered."""
        answered = sum(self.statuses[name] for name in ("NOERROR", "NODATA", "NXDOMAIN"))
        report = {
            "asked": len(self.names),
            "answered": answered,
            "cpu": _cpu() - self._cpu,
            "wall": time.perf_counter() - self._wall,
            "statuses": self.statuses,
            **detail,
        }
        sys.stdout.write(json.dumps(report) + "\n")
        sys.stdout.flush()


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime
