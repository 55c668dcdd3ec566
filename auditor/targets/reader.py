"""Reads files and standard input as batches of lines, decompressed, of bounded length.

`formats`, and the readers that it chooses, interpret the lines. An empty chunk or batch means that
no input is ready, so that callers can pass on what they have gathered; none is empty otherwise.
"""

from __future__ import annotations

import codecs
import os
import re
import select
import stat
import sys
from typing import TYPE_CHECKING, BinaryIO, Final, Literal, NamedTuple, TypeAlias

from auditor.errors import InputError
from auditor.quoting import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = [
    "MAX_LINE_OCTETS",
    "Form",
    "InputSource",
    "Lines",
    "bare",
    "locate",
    "read_content",
    "read_lines",
    "split_lines",
]

#: Most octets in a line. Longer lines are invalid, and are cut to one octet more.
MAX_LINE_OCTETS: Final = 1 << 16
_CHUNK_OCTETS: Final = MAX_LINE_OCTETS
_MAX_NAME_CHARACTERS: Final = 1024

Lines: TypeAlias = "list[bytes]"
Form: TypeAlias = Literal["csv", "json", "ndjson", "guess"]

_COMPRESSION: Final = {"gz": "gzip", "zst": "zstd", "xz": "xz"}
_FORMS: Final[dict[str, Form]] = {
    "csv": "csv",
    "tsv": "csv",
    "json": "json",
    "ndjson": "ndjson",
    "jsonl": "ndjson",
}
_MAGIC: Final = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\0": "xz",
    b"\x28\xb5\x2f\xfd": "zstd",
    # Skippable frames, with which parallel zstd tools begin (RFC 8878 §3.1.2).
    **{bytes((0x50 + number,)) + b"\x2a\x4d\x18": "zstd" for number in range(16)},
}
_UTF8_MARK: Final = b"\xef\xbb\xbf"
#: UTF-32 before UTF-16: its little-endian mark begins with that of UTF-16.
_WIDE_MARKS: Final = {
    b"\xff\xfe\0\0": "utf-32-le",
    b"\0\0\xfe\xff": "utf-32-be",
    b"\xff\xfe": "utf-16-le",
    b"\xfe\xff": "utf-16-be",
}
_HASH: Final = ord("#")  # searching bytes for a number is faster
_COMMENT: Final = re.compile(rb"(?:^|\s)#.*", re.DOTALL)


class InputSource(NamedTuple):
    """Something to read lines from.

    `name` as the user gave it, printable, `-` for standard input; `path` to open, "" for
    standard input. A `live` source (standard input, a pipe, a terminal) can be read only once
    and may be slow. `form` and `packed` are the format and the compression by the name's suffix,
    `guess` and "" without one.
    """

    name: str
    path: str
    live: bool
    form: Form
    packed: str

    @property
    def label(self) -> str:
        """The name of the source in messages."""
        return self.name if self.path else "standard input"


def locate(name: str, *, dash: bool = False) -> InputSource:
    """Return the source called `name`; with `dash`, `-` is standard input.

    Raises InputError if there is no such file, or it is a directory.
    """
    if dash and name == "-":
        return InputSource("-", "", live=True, form="guess", packed="")
    shown = printable(name, _MAX_NAME_CHARACTERS)
    try:
        mode = os.stat(name).st_mode  # noqa: PTH116 - a Path is of no use here
    except (OSError, ValueError) as error:
        raise _unreadable(shown, error) from None
    if stat.S_ISDIR(mode):
        raise InputError(f"{shown}: is a directory; expected a file")
    live = not stat.S_ISREG(mode)
    stem, _, suffix = name.lower().rpartition(".")
    packed = _COMPRESSION.get(suffix, "")
    if packed:
        suffix = stem.rpartition(".")[2]
    return InputSource(shown, name, live, _FORMS.get(suffix, "guess"), packed)


def read_lines(source: InputSource, stdin: BinaryIO | None = None) -> Iterator[Lines]:
    """Yield the lines of `source` in batches, without line feeds and byte-order mark.

    Raises InputError for a source that cannot be read, is damaged, or has wide text that is not
    valid UTF-16 or UTF-32.
    """
    yield from split_lines(read_content(source, stdin))


def read_content(source: InputSource, stdin: BinaryIO | None = None) -> Iterator[bytes]:
    """Yield the content of `source` in pieces, decompressed, without byte-order mark.

    Raises InputError as `read_lines` does.
    """
    if not source.path:
        yield from _content(_chunks(_standard_input(stdin), source), source)
        return
    try:
        file = open(source.path, "rb")  # noqa: SIM115, PTH123 - errors in the body are not ours
    except (OSError, ValueError) as error:
        raise _unreadable(source.name, error) from None
    with file:
        yield from _content(_chunks(file, source), source)


def bare(line: bytes) -> bytes:
    """Return a line of plain text without its comment and surrounding white space."""
    if _HASH in line:
        line = _COMMENT.sub(b"", line, count=1)
    return line.strip()


def _standard_input(given: BinaryIO | None) -> BinaryIO:
    if given is not None:
        return given
    if sys.stdin is None:  # closed by the caller: `<&-`
        raise InputError("standard input is closed")
    return sys.stdin.buffer


def _unreadable(name: str, error: OSError | ValueError) -> InputError:
    why = error.strerror if isinstance(error, OSError) else None
    return InputError(f"{name}: cannot be read: {why or printable(str(error))}")


def _chunks(file: BinaryIO, source: InputSource) -> Iterator[bytes]:
    """Yield the content of `file` as it arrives; b"" when the next read would block."""
    # read1 returns the octets available, where read would wait for the whole size.
    read = getattr(file, "read1", file.read)
    poll = _poller(file) if source.live else None
    while True:
        try:
            if poll is not None and not poll(0):
                yield b""
                poll(None)  # also where the reader was made non-blocking by another program
            data = read(_CHUNK_OCTETS)
        except (OSError, ValueError) as error:
            raise _unreadable(source.label, error) from None
        if not data:
            return
        yield data


def _poller(file: BinaryIO) -> Callable[[int | None], object] | None:
    """Return a function that waits up to a timeout (ms) until `file` can be read."""
    try:
        descriptor = file.fileno()
    except (OSError, AttributeError):  # not a file of the system: it never waits
        return None
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return poller.poll


def _content(chunks: Iterator[bytes], source: InputSource) -> Iterator[bytes]:
    """Yield text as bytes: decompressed, without byte-order mark."""
    head, chunks = _headed(chunks, tuple(_MAGIC))
    packed = next((form for magic, form in _MAGIC.items() if head.startswith(magic)), "")
    if source.packed and not packed:
        raise InputError(f"{source.label}: no {source.packed} data in it, as its name promises")
    if packed:
        from auditor.targets.decompress import decompressed  # noqa: PLC0415 - seldom needed

        chunks = decompressed(chunks, packed, source.label)
    head, chunks = _headed(chunks, (_UTF8_MARK, *_WIDE_MARKS))
    wide = next((mark for mark in _WIDE_MARKS if head.startswith(mark)), b"")
    if wide:
        chunks = _as_utf8(chunks, _WIDE_MARKS[wide], source)
    skip = len(_UTF8_MARK) if wide or head.startswith(_UTF8_MARK) else 0
    for chunk in chunks:
        if len(chunk) > skip or not chunk:
            yield chunk[skip:]
        skip = 0


def _as_utf8(chunks: Iterator[bytes], encoding: str, source: InputSource) -> Iterator[bytes]:
    """Yield UTF-16 or UTF-32 text, as some spreadsheets write it, in UTF-8, with its mark."""
    decoder = codecs.getincrementaldecoder(encoding)()
    try:
        for chunk in chunks:
            text = decoder.decode(chunk).encode()
            # UTF-8 may be half as long again, and pieces may be no longer than a chunk.
            for start in range(0, len(text) or 1, _CHUNK_OCTETS):
                if text or not chunk:
                    yield text[start : start + _CHUNK_OCTETS]
        decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        raise InputError(f"{source.label}: not {encoding.upper()}: {error.reason}") from None


def _headed(chunks: Iterator[bytes], marks: tuple[bytes, ...]) -> tuple[bytes, Iterator[bytes]]:
    """Return enough of the beginning to tell which of `marks` it has, and all chunks."""
    head = b""
    for chunk in chunks:
        head += chunk
        if head and not any(len(head) < len(mark) and mark.startswith(head) for mark in marks):
            break
    return head, _chain(head, chunks)


def _chain(head: bytes, chunks: Iterator[bytes]) -> Iterator[bytes]:
    if head:
        yield head
    yield from chunks


def split_lines(chunks: Iterator[bytes]) -> Iterator[Lines]:
    """Yield the lines of content from `read_content`, in batches."""
    rest = b""
    for chunk in chunks:
        lines = chunk.split(b"\n")
        # Octets over the limit are not kept: a line of a gigabyte costs no more than this.
        # Chunks are no longer than the limit, so that only the first line can be over it.
        lines[0] = (rest + lines[0])[: MAX_LINE_OCTETS + 1]
        rest = lines.pop()
        if lines or not chunk:
            yield lines
    if rest:
        yield [rest]
