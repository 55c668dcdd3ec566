"""Formats text for people: width, indent, colour. Plain when it is not for a terminal."""

from __future__ import annotations

import os
import textwrap
from typing import TYPE_CHECKING, Any, Final

import click

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "after_demo",
    "amount",
    "counted",
    "did_you_mean",
    "fitted",
    "paragraph",
    "severity_style",
    "terminal_width",
    "text_width",
    "time_span",
    "verdict_style",
]

WIDTH: Final = 80
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400
#: Columns of text at least and at most, whatever the width of the terminal.
_MIN_COLUMNS: Final = 40
_MAX_COLUMNS: Final = 160
_STDOUT: Final = 1
_MAX_EXACT_NUMBER: Final = 1 << 40  # numbers of addresses from here on are shown as powers of two

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


def after_demo(command: str) -> str:
    """Return an example for --help that runs on the files of `auditor demo`."""
    return f"Example: auditor demo -o d/ && auditor {command}"


def paragraph(text: str, indent: int = 2, *, hanging: int = 0) -> str:
    """Return `text` wrapped to the width of the terminal, or 80 columns where there is none.

    Each line is indented, all but the first `hanging` more.
    A long name is not broken.
    """
    return textwrap.fill(
        text,
        text_width(),
        initial_indent=" " * indent,
        subsequent_indent=" " * (indent + hanging),
        break_on_hyphens=False,
        break_long_words=False,
    )


def fitted(line: str, descriptor: int = _STDOUT) -> str:
    """Return a line as it fits into the terminal behind a descriptor; whole where there is none.

    The line may be styled. It keeps its indent; further lines are indented two more.
    """
    width = terminal_width(descriptor)
    if width is None or len(click.unstyle(line)) <= width:
        return line
    text = line.lstrip(" ")
    indent = " " * (len(line) - len(text))
    first, *words = text.split(" ")
    lines = [indent + first]
    for word in words:
        if len(click.unstyle(f"{lines[-1]} {word}")) <= width:
            lines[-1] += f" {word}"
        elif word:
            lines.append(f"{indent}  {word}")
    return "\n".join(line.rstrip() for line in lines)


def text_width() -> int:
    """Return the columns of text on standard output."""
    return min(terminal_width(_STDOUT) or WIDTH, _MAX_COLUMNS)


def terminal_width(descriptor: int) -> int | None:
    """Return the columns of the terminal behind a descriptor, None where there is none."""
    try:
        return max(os.get_terminal_size(descriptor).columns, _MIN_COLUMNS)
    except OSError:
        return None


def counted(number: int, noun: str) -> str:
    """Return `1 lookup`, `2 lookups`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def amount(number: int) -> str:
    """Return a number of addresses, exact as long as people can read it."""
    if number < _MAX_EXACT_NUMBER:
        return f"{number:,}"
    exponent = number.bit_length() - 1
    exact = number == 1 << exponent
    return f"2^{exponent}" if exact else f"over 2^{exponent}"


def time_span(seconds: int) -> str:
    """Return `45 s`, `5 min`, `24 h`, `3 days`: in the largest unit that gives a whole number.

    Beyond some minutes, seconds are rounded up.
    """
    if seconds < 2 * _MINUTE_S:
        return f"{seconds} s"
    for size, unit in ((_DAY_S, "days"), (_HOUR_S, "h")):
        if seconds % size == 0 and (size == _HOUR_S or seconds > size):
            return f"{seconds // size} {unit}"
    return f"{-(-seconds // _MINUTE_S)} min"


def did_you_mean(text: str, known: Iterable[str]) -> str:
    """Return the end of a message about a mistyped word, "" if no known one is similar."""
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
