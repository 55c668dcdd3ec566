"""File lock: one writer for a file; the lock ends with the process that holds it."""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from typing import TYPE_CHECKING, Final

from auditor.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["is_at", "open_alone"]

#: Errors of file systems without locks: there the user must keep other writers out.
_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})


def open_alone(path: Path, flags: int) -> int:
    """Open a file to read and append, lock it, and return the descriptor, which holds the lock.

    `flags` are further flags of `os.open`. Raises UsageError if another process has locked it, or
    if it is a symbolic or hard link or no regular file, through which another file could be
    overwritten; OSError for any other error.
    """
    while True:
        handle = _open_unlinked(path, os.O_RDWR | os.O_APPEND | flags)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise UsageError(f"{path}: another run is writing to it") from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(handle)
                raise
        # The process that held the lock before may have renamed the file to its final name.
        if is_at(handle, path):
            return handle
        os.close(handle)


def _open_unlinked(path: Path, flags: int) -> int:
    """Open a regular file that has no other name, without following links."""
    try:
        handle = os.open(path, flags | os.O_NOFOLLOW | os.O_NONBLOCK, 0o666)
    except OSError as error:
        if error.errno == errno.ELOOP and path.is_symlink():
            raise UsageError(f"{path}: is a symbolic link; remove it") from None
        raise
    status = os.fstat(handle)
    if stat.S_ISREG(status.st_mode) and status.st_nlink <= 1:
        return handle
    os.close(handle)
    if stat.S_ISREG(status.st_mode):
        raise UsageError(f"{path}: has a second name (a hard link); remove one of the two")
    raise UsageError(f"{path}: not a regular file")


def is_at(handle: int, path: Path) -> bool:
    """Tell whether a path is that of a descriptor's file."""
    mine = os.fstat(handle)
    try:
        status = path.lstat()
    except OSError:
        return False
    return (mine.st_dev, mine.st_ino) == (status.st_dev, status.st_ino)
