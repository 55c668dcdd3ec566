"""The record's schema as table definitions for DuckDB, ClickHouse and polars.

Made from the JSON Schema, so that they include the keys of later versions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from auditor.output.schema import record_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["DATABASES", "database_schema"]


class _Dialect(NamedTuple):
    """How types are written, with `{}` for what they hold; `member` is one of a structure.

    `text_map`: a map of text to text, "" where there are none.
    """

    scalars: Mapping[str, str]
    list_of: str
    struct: str
    member: str
    text_map: str
    nullable: str = "{}"


_DUCKDB: Final = _Dialect(
    {"string": "VARCHAR", "integer": "BIGINT", "number": "DOUBLE", "boolean": "BOOLEAN"},
    list_of="{}[]",
    struct="STRUCT({})",
    member='"{}" {}',
    text_map="MAP(VARCHAR, VARCHAR)",
)
_CLICKHOUSE: Final = _Dialect(
    {"string": "String", "integer": "Int64", "number": "Float64", "boolean": "Bool"},
    list_of="Array({})",
    struct="Tuple({})",
    member="`{}` {}",
    text_map="Map(String, String)",
    nullable="Nullable({})",
)
_POLARS: Final = _Dialect(
    {"string": "pl.String", "integer": "pl.Int64", "number": "pl.Float64", "boolean": "pl.Boolean"},
    list_of="pl.List({})",
    struct="pl.Struct({{{}}})",
    member='"{}": {}',
    text_map="",
)


def _duckdb() -> str:
    columns = ",\n".join(f"    \"{key}\": '{kind}'" for key, kind in _columns(_DUCKDB).items())
    return (
        "CREATE TABLE records AS\n"
        f"SELECT * FROM read_ndjson('results.ndjson', columns = {{\n{columns}\n}});"
    )


def _clickhouse() -> str:
    columns = ",\n".join(f"    `{key}` {kind}" for key, kind in _columns(_CLICKHOUSE).items())
    return (
        f"CREATE TABLE records (\n{columns}\n) ENGINE = MergeTree ORDER BY target;\n"
        "-- clickhouse-client --input_format_null_as_default 1 \\\n"
        "--     --query 'INSERT INTO records FORMAT JSONEachRow' < results.ndjson"
    )


def _polars() -> str:
    columns = "".join(f'    "{key}": {kind},\n' for key, kind in _columns(_POLARS).items() if kind)
    return (
        "import polars as pl\n\n"
        "# Without labels, whose keys are your own: add them as a pl.Struct.\n"
        f"RECORD = {{\n{columns}}}\n"
        'records = pl.read_ndjson("results.ndjson", schema=RECORD)'
    )


_MADE: Final[Mapping[str, Callable[[], str]]] = {
    "duckdb": _duckdb,
    "clickhouse": _clickhouse,
    "polars": _polars,
}

#: The supported databases, with their generators.
DATABASES: Final = tuple(_MADE)


def database_schema(database: str) -> str:
    """Return the definition of a table of records for a database of `DATABASES`."""
    return _MADE[database]()


def _columns(dialect: _Dialect) -> dict[str, str]:
    properties: Mapping[str, Any] = record_schema()["properties"]
    return {key: _type_of(schema, dialect) for key, schema in properties.items()}


def _type_of(schema: Mapping[str, Any], dialect: _Dialect) -> str:
    """Return the column type for a JSON Schema."""
    for choice in schema.get("anyOf", ()):
        # A structure that may be null: then its members are null.
        if choice.get("type") != "null":
            return _type_of(choice, dialect)
    kind = schema.get("type", "string")  # an enumeration is one of texts
    if kind == "array":
        return dialect.list_of.format(_type_of(schema["items"], dialect))
    if kind == "object" and "properties" in schema:
        members = [
            dialect.member.format(key, _type_of(member, dialect))
            for key, member in schema["properties"].items()
        ]
        return dialect.struct.format(", ".join(members))
    if kind == "object":
        return dialect.text_map
    if isinstance(kind, list):
        (scalar,) = (name for name in kind if name != "null")
        return dialect.nullable.format(dialect.scalars[scalar])
    return dialect.scalars[kind]
