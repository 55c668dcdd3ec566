"""The queries in `examples/queries/` answer what they ask: two nights of the example fleet.

In the second night, two hosts of the cluster have lost their names, a third has one in a domain
that nobody can look up, an address that had none is mended, and one beside it has got a name as
customers have them.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import duckdb
import pytest
from support.data import installed
from support.fleet import FLEET
from support.tables import fleet_lines

from auditor.cli.app import run
from auditor.output.columns import FINDINGS, TARGETS

QUERIES: Final = FLEET.parent / "queries"
README: Final = (QUERIES / "README.md").read_text("utf-8")

#: What is different in the second night's zones, by file: before and after.
_CHANGES: Final = {
    "100.51.198.in-addr.arpa.zone": [
        ("16       PTR   mx-1.example.net.\n", ""),
        ("17       PTR   mx-2.example.net.\n", "8        PTR   spare.example.net.\n"),
        ("18       PTR   mx-3.example.net.\n", "18       PTR   mx-3.example.edu.\n"),
    ],
    "113.0.203.in-addr.arpa.zone": [
        ("10       PTR   colo.example.com.\n", "10 PTR 203-0-113-10.dyn.example.net.\n"),
    ],
}
#: What is new in the zone of example.net.
_ADDED: Final = "spare A 198.51.100.8\n203-0-113-10.dyn A 203.0.113.10\n"


@pytest.fixture(scope="module")
def nights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the results of both nights and their tables."""
    folder = tmp_path_factory.mktemp("nights")
    zones = folder / "zones"
    shutil.copytree(FLEET / "zones", zones)
    for name, changes in _CHANGES.items():
        text = (zones / name).read_text("utf-8")
        for before, after in changes:
            assert text.count(before) == 1, before
            text = text.replace(before, after)
        (zones / name).write_text(text)
    with (zones / "example.net.zone").open("a") as zone:
        zone.write(_ADDED)
    wide = ("example.org", "spf-wide.example.org")
    for name, lines in {
        "last-night": fleet_lines("targets.txt"),
        "tonight": fleet_lines("targets.txt", zones=zones),
        "wide": fleet_lines("targets.txt", mail_from=wide),
        "customers": fleet_lines("targets.csv"),
    }.items():
        path = folder / f"{name}.ndjson"
        path.write_bytes(b"".join(lines))
        for table, options in {name: [], f"{name}-findings": ["--flat"]}.items():
            output = str(folder / f"{table}.parquet")
            assert run(["convert", "-q", *options, str(path), "-o", output]) == 0
    return folder


def _sql(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, ...]]:
    """Return the rows that a query gives in a folder."""
    monkeypatch.chdir(folder)
    with duckdb.connect() as connection:
        return connection.execute((QUERIES / name).read_text("utf-8")).fetchall()


def _as_tonight(nights: Path, folder: Path, names: dict[str, str]) -> Path:
    """Link results into a folder under the names that a query asks for."""
    for name, source in names.items():
        (folder / name).symlink_to(nights / source)
    return folder


def _printed(name: str, *arguments: Path) -> list[str]:
    """Return the lines that a script prints."""
    program = [sys.executable, "-W", "error"] if name.endswith(".py") else []
    command = [*program, str(QUERIES / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, check=True, text=True, timeout=60)
    assert done.stderr == ""
    return done.stdout.splitlines()


# --- DuckDB


def test_which_prefixes_got_worse(nights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _sql("worse_prefixes.sql", nights, monkeypatch) == [
        ("198.51.100.0/24", 2, 1, ["PTR_MISSING"]),
        ("203.0.113.0/24", 1, 0, ["PTR_GENERIC"]),
    ]


def test_no_prefix_got_worse_if_nothing_changed(
    nights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = dict.fromkeys(("tonight.parquet", "last-night.parquet"), "last-night.parquet")
    folder = _as_tonight(nights, tmp_path, names)
    assert _sql("worse_prefixes.sql", folder, monkeypatch) == []


def test_which_prefixes_got_worse_the_other_way_round(
    nights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = {"tonight.parquet": "last-night.parquet", "last-night.parquet": "tonight.parquet"}
    folder = _as_tonight(nights, tmp_path, names)
    assert _sql("worse_prefixes.sql", folder, monkeypatch) == [
        ("198.51.100.0/24", 1, 2, ["PTR_MISSING"])
    ]


def test_which_names_are_generic_yet_authorised(
    nights: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = _as_tonight(nights, tmp_path, {"tonight.ndjson": "wide.ndjson"})
    assert _sql("generic_yet_authorised.sql", folder, monkeypatch) == [
        ("spf-wide.example.org", "ip4:198.48.0.0/13", 67, "198-51-100-44.static.example.net"),
        ("example.org", "ip4:198.51.100.64/26", 1, "host-198-51-100-78.example.org"),
    ]


def test_what_to_mend_first(nights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = _sql("mend_first.sql", nights, monkeypatch)
    block = [row[1:] for row in rows if row[0] == "198.51.100.0/24"]
    assert block == [
        ("PTR_GENERIC", "The PTR name looks made up for a number or a customer's line", 67),
        ("PTR_MISSING", "The address has no PTR record", 66),
        (
            "FORWARD_MISSING",
            "The PTR name has no address, and no other name confirms the address",
            40,
        ),
    ]
    prefixes = [row[0] for row in rows]
    assert max(prefixes.count(prefix) for prefix in prefixes) == 3
    assert prefixes == sorted(prefixes)


# --- polars and pandas


def test_which_domains_exceed_ten_lookups(nights: Path) -> None:
    assert _printed("over_ten_lookups.py", nights / "tonight.parquet") == [
        "spf-lookups.example.org           11 lookups   0 void  too many",
        "spf-loop.example.org              11 lookups   1 void  too many",
    ]


def test_which_names_are_shared(nights: Path) -> None:
    assert _printed("shared_names.py", nights / "last-night.parquet") == [
        "catch-all.example.net         5 IPv4 addresses, 1 confirmed",
        "mx-2.example.net              2 IPv6 addresses, 1 confirmed",
    ]


def test_whom_to_write_to(nights: Path) -> None:
    assert [
        re.sub(" {2,}", "  ", line)
        for line in _printed("customers.py", nights / "customers-findings.parquet")
    ] == [
        (
            "Example Org  1 pass  3 warn  0 unknown  3 fail  "
            "SPF_FAIL SPF_MULTIPLE_RECORDS SPF_NEUTRAL SPF_NONE SPF_PERMERROR SPF_SOFTFAIL"
        ),
        (
            "Example Net  3 pass  4 warn  0 unknown  2 fail  "
            "HELO_NOT_FQDN HELO_UNRESOLVABLE PTR_UNEXPECTED SPF_FAIL SPF_NONE TARGET_INVALID"
        ),
        "Example Com, users  0 pass  0 warn  0 unknown  1 fail  SPF_FAIL",
        "(nobody)  0 pass  0 warn  1 unknown  0 fail  SPF_UNDETERMINED",
        "Example Com  3 pass  0 warn  0 unknown  0 fail",
    ]


# --- jq


@pytest.fixture
def _jq() -> None:
    installed("jq", "jq")


@pytest.mark.usefixtures("_jq")
def test_what_to_look_at_again(nights: Path) -> None:
    before = _printed("look_again.sh", nights / "last-night.ndjson")
    assert before[:2] == ["mx-unread.example.org", "example.edu"]
    after = _printed("look_again.sh", nights / "tonight.ndjson")
    assert set(after) - set(before) == {"198.51.100.18"}
    assert run(["scan", "-q", "--zones", str(FLEET / "zones"), "-o", os.devnull, *after]) == 0


@pytest.mark.usefixtures("_jq")
def test_which_mail_hosts_are_not_ready(nights: Path) -> None:
    assert _printed("unready_mail_hosts.sh", nights / "last-night.ndjson") == [
        "old.example.net\t198.51.100.40\tpermerror\tmx-no-ptr.example.org"
    ]


# --- The document


def test_every_query_is_in_the_table_and_in_a_test() -> None:
    files = {path.name for path in QUERIES.iterdir() if path.suffix in {".sql", ".py", ".sh"}}
    assert set(re.findall(r"\[(\w+\.\w+)\]\(\1\)", README)) == files
    tests = Path(__file__).read_text("utf-8")
    assert all(f'"{name}"' in tests for name in files)


def test_every_column_is_in_the_document_in_its_order() -> None:
    section = README.split("## Columns of the flat tables")[1]
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| (.*) \|$", section, re.MULTILINE)
    shown = {name: (kind, text) for name, kind, text in rows}
    for table in (TARGETS, FINDINGS):
        names = [column.name for column in table.columns]
        assert [name for name in shown if name in names] == names
    for column in (*TARGETS.columns, *FINDINGS.columns):
        kind, text = shown.pop(column.name, (column.kind, ""))
        assert kind == column.kind
        special = text.startswith(("One row a", "Parquet only", "as above")) or not text
        assert special or text == column.description
    assert shown == {"label_NAME": ("text", "as above")}
