"""Where finished lines go: a file that appears whole, or standard output.

Writing happens in a thread, so a slow disk or reader holds up the input and never the
answers that are on their way.
"""

from __future__ import annotations

import asyncio
import os
import select
from typing import TYPE_CHECKING, Protocol

from auditor.errors import OutputError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FileSink", "Sink", "StreamSink", "partial_path"]


class Sink(Protocol):
    """Takes whole lines, in order."""

    async def write(self, lines: bytes) -> None:
        """Write all of `lines`. Raises OutputError; then only whole lines are there."""
        ...

    def finish(self) -> None:
        """Make what was written final: the run has come to its end."""
        ...

    def close(self) -> None:
        """Let go of the file; without `finish` it stays what it is, a partial one."""
        ...


def partial_path(path: Path) -> Path:
    """Return where an output grows until it is whole."""
    return path.with_name(path.name + ".partial")


class FileSink:
    """Writes `FILE.partial` and renames it to `FILE` at the end.

    Raises UsageError if either exists and `overwrite` is not set, or is no regular file;
    OutputError if the file cannot be made.
    """

    def __init__(self, path: Path, *, overwrite: bool = False) -> None:
        self.path = path
        self._partial = partial_path(path)
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | (os.O_TRUNC if overwrite else os.O_EXCL)
        try:
            for there in (path, self._partial):
                _refuse_existing(there, overwrite=overwrite)
            self._handle: int | None = os.open(self._partial, flags, 0o666)
        except OSError as error:
            raise OutputError(f"{self._partial}: cannot be made: {error.strerror}") from error
        self._size = 0

    async def write(self, lines: bytes) -> None:
        """Append lines to the partial file."""
        await asyncio.to_thread(self._append, lines)

    def _append(self, lines: bytes) -> None:
        handle = self._open_handle()
        written = 0
        try:
            while written < len(lines):
                written += os.write(handle, memoryview(lines)[written:])
        except OSError as error:
            # What fitted of the last lines may end in the middle of one: take that back.
            self._size += lines.rfind(b"\n", 0, written) + 1
            try:
                os.ftruncate(handle, self._size)
            except OSError:
                state = f"the lines in its first {self._size} octets are whole"
            else:
                state = "the lines in it are whole"
            raise OutputError(
                f"{self._partial}: cannot be written: {error.strerror}; {state}"
            ) from error
        self._size += written

    def finish(self) -> None:
        """Put the file in place: on the disk first, then under its name."""
        handle = self._open_handle()
        try:
            os.fsync(handle)
            self._partial.replace(self.path)
            folder = os.open(self.path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be put in place: {error.strerror}") from error

    def close(self) -> None:
        """Close the file."""
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _open_handle(self) -> int:
        if self._handle is None:
            raise ValueError("the output is closed")
        return self._handle


def _refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Raise UsageError for what must not be replaced: a device or a folder never may be."""
    if not path.exists():
        return
    if not path.is_file():
        raise UsageError(f"{path}: not a regular file; without -o, lines go to standard output")
    if not overwrite:
        raise UsageError(f"{path}: exists already; --overwrite replaces it")


class StreamSink:
    """Writes to a file descriptor that somebody else opened, such as standard output."""

    def __init__(self, handle: int, name: str = "standard output") -> None:
        self._handle = handle
        self._name = name

    async def write(self, lines: bytes) -> None:
        """Write lines to the descriptor."""
        await asyncio.to_thread(self._append, lines)

    def _append(self, lines: bytes) -> None:
        view = memoryview(lines)
        try:
            while view:
                try:
                    view = view[os.write(self._handle, view) :]
                except BlockingIOError:
                    # Whoever shares the descriptor has made it so: wait for the reader.
                    select.select((), (self._handle,), ())
        except BrokenPipeError as error:
            raise OutputError(f"{self._name}: closed by its reader") from error
        except OSError as error:
            raise OutputError(f"{self._name}: cannot be written: {error.strerror}") from error

    def finish(self) -> None:
        """Do nothing: a stream is final as it is written."""

    def close(self) -> None:
        """Do nothing: whoever opened the descriptor closes it."""
