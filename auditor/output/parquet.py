"""Records as Parquet: typed, described, compressed; pyarrow does the work and is optional.

The table of records has a row for each, with the keys of the record as columns (so its types
come from the JSON Schema), nested as they are, and columns to sort and group by: `address`,
`sort_key`, `prefix`, the run, and labels. The flat one has a row for each finding. All columns may
be null.

Differences from the JSON: `labels` is a map, `addresses_v6` a double (up to 2^128, for which no
tool has an integer), and `trace` is null without `--trace`.
"""

from __future__ import annotations

from functools import partial
from itertools import accumulate, chain, islice
from operator import itemgetter
from typing import IO, TYPE_CHECKING, Any, Final, Self

from auditor.output.arrow import parquet_writer, pyarrow
from auditor.output.columns import (
    ADDRESS,
    FINDINGS,
    FORM_ERRORS,
    NO_RUN,
    PREFIX,
    RUN_COLUMNS,
    SORT_KEY,
    TARGETS,
    Column,
    Table,
    check_keys,
    column_values,
    form_error,
)
from auditor.output.schema import record_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from types import TracebackType

    from auditor.output.columns import RunStamp

__all__ = [
    "OF_TARGET",
    "RowGroups",
    "arrow_schema",
    "column_array",
    "made_batch",
    "parquet_table",
    "write_parquet",
]

#: Records converted to Arrow at a time: at first, at most, and in octets of Arrow.
_FIRST_BATCH_ROWS: Final = 16
_BATCH_ROWS: Final = 512
_BATCH_OCTETS: Final = 1 << 22
#: Most rows and octets of Arrow in a row group, which is held in memory.
_GROUP_ROWS: Final = 16_384
_GROUP_OCTETS: Final = 1 << 26
#: Octets of distinct values up to which a column is dictionary-encoded. Most columns have few
#: distinct values; names differ in each row, and a dictionary of them only costs time and space.
_DICTIONARY_OCTETS: Final = 1 << 14

#: The column whose values, up to 2^128, exceed the integers of any tool.
_DOUBLE: Final = "addresses_v6"

_PROPERTIES: Final[Mapping[str, Any]] = record_schema()["properties"]
#: The columns computed from the target.
OF_TARGET: Final = {column.name: column for column in (ADDRESS, SORT_KEY, PREFIX)}
_LISTS: Final = frozenset({list, type(None)})

#: Descriptions of keys that have none in the JSON Schema, where the name or the parent explains.
_WORDS: Final = {
    "target": "The address, domain or line",
    "kind": "ip, domain or invalid",
    "verdict": "pass, warn, unknown or fail",
    "labels": "The other columns of the input line",
    "error": "What was wrong with an invalid line",
    "code": "A code of the catalogue: auditor explain CODE",
    "severity": "info, notice, warning or error",
    "result": "Result of the check",
    "name": "A DNS name, lower case, without the final dot",
    "confirms": "Whether the name has the address",
    "identity": "helo or mailfrom",
    "domain": "The domain of the policy",
    "record": "The policy of the domain, as published",
    "preference": "Of the MX record; the lowest is tried first",
    "address": "An IP address",
    "type": "The type of the question",
    "server": "Which name server answered",
    "transport": "udp, tcp or another transport of the engine",
    "attempts": "Queries sent for the answer",
    "rtt_ms": "Milliseconds from the last query to the answer",
    "ttl": "Seconds that the answer may be kept",
    "cached": "Whether the answer came from the cache",
    "text": "The server's explanation",
}


def parquet_table(*, flat: bool = False, added: Iterable[Column] = ()) -> Table:
    """Return the columns of a table of records, or of findings if `flat`.

    `added`: more columns, such as those of labels.
    """
    if flat:
        return FINDINGS.with_columns(added)
    keys = (Column(name, "nested", "", _of_key(name)) for name in _PROPERTIES)
    columns = (*keys, *OF_TARGET.values(), *RUN_COLUMNS)
    return Table(columns, TARGETS.keys).with_columns(added)


def arrow_schema(table: Table) -> Any:
    """Return the pyarrow.Schema of a table; each field has a `description` in its metadata.

    Raises UsageError if pyarrow is not installed.
    """
    pa = pyarrow()
    return pa.schema([_column(pa, column) for column in table.columns])


def write_parquet(
    records: Iterable[Mapping[str, Any]],
    file: IO[bytes],
    *,
    flat: bool = False,
    notes: Mapping[str, str] | None = None,
    table: Table | None = None,
    stamp: RunStamp = NO_RUN,
) -> int:
    """Write records as Parquet, one row each, or one a finding if `flat`; return their number.

    `notes` go into the metadata of the file; `table`: another one than that of plain records;
    `stamp`: of the run of all records. Raises InputError for an invalid record, OSError if `file`
    cannot be written, UsageError if pyarrow is not installed.
    """
    table = (table or parquet_table(flat=flat)).stamped(stamp)
    schema = arrow_schema(table)
    source = iter(records)
    number = 0
    with RowGroups(file, schema, notes) as groups:
        take = _FIRST_BATCH_ROWS
        while batch := list(islice(source, take)):
            made = made_batch(batch, schema, table, number, flat=flat)
            groups.add_batch(made)
            number += len(batch)
            # After large records, the next ones are likely to be large, too.
            take = min(_BATCH_ROWS, 1 + _BATCH_OCTETS * len(batch) // max(made.nbytes, 1))
    return number


class RowGroups:
    """Writes record batches to a file, in row groups of bounded size. Use it in a `with`."""

    def __init__(self, file: IO[bytes], schema: Any, notes: Mapping[str, str] | None) -> None:
        self._pa = pyarrow()
        schema = schema.with_metadata(dict(notes or {}))
        self._writer = parquet_writer(
            file, schema, compression="zstd", dictionary_pagesize_limit=_DICTIONARY_OCTETS
        )
        self._group: list[Any] = []
        self._rows = self._octets = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        try:
            if self._group and error is None:
                self._write()
        finally:
            self._writer.close()

    def add_batch(self, batch: Any) -> None:
        """Take a pyarrow.RecordBatch. Raises OSError if the file cannot be written."""
        self._group.append(batch)
        self._rows += batch.num_rows
        self._octets += batch.nbytes
        if self._rows >= _GROUP_ROWS or self._octets >= _GROUP_OCTETS:
            self._write()

    def _write(self) -> None:
        table = self._pa.Table.from_batches(self._group)
        self._writer.write_table(table, row_group_size=self._rows)
        self._group, self._rows, self._octets = [], 0, 0


def made_batch(
    batch: Sequence[Mapping[str, Any]], schema: Any, table: Table, before: int, *, flat: bool
) -> Any:
    """Return a pyarrow.RecordBatch of records; `before`: the number of records before them.

    Raises InputError for an invalid record.
    """
    make = partial(_batch, pyarrow(), schema=schema, table=table, flat=flat)
    try:
        return make(batch)
    except FORM_ERRORS:
        # The message names the faulty column, which the user can fix.
        for number, record in enumerate(batch, before + 1):
            try:
                make([record])
            except FORM_ERRORS as error:
                raise form_error(number, record, error) from error
        raise


def _batch(
    pa: Any, batch: Sequence[Mapping[str, Any]], *, schema: Any, table: Table, flat: bool
) -> Any:
    check_keys(batch, table.keys)
    columns = column_values(batch, table.columns, flat=flat)
    arrays = [
        column_array(pa, values, field.type) for field, values in zip(schema, columns, strict=True)
    ]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _of_key(name: str) -> Callable[..., list[Any]]:
    if name == "trace":
        return lambda records, _: [record.get("trace") for record in records]
    return lambda records, _: [record[name] for record in records]


def column_array(pa: Any, values: Sequence[Any], kind: Any) -> Any:
    """Return the Arrow array of values, built key by key: far faster than from nested objects."""
    if pa.types.is_struct(kind):
        return _structs(pa, values, kind)
    if pa.types.is_list(kind):
        return _lists(pa, values, kind)
    if pa.types.is_map(kind):
        values = [list(value.items()) for value in values]
    elif pa.types.is_floating(kind):
        # Arrow would not round a number for itself.
        values = [float(value) if type(value) is int else value for value in values]
    return pa.array(values, kind)


def _structs(pa: Any, values: Sequence[Any], kind: Any) -> Any:
    """Return an array of objects, each with two keys or more."""
    if all(value is None for value in values):
        return pa.nulls(len(values), kind)
    fields = [kind.field(index) for index in range(kind.num_fields)]
    names = [field.name for field in fields]
    empty = dict.fromkeys(names)
    known = [empty if value is None else value for value in values]
    columns = zip(*map(itemgetter(*names), known), strict=True)
    arrays = [
        column_array(pa, column, field.type) for field, column in zip(fields, columns, strict=True)
    ]
    return pa.Array.from_buffers(kind, len(values), [_validity(pa, values)], children=arrays)


def _lists(pa: Any, values: Sequence[Any], kind: Any) -> Any:
    if not _LISTS.issuperset(map(type, values)):
        raise TypeError("expected a list")
    if all(value is None for value in values):
        return pa.nulls(len(values), kind)
    known = [value or () for value in values]
    items = column_array(pa, list(chain.from_iterable(known)), kind.value_type)
    ends = pa.array([0, *accumulate(map(len, known))], pa.int32())
    buffers = [_validity(pa, values), ends.buffers()[1]]
    return pa.Array.from_buffers(kind, len(values), buffers, children=[items])


def _validity(pa: Any, values: Sequence[Any]) -> Any:
    """Return the bitmap of the values that are not null, None if all are.

    pyarrow could make it from a mask, but would load all of `pyarrow.compute` for that.
    """
    known = [value is not None for value in values]
    return None if all(known) else pa.array(known, pa.bool_()).buffers()[1]


def _column(pa: Any, column: Column) -> Any:
    if column.kind == "nested":
        return _field(pa, column.name, _PROPERTIES[column.name])
    types = {
        "text": pa.string(),
        "texts": pa.list_(pa.string()),
        "count": pa.int64(),
        "number": pa.float64(),
        "labels": pa.map_(pa.string(), pa.string()),
        "address": pa.binary(16),
        "time": pa.timestamp("ms", tz="UTC"),
    }
    described = {"description": column.description}
    return pa.field(column.name, types[column.kind], metadata=described)


def _field(pa: Any, name: str, schema: Mapping[str, Any]) -> Any:
    """Return the field for a key of the record, from its JSON Schema."""
    schema = schema["anyOf"][0] if "anyOf" in schema else schema
    described = schema.get("description") or _WORDS.get(name)
    return pa.field(
        name,
        pa.float64() if name == _DOUBLE else _type(pa, schema),
        metadata={"description": described} if described else None,
    )


def _type(pa: Any, schema: Mapping[str, Any]) -> Any:
    """Return the Arrow type for a JSON Schema without `anyOf`."""
    # An enumeration has texts, and of two types the other is null.
    named = schema.get("type", "string")
    named = named if isinstance(named, str) else named[0]
    if named == "array":
        return pa.list_(_field(pa, "element", schema["items"]))
    if named == "object" and "properties" in schema:
        return pa.struct([_field(pa, name, child) for name, child in schema["properties"].items()])
    if named == "object":
        return pa.map_(pa.string(), pa.string())
    plain = {
        "string": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
    }
    return plain[named]
