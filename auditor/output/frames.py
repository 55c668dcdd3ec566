"""Formats of an output file: plain lines, or compressed in frames that can be read alone.

A frame ends with the first line that ends at or after `FRAME_OCTETS` octets since its beginning.
So the ends of frames follow from the lines alone, not from when they were written: a resumed file
has the same octets as one written without interruption. Each frame can be read without the others,
so a truncated file loses no more than its last frame.
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from auditor.targets.decompress import Member

__all__ = [
    "FRAME_FORMATS",
    "FRAME_OCTETS",
    "FrameFormat",
    "LinePacker",
    "RecoveredLines",
    "frame_end",
    "frame_format",
    "recover_lines",
]

#: Octets of lines in a frame, up to the end of the line that reaches them.
FRAME_OCTETS: Final = 1 << 20

#: A line or a frame much longer than this was not written by this program.
_MAX_FRAME_OCTETS: Final = 16 << 20
_READ_OCTETS: Final = 1 << 18

#: The default of gzip(1); Zstandard's default is several times as fast, and smaller.
_GZIP_LEVEL: Final = 6
_GZIP_MEMBER: Final = 16 + zlib.MAX_WBITS


class FrameFormat(NamedTuple):
    """A format of frames: `pack` compresses one, `unpack` returns a reader of one.

    The same lines give the same octets. `failure`: the exception for a damaged frame.
    """

    pack: Callable[[bytes], bytes]
    unpack: Callable[[], Member]
    failure: type[Exception]


def frame_format(path: Path) -> FrameFormat | None:
    """Return the format by a file's suffix; None for plain lines."""
    make = FRAME_FORMATS.get(path.suffix.lower())
    return make() if make else None


def _gzip() -> FrameFormat:
    from auditor.targets.decompress import GzipMember  # noqa: PLC0415 - not needed for plain lines

    def pack(lines: bytes) -> bytes:
        # Without a file name and a time (RFC 1952 §2.3.1), so nothing in it is volatile.
        stream = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_MEMBER)
        return stream.compress(lines) + stream.flush()

    return FrameFormat(pack, GzipMember, zlib.error)


def _zstd() -> FrameFormat:
    import zstandard  # noqa: PLC0415 - a large library that few outputs need

    from auditor.targets.decompress import ZstdFrame  # noqa: PLC0415 - as above

    return FrameFormat(
        zstandard.ZstdCompressor(write_checksum=True, write_content_size=True).compress,
        ZstdFrame,
        zstandard.ZstdError,
    )


FRAME_FORMATS: Final[dict[str, Callable[[], FrameFormat]]] = {".gz": _gzip, ".zst": _zstd}


def frame_end(lines: bytes | bytearray, size: int = FRAME_OCTETS) -> int:
    """Return where the first frame of whole lines ends; 0 if there are too few lines."""
    return lines.find(b"\n", size - 1) + 1


class RecoveredLines(NamedTuple):
    """The lines of a partial file that can be kept.

    `end`: octets of whole lines or whole frames; `pending`: lines after them, in a frame that
    was cut short and will be written again; `torn`: octets that are dropped. `mixed`: the frame
    with `pending` also has lines that are dropped, and is counted as torn.
    """

    end: int
    pending: bytes
    torn: int
    mixed: bool = False


def recover_lines(
    handle: int, form: FrameFormat | None, note: Callable[[bytes], bool], size: int = FRAME_OCTETS
) -> RecoveredLines:
    """Read a partial file from its beginning, handing each whole line to `note`.

    The file ends at a line that `note` rejects, as at damage. Raises OSError.
    """
    if form is None:
        return _read_lines(handle, note)
    end = whole = 0
    pending = b""
    mixed = False
    for lines, whole in _frames(handle, form):
        good = 0
        for line in lines.splitlines(keepends=True):
            if not line.endswith(b"\n") or not note(line):
                break
            good += len(line)
        if good < len(lines) or frame_end(lines, size) != good:
            pending = lines[:good]
            mixed = good < len(lines)
            break
        end = whole
    return RecoveredLines(end, pending, os.fstat(handle).st_size - (end if mixed else whole), mixed)


def _read_lines(handle: int, note: Callable[[bytes], bool]) -> RecoveredLines:
    end = 0
    rest = b""
    for piece in _pieces(handle):
        lines = (rest + piece).split(b"\n")
        rest = lines.pop()
        for line in lines:
            if not note(line):
                return RecoveredLines(end, b"", os.fstat(handle).st_size - end)
            end += len(line) + 1
        if len(rest) > _MAX_FRAME_OCTETS:
            break
    return RecoveredLines(end, b"", os.fstat(handle).st_size - end)


def _frames(handle: int, form: FrameFormat) -> Iterator[tuple[bytes, int]]:
    """Yield the lines of each whole frame, and where it ends in the file, until the first torn."""
    pieces = _pieces(handle)
    data, end = b"", 0
    while True:
        frame = form.unpack()
        plain = bytearray()
        while not frame.done:
            data = data or next(pieces, b"")
            if not data:
                return
            end += len(data)
            try:
                for piece in frame.decompress(data):
                    plain += piece
                    if len(plain) > _MAX_FRAME_OCTETS:
                        return
            except form.failure:
                return
            data = frame.rest
            end -= len(data)
        yield bytes(plain), end


def _pieces(handle: int) -> Iterator[bytes]:
    """Yield the content of a file without moving its offset."""
    offset = 0
    while piece := os.pread(handle, _READ_OCTETS, offset):
        offset += len(piece)
        yield piece


class LinePacker:
    """Packs lines with `pack` as they come; where frames end depends on the lines alone."""

    def __init__(self, pack: Callable[[bytes], bytes]) -> None:
        self._compress = pack
        self._pending = bytearray()
        self._frames: list[bytes] = []

    async def write_lines(self, lines: bytes) -> None:
        """Take whole lines, as a pipeline hands them over."""
        self.add_lines(lines)

    def add_lines(self, lines: bytes) -> None:
        """Take whole lines."""
        self._pending += lines
        while end := frame_end(self._pending, FRAME_OCTETS):
            self._pack(end)

    def packed_frames(self) -> tuple[bytes, ...]:
        """Return all frames, the last of them short."""
        if self._pending:
            self._pack(len(self._pending))
        return tuple(self._frames)

    def _pack(self, end: int) -> None:
        self._frames.append(self._compress(bytes(self._pending[:end])))
        del self._pending[:end]
