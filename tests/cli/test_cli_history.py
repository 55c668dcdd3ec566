"""`auditor history`: nights in a table, or lines of JSON.

Also tests `history_text.py`.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import click
import pytest
from cli.driving import ZONES, at_terminal

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from cli.driving import Ended


_HEADS = ["night", "targets", "fail", "warn", "unknown", "findings", "new", "gone"]


@pytest.fixture
def nights(tmp_path: Path, call: Callable[..., Ended]) -> Path:
    """Return a folder with two nights of two addresses."""
    folder = tmp_path / "nights"
    folder.mkdir()
    for number in range(2):
        results = tmp_path / f"{number}.ndjson"
        assert call("scan", "-q", "--zones", ZONES, "198.51.100.40/31", "-o", results).code == 0
        table = folder / f"{number}.parquet"
        assert call("convert", "-q", results, "-o", table).code == 0
    return folder


def test_a_table_has_nights_and_what_is_open_the_longest(
    nights: Path, call: Callable[..., Ended]
) -> None:
    ended = call("history", nights, "--top", "1")
    assert (ended.code, ended.err) == (0, "")
    lines = ended.out.splitlines()
    assert lines[0] == "The last 1 of 2 nights"
    assert lines[1].split() == [
        "night",
        "targets",
        "fail",
        "warn",
        "unknown",
        "findings",
        "new",
        "gone",
    ]
    assert lines[2].split()[1:] == ["2", "1", "0", "0", "2", "0", "0"]
    assert "Open for the longest (of 2 findings)" in lines
    assert lines[-1].split()[:2] == ["198.51.100.40", "PTR_MISSING"]
    assert lines[-1].split()[-2:] == ["2", "1"]


def test_rows_are_lists_where_the_terminal_is_too_narrow_for_a_table(nights: Path) -> None:
    with at_terminal("history", nights, on=("stdout",), columns=50) as (_, terminal):
        lines = click.unstyle(terminal.read_all()).splitlines()
    assert max(map(len, lines)) <= 50
    assert lines[0].startswith("night 2")
    assert lines[1] == "  warn 0, unknown 0, findings 2, new -, gone -"
    assert "target 198.51.100.40: finding PTR_MISSING, since" in lines


def test_json_is_a_line_for_each_night_and_finding(
    nights: Path, call: Callable[..., Ended]
) -> None:
    arguments = ("--json", "--open", "--finding", "PTR_MISSING", "--target", "198.51.100.0/24")
    ended = call("history", nights, *arguments)
    lines = [json.loads(line) for line in ended.out.splitlines()]
    assert [line["type"] for line in lines] == ["night", "night", "finding"]
    assert lines[1]["findings"] == {"PTR_MISSING": 1}
    assert (lines[2]["state"], lines[2]["nights"]) == ("open", 2)


def test_nothing_open_is_said(nights: Path, call: Callable[..., Ended]) -> None:
    ended = call("history", nights, "--target", "example.net")
    assert ended.out.endswith("\nNo finding is open.\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "no history without nights: give .parquet files, or a folder of them"),
        (
            ["."],
            ".: no .parquet file in it; expected a table of `auditor convert` (.parquet)",
        ),
        (
            ["nights"],
            "nights: no such file or folder; expected a table of `auditor convert` (.parquet)",
        ),
        (
            ["x", "--finding", "PTR_MISING"],
            "--finding: no finding 'PTR_MISING'; did you mean PTR_MISSING?",
        ),
        (
            ["x", "--target", "192.0.2.1/24"],
            (
                "--target: '192.0.2.1/24' has host bits set; the network is 192.0.2.0/24, "
                "the address alone is 192.0.2.1"
            ),
        ),
    ],
)
def test_what_cannot_work_is_one_line(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    call: Callable[..., Ended],
    arguments: list[str],
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert call("history", *arguments) == (2, "", f"auditor: {message}\n")
