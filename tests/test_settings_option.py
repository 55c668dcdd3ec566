"""Adding an option touches one table: a field added to `Settings` is everywhere that it must be.

Shown with a copy of the package that differs in nothing but one more field.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pytest

import auditor

if TYPE_CHECKING:
    from collections.abc import Mapping

PACKAGE: Final = Path(auditor.__file__).parent

NEW_FIELD: Final = """
    hop_limit: int | None = option(
        None,
        Group.SERVERS,
        parse_int,
        limits=(1, 255),
        needs_trust=True,
        unset="the system's own",
        help="Hop limit of queries.",
    )

    def __post_init__"""

COMMANDS: Final = ("scan", "check", "spf", "zones", "config")
SCAN: Final = f"scan -q --zones {PACKAGE.parent}/examples/fleet/zones 198.51.100.1 -o out.ndjson"
CALLS: Final = (
    *(f"{command} --help" for command in COMMANDS),
    "config",
    "config --json",
    "config --json --config night.toml",
    "AUDITOR_HOP_LIMIT=4 config --json --config night.toml",
    "AUDITOR_HOP_LIMIT=4 config --json --config night.toml --hop-limit 5",
    "config --hop-limit 5",
    "config --hop-limit 256",
    "config --hop-limit far",
    f"{SCAN} --hop-limit 5",
    f"{SCAN} --resume",
)

#: Runs the calls in one interpreter, each with its variable, and prints how they ended.
CHILD: Final = """
import contextlib, io, json, os, shlex, sys
from auditor.cli.app import run
ended = {}
for call in json.loads(sys.argv[1]):
    words = shlex.split(call)
    name, equals, value = words[0].partition("=")
    os.environ.pop("AUDITOR_HOP_LIMIT", None)
    if equals:
        os.environ[name] = value
    with contextlib.redirect_stdout(io.StringIO()) as out:
        with contextlib.redirect_stderr(io.StringIO()) as err:
            code = run(words[bool(equals):])
    ended[call] = (code, out.getvalue(), err.getvalue())
print(json.dumps(ended))
"""


class Ended(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder that the commands work in, with a file of settings."""
    path = tmp_path_factory.mktemp("work")
    (path / "night.toml").write_text("hop-limit = 3\n")
    return path


@pytest.fixture(scope="module")
def extended(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the package as it is, and one field more in `Settings`."""
    path = tmp_path_factory.mktemp("extended")
    (path / "auditor").mkdir()
    for file in PACKAGE.iterdir():
        if file.name not in {"settings.py", "__pycache__"}:
            (path / "auditor" / file.name).symlink_to(file)
    source = (PACKAGE / "settings.py").read_text("utf-8")
    assert source.count("\n    def __post_init__") == 1
    changed = source.replace("\n    def __post_init__", NEW_FIELD)
    (path / "auditor" / "settings.py").write_text(changed, "utf-8")
    return path


def _run(extended: Path, folder: Path, *calls: str) -> Mapping[str, Ended]:
    done = subprocess.run(
        [sys.executable, "-P", "-c", CHILD, json.dumps(calls)],
        capture_output=True,
        check=True,
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(extended)},
    )
    return {call: Ended(*ended) for call, ended in json.loads(done.stdout).items()}


@pytest.fixture(scope="module")
def ended(extended: Path, folder: Path) -> Mapping[str, Ended]:
    """Return how each of the calls ended."""
    return _run(extended, folder, *CALLS)


@pytest.mark.parametrize("command", COMMANDS)
def test_a_new_option_is_in_the_help_of_the_commands_of_its_group(
    ended: Mapping[str, Ended], command: str
) -> None:
    assert "--hop-limit N " in ended[f"{command} --help"].out


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        ("config --json", {"value": None, "source": "default", "where": None}),
        (
            "config --json --config night.toml",
            {"value": 3, "source": "file", "where": "night.toml"},
        ),
        (
            "AUDITOR_HOP_LIMIT=4 config --json --config night.toml",
            {"value": 4, "source": "variable", "where": "AUDITOR_HOP_LIMIT"},
        ),
        (
            "AUDITOR_HOP_LIMIT=4 config --json --config night.toml --hop-limit 5",
            {"value": 5, "source": "flag", "where": "--hop-limit"},
        ),
    ],
)
def test_a_new_option_is_read_from_a_file_a_variable_and_a_flag(
    ended: Mapping[str, Ended], call: str, shown: Mapping[str, Any]
) -> None:
    assert json.loads(ended[call].out)["settings"]["hop-limit"] == shown


def test_a_new_option_is_shown_by_config_in_toml(ended: Mapping[str, Ended]) -> None:
    assert "# hop-limit: the system's own" in ended["config"].out
    assert tomllib.loads(ended["config --hop-limit 5"].out)["hop-limit"] == 5


def test_a_new_option_is_validated(ended: Mapping[str, Ended]) -> None:
    assert ended["config --hop-limit 256"] == (
        *(2, ""),
        "auditor: hop-limit: 256 is not within 1 and 255\n",
    )
    assert ended["config --hop-limit far"] == (
        *(2, ""),
        "auditor: --hop-limit: 'far' is not a valid integer (see auditor config --help)\n",
    )


def test_a_new_option_that_needs_trust_is_not_taken_from_a_planted_file(
    extended: Path, tmp_path: Path
) -> None:
    (tmp_path / "auditor.toml").write_text("hop-limit = 3\n")
    (tmp_path / "auditor.toml").chmod(0o666)
    (refused,) = _run(extended, tmp_path, "config").values()
    assert "auditor.toml: hop-limit is not accepted from a file that was not named" in refused.err


def test_a_new_option_is_in_the_manifest_and_the_identity_of_a_run(
    ended: Mapping[str, Ended], folder: Path
) -> None:
    assert ended[f"{SCAN} --hop-limit 5"] == (0, "", "")
    name = shlex.split(SCAN)[-1]
    manifest = json.loads((folder / f"{name}.run.json").read_text("utf-8"))
    assert manifest["settings"]["hop_limit"] == 5
    resumed = ended[f"{SCAN} --resume"]
    assert resumed.code == 2
    assert "hop-limit was '5' and is not given" in resumed.err
