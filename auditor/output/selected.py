"""Selects records by their verdict (`--only`)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from auditor.errors import UsageError
from auditor.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["OnlyVerdicts"]

_VERDICTS: Final = ("pass", "warn", "fail", "unknown")
#: The beginning of a record, whose keys are always in this order.
_HEAD: Final = rb'\{"target":"[^"\\]*(?:\\.[^"\\]*)*","kind":"[a-z]+","verdict":"(?:%b)"'


class OnlyVerdicts:
    """Keeps the lines of records whose verdict is selected.

    `texts` are verdicts, several separated by commas. Raises UsageError for anything else.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        verdicts = {part.strip().lower() for text in texts for part in text.split(",")}
        unknown = sorted(verdicts.difference(_VERDICTS))
        if unknown:
            raise UsageError(f"--only: {quoted(unknown[0])} is not one of {', '.join(_VERDICTS)}")
        self.verdicts = [verdict for verdict in _VERDICTS if verdict in verdicts]
        self._head = re.compile(_HEAD % "|".join(self.verdicts).encode())

    def __call__(self, lines: bytes) -> bytes:
        """Return the lines that are kept, of whole lines."""
        matches = self._head.match
        return b"".join([line for line in lines.splitlines(keepends=True) if matches(line)])
