"""Expands macros in domain-specs, as far as their values are known.

RFC 7208 §7.3, for evaluations of many clients at once.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from auditor.errors import WireError
from auditor.spf.macros import Macro, fit_domain
from auditor.wire.names import normalise

if TYPE_CHECKING:
    from auditor.spf.parser import Term

__all__ = ["MacroValues", "encodable", "is_surely_named", "owner_of"]

_POSTMASTER: Final = "postmaster"
_VERSIONS: Final = {4: "in-addr", 6: "ip6"}

#: Macros that are never empty, and have no dot at their end: always, and as they are.
_NEVER_EMPTY: Final = frozenset("iv")
_NEVER_EMPTY_UNCUT: Final = frozenset("diov")
_NOT_EMPTY_WHOLE: Final = frozenset("sp")


class MacroValues:
    """The values of the macros for an IP version and a domain, and for what else is given.

    `sender` and `helo` are as for `check_host`, None where they are not known; of the
    sender only the local-part counts, for its domain is the one asked about. `domain` is
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

    def expand(self, term: Term, domain: str) -> str | None:
        """Return the name that a term is about; None if that depends on what is not known.

        `domain` is the one whose policy the term stands in.
        """
        if term.spec is None:
            return domain
        pieces = []
        for piece in term.pieces:
            if isinstance(piece, Macro):
                value = self._value(piece, domain)
                if value is None:
                    return None
                pieces.append(value)
            else:
                pieces.append(piece)
        return fit_domain("".join(pieces))

    def may_be_empty(self, term: Term, domain: str) -> bool:
        """Tell whether a mechanism may turn out to be about no name at all: a permerror."""
        if term.spec is None:
            return False
        name = self.expand(term, domain)
        if name is not None:
            return not name
        # A macro-string ends with a literal, which is empty after a macro.
        last = term.pieces[-1] or term.pieces[-2]
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


def is_surely_named(term: Term) -> bool:
    """Whether a term with a domain-spec is about a name, whatever its macros stand for.

    Where they leave none it is a permerror, also for clients that have matched before.
    """
    # A macro-string ends with a literal, which is empty after a macro.
    last = term.pieces[-1] or term.pieces[-2]
    if not isinstance(last, Macro):
        return True  # a top label
    return last.letter in _NEVER_EMPTY_UNCUT and not last.delimiters


@lru_cache(maxsize=4096)
def owner_of(name: str) -> str | None:
    """Return an expanded name as the owner name to ask for, None if it is none (§4.8).

    A backslash in it is a backslash, for SPF knows no escapes.
    """
    try:
        owner = normalise(name.replace("\\", "\\\\"))
    except WireError:
        return None
    return None if owner == "." else owner


def encodable(text: str) -> str:
    """Return text without lone surrogates, which JSON input can bring."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
