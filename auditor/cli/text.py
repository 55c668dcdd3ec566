"""How text for people is set: width, indent, colour. Plain when it is not for a terminal."""

from __future__ import annotations

import textwrap
from typing import Any, Final

__all__ = ["paragraph", "severity_style", "verdict_style"]

WIDTH: Final = 80

_SEVERITIES: Final[dict[str, dict[str, Any]]] = {
    "error": {"fg": "red", "bold": True},
    "warning": {"fg": "yellow"},
    "notice": {"fg": "cyan"},
    "info": {"dim": True},
}
_VERDICTS: Final[dict[str, dict[str, Any]]] = {
    "pass": {"fg": "green", "bold": True},
    "warn": {"fg": "yellow", "bold": True},
    "fail": {"fg": "red", "bold": True},
    "unknown": {"fg": "magenta", "bold": True},
}


def paragraph(text: str, indent: int = 2) -> str:
    """Return `text` wrapped to 80 columns, each line indented."""
    margin = " " * indent
    return textwrap.fill(
        text, WIDTH, initial_indent=margin, subsequent_indent=margin, break_on_hyphens=False
    )


def severity_style(severity: str) -> dict[str, Any]:
    """Return the arguments of `click.style` for a severity."""
    return _SEVERITIES.get(severity, {})


def verdict_style(verdict: str) -> dict[str, Any]:
    """Return the arguments of `click.style` for a verdict."""
    return _VERDICTS.get(verdict, {})
