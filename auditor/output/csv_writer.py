"""Flat tables as CSV (RFC 4180), guarded against formula injection in spreadsheets (CWE-1236).

UTF-8, CRLF, a header; null is an empty cell, a list is joined by blanks, labels are JSON, a time
is ISO 8601 in UTC.

PTR names, labels and invalid lines are untrusted. A spreadsheet evaluates a cell that begins with
`=`, `+`, `-`, `@`, `|` or `%`, some even after blanks, and one that expects another separator than
the comma takes a part of a cell for a cell. So an apostrophe, which marks text in spreadsheets, is
put before such a character, or before quotes and blanks of any kind and such a character, at the
beginning of a text and after `;`, `|`, tab and line ends in it. It is also put before an apostrophe
there, so that removing one at each of these places gives back the text.
"""

from __future__ import annotations

import csv
import re
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import orjson

from auditor.output.columns import (
    FINDINGS,
    FORM_ERRORS,
    NO_RUN,
    TARGETS,
    check_keys,
    column_values,
    form_error,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime
    from typing import IO

    from auditor.output.columns import Column, Record, RunStamp, Table

__all__ = ["csv_header", "csv_rows", "csv_table", "guarded", "write_csv"]

#: Characters that begin a formula, including the full-width forms of East Asian keyboards.
_BLANK: Final = (
    r"""[\s"\x00-\x1f\x7f-\xa0\xad\u200b-\u200f\u2028-\u202f\u205f-\u206f\u3000\ufeff]"""
)
_RISKY: Final = rf"""(?:{_BLANK}*[=+\-@|%'\uff1d\uff0b\uff0d\uff20]|"*[\t\r\n])"""
_FIRST: Final = re.compile(_RISKY)
_SEPARATOR: Final = r"[;|\t\r\n]"
_INSIDE: Final = re.compile(rf"({_SEPARATOR})(?={_RISKY})")
#: A text that begins so and has no separator in it needs no guard.
_HARMLESS: Final = re.compile(r"[0-9A-Za-z_][^;|\t\r\n]*")


def csv_table(*, flat: bool, added: Iterable[Column] = ()) -> Table:
    """Return the columns of a CSV file of records: all that are readable as text.

    `added`: more columns, such as those of labels.
    """
    return _readable((FINDINGS if flat else TARGETS).with_columns(added))


def _readable(table: Table) -> Table:
    columns = tuple(column for column in table.columns if column.kind != "address")
    return table._replace(columns=columns)


def write_csv(
    records: Iterable[Record],
    file: IO[bytes],
    *,
    flat: bool = False,
    table: Table | None = None,
    stamp: RunStamp = NO_RUN,
) -> int:
    """Write records as CSV, one row each, or one a finding if `flat`; return their number.

    `table`: another one than that of plain records; `stamp`: of the run of all records. Raises
    InputError for an invalid record, OSError if `file` cannot be written.
    """
    table = _readable(table or (FINDINGS if flat else TARGETS)).stamped(stamp)
    file.write(csv_header(table.columns))
    number = 0
    for number, record in enumerate(records, 1):
        try:
            file.write(*csv_rows([record], table.columns, flat=flat, keys=table.keys))
        except FORM_ERRORS as error:
            raise form_error(number, record, error) from error
    return number


def csv_header(columns: Sequence[Column]) -> bytes:
    """Return the first line of a CSV file."""
    return _lines([[column.name for column in columns]])[0].encode()


def csv_rows(
    records: Sequence[Record],
    columns: Sequence[Column],
    *,
    flat: bool,
    keys: frozenset[str] = TARGETS.keys,
) -> list[bytes]:
    """Return the rows of each record, in UTF-8. Raises one of FORM_ERRORS for an invalid record."""
    check_keys(records, keys)
    values = column_values(records, columns, flat=flat)
    cells = [_CELLS[column.kind](value) for column, value in zip(columns, values, strict=True)]
    lines = _lines(zip(*cells, strict=True))
    if flat:
        rest = iter(lines)
        lines = ["".join(islice(rest, len(record["findings"]) or 1)) for record in records]
    return [line.encode() for line in lines]


def _lines(rows: Iterable[Iterable[Any]]) -> list[str]:
    lines = _Lines()
    csv.writer(lines, lineterminator="\r\n").writerows(rows)
    return lines


class _Lines(list[str]):
    """A file that keeps what is written to it piece by piece: the writer writes a row at a time."""

    write = list.append


def guarded(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    # Nearly all texts are names or words, which are no formulas.
    if _HARMLESS.fullmatch(text):
        return text
    guard = "'" if _FIRST.match(text) else ""
    return guard + _INSIDE.sub(r"\1'", text)


def _texts(values: Sequence[str | None]) -> list[str | None]:
    return [None if value is None else guarded(value) for value in values]


def _lists(values: Sequence[Sequence[str] | None]) -> list[str | None]:
    return [None if value is None else guarded(" ".join(value)) for value in values]


def _labels(values: Sequence[Mapping[str, str]]) -> list[str]:
    return ["{}" if value == {} else guarded(orjson.dumps(value).decode()) for value in values]


def _times(values: Sequence[datetime | None]) -> list[str | None]:
    return [None if value is None else value.isoformat(timespec="milliseconds") for value in values]


def _numbers(values: list[Any]) -> list[Any]:
    for value in values:
        if value is not None and not isinstance(value, int | float):
            raise TypeError(f"expected a number, not {value!r}")
    return values


#: For each kind of column, the function that turns values into cells.
_CELLS: Final[dict[str, Callable[[list[Any]], list[Any]]]] = {
    "text": _texts,
    "texts": _lists,
    "labels": _labels,
    "count": _numbers,
    "number": _numbers,
    "time": _times,
}
