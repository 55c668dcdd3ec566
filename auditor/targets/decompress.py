"""Decompresses gzip, xz and Zstandard piece by piece, with bounded memory.

Several members or frames may follow each other, as concatenated by their tools. An empty chunk
means that no input is ready (see `reader`) and is passed on.
"""

from __future__ import annotations

import lzma
import zlib
from typing import TYPE_CHECKING, Final, Protocol

from auditor.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["GzipMember", "Member", "ZstdFrame", "decompressed"]

_PIECE_OCTETS: Final = 1 << 16
#: Zstandard has no limit on its output, so it gets little input at a time: a decompression bomb
#: makes at most 128 KiB of 4 octets (RFC 8878 §3.1.1.2), here 16 MiB of each input.
_ZSTD_INPUT_OCTETS: Final = 512
_XZ_MEMORY_OCTETS: Final = 1 << 27  # twice the window of `xz -9`


class Member(Protocol):
    """One gzip member, xz stream or Zstandard frame.

    `done`: whether its end has been read; `rest`: the input after that. Both are valid once
    `decompress` is exhausted.
    """

    done: bool
    rest: bytes

    def decompress(self, data: bytes) -> Iterator[bytes]:
        """Yield the decompressed content of more input, in pieces of bounded size."""


def decompressed(chunks: Iterator[bytes], form: str, name: str) -> Iterator[bytes]:
    """Yield the content of `chunks` in `form` (`gzip`, `xz` or `zstd`); `name` is for messages.

    Raises InputError for data that is cut short or not in that form.
    """
    make, failure = _form(form)
    member: Member | None = None
    whole = 0
    try:
        for chunk in chunks:
            if not chunk:
                yield chunk
            data = chunk
            while data:
                if member is None:
                    # Both tools pad with NULs: gzip on tapes, xz to multiples of four.
                    data = data.lstrip(b"\0") if whole and form != "zstd" else data
                    if not data:
                        break
                    member = make()
                yield from filter(None, member.decompress(data))
                data = b""
                if member.done:
                    data, member, whole = member.rest, None, whole + 1
    except failure as error:
        raise InputError(f"{name}: not {form} data, or damaged ({error})") from None
    if member is not None or not whole:
        raise InputError(f"{name}: the {form} data ends too early")


def _form(form: str) -> tuple[Callable[[], Member], type[Exception]]:
    if form == "gzip":
        return GzipMember, zlib.error
    if form == "xz":
        return _Xz, lzma.LZMAError
    import zstandard  # noqa: PLC0415 - a large library that few lists need

    return ZstdFrame, zstandard.ZstdError


class GzipMember:
    """One gzip member."""

    def __init__(self) -> None:
        self.done, self.rest = False, b""
        self._stream = zlib.decompressobj(16 + zlib.MAX_WBITS)

    def decompress(self, data: bytes) -> Iterator[bytes]:
        """Yield what more input decompresses to."""
        stream = self._stream
        while data and not stream.eof:
            yield stream.decompress(data, _PIECE_OCTETS)
            data = stream.unconsumed_tail
        self.done, self.rest = stream.eof, stream.unused_data


class _Xz:
    def __init__(self) -> None:
        self.done, self.rest = False, b""
        self._stream = lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY_OCTETS)

    def decompress(self, data: bytes) -> Iterator[bytes]:
        stream = self._stream
        yield stream.decompress(data, _PIECE_OCTETS)
        while not stream.eof and not stream.needs_input:
            yield stream.decompress(b"", _PIECE_OCTETS)
        self.done, self.rest = stream.eof, stream.unused_data


class ZstdFrame:
    """One Zstandard frame."""

    def __init__(self) -> None:
        import zstandard  # noqa: PLC0415 - as above

        self.done, self.rest = False, b""
        self._stream = zstandard.ZstdDecompressor().decompressobj()

    def decompress(self, data: bytes) -> Iterator[bytes]:
        """Yield what more input decompresses to."""
        stream = self._stream
        for start in range(0, len(data), _ZSTD_INPUT_OCTETS):
            piece = stream.decompress(data[start : start + _ZSTD_INPUT_OCTETS])
            # Sixteen megabytes of short lines would take ten times as much once split.
            for at in range(0, len(piece), _PIECE_OCTETS):
                yield piece[at : at + _PIECE_OCTETS]
            if stream.eof:
                self.done, self.rest = True, stream.unused_data + data[start + _ZSTD_INPUT_OCTETS :]
                return
