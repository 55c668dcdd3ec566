"""Reads targets from files of the RIRs: extended delegation statistics, database objects.

The extended statistics of the RIRs have `registry|country|ipv4|192.0.2.0|256|date|status`
with a count of addresses, or a prefix length for `ipv6`. Objects of a database (RPSL, RFC 2622)
begin with `inetnum: 192.0.2.0 - 192.0.2.255` or `route: 192.0.2.0/24`; ARIN writes `NetRange:`,
and LACNIC leaves zeros out (`inetnum: 192.0.2/24`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, Literal

from auditor.targets.item import invalid, read_item
from auditor.targets.reader import MAX_LINE_OCTETS, InputSource, Lines, bare
from auditor.targets.target import Origin
from auditor.wire.addresses import V4, format_address, parse_address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditor.targets.input_columns import InputOptions
    from auditor.targets.item import Entry

__all__ = ["registry_entries", "registry_form"]

_STATISTICS: Final = re.compile(
    rb"[0-9.]+\|[a-z]+\|[^|]*\|[0-9]+\||[a-z]+\|[^|]*\|(?:asn|ipv[46])\|"
)
_OBJECT: Final = re.compile(
    rb"(inetnum|inet6num|netrange|route|route6):(.*)", re.IGNORECASE | re.DOTALL
)
_SHORT_PREFIX: Final = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){0,2}/[0-9]{1,2}")
#: Other attributes of an object, their further lines, and remarks.
_OTHER: Final = re.compile(rb"[A-Za-z][\w-]*:(?:\s|$)|[\s+%]")
#: Fields of a line that delegates something: registry, country, type, start, value.
_FIELDS: Final = 5
_V4_ADDRESSES: Final = 1 << 32


def registry_form(line: bytes) -> Literal["statistics", "objects", ""]:
    """Return the kind of registry file whose first line is `line`, "" for none."""
    if _STATISTICS.match(line):
        return "statistics"
    return "objects" if line.startswith(b"%") or _OBJECT.match(line) else ""


def registry_entries(
    batches: Iterator[Lines], source: InputSource, options: InputOptions
) -> Iterator[Entry | None]:
    """Yield the addresses of each line; None when no input is ready.

    Other lines are read as plain text.
    """
    line = 0
    for batch in batches:
        if not batch:
            yield None
        for raw in batch:
            line += 1
            item = bare(raw)
            origin = Origin(source.name, line, labels=options.labels)
            if len(raw) > MAX_LINE_OCTETS:
                yield invalid(_text(item), origin, f"longer than {MAX_LINE_OCTETS:,} octets")
            elif match := _OBJECT.fullmatch(item):
                yield read_item(_whole(_text(match[2]).strip()), origin, options.slash)
            elif b"|" in item:
                entry = _delegation(_text(item), origin)
                if entry is not None:
                    yield entry
            elif item and not _OTHER.match(raw):
                yield read_item(_text(item), origin, options.slash)


def _whole(text: str) -> str:
    """Return a prefix with its omitted octets filled in."""
    if not _SHORT_PREFIX.fullmatch(text):
        return text
    network, _, length = text.partition("/")
    return f"{network}{'.0' * (3 - network.count('.'))}/{length}"


def _text(item: bytes) -> str:
    return item.decode(errors="surrogateescape")


def _delegation(text: str, origin: Origin) -> Entry | None:
    """Return the addresses of a line of the statistics; None for lines about other things."""
    fields = [field.strip() for field in text.split("|")]
    if len(fields) < _FIELDS or fields[2] not in {"ipv4", "ipv6"} or fields[3] == "*":
        return None
    _, country, kind, start, value = fields[:_FIELDS]
    if country:
        origin = origin._replace(labels={**origin.labels, "country": country})
    if kind == "ipv6":
        return read_item(f"{start}/{value}", origin)
    first = parse_address(start)
    if first is None or first[0] != V4 or not value.isascii() or not value.isdigit():
        return invalid(text, origin, "expected an IPv4 address and a count of addresses")
    last = first[1] + int(value[:11]) - 1
    if not first[1] <= last < _V4_ADDRESSES:
        return invalid(text, origin, f"a count of {value[:11]} does not fit behind {start}")
    return read_item(f"{start}-{format_address(V4, last)}", origin)
