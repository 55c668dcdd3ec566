"""Parses macro-strings and domain-specs (RFC 7208 §7).

pyspf's own parser is not used: it accepts much that §7.1 forbids, joins the parts of a value
with the delimiters they were split at, and takes minutes over some records of 64 KiB. Everything
here is linear in its input.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import quote

__all__ = ["Macro", "MacroString", "SpfSyntaxError", "domain_spec", "fit_domain", "macro_string"]

_MAX_DOMAIN_CHARACTERS: Final = 253  # characters (RFC 7208 §7.3)

_MACRO: Final = r"(?i:%(?:([%_-])|\{([slodiphcrtv])([0-9]{0,128})(r?)([-.+,/_=]*)\}))"
_EXPLAINING: Final = frozenset("crt")  # for the text of exp= only (§7.2)
_LITERALS: Final = {"%": "%", "_": " ", "-": "%20"}
_TOP_LABEL: Final = r"(?i:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)"


class SpfSyntaxError(ValueError):
    """Text that is not what RFC 7208 says; never leaves `auditor.spf`."""


class Macro(NamedTuple):
    """One `%{...}`: the letter in lower case, and what is done with its value."""

    letter: str
    parts: int
    backwards: bool
    delimiters: str
    escaped: bool

    def transform(self, value: str) -> str:
        """Return the value split, reversed, cut, joined and escaped (RFC 7208 §7.3)."""
        if self.parts or self.backwards or self.delimiters:
            parts = re.split(f"[{re.escape(self.delimiters or '.')}]", value)
            if self.backwards:
                parts.reverse()
            value = ".".join(parts[-self.parts :])
        # All but unreserved characters (RFC 3986 §2.3), which is what quote() leaves alone.
        return quote(value, safe="") if self.escaped else value


MacroString: TypeAlias = "tuple[str | Macro, ...]"


def macro_string(text: str) -> MacroString:
    """Return the literals and macros of a macro-string. Raises SpfSyntaxError."""
    # What a hostile zone can make long is not kept.
    return _kept(text) if len(text) <= _MAX_DOMAIN_CHARACTERS else _parse(text)


@lru_cache(maxsize=1024)
def _kept(text: str) -> MacroString:
    return _parse(text)


def _parse(text: str) -> MacroString:
    pieces: list[str | Macro] = []
    end = 0
    for match in re.finditer(_MACRO, text):
        pieces.append(_literal(text, end, match.start()))
        end = match.end()
        literal, letter, digits, backwards, delimiters = match.groups()
        if literal:
            pieces.append(_LITERALS[literal])
            continue
        parts = int(digits or 0)
        if digits and not parts:
            raise SpfSyntaxError(f"zero parts wanted by {match[0]}")
        pieces.append(
            Macro(letter.lower(), parts, bool(backwards), delimiters, escaped=letter.isupper())
        )
    pieces.append(_literal(text, end, len(text)))
    return tuple(pieces)


def _literal(text: str, start: int, end: int) -> str:
    stray = text.find("%", start, end)
    if stray >= 0:
        raise SpfSyntaxError(f"not a macro: {text[stray : stray + 16]}")
    return text[start:end]


def domain_spec(text: str) -> MacroString:
    """Return the literals and macros of a domain-spec: its end is a macro or a top label.

    Raises SpfSyntaxError. What macros expand to is not checked, as §7.1 has it.
    """
    pieces = macro_string(text)
    for piece in pieces:
        if isinstance(piece, Macro) and piece.letter in _EXPLAINING:
            raise SpfSyntaxError(f"%{{{piece.letter}}} outside of an explanation: {text}")
    rest = pieces[-1]
    if rest or len(pieces) == 1:
        _, dot, top = str(rest).removesuffix(".").rpartition(".")
        if not dot or top.isdigit() or not re.fullmatch(_TOP_LABEL, top):
            raise SpfSyntaxError(f"not a domain name with a top label: {text}")
    return pieces


def fit_domain(name: str) -> str:
    """Return an expanded name without a final dot, labels cut off its left until it fits."""
    name = name.removesuffix(".")
    while len(name) > _MAX_DOMAIN_CHARACTERS:
        cut = name.find(".", len(name) - _MAX_DOMAIN_CHARACTERS - 1)
        if cut < 0:
            break  # one label, and no name
        name = name[cut + 1 :]
    return name
