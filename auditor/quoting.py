"""Escapes hostile text for records, messages and terminals."""

from __future__ import annotations

from typing import Final

__all__ = ["printable", "printable_json", "printable_line", "quoted"]

#: Characters of an invalid line that a record keeps: enough to find it again.
_MAX_KEPT_CHARACTERS: Final = 200
#: Characters of a text that a message quotes.
_MAX_QUOTED_CHARACTERS: Final = 80
_SURROGATES: Final = range(0xDC80, 0xDD00)  # bytes that were not UTF-8 (PEP 383)
_BYTE, _BMP = 0xFF, 0xFFFF


def printable(text: str, limit: int = _MAX_KEPT_CHARACTERS) -> str:
    r"""Return `text` with unprintable characters as `\x1b` or `\u202e`, cut to `limit`.

    Printable characters of any script are kept; a cut ends in three dots. Bytes that were not
    UTF-8, decoded with `surrogateescape`, are shown as bytes (`\xff`).
    """
    shown = text[: limit + 1]
    if not shown.isprintable():
        shown = "".join(map(_escape, shown))
    return shown if len(shown) <= limit else shown[: limit - 3] + "..."


def quoted(text: str) -> str:
    """Return `text` for a message: printable, short, in single quotes."""
    return f"'{printable(text, _MAX_QUOTED_CHARACTERS)}'"


def printable_json(text: str) -> str:
    r"""Return JSON with unprintable characters escaped, safe to show on a terminal.

    The values stay the same: `\\u009b` for the character. JSON itself escapes only the control
    characters of ASCII. Line feeds between values stay.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() or character == "\n" else _json_escape(character)
        for character in text
    )


def printable_line(line: bytes) -> bytes:
    """Return a line of JSON as `printable_json` does."""
    # Nearly all lines are ASCII, whose control characters JSON escapes, except DEL.
    if line.isascii() and b"\x7f" not in line:
        return line
    return printable_json(line.decode()).encode()


def _json_escape(character: str) -> str:
    """Return the escape of a character (RFC 8259 §7): beyond the BMP two surrogates."""
    octets = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{octets[at : at + 2].hex()}" for at in range(0, len(octets), 2))


def _escape(character: str) -> str:
    if character.isprintable():
        return character
    number = ord(character)
    if number in _SURROGATES:
        return f"\\x{number & _BYTE:02x}"
    if number <= _BYTE:
        return f"\\x{number:02x}"
    return f"\\u{number:04x}" if number <= _BMP else f"\\U{number:08x}"
