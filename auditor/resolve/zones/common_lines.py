"""Fast parser of the most common lines of zone files, a few thousand at a time.

One record on one line, nothing escaped, no parentheses: a regular expression finds how far
such lines go on and takes them apart. What `entry` and `rdata` would make of the same line
is the same; a test holds them together. Everything else is left to those two.
"""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple, TypeAlias

from auditor.resolve.zones.entry import EntryError, Token, stated_ttl
from auditor.resolve.zones.rdata import READ_TYPES, rdtype_of, read_rdata, unread
from auditor.wire.codes import CNAME, NS, PTR, TXT, A
from auditor.wire.names import MAX_NAME

__all__ = [
    "END",
    "LABEL",
    "MAX_RUN_LINES",
    "OCTET",
    "UNREAD_TYPES",
    "UNREAD_WORDS",
    "Context",
    "Line",
    "Taken",
    "is_inside",
    "run_end",
    "take",
]

MAX_RUN_LINES: Final = 4096  #: the longest time that nobody can interrupt
_MAX_TEXT: Final = MAX_NAME - 2  # characters of a name without escapes

# Parts of patterns (re.ASCII).
LABEL: Final = r"[\w*/-]{1,63}+"
OCTET: Final = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
UNREAD_TYPES: Final = "SRV|CAA|DS|TLSA|SSHFP|NSEC3?|RRSIG|DNSKEY"
UNREAD_WORDS: Final = r'[^\s;"()\\@]++(?:[ \t]++[^\s;"()\\@]++)*+'
END: Final = r"[ \t]*+(?:;[^\n]*+)?+\n"

_NAME: Final = rf"{LABEL}(?:\.{LABEL})*+\.?+"
#: Class and TTL, in either order; what is there twice is found later.
_WORDS: Final = r"(?:[ \t]++(?:[Ii][Nn]|\d{1,10}+[smhdwSMHDW]?+)(?=[ \t]))*+"


def _line(group: str) -> str:
    """Return the pattern of a line, its parts in groups of this kind."""
    record = (
        rf"{group}{_NAME}|@)?+{group}{_WORDS})[ \t]++(?:"
        rf"{group}(?i:PTR|CNAME|NS))[ \t]++{group}{_NAME})"
        rf"|[Aa][ \t]++{group}{OCTET}(?:\.{OCTET}){{3}})"
        rf'|(?i:TXT)[ \t]++"{group}[^"\\\n]{{1,255}})"'
        rf"|{group}(?i:AAAA|MX|{UNREAD_TYPES}))[ \t]++{group}{UNREAD_WORDS})"
        r")"
    )
    return rf"(?:{record}|){END}"


_LINES: Final = re.compile(_line("("), re.ASCII)
_RUN: Final = re.compile(rf"(?:{_line('(?:')}){{1,{MAX_RUN_LINES}}}+", re.ASCII)

_NAME_TYPES: Final = {"PTR": PTR, "CNAME": CNAME, "NS": NS}

#: Owner, type, TTL and record.
Line: TypeAlias = "tuple[str, int, int, Any]"

#: What cannot be read later is little, as a rule, between much that can (`lazy_lines`).
_MAX_RUN_CHARACTERS: Final = 1 << 12


class Context(NamedTuple):
    """What lines refer to: the names around them, and the TTL of those that state none.

    `follows`: whether that is the last TTL that was stated.
    """

    apex: str
    origin: str
    owner: str
    ttl: int | None
    follows: bool


class Taken(NamedTuple):
    """The lines of a run, in order; None for an empty one.

    If they are fewer than the run has, the next one wants a closer look. `owner`: of the
    last of them; `ttl`: the last one that was stated, None if there is none.
    """

    lines: list[Line | None]
    owner: str
    ttl: int | None


def run_end(text: str, position: int) -> int:
    """Return where the run of common lines that begins here ends: here, if there is none.

    A run is bounded, so that little was read in vain if it turns out to be cut short.
    """
    match = _RUN.match(text, position, position + _MAX_RUN_CHARACTERS)
    return match.end() if match else position


def take(text: str, position: int, end: int, context: Context) -> Taken:
    """Return the records of a run of common lines."""
    apex, origin, owner, implicit, follows = context
    lines: list[Line | None] = []
    last: int | None = None
    suffix = "" if origin == "." else f".{origin}"
    if "\\" in origin or not is_inside(origin, apex):
        return Taken(lines, owner, last)
    stated: dict[str, int | None] = {"": None}
    try:
        for name, words, word, target, v4, string, other, rdata in _LINES.findall(
            text, position, end
        ):
            if not (target or v4 or string or other):
                lines.append(None)
                continue
            record: Any
            if target:
                rdtype = _NAME_TYPES.get(word) or _NAME_TYPES[word.upper()]
                record = target[:-1].lower() if target[-1] == "." else target.lower() + suffix
                _check_length(record)
            elif v4:
                rdtype, record = A, v4
            else:
                rdtype, record = _other(string, other, rdata, origin)
            if name and name != "@" and name[-1] != ".":
                own = name.lower() + suffix
                _check_length(own)
            else:
                own = _special_owner(name, context, owner)
            ttl = stated[words] if words in stated else stated_ttl(words.split())
            if ttl is None:
                ttl = _required(implicit)
            else:
                stated[words] = last = ttl
                implicit = ttl if follows else implicit
            owner = own
            lines.append((own, rdtype, ttl, record))
    except EntryError:
        pass  # `entry` and `rdata` say what is wrong, if anything is
    return Taken(lines, owner, last)


def is_inside(name: str, apex: str) -> bool:
    """Tell whether a name is in the zone of this apex."""
    return apex in {name, "."} or name.endswith(f".{apex}")


def _check_length(name: str) -> None:
    if len(name) > _MAX_TEXT:
        raise EntryError("a name of more than 255 octets")


def _required(ttl: int | None) -> int:
    if ttl is None:
        raise EntryError("no TTL")
    return ttl


def _special_owner(name: str, context: Context, owner: str) -> str:
    """Return the owner where it is absolute, the origin, or that of the line before."""
    if not name:
        return owner
    if name == "@":
        return context.origin
    absolute = name[:-1].lower()
    _check_length(absolute)
    if not is_inside(absolute, context.apex):
        raise EntryError("out of zone")
    return absolute


def _other(string: str, mnemonic: str, rdata: str, origin: str) -> tuple[int, Any]:
    """Return the type and the record of a line of no kind that is still more common."""
    if string:
        return TXT, (string.encode(),)
    rdtype = rdtype_of(mnemonic)
    if rdtype is None:
        raise EntryError("unknown type")
    tokens = [Token(word) for word in rdata.split()]
    if rdtype in READ_TYPES:
        return rdtype, read_rdata(rdtype, tokens, origin)
    return -rdtype, unread(tokens, origin)
