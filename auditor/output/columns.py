"""The flat tables: one row a target, or one row a finding, in columns that any tool can read.

A column has a description and a function that computes its values, many records at a time, since
that costs a fraction. `csv_writer.py` and `parquet.py` write them; nested facts that do not fit a
row are in Parquet's table of records.
"""

from __future__ import annotations

import socket
from datetime import datetime  # noqa: TC003 - of a field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from auditor.errors import InputError
from auditor.findings.catalogue import ENTRIES
from auditor.output.schema import record_schema
from auditor.quoting import printable, quoted
from auditor.wire.addresses import MAPPED_PREFIX, V6, address_text

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

__all__ = [
    "ADDRESS",
    "CODES",
    "FINDINGS",
    "FORM_ERRORS",
    "NO_RUN",
    "PREFIX",
    "RUN_COLUMNS",
    "SORT_KEY",
    "TARGETS",
    "Column",
    "Finding",
    "Kind",
    "Record",
    "RunStamp",
    "Table",
    "check_keys",
    "column_values",
    "finding_columns",
    "form_error",
    "label_column",
    "mapped_octets",
    "octets_of",
    "of_finding",
    "of_line",
    "prefix_of",
    "sort_key_of",
]

#: `text`, `texts` (a list of them), `count` (64 bits), `number` (a double), `labels` (text by
#: text), `address` (16 octets), `time` (in UTC), `nested` (as the JSON Schema has it).
Kind = Literal["text", "texts", "count", "number", "labels", "address", "time", "nested"]

#: What reading a record raises if it does not have the form of a record.
FORM_ERRORS: Final = (ArithmeticError, AttributeError, KeyError, TypeError, ValueError)

_TITLES: Final = {entry.code: entry.title for entry in ENTRIES}
_KEYS: Final = frozenset(record_schema()["properties"])
_V6_KEPT: Final = 6  # octets of a /48


#: A line of results, and a finding in it; None for a row without one.
Record: TypeAlias = "Mapping[str, Any]"
Finding: TypeAlias = "Mapping[str, Any] | None"


class Column(NamedTuple):
    """One column; `values` takes the records and the findings of the rows, None for none."""

    name: str
    kind: Kind
    description: str
    values: Callable[[Sequence[Record], Sequence[Finding]], list[Any]]


class Table(NamedTuple):
    """The columns of a flat table, and the keys of the lines that it is made from."""

    columns: tuple[Column, ...]
    keys: frozenset[str]

    def with_columns(self, added: Iterable[Column]) -> Table:
        """Return a table with more columns, after its own."""
        return self._replace(columns=(*self.columns, *added))

    def stamped(self, stamp: RunStamp) -> Table:
        """Return a table whose columns about the run have the values of its stamp."""
        columns = (
            column._replace(values=_constant(getattr(stamp, column.name)))
            if column in RUN_COLUMNS
            else column
            for column in self.columns
        )
        return self._replace(columns=tuple(columns))


class RunStamp(NamedTuple):
    """The run that records come from, by its manifest; None where there is no manifest."""

    run: str | None
    scanned_at: datetime | None


NO_RUN: Final = RunStamp(None, None)


def of_line(path: str, *, each: str | None = None) -> Callable[..., list[Any]]:
    """Return the value at a dotted path of each record, None if a part on the way is null.

    With `each` that is a list of objects, and the value a list of one key of each.
    """

    def values(records: Sequence[Record], _: Sequence[Finding]) -> list[Any]:
        column: list[Any] = list(records)
        for key in path.split("."):
            column = [None if value is None else value[key] for value in column]
        if each is None:
            return column
        return [None if value is None else [item[each] for item in value] for value in column]

    return values


def of_finding(key: str) -> Callable[..., list[Any]]:
    """Return a key of the finding of each row, None for one without."""
    return lambda _, findings: [finding and finding[key] for finding in findings]


def _addresses(records: Sequence[Record], _: Sequence[Finding]) -> list[bytes | None]:
    """Return the 16 octets of each address, None for other targets."""
    return [octets_of(record["target"]) if record["kind"] == "ip" else None for record in records]


def octets_of(text: str) -> bytes:
    """Return an address as in the column `address`. Raises ValueError if it is invalid."""
    try:
        if ":" in text:
            return socket.inet_pton(socket.AF_INET6, text)
        return MAPPED_PREFIX + socket.inet_pton(socket.AF_INET, text)
    except OSError:
        raise ValueError(f"{quoted(text)} is not an address") from None


def mapped_octets(version: int, number: int) -> bytes:
    """Return an address as in the column `address`."""
    return number.to_bytes(16) if version == V6 else MAPPED_PREFIX + number.to_bytes(4)


def _prefixes(records: Sequence[Record], _: Sequence[Finding]) -> list[str | None]:
    return [prefix_of(record["target"]) if record["kind"] == "ip" else None for record in records]


def _sort_keys(records: Sequence[Record], _: Sequence[Finding]) -> list[str | None]:
    return [sort_key_of(record["target"]) if record["kind"] == "ip" else None for record in records]


def sort_key_of(text: str) -> str:
    """Return an address with all digits of IPv6. Raises ValueError if it is invalid."""
    return octets_of(text).hex(":", 2)


def prefix_of(text: str) -> str:
    """Return the /24 or /48 of an address. Raises ValueError if it is invalid."""
    octets = octets_of(text)
    if ":" not in text:
        return f"{text.rpartition('.')[0]}.0/24"
    return f"{address_text(octets[:_V6_KEPT].ljust(16, bytes(1)))}/48"


ADDRESS: Final = Column(
    "address",
    "address",
    "The address as 16 octets, IPv4 as ::ffff:a.b.c.d: sorts and compares as addresses do; "
    "null for other kinds",
    _addresses,
)
SORT_KEY: Final = Column(
    "sort_key",
    "text",
    "The address as text that sorts as addresses do, with all 32 digits of IPv6, IPv4 mapped; "
    "null for other kinds",
    _sort_keys,
)
PREFIX: Final = Column(
    "prefix",
    "text",
    "The /24 (IPv4) or /48 (IPv6) that the address lies in; null for other kinds",
    _prefixes,
)


def _constant(value: object) -> Callable[..., list[Any]]:
    return lambda records, _: [value] * len(records)


#: What `stamped` fills in.
RUN_COLUMNS: Final = (
    Column(
        "run",
        "text",
        "The run: when it started and the fingerprint of what it scans; null without a manifest",
        _constant(None),
    ),
    Column("scanned_at", "time", "When the run started; null without a manifest", _constant(None)),
)


def label_column(label: str, seen: set[str]) -> Column:
    """Return the column of one label, null where a record lacks it; add it to `seen` if any has it.

    It is named `label_NAME`, which no other column is.
    """

    def values(records: Sequence[Record], _: Sequence[Finding]) -> list[str | None]:
        column = [record["labels"].get(label) for record in records]
        if label not in seen and any(value is not None for value in column):
            seen.add(label)
        return column

    return Column(f"label_{label}", "text", f"The label {printable(label)}", values)


def _title_column() -> Column:
    """Return the column of the titles of findings."""

    def values(_: Sequence[Record], findings: Sequence[Finding]) -> list[str | None]:
        return [None if finding is None else _TITLES.get(finding["code"]) for finding in findings]

    return Column("title", "text", "The finding in words, as auditor explain has it", values)


def finding_columns(subject: str) -> tuple[Column, ...]:
    """Return the columns of a finding; `subject` describes the last one."""
    return (
        Column("code", "text", "The finding; null: no finding", of_finding("code")),
        Column("severity", "text", "info, notice, warning or error", of_finding("severity")),
        _title_column(),
        Column("subject", "text", subject, of_finding("subject")),
    )


#: The column for findings where a row is not one of them.
CODES: Final = (
    Column("codes", "texts", "The codes of all findings", of_line("findings", each="code")),
)

_WHO: Final = (
    Column("target", "text", "The address, domain or line", of_line("target")),
    Column("kind", "text", "ip, domain or invalid", of_line("kind")),
    Column("verdict", "text", "pass, warn, unknown or fail", of_line("verdict")),
    ADDRESS,
    SORT_KEY,
    PREFIX,
)
_FINDING: Final = finding_columns("The name, address or domain that the finding is about")
_FACTS: Final = (
    Column("ptr_status", "text", "Status of the PTR lookup", of_line("ptr.status")),
    Column("ptr_names", "texts", "The PTR names", of_line("ptr.names")),
    Column(
        "ptr_owner",
        "text",
        "Owner of the PTR record, or where one must be: the end of the CNAME chain",
        of_line("ptr.owner"),
    ),
    Column(
        "ptr_zone",
        "text",
        "The zone that denied the PTR; null: there is one, or it is not known",
        of_line("ptr.zone"),
    ),
    Column(
        "iprev_result",
        "text",
        "Forward confirmation: pass, fail, temperror, permerror",
        of_line("iprev.result"),
    ),
    Column(
        "spf_domains",
        "texts",
        "The domains whose SPF policies were checked for the address",
        of_line("spf", each="domain"),
    ),
    Column(
        "spf_results",
        "texts",
        "The result of each, in the same order",
        of_line("spf", each="result"),
    ),
    Column(
        "domain_addresses",
        "texts",
        "The addresses of a domain",
        of_line("domain.addresses.list", each="address"),
    ),
    Column("domain_mx", "texts", "Its MX hosts", of_line("domain.mx.hosts", each="name")),
    Column("domain_spf_record", "text", "Its SPF policy", of_line("domain.spf.record")),
    Column(
        "domain_spf_lookups",
        "count",
        "DNS lookups on the longest path of the policy (limit 10)",
        of_line("domain.spf.lookups"),
    ),
    Column(
        "domain_spf_voids",
        "count",
        "Lookups without an answer on the longest path (limit 2)",
        of_line("domain.spf.voids"),
    ),
    Column(
        "domain_spf_addresses_v4",
        "count",
        "IPv4 addresses that the policy authorises",
        of_line("domain.spf.addresses_v4"),
    ),
    Column(
        "domain_spf_addresses_v6",
        "number",
        "IPv6 addresses that the policy authorises",
        of_line("domain.spf.addresses_v6"),
    ),
    Column("labels", "labels", "The other columns of the input line", of_line("labels")),
    Column("error", "text", "What was wrong with an invalid line", of_line("error")),
    *RUN_COLUMNS,
)

#: One row a target.
TARGETS: Final = Table((*_WHO, *CODES, *_FACTS), _KEYS)
#: One row a finding, and one for each target without any.
FINDINGS: Final = Table((*_WHO, *_FINDING, *_FACTS), _KEYS)


def column_values(
    records: Sequence[Record], columns: Iterable[Column], *, flat: bool
) -> list[list[Any]]:
    """Return the values of each column: one row a record, or one a finding if `flat`.

    A record without findings has one row, too. Raises one of FORM_ERRORS if one does not have the
    form of a record.
    """
    findings: list[Finding] = []
    if flat:
        pairs = [
            (record, finding) for record in records for finding in record["findings"] or (None,)
        ]
        records, findings = [record for record, _ in pairs], [finding for _, finding in pairs]
    return [column.values(records, findings) for column in columns]


def check_keys(records: Iterable[Record], keys: frozenset[str] = _KEYS) -> None:
    """Raise KeyError for a key that no column holds: no part of a record may be lost."""
    unknown = frozenset[str]().union(*records) - keys
    if unknown:
        raise KeyError(f"{min(unknown)!r} is not known to this version")


def form_error(number: int, record: Mapping[str, Any], error: Exception) -> InputError:
    """Return the error for the `number`th record, which does not have the form of one."""
    first = str(error.args[0] if error.args else error).partition("\n")[0]
    if isinstance(error, KeyError) and " " not in first:
        first = f"{first!r} is missing"
    message = printable(first)
    return InputError(
        f"record {number:,} ({quoted(str(record.get('target', record.get('zone'))))}) does not "
        f"match `auditor schema`: {message}"
    )
