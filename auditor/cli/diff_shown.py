"""How many changes `auditor diff` shows by default: a file of its own, since --help needs it."""

from __future__ import annotations

from typing import Final

__all__ = ["TARGETS_SHOWN"]

#: Targets that changed, shown one by one.
TARGETS_SHOWN: Final = 10
