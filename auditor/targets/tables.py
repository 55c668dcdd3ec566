"""CSV and NDJSON → targets: the formats whose lines carry SPF identities and labels.

The keys are `target` (or `ip`), `helo` and `mail_from`; all others are labels.
"""

from __future__ import annotations

import csv
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from auditor.errors import InputError, TargetError
from auditor.targets.domains import parse_helo, parse_mail_from, parse_mail_froms
from auditor.targets.parse import Entry, invalid, read_item
from auditor.targets.quoting import quoted
from auditor.targets.sources import MAX_LINE, Lines, Source
from auditor.targets.target import NO_LABELS, Origin

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from auditor.targets.target import Target

__all__ = ["csv_entries", "ndjson_entries"]

#: Lines that one CSV row may take by quoted line ends. A forgotten quote would otherwise
#: swallow what follows, and reading that again line by line would take a time to match.
_MAX_ROW_LINES: Final = 64
_IDENTITIES: Final = ("helo", "mail_from")
_TOO_LONG: Final = f"longer than {MAX_LINE:,} octets"


def ndjson_entries(
    batches: Iterator[Lines], source: Source, line: int = 0
) -> Iterator[Entry | None]:
    """Yield what each line after line number `line` gives; None when the input has to wait."""
    for batch in batches:
        if not batch:
            yield None
        for raw in batch:
            line += 1
            text = raw.strip()
            if text and not text.startswith(b"#"):
                yield _object(text, Origin(source.name, line))


def csv_entries(batches: Iterator[Lines], source: Source) -> Iterator[Entry | None]:
    """Yield what each row after the header gives; None when the input has to wait.

    Raises InputError if the header does not name a target column.
    """
    columns: _Columns | None = None
    for row in _rows(batches):
        if row is None:
            yield None
        elif columns is None:
            if row.broken or any(row.cells):
                columns = _header(row, source)
        elif row.broken:
            yield invalid(row.raw, Origin(source.name, row.line), row.broken)
        elif any(row.cells) and not columns.is_comment(row.cells):
            yield _record(row, columns, source)
    if columns is None:
        raise InputError(f"{source.label}: no CSV header; expected one with a target or ip column")


class _Row(NamedTuple):
    """A row: the number of its first line, that line, its cells, or why it has none."""

    line: int
    raw: str
    cells: list[str]
    broken: str = ""


class _Columns(NamedTuple):
    """Where in a row what stands; -1 for a column that is not there."""

    width: int
    target: int
    helo: int
    mail_from: int
    labels: tuple[tuple[int, str], ...]

    def is_comment(self, cells: list[str]) -> bool:
        """Say whether a row is a comment line, and not one whose first label has a `#`."""
        return cells[0].startswith("#") and (len(cells) != self.width or self.target == 0)


def _header(row: _Row, source: Source) -> _Columns | None:
    """Read the header; None if the row is a comment."""
    where = f"{source.label} line {row.line}"
    if row.broken:
        raise InputError(f"{where}: not a CSV header: {row.broken}")
    names = [cell.strip() for cell in row.cells]
    keys = [name.lower() for name in names]
    target = next((keys.index(key) for key in ("target", "ip") if key in keys), -1)
    if target < 0:
        if names[0].startswith("#"):
            return None
        raise InputError(
            f"{where}: the CSV header has no target or ip column; found {quoted(','.join(names))}"
        )
    helo, mail_from = (keys.index(key) if key in keys else -1 for key in _IDENTITIES)
    used = {target, helo, mail_from}
    labels = {
        number: names[number] or f"column{number + 1}"
        for number in range(len(names))
        if number not in used
    }
    names = [*labels.values(), *(key for key in keys if key in (keys[target], *_IDENTITIES))]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{where}: the CSV header has the column {quoted(twice)} twice")
    return _Columns(len(keys), target, helo, mail_from, tuple(labels.items()))


def _record(row: _Row, columns: _Columns, source: Source) -> Entry:
    cells = row.cells
    if len(cells) != columns.width:
        return invalid(
            row.raw,
            Origin(source.name, row.line),
            f"{len(cells)} columns in this row; expected {columns.width} as in the header",
        )
    labels = {name: cells[number] for number, name in columns.labels} or NO_LABELS
    text = cells[columns.target].strip()
    try:
        helo = cells[columns.helo].strip() if columns.helo >= 0 else ""
        origin = Origin(
            source.name,
            row.line,
            parse_helo(helo) if helo else None,
            parse_mail_froms(cells[columns.mail_from]) if columns.mail_from >= 0 else (),
            labels,
        )
    except TargetError as error:
        return invalid(text, Origin(source.name, row.line, labels=labels), str(error))
    return read_item(text, origin)


class _Feed:
    """The lines of a CSV file, one at a time; those of a broken row can be handed back."""

    def __init__(self, batches: Iterator[Lines]) -> None:
        self._batches = batches
        self._ahead: deque[bytes] = deque()
        self._line = 0
        self._row: list[bytes] = []
        self._size = 0

    def fetch(self) -> bool | None:
        """See that a line is ahead. None if the input has to wait, False at its end."""
        if self._ahead:
            return True
        batch = next(self._batches, None)
        if batch is None:
            return False
        self._ahead.extend(batch)
        return True if batch else None

    def begin(self) -> None:
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

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        while True:
            found = self.fetch()
            if found:
                break
            if found is False:
                raise StopIteration
        if len(self._row) >= _MAX_ROW_LINES or self._size > MAX_LINE:
            raise csv.Error("a quote is not closed for many lines")
        line = self._ahead.popleft()
        self._line += 1
        self._row.append(line)
        self._size += len(line)
        if len(line) > MAX_LINE:
            raise csv.Error(_TOO_LONG)
        try:
            return line.decode() + "\n"
        except UnicodeDecodeError:
            raise csv.Error("not UTF-8") from None


def _rows(batches: Iterator[Lines]) -> Iterator[_Row | None]:
    """Yield the rows, blank lines among them as rows without cells; None for a wait."""
    feed = _Feed(batches)
    reader = csv.reader(feed, strict=True)
    while True:
        found = feed.fetch()
        if found is None:
            yield None
        if not found:
            if found is False:
                return
            continue
        feed.begin()
        try:
            cells = next(reader)
        except csv.Error as error:
            feed.hand_back()
            yield _Row(*feed.first(), [], f"not a CSV row: {error}")
        else:
            yield _Row(*feed.first(), cells)


def _object(text: bytes, origin: Origin) -> Entry:
    """Return what one JSON object gives."""
    if len(text) > MAX_LINE:
        return _refused(text, origin, _TOO_LONG)
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        return _refused(text, origin, f"not a JSON object: {error}")
    key = next((key for key in ("target", "ip") if isinstance(found, dict) and key in found), "")
    if not key:
        return _refused(text, origin, "expected a JSON object with the key target or ip")
    target = found.pop(key)
    if not isinstance(target, str):
        return _refused(text, origin, f"{key} is not a string")
    helo, mail_from = found.pop("helo", None), found.pop("mail_from", None)
    try:
        origin = origin._replace(labels=_labels(found))
        origin = origin._replace(helo=_helo(helo), mail_from=_mail_from(mail_from))
    except TargetError as error:
        return invalid(target.strip(), origin, str(error))
    return read_item(target.strip(), origin)


def _refused(text: bytes, origin: Origin, error: str) -> Target:
    return invalid(text.decode(errors="surrogateescape"), origin, error)


def _labels(found: dict[str, Any]) -> Mapping[str, str]:
    """Return strings as they are, everything else as its JSON text."""
    try:
        return {
            name: value if isinstance(value, str) else orjson.dumps(value).decode()
            for name, value in found.items()
        } or NO_LABELS
    except orjson.JSONEncodeError as error:  # what reads deeper than it writes
        raise TargetError(f"a label that is too deeply nested ({error})") from None


def _helo(value: object) -> str | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise TargetError("helo: expected a string")
    return parse_helo(value)


def _mail_from(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    if isinstance(value, str):
        return parse_mail_froms(value)
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return tuple(parse_mail_from(part) for part in value)
    raise TargetError("mail_from: expected a string or a list of strings")
