"""Two nights go into one table by the lines of `docs/results.md`, in each tool that is there."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import pytest
from support.data import installed
from support.tables import fleet_lines

from auditor.cli.app import run

DOCUMENT: Final = Path(__file__).parents[1] / "docs" / "results.md"
BLOCKS: Final[list[str]] = re.findall(
    r"^```(?:sql|pycon|text)\n(.*?)^```",
    DOCUMENT.read_text("utf-8").partition("Two nights in one table")[2],
    re.MULTILINE | re.DOTALL,
)
NIGHTS: Final = {"monday": "2026-11-30T02:00:00.250Z", "tuesday": "2026-12-01T02:00:00.000Z"}

Row = tuple[datetime, str, int]


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with two nights of the example fleet, as the document has them made."""
    folder = tmp_path_factory.mktemp("nights")
    lines = fleet_lines("targets.txt")
    for name, started in NIGHTS.items():
        results = folder / f"{name}.ndjson"
        results.write_bytes(b"".join(lines))
        manifest = {"fingerprint": "f00d", "started": started}
        (folder / f"{name}.ndjson.run.json").write_text(json.dumps(manifest))
        assert run(["convert", "-q", str(results), "-o", str(folder / f"{name}.parquet")]) == 0
    both = [str(folder / f"{name}.ndjson") for name in NIGHTS]
    assert run(["convert", "-q", *both, "-o", str(folder / "nights.csv")]) == 0
    return folder


@pytest.fixture(scope="module")
def expected(nights: Path) -> list[Row]:
    lines = (nights / "monday.ndjson").read_bytes().splitlines()
    verdicts = sorted(Counter(json.loads(line)["verdict"] for line in lines).items())
    return [(datetime.fromisoformat(at), *each) for at in NIGHTS.values() for each in verdicts]


def _block(mark: str) -> str:
    (block,) = (block for block in BLOCKS if mark in block)
    return block


def _rows(rows: object) -> list[Row]:
    """Return rows with their times as ISO texts, of this zone or of none, as times in UTC."""
    found: list[Row] = []
    for at, verdict, number in rows:  # type: ignore[attr-defined]
        time = datetime.fromisoformat(str(at))
        time = time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
        found.append((time, verdict, int(number)))
    return found


def test_duckdb(nights: Path, expected: list[Row], monkeypatch: pytest.MonkeyPatch) -> None:
    duckdb = pytest.importorskip("duckdb")
    monkeypatch.chdir(nights)
    with duckdb.connect() as database:
        rows = database.execute(_block("DuckDB")).fetchall()
        assert _rows(rows) == expected
        by_text = "SELECT target FROM nights WHERE kind = 'ip' ORDER BY sort_key"
        by_octets = "SELECT target FROM nights WHERE kind = 'ip' ORDER BY address"
        assert database.execute(by_text).fetchall() == database.execute(by_octets).fetchall()


@pytest.mark.parametrize("tool", ["polars", "pandas"])
def test_data_frames(nights: Path, expected: list[Row], tool: str) -> None:
    if importlib.util.find_spec(tool) is None:
        pytest.skip(f"pip install {tool}")
    get = "counts.rows()" if tool == "polars" else "counts.itertuples(index=False)"
    code = _block(f"import {tool}").replace(">>> ", "")
    show = f"import json; print(json.dumps([[str(a), v, n] for a, v, n in {get}]))"
    command = [sys.executable, "-W", "error", "-c", f"{code}\n{show}"]
    done = subprocess.run(command, cwd=nights, capture_output=True, check=True)
    assert _rows(json.loads(done.stdout)) == expected


def test_sqlite(nights: Path, expected: list[Row], tmp_path: Path) -> None:
    installed("sqlite3", "sqlite3")
    line = _block("sqlite3").removeprefix("$ ").replace("\n> ", "\n")
    (tmp_path / "nights.csv").symlink_to(nights / "nights.csv")
    done = subprocess.run(
        ["sh", "-c", line], cwd=tmp_path, capture_output=True, check=True, text=True
    )
    assert _rows(row.split(",") for row in done.stdout.split()) == expected


def test_clickhouse(nights: Path, expected: list[Row], monkeypatch: pytest.MonkeyPatch) -> None:
    session = pytest.importorskip("chdb.session", reason="pip install chdb").Session()
    monkeypatch.chdir(nights)
    create, select = _block("ClickHouse").split(";")[:2]
    session.query(create.replace("*day", f"{nights}/*day"))
    found = json.loads(str(session.query(select, "JSONCompact")))
    assert _rows(found["data"]) == expected
    session.close()
