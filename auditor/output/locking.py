"""One writer for a file, however many ask: a lock that goes with the process that holds it."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import TYPE_CHECKING, Final

from auditor.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["is_at", "open_alone"]

#: File systems that know no locks: there one has to look after oneself.
_NO_LOCKS: Final = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP})


def open_alone(path: Path, flags: int) -> int:
    """Open a file to read and append to, and return the descriptor, which holds the lock.

    `flags` are more of those of `os.open`. Raises UsageError if another process has it,
    OSError for whatever else is wrong.
    """
    while True:
        handle = os.open(path, os.O_RDWR | os.O_APPEND | flags, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(handle)
            raise UsageError(f"{path}: another run is writing to it") from None
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                os.close(handle)
                raise
        # Whoever had the lock a moment ago may have given the file its last name.
        if is_at(handle, path):
            return handle
        os.close(handle)


def is_at(handle: int, path: Path) -> bool:
    """Tell whether the file of a descriptor is the one that the path leads to."""
    mine = os.fstat(handle)
    try:
        there = path.stat()
    except OSError:
        return False
    return (mine.st_dev, mine.st_ino) == (there.st_dev, there.st_ino)
