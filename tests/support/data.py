"""Where the shared test material is, or None: it is never part of the project."""

from __future__ import annotations

import os
from pathlib import Path

_ROOT = Path(__file__).resolve().parents[2]


def _find() -> Path | None:
    named = os.environ.get("AUDITOR_TEST_DATA")
    folder = Path(named) if named else _ROOT.parent / "shared" / "data"
    return folder if (folder / "README.md").is_file() else None


DATA: Path | None = _find()
WHY_NOT = "no shared test material: name its folder in AUDITOR_TEST_DATA"
