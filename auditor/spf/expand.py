"""What domain-specs stand for, as far as it is known without client, sender and HELO.

RFC 7208 §7.3 for those of whom a policy is evaluated all at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from auditor.errors import WireError
from auditor.spf.macros import Macro, fit_domain
from auditor.wire.names import normalise

if TYPE_CHECKING:
    from auditor.spf.terms import Term

__all__ = ["Values", "owner_of"]

_POSTMASTER: Final = "postmaster"
_VERSIONS: Final = {4: "in-addr", 6: "ip6"}

#: Macros that are never empty, and have no dot at their end: always, and as they are.
_NEVER_EMPTY: Final = frozenset("iv")
_NOT_EMPTY_WHOLE: Final = frozenset("sp")


class Values:
    """The values of the macros for an IP version and a domain, and for what else is given.

    `sender` and `helo` are as for `check_host`, None where they are not known; of the
    sender only the local-part counts, for its domain is the one asked about.
    """

    __slots__ = ("_values", "helo", "sender")

    def __init__(self, version: int, domain: str, sender: str | None, helo: str | None) -> None:
        values = {"o": domain, "v": _VERSIONS[version]}
        if sender is not None:
            local = _encodable(sender).rpartition("@")[0] or _POSTMASTER
            values |= {"l": local, "s": f"{local}@{domain}"}
        if helo is not None:
            values["h"] = _encodable(helo)
        self._values = values
        #: Stand-ins for what is not known, where it does not matter.
        self.sender = values.get("s", f"{_POSTMASTER}@{domain}")
        self.helo = values.get("h", domain)

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


def owner_of(name: str) -> str | None:
    """Return an expanded name as the owner name to ask for, None if it is none (§4.8).

    A backslash in it is a backslash, for SPF knows no escapes.
    """
    try:
        owner = normalise(name.replace("\\", "\\\\"))
    except WireError:
        return None
    return None if owner == "." else owner


def _encodable(text: str) -> str:
    """Return text without lone surrogates, which JSON input can bring."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode("utf-8")
