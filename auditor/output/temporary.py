"""Temporary folders, and the error if there is no room for them."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from auditor.errors import OutputError

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["temporary_error", "temporary_folder"]


@contextmanager
def temporary_folder(prefix: str) -> Iterator[Path]:
    """Yield a folder that is removed in the end. Raises OutputError if it has no room."""
    try:
        with tempfile.TemporaryDirectory(prefix=prefix, ignore_cleanup_errors=True) as name:
            yield Path(name)
    except OSError as error:
        raise temporary_error(error) from error


def temporary_error(error: OSError) -> OutputError:
    """Return the error for a temporary file or folder that cannot be created or written."""
    try:
        where = f"{tempfile.gettempdir()}: "
    except OSError:  # no directory is writable
        where = ""
    why = f"{error.strerror}; set TMPDIR to another directory"
    return OutputError(f"{where}no room for temporary files: {why}")
