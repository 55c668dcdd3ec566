"""How records lie in a file: as they are, or packed in frames that stand alone.

A frame ends with the first line that ends at or after `FRAME` octets since its beginning.
So where frames end follows from the lines alone, not from who wrote them when: a file that
was taken up again has the octets of one that was written in one go. Each frame can be
read without the others, so a torn end costs no more than the last one.
"""

from __future__ import annotations

import os
import zlib
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["FRAME", "PACKINGS", "Kept", "Packing", "frame_end", "packing", "read_kept"]

#: Octets of lines in a frame, and those of the last one on top.
FRAME: Final = 1 << 20

#: A line or a frame that is longer than this by far is none of ours.
_MOST: Final = 16 << 20
_PIECE: Final = 1 << 18
#: Zstandard offers no limit on what it gives back: at the worst 128 KiB of 4 octets
#: (RFC 8878 §3.1.1.2), here 16 MiB a bite.
_BITE: Final = 512

#: What gzip's own program would do; Zstandard's default is several times as fast, and smaller.
_GZIP_LEVEL: Final = 6
_GZIP_MEMBER: Final = 16 + zlib.MAX_WBITS


class Unpacking(Protocol):
    """One frame being read: a decompressor of `zlib` or `zstandard`."""

    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: bytes, /) -> bytes: ...


class Packing(NamedTuple):
    """A format of frames: `pack` makes one, `unpack` begins to read one.

    The same lines give the same octets. `failure` is what reading a damaged one raises.
    """

    pack: Callable[[bytes], bytes]
    unpack: Callable[[], Unpacking]
    failure: type[Exception]


def packing(path: Path) -> Packing | None:
    """Return the format that a file's name asks for; None for plain lines."""
    make = PACKINGS.get(path.suffix.lower())
    return make() if make else None


def _gzip() -> Packing:
    def pack(lines: bytes) -> bytes:
        # Without a file name and a time (RFC 1952 §2.3.1), so nothing in it is volatile.
        stream = zlib.compressobj(_GZIP_LEVEL, zlib.DEFLATED, _GZIP_MEMBER)
        return stream.compress(lines) + stream.flush()

    return Packing(pack, lambda: zlib.decompressobj(_GZIP_MEMBER), zlib.error)


def _zstd() -> Packing:
    import zstandard  # noqa: PLC0415 - a large library that few outputs need

    return Packing(
        zstandard.ZstdCompressor(write_checksum=True, write_content_size=True).compress,
        lambda: zstandard.ZstdDecompressor().decompressobj(),
        zstandard.ZstdError,
    )


PACKINGS: Final[dict[str, Callable[[], Packing]]] = {".gz": _gzip, ".zst": _zstd}


def frame_end(lines: bytes | bytearray, size: int = FRAME) -> int:
    """Return where the first frame of some whole lines ends; 0 if it lacks lines yet."""
    return lines.find(b"\n", size - 1) + 1


class Kept(NamedTuple):
    """What of a partial file stays.

    `end`: octets of whole lines or whole frames; `pending`: lines behind them, in a frame
    that was cut short and will be written again; `torn`: octets that are of no use. `mixed`:
    the frame with `pending` has lines of no use as well, and is counted as torn.
    """

    end: int
    pending: bytes
    torn: int
    mixed: bool = False


def read_kept(
    handle: int, form: Packing | None, note: Callable[[bytes], bool], size: int = FRAME
) -> Kept:
    """Read a partial file from its beginning, handing each whole line to `note`.

    A line that `note` says no to is where the file ends, as is damage. Raises OSError.
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
    return Kept(end, pending, os.fstat(handle).st_size - (end if mixed else whole), mixed)


def _read_lines(handle: int, note: Callable[[bytes], bool]) -> Kept:
    end = 0
    rest = b""
    for piece in _pieces(handle):
        lines = (rest + piece).split(b"\n")
        rest = lines.pop()
        for line in lines:
            if not note(line):
                return Kept(end, b"", os.fstat(handle).st_size - end)
            end += len(line) + 1
        if len(rest) > _MOST:
            break
    return Kept(end, b"", os.fstat(handle).st_size - end)


def _frames(handle: int, form: Packing) -> Iterator[tuple[bytes, int]]:
    """Yield the lines of each whole frame, and where it ends in the file, until the first torn."""
    pieces = _pieces(handle)
    data, at, end = b"", 0, 0
    while True:
        stream = form.unpack()
        plain = bytearray()
        while not stream.eof:
            if at == len(data):
                data, at = next(pieces, b""), 0
            if not data or len(plain) > _MOST:
                return
            bite = data[at : at + _BITE]
            try:
                plain += stream.decompress(bite)
            except form.failure:
                return
            used = len(bite) - len(stream.unused_data)
            at, end = at + used, end + used
        yield bytes(plain), end


def _pieces(handle: int) -> Iterator[bytes]:
    """Yield what a file holds, wherever it is being read or written otherwise."""
    offset = 0
    while piece := os.pread(handle, _PIECE, offset):
        offset += len(piece)
        yield piece
