"""RESULTS.md: the last figures of every benchmark, each in a section of its own."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

__all__ = ["NAME", "put"]

_FILE: Final = Path(__file__).with_name("RESULTS.md")
NAME: Final = _FILE.name

#: The sections in their order.
_ORDER: Final = ("# Results", "# Views", "# Shards", "# Soak")


def put(text: str) -> None:
    """Put a section, which begins with its heading, in the place of the one before."""
    heading = text.partition("\n")[0]
    if heading not in _ORDER:
        raise ValueError(f"no section {heading!r}")
    there = _FILE.read_text("utf-8") if _FILE.exists() else ""
    sections = {
        section.partition("\n")[0]: section.strip()
        for section in re.split(r"^(?=# )", there, flags=re.MULTILINE)
        if section.strip()
    }
    sections[heading] = text.strip()
    kept = [sections[title] for title in _ORDER if title in sections]
    _FILE.write_text("\n\n".join(kept) + "\n", "utf-8")
