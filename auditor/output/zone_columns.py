"""The flat tables of zone facts: one row a zone, or one row a finding about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from auditor.output.columns import (
    CODES,
    RUN_COLUMNS,
    Column,
    RunStamp,
    Table,
    finding_columns,
    of_line,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.output.columns import Finding, Record

__all__ = ["ZONES", "ZONE_FINDINGS"]

_KEYS: Final = frozenset(
    {
        *("zone", "parent", "soa", "parent_servers", "servers", "addresses", "findings"),
        *("mends", "contact"),
        *RunStamp._fields,  # added by the reader of the lines
    }
)


def _names(key: str) -> Callable[..., list[Any]]:
    """Return the names in a list of servers, each once."""

    def values(lines: Sequence[Record], _: Sequence[Finding]) -> list[Any]:
        return [sorted({row["name"] for row in line[key]}) for line in lines]

    return values


_ZONE: Final = (
    Column("zone", "text", "The apex of the zone", of_line("zone")),
    Column("parent", "text", "The zone above; null: not known", of_line("parent")),
    Column("addresses", "count", "Targets of the run that it holds", of_line("addresses")),
    Column("mends", "text", "Who can correct the problems: rir, isp or customer", of_line("mends")),
    Column("contact", "text", "The mail address to write to; null: not known", of_line("contact")),
)
_FINDING: Final = finding_columns("The zone, server or owner that the finding is about")
_FACTS: Final = (
    Column("soa_mname", "text", "The primary server", of_line("soa.mname")),
    Column("soa_rname", "text", "The mailbox to write to", of_line("soa.rname")),
    Column("soa_serial", "count", "The serial of the newest copy", of_line("soa.serial")),
    Column("parent_servers", "texts", "The servers of the zone above", _names("parent_servers")),
    Column("servers", "texts", "The servers of the zone", _names("servers")),
    *(column._replace(values=of_line(column.name)) for column in RUN_COLUMNS),
)

ZONES: Final = Table((*_ZONE, *CODES, *_FACTS), _KEYS)
ZONE_FINDINGS: Final = Table((*_ZONE, *_FINDING, *_FACTS), _KEYS)
