"""Macros (RFC 7208 §7): parses macro-strings and domain-specs, and expands them.

pyspf's own parser is not used: it accepts much that §7.1 forbids, joins the parts of a value
with the delimiters they were split at, and takes minutes over some records of 64 KiB. Everything
here is linear in its input. `MacroValues` expands what is the same for many clients.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple, TypeAlias
from urllib.parse import quote

from auditor.errors import WireError
from auditor.wire.names import normalise

__all__ = [
    "Macro",
    "MacroString",
    "MacroValues",
    "SpfSyntaxError",
    "domain_spec",
    "encodable",
    "fit_domain",
    "is_surely_named",
    "looks_like_address",
    "macro_string",
    "owner_of",
]

_MAX_DOMAIN_CHARACTERS: Final = 253  # characters (RFC 7208 §7.3)

_MACRO: Final = r"(?i:%(?:([%_-])|\{([slodiphcrtv])([0-9]{0,128})(r?)([-.+,/_=]*)\}))"
_EXPLAINING: Final = frozenset("crt")  # for the text of exp= only (§7.2)
_LITERALS: Final = {"%": "%", "_": " ", "-": "%20"}
_TOP_LABEL: Final = r"(?i:[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)"

_POSTMASTER: Final = "postmaster"
_VERSIONS: Final = {4: "in-addr", 6: "ip6"}

#: Macros that are never empty, and have no dot at their end: always, and as they are.
_NEVER_EMPTY: Final = frozenset("iv")
_NEVER_EMPTY_UNCUT: Final = frozenset("diov")
_NOT_EMPTY_WHOLE: Final = frozenset("sp")


class SpfSyntaxError(ValueError):
    """Text that violates the grammar of RFC 7208; never leaves `auditor.spf`."""


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
            break  # a single label, which is no name
        name = name[cut + 1 :]
    return name


class MacroValues:
    """The values of the macros for an IP version and a domain, and for what else is given.

    `sender` and `helo` are as for `check_host`, None where they are not known; of the
    sender only the local-part counts, since its domain is that of the policy. `domain` is
    None for what many domains share: it has to be the same for all of them.
    """

    __slots__ = ("_values", "helo", "sender")

    def __init__(
        self, version: int, domain: str | None, sender: str | None, helo: str | None
    ) -> None:
        values = {"v": _VERSIONS[version]}
        if domain is not None:
            values["o"] = domain
        if sender is not None:
            local = encodable(sender).rpartition("@")[0] or _POSTMASTER
            values |= {"l": local, "s": f"{local}@{domain}"}
        if helo is not None:
            values["h"] = encodable(helo)
        self._values = values
        #: Placeholders for unknown values, where they do not matter.
        self.sender = values.get("s", f"{_POSTMASTER}@{domain}")
        self.helo = values.get("h", domain or "")

    def expand(self, spec: MacroString, domain: str) -> str | None:
        """Return the name that a domain-spec stands for; None if a value in it is not known.

        `domain` is that of the policy, and the name where there is no domain-spec.
        """
        if not spec:
            return domain
        texts = []
        for piece in spec:
            if isinstance(piece, Macro):
                value = self._value(piece, domain)
                if value is None:
                    return None
                texts.append(value)
            else:
                texts.append(piece)
        return fit_domain("".join(texts))

    def may_be_empty(self, spec: MacroString, domain: str) -> bool:
        """Tell whether a domain-spec may expand to an empty name, which is a permerror."""
        if not spec:
            return False
        name = self.expand(spec, domain)
        if name is not None:
            return not name
        # A macro-string ends with a literal, which is empty after a macro.
        last = spec[-1] or spec[-2]
        if not isinstance(last, Macro):
            return False  # a top label
        value = self._value(last, domain)
        if value is not None:
            return value[-1:] in {"", "."}
        if last.letter in _NEVER_EMPTY:
            return False
        whole = not (last.parts or last.backwards or last.delimiters)
        return not (whole and last.letter in _NOT_EMPTY_WHOLE)

    def _value(self, macro: Macro, domain: str) -> str | None:
        value = domain if macro.letter == "d" else self._values.get(macro.letter)
        return None if value is None else macro.transform(value)


def is_surely_named(spec: MacroString) -> bool:
    """Tell whether a domain-spec expands to a name whatever the values of its macros are.

    An empty name is a permerror, even for clients that an earlier term has matched.
    """
    # A macro-string ends with a literal, which is empty after a macro.
    last = spec[-1] or spec[-2]
    if not isinstance(last, Macro):
        return True  # a top label
    return last.letter in _NEVER_EMPTY_UNCUT and not last.delimiters


@lru_cache(maxsize=4096)
def owner_of(name: str) -> str | None:
    """Return an expanded name as the owner name to ask for, None if it is not a name (§4.8).

    A backslash in it is a backslash, since SPF has no escapes.
    """
    try:
        owner = normalise(name.replace("\\", "\\\\"))
    except WireError:
        return None
    return None if owner == "." else owner


def looks_like_address(owner: str) -> bool:
    """Tell whether a name looks like an address; pyspf takes some for one."""
    return ":" in owner or owner.rpartition(".")[2].isdigit()


def encodable(text: str) -> str:
    """Return text without lone surrogates, which JSON input can bring."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
