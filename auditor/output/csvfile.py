"""Flat tables as CSV (RFC 4180), for spreadsheets too, which take a text for a formula.

UTF-8, CRLF, a header; null is an empty cell, a list is joined by blanks, labels are JSON.

PTR names, labels and lines that are no targets come from anybody. A spreadsheet runs a cell
that begins with `=`, `+`, `-` or `@` (CWE-1236), and one that expects another separator than
the comma takes a part of a cell for a cell. So an apostrophe, which spreadsheets take for "this
is text", stands before such a character, or quotes and such a character, at the beginning of a
text and after `;`, `|`, tab and line ends in it. It also stands before an apostrophe there, so
that taking one away at each of these places gives back the text.
"""

from __future__ import annotations

import csv
import io
import re
from typing import TYPE_CHECKING, Any, Final

import orjson

from auditor.output.columns import FINDINGS, MISFITS, TARGETS, check_keys, misfit, rows

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import IO

    from auditor.output.columns import Column

__all__ = ["csv_columns", "guarded", "write_csv"]

#: What makes a formula, in the wide forms of East Asian keyboards too.
_RISKY: Final = r""""*[=+\-@\t\r\n'\uff1d\uff0b\uff0d\uff20]"""
_FIRST: Final = re.compile(_RISKY)
_SEPARATOR: Final = re.compile(r"[;|\t\r\n]")
_INSIDE: Final = re.compile(rf"({_SEPARATOR.pattern})(?={_RISKY})")


def csv_columns(*, flat: bool) -> tuple[Column, ...]:
    """Return the columns of a CSV file: all that a person can read."""
    columns = FINDINGS if flat else TARGETS
    return tuple(column for column in columns if column.kind != "address")


def write_csv(records: Iterable[Mapping[str, Any]], file: IO[bytes], *, flat: bool = False) -> int:
    """Write records as CSV, one row each, or one a finding if `flat`; return their number.

    Raises InputError for what is no record, OSError if `file` takes no more.
    """
    columns = csv_columns(flat=flat)
    text = io.TextIOWrapper(file, "utf-8", newline="")
    number = 0
    try:
        out = csv.writer(text, lineterminator="\r\n")
        out.writerow([column.name for column in columns])
        for number, record in enumerate(records, 1):
            try:
                check_keys(record)
                lines = [
                    [_cell(value, column.kind) for value, column in zip(row, columns, strict=True)]
                    for row in rows(record, columns, flat=flat)
                ]
            except MISFITS as error:
                raise misfit(number, record, error) from error
            out.writerows(lines)
    finally:
        text.detach()  # which flushes; `file` stays open
    return number


def guarded(text: str) -> str:
    """Return a text that no spreadsheet takes for a formula."""
    guard = "'" if _FIRST.match(text) else ""
    # Most texts are names, and have no separator at all.
    return guard + (_INSIDE.sub(r"\1'", text) if _SEPARATOR.search(text) else text)


def _cell(value: Any, kind: str) -> str | int | float | None:
    if value is None:
        return None
    if kind in {"count", "number"}:
        if not isinstance(value, int | float):
            raise TypeError(f"expected a number, not {value!r}")
        return value
    if kind == "texts":
        value = " ".join(value)
    elif kind == "labels":
        value = orjson.dumps(value).decode()
    return guarded(value)
