"""Results as CSV, from templates: the rows of similar records are made once."""

from __future__ import annotations

import re
from contextlib import suppress
from operator import itemgetter
from typing import IO, TYPE_CHECKING, Any, Final

from auditor.output.columns import (
    FORM_ERRORS,
    NO_RUN,
    PREFIX,
    SORT_KEY,
    form_error,
)
from auditor.output.csv_writer import csv_header, csv_rows, csv_table
from auditor.views.reader.line_template import MARKS, TARGET_MARK, fold_for
from auditor.views.reader.results import parse_records
from auditor.views.target_columns import TargetColumns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from auditor.output.columns import Column, Finding, Record, RunStamp, Table
    from auditor.views.reader.results import Chunk, Results

__all__ = ["results_to_csv"]

_PREFIX_MARK: Final = "\ue03f"
_PREFIX: Final = _PREFIX_MARK.encode()
_SORT_KEY_MARK: Final = "\ue03e"
_SORT_KEY: Final = _SORT_KEY_MARK.encode()
#: Marks in place of the columns that follow from the target.
_OF_TARGET: Final = {PREFIX.name: _PREFIX_MARK, SORT_KEY.name: _SORT_KEY_MARK}
_MARKS: Final = tuple(mark.encode() for mark in MARKS)
#: Prefix, sort key, and the texts in the order of MARKS.
_ANY_MARKS: Final = (_PREFIX, _SORT_KEY, *_MARKS)
_PLACES: Final = {mark: at for at, mark in enumerate(_ANY_MARKS)}
_ANY_MARK: Final = re.compile(b"(%b)" % b"|".join(_ANY_MARKS))
_MARKED: Final = b'{"target":"%b"' % _MARKS[0]
#: Templates that are kept, and the most octets of the line of one.
_KEPT_TEMPLATES: Final = 4096
_LARGEST_KEPT: Final = 4096


def results_to_csv(
    results: Results,
    file: IO[bytes],
    *,
    flat: bool,
    added: Sequence[Column] = (),
    stamps: Mapping[str, RunStamp] | None = None,
) -> int:
    """Write the rows that `write_csv` makes of the records of results; return their number.

    `added`: more columns, such as those of labels; `stamps`: of the runs, by the path that was
    given for each. Raises InputError for an invalid record, OSError if `file` cannot be written.
    """
    table = csv_table(flat=flat, added=added)
    file.write(csv_header(table.columns))
    rows = _Rows(table, NO_RUN, flat=flat)
    number = 0
    for chunk in results.chunks():
        stamp = (stamps or {}).get(chunk.given, NO_RUN)
        if stamp != rows.stamp:
            rows = _Rows(table, stamp, flat=flat)
        made: list[bytes] = []
        try:
            made.extend(rows.csv_rows(chunk, number))
        finally:  # including those before an invalid line
            file.write(b"".join(made))
        number += len(chunk)
    return number


class _Rows:
    """Makes the rows of lines, those of similar lines from the same template."""

    def __init__(self, table: Table, stamp: RunStamp, *, flat: bool) -> None:
        self.stamp = stamp
        self._flat = flat
        self._fold = fold_for(column.name for column in table.columns)
        self._columns = [
            column._replace(values=_marked(column, _OF_TARGET[column.name]))
            if column.name in _OF_TARGET
            else column
            for column in table.stamped(stamp).columns
        ]
        self._templates: dict[bytes, _Template] = {}
        self._targets = TargetColumns()

    def csv_rows(self, chunk: Chunk, before: int) -> Iterator[bytes]:
        """Yield the rows of each line, in UTF-8; `before`: records in the chunks before."""
        known = self._templates
        folded = self._fold(chunk)
        unknown = list(dict.fromkeys(line for line, _ in folded if line not in known))
        made: dict[bytes, _Template | None] = {}
        if unknown:
            rows_of = zip(unknown, self._made(unknown), strict=True)
            made = {line: None if rows is None else _Template(rows) for line, rows in rows_of}
        for index, (line, texts) in enumerate(folded):
            template = known.get(line) or made[line]
            rows = None
            if template is not None and texts:
                rows = self._filled(template, texts)
            elif template is not None and not line.startswith(_MARKED):
                # Otherwise by a character that no address has.
                rows = template.rows
            yield self._alone(chunk, index, before) if rows is None else rows
        if len(known) >= _KEPT_TEMPLATES:
            known.clear()
        for line, template in made.items():
            if template is not None and len(line) <= _LARGEST_KEPT and line.startswith(_MARKED):
                known[line] = template

    def _filled(self, template: _Template, texts: Sequence[bytes]) -> bytes | None:
        """Return rows with texts in place of their marks, None if the target is not an address."""
        try:
            _, sort_key, prefix = self._targets.of(texts[0])
        except ValueError:
            return None
        return template.filled((prefix, sort_key, *texts))

    def _made(self, lines: Sequence[bytes]) -> Sequence[bytes | None]:
        """Return the rows of each line, with its marks if it has any; None if it is no record."""
        with suppress(*FORM_ERRORS):
            records = parse_records(lines)
            if records is not None:
                return csv_rows(records, self._columns, flat=self._flat)
        return [None] if len(lines) == 1 else [self._made([line])[0] for line in lines]

    def _alone(self, chunk: Chunk, index: int, before: int) -> bytes:
        """Return the rows of a line that no template fits. Raises InputError if it is no record."""
        record = chunk.record(index)
        try:
            return csv_rows([record], self._columns, flat=self._flat)[0]
        except FORM_ERRORS as error:
            raise form_error(before + index + 1, record, error) from error


def _marked(column: Column, mark: str) -> Callable[..., list[Any]]:
    """Return what gives the values of a column, with a mark where the target is one."""

    def values(records: Sequence[Record], findings: Sequence[Finding]) -> list[Any]:
        marked = [record["target"] == TARGET_MARK for record in records]
        if not any(marked):
            return column.values(records, findings)
        return [
            mark if is_marked else column.values([record], findings)[0]
            for record, is_marked in zip(records, marked, strict=True)
        ]

    return values


class _Template:
    """Rows with marks, as they are and as a format for the texts in place of the marks."""

    __slots__ = ("_format", "_order", "rows")

    def __init__(self, rows: bytes) -> None:
        self.rows = rows
        pieces = _ANY_MARK.split(rows.replace(b"%", b"%%"))
        self._format = b"%b".join(pieces[::2])
        # The places of prefix, sort key and texts; rows with texts have several of these.
        marks = [_PLACES[mark] for mark in pieces[1::2]]
        self._order: Callable[[tuple[bytes, ...]], tuple[bytes, ...]] = itemgetter(*(marks or [0]))

    def filled(self, values: tuple[bytes, ...]) -> bytes:
        """Return the rows with values in place of their marks, in the order of _ANY_MARKS."""
        return self._format % self._order(values)
