"""How much `auditor diff` shows where nothing else is asked for: apart, since it is in --help."""

from __future__ import annotations

from typing import Final

__all__ = ["TARGETS_SHOWN"]

#: Targets that changed, shown one by one.
TARGETS_SHOWN: Final = 10
