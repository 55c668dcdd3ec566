"""Records to make tables of, and what a table says, put back into records."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import orjson
from hypothesis import strategies as st

from auditor.output.schema import record_schema
from auditor.run.scan import Scan
from auditor.settings import Settings
from auditor.targets.stream import TargetStream
from support.fleet import FLEET

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

__all__ = ["fleet_lines", "fleet_records", "made_records", "put_back", "rounded"]

_TEXT = st.text(st.characters(codec="utf-8"), max_size=12)
_DOUBLE = "addresses_v6"
_KEYS = frozenset(record_schema()["properties"])


def fleet_lines(*files: str, zones: Path = FLEET / "zones", **options: Any) -> list[bytes]:
    """Return what a scan of target files of the example fleet writes."""
    stream = TargetStream([], [str(FLEET / name) for name in files])
    stream.check_inputs()
    lines: list[bytes] = []

    async def write(chunk: bytes) -> None:
        lines.extend(chunk.splitlines(keepends=True))

    asyncio.run(Scan(stream, Settings(zones=zones, **options)).audit_targets(write))
    return lines


def fleet_records(*, trace: bool = False) -> list[dict[str, Any]]:
    """Return the records of all targets of the example fleet."""
    lines = fleet_lines("targets.txt", "targets.csv", trace=trace)
    return [orjson.loads(line) for line in lines]


def made_records() -> st.SearchStrategy[dict[str, Any]]:
    """Return a strategy for whatever the JSON Schema calls a record, with a trace or without."""
    schema = record_schema()
    parts = {name: _values(name, each) for name, each in schema["properties"].items()}
    trace = parts.pop("trace")
    plain = st.fixed_dictionaries(parts, optional={"trace": trace})
    return st.builds(_with_target, plain, st.ip_addresses())


def put_back(row: Mapping[str, Any]) -> dict[str, Any]:
    """Return the record that a row of the table of records was made from."""
    record = {name: value for name, value in row.items() if name in _KEYS}
    record["labels"] = dict(record["labels"])
    if record["trace"] is None:
        del record["trace"]
    return record


def rounded(records: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return records with the one number as a table has it: a double."""
    found = orjson.loads(orjson.dumps(list(records)))
    for record in found:
        spf = record["domain"] and record["domain"]["spf"]
        if spf and spf[_DOUBLE] is not None:
            spf[_DOUBLE] = float(spf[_DOUBLE])
    return list(found)


def _with_target(record: dict[str, Any], address: object) -> dict[str, Any]:
    return {**record, "target": str(address)} if record["kind"] == "ip" else record


def _values(name: str, schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    """Return a strategy for what a part of the JSON Schema allows."""
    if "anyOf" in schema:
        return st.none() | _values(name, schema["anyOf"][0])
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    named = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    found = _of_type(name, named[0], schema)
    return st.none() | found if "null" in named else found


def _of_type(name: str, named: str, schema: Mapping[str, Any]) -> st.SearchStrategy[Any]:
    whole = st.integers(0, (1 << 63) - 1)
    plain = {
        "string": st.sampled_from(["NOERROR", "NXDOMAIN"]) if "pattern" in schema else _TEXT,
        "boolean": st.booleans(),
        "integer": whole | st.floats(2.0**63, 2.0**128) if name == _DOUBLE else whole,
        "number": st.floats(0, 1e9),
    }
    if named in plain:
        return plain[named]
    if named == "array":
        return st.lists(_values(name, schema["items"]), max_size=2)
    if "properties" not in schema:
        return st.dictionaries(_TEXT, _TEXT, max_size=3)
    properties = schema["properties"].items()
    return st.fixed_dictionaries({key: _values(key, each) for key, each in properties})
