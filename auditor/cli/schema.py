"""`auditor schema`: prints the JSON Schema of a record."""

from __future__ import annotations

import click

from auditor.cli.console import print_data, print_json
from auditor.errors import UsageError
from auditor.output.database_schema import DATABASES, database_schema
from auditor.output.schema import record_schema
from auditor.output.sender_schema import sender_schema

__all__ = ["command"]


@click.command("schema", epilog="Example: auditor schema > record.schema.json")
@click.option(
    "--for",
    "database",
    type=click.Choice(DATABASES),
    help="As the table definition of a database, to load results.ndjson.",
)
@click.option("--senders", is_flag=True, help="Of a line of `auditor senders --json`.")
def command(*, database: str | None, senders: bool) -> None:
    """Print the JSON Schema (2020-12) of one line of `auditor scan`'s output."""
    if database is not None and senders:
        raise UsageError("--for says nothing with --senders: it is about results")
    if database is None:
        print_json(sender_schema() if senders else record_schema(), indent=True)
    else:
        print_data(database_schema(database))
