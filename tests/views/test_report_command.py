"""`auditor report`: where the page goes, and what is said when it cannot."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest
from support.reports import address_record, data_of, write_records

from auditor import __version__
from auditor.cli.app import run as run_command


@pytest.fixture
def results(tmp_path: Path) -> str:
    return write_records(tmp_path / "scan.ndjson", [address_record("192.0.2.1")])


def test_the_page_is_put_in_place_whole(
    results: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "report.html"
    assert run_command(["report", results, "--previous", results, "-o", str(output)]) == 0
    assert capfd.readouterr() == (
        "",
        f"report: {output} ({-(-output.stat().st_size // 1000)} kB)\n",
    )
    page = output.read_bytes()
    assert page.startswith(b"<!doctype html>")
    assert page.endswith(b"</html>\n")
    assert f"Made by auditor {__version__} from 1 record".encode() in page
    assert data_of(page)["compared"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.html", "scan.ndjson"]


def test_an_existing_page_is_kept_unless_it_may_go(
    results: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "report.html"
    output.write_text("mine")
    assert run_command(["report", results, "-o", str(output)]) == 2
    message = f"auditor: {output}: exists already; --overwrite replaces it\n"
    assert capfd.readouterr() == ("", message)
    assert output.read_text() == "mine"
    assert run_command(["report", results, "-q", "--overwrite", "-o", str(output)]) == 0
    assert capfd.readouterr() == ("", "")
    assert output.read_bytes().startswith(b"<!doctype html>")


@pytest.mark.parametrize("option", [[], ["--previous"]])
def test_a_page_never_takes_the_place_of_its_results(
    results: str, tmp_path: Path, capfd: pytest.CaptureFixture[str], option: list[str]
) -> None:
    records = Path(results).read_bytes()
    other = write_records(tmp_path / "other.ndjson", [])
    sources = [other, *option, results]
    assert run_command(["report", *sources, "-o", results, "--overwrite"]) == 2
    message = f"auditor: {results}: holds the results; -o needs another name for the page\n"
    assert capfd.readouterr() == ("", message)
    assert Path(results).read_bytes() == records


def test_results_that_cannot_be_read_leave_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bad = tmp_path / "bad.ndjson"
    bad.write_text('{"target": 1}\n')
    output = tmp_path / "report.html"
    assert run_command(["report", str(bad), "-o", str(output)]) == 2
    assert "bad.ndjson line 1: no record" in capfd.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["bad.ndjson"]


def test_a_dash_is_standard_output(results: str, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    assert run_command(["report", results, "-o", "-"]) == 0
    out, err = capfdbinary.readouterr()
    assert data_of(out)["runs"] == [0xC0000201, 1]
    assert err == b""


def test_a_dash_is_standard_input_once(
    results: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_command(["report", "-", "--previous", "-", "-o", "-"]) == 2
    message = "standard input (-) can be read once only; --previous needs files\n"
    assert capfd.readouterr() == ("", f"auditor: {message}")
    with Path(results).open("rb") as file:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(file))
        assert run_command(["report", "-", "-o", "-"]) == 0
    assert "standard input" in capfd.readouterr().out


def test_an_output_must_be_named(results: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert run_command(["report", results]) == 2
    assert capfd.readouterr().err == "auditor: missing --output (see auditor report --help)\n"
