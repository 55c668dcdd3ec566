"""Lazy parser of zone files: runs of lines that cannot be at fault, parsed when asked for.

A regular expression tells that each line of a run is empty or a sound record, of a type that does
not change what stands below its name; so all that has to be known at once is the owner names.
`common_lines` parses a run when one of these is asked for, since its neighbours are likely to be
next. Every line that is not of this kind is read at once.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import accumulate
from typing import TYPE_CHECKING, Final, NamedTuple, cast

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
from auditor.resolve.zones.entry import EntryError, stated_ttl
from auditor.resolve.zones.rrsets import add_record, finish
from auditor.wire.codes import CNAME, PTR, A
from auditor.wire.names import MAX_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from auditor.resolve.zones.rrsets import RRsets

__all__ = ["FoundRun", "LazyRun", "add_runs", "find_run", "last_ttl", "owner_names", "read_run"]

#: A run is read as a whole: the longer it is, the more of it is read in vain.
_MAX_RUN_CHARACTERS: Final = 1 << 14
#: Characters of a name as it is written; the rest of MAX_NAME is for the origin.
_MAX_WRITTEN: Final = 190
_MAX_ORIGIN: Final = MAX_NAME - 3 - _MAX_WRITTEN

_NAME: Final = rf"{LABEL}(?:\.{LABEL})*+\.?+"
#: A name, unless it has two dots in a row: short enough that no label of it is too long.
_SHORT_NAME: Final = "[A-Za-z0-9_*/-][A-Za-z0-9_*/.-]{0,62}+"
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


class _Patterns(NamedTuple):
    """Patterns of a run: of the most common lines, which takes less to match, and of all."""

    plain: re.Pattern[str]
    any: re.Pattern[str]


@cache
def _patterns(*, follows: bool) -> _Patterns:
    """Return the patterns of a run, the first line of which has an owner name.

    `follows`: whether each line has to state its TTL.
    """
    octets = r"\.".join([OCTET] * 4)
    ttl = r"\d{1,9}[ \t]++" if follows else r"(?:\d{1,9}[ \t]++)?+"
    plain = (
        rf"{_SHORT_NAME}[ \t]++{ttl}(?:IN[ \t]++)?+(?:(?:PTR|CNAME)[ \t]++{_SHORT_NAME}"
        rf"|A[ \t]++{octets}"
        rf'|TXT[ \t]++"[^"\\\n]{{1,255}}+"'
        rf"|MX[ \t]++\d{{1,4}}[ \t]++{_SHORT_NAME}"
        rf"|AAAA[ \t]++(?:{_IPV6})"
        r")\n"
    )
    line = (
        rf"(?:(?:{_NAME}|(?=[ \t])){_STATED if follows else _PERHAPS_STATED}[ \t]++(?:"
        rf"(?i:PTR|CNAME)[ \t]++{_NAME}"
        rf"|[Aa][ \t]++{octets}"
        rf'|(?i:TXT)[ \t]++"[^"\\\n]{{1,255}}+"'
        rf"|(?i:MX)[ \t]++(?:\d{{1,4}}|[0-5]\d{{4}})[ \t]++{_NAME}"
        rf"|(?i:AAAA)[ \t]++(?:{_IPV6})(?=[ \t;\n])"
        rf"|(?i:{UNREAD_TYPES})[ \t]++{UNREAD_WORDS}"
        rf"))?+{END}"
    )
    return _Patterns(
        re.compile(rf"(?:{plain}){{1,{MAX_RUN_LINES}}}+", re.ASCII),
        re.compile(rf"(?=[\w*/-])(?:{line}){{1,{MAX_RUN_LINES}}}+", re.ASCII),
    )


_SHORT_LINES: Final = re.compile(rf"(?:[^\n]{{0,{_MAX_WRITTEN}}}+\n)*+")
#: A dot before another or behind an owner name, where no TXT record has one.
_ODD_DOT: Final = re.compile(r"\.[. \t]")
#: Types whose records are read a column at a time.
_COLUMN_TYPES: Final = {"PTR": PTR, "CNAME": CNAME, "A": A}
_OWNER: Final = re.compile(r"([^ \t\n;]*+)[^\n]*+\n")
_ALIAS: Final = re.compile(
    r"^([^ \t\n;]*+)(?:[ \t]++[^ \t\n;]++){0,2}?[ \t]++cname[ \t]", re.MULTILINE | re.IGNORECASE
)


class LazyRun(NamedTuple):
    """The text of a run, and what it refers to."""

    text: str
    context: Context


class FoundRun(NamedTuple):
    """A run: where it ends, and the owner name of each of its lines.

    That of an empty line is the one before. There are no `owners` if all up to `end` has to be
    read now. `is_closed`: whether owner names need not be known before a name of the zone is asked
    for, unless there are aliases elsewhere in it; `owners` is then that of the last line only.
    """

    end: int
    owners: Sequence[str]
    is_closed: bool = False


def find_run(text: str, position: int, context: Context) -> FoundRun:
    """Return the run of lines that begins here: it ends here if there is none.

    All of its lines state their TTL if the last one stated counts for those that do not. Where
    one run ends and another begins, the owner is another one.
    """
    origin = context.origin
    if len(origin) > _MAX_ORIGIN or "\\" in origin or not is_inside(origin, context.apex):
        return FoundRun(position, ())
    patterns = _patterns(follows=context.follows)
    limit = position + _MAX_RUN_CHARACTERS
    match = patterns.plain.match(text, position, limit)
    is_plain = is_closed = False
    if match and (match.end() - position > _MAX_RUN_CHARACTERS // 2 or match.end() == len(text)):
        # Neither an empty label nor an absolute owner name.
        is_closed = not _ODD_DOT.search(match[0])
        is_plain = is_closed or ".." not in match[0]
    if not is_plain:
        match = patterns.any.match(text, position, limit)
    if match is None:
        return FoundRun(position, ())
    end, run = match.end(), match[0]
    if is_closed and origin == context.apex and "CNAME" not in run:
        return _closed_run(run, position, context, is_last=end == len(text))
    owners = _owners(_OWNER.findall(run), context)
    if (
        not owners
        or not (is_plain or _has_short_names(run))
        or (
            ("CNAME" in run if is_plain else "cname" in run.lower())
            and not _are_alone(run, owners, context)
        )
    ):
        return FoundRun(end, ())
    last = owners[-1]
    if owners[0] != last and end < len(text):
        while owners[-1] == last:
            owners.pop()
            end = text.rindex("\n", position, end - 1) + 1
    return FoundRun(end, owners)


def _closed_run(run: str, position: int, context: Context, *, is_last: bool) -> FoundRun:
    """Return a run without the lines of its last owner, unless it has no other or is the last."""
    end = len(run)
    owner = last = _last_owner(run, end)
    while end and owner == last and not is_last:
        end = run.rfind("\n", 0, end - 1) + 1
        owner = _last_owner(run, end) if end else last
    return FoundRun(position + (end or len(run)), _owners([owner], context), is_closed=True)


def _last_owner(run: str, end: int) -> str:
    """Return the first word of the line that ends here."""
    return run[run.rfind("\n", 0, end - 1) + 1 : end].split(maxsplit=1)[0].lower()


def _owners(written: list[str], context: Context) -> list[str]:
    """Return owner names as they are written, made absolute; none if one is out of the zone."""
    if "" in written:
        written = list(accumulate(written, _or_before))
    joined = _joined(written)
    names = _absolute(joined, context.origin)
    if ".\n" in joined and not all(is_inside(name, context.apex) for name in names):
        return []
    return names


def _joined(written: Sequence[str]) -> str:
    return "\n".join((*written, "")).lower()


def _absolute(written: str, origin: str) -> list[str]:
    """Return names as they are written, a line each, made absolute."""
    suffix = "" if origin == "." else f".{origin}"
    dots = written.count(".\n")
    if not dots:
        return written.replace("\n", f"{suffix}\n").split("\n")[:-1]
    if dots == written.count("\n"):
        return written.split(".\n")[:-1]
    return [name[:-1] if name[-1] == "." else name + suffix for name in written.split("\n")[:-1]]


def _has_short_names(run: str) -> bool:
    """Tell whether no name is written with more than _MAX_WRITTEN characters."""
    return bool(_SHORT_LINES.fullmatch(run)) or max(map(len, run.split())) <= _MAX_WRITTEN


def _or_before(before: str, name: str) -> str:
    return name or before


def _are_alone(run: str, owners: Sequence[str], context: Context) -> bool:
    """Tell whether each alias has an owner name of its own."""
    if len(set(owners)) == len(owners):
        return True
    written = _ALIAS.findall(run)
    aliases = set(_owners(written, context)) if "" not in written else set()
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


def owner_names(run: LazyRun) -> list[str]:
    """Return the owner name of each line of a run that was found to be closed."""
    return _owners(_OWNER.findall(run.text), run.context)


def add_runs(runs: Iterable[LazyRun], nodes: dict[str, RRsets | LazyRun]) -> None:
    """Add closed runs to what stands at names, where their records cannot be at fault."""
    grown = set()
    for run in runs:
        owners = owner_names(run)
        if nodes.keys().isdisjoint(owners):
            nodes.update(dict.fromkeys(owners, run))
            continue
        for owner, read in _read_lines(run).items():
            node = nodes.get(owner)
            if isinstance(node, LazyRun):
                read_run(node, nodes)
                node = cast("RRsets", nodes[owner])
            nodes[owner] = node = dict(node or {})  # an empty one may be that of all
            for rdtype, (ttl, records) in read.items():
                for record in records:
                    add_record(node, rdtype, ttl, record)
            grown.add(owner)
    for owner in grown:
        finish(cast("RRsets", nodes[owner]))


def read_run(run: LazyRun, nodes: dict[str, RRsets | LazyRun]) -> None:
    """Put record sets in place of a run, wherever it stands."""
    read = _read_columns(run) or _read_lines(run)
    for owner, node in read.items():
        if nodes.get(owner) is run:
            nodes[owner] = node


def _read_columns(run: LazyRun) -> dict[str, RRsets]:
    """Return the record sets of a run of lines that differ in owner and RDATA only, by owner.

    There are none if it is not such a run, or an owner has several records.
    """
    text, context = run
    number = text.count("\n")
    first = text[: text.index("\n")].split()
    words = text.split()
    width = len(first)
    rdtype = _COLUMN_TYPES.get(first[-2])
    if (
        rdtype is None
        or len(words) != width * number
        # Lines without an owner name, and words that are none.
        or any(sign in text for sign in ("\n ", "\n\t", ";"))
        or any(words[at::width].count(first[at]) != number for at in range(1, width - 1))
    ):
        return {}
    try:
        stated = stated_ttl(first[1:-2])
    except EntryError:  # the type stands further in front, behind it a word like one
        return {}
    ttl = cast("int", context.ttl if stated is None else stated)
    data = words[width - 1 :: width]
    records = data if rdtype == A else _absolute(_joined(data), context.origin)
    owners = _owners(words[::width], context)
    read: dict[str, RRsets] = {
        owner: {rdtype: (ttl, (record,))} for owner, record in zip(owners, records, strict=True)
    }
    return read if len(read) == number else {}


def _read_lines(run: LazyRun) -> dict[str, RRsets]:
    """Return the record sets of a run, by owner."""
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
    return read
