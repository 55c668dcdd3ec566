"""RESULTS.md and PROFILES.md: the last figures of every benchmark, a section each, in short."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from benchmarks.condense import condensed

__all__ = ["NAME", "heading", "put"]

_FILE: Final = Path(__file__).with_name("RESULTS.md")
_PROFILES: Final = Path(__file__).with_name("PROFILES.md")
NAME: Final = _FILE.name

_ABOUT: Final = """\
# Results

Against servers on loopback that the benchmarks started themselves. Absolute times differ from
machine to machine, and on this one by the hour; compare ratios within one run. Figures are
medians of n interleaved runs, ratios the median of the ratios of each round; shares answered are
the worst of all runs. Each section was printed by the command that it names, in one run; the commit
follows the version. Goals without a remark are met. Profiles:
[PROFILES.md](PROFILES.md)."""
_ABOUT_PROFILES: Final = """\
# Where the time goes

Printed with the figures of [RESULTS.md](RESULTS.md), in the same run, by cProfile, which
exaggerates the cost of calls."""

_PARTS: Final = ("work", "start", "a", "b", "c", "d", "e", "f", "g", "direct", "transfer")
#: The sections in their order, as their headings begin. The first one is written by hand.
_ORDER: Final = (
    "# Wanted and measured",
    *(f"# ({part})" for part in _PARTS),
    *("# Views", "# Shards", "# Soak", "# Senders"),
)


def heading(part: str) -> str:
    """Return the beginning of the heading of a part of `python -m benchmarks`."""
    return f"# ({part})"


def put(text: str) -> None:
    """Replace the section with the same heading."""
    section, profile = condensed(text)
    _put(_FILE, _ABOUT, section)
    if profile:
        _put(_PROFILES, _ABOUT_PROFILES, profile)


def _put(path: Path, about: str, text: str) -> None:
    there = path.read_text("utf-8") if path.exists() else ""
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
    path.write_text("\n\n".join([about, *kept]) + "\n", "utf-8")


def _place(text: str) -> int:
    """Return the index of a section; -1 for an unknown one."""
    return next((at for at, begins in enumerate(_ORDER) if text.startswith(begins)), -1)
