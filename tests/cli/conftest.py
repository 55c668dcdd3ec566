"""Commands run inside the test's process, which is ten times as fast as in one of their own."""

from __future__ import annotations

import os
from contextlib import nullcontext
from typing import TYPE_CHECKING

import pytest
from cli.driving import Ended, standard_input

from auditor.cli.app import run as run_command

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Work in an empty folder, without settings in the environment."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("AUDITOR_"):
            monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def call(capfd: pytest.CaptureFixture[str]) -> Callable[..., Ended]:
    """Run a command, with `stdin` on its standard input if given, and return how it ended."""

    def call_command(*arguments: str | Path, stdin: bytes | None = None) -> Ended:
        with nullcontext() if stdin is None else standard_input(stdin):
            code = run_command([str(argument) for argument in arguments])
        return Ended(code, *capfd.readouterr())

    return call_command
