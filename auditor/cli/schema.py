"""`auditor schema`."""

from __future__ import annotations

import click
import orjson

from auditor.cli.streams import put
from auditor.output.schema import record_schema

__all__ = ["command"]


@click.command("schema", epilog="Example: auditor schema > record.schema.json")
def command() -> None:
    """Print the JSON Schema (2020-12) of one line of `auditor scan`'s output."""
    put(orjson.dumps(record_schema(), option=orjson.OPT_INDENT_2).decode())
