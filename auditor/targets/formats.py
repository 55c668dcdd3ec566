"""Detects the format of an input (text, table, JSON, registry file) and reads its entries.

By the file's suffix, or else by the first line that is neither blank nor a comment.
"""

from __future__ import annotations

import string
from itertools import chain
from typing import TYPE_CHECKING, BinaryIO, Final, Literal, TypeAlias

from auditor.errors import TargetError, TooManyTargetsError
from auditor.quoting import printable
from auditor.targets.item import ZONE_TARGET, Entry, invalid, parse_item, read_item
from auditor.targets.reader import (
    MAX_LINE_OCTETS,
    InputSource,
    Lines,
    bare,
    read_content,
    split_lines,
)
from auditor.targets.spans import Span
from auditor.targets.target import Origin, Target
from auditor.wire.addresses import V4, format_address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditor.targets.input_columns import InputOptions

__all__ = ["count_input", "read_input", "too_many"]

_Format: TypeAlias = Literal["text", "csv", "json", "ndjson", "registry"]

#: Octets at the beginning of an input that are searched for its first item.
_HEAD_OCTETS: Final = 1 << 20

_STDIN: Final = "-"
_NEW: Final = tuple.__new__
# Numbers, since searching bytes for one octet by its number is several times faster.
_SLASH, _DASH, _HASH, _COLON = b"/-#:"
_LETTERS: Final = frozenset(string.ascii_letters.encode())
_ARPA: Final = b".arpa"
_ZONE: Final = ZONE_TARGET.encode()
#: The shortest name of an IPv6 prefix that is read: 28 nibbles, their dots, and `ip6.arpa`.
_MIN_V6_NAME_CHARACTERS: Final = 64


def read_input(
    source: InputSource, options: InputOptions, stdin: BinaryIO | None = None
) -> Iterator[Entry | None]:
    """Yield the entries of a source, by its format; None when no input is ready.

    `stdin` replaces standard input. Raises InputError as the readers do.
    """
    form, chunks = _opened(source, options, stdin)
    if form == "text":
        return _text_entries(split_lines(chunks), source, options)
    # Imported here since most lists are plain text, and importing JSON takes time.
    if form == "csv":
        from auditor.targets.csv_rows import csv_entries  # noqa: PLC0415

        return csv_entries(split_lines(chunks), source, options)
    if form == "registry":
        from auditor.targets.registry import registry_entries  # noqa: PLC0415

        return registry_entries(split_lines(chunks), source, options)
    from auditor.targets.json_values import json_entries, ndjson_entries  # noqa: PLC0415

    if form == "json":
        return json_entries(chunks, source, options)
    return ndjson_entries(split_lines(chunks), source, options)


def count_input(source: InputSource, options: InputOptions, total: int, limit: int) -> int | None:
    """Return `total` plus the targets of a plain text; None for other formats, and with zones.

    Raises TooManyTargetsError if that is over `limit`.
    """
    form, chunks = _opened(source, options)
    if form != "text":
        return None
    has_zones = False

    def watched() -> Iterator[bytes]:
        nonlocal has_zones
        tail = b""
        for chunk in chunks:
            seen = _ZONE in chunk or _ZONE in tail + chunk[: len(_ZONE)]
            has_zones = has_zones or seen
            tail = chunk[-len(_ZONE) :]
            yield chunk

    total = _count_text(split_lines(watched()), source, options, total, limit)
    return None if has_zones else total


def _opened(
    source: InputSource, options: InputOptions, stdin: BinaryIO | None = None
) -> tuple[_Format, Iterator[bytes]]:
    """Return the format of a source, and its content."""
    chunks = read_content(source, stdin)
    if source.form in {"csv", "json"}:
        return source.form, chunks
    item, chunks = _first_item(chunks)
    if source.form == "ndjson" and not _is_json(item):
        return "ndjson", chunks
    return _guess(item, options), chunks


def _first_item(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Return the first line that is neither blank nor a comment, and all of the content."""
    head = b""
    begun = 0
    for chunk in chunks:
        head += chunk
        while (end := head.find(b"\n", begun)) >= 0:
            item = bare(head[begun:end])
            if item:
                return item, _pieces(head, chunks)
            begun = end + 1
        if len(head) - begun > MAX_LINE_OCTETS or len(head) > _HEAD_OCTETS:
            break
    return bare(head[begun : begun + MAX_LINE_OCTETS]), _pieces(head, chunks)


def _pieces(head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the octets already read in pieces of a chunk at most, then the rest."""
    pieces = (
        head[start : start + MAX_LINE_OCTETS] for start in range(0, len(head), MAX_LINE_OCTETS)
    )
    return chain(pieces, chunks)


def _is_json(item: bytes) -> bool:
    """Tell whether a first line begins an array, or an object that continues in the next line."""
    if item.startswith(b"{"):
        return not item.endswith(b"}")
    return item.startswith(b"[") and item[1:].lstrip()[:1] in {b"", b"{", b'"', b"]"}


def _guess(item: bytes, options: InputOptions) -> _Format:
    """Return the format of a content that begins with the line `item`."""
    if _is_json(item):
        return "json"
    if item.startswith(b"{"):
        return "ndjson"
    if options.column:
        return "csv"
    from auditor.targets.csv_rows import is_header  # noqa: PLC0415 - see `read_input`
    from auditor.targets.registry import registry_form  # noqa: PLC0415 - see `read_input`

    if registry_form(item):
        return "registry"
    return "csv" if is_header(item.decode(errors="surrogateescape"), options) else "text"


def _text_entries(
    batches: Iterator[Lines], source: InputSource, options: InputOptions
) -> Iterator[Entry | None]:
    """Yield the entries of lines of plain text; None when no input is ready."""
    name, labels, slash = source.name, options.labels, options.slash
    line = 0
    for batch in batches:
        if not batch:
            yield None
        for raw in batch:
            line += 1
            item = bare(raw)
            if not item:
                continue
            origin = _NEW(Origin, (name, line, None, (), labels, ""))
            if len(raw) > MAX_LINE_OCTETS:
                yield _undecoded(item, origin, f"longer than {MAX_LINE_OCTETS:,} octets")
                continue
            try:
                text = item.decode()
            except UnicodeDecodeError:
                yield _undecoded(item, origin, "not UTF-8 text")
            else:
                yield read_item(text, origin, slash)


def _undecoded(item: bytes, origin: Origin, error: str) -> Target:
    return invalid(item.decode(errors="surrogateescape"), origin, error)


def _count_text(
    batches: Iterator[Lines], source: InputSource, options: InputOptions, total: int, limit: int
) -> int:
    """Return `total` plus the targets of a plain text; most lines are not even parsed."""
    line = 0
    for batch in batches:
        before = total
        marked = [
            raw
            for raw in batch
            if _SLASH in raw or _DASH in raw or _HASH in raw or len(raw) >= _MIN_V6_NAME_CHARACTERS
        ]
        total += len(batch) - len(marked) - batch.count(b"") - sum(map(bytes.isspace, batch))
        total += sum(_target_count(raw, options) for raw in marked)
        if total > limit:
            raise _limit_error(batch, Origin(source.name, line), options, before, limit)
        line += len(batch)
    return total


def _target_count(raw: bytes, options: InputOptions) -> int:
    """Return how many targets a line of plain text gives."""
    item = bare(raw)
    if not item:
        return 0
    if not item.lower().rstrip(b".").endswith(_ARPA):
        if item[-1] in _LETTERS and _COLON not in item:  # prefixes and IPv4 ranges end in a digit
            return 1
        if _SLASH not in item and _DASH not in item:
            return 1
    if len(raw) > MAX_LINE_OCTETS:
        return 1
    try:
        parsed = parse_item(item.decode(), slash=options.slash)
    except (TargetError, UnicodeDecodeError):
        return 1
    return parsed.size if isinstance(parsed, Span) else 1


def _limit_error(
    batch: Lines, origin: Origin, options: InputOptions, total: int, limit: int
) -> TooManyTargetsError:
    """Return the error for the line of `batch` that takes `total` over `limit`."""
    size = 0
    lines = iter(enumerate(batch, origin.line + 1))
    while total <= limit:
        line, raw = next(lines)
        size = _target_count(raw, options)
        total += size
    shown = bare(raw).decode(errors="surrogateescape")
    return too_many(shown, origin._replace(line=line), size, total, limit)


def too_many(
    entry: Entry | str, origin: Origin, size: int, total: int, limit: int
) -> TooManyTargetsError:
    """Return the error for an entry whose `size` targets take the `total` over `limit`."""
    source, line = origin.source, origin.line
    where = "standard input" if source == _STDIN else source
    where += f" {line}" if source == Origin().source else f" line {line}"
    makes = "makes" if size == total else "makes the total"
    item = entry if isinstance(entry, str) else _describe(entry)
    return TooManyTargetsError(
        f"targets: {printable(item, 80)} ({where}) {makes} {total:,} targets, "
        f"more than --max-targets {limit:,}"
    )


def _describe(entry: Entry) -> str:
    """Return a short text for what an entry is: a span as a prefix where it is one."""
    if isinstance(entry, Target):
        return entry.text
    version, first, last = entry.span
    size = entry.span.size
    if size & (size - 1) or first % size:
        return f"{format_address(version, first)}-{format_address(version, last)}"
    length = (32 if version == V4 else 128) - size.bit_length() + 1
    return f"{format_address(version, first)}/{length}"
