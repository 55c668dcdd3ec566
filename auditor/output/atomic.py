"""Replaces a file atomically: writes a temporary file beside it, syncs and renames.

Existing files and links are neither followed nor written to: this process creates the new file
(O_EXCL), and the rename replaces a link, not its destination.
"""

from __future__ import annotations

import os
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING, Final

from auditor.errors import OutputError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["check_replaceable", "nameless_file", "replace_file", "replacing", "sync_folder"]

#: Characters of a name that its temporary name repeats, to stay below a file system's limit of
#: 255 octets.
_KEPT_NAME_CHARACTERS: Final = 60


def check_replaceable(path: Path, *, overwrite: bool) -> None:
    """Raise UsageError if nothing may be put at `path`, before any work is done for it."""
    if path.is_dir():
        raise UsageError(f"{path}: is a directory; expected a file")
    if path.exists() and not path.is_file():
        raise UsageError(f"{path}: not a regular file")
    if path.exists() and not overwrite:
        raise UsageError(f"{path}: exists already; --overwrite replaces it")
    if not path.parent.is_dir():
        raise UsageError(f"{path}: cannot be created: there is no folder {path.parent}")


@contextmanager
def replacing(path: Path, *, overwrite: bool = False) -> Iterator[IO[bytes]]:
    """Yield a file to write, and move it to `path` at the end; after an error nothing is left.

    Raises UsageError as `check_replaceable` does, OutputError if it cannot be written: any
    OSError in the body counts as that.
    """
    check_replaceable(path, overwrite=overwrite)
    try:
        with _replacement(path) as file:
            yield file
    except OSError as error:
        raise OutputError(f"{path}: cannot be written: {error.strerror or error}") from error


def replace_file(
    path: Path, data: bytes, *, alone: bool = False, mode: int | None = None, sync: bool = True
) -> None:
    """Replace a file atomically. Raises OSError.

    `alone`: a lock keeps other processes from writing this file; then its temporary name is
    always the same, so that killed processes leave at most one. `mode`: permissions, else those
    of any new file. Without `sync` a power failure may undo it.
    """
    with _replacement(path, alone=alone, mode=mode, sync=sync) as file:
        file.write(data)


def nameless_file(path: Path) -> IO[bytes]:
    """Return a new unnamed file in the folder of `path`: it is freed when this process ends.

    Raises OSError.
    """
    new = _temporary(path)
    file = new.open("x+b", buffering=0)
    new.unlink()
    return file


def sync_folder(path: Path) -> None:
    """Sync a folder, so that the names in it survive a power failure. Raises OSError."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def _replacement(
    path: Path, *, alone: bool = False, mode: int | None = None, sync: bool = True
) -> Iterator[IO[bytes]]:
    """Yield the file that will replace the one at `path`. Raises OSError."""
    if alone:
        new = path.with_name(f".{path.name}.new")
        new.unlink(missing_ok=True)
    else:
        new = _temporary(path)
    try:
        # Mode "x" is O_CREAT with O_EXCL, which follows no link.
        with new.open("xb") as file:
            if mode is not None:
                os.fchmod(file.fileno(), mode)
            yield file
            file.flush()
            if sync:
                os.fsync(file.fileno())
        new.replace(path)
    except BaseException:
        with suppress(OSError):
            new.unlink(missing_ok=True)
        raise
    if sync:
        sync_folder(path.parent)


def _temporary(path: Path) -> Path:
    """Return an unpredictable name beside `path`."""
    return path.with_name(f".{path.name[:_KEPT_NAME_CHARACTERS]}.{os.urandom(4).hex()}")
