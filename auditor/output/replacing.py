"""A file that appears whole: written under another name beside its place, then renamed."""

from __future__ import annotations

import os
import secrets
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from auditor.errors import OutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["check_replaceable", "replacing"]


def check_replaceable(path: Path, *, overwrite: bool) -> None:
    """Raise UsageError if nothing may be put at `path`, before any work is done for it."""
    if path.is_dir():
        raise UsageError(f"{path}: is a directory; expected a file")
    if path.exists() and not path.is_file():
        raise UsageError(f"{path}: not a regular file")
    if path.exists() and not overwrite:
        raise UsageError(f"{path}: exists already; --overwrite replaces it")
    if not path.parent.is_dir():
        raise UsageError(f"{path}: cannot be made: there is no folder {path.parent}")


@contextmanager
def replacing(path: Path, *, overwrite: bool = False) -> Iterator[IO[bytes]]:
    """Give a file to write, and put it at `path` at the end; after an error nothing is left.

    Raises UsageError as `check_replaceable` does, OutputError if it cannot be written: any
    OSError in the body counts as that.
    """
    check_replaceable(path, overwrite=overwrite)
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        try:
            with new.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            new.replace(path)
        except BaseException:
            with suppress(OSError):
                new.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error
