"""Results as tables by templates: what they are record by record, whatever the records hold.

Also tests `csv_table.py`, `parquet_table.py` and `line_template.py`.
"""

from __future__ import annotations

import io
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pyarrow import parquet as pq
from support.effort import examples, is_quick, sample
from support.tables import fleet_lines
from views.making import address, finding, records, spf, write

from auditor.errors import InputError
from auditor.output.columns import RunStamp, label_column
from auditor.output.csv_writer import csv_table, write_csv
from auditor.output.parquet import parquet_table, write_parquet
from auditor.views import csv_table as csv_module
from auditor.views import parquet_table as parquet_module
from auditor.views.csv_table import results_to_csv
from auditor.views.parquet_table import results_to_parquet
from auditor.views.reader.line_template import MARKS, fold
from auditor.views.reader.results import Results

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    import pyarrow as pa

Record = dict[str, Any]

#: Texts that are the same as others of a record, or as what stands between them.
_TWISTED = st.sampled_from(
    ("192.0.2.1", "192.0.2.1:", ":", ",", "a.b", "a", "PTR_MISSING", "ptr", "=a.b", "a,b.c", "::1",
     'a"b.c', "a\\.b", MARKS[0], MARKS[2], "\ue03f", "[a.b]", "a.b;=c", "", "names", "ip", "2.0.x")
)  # fmt: skip


@pytest.fixture(scope="module")
def fleet() -> list[bytes]:
    return fleet_lines("targets.txt", "targets.csv")


#: What rows have besides what their records say.
_ADDED = [label_column("customer", set()), label_column("a.b", set())]
_STAMP = RunStamp("2026-11-29T05:18:07.123Z-f00d", datetime(2026, 11, 29, 5, 18, 7, tzinfo=UTC))


def _csv(path: Path, *, flat: bool) -> tuple[bytes, bytes]:
    by_line, by_record = io.BytesIO(), io.BytesIO()
    stamps = {str(path): _STAMP}
    number = results_to_csv(Results([path]), by_line, flat=flat, added=_ADDED, stamps=stamps)
    table, records = csv_table(flat=flat, added=_ADDED), Results([path]).records()
    assert write_csv(records, by_record, flat=flat, table=table, stamp=_STAMP) == number
    return by_line.getvalue(), by_record.getvalue()


def _parquet(path: Path, *, flat: bool) -> tuple[pa.Table, pa.Table]:
    by_line, by_record = io.BytesIO(), io.BytesIO()
    notes = {"auditor.table": "records"}
    options: dict[str, Any] = {"flat": flat, "notes": notes}
    stamps = {str(path): _STAMP}
    results = Results([path])
    number = results_to_parquet(results, by_line, **options, added=_ADDED, stamps=stamps)
    options["table"] = parquet_table(flat=flat, added=_ADDED)
    assert write_parquet(results.records(), by_record, **options, stamp=_STAMP) == number
    tables = pq.read_table(by_line), pq.read_table(by_record)
    assert tables[0].schema.equals(tables[1].schema, check_metadata=True)
    return tables


_BOTH = pytest.mark.parametrize("both", [_csv, _parquet])


@_BOTH
@pytest.mark.parametrize("flat", [False, True])
def test_the_rows_of_the_fleet_are_those_of_its_records(
    fleet: list[bytes], tmp_path: Path, both: Callable[..., tuple[Any, Any]], *, flat: bool
) -> None:
    path = tmp_path / "fleet.ndjson"
    path.write_bytes(b"".join(fleet * 3))
    by_line, by_record = both(path, flat=flat)
    assert by_line == by_record


def test_the_rows_of_records_with_a_trace_are_the_same(tmp_path: Path) -> None:
    path = tmp_path / "fleet.ndjson"
    path.write_bytes(b"".join(fleet_lines("targets.csv", trace=True)))
    by_line, by_record = _parquet(path, flat=False)
    assert by_line == by_record


def _twisted(target: str, name: str, other: str, label: str, owner: str) -> Record:
    """Return a record in which few texts stand in many places."""
    record = address("192.0.2.1", "fail", name, other)
    record["ptr"]["owner"] = owner
    record["findings"] = [finding("PTR_GENERIC", subject=name), finding("A_B", subject=target)]
    record["spf"] = [spf(name, "pass"), {**spf(other, "fail"), "explanation": name}]
    record["labels"] = {label: name, name: target}
    return {**record, "target": target}


@settings(max_examples=examples(150))
@given(st.builds(_twisted, st.ip_addresses().map(str), *[_TWISTED] * 4), st.booleans())
@example(_twisted("192.0.2.1", "a.b", "b.c", "192.0.2.1", "a.b"), True)  # noqa: FBT003
def test_rows_are_the_same_whatever_texts_are_alike(
    tmp_path_factory: pytest.TempPathFactory,
    record: Record,
    flat: bool,  # noqa: FBT001 - hypothesis passes it so
) -> None:
    path = write(tmp_path_factory.mktemp("twisted") / "x", [record] * 4)
    for both in (_csv, _parquet):
        by_line, by_record = both(path, flat=flat)
        assert by_line == by_record


@settings(max_examples=examples(100))
@given(st.one_of(records, st.builds(_twisted, *[_TWISTED] * 5)))
def test_a_folded_line_is_the_line_again_with_its_texts_in_it(record: Record) -> None:
    line = orjson.dumps(record)
    folded, texts = fold(line)
    for mark, text in zip(MARKS, texts, strict=False):
        folded = folded.replace(mark.encode(), text)
    assert folded == line


def test_addresses_of_a_block_have_one_template() -> None:
    blocks = [
        address(f"192.0.2.{host}", "pass", f"mx-{host}.customer-{host}.example") for host in (1, 2)
    ]
    for host, record in enumerate(blocks, 1):
        record["ptr"]["owner"] = f"{host}.2.0.192.in-addr.arpa"
    folded = {fold(orjson.dumps(record))[0] for record in blocks}
    assert len(folded) == 1


@pytest.mark.parametrize("kept", sample([1, 4096]))
def test_no_more_templates_are_kept_than_fit(
    fleet: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kept: int
) -> None:
    monkeypatch.setattr(csv_module, "_KEPT_TEMPLATES", kept)
    path = tmp_path / "fleet.ndjson"
    path.write_bytes(b"".join(fleet * (5 if is_quick() else 20)))
    by_line, by_record = _csv(path, flat=False)
    assert by_line == by_record


@pytest.mark.parametrize("lines", [1, 100])
def test_lines_become_arrow_so_many_at_a_time(
    fleet: list[bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lines: int
) -> None:
    monkeypatch.setattr(parquet_module, "_BATCH_LINES", lines)
    path = tmp_path / "fleet.ndjson"
    path.write_bytes(b"".join(fleet * 3))
    by_line, by_record = _parquet(path, flat=True)
    assert by_line == by_record


@_BOTH
@pytest.mark.parametrize("target", ["192.0.2.256", "a.b", "", MARKS[0]])
def test_what_is_no_address_is_named_by_its_number(
    tmp_path: Path, target: str, both: Callable[..., tuple[Any, Any]]
) -> None:
    found = [address(f"192.0.2.{host}", "pass", "a.example") for host in range(9)]
    path = write(tmp_path / "x", [*found, {**found[0], "target": target}])
    with pytest.raises(InputError, match=r"^record 10 \('.*'\) does not match .*not an address"):
        both(path, flat=False)
