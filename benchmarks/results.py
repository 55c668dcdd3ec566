"""RESULTS.md: the last figures of every benchmark, each in a section of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

__all__ = ["NAME", "heading", "put"]

_FILE: Final = Path(__file__).with_name("RESULTS.md")
NAME: Final = _FILE.name

_ABOUT: Final = """\
# Results

The last figures of every benchmark, against servers on loopback that it started itself. Absolute
times differ from machine to machine; the ratios are what counts. Figures are medians of n
interleaved runs, ratios the median of the ratios of each round; shares answered are the worst of
all runs. Each section was printed by the command that it names, in one run."""

_PARTS: Final = ("a", "b", "c", "d", "e", "f", "start")
#: The sections in their order, as their headings begin.
_ORDER: Final = (*(f"# ({part})" for part in _PARTS), "# Views", "# Shards", "# Soak")


def heading(part: str) -> str:
    """Return how the heading of a part of `python -m benchmarks` begins."""
    return f"# ({part})"


def put(text: str) -> None:
    """Put a section, which begins with its heading, in the place of the one before."""
    there = _FILE.read_text("utf-8") if _FILE.exists() else ""
    sections = {
        _place(section): section.strip()
        for section in re.split(r"^(?=# )", there, flags=re.MULTILINE)
        if _place(section) >= 0
    }
    place = _place(text)
    if place < 0:
        raise ValueError(f"no section {text.partition(chr(10))[0]!r}")
    sections[place] = text.strip()
    kept = [sections[number] for number in sorted(sections)]
    _FILE.write_text("\n\n".join([_ABOUT, *kept]) + "\n", "utf-8")


def _place(text: str) -> int:
    """Return where a section belongs; -1 for what is none."""
    return next((at for at, begins in enumerate(_ORDER) if text.startswith(begins)), -1)
