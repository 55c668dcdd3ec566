"""Records as Parquet: typed, described, compressed; pyarrow does the work and is optional.

The table of records has a row for each, with the keys of the record as columns (so its types
come from the JSON Schema), nested as they are, and two more that sort and group: `address` and
`prefix`. The flat one has a row for each finding. All columns may be null.

What differs from the JSON: `labels` is a map, `addresses_v6` a double (there are 2^128 of
them, and no tool has an integer for that), and `trace` is null if it was not asked for.
"""

from __future__ import annotations

from itertools import islice
from typing import IO, TYPE_CHECKING, Any, Final

from auditor.errors import UsageError
from auditor.output.columns import (
    ADDRESS,
    FINDINGS,
    MISFITS,
    PREFIX,
    check_keys,
    misfit,
    rows,
)
from auditor.output.schema import record_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from auditor.output.columns import Column

__all__ = ["arrow_schema", "write_parquet"]

#: Records that are made into Arrow at a time: first, at most, and in octets of Arrow.
_FIRST: Final = 16
_BATCH: Final = 512
_BATCH_OCTETS: Final = 1 << 22
#: What a row group holds at most, in rows and in octets of Arrow: that is what is in memory.
_GROUP_ROWS: Final = 65_536
_GROUP_OCTETS: Final = 1 << 26

#: Beyond the integers of any tool: up to 2^128.
_DOUBLE: Final = "addresses_v6"

#: What the JSON Schema need not say of a key, because its name or its parent does.
_WORDS: Final = {
    "target": "The address, domain or line",
    "kind": "ip, domain or invalid",
    "verdict": "pass, warn, unknown or fail",
    "labels": "The other columns of the input line",
    "error": "What was wrong with an invalid line",
    "code": "A code of the catalogue: auditor explain CODE",
    "severity": "info, notice, warning or error",
    "result": "What the check came to",
    "name": "A DNS name, lower case, without the final dot",
    "confirms": "Whether the name leads back to the address",
    "identity": "helo or mailfrom",
    "domain": "Whose policy it is",
    "record": "The policy of the domain, as published",
    "preference": "Of the MX record; the lowest is tried first",
    "address": "An IP address",
    "type": "The type of the question",
    "server": "Which name server answered",
    "transport": "udp, tcp or what else the engine used",
    "attempts": "Queries it took",
    "rtt_ms": "Milliseconds from the last query to the answer",
    "ttl": "Seconds that the answer may be kept",
    "cached": "Whether the answer was there already",
    "text": "What the server says in words",
}


def arrow_schema(*, flat: bool = False) -> Any:
    """Return the pyarrow.Schema; each field has a `description` in its metadata.

    Raises UsageError if pyarrow is not installed.
    """
    pa = _pyarrow()
    if flat:
        return pa.schema([_column(pa, column) for column in FINDINGS])
    properties = dict(record_schema()["properties"])
    fields = [_field(pa, name, schema) for name, schema in properties.items()]
    return pa.schema([*fields, _column(pa, ADDRESS), _column(pa, PREFIX)])


def write_parquet(
    records: Iterable[Mapping[str, Any]],
    file: IO[bytes],
    *,
    flat: bool = False,
    notes: Mapping[str, str] | None = None,
) -> int:
    """Write records as Parquet, one row each, or one a finding if `flat`; return their number.

    `notes` go into the metadata of the file. Raises InputError for what is no record, OSError
    if `file` takes no more, UsageError if pyarrow is not installed.
    """
    pa = _pyarrow()
    from pyarrow import parquet  # noqa: PLC0415 - loaded on use

    schema = arrow_schema(flat=flat).with_metadata(dict(notes or {}))
    source = iter(records)
    number = 0
    with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
        group: list[Any] = []
        held = size = 0
        take = _FIRST
        while batch := list(islice(source, take)):
            made = _made(pa, batch, schema, number, flat=flat)
            group.append(made)
            number, held, size = number + len(batch), held + made.num_rows, size + made.nbytes
            # Where records are large, the next ones are likely to be, too.
            take = min(_BATCH, 1 + _BATCH_OCTETS * len(batch) // max(made.nbytes, 1))
            if held >= _GROUP_ROWS or size >= _GROUP_OCTETS:
                writer.write_table(pa.Table.from_batches(group), row_group_size=held)
                group, held, size = [], 0, 0
        if group:
            writer.write_table(pa.Table.from_batches(group))
    return number


def _made(
    pa: Any, batch: Sequence[Mapping[str, Any]], schema: Any, before: int, *, flat: bool
) -> Any:
    """Return a pyarrow.RecordBatch of the records; `before` were there before them."""
    make = _flat_batch if flat else _record_batch
    try:
        return make(pa, batch, schema)
    except MISFITS:
        # Which of them it is, and only that one, is what somebody can mend.
        for number, record in enumerate(batch, before + 1):
            try:
                make(pa, [record], schema)
            except MISFITS as error:
                raise misfit(number, record, error) from error
        raise


def _record_batch(pa: Any, batch: Sequence[Mapping[str, Any]], schema: Any) -> Any:
    for record in batch:
        check_keys(record)
    columns = []
    for field in schema:
        if field.name == ADDRESS.name:
            values = [ADDRESS.value(record, None) for record in batch]
        elif field.name == PREFIX.name:
            values = [PREFIX.value(record, None) for record in batch]
        elif field.name == "labels":
            values = [list(record["labels"].items()) for record in batch]
        elif field.name == "domain":
            values = [_with_double(record["domain"]) for record in batch]
        elif field.name == "trace":
            values = [record.get("trace") for record in batch]
        else:
            values = [record[field.name] for record in batch]
        columns.append(pa.array(values, field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _flat_batch(pa: Any, batch: Sequence[Mapping[str, Any]], schema: Any) -> Any:
    for record in batch:
        check_keys(record)
    found = [row for record in batch for row in rows(record, FINDINGS, flat=True)]
    columns = []
    for column, field, values in zip(FINDINGS, schema, zip(*found, strict=True), strict=True):
        given: Sequence[Any] = values
        if column.kind == "labels":
            given = [list(each.items()) for each in values]
        elif column.kind == "number":
            given = [None if each is None else float(each) for each in values]
        columns.append(pa.array(given, field.type))
    return pa.RecordBatch.from_arrays(columns, schema=schema)


def _with_double(domain: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    """Return the facts of a domain with the number that Arrow would not round for itself."""
    if domain is None or type(domain["spf"][_DOUBLE]) is not int:
        return domain
    return {**domain, "spf": {**domain["spf"], _DOUBLE: float(domain["spf"][_DOUBLE])}}


def _pyarrow() -> Any:
    try:
        import pyarrow as pa  # noqa: PLC0415 - half a second of CPU, and optional
    except ImportError:
        raise UsageError(
            "Parquet needs pyarrow: pip install 'auditor[parquet]' (CSV does not)"
        ) from None
    return pa


def _column(pa: Any, column: Column) -> Any:
    types = {
        "text": pa.string(),
        "texts": pa.list_(pa.string()),
        "count": pa.int64(),
        "number": pa.float64(),
        "labels": pa.map_(pa.string(), pa.string()),
        "address": pa.binary(16),
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
    # An enumeration is of texts, and the other type of a list of two is null.
    named = schema.get("type", "string")
    named = named if isinstance(named, str) else named[0]
    if named == "array":
        return pa.list_(_field(pa, "element", schema["items"]))
    if named == "object" and "properties" in schema:
        return pa.struct([_field(pa, name, each) for name, each in schema["properties"].items()])
    if named == "object":
        return pa.map_(pa.string(), pa.string())
    plain = {
        "string": pa.string(),
        "integer": pa.int64(),
        "number": pa.float64(),
        "boolean": pa.bool_(),
    }
    return plain[named]
