"""Results are loaded by databases with the schema in their words, two nights into one table."""

from __future__ import annotations

import importlib.util
import json
import sqlite3
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
from support.fleet import FLEET

import auditor
from auditor.output.database_schema import DATABASES, database_schema
from auditor.output.schema import record_schema

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with the records of the whole example fleet, targets of all kinds."""
    settings = auditor.Settings(zones=FLEET / "zones")
    targets = [
        line.partition("#")[0].strip()
        for line in (FLEET / "targets.txt").read_text("utf-8").splitlines()
    ]
    path = tmp_path_factory.mktemp("results") / "results.ndjson"
    with path.open("w", encoding="utf-8") as file:
        for record in auditor.scan_blocking(filter(None, targets), settings):
            file.write(json.dumps(record) + "\n")
    return path


def _records(results: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in results.read_text("utf-8").splitlines()]


@pytest.mark.parametrize("database", DATABASES)
def test_every_key_has_a_column(database: str) -> None:
    made = database_schema(database)
    for key in record_schema()["properties"]:
        # polars has no maps: it is said where labels go.
        assert f'"{key}":' in made or f"`{key}` " in made or (database, key) == ("polars", "labels")


def test_duckdb_loads_two_nights_and_finds_each_value(
    results: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    duckdb = pytest.importorskip("duckdb")
    monkeypatch.chdir(results.parent)
    with duckdb.connect() as database:
        create = database_schema("duckdb")
        database.execute(create)
        database.execute(create.replace("CREATE TABLE records AS", "INSERT INTO records"))
        rows = database.execute("SELECT target, ptr, findings, labels FROM records").fetchall()
    expected = [
        (record["target"], record["ptr"], record["findings"], record["labels"])
        for record in _records(results)
    ]
    assert rows == expected * 2


def test_polars_reads_it_with_the_schema(results: Path) -> None:
    if importlib.util.find_spec("polars") is None:
        pytest.skip("pip install polars")
    show = "import json; print(json.dumps([records['target'].to_list(), records['ptr'].to_list()]))"
    done = subprocess.run(
        [sys.executable, "-c", f"{database_schema('polars')}\n{show}"],
        cwd=results.parent,
        capture_output=True,
        check=True,
    )
    records = _records(results)
    expected = [[record["target"] for record in records], [record["ptr"] for record in records]]
    assert json.loads(done.stdout) == expected


def test_polars_reads_the_example_fleet_with_its_defaults(results: Path) -> None:
    if importlib.util.find_spec("polars") is None:
        pytest.skip("pip install polars")
    code = (
        "import polars as pl; guessed = pl.read_ndjson('results.ndjson'); "
        "full = pl.read_ndjson('results.ndjson', infer_schema_length=None); "
        "assert guessed.schema == full.schema; print(len(guessed))"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=results.parent, capture_output=True, check=True)
    assert int(done.stdout) == len(_records(results))


def test_pandas_and_sqlite_read_it_as_it_is(results: Path) -> None:
    pandas = pytest.importorskip("pandas")
    records = _records(results)
    frame = pandas.read_json(results, lines=True, dtype=False)
    assert frame["target"].tolist() == [record["target"] for record in records]
    with sqlite3.connect(":memory:") as database:
        database.execute("CREATE TABLE records (line TEXT)")
        lines = [(line,) for line in results.read_text("utf-8").splitlines()]
        database.executemany("INSERT INTO records VALUES (?)", lines)
        found = database.execute("SELECT line ->> '$.target', line ->> '$.ptr.status' FROM records")
        assert found.fetchall() == [
            (record["target"], record["ptr"] and record["ptr"]["status"]) for record in records
        ]
    database.close()


def test_clickhouse_loads_it(results: Path) -> None:
    session = pytest.importorskip("chdb.session", reason="pip install chdb").Session()
    create = (
        database_schema("clickhouse")
        .partition(";")[0]
        .replace("MergeTree ORDER BY target", "Memory")
    )
    session.query(create)
    insert = "INSERT INTO records SELECT * FROM file('{}', JSONEachRow)"
    session.query(insert.format(results) + " SETTINGS input_format_null_as_default = 1")
    found = session.query("SELECT target, ptr.status, length(findings) FROM records", "JSONCompact")
    assert json.loads(str(found))["data"] == [
        [record["target"], (record["ptr"] or {"status": ""})["status"], len(record["findings"])]
        for record in _records(results)
    ]
    session.close()
