"""Lazy parser of zone files: runs of lines known to be valid, parsed at the first lookup.

A regular expression checks that each line of a run is empty or a valid record that does not
occlude other names, so only the owner names have to be indexed at load time, or not even these
(an unindexed run). `common_lines` parses the whole run at the first lookup of one of its names,
since its neighbours are likely to follow. All other lines are parsed at once.
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
    parse_lines,
)
from auditor.resolve.zones.entry import EntryError, stated_ttl
from auditor.resolve.zones.rrsets import add_record, finish
from auditor.wire.codes import CNAME, PTR, A
from auditor.wire.names import MAX_NAME

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from auditor.resolve.zones.rrsets import RRsets

__all__ = ["FoundRun", "LazyRun", "find_run", "index_runs", "last_ttl", "owner_names", "parse_run"]

#: A run is parsed as a whole, so a lookup in a longer one costs more.
_MAX_RUN_CHARACTERS: Final = 1 << 14
#: Characters of a name as written; the rest of MAX_NAME is for the origin.
_MAX_WRITTEN: Final = 190
_MAX_ORIGIN: Final = MAX_NAME - 3 - _MAX_WRITTEN

_NAME: Final = rf"{LABEL}(?:\.{LABEL})*+\.?+"
#: A name, unless it has two dots in a row; at most 63 characters, so no label is too long.
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
    """Patterns of a run: of the most common lines, which matches faster, and of all kinds."""

    plain: re.Pattern[str]
    any: re.Pattern[str]


@cache
def _patterns(*, uses_last_ttl: bool) -> _Patterns:
    """Return the patterns of a run whose first line has an owner name.

    `uses_last_ttl`: whether each line has to state its TTL.
    """
    octets = r"\.".join([OCTET] * 4)
    ttl = r"\d{1,9}[ \t]++" if uses_last_ttl else r"(?:\d{1,9}[ \t]++)?+"
    plain = (
        rf"{_SHORT_NAME}[ \t]++{ttl}(?:IN[ \t]++)?+(?:(?:PTR|CNAME)[ \t]++{_SHORT_NAME}"
        rf"|A[ \t]++{octets}"
        rf'|TXT[ \t]++"[^"\\\n]{{1,255}}+"'
        rf"|MX[ \t]++\d{{1,4}}[ \t]++{_SHORT_NAME}"
        rf"|AAAA[ \t]++(?:{_IPV6})"
        r")\n"
    )
    line = (
        rf"(?:(?:{_NAME}|(?=[ \t])){_STATED if uses_last_ttl else _PERHAPS_STATED}[ \t]++(?:"
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
#: An empty label or an absolute owner name; may also match in a TXT record, which is harmless.
_EMPTY_LABEL_OR_ABSOLUTE: Final = re.compile(r"\.[. \t]")
#: Types whose records are parsed a column at a time.
_COLUMN_TYPES: Final = {"PTR": PTR, "CNAME": CNAME, "A": A}
_OWNER: Final = re.compile(r"([^ \t\n;]*+)[^\n]*+\n")
_ALIAS: Final = re.compile(
    r"^([^ \t\n;]*+)(?:[ \t]++[^ \t\n;]++){0,2}?[ \t]++cname[ \t]", re.MULTILINE | re.IGNORECASE
)


class LazyRun(NamedTuple):
    """The text of a run, and the state that it depends on."""

    text: str
    context: Context


class FoundRun(NamedTuple):
    """A run: where it ends, and the owner name of each of its lines.

    An empty line has the owner of the line before. `owners` is empty if all up to `end` must be
    parsed now. `is_unindexed`: owner names are not needed before the first lookup, unless the
    zone has CNAMEs elsewhere; `owners` then holds that of the last line only.
    """

    end: int
    owners: Sequence[str]
    is_unindexed: bool = False


def find_run(text: str, position: int, context: Context) -> FoundRun:
    """Return the run of lines at `position`; it ends there if there is none.

    All of its lines state their TTL if the implicit TTL is the last stated one. The lines of an
    owner are never split between runs.
    """
    origin = context.origin
    if len(origin) > _MAX_ORIGIN or "\\" in origin or not is_inside(origin, context.apex):
        return FoundRun(position, ())
    patterns = _patterns(uses_last_ttl=context.uses_last_ttl)
    limit = position + _MAX_RUN_CHARACTERS
    match = patterns.plain.match(text, position, limit)
    is_plain = is_unindexed = False
    if match and (match.end() - position > _MAX_RUN_CHARACTERS // 2 or match.end() == len(text)):
        is_unindexed = not _EMPTY_LABEL_OR_ABSOLUTE.search(match[0])
        is_plain = is_unindexed or ".." not in match[0]
    if not is_plain:
        match = patterns.any.match(text, position, limit)
    if match is None:
        return FoundRun(position, ())
    end, run = match.end(), match[0]
    if is_unindexed and origin == context.apex and "CNAME" not in run:
        return _unindexed_run(run, position, context, is_last=end == len(text))
    owners = _owners(_OWNER.findall(run), context)
    if (
        not owners
        or not (is_plain or _has_short_names(run))
        or (
            ("CNAME" in run if is_plain else "cname" in run.lower())
            and not _are_cnames_alone(run, owners, context)
        )
    ):
        return FoundRun(end, ())
    last = owners[-1]
    if owners[0] != last and end < len(text):
        while owners[-1] == last:
            owners.pop()
            end = text.rindex("\n", position, end - 1) + 1
    return FoundRun(end, owners)


def _unindexed_run(run: str, position: int, context: Context, *, is_last: bool) -> FoundRun:
    """Return an unindexed run; without its last owner, whose lines may go on after it."""
    end = len(run)
    owner = last = _last_owner(run, end)
    while end and owner == last and not is_last:
        end = run.rfind("\n", 0, end - 1) + 1
        owner = _last_owner(run, end) if end else last
    return FoundRun(position + (end or len(run)), _owners([owner], context), is_unindexed=True)


def _last_owner(run: str, end: int) -> str:
    """Return the owner, as written, of the line that ends at `end`."""
    return run[run.rfind("\n", 0, end - 1) + 1 : end].split(maxsplit=1)[0].lower()


def _owners(written: list[str], context: Context) -> list[str]:
    """Make owner names absolute; return none of them if one is out of the zone."""
    if "" in written:
        written = list(accumulate(written, _or_previous))
    joined = _joined(written)
    names = _absolute(joined, context.origin)
    if ".\n" in joined and not all(is_inside(name, context.apex) for name in names):
        return []
    return names


def _joined(written: Sequence[str]) -> str:
    return "\n".join((*written, "")).lower()


def _absolute(written: str, origin: str) -> list[str]:
    """Make names absolute, given one a line."""
    suffix = "" if origin == "." else f".{origin}"
    dots = written.count(".\n")
    if not dots:
        return written.replace("\n", f"{suffix}\n").split("\n")[:-1]
    if dots == written.count("\n"):
        return written.split(".\n")[:-1]
    return [name[:-1] if name[-1] == "." else name + suffix for name in written.split("\n")[:-1]]


def _has_short_names(run: str) -> bool:
    """Tell whether no name has more than _MAX_WRITTEN characters."""
    return bool(_SHORT_LINES.fullmatch(run)) or max(map(len, run.split())) <= _MAX_WRITTEN


def _or_previous(before: str, name: str) -> str:
    return name or before


def _are_cnames_alone(run: str, owners: Sequence[str], context: Context) -> bool:
    """Tell whether no CNAME shares its owner name with another record of the run."""
    if len(set(owners)) == len(owners):
        return True
    written = _ALIAS.findall(run)
    aliases = set(_owners(written, context)) if "" not in written else set()
    return len(written) == len(aliases) == sum(map(aliases.__contains__, owners))


def last_ttl(run: str, context: Context) -> int | None:
    """Return the last TTL stated in a run; None if there is none."""
    end = len(run)
    while end:
        start = run.rfind("\n", 0, end - 1) + 1
        ttl = parse_lines(run, start, end, context).ttl
        if ttl is not None:
            return ttl
        end = start
    return None


def owner_names(run: LazyRun) -> list[str]:
    """Return the owner name of each line of an unindexed run."""
    return _owners(_OWNER.findall(run.text), run.context)


def index_runs(runs: Iterable[LazyRun], nodes: dict[str, RRsets | LazyRun]) -> None:
    """Index runs by owner name in `nodes`; their records must not conflict with others."""
    unsorted = set()
    for run in runs:
        owners = owner_names(run)
        if nodes.keys().isdisjoint(owners):
            nodes.update(dict.fromkeys(owners, run))
            continue
        for owner, read in _parse_by_line(run).items():
            node = nodes.get(owner)
            if isinstance(node, LazyRun):
                parse_run(node, nodes)
                node = cast("RRsets", nodes[owner])
            nodes[owner] = node = dict(node or {})  # `EMPTY` is shared
            for rdtype, (ttl, records) in read.items():
                for record in records:
                    add_record(node, rdtype, ttl, record)
            unsorted.add(owner)
    for owner in unsorted:
        finish(cast("RRsets", nodes[owner]))


def parse_run(run: LazyRun, nodes: dict[str, RRsets | LazyRun]) -> None:
    """Parse a run, and replace it in `nodes` by its RRsets."""
    read = _parse_columns(run) or _parse_by_line(run)
    for owner, node in read.items():
        if nodes.get(owner) is run:
            nodes[owner] = node


def _parse_columns(run: LazyRun) -> dict[str, RRsets]:
    """Return the RRsets, by owner, of a run whose lines differ in owner and RDATA only.

    Empty if the lines differ in more, or an owner has several records.
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
        # Lines without an owner name, and comments.
        or any(sign in text for sign in ("\n ", "\n\t", ";"))
        or any(words[at::width].count(first[at]) != number for at in range(1, width - 1))
    ):
        return {}
    try:
        stated = stated_ttl(first[1:-2])
    except EntryError:  # the type is an earlier word
        return {}
    ttl = cast("int", context.ttl if stated is None else stated)
    data = words[width - 1 :: width]
    records = data if rdtype == A else _absolute(_joined(data), context.origin)
    owners = _owners(words[::width], context)
    read: dict[str, RRsets] = {
        owner: {rdtype: (ttl, (record,))} for owner, record in zip(owners, records, strict=True)
    }
    return read if len(read) == number else {}


def _parse_by_line(run: LazyRun) -> dict[str, RRsets]:
    """Return the RRsets of a run, by owner."""
    text, context = run
    read: dict[str, RRsets] = {}
    unsorted = set()
    for line in parse_lines(text, 0, len(text), context).lines:
        if line is None:
            continue
        owner, rdtype, ttl, record = line
        if owner in read:
            add_record(read[owner], rdtype, ttl, record)
            unsorted.add(owner)
        else:
            read[owner] = {rdtype: (ttl, (record,))}
    for owner in unsorted:
        finish(read[owner])
    return read
