"""The example fleet without a clone, and what a shell and a terminal get."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cli.driving import ZONES, at_terminal, auditor, manifest, records
from support.fleet import FLEET

from auditor.cli import demo

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.driving import Ended

ROOT = Path(__file__).resolve().parents[2]


def test_the_demo_shows_what_comes_of_the_example_fleet(call: Callable[..., Ended]) -> None:
    ended = call("demo")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith("verdict")
    assert "PTR_MISSING" in ended.out


def test_the_demo_leaves_all_that_other_commands_are_tried_on(
    here: Path, call: Callable[..., Ended]
) -> None:
    ended = call("demo", "-o", "demo/")
    assert ended.code == 0
    assert "auditor check --zones demo/zones 198.51.100.53" in ended.err
    lines = (here / "demo" / "fleet.ndjson").read_text("utf-8")
    assert len(records(lines)) == manifest(here / "demo" / "fleet.ndjson")["records"]
    assert (here / "demo" / "report.html").read_bytes().startswith(b"<!")
    copied = {path.name for path in (here / "demo" / "zones").iterdir()}
    assert copied == {path.name for path in (FLEET / "zones").iterdir()}
    (here / "demo" / "targets.txt").write_text("changed")
    assert call("demo", "-q", "-o", "demo").err == ""
    assert (here / "demo" / "targets.txt").read_bytes() == (FLEET / "targets.txt").read_bytes()


def test_the_demo_touches_no_other_folder(here: Path, call: Callable[..., Ended]) -> None:
    (here / "mine").mkdir()
    (here / "mine" / "list.txt").write_text("192.0.2.5")
    (here / "file").write_text("x")
    output = {name: call("demo", "-o", name).err for name in ("mine", "file")}
    assert output == {
        "mine": "auditor: mine: holds something else; expected a new folder for the demo\n",
        "file": "auditor: file: is a file; expected a folder for the demo\n",
    }
    assert [path.name for path in (here / "mine").iterdir()] == ["list.txt"]


def test_the_demo_says_when_the_fleet_is_not_there(
    call: Callable[..., Ended], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(demo, "_PLACES", ())
    assert call("demo") == (
        2,
        "",
        "auditor: the example fleet is not part of this installation\n",
    )


def test_a_wheel_carries_what_the_demo_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    included = project["tool"]["hatch"]["build"]["targets"]["wheel"]["force-include"]
    wanted = ("zones", "targets.txt", "targets.csv", "mail.log")
    assert included == {f"examples/fleet/{name}": f"auditor/fleet/{name}" for name in wanted}
    assert all((ROOT / name).exists() for name in included)
    assert {"zones", *demo._COPIED} == set(wanted)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("auditor s", ["scan", "spf", "senders", "summary", "schema"]),
        ("auditor scan --dry", ["--dry-run"]),
        ("auditor scan --engine b", ["bulk"]),
        ("auditor nonsense x", []),
    ],
)
def test_a_shell_can_complete_a_line(line: str, expected: list[str]) -> None:
    words = line.split()
    asked = {
        "_AUDITOR_COMPLETE": "bash_complete",
        "COMP_WORDS": line,
        "COMP_CWORD": str(len(words) - 1),
        "AUDITOR_LOG_FORMAT": "json",
    }
    ended = auditor(env=asked)
    assert (ended.code, ended.err) == (0, "")
    assert [each.partition(",")[2] for each in ended.out.splitlines() if each] == expected


def test_to_complete_a_command_imports_none() -> None:
    program = (
        "import os, sys; os.environ.update(_AUDITOR_COMPLETE='bash_complete', COMP_WORDS="
        "'auditor s', COMP_CWORD='1'); from auditor.cli.app import run; run([]);"
        "print([name for name in sys.modules if name.startswith('auditor.cli.s')])"
    )
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True)
    assert done.stdout.splitlines()[-1] == b"[]"


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("192.0.2.7", "; did you mean auditor check 192.0.2.7?"),
        ("mail.example.net", "; did you mean auditor check mail.example.net?"),
        ("192.0.2.0/24", "; did you mean auditor scan 192.0.2.0/24?"),
        ("scna", "; did you mean scan?"),
        ("192.0.2", ""),
    ],
)
def test_a_target_in_the_place_of_a_command_is_known_for_one(
    call: Callable[..., Ended], word: str, hint: str
) -> None:
    assert call(word).err == f"auditor: no command '{word}'{hint} (see auditor --help)\n"


@pytest.mark.parametrize("name", ["x.pdf", "x.CSV", "x.xml", "x.jpg", "report.html.gz"])
def test_a_report_is_html(here: Path, call: Callable[..., Ended], name: str) -> None:
    ended = call("report", "none.ndjson", "-o", name)
    assert ended.code == 2
    assert (
        f"{name}: the page is HTML, not {Path(name).suffix}; expected a name that ends in .html"
        in ended.err
    )
    assert not (here / name).exists()


def test_a_report_is_a_file(call: Callable[..., Ended]) -> None:
    ended = call("report", "none.ndjson", "-o", "page/")
    assert (ended.code, ended.out) == (2, "")
    assert "page/: is the name of a folder; expected one that ends in .html" in ended.err


# --- Widths


@pytest.mark.parametrize("columns", [60, 160])
@pytest.mark.parametrize(
    "words",
    [
        ("check", "--zones", ZONES, "198.51.100.41"),
        ("spf", "--zones", ZONES, "example.com"),
        ("explain", "PTR_MISSING"),
        ("summary", "fleet.ndjson"),
    ],
    ids=["check", "spf", "explain", "summary"],
)
def test_text_has_the_width_of_its_terminal(
    here: Path, call: Callable[..., Ended], words: tuple[str, ...], columns: int
) -> None:
    call("scan", "-q", "--zones", ZONES, "198.51.100.0/24", "-o", here / "fleet.ndjson")
    with at_terminal(*words, on=("stdout",), columns=columns, stderr=subprocess.DEVNULL) as (
        _,
        terminal,
    ):
        shown = re.sub(r"\x1b\[[\d;]*m", "", terminal.read_all())
    lengths = [len(line) for line in shown.replace("\r", "").split("\n")]
    assert max(lengths) <= columns
    assert columns == 60 or max(lengths) > 80


def test_nothing_is_cut_off_in_a_file(here: Path, call: Callable[..., Ended]) -> None:
    name = ".".join(["a" * 60, "b" * 60, "c" * 60, "example", "net"])
    (here / "zones").mkdir()
    (here / "zones" / "z.zone").write_text(
        "$ORIGIN example.net.\n@ 60 SOA a. b. 1 1 1 1 1\n"
        f"{name.removesuffix('.example.net')} 60 MX 10 {name}.\n"
    )
    for output, more in (("old.ndjson", []), ("new.ndjson", ["--ignore", "SPF,MX"])):
        call("scan", "-q", "--zones", "zones", name, "-o", output, *more)
    assert name in call("diff", "old.ndjson", "new.ndjson").out
    ended = call("scan", "--zones", ZONES, "198.51.100.44", "-o", "x.ndjson")
    assert "The PTR name looks made up for a number or a customer's line\n" in ended.err
