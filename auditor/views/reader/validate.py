"""Validates records: the JSON Schema of `auditor schema`, compiled.

It looks at many records at a time, key by key, which is several hundred times as fast as a general
validator, and knows only what that schema uses: types, required keys, lists, enumerations and
"or null". Other keys are allowed, as are unknown codes of findings: a newer version
may have written them. Keys that results of before version 1.0 of the record lack may be
missing: `complete` adds them.
"""

from __future__ import annotations

from functools import cache
from itertools import chain
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from auditor.output.schema import record_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = ["compiled", "complete", "records_fault"]

#: Returns "" for valid values, else the path to the fault in one of them.
_Check: TypeAlias = "Callable[[Sequence[Any]], str]"

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}
_HERE: Final = "."
_OBJECT: Final = frozenset({dict})
_ARRAY: Final = frozenset({list})
#: Keys that results of before version 1.0 of the record lack.
_ADDED: Final = frozenset({"helo", "owner", "zone"})


def records_fault(values: Sequence[object]) -> str:
    """Return "" if all are records, else the path to the fault in one, `.` for the whole."""
    return _several(_records(), values)


def complete(record: dict[str, Any]) -> None:
    """Add what a record of before version 1.0 lacks, as null: it is not known."""
    record.setdefault("helo", None)
    _complete_ptr(record)
    if record["domain"]:
        for address in record["domain"]["addresses"]["list"]:
            _complete_ptr(address)
        for host in record["domain"]["mx"]["hosts"]:
            for address in host["addresses"]:
                _complete_ptr(address)


def _complete_ptr(holder: dict[str, Any]) -> None:
    ptr = holder["ptr"]
    if ptr:
        ptr.setdefault("owner", None)
        ptr.setdefault("zone", None)


@cache
def _records() -> _Check:
    return compiled(record_schema())


def compiled(schema: Mapping[str, Any]) -> _Check:
    """Return a function that validates values by a schema, as `records_fault` does."""
    if "anyOf" in schema:
        return _or_null(compiled(schema["anyOf"][0]))
    if "enum" in schema:
        return _enumeration(frozenset(schema["enum"]))
    if schema["type"] == "array":
        return _list(compiled(schema["items"]))
    if "properties" in schema:
        return _object(schema)
    if schema["type"] == "object":
        return _mapping(_plain(schema["additionalProperties"]))
    return _plain(schema)


def _plain(schema: Mapping[str, Any]) -> _Check:
    names = schema["type"]
    names = [names] if isinstance(names, str) else names
    # A whole number beyond 64 bits comes as a float.
    names = [*names, "number"] if "integer" in names else names
    types = frozenset(kind for name in names for kind in _TYPES[name])
    return lambda values: _typed(values, types)


def _typed(values: Iterable[Any], types: frozenset[type]) -> str:
    return "" if types.issuperset(map(type, values)) else _HERE


def _enumeration(allowed: frozenset[str]) -> _Check:
    def fault(values: Sequence[Any]) -> str:
        try:
            return "" if allowed.issuperset(values) else _HERE
        except TypeError:  # a list or an object, which no set takes
            return _HERE

    return fault


def _or_null(check: _Check) -> _Check:
    return lambda values: _several(check, [value for value in values if value is not None])


def _list(check: _Check) -> _Check:
    return lambda values: (
        _typed(values, _ARRAY) or _several(check, list(chain.from_iterable(values)))
    )


def _mapping(check: _Check) -> _Check:
    return lambda values: (
        _typed(values, _OBJECT) or _several(check, [v for value in values for v in value.values()])
    )


def _several(check: _Check, values: Sequence[Any]) -> str:
    return check(values) if values else ""


def _object(schema: Mapping[str, Any]) -> _Check:
    """Return the check for objects, which have two required keys or more."""
    checks = {key: compiled(inner) for key, inner in schema["properties"].items()}
    required = [key for key in schema["required"] if key not in _ADDED]
    optional = sorted(checks.keys() - set(required))
    values_of = itemgetter(*required)

    def fault(values: Sequence[Any]) -> str:
        if wrong := _typed(values, _OBJECT):
            return wrong
        try:
            columns = list(zip(*map(values_of, values), strict=True))
        except KeyError as error:
            return str(error.args[0])
        for key, column in zip(required, columns, strict=True):
            if wrong := checks[key](column):
                return _below(key, wrong)
        for key in optional:
            present = [value[key] for value in values if key in value]
            if wrong := _several(checks[key], present):
                return _below(key, wrong)
        return ""

    return fault


def _below(key: str, wrong: str) -> str:
    return key if wrong == _HERE else f"{key}.{wrong}"
