"""Lazy parser of zone files: runs of lines that cannot be at fault, parsed when asked for.

A regular expression tells that each line of a run is empty or a sound record, of a type that does
not change what stands below its name; so all that has to be known at once is the owner names.
`common_lines` parses a run when one of these is asked for, since its neighbours are likely to be
next. Every line that is not of this kind is read at once.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.resolve.zones.common_lines import (
    END,
    LABEL,
    MAX_RUN_LINES,
    OCTET,
    UNREAD_TYPES,
    UNREAD_WORDS,
    Context,
    is_inside,
    take,
)
from auditor.resolve.zones.rrsets import add_record, finish
from auditor.wire.names import MAX_NAME

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.resolve.zones.rrsets import RRsets

__all__ = ["FoundRun", "LazyRun", "find_run", "last_ttl", "read_run"]

#: A run is read as a whole: the longer it is, the more of it is read in vain.
_MAX_RUN_CHARACTERS: Final = 1 << 14
#: Characters of a name as it is written; the rest of MAX_NAME is for the origin.
_MAX_WRITTEN: Final = 190
_MAX_ORIGIN: Final = MAX_NAME - 3 - _MAX_WRITTEN

_NAME: Final = rf"{LABEL}(?:\.{LABEL})*+\.?+"
_TTL: Final = r"(?:\d{1,9}|\d{1,3}[smhdwSMHDW])(?=[ \t])"
_IN: Final = r"[Ii][Nn](?=[ \t])"
_STATED: Final = rf"[ \t]++(?:{_TTL}(?:[ \t]++{_IN})?+|{_IN}[ \t]++{_TTL})"
_PERHAPS_STATED: Final = rf"(?:{_STATED}|[ \t]++{_IN})?+"

_HEX: Final = "[0-9A-Fa-f]{1,4}"
_IPV6: Final = "|".join(
    [
        rf"(?:{_HEX}:){{7}}{_HEX}",
        *(rf"(?:{_HEX}:){{1,{7 - after}}}(?::{_HEX}){{1,{after}}}" for after in range(1, 7)),
        rf"(?:{_HEX}:){{1,7}}:",
        rf":(?::{_HEX}){{1,7}}",
    ]
)


def _run(ttl: str) -> re.Pattern[str]:
    """Return the pattern of a run, the first line of which has an owner name."""
    line = (
        rf"(?:(?:{_NAME}|(?=[ \t])){ttl}[ \t]++(?:"
        rf"(?i:PTR|CNAME)[ \t]++{_NAME}"
        rf"|[Aa][ \t]++{OCTET}(?:\.{OCTET}){{3}}"
        rf'|(?i:TXT)[ \t]++"[^"\\\n]{{1,255}}+"'
        rf"|(?i:MX)[ \t]++(?:\d{{1,4}}|[0-5]\d{{4}})[ \t]++{_NAME}"
        rf"|(?i:AAAA)[ \t]++(?:{_IPV6})(?=[ \t;\n])"
        rf"|(?i:{UNREAD_TYPES})[ \t]++{UNREAD_WORDS}"
        rf"))?+{END}"
    )
    return re.compile(rf"(?=[\w*/-])(?:{line}){{1,{MAX_RUN_LINES}}}+", re.ASCII)


_RUN: Final = _run(_PERHAPS_STATED)
_RUN_WITH_TTLS: Final = _run(_STATED)
_SHORT_LINES: Final = re.compile(rf"(?:[^\n]{{0,{_MAX_WRITTEN}}}+\n)*+")
_OWNER: Final = re.compile(r"([^ \t\n;]*+)[^\n]*+\n")
_ALIAS: Final = re.compile(
    r"^([^ \t\n;]*+)(?:[ \t]++[^ \t\n;]++){0,2}?[ \t]++cname[ \t]", re.MULTILINE
)


class LazyRun(NamedTuple):
    """The text of a run, and what it refers to."""

    text: str
    context: Context


class FoundRun(NamedTuple):
    """A run: where it ends, and the owner name of each of its lines.

    That of an empty line is the one before. There are no `owners` if all up to `end` has to be
    read now.
    """

    end: int
    owners: Sequence[str]


def find_run(text: str, position: int, context: Context) -> FoundRun:
    """Return the run of lines that begins here: it ends here if there is none.

    All of its lines state their TTL if the last one stated counts for those that do not. Where
    one run ends and another begins, the owner is another one.
    """
    origin = context.origin
    if len(origin) > _MAX_ORIGIN or "\\" in origin or not is_inside(origin, context.apex):
        return FoundRun(position, ())
    pattern = _RUN_WITH_TTLS if context.follows else _RUN
    match = pattern.match(text, position, position + _MAX_RUN_CHARACTERS)
    if match is None:
        return FoundRun(position, ())
    end = match.end()
    run = match[0].lower()
    owners = _absolute(_OWNER.findall(run), context)
    if (
        not owners
        or (not _SHORT_LINES.fullmatch(run) and max(map(len, run.split())) > _MAX_WRITTEN)
        or ("cname" in run and not _are_alone(run, owners, context))
    ):
        return FoundRun(end, ())
    last = owners[-1]
    if owners[0] != last and end < len(text):
        while owners[-1] == last:
            owners.pop()
            end = text.rindex("\n", position, end - 1) + 1
    return FoundRun(end, owners)


def _absolute(written: list[str], context: Context) -> list[str]:
    """Return owner names as they are written, made absolute; none if one is out of the zone."""
    origin, apex = context.origin, context.apex
    if "" in written:
        written = list(accumulate(written, _or_before))
    suffix = "" if origin == "." else f".{origin}"
    joined = "\n".join((*written, ""))
    if ".\n" not in joined:
        return joined.replace("\n", f"{suffix}\n").split("\n")[:-1]
    names = [name[:-1] if name[-1] == "." else name + suffix for name in written]
    return names if all(is_inside(name, apex) for name in names) else []


def _or_before(before: str, name: str) -> str:
    return name or before


def _are_alone(run: str, owners: Sequence[str], context: Context) -> bool:
    """Tell whether each alias has an owner name of its own."""
    written = _ALIAS.findall(run)
    aliases = set(_absolute(written, context)) if "" not in written else set()
    return len(written) == len(aliases) == sum(map(aliases.__contains__, owners))


def last_ttl(run: str, context: Context) -> int | None:
    """Return the last TTL that is stated in a run."""
    end = len(run)
    while end:
        start = run.rfind("\n", 0, end - 1) + 1
        ttl = take(run, start, end, context).ttl
        if ttl is not None:
            return ttl
        end = start
    return None


def read_run(run: LazyRun, nodes: dict[str, RRsets | LazyRun]) -> None:
    """Put record sets in place of a run, wherever it stands."""
    text, context = run
    read: dict[str, RRsets] = {}
    grown = set()
    for line in take(text, 0, len(text), context).lines:
        if line is None:
            continue
        owner, rdtype, ttl, record = line
        if owner in read:
            add_record(read[owner], rdtype, ttl, record)
            grown.add(owner)
        else:
            read[owner] = {rdtype: (ttl, (record,))}
    for owner in grown:
        finish(read[owner])
    for owner, node in read.items():
        if nodes.get(owner) is run:
            nodes[owner] = node
