"""The pages for people: every --help, the catalogue, the schema, the version.

Also tests `man.py` and `zones_text.py`.
"""

from __future__ import annotations

import json
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
import pytest
from cli import driving

from auditor import __version__
from auditor.cli.app import app
from auditor.findings.catalogue import ENTRIES

if TYPE_CHECKING:
    from collections.abc import Callable

    from cli.driving import Ended

ROOT = Path(__file__).resolve().parents[2]
COMMANDS = tuple(app.list_commands(click.Context(app)))


def _example(help_text: str) -> str:
    (example,) = help_text.split("Example: ")[1:]
    return " ".join(example.split())


def test_the_help_lists_every_command(call: Callable[..., Ended]) -> None:
    ended = call("--help")
    assert (ended.code, ended.err) == (0, "")
    listed = ended.out.split("Commands:\n")[1].split("\n\n")[0]
    assert [line.split()[0] for line in listed.splitlines()] == list(COMMANDS)
    assert call("-h") == ended


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help_fits_a_terminal_and_says_how_to_begin(
    call: Callable[..., Ended], command: str
) -> None:
    ended = call(*command.split(), "--help")
    assert (ended.code, ended.err) == (0, "")
    assert max(map(len, ended.out.splitlines())) <= 80
    last = _example(ended.out).rpartition(" && ")[2]
    assert last.startswith(f"auditor {command}".strip())


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return what `auditor demo` makes."""
    folder = tmp_path_factory.mktemp("demo") / "demo"
    assert driving.call("demo", "-q", "-o", folder).code == 0
    return folder


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_the_example_of_every_help_runs(
    call: Callable[..., Ended],
    command: str,
    here: Path,
    demo: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In an empty folder, as after an installation: no clone and no network."""
    monkeypatch.chdir(here)
    example = _example(call(*command.split(), "--help").out).partition(" > ")[0]
    for line in example.split(" && "):
        words = shlex.split(line)
        made = words[words.index("-o") + 1] if "-o" in words else None
        if words[1] == "demo" and command != "demo":
            assert made is not None
            shutil.copytree(demo, made)
            continue
        ended = call(*words[1:])
        assert ended.code == 0
        assert ended.out or (made is not None and Path(made).stat().st_size)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_option_has_a_text(command: str) -> None:
    found = app.get_command(click.Context(app), command)
    assert found is not None
    for parameter in found.params:
        if isinstance(parameter, click.Option):
            assert parameter.help, parameter.name


def test_the_version_is_that_of_the_package(call: Callable[..., Ended]) -> None:
    assert call("--version") == (0, f"auditor {__version__}\n", "")


def test_the_manual_page_has_every_command_and_option_and_nothing_that_roff_misreads(
    call: Callable[..., Ended],
) -> None:
    ended = call("man")
    assert (ended.code, ended.err) == (0, "")
    for name in COMMANDS:
        assert f"\n.SS auditor {name}" in ended.out
        found = app.get_command(click.Context(app), name)
        assert found is not None
        for parameter in found.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert parameter.opts[-1].replace("-", r"\-") in ended.out
    requests = {line.split()[0] for line in ended.out.splitlines() if line.startswith(".")}
    assert requests == {".TH", ".SH", ".B", ".PP", ".SS", ".TP"}
    groff = shutil.which("groff")
    if groff is not None:
        done = subprocess.run(
            [groff, "-man", "-Tutf8", "-ww"],
            input=ended.out.encode(),
            capture_output=True,
            check=True,
        )
        assert done.stderr == b""
        assert b"AUDITOR(1)" in done.stdout


def test_explain_lists_the_catalogue(call: Callable[..., Ended]) -> None:
    ended = call("explain")
    assert (ended.code, ended.err) == (0, "")
    lines = [line for line in ended.out.splitlines() if not line.startswith(" ")]
    assert [line.split()[:2] for line in lines] == [[e.code, e.severity] for e in ENTRIES]
    text = " ".join(ended.out.split())
    for entry in ENTRIES:
        assert f"{entry.code} {entry.severity} {entry.title}" in text
    assert max(map(len, ended.out.splitlines())) <= 80


@pytest.mark.parametrize("code", [entry.code for entry in ENTRIES])
def test_explain_says_why_and_what_to_do(call: Callable[..., Ended], code: str) -> None:
    ended = call("explain", code.lower())
    assert (ended.code, ended.err) == (0, "")
    (entry,) = (entry for entry in ENTRIES if entry.code == code)
    text = " ".join(ended.out.split())
    assert text.startswith(f"{code} ({entry.severity}")
    for part in (entry.title, entry.why, entry.remedy, *entry.references):
        assert " ".join(part.split()) in text
    prose = ended.out.split("\n\nWhat to publish looks like\n")[0]
    assert max(map(len, prose.splitlines())) <= 80


def test_explain_of_ptr_missing_in_full(call: Callable[..., Ended]) -> None:
    assert call("explain", "SPF_SOFTFAIL").out.splitlines()[:3] == [
        "SPF_SOFTFAIL (warning)",
        "The policy says that the address should probably not send for the domain",
        "",
    ]
    lines = call("explain", "PTR_MISSING").out.splitlines()
    start = lines.index("What to publish looks like")
    assert lines[start + 1 : start + 3] == [
        "  ; <reverse>. IN PTR <host>.",
        "  ; <host>. IN <type> <address>",
    ]


def test_the_schema_is_json(call: Callable[..., Ended]) -> None:
    ended = call("schema")
    assert (ended.code, ended.err) == (0, "")
    schema = json.loads(ended.out)
    assert schema["title"] == "auditor record"
    assert list(schema["properties"])[:3] == ["target", "kind", "verdict"]


def test_the_module_and_the_installed_command_are_the_same() -> None:
    script = Path(sys.executable).with_name("auditor")
    said = [
        subprocess.run([*command, "--version"], capture_output=True, check=True).stdout
        for command in ([sys.executable, "-m", "auditor"], [str(script)])
    ]
    assert said[0] == said[1] == f"auditor {__version__}\n".encode()
