"""The openspf RFC 7208 suite, which pyspf's source distribution carries.

    python tests/support/spf_suite.py

fetches it once, into the environment of the interpreter that runs this; `make test` does so.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any, Final, NamedTuple

import yaml

__all__ = ["CASES", "CASE_IDS", "MISSING", "Case", "fetch"]

_NAME: Final = "rfc7208-tests.yml"
_RELEASE: Final = "pyspf==2.0.14"
_FETCHED: Final = Path(sys.prefix) / "share" / "auditor-tests" / _NAME

MISSING: Final = f"the RFC 7208 suite is not there: {Path(__file__).name} fetches it"


class Case(NamedTuple):
    """One `check_host()` call: its scenario's name and zone data, and what may come out."""

    scenario: str
    name: str
    spec: dict[str, Any]
    zone: dict[str, list[Any]]


def fetch() -> None:
    """Take the suite out of pyspf's source distribution, unless it is there."""
    if _FETCHED.is_file():
        return
    options = ("--quiet", "--disable-pip-version-check", "--no-deps", "--no-binary", "pyspf")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", *options, "--dest", folder, _RELEASE],
            check=True,
        )
        (source,) = Path(folder).iterdir()
        with tarfile.open(source) as archive:
            (member,) = [one for one in archive if one.name.endswith(f"/{_NAME}")]
            content = archive.extractfile(member)
            assert content is not None
            _FETCHED.parent.mkdir(parents=True, exist_ok=True)
            part = _FETCHED.with_suffix(".part")
            part.write_bytes(content.read())
            part.replace(_FETCHED)


def _cases() -> list[Case]:
    if not _FETCHED.is_file():
        return []
    return [
        Case(scenario["description"], name, spec, scenario["zonedata"])
        for scenario in yaml.load_all(_FETCHED.read_text(encoding="utf-8"), yaml.CSafeLoader)
        for name, spec in scenario["tests"].items()
    ]


CASES: Final = _cases()
CASE_IDS: Final = [f"{case.scenario}: {case.name}" for case in CASES]

if __name__ == "__main__":
    fetch()
