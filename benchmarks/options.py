"""What a run of the benchmarks was asked for."""

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
    """What the command line says.

    `runs`: rounds; `quick`: fewer and smaller; `huge`: also 16,777,216 targets in (f);
    `profile`: where the time of the scan goes; `peers`: a Python that has blastdns and presolv;
    `rows`: parts of the names of those wanted, all without any; `folder`: for zones, lists and
    results, gone afterwards.
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
        """Tell the person who waits."""
        print(text, file=sys.stderr, flush=True)
