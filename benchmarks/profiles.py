"""Where time goes: a cProfile file, summed by source file."""

from __future__ import annotations

import pstats
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from benchmarks.measure import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["shares"]

#: Files below this share are left out.
_LEAST: Final = 0.01


def shares(path: Path) -> Iterator[tuple[str, float, int]]:
    """Yield (file or built-in, share of the whole time, calls), largest share first."""
    stats = cast("Any", pstats.Stats(str(path)))
    times: Counter[str] = Counter()
    calls: Counter[str] = Counter()
    for (file, _, function), (_, count, own, _, _) in stats.stats.items():
        name = _short(file, function)
        times[name] += own
        calls[name] += count
    whole = sum(times.values())
    for name, own in times.most_common():
        if own / whole >= _LEAST:
            yield name, own / whole, calls[name]


def _short(file: str, function: str) -> str:
    if file == "~":
        return re.sub(" at 0x[0-9a-f]+", "", function)
    path = Path(file)
    if path.is_relative_to(ROOT / "auditor"):
        return str(path.relative_to(ROOT))
    return path.name
