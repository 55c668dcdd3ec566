"""How text for people is set: width, indent, colour. Plain when it is not for a terminal."""

from __future__ import annotations

import os
import textwrap
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["counted", "did_you_mean", "paragraph", "severity_style", "verdict_style", "width"]

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


def paragraph(text: str, indent: int = 2, *, hanging: int = 0) -> str:
    """Return `text` wrapped to 80 columns, each line indented, all but the first `hanging` more.

    What has no blank to break at, such as a long name, stays whole.
    """
    return textwrap.fill(
        text,
        WIDTH,
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + hanging),
        break_on_hyphens=False,
        break_long_words=False,
    )


def width() -> int:
    """Return the columns of the terminal on standard error, or 80 where there is none."""
    try:
        return max(os.get_terminal_size(2).columns, WIDTH)
    except OSError:
        return WIDTH


def counted(number: int, noun: str) -> str:
    """Return `1 lookup`, `2 lookups`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """Return the end of a message about a mistyped word, "" if nothing known is near it."""
    import difflib  # noqa: PLC0415 - only for an error message

    # Without the dashes of options, which make all of them alike.
    bare = {word.lstrip("-"): word for word in known}
    near = difflib.get_close_matches(text.lstrip("-"), bare, n=1)
    return f"; did you mean {bare[near[0]]}?" if near else ""


def severity_style(severity: str) -> dict[str, Any]:
    """Return the arguments of `click.style` for a severity."""
    return _SEVERITIES.get(severity, {})


def verdict_style(verdict: str) -> dict[str, Any]:
    """Return the arguments of `click.style` for a verdict."""
    return _VERDICTS.get(verdict, {})
