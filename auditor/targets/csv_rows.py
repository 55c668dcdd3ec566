"""Reads targets from tables with a header: CSV, also with semicolons or tabs.

The columns are as in `input_columns`. The separator is the one that gives the header a target
column. A spreadsheet may name it itself, in a first line `sep=;`.
"""

from __future__ import annotations

import csv
import re
from collections import deque
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.errors import InputError
from auditor.quoting import quoted
from auditor.targets.domains import mail_from_identities
from auditor.targets.input_columns import (
    HELO,
    MAIL_FROM,
    InputOptions,
    identity_name,
    legible,
    row_entry,
)
from auditor.targets.item import Entry, invalid
from auditor.targets.reader import MAX_LINE_OCTETS, InputSource, Lines
from auditor.targets.target import NO_LABELS, Origin
from auditor.wire.addresses import parse_address

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditor.targets.item import SlashMeaning

__all__ = ["csv_entries", "is_header"]

#: Lines that one CSV row may span with quoted line ends. An unclosed quote would otherwise take
#: in all lines after it, and reading these again one by one would take quadratic time.
_MAX_ROW_LINES: Final = 64
_SEPARATORS: Final = (",", ";", "\t")
#: Without its end, at which a tab is white space.
_NAMED_SEPARATOR: Final = re.compile(r'"?sep=([^"\s])?"?', re.IGNORECASE)


def csv_entries(
    batches: Iterator[Lines], source: InputSource, options: InputOptions
) -> Iterator[Entry | None]:
    """Yield the targets of each row after the header; None when no input is ready.

    Raises InputError if the header names no target column.
    """
    feed = _LineFeeder(batches)
    columns: _Columns | None = None
    separators: tuple[str, ...] = _SEPARATORS
    while columns is None:
        fetched = feed.fetch()
        if fetched is None:
            yield None
        elif not fetched:
            raise InputError(
                f"{source.label}: no CSV header; expected one with a column "
                f"{options.expected_column}"
            )
        elif named := _NAMED_SEPARATOR.fullmatch(feed.peek()):
            feed.skip()
            separators = (named[1] or "\t",)
        else:
            columns = _header(feed, separators, source, options)
    for row in _rows(feed, columns.separator):
        if row is None:
            yield None
        elif row.broken and len(row.cells) != columns.width:
            yield invalid(row.raw, Origin(source.name, row.line), row.broken)
        elif any(row.cells) and not columns.is_comment(row.cells):
            yield _entry(row, columns, Origin(source.name, row.line, labels=options.labels))


def is_header(line: str, options: InputOptions) -> bool:
    """Tell whether a line is the header of a table, or names the separator for one."""
    return _NAMED_SEPARATOR.fullmatch(line) is not None or any(
        options.target_column(_names(line.split(separator))) >= 0 for separator in _SEPARATORS
    )


class _Row(NamedTuple):
    """A row: the number of its first line, that line, its cells, or why it has no cells."""

    line: int
    raw: str
    cells: list[str]
    broken: str = ""


class _Columns(NamedTuple):
    """Indexes of the columns in a row; -1 for a missing column."""

    separator: str
    width: int
    target: int
    slash: SlashMeaning
    helo: int
    mail_from: int
    labels: tuple[tuple[int, str], ...]

    def is_comment(self, cells: list[str]) -> bool:
        """Tell whether a row is a comment line, and not one whose first label has a `#`."""
        return cells[0].startswith("#") and (len(cells) != self.width or self.target == 0)


def _names(cells: list[str]) -> list[str]:
    return [legible(cell.strip()) for cell in cells]


def _header(
    feed: _LineFeeder, separators: tuple[str, ...], source: InputSource, options: InputOptions
) -> _Columns | None:
    """Read the header; None if the row is blank or a comment."""
    for separator in separators:
        row = _read_row(feed, separator, csv.reader(feed, delimiter=separator, strict=True))
        if not row.broken:
            names = _names(row.cells)
            if options.target_column(names) >= 0:
                return _columns(names, separator, f"{source.label} line {row.line}", options)
        feed.rewind()
    row = _read_row(feed, separators[0], csv.reader(feed, delimiter=separators[0], strict=True))
    where = f"{source.label} line {row.line}"
    if row.broken:
        raise InputError(f"{where}: the CSV header cannot be read: {row.broken}")
    if not any(row.cells) or row.cells[0].strip().startswith("#"):
        return None
    header = quoted(separators[0].join(_names(row.cells)))
    raise InputError(
        f"{where}: the CSV header has no column {options.expected_column}; found {header}"
        f"{_hint(row.cells, options)}"
    )


def _hint(cells: list[str], options: InputOptions) -> str:
    """Return a hint for a first row that names no target column."""
    if any(parse_address(cell.strip()) is not None for cell in cells):
        return "; the first line names the columns, as in ip,customer"
    if len(cells) == 1 and options.target_column(_names(cells[0].split("|"))) >= 0:
        return "; a line sep=| before it names the separator"
    return "" if options.column else "; --column NAME takes another"


def _columns(names: list[str], separator: str, where: str, options: InputOptions) -> _Columns:
    keys = [name.lower() for name in names]
    target = options.target_column(names)
    helo, mail_from = (
        next((place for place, name in enumerate(names) if name == spelt and place != target), -1)
        for spelt in (identity_name(wanted, tuple(names)) for wanted in (HELO, MAIL_FROM))
    )
    used = {target, helo, mail_from}
    labels = {
        number: name or f"column{number + 1}"
        for number, name in enumerate(names)
        if number not in used
    }
    known = {keys[place] for place in used if place >= 0} | {HELO, MAIL_FROM}
    once = [*labels.values(), *(key for key in keys if key in known)]
    twice = next((name for name in once if once.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{where}: the CSV header has the column {quoted(twice)} twice")
    slash = options.slash_in(names[target])
    return _Columns(separator, len(names), target, slash, helo, mail_from, tuple(labels.items()))


def _entry(row: _Row, columns: _Columns, origin: Origin) -> Entry:
    cells = row.cells
    missing = columns.width - len(cells)
    if missing and (len(cells) <= columns.target or any(cells[columns.width :])):
        return invalid(
            row.raw,
            origin,
            f"{len(cells)} column{'s' * (len(cells) != 1)} in this row; "
            f"expected {columns.width} as in the header",
        )
    cells += [""] * missing  # spreadsheets leave out empty cells at the end, or write more
    return row_entry(
        cells[columns.target],
        columns.slash,
        origin,
        helo=legible(cells[columns.helo]) if columns.helo >= 0 else "",
        mail_from=mail_from_identities(legible(cells[columns.mail_from]))
        if columns.mail_from >= 0
        else (),
        labels={name: legible(cells[number]) for number, name in columns.labels} or NO_LABELS,
    )


class _LineFeeder:
    """The lines of a CSV file, one at a time; those of a broken row can be handed back."""

    def __init__(self, batches: Iterator[Lines]) -> None:
        self._batches = batches
        self._ahead: deque[bytes] = deque()
        self._line = 0
        self._row: list[bytes] = []
        self._size = 0

    def fetch(self) -> bool | None:
        """Fetch the next line. None if no input is ready, False at its end."""
        if self._ahead:
            return True
        batch = next(self._batches, None)
        if batch is None:
            return False
        self._ahead.extend(batch)
        return True if batch else None

    def peek(self) -> str:
        """Return the text of the next line."""
        return self._ahead[0].decode(errors="surrogateescape").strip()

    def skip(self) -> None:
        """Skip the next line."""
        self._ahead.popleft()
        self._line += 1

    def begin_row(self) -> None:
        """Begin a row."""
        self._row.clear()
        self._size = 0

    def first(self) -> tuple[int, str]:
        """Return the number and the text of the first line of the row."""
        number = self._line - len(self._row) + 1
        return number, self._row[0].decode(errors="surrogateescape").strip()

    def hand_back(self) -> None:
        """Put back all lines of the row but the first."""
        self._ahead.extendleft(reversed(self._row[1:]))
        self._line -= len(self._row) - 1
        del self._row[1:]

    def rewind(self) -> None:
        """Put back all lines of the row."""
        self._ahead.extendleft(reversed(self._row))
        self._line -= len(self._row)
        self._row.clear()

    def __iter__(self) -> _LineFeeder:
        return self

    def __next__(self) -> str:
        while True:
            fetched = self.fetch()
            if fetched:
                break
            if fetched is False:
                raise StopIteration
        if len(self._row) >= _MAX_ROW_LINES or self._size > MAX_LINE_OCTETS:
            raise csv.Error("a quote is not closed for many lines")
        line = self._ahead.popleft()
        self._line += 1
        self._row.append(line)
        self._size += len(line)
        if len(line) > MAX_LINE_OCTETS:
            raise csv.Error(f"longer than {MAX_LINE_OCTETS:,} octets")
        return line.decode(errors="surrogateescape") + "\n"


def _rows(feed: _LineFeeder, separator: str) -> Iterator[_Row | None]:
    """Yield the rows, blank lines as rows without cells; None when no input is ready."""
    reader = csv.reader(feed, delimiter=separator, strict=True)
    while True:
        fetched = feed.fetch()
        if fetched is None:
            yield None
        elif not fetched:
            return
        else:
            yield _read_row(feed, separator, reader)


def _read_row(feed: _LineFeeder, separator: str, reader: Iterator[list[str]]) -> _Row:
    """Read the row that begins with the next line.

    For a row that is not valid CSV, the cells are those of its first line with lenient quotes:
    cells before the fault are right, and the fault is mostly in a label.
    """
    feed.begin_row()
    try:
        cells = next(reader)
    except csv.Error as error:
        feed.hand_back()
        number, raw = feed.first()
        reason = "a carriage return inside it" if "new-line" in str(error) else str(error)
        return _Row(number, raw, _lenient_cells(raw, separator), f"not a CSV row: {reason}")
    return _Row(*feed.first(), cells)


def _lenient_cells(line: str, separator: str) -> list[str]:
    """Return the cells of a line with faulty quotes; none if it is too long."""
    if len(line) > MAX_LINE_OCTETS:
        return []
    loose = csv.reader([line.replace("\r", " ")], delimiter=separator)
    return [cell.rstrip("\n") for cell in next(loose, [])]
