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
machine to machine, and on this one by the hour; ratios within one run are what counts. Figures are
medians of n interleaved runs, ratios the median of the ratios of each round; shares answered are
the worst of all runs. Each section was printed by the command that it names, in one run; the commit
stands behind the version. Goals without a word are met. Where the time goes:
[PROFILES.md](PROFILES.md)."""
_ABOUT_PROFILES: Final = """\
# Where the time goes

Printed with the figures of [RESULTS.md](RESULTS.md), in the same run, by cProfile, which makes
calls look dearer than they are."""

_PARTS: Final = ("work", "start", "a", "b", "c", "d", "e", "f", "g", "direct", "transfer")
#: The sections in their order, as their headings begin. The first one is written by hand.
_ORDER: Final = (
    "# Wanted and measured",
    *(f"# ({part})" for part in _PARTS),
    *("# Views", "# Shards", "# Soak", "# Senders"),
)


def heading(part: str) -> str:
    """Return how the heading of a part of `python -m benchmarks` begins."""
    return f"# ({part})"


def put(text: str) -> None:
    """Put a section, which begins with its heading, in the place of the one before."""
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
    """Return where a section belongs; -1 for what is none."""
    return next((at for at, begins in enumerate(_ORDER) if text.startswith(begins)), -1)
