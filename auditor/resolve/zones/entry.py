"""Tokenises entries of a master file (RFC 1035 §5.1): one record or directive.

Handles quotes, parentheses and comments. Escapes stay as written, since names and
character-strings decode them differently.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.errors import WireError
from auditor.wire.names import normalise

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "EntryError",
    "Token",
    "absolute_name",
    "duration",
    "has_final_dot",
    "read_entry",
    "stated_ttl",
    "tokens_of",
]

#: Most characters of an entry: RDATA of 65,535 octets as escapes, with comments between.
_MAX_ENTRY: Final = 1 << 20
_MAX_SECONDS: Final = 0xFFFF_FFFF

_TOKEN: Final = re.compile(
    r"[ \t]*+(?:;[^\n]*+)?+(?:"
    r"(\n)|(\()|(\))"
    r'|"((?:[^"\\\n]|\\[^\n])*+)"'
    r'|((?:[^ \t\n;()"\\]|\\[^\n])++)'
    r")"
)
_NEWLINE, _OPEN, _CLOSE, _QUOTED = 1, 2, 3, 4

_SECONDS: Final = re.compile(r"[0-9]{1,10}")
_WITH_UNITS: Final = re.compile(r"(?:[0-9]{1,10}[wdhms])+", re.IGNORECASE)
_PART: Final = re.compile(r"([0-9]+)([wdhms])", re.IGNORECASE)
_UNITS: Final = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}


class EntryError(ValueError):
    """An entry that cannot be parsed; the message is the reason, "" for no particular one."""


class Token(NamedTuple):
    """A word or a quoted string, escapes as written."""

    text: str
    is_quoted: bool = False


def read_entry(text: str, position: int) -> tuple[list[Token], int]:
    """Return the tokens of the entry at `position`, and where the next one begins.

    `text` ends with a newline. Raises EntryError.
    """
    tokens: list[Token] = []
    depth = 0
    start = position
    while position < len(text):
        match = _TOKEN.match(text, position)
        if match is None:
            raise EntryError(_syntax_error(text, position, depth))
        position = match.end()
        kind = match.lastindex
        if kind == _NEWLINE:
            if not depth:
                return tokens, position
        elif kind == _OPEN:
            depth += 1
        elif kind == _CLOSE:
            if not depth:
                raise EntryError("unbalanced parentheses")
            depth -= 1
        else:
            tokens.append(Token(match[kind or 0], kind == _QUOTED))
        if position - start > _MAX_ENTRY:
            raise EntryError(f"longer than {_MAX_ENTRY:,} characters")
    if depth:
        raise EntryError("unbalanced parentheses")
    return tokens, position


def _syntax_error(text: str, position: int, depth: int) -> str:
    rest = text[position : position + _MAX_ENTRY].lstrip(" \t")
    if rest.startswith('"'):
        return "a quoted string without its end"
    if rest.startswith("\\"):
        return "an escape without a character"
    return "unbalanced parentheses" if depth else ""


def tokens_of(text: str) -> list[Token]:
    """Return the tokens of RDATA given as one string. Raises EntryError."""
    return read_entry(f"{text}\n", 0)[0]


def duration(text: str) -> int | None:
    """Return the seconds of a TTL (`3600`, `1h30m`); None if the text is not a TTL."""
    if _SECONDS.fullmatch(text):
        seconds = int(text)
    elif _WITH_UNITS.fullmatch(text):
        seconds = sum(int(number) * _UNITS[unit.lower()] for number, unit in _PART.findall(text))
    else:
        return None
    return seconds if seconds <= _MAX_SECONDS else None


def stated_ttl(words: Sequence[str]) -> int | None:
    """Return the TTL among the words between owner and type. Raises EntryError."""
    ttl: int | None = None
    if len(words) > 2:  # noqa: PLR2004 - TTL and class
        raise EntryError("")
    for word in words:
        seconds = None if word.upper() == "IN" else duration(word)
        if seconds is not None and ttl is None:
            ttl = seconds
        elif word.upper() != "IN":
            raise EntryError("")
    if len(words) > 1 and ttl is None:
        raise EntryError("")
    return ttl


def has_final_dot(text: str) -> bool:
    """Tell whether a name is absolute: whether it ends with an unescaped dot."""
    if not text.endswith("."):
        return False
    backslashes = len(text) - 1 - len(text[:-1].rstrip("\\"))
    return backslashes % 2 == 0


def absolute_name(text: str, origin: str) -> str:
    """Return the canonical text of a name in a master file. Raises EntryError."""
    if text == "@":
        return origin
    if not has_final_dot(text):
        text = f"{text}." if origin == "." else f"{text}.{origin}"
    try:
        return normalise(text)
    except WireError as error:
        raise EntryError(f"not a name: {error}") from error
