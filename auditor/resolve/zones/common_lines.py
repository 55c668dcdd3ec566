"""Fast parser of the most common lines of zone files, a few thousand at a time.

One record on one line, without escapes and parentheses: a regular expression finds a run of
such lines and splits them into fields. All other lines are left to `entry` and `rdata`; a test
checks that both parsers give the same records.
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
    "ParsedLines",
    "is_inside",
    "parse_lines",
    "run_end",
]

MAX_RUN_LINES: Final = 4096  #: bounds the time between two checks for cancellation
_MAX_TEXT: Final = MAX_NAME - 2  # characters of a name without escapes

# Parts of patterns (re.ASCII).
LABEL: Final = r"[\w*/-]{1,63}+"
OCTET: Final = r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)"
UNREAD_TYPES: Final = "SRV|CAA|DS|TLSA|SSHFP|NSEC3?|RRSIG|DNSKEY"
UNREAD_WORDS: Final = r'[^\s;"()\\@]++(?:[ \t]++[^\s;"()\\@]++)*+'
END: Final = r"[ \t]*+(?:;[^\n]*+)?+\n"

_NAME: Final = rf"{LABEL}(?:\.{LABEL})*+\.?+"
#: Class and TTL in either order; `stated_ttl` finds repetitions.
_WORDS: Final = r"(?:[ \t]++(?:[Ii][Nn]|\d{1,10}+[smhdwSMHDW]?+)(?=[ \t]))*+"


def _line(group: str) -> str:
    """Return the pattern of a line; `group` opens its groups: "(" or "(?:"."""
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

#: Small: mostly a few lines remain between lazy runs (`lazy_lines`).
_MAX_RUN_CHARACTERS: Final = 1 << 12


class Context(NamedTuple):
    """The state that lines depend on: apex, origin, previous owner, and the implicit TTL.

    `uses_last_ttl`: whether the last stated TTL is the implicit one (RFC 1035 §5.1).
    """

    apex: str
    origin: str
    owner: str
    ttl: int | None
    uses_last_ttl: bool


class ParsedLines(NamedTuple):
    """The parsed lines of a run, in order; None for an empty line.

    If there are fewer than in the run, `entry` must read the next one. `owner`: of the last
    line; `ttl`: the last stated TTL, None if there is none.
    """

    lines: list[Line | None]
    owner: str
    ttl: int | None


def run_end(text: str, position: int) -> int:
    """Return the end of the run of common lines at `position`; `position` if there is none.

    The length is bounded, since the match is wasted if `parse_lines` stops early.
    """
    match = _RUN.match(text, position, position + _MAX_RUN_CHARACTERS)
    return match.end() if match else position


def parse_lines(text: str, position: int, end: int, context: Context) -> ParsedLines:
    """Parse a run of common lines into records."""
    apex, origin, owner, implicit, uses_last_ttl = context
    lines: list[Line | None] = []
    last: int | None = None
    suffix = "" if origin == "." else f".{origin}"
    if "\\" in origin or not is_inside(origin, apex):
        return ParsedLines(lines, owner, last)
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
                rdtype, record = _less_common(string, other, rdata, origin)
            if name and name != "@" and name[-1] != ".":
                own = name.lower() + suffix
                _check_length(own)
            else:
                own = _special_owner(name, context, owner)
            ttl = stated[words] if words in stated else stated_ttl(words.split())
            if ttl is None:
                ttl = _require_ttl(implicit)
            else:
                stated[words] = last = ttl
                implicit = ttl if uses_last_ttl else implicit
            owner = own
            lines.append((own, rdtype, ttl, record))
    except EntryError:
        pass  # `entry` and `rdata` report the error, if it is one
    return ParsedLines(lines, owner, last)


def is_inside(name: str, apex: str) -> bool:
    """Tell whether a name is at or below this apex."""
    return apex in {name, "."} or name.endswith(f".{apex}")


def _check_length(name: str) -> None:
    if len(name) > _MAX_TEXT:
        raise EntryError("a name of more than 255 octets")


def _require_ttl(ttl: int | None) -> int:
    if ttl is None:
        raise EntryError("no TTL")
    return ttl


def _special_owner(name: str, context: Context, owner: str) -> str:
    """Return the owner of a line where it is absolute, `@`, or left out."""
    if not name:
        return owner
    if name == "@":
        return context.origin
    absolute = name[:-1].lower()
    _check_length(absolute)
    if not is_inside(absolute, context.apex):
        raise EntryError("out of zone")
    return absolute


def _less_common(string: str, mnemonic: str, rdata: str, origin: str) -> tuple[int, Any]:
    """Return type and record of a line of one of the less common types."""
    if string:
        return TXT, (string.encode(),)
    rdtype = rdtype_of(mnemonic)
    if rdtype is None:
        raise EntryError("unknown type")
    tokens = [Token(word) for word in rdata.split()]
    if rdtype in READ_TYPES:
        return rdtype, read_rdata(rdtype, tokens, origin)
    return -rdtype, unread(tokens, origin)
