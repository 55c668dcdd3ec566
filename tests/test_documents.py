"""The documents tell the truth: their commands run and print what is shown, their links lead on.

A console block holds commands after `$ ` and what they print. `...` on a line of its own stands
for any lines, at the end of a line for the rest of it; figures of a run that differ from one to
the next are compared by their form. Commands run beside the examples, from zone files, and none
asks a server.
"""

from __future__ import annotations

import io
import json
import os
import re
import subprocess
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click
import pytest
from cli.driving import call_as_one
from support.data import installed
from support.fleet import FLEET

from auditor.cli.app import app
from auditor.cli.progress import describe
from auditor.findings.catalogue import ENTRIES
from auditor.settings import OPTIONS, Settings
from auditor.settings_sources import load, read_config

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).resolve().parents[1]
_FOLDERS: Final = (
    "docs",
    "examples",
    "examples/fleet",
    "examples/cluster",
    "examples/nightly",
    "examples/queries",
    "benchmarks",
)
DOCUMENTS: Final = tuple(
    sorted(
        path.relative_to(ROOT).as_posix()
        for folder in (ROOT, *(ROOT / name for name in _FOLDERS))
        for path in folder.glob("*.md")
    )
)
README: Final = (ROOT / "README.md").read_text("utf-8")
#: What a user reads: the README and the pages of docs/.
MANUAL: Final = "\n".join(
    (ROOT / name).read_text("utf-8")
    for name in DOCUMENTS
    if name == "README.md" or name.startswith("docs/")
)
CONTEXT: Final = click.Context(app)
COMMANDS: Final = {name: app.get_command(CONTEXT, name) for name in app.list_commands(CONTEXT)}

_FENCE: Final = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK: Final = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
#: A command line that a shell takes as its words, and nothing else.
_PLAIN: Final = re.compile(r"auditor( [\w./:=,@+-]+)+")
_TIMES: Final = re.compile(r"in [\d.]+ s \([\d,]+/s\)")


class Block(NamedTuple):
    """A fenced block of a document."""

    document: str
    line: int
    language: str
    text: str


class Example(NamedTuple):
    """A command and what is shown of its output; None if nothing is."""

    where: str
    command: str
    output: str | None


def _blocks() -> Iterator[Block]:
    for document in DOCUMENTS:
        text = (ROOT / document).read_text("utf-8")
        for match in _FENCE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            yield Block(document, line, match[1], match[2])


BLOCKS: Final = tuple(_blocks())


def _sessions() -> Iterator[list[Example]]:
    """Yield the commands of each block that has any; they share a folder and a shell."""
    for block in BLOCKS:
        where = f"{block.document}:{block.line}"
        if block.language == "console":
            parts = re.split(r"^\$ ", block.text, flags=re.MULTILINE)
            assert parts[0] == "", f"{where}: output without a command"
            pairs = [part.partition("\n") for part in parts[1:]]
            yield [Example(where, command, output) for command, _, output in pairs]
        elif block.language == "sh":
            yield [Example(where, line, None) for line in block.text.splitlines()]
    # Indented commands, as in the table of a folder's README.
    for document in DOCUMENTS:
        text = _FENCE.sub("", (ROOT / document).read_text("utf-8"))
        lines = re.findall(r"^    (auditor .*)$", text, flags=re.MULTILINE)
        if lines:
            yield [Example(document, line, None) for line in lines]


SESSIONS: Final = tuple(_sessions())


def _like(shown: str, actual: str) -> bool:
    """Tell whether an output is what a document shows."""
    parts = []
    for line in shown.splitlines():
        if line == "...":
            parts.append(r"(?:.*\n)*?")
        elif line.endswith("..."):
            parts.append(re.escape(line[:-3]) + r".*\n")
        else:
            parts.append(re.escape(line) + r"\n")
    return re.fullmatch("".join(parts), actual) is not None


@pytest.fixture
def beside_the_examples(tmp_path: Path) -> dict[str, Any]:
    """Return how a command is run: in a folder with the examples, with `auditor` on the path."""
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, arguments in {"auditor": "-m auditor", "python": ""}.items():
        script = programs / name
        script.write_text(f'#!/bin/sh\nexec "{sys.executable}" {arguments} "$@"\n')
        script.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if "AUDITOR" not in name}
    environment["PATH"] = f"{programs}{os.pathsep}{environment['PATH']}"
    environment["PYTHONPATH"] = str(ROOT)
    environment["AUDITOR_ZONES"] = str(FLEET / "zones")
    return {"cwd": tmp_path, "env": environment}


@pytest.mark.parametrize("session", SESSIONS, ids=lambda session: session[0].where)
def test_commands_print_what_is_shown(
    session: list[Example], beside_the_examples: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(beside_the_examples["cwd"])
    for name in set(os.environ) - set(beside_the_examples["env"]):
        monkeypatch.delenv(name)
    for name, value in beside_the_examples["env"].items():
        monkeypatch.setenv(name, value)
    code = 0
    for number, example in enumerate(session):
        assert "--server" not in example.command, "no server is there to be asked"
        code, actual = _run(example.command, code)
        if example.output is None:
            assert code == 0, f"{example.where}: {example.command}: {actual}"
            continue
        shown, actual = (_TIMES.sub("in 0.1 s (9/s)", text) for text in (example.output, actual))
        assert _like(shown, actual), f"{example.where}: {example.command} prints\n{actual}"
        following = session[number + 1].output if number + 1 < len(session) else None
        assert code == 0 or following == f"{code}\n", f"{example.where}: exit code {code}"


def _run(command: str, before: int) -> tuple[int, str]:
    """Run a command; return its exit code and what it prints, `$?` being that of one before.

    One that needs no shell runs in this process, which is several times as fast.
    """
    if _PLAIN.fullmatch(command):
        return call_as_one(*command.split()[1:])
    if re.search(r"\bjq\b", command):
        installed("jq", "jq")
    script = f"exec 2>&1\n(exit {before})\n{command}"
    done = subprocess.run(["bash", "-c", script], capture_output=True, check=False, timeout=180)
    return done.returncode, done.stdout.decode()


def test_the_comparison_can_fail() -> None:
    assert _like("a\n...\nd\n", "a\nb\nc\nd\n")
    assert _like("a...\n", "abc\n")
    assert not _like("a\n...\nd\n", "a\nb\n")
    assert not _like("a\n", "a\nb\n")


def test_there_is_something_to_run() -> None:
    commands = [example.command for session in SESSIONS for example in session]
    for name in COMMANDS:
        # The schema is shown by its name only: nobody wants to read it in a README.
        assert name == "schema" or any(f"auditor {name}" in command for command in commands), name
    for path in (ROOT / "examples").glob("*.py"):
        assert any(f"python examples/{path.name}" in command for command in commands), path


@pytest.mark.parametrize(
    "block",
    [block for block in BLOCKS if block.language == "python"],
    ids=lambda block: f"{block.document}:{block.line}",
)
def test_python_examples_run(block: Block, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    printed = io.StringIO()
    with redirect_stdout(printed):
        exec(compile(block.text, block.document, "exec"), {"__name__": "__main__"})  # noqa: S102 - our own text
    assert printed.getvalue().splitlines()[-1] == "example.net pass"


def test_the_record_that_is_explained_is_real(beside_the_examples: dict[str, Any]) -> None:
    (block,) = (block for block in BLOCKS if block.language == "json")
    shown = json.loads(block.text)
    done = subprocess.run(
        ["auditor", "scan", "-q", shown["target"]],
        capture_output=True,
        check=True,
        **beside_the_examples,
    )
    assert json.loads(done.stdout) == shown
    page = (ROOT / "docs" / "record.md").read_text("utf-8")
    rows = re.findall(r"^\| `(\w+)` \| ", page, flags=re.MULTILINE)
    assert rows[: len(shown)] == list(shown)


def test_the_progress_line_is_real() -> None:
    verdicts = {"pass": 15_572, "fail": 812}
    assert f"\n{describe(16_384, 65_536, 4_096, verdicts, 1.331)}\n" in MANUAL


def test_the_settings_that_are_shown_work(tmp_path: Path) -> None:
    (block,) = (block for block in BLOCKS if block.language == "toml")
    (tmp_path / "auditor.toml").write_text(block.text)
    keys = read_config(tmp_path / "auditor.toml", OPTIONS)
    settings = load(Settings, tmp_path / "auditor.toml", {}, {}).settings
    assert len(keys) == 6
    assert settings != Settings()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_manual_names_every_option(name: str) -> None:
    command = COMMANDS[name]
    assert command is not None
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            option = max(parameter.opts, key=len)
            assert re.search(rf"{option}\b", MANUAL), f"{name} {option} is not documented"


def test_the_defaults_that_the_manual_names_are_those_in_force() -> None:
    defaults = Settings()
    assert f"seconds for one try ({defaults.timeout:g})" in MANUAL
    assert f"queries for one question ({defaults.tries})" in MANUAL
    assert f"answers kept ({defaults.cache_size:,})" in MANUAL
    assert f"`--max-targets` ({defaults.max_targets:,}, a /8)" in MANUAL
    assert f"- **{defaults.engine}**, the default: " in MANUAL
    assert f"`{defaults.fail_on}` by default" in MANUAL


def test_the_readme_is_short_and_links_every_page() -> None:
    assert README.count("\n") <= 200
    for page in (ROOT / "docs").glob("*.md"):
        assert f"](docs/{page.name})" in README, page


def test_every_option_that_a_document_names_is_there() -> None:
    known = {"--help", "--version"}
    for command in COMMANDS.values():
        assert command is not None
        for parameter in command.params:
            known |= {*parameter.opts, *parameter.secondary_opts}
    ours = ("README.md", "CHANGELOG.md", "docs/", "examples/README.md", "examples/fleet/")
    for document in (name for name in DOCUMENTS if name.startswith(ours)):
        text = (ROOT / document).read_text("utf-8")
        assert set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", text)) <= known, document


def test_every_finding_that_a_document_names_is_there() -> None:
    codes = {entry.code for entry in ENTRIES}
    for document in DOCUMENTS:
        text = (ROOT / document).read_text("utf-8")
        named = set(re.findall(r"\b(?:PTR|FORWARD|HELO|SPF|MX|ADDRESS|TARGET)_[A-Z0-9_]+\b", text))
        assert named <= codes, document


def test_every_target_of_make_that_a_document_names_is_there() -> None:
    makefile = (ROOT / "Makefile").read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, flags=re.MULTILINE))
    for document in DOCUMENTS:
        text = (ROOT / document).read_text("utf-8")
        named = set(re.findall(r"(?:`|^    )make ([a-z-]+)", text, flags=re.MULTILINE))
        assert named <= targets, document
    assert {"demo", "test", "lint", "bench", "test-oldest"} <= targets


def test_every_file_that_the_architecture_names_is_there() -> None:
    text = _FENCE.sub("", (ROOT / "ARCHITECTURE.md").read_text("utf-8"))
    named = set(re.findall(r"`([\w/]+\.(?:py|toml))`", text))
    files = [path.relative_to(ROOT).as_posix() for path in ROOT.glob("[at]*/**/*.*")]
    assert named
    for name in named:
        assert any(f"/{file}".endswith(f"/{name}") for file in files), name


def _anchors(path: Path) -> set[str]:
    """Return what links into a document may name after `#`."""
    headings = re.findall(r"^#+ (.*)$", _FENCE.sub("", path.read_text("utf-8")), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("document", DOCUMENTS)
def test_links_lead_somewhere(document: str) -> None:
    path = ROOT / document
    text = _FENCE.sub("", path.read_text("utf-8"))
    for link in _LINK.findall(text):
        if link.startswith("https://"):
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), link
        assert not anchor or anchor in _anchors(target), link


@pytest.mark.parametrize("document", DOCUMENTS)
def test_documents_are_finished(document: str) -> None:
    text = (ROOT / document).read_text("utf-8")
    assert not re.search(r"\b(TODO|FIXME|TBD|XXX)\b", text)
    assert text.startswith("# ")
    assert text.endswith("\n")
