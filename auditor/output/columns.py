"""The flat tables: one row a target, or one row a finding, in columns that any tool can read.

A column says what it holds, in words too, and how it comes from a record. `csvfile.py` and
`parquet.py` write them; nested facts that do not fit a row are in Parquet's table of records.
"""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

from auditor.errors import InputError
from auditor.findings.catalogue import ENTRIES
from auditor.output.schema import record_schema
from auditor.targets.quoting import printable, quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

__all__ = [
    "ADDRESS",
    "FINDINGS",
    "MISFITS",
    "PREFIX",
    "TARGETS",
    "Column",
    "Kind",
    "check_keys",
    "misfit",
    "rows",
]

#: `text`, `texts` (a list of them), `count` (64 bits), `number` (a double), `labels` (text by
#: text), `address` (16 octets).
Kind = Literal["text", "texts", "count", "number", "labels", "address"]

#: What reading a record raises that has not got the form of one.
MISFITS: Final = (ArithmeticError, AttributeError, KeyError, TypeError, ValueError)

_TITLES: Final = {entry.code: entry.title for entry in ENTRIES}
_KEYS: Final = frozenset(record_schema()["properties"])
_MAPPED: Final = bytes(10) + b"\xff\xff"  # IPv4-mapped, RFC 4291 section 2.5.5.2
_V6_KEPT: Final = 6  # octets of a /48


class Column(NamedTuple):
    """One column; `value` takes the record and the finding that the row is about, or None."""

    name: str
    kind: Kind
    description: str
    value: Callable[[Mapping[str, Any], Any], Any]


def _octets(record: Mapping[str, Any]) -> bytes | None:
    """Return the 16 octets of an address, None for what is none."""
    if record["kind"] != "ip":
        return None
    text: str = record["target"]
    try:
        if ":" in text:
            return socket.inet_pton(socket.AF_INET6, text)
        return _MAPPED + socket.inet_pton(socket.AF_INET, text)
    except OSError:
        raise ValueError(f"{quoted(text)} is no address") from None


def _prefix(record: Mapping[str, Any]) -> str | None:
    octets = _octets(record)
    if octets is None:
        return None
    if ":" not in record["target"]:
        return f"{record['target'].rpartition('.')[0]}.0/24"
    return f"{socket.inet_ntop(socket.AF_INET6, octets[:_V6_KEPT].ljust(16, bytes(1)))}/48"


ADDRESS: Final = Column(
    "address",
    "address",
    "The address as 16 octets, IPv4 as ::ffff:a.b.c.d: sorts and compares as addresses do; "
    "null for other kinds",
    lambda record, _: _octets(record),
)
PREFIX: Final = Column(
    "prefix",
    "text",
    "The /24 (IPv4) or /48 (IPv6) that the address lies in; null for other kinds",
    lambda record, _: _prefix(record),
)

_WHO: Final = (
    Column("target", "text", "The address, domain or line", lambda r, _: r["target"]),
    Column("kind", "text", "ip, domain or invalid", lambda r, _: r["kind"]),
    Column("verdict", "text", "pass, warn, unknown or fail", lambda r, _: r["verdict"]),
    ADDRESS,
    PREFIX,
)
_CODES: Final = (
    Column(
        "codes",
        "texts",
        "The codes of all findings",
        lambda r, _: [finding["code"] for finding in r["findings"]],
    ),
)
_FINDING: Final = (
    Column("code", "text", "The finding; null: nothing was found", lambda _, f: f and f["code"]),
    Column(
        "severity",
        "text",
        "info, notice, warning or error",
        lambda _, f: f and f["severity"],
    ),
    Column(
        "title",
        "text",
        "The finding in words, as auditor explain has it",
        lambda _, f: f and _TITLES.get(f["code"]),
    ),
    Column(
        "subject",
        "text",
        "The name, address or domain that the finding is about",
        lambda _, f: f and f["subject"],
    ),
)
_FACTS: Final = (
    Column(
        "ptr_status", "text", "What DNS said to the PTR question", lambda r, _: _in(r, "ptr.status")
    ),
    Column("ptr_names", "texts", "The PTR names", lambda r, _: _in(r, "ptr.names")),
    Column(
        "iprev_result",
        "text",
        "Forward confirmation: pass, fail, temperror, permerror",
        lambda r, _: _in(r, "iprev.result"),
    ),
    Column(
        "spf_domains",
        "texts",
        "The domains whose SPF policies were checked for the address",
        lambda r, _: [each["domain"] for each in r["spf"]],
    ),
    Column(
        "spf_results",
        "texts",
        "The result of each, in the same order",
        lambda r, _: [each["result"] for each in r["spf"]],
    ),
    Column(
        "domain_addresses",
        "texts",
        "The addresses of a domain",
        lambda r, _: _each(r, "domain.addresses.list", "address"),
    ),
    Column("domain_mx", "texts", "Its MX hosts", lambda r, _: _each(r, "domain.mx.hosts", "name")),
    Column("domain_spf_record", "text", "Its SPF policy", lambda r, _: _in(r, "domain.spf.record")),
    Column(
        "domain_spf_lookups",
        "count",
        "DNS lookups on the longest path of the policy (limit 10)",
        lambda r, _: _in(r, "domain.spf.lookups"),
    ),
    Column(
        "domain_spf_voids",
        "count",
        "Lookups without an answer on the longest path (limit 2)",
        lambda r, _: _in(r, "domain.spf.voids"),
    ),
    Column(
        "domain_spf_addresses_v4",
        "count",
        "IPv4 addresses that the policy authorises",
        lambda r, _: _in(r, "domain.spf.addresses_v4"),
    ),
    Column(
        "domain_spf_addresses_v6",
        "number",
        "IPv6 addresses that the policy authorises",
        lambda r, _: _in(r, "domain.spf.addresses_v6"),
    ),
    Column("labels", "labels", "The other columns of the input line", lambda r, _: r["labels"]),
    Column("error", "text", "What was wrong with an invalid line", lambda r, _: r["error"]),
)

#: One row a target.
TARGETS: Final = (*_WHO, *_CODES, *_FACTS)
#: One row a finding, and one for each target without any.
FINDINGS: Final = (*_WHO, *_FINDING, *_FACTS)


def rows(
    record: Mapping[str, Any], columns: Sequence[Column], *, flat: bool
) -> list[tuple[Any, ...]]:
    """Return the values of columns for a record: one row, or one a finding if `flat`.

    Raises one of MISFITS if it is not like a record.
    """
    about = (record["findings"] or (None,)) if flat else (None,)
    return [tuple([column.value(record, each) for column in columns]) for each in about]


def check_keys(record: Mapping[str, Any]) -> None:
    """Raise KeyError for a key that no column would hold: what is there must not get lost."""
    if not record.keys() <= _KEYS:
        raise KeyError(f"{min(record.keys() - _KEYS)!r} is not known to this version")


def misfit(number: int, record: Mapping[str, Any], error: Exception) -> InputError:
    """Return the error for the `number`th record, which is not like one."""
    first = str(error.args[0] if error.args else error).partition("\n")[0]
    if isinstance(error, KeyError) and " " not in first:
        first = f"{first!r} is missing"
    said = printable(first)
    return InputError(
        f"record {number:,} ({quoted(str(record.get('target')))}) is not as `auditor schema` "
        f"says: {said}"
    )


def _in(record: Mapping[str, Any], path: str) -> Any:
    """Return what stands at a dotted path, None if a part of the record on the way is null."""
    value: Any = record
    for key in path.split("."):
        if value is None:
            return None
        value = value[key]
    return value


def _each(record: Mapping[str, Any], path: str, key: str) -> list[Any] | None:
    """Return one key of each object of a list, None if there is no such list."""
    found = _in(record, path)
    return None if found is None else [each[key] for each in found]
