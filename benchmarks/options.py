"""What a run of the benchmarks was asked for."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Options"]


@dataclass(frozen=True)
class Options:
    """What the command line says.

    `runs`: rounds; `quick`: fewer and smaller; `huge`: also 16,777,216 targets in (f);
    `profile`: where the time of the scan goes; `peers`: a Python that has blastdns and presolv;
    `folder`: for zones, lists and results, gone afterwards.
    """

    runs: int
    quick: bool
    huge: bool
    profile: bool
    peers: str
    folder: Path

    def say(self, text: str) -> None:
        """Tell the person who waits."""
        print(text, file=sys.stderr, flush=True)
