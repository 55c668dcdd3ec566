"""Where test material is that is no part of the project, and what becomes of tests without it."""

from __future__ import annotations

import importlib.util
import os
import shutil
from pathlib import Path
from typing import Final, NoReturn

import pytest

__all__ = ["DATA", "WHY_NOT", "installed", "missing", "needs"]

_ROOT = Path(__file__).resolve().parents[2]


def _find() -> Path | None:
    named = os.environ.get("AUDITOR_TEST_DATA")
    folder = Path(named) if named else _ROOT.parent / "shared" / "data"
    if (folder / "README.md").is_file():
        return folder
    if named:
        raise FileNotFoundError(f"AUDITOR_TEST_DATA names {named}, where there is no README.md")
    return None


DATA: Final[Path | None] = _find()
WHY_NOT: Final = "no shared test material: name its folder in AUDITOR_TEST_DATA"


def installed(program: str, package: str) -> str:
    """Return where a program is, or do without the test; Debian keeps servers in sbin."""
    path = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])
    found = shutil.which(program, path=path)
    if found is None:
        missing(f"{program} is not installed: apt-get install {package}")
    return found


def needs(module: str, extra: str) -> pytest.MarkDecorator:
    """Return the mark of tests that need a library, which is not loaded to see if it is there."""
    reason = f"pip install {extra}"
    return pytest.mark.skipif(importlib.util.find_spec(module) is None, reason=reason)


def missing(why: str) -> NoReturn:
    """Skip a test that needs what is not installed, or fail it where everything must be."""
    if os.environ.get("REQUIRE_SERVERS") == "1":
        pytest.fail(f"{why}, and REQUIRE_SERVERS is 1")
    pytest.skip(why)
