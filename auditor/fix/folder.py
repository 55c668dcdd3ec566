"""The folder of a plan: writes its files, and refuses to replace anything else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from auditor.errors import OutputError, UsageError
from auditor.output.atomic import replacing

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["PLAN_FILE", "check_folder", "write_folder"]

PLAN_FILE: Final = "plan.ndjson"


def check_folder(folder: Path, *, overwrite: bool) -> None:
    """Raise UsageError if no plan may be put into a folder."""
    if folder.exists() and not folder.is_dir():
        raise UsageError(f"{folder}: is a file; expected a folder for the plan")
    if not folder.exists() or not any(folder.iterdir()):
        return
    if not (folder / PLAN_FILE).is_file():
        raise UsageError(f"{folder}: holds something else; expected a new folder for the plan")
    if not overwrite:
        raise UsageError(f"{folder}: holds a plan already; --overwrite replaces it")


def write_folder(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write the files of a plan; those of an earlier one are removed. Raises OutputError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path in sorted(folder.rglob("*"), reverse=True):
            if _is_of_plan(path.relative_to(folder).parts[0]):
                path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink()
        for name in files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be written: {error.strerror}") from error
    for name, data in files.items():
        with replacing(folder / name, overwrite=True) as file:
            file.write(data)


def _is_of_plan(name: str) -> bool:
    return name.startswith(("mine.", "for-")) or name in {PLAN_FILE, "rir.txt", "undecided.txt"}
