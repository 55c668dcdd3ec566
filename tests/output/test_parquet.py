"""Records as Parquet: reading them back gives the same facts, in types that tools can use.

Also tests `arrow.py` and `zone_columns.py`.
"""

from __future__ import annotations

import builtins
import io
import sys
import weakref
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyarrow import parquet as pq
from support.effort import examples
from support.tables import fleet_records, made_records, put_back, rounded

from auditor.errors import InputError, UsageError
from auditor.findings.catalogue import entry
from auditor.output import arrow, parquet
from auditor.output.columns import FINDINGS, TARGETS, label_column
from auditor.output.parquet import arrow_schema, parquet_table, write_parquet
from auditor.output.schema import record_schema

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_KEYS: Final = list(record_schema()["properties"])


@pytest.fixture(scope="module")
def fleet() -> list[dict[str, Any]]:
    return fleet_records()


def _written(records: Iterable[dict[str, Any]], **options: Any) -> io.BytesIO:
    file = io.BytesIO()
    write_parquet(records, file, **options)
    file.seek(0)
    return file


def _rows(records: Iterable[dict[str, Any]], **options: Any) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = pq.read_table(_written(records, **options)).to_pylist()
    return rows


# --- The table of records


@pytest.mark.parametrize("trace", [False, True])
def test_reading_the_fleet_back_gives_the_same_facts(*, trace: bool) -> None:
    records = fleet_records(trace=trace)
    assert {record["kind"] for record in records} == {"ip", "domain", "invalid"}
    assert any(record["labels"] for record in records)
    assert [put_back(row) for row in _rows(records)] == rounded(records)


@settings(max_examples=examples(60))
@given(st.lists(made_records(), max_size=3))
def test_whatever_a_record_may_be_comes_back_as_it_was(records: list[dict[str, Any]]) -> None:
    before = orjson.loads(orjson.dumps(records))
    rows = _rows(records)
    assert [put_back(row) for row in rows] == rounded(before)
    assert records == before, "records are not changed"
    for row in rows:
        assert (row["prefix"], row["address"]) == _by_the_book(row)


def _by_the_book(row: dict[str, Any]) -> tuple[str | None, bytes | None]:
    """Return prefix and address of a row, by the standard library."""
    if row["kind"] != "ip":
        return None, None
    address = ip_address(row["target"])
    length = 24 if address.version == 4 else 48
    packed = address.packed if address.version == 6 else b"\0" * 10 + b"\xff\xff" + address.packed
    return str(ip_network(f"{address}/{length}", strict=False)), packed


def test_addresses_sort_as_addresses_do(fleet: list[dict[str, Any]]) -> None:
    rows = [row for row in _rows(fleet) if row["kind"] == "ip"]
    by_octets = [row["target"] for row in sorted(rows, key=lambda row: row["address"])]
    assert by_octets == [row["target"] for row in sorted(rows, key=lambda row: row["sort_key"])]
    for row in rows:
        assert IPv6Address(row["sort_key"]).packed == row["address"]
    v4 = sorted(IPv4Address(text) for text in by_octets if ":" not in text)
    v6 = sorted(IPv6Address(text) for text in by_octets if ":" in text)
    assert by_octets == [str(each) for each in [*v4, *v6]]


def test_no_input_is_a_table_without_rows() -> None:
    for flat in (False, True):
        table = pq.read_table(_written([], flat=flat))
        assert table.num_rows == 0
        assert table.schema.names == arrow_schema(parquet_table(flat=flat)).names


def test_columns_are_the_keys_of_a_record_and_more_that_sort_and_group() -> None:
    added = [label_column("rack", set())]
    more = ["address", "sort_key", "prefix", "run", "scanned_at", "label_rack"]
    assert arrow_schema(parquet_table(added=added)).names == [*_KEYS, *more]


def _described(field: Any, path: str) -> Iterator[str]:
    """Yield the path of each field below one that says nothing of itself."""
    is_item = path.endswith(".element")
    if not is_item and b"description" not in (field.metadata or {}):
        yield path
    kind = field.type
    for index in range(getattr(kind, "num_fields", 0)):
        inner = kind.field(index)
        # What is in a map is said at the map.
        if not str(kind).startswith("map"):
            yield from _described(inner, f"{path}.{inner.name}")


@pytest.mark.parametrize("flat", [False, True])
def test_every_column_says_what_it_holds(*, flat: bool) -> None:
    schema = pq.read_schema(_written([], flat=flat))
    assert [path for field in schema for path in _described(field, field.name)] == []
    assert schema.field("verdict").metadata == {b"description": b"pass, warn, unknown or fail"}


def test_types_are_those_that_tools_can_count_with() -> None:
    types = {field.name: str(field.type) for field in arrow_schema(parquet_table(flat=True))}
    assert types["ptr_names"] == "list<item: string>"
    assert types["domain_spf_lookups"] == "int64"
    assert types["domain_spf_addresses_v6"] == "double"
    assert types["labels"] == "map<string, string>"
    assert types["address"] == "fixed_size_binary[16]"
    findings = arrow_schema(parquet_table()).field("findings").type
    assert str(findings) == "list<element: struct<code: string, severity: string, subject: string>>"


# --- The flat table


def test_the_flat_table_has_a_row_for_each_finding(fleet: list[dict[str, Any]]) -> None:
    rows = _rows(fleet, flat=True)
    found = [(row["target"], row["code"], row["severity"], row["subject"]) for row in rows]
    expected = [
        (record["target"], finding["code"], finding["severity"], finding["subject"])
        for record in fleet
        for finding in record["findings"] or [dict.fromkeys(("code", "severity", "subject"))]
    ]
    assert found == expected
    assert all(row["title"] == (row["code"] and entry(row["code"]).title) for row in rows)


def test_a_target_without_findings_has_one_row_without_a_code(fleet: list[dict[str, Any]]) -> None:
    rows = [row for row in _rows(fleet, flat=True) if row["code"] is None]
    assert [row["target"] for row in rows] == [
        record["target"] for record in fleet if not record["findings"]
    ]
    assert {row["verdict"] for row in rows} == {"pass"}


def test_the_flat_table_repeats_the_facts_of_a_target(fleet: list[dict[str, Any]]) -> None:
    rows = {row["target"]: row for row in _rows(fleet, flat=True)}
    mail = rows["198.51.100.26"]
    assert mail["ptr_status"] == "NOERROR"
    assert mail["ptr_names"] == ["mx-11.example.net"]
    assert mail["iprev_result"] == "pass"
    assert mail["spf_domains"] == ["mx-11.example.net", "users.example.com"]
    assert mail["spf_results"] == ["pass", "fail"]
    assert dict(mail["labels"]) == {"ptr": "", "customer": "Example Com, users", "ticket": "T-1004"}
    assert mail["domain_addresses"] is mail["domain_mx"] is mail["domain_spf_record"] is None
    world = rows["spf-world.example.org"]
    assert world["domain_mx"] == ["relay-1.example.org"]
    assert world["domain_addresses"] == ["198.51.100.65"]
    assert world["domain_spf_addresses_v4"] == 1 << 32
    assert world["domain_spf_addresses_v6"] == 2.0**128
    assert "'198.51.100.300' ends in a number" in rows["198.51.100.300"]["error"]


@settings(max_examples=examples(40))
@given(st.lists(made_records(), min_size=1, max_size=2))
def test_whatever_a_record_may_be_has_rows_in_the_flat_table(records: list[dict[str, Any]]) -> None:
    rows = _rows(records, flat=True)
    assert len(rows) == sum(len(record["findings"]) or 1 for record in records)


def test_both_flat_tables_say_the_same_of_a_target() -> None:
    targets, findings = (
        {each.name: each for each in table.columns} for table in (TARGETS, FINDINGS)
    )
    assert set(targets) ^ set(findings) == {"codes", "code", "severity", "title", "subject"}
    assert all(targets[name] is findings[name] for name in set(targets) & set(findings))


@pytest.mark.parametrize("number", [(1 << 53) + 1, (1 << 63) - 1, 2.0**64])
def test_a_number_beyond_53_bits_is_rounded(fleet: list[dict[str, Any]], number: float) -> None:
    (record,) = [each for each in fleet if each["target"] == "example.com"]
    domain = {**record["domain"], "spf": {**record["domain"]["spf"], "addresses_v6": number}}
    record = {**record, "domain": domain}
    assert _rows([record])[0]["domain"]["spf"]["addresses_v6"] == float(number)
    assert _rows([record], flat=True)[0]["domain_spf_addresses_v6"] == float(number)


# --- What a file is like


def test_row_groups_are_bounded_in_rows_and_in_octets(
    fleet: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_FIRST_BATCH_ROWS", 10)
    monkeypatch.setattr(parquet, "_BATCH_ROWS", 10)
    monkeypatch.setattr(parquet, "_GROUP_ROWS", 100)
    data = pq.ParquetFile(_written(fleet)).metadata
    sizes = [data.row_group(index).num_rows for index in range(data.num_row_groups)]
    whole, rest = divmod(len(fleet), 100)
    assert sizes == [100] * whole + ([rest] if rest else [])
    monkeypatch.setattr(parquet, "_GROUP_OCTETS", 1)
    assert pq.ParquetFile(_written(fleet)).metadata.num_row_groups == -(-len(fleet) // 10)


def test_records_are_taken_as_they_come(
    fleet: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "_FIRST_BATCH_ROWS", 10)
    monkeypatch.setattr(parquet, "_BATCH_ROWS", 10)
    monkeypatch.setattr(parquet, "_GROUP_ROWS", 50)
    file = io.BytesIO()
    behind = []

    def source() -> Iterator[dict[str, Any]]:
        for number, record in enumerate(fleet):
            behind.append((number, file.tell()))
            yield record

    assert write_parquet(source(), file) == len(fleet)
    # A row group is written before the record after it is asked for.
    assert dict(behind)[51] > dict(behind)[49] > 0


def test_of_large_records_few_are_in_memory(fleet: list[dict[str, Any]]) -> None:
    names = [f"mx-{number}.example.net" for number in range(20_000)]
    large = {**fleet[0], "ptr": {**fleet[0]["ptr"], "names": names}}
    alive, most = weakref.WeakSet[_Record](), 0

    def source() -> Iterator[dict[str, Any]]:
        nonlocal most
        for _ in range(60):
            record = _Record(large)
            alive.add(record)
            most = max(most, len(alive))
            yield record

    file = io.BytesIO()
    assert write_parquet(source(), file) == 60
    assert pq.read_table(file)["ptr"][59].as_py()["names"] == names
    assert most <= 32


class _Record(dict[str, Any]):
    """A record that can be seen to go."""

    __slots__ = ("__weakref__",)
    __hash__ = object.__hash__  # type: ignore[assignment]


def test_columns_are_packed_with_zstandard(fleet: list[dict[str, Any]]) -> None:
    group = pq.ParquetFile(_written(fleet)).metadata.row_group(0)
    columns = [group.column(index) for index in range(group.num_columns)]
    assert {column.compression for column in columns} == {"ZSTD"}
    codes = next(each for each in columns if each.path_in_schema.endswith("element.code"))
    assert "RLE_DICTIONARY" in codes.encodings


def test_notes_stand_in_the_metadata_and_the_same_input_gives_the_same_file(
    fleet: list[dict[str, Any]],
) -> None:
    file = _written(fleet, notes={"auditor.table": "records"})
    assert pq.read_schema(file).metadata[b"auditor.table"] == b"records"
    assert file.getvalue() == _written(fleet, notes={"auditor.table": "records"}).getvalue()


# --- What cannot be converted


@pytest.mark.parametrize("flat", [False, True])
@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"novelty": 1}, "'novelty' is not known to this version"),
        ({"target": "mail.example.net"}, "'mail.example.net' is not an address"),
        ({"target": 7}, ""),
        ({"findings": [1]}, ""),
        ({"ptr": "none"}, ""),
        ({"labels": {"a": 1}}, ""),
        ({"error": 1}, ""),
        ({"domain": {"addresses": 1, "mx": 2, "spf": 3}}, ""),
    ],
)
def test_what_is_no_record_is_named(
    fleet: list[dict[str, Any]], change: dict[str, Any], why: str, *, flat: bool
) -> None:
    wrong = {**fleet[0], **change}
    with pytest.raises(InputError) as caught:
        _written([*fleet[1:4], wrong, *fleet[4:]], flat=flat)
    message = str(caught.value)
    start = f"record 4 ('{wrong['target']}') does not match `auditor schema`: {why}"
    assert message.startswith(start)
    assert len(message) > len(start) or why
    assert "\n" not in message


def test_a_number_beyond_64_bits_is_named(fleet: list[dict[str, Any]]) -> None:
    (record,) = [each for each in fleet if each["target"] == "example.com"]
    domain = {**record["domain"], "spf": {**record["domain"]["spf"], "lookups": 1 << 64}}
    with pytest.raises(InputError, match=r"^record 1 \('example\.com'\) does not match "):
        _written([{**record, "domain": domain}])


def test_without_pyarrow_the_message_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(UsageError, match=r"pip install 'auditor\[parquet\]'"):
        arrow_schema(parquet_table())


@pytest.mark.parametrize("module", ["pyarrow._compute", "pyarrow._parquet"])
def test_a_release_of_pyarrow_without_a_private_module_writes_the_same(
    module: str, fleet: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _written(fleet).getvalue()
    genuine = builtins.__import__
    refused = []

    def importing(name: str, names: Any = None, *rest: Any) -> Any:
        if name == module and (names or {}).get("__name__") == arrow.__name__:
            refused.append(name)
            raise ModuleNotFoundError(name=name)
        return genuine(name, names, *rest)

    monkeypatch.setattr(builtins, "__import__", importing)
    assert _written(fleet).getvalue() == before
    assert refused


def test_a_pyarrow_that_does_not_load_is_not_called_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "pyarrow.py").write_text("raise ImportError('libarrow.so: no such file')\n")
    monkeypatch.delitem(sys.modules, "pyarrow")
    monkeypatch.syspath_prepend(tmp_path)
    message = r"^Parquet needs pyarrow: it is installed, but does not load: libarrow\.so: no "
    with pytest.raises(UsageError, match=message):
        arrow_schema(parquet_table())
