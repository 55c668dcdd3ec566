"""Edits master files line by line: all other lines, and comments, are kept.

A new value replaces an old one in its line; an added record comes after the records of its name,
or at the end, with an absolute owner. The serial number grows by one (RFC 1982), so that secondary
servers transfer the zone.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from auditor.errors import ZoneFileError
from auditor.resolve.zones.located import locate_records
from auditor.wire.codes import AAAA, PTR, SOA, TXT, A
from auditor.wire.master_file import absolute_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from auditor.fix.changes import Change
    from auditor.resolve.answer import Rdata
    from auditor.resolve.zones.located import LocatedRecord
    from auditor.resolve.zones.reader import MasterFile

__all__ = ["changed_files", "diff_of", "with_files"]

_SERIAL_MODULUS: Final = 1 << 32
#: Unchanged lines around changed ones in a diff, and the mark after a line without an end.
_CONTEXT_LINES: Final = 3
_NO_END: Final = b"\n\\ No newline at end of file\n"
#: The end of an entry on one line: its last word, and anything after it.
_LAST_WORD: Final = re.compile(rb"^([^;\"()]*[ \t])([^\s;\"()]+)([ \t]*(?:;.*)?\r?\n?)$", re.DOTALL)
#: The strings of an entry on one line.
_STRINGS: Final = re.compile(
    rb'^([^;"()]*[ \t])((?:"(?:[^"\\\n]|\\.)*"[ \t]*)*"(?:[^"\\\n]|\\.)*")([ \t]*(?:;.*)?\r?\n?)$',
    re.DOTALL,
)
#: The two names of an SOA record, what is between, and its serial number.
_BEFORE_SERIAL: Final = re.compile(
    rb"\sSOA(?:(?:[\s(]|;[^\n]*\n)+[^\s;()]+){2}(?:[\s(]|;[^\n]*\n)+([0-9]+)(?=[\s;)])",
    re.IGNORECASE,
)
#: Where the RDATA of a type is in an entry on one line.
_RDATA: Final = {A: _LAST_WORD, AAAA: _LAST_WORD, PTR: _LAST_WORD, TXT: _STRINGS}


def changed_files(file: MasterFile, changes: Sequence[Change]) -> dict[str, bytes]:
    """Return the files of a zone that its changes alter, those it includes among them, by label.

    Raises ZoneFileError.
    """
    records = locate_records(file)
    texts: dict[str, _Lines] = {}

    def lines_of(label: str) -> _Lines:
        if label not in texts:
            data = file.data if label == file.label else Path(label).read_bytes()
            texts[label] = _Lines(data)
        return texts[label]

    by_key: defaultdict[tuple[str, int], list[LocatedRecord]] = defaultdict(list)
    last_of: dict[str, LocatedRecord] = {}
    for record in records:
        by_key[record.owner, record.rdtype].append(record)
        last_of[record.owner] = record
    removed: set[LocatedRecord] = set()
    for change in changes:
        held = by_key[change.owner, change.rdtype]
        deleted = [record for record in held if record.record in change.deleted]
        added = change.added
        for record, value in zip(deleted, added, strict=False):
            lines_of(record.label).replace(record, change, value)
        for record in deleted[len(added) :]:
            lines_of(record.label).delete(record)
            removed.add(record)
        behind = last_of.get(change.owner)
        for value in added[len(deleted) :]:
            lines = lines_of(behind.label if behind else file.label)
            lines.insert(behind, _entry(change, value))
    _keep_owners(records, removed, lines_of)
    if changes:
        (soa,) = [record for record in records if record.rdtype == SOA]
        lines_of(soa.label).raise_serial(soa)
    return {label: lines.text() for label, lines in texts.items() if lines.is_changed}


def _keep_owners(
    records: Sequence[LocatedRecord], removed: set[LocatedRecord], lines_of: Callable[[str], _Lines]
) -> None:
    """Add the owner to an entry that takes it from the entry before, if that is deleted."""
    named: LocatedRecord | None = None
    for record in records:
        lines = lines_of(record.label)
        if not lines.lacks_owner(record):
            named = record
        if record not in removed and named in removed and lines.lacks_owner(record):
            lines.name_owner(record)
            named = record


class _Lines:
    """The lines of a file, with replacements for some."""

    def __init__(self, data: bytes) -> None:
        self._lines = data.splitlines(keepends=True)
        self._end = b"\r\n" if self._lines and self._lines[0].endswith(b"\r\n") else b"\n"
        if self._lines and not self._lines[-1].endswith((b"\n", b"\r")):
            self._lines[-1] += self._end
        self._new: dict[int, bytes] = {}
        self._behind: defaultdict[int, list[bytes]] = defaultdict(list)

    def _line(self, number: int) -> bytes:
        return self._new.get(number, self._lines[number])

    def text(self) -> bytes:
        """Return the file as it is now."""
        pieces = []
        for number in range(len(self._lines)):
            pieces += [self._line(number), *self._behind.get(number, ())]
        return b"".join((*pieces, *self._behind.get(-1, ())))

    @property
    def is_changed(self) -> bool:
        """Whether any line is replaced, or followed by new ones."""
        return bool(self._new or self._behind)

    def lacks_owner(self, record: LocatedRecord) -> bool:
        """Whether an entry takes its owner from the entry before."""
        return self._lines[record.first_line][:1] in {b" ", b"\t"}

    def name_owner(self, record: LocatedRecord) -> None:
        """Put its owner in front of an entry."""
        owner = absolute_name(record.owner).encode("ascii")
        line = self._line(record.first_line)
        if line[:1] in {b" ", b"\t"}:
            self._new[record.first_line] = owner + line

    def delete(self, record: LocatedRecord) -> None:
        """Remove an entry."""
        for number in range(record.first_line, record.last_line + 1):
            self._new[number] = b""

    def replace(self, record: LocatedRecord, change: Change, value: Rdata) -> None:
        """Replace the value of a record."""
        line = self._lines[record.first_line]
        pattern = _RDATA.get(change.rdtype)
        match = pattern.match(line) if pattern else None
        self.delete(record)
        if match and record.first_line == record.last_line:
            new = match[1] + change.text(value).encode("ascii") + match[3]
        else:
            new = _entry(change, value).encode("ascii") + self._end
        self._new[record.first_line] = new

    def insert(self, behind: LocatedRecord | None, entry: str) -> None:
        """Add an entry after another one, or at the end."""
        number = behind.last_line if behind else -1
        self._behind[number].append(entry.encode("ascii") + self._end)

    def raise_serial(self, soa: LocatedRecord) -> None:
        """Increment the serial number of the SOA record."""
        serial = soa.record.serial
        numbers = range(soa.first_line, soa.last_line + 1)
        entry = b"".join(self._line(number) for number in numbers)
        match = _BEFORE_SERIAL.search(entry)
        if match is None or int(match[1]) != serial:
            raise ZoneFileError(f"{soa.label}:{soa.first_line + 1}: the serial number is not found")
        new = b"%d" % ((serial + 1) % _SERIAL_MODULUS)
        self.delete(soa)
        self._new[soa.first_line] = entry[: match.start(1)] + new + entry[match.end(1) :]


def _entry(change: Change, value: Rdata) -> str:
    return f"{absolute_name(change.owner)} {change.ttl} IN {change.type} {change.text(value)}"


def with_files(file: MasterFile, files: Mapping[str, bytes]) -> MasterFile:
    """Return a master file that reads changed files in place of those on disk."""
    data = files.get(file.label, file.data)
    include = file.include
    if include is None:
        return file._replace(data=data)

    def included(name: str) -> tuple[str, bytes]:
        label, old = include(name)
        return label, files.get(label, old)

    return file._replace(data=data, include=included)


def diff_of(name: str, old: bytes, new: bytes) -> Iterator[bytes]:
    """Yield the lines of a unified diff, for `patch -p1`. Takes time in proportion to the lines."""
    lines = list(_compared(old.splitlines(keepends=True), new.splitlines(keepends=True)))
    changed = [place for place, (sign, _) in enumerate(lines) if sign != b" "]
    if changed:
        yield f"--- a/{name}\n+++ b/{name}\n".encode()
    begun = 0  # of the lines before the hunk
    at = [0, 0]  # lines of the old text, and of the new one, up to there
    for first, last in _close_together(changed):
        start, end = max(begun, first - _CONTEXT_LINES), min(len(lines), last + _CONTEXT_LINES + 1)
        at = [number + start - begun for number in at]  # unchanged ones
        hunk = lines[start:end]
        sizes = [sum(sign != other for sign, _ in hunk) for other in (b"+", b"-")]
        spans = [f"{n + bool(size)},{size}" for n, size in zip(at, sizes, strict=True)]
        yield "@@ -{} +{} @@\n".format(*spans).encode()
        for sign, line in hunk:
            yield sign + line if line.endswith(b"\n") else sign + line + _NO_END
        at = [number + size for number, size in zip(at, sizes, strict=True)]
        begun = end


def _compared(old: Sequence[bytes], new: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the lines of both texts: b"-" those of the old one, b"+" of the new, b" " of both.

    Lines that stay keep their order, so that a line which is not in the rest of the other text
    was removed, or added.
    """
    rest_of_old, rest_of_new = Counter(old), Counter(new)
    i = j = 0
    while i < len(old) or j < len(new):
        if i < len(old) and j < len(new) and old[i] == new[j]:
            yield b" ", old[i]
            rest_of_old[old[i]] -= 1
            rest_of_new[old[i]] -= 1
            i, j = i + 1, j + 1
        elif i < len(old) and (j == len(new) or not rest_of_new[old[i]] or rest_of_old[new[j]]):
            yield b"-", old[i]
            rest_of_old[old[i]] -= 1
            i += 1
        else:
            yield b"+", new[j]
            rest_of_new[new[j]] -= 1
            j += 1


def _close_together(places: Sequence[int]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last of changed lines that share their context."""
    start = 0
    for at in range(1, len(places) + 1):
        if at == len(places) or places[at] - places[at - 1] > 2 * _CONTEXT_LINES:
            yield places[start], places[at - 1]
            start = at
