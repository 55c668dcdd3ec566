"""Sinks for finished lines: a file that is renamed at the end, or an open descriptor.

Writing happens in a thread, so a slow disk or reader delays the input and never the answers in
flight.
"""

from __future__ import annotations

import asyncio
import os
import select
import stat
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from auditor.errors import OutputError, UsageError
from auditor.output.atomic import sync_folder
from auditor.output.frames import FRAME_OCTETS, frame_end, frame_format, recover_lines
from auditor.output.lock import is_at, open_alone

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from auditor.output.frames import RecoveredLines

__all__ = ["FileSink", "StreamSink", "partial_path"]

#: Octets that a pipe with room takes at once (`PIPE_BUF`, pipe(7)), and milliseconds between
#: checks whether the write was abandoned.
_PIPE_WRITE_OCTETS: Final = 4096
_POLL_INTERVAL_MS: Final = 100
#: Octets that are written to a file at once.
_MAX_WRITE_OCTETS: Final = 1 << 24


def partial_path(path: Path) -> Path:
    """Return the path of an output until it is complete."""
    return path.with_name(path.name + ".partial")


class FileSink:
    """Writes `FILE.partial` and renames it to `FILE` at the end; compressed by its suffix.

    The partial file is locked as long as the sink is open. `overwrite` replaces an existing
    output, `resume` continues it: then `recover` comes before the first `write_lines`. `frame`
    is the size of the frames of a compressed file, in octets of lines.

    Raises UsageError if FILE or the partial file exists and neither is set, if it is not a
    regular file, or if another process writes to it; OutputError if it cannot be created.
    """

    def __init__(
        self,
        path: Path,
        *,
        overwrite: bool = False,
        resume: bool = False,
        frame: int = FRAME_OCTETS,
    ) -> None:
        self.path = path
        self._partial = partial_path(path)
        self._form = frame_format(path)
        self._frame = frame
        #: Lines that do not fill a frame yet, and how many octets of them are in the file, in a
        #: short frame that the full one will replace.
        self._pending = bytearray()
        self._short_frame = 0
        #: Octets of whole lines or frames in the file.
        self._end = 0
        #: Lines that did not fit into a plain file.
        self._refused = b""
        self._lock = threading.Lock()
        try:
            self._handle: int | None = self._open(overwrite=overwrite, resume=resume)
            if overwrite:
                os.ftruncate(self._handle, 0)
        except OSError as error:
            raise OutputError(f"{self._partial}: cannot be created: {error.strerror}") from error

    def _open(self, *, overwrite: bool, resume: bool) -> int:
        for path in (self.path, self._partial):
            if path.exists() and not path.is_file():
                raise UsageError(
                    f"{path}: not a regular file; without -o, lines go to standard output"
                )
        if overwrite or resume:
            return open_alone(self._partial, os.O_CREAT)
        if self.path.exists():
            raise UsageError(f"{self.path}: exists already; --overwrite replaces it")
        try:
            handle = open_alone(self._partial, os.O_CREAT | os.O_EXCL)
        except FileExistsError:
            os.close(open_alone(self._partial, 0))
            raise UsageError(
                f"{self._partial}: exists already; --resume continues it, --overwrite starts anew"
            ) from None
        if self.path.exists():
            # Another run has finished since the check above; this one would replace its output.
            self._partial.unlink(missing_ok=True)
            os.close(handle)
            raise UsageError(f"{self.path}: exists already; --overwrite replaces it")
        return handle

    @property
    def size(self) -> int:
        """How many octets the partial file has."""
        return os.fstat(self._descriptor()).st_size

    @property
    def unwritten(self) -> bytes:
        """The lines that were given to `write_lines` and are not in the file."""
        return self._refused + bytes(self._pending[self._short_frame :])

    def recover(self, note: Callable[[bytes], bool]) -> RecoveredLines:
        """Keep the existing whole lines, hand each to `note`, and drop a torn end.

        A line that `note` rejects counts as torn, with all after it. Raises OutputError.
        """
        with self._lock:
            handle = self._descriptor()
            try:
                kept = recover_lines(handle, self._form, note, self._frame)
                if kept.mixed or (kept.torn and not kept.pending):
                    os.ftruncate(handle, kept.end)
            except OSError as error:
                raise OutputError(
                    f"{self._partial}: cannot be resumed: {error.strerror}"
                ) from error
            self._end = kept.end
            self._pending[:] = kept.pending
            if kept.mixed:
                self._write_short_frame()
            self._short_frame = len(kept.pending)
            return kept

    def _write_short_frame(self) -> None:
        """Write the lines that do not fill a frame in a short one, replaced later."""
        if self._form is not None and self._short_frame < len(self._pending):
            self._put(self._form.pack(bytes(self._pending)), stays=False)
            self._short_frame = len(self._pending)

    async def write_lines(self, lines: bytes) -> None:
        """Append lines to the partial file."""
        await asyncio.to_thread(self._append, lines)

    def _append(self, lines: bytes) -> None:
        with self._lock:
            if self._form is None:
                self._put(lines)
                return
            self._pending += lines
            while end := frame_end(self._pending, self._frame):
                self._put(self._form.pack(bytes(self._pending[:end])))
                del self._pending[:end]

    def _put(self, data: bytes, *, stays: bool = True) -> None:
        """Append whole lines, or a frame; without `stays`, the next frame replaces it.

        Raises OutputError; then an incomplete line or frame is removed.
        """
        handle = self._descriptor()
        written = 0
        try:
            if self._short_frame:
                # Replaces the short frame.
                self._short_frame = 0
                os.ftruncate(handle, self._end)
            while written < len(data):
                written += os.write(handle, memoryview(data)[written:])
        except OSError as error:
            if self._form is None:
                # The lines that fitted may end in the middle of one: truncate that.
                whole = data.rfind(b"\n", 0, written) + 1
                self._end += whole
                self._refused = data[whole:]
            try:
                os.ftruncate(handle, self._end)
            except OSError:
                state = f"the lines in its first {self._end} octets are complete"
            else:
                state = "the lines in it are complete"
            raise OutputError(
                f"{self._partial}: cannot be written: {error.strerror}; {state}"
            ) from error
        if stays:
            self._end += written

    def sync(self) -> None:
        """Make the lines so far durable: they survive the process and a power failure.

        Lines of a compressed file that do not fill a frame go into a short one, replaced
        later. Raises OutputError, also if the file has been moved or removed.
        """
        with self._lock:
            handle = self._descriptor()
            self._write_short_frame()
        self._check_place(handle)
        try:
            os.fsync(handle)
        except OSError as error:
            raise OutputError(f"{self._partial}: cannot be written: {error.strerror}") from error

    def finish_output(self, before: Callable[[], None] | None = None) -> None:
        """Sync the partial file, then rename it to its final name.

        `before` is called between the two, while no other process can open the file.
        """
        with self._lock:
            handle = self._descriptor()
            if self._form is not None and (self._pending or not self._end):
                # A file of no lines has a frame, too: an empty file is not a valid compressed one.
                self._put(self._form.pack(bytes(self._pending)))
                self._pending.clear()
        self._check_place(handle)
        try:
            os.fsync(handle)
            if before is not None:
                before()
            self._partial.replace(self.path)
            sync_folder(self.path.parent)
        except OSError as error:
            raise OutputError(f"{self.path}: cannot be put in place: {error.strerror}") from error

    def discard(self) -> None:
        """Remove the partial file, which has no records."""
        if is_at(self._descriptor(), self._partial):
            self._partial.unlink(missing_ok=True)

    def close_output(self) -> None:
        """Close the file, and release its lock."""
        with self._lock:
            if self._handle is not None:
                os.close(self._handle)
                self._handle = None

    def _check_place(self, handle: int) -> None:
        """Raise OutputError if the lines go to a file that has lost its name."""
        if not is_at(handle, self._partial):
            raise OutputError(f"{self._partial}: was removed, renamed or replaced during the run")

    def _descriptor(self) -> int:
        if self._handle is None:
            raise ValueError("the output is closed")
        return self._handle


class StreamSink:
    """Writes to an open file descriptor, such as standard output."""

    def __init__(self, handle: int, name: str = "standard output") -> None:
        self._handle = handle
        self._name = name
        self.abandoned = False

    async def write_lines(self, lines: bytes) -> None:
        """Write lines to the descriptor."""
        await asyncio.to_thread(self._append, lines)

    def abandon(self) -> None:
        """Stop waiting for a reader that neither reads nor closes."""
        self.abandoned = True

    def _append(self, lines: bytes) -> None:
        view = memoryview(lines)
        try:
            wait = self._waiter()
            while view:
                with suppress(BlockingIOError):  # non-blocking: another process shares it
                    view = view[os.write(self._handle, view[: wait()]) :]
        except BrokenPipeError as error:
            raise OutputError(f"{self._name}: closed by its reader") from error
        except OSError as error:
            raise OutputError(f"{self._name}: cannot be written: {error.strerror}") from error

    def _waiter(self) -> Callable[[], int]:
        """Return a function that waits for room, and returns how many octets can be written."""
        if stat.S_ISREG(os.fstat(self._handle).st_mode):
            return lambda: _MAX_WRITE_OCTETS
        os.write(self._handle, b"")  # raises if it cannot be written to, and so never has room
        poll = select.poll()
        poll.register(self._handle, select.POLLOUT)

        def wait() -> int:
            while not poll.poll(_POLL_INTERVAL_MS):
                if self.abandoned:
                    raise OutputError(f"{self._name}: its reader has stopped reading")
            return _PIPE_WRITE_OCTETS

        return wait

    def finish_output(self) -> None:
        """Do nothing: a stream is final as it is written."""

    def close_output(self) -> None:
        """Do nothing: the caller closes the descriptor."""
