"""Options of a run of the benchmarks."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """Options from the command line.

    `runs`: rounds; `quick`: fewer and smaller; `huge`: also 16,777,216 targets in (f);
    `profile`: profile the scan; `peers`: a Python with blastdns and presolv; `rows`: parts of
    the names of the selected rows, all without any; `folder`: for zones, lists and results,
    removed afterwards.
    """

    runs: int
    quick: bool
    huge: bool
    profile: bool
    peers: str
    rows: Sequence[str]
    folder: Path

    def wants(self, row: str) -> bool:
        """Tell whether a row is to be measured."""
        return not self.rows or any(part.lower() in row.lower() for part in self.rows)

    def say(self, text: str) -> None:
        """Print progress."""
        print(text, file=sys.stderr, flush=True)
