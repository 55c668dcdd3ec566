"""Parts that the JSON Schemas of records and of other lines are made of."""

from __future__ import annotations

from typing import Any

__all__ = ["list_of", "object_of", "or_null"]


def object_of(described: str, **properties: object) -> dict[str, Any]:
    """Return the schema of an object with all of these keys; later versions may add some."""
    return {
        "type": "object",
        "description": described,
        "properties": properties,
        "required": list(properties),
    }


def list_of(of: object, described: str) -> dict[str, Any]:
    """Return the schema of a list."""
    return {"type": "array", "items": of, "description": described}


def or_null(schema: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of a value that may also be null."""
    return {"anyOf": [schema, {"type": "null"}]}
