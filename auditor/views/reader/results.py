"""Reads results of scans: lines or records, streamed, from files of any form.

A line is a record of `output/record.py`. Fast readers take chunks of
lines and parse as few as possible; others take records.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import orjson

from auditor.errors import InputError, UsageError
from auditor.output.folder import MANIFEST, listed_parts
from auditor.quoting import printable, quoted
from auditor.targets.reader import locate, read_content
from auditor.views.reader.names import odd_name
from auditor.views.reader.remote import is_remote, remote_parts, remote_pieces
from auditor.views.reader.validate import complete, records_fault

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = ["MAX_RECORD_OCTETS", "Chunk", "Results", "parse_record", "parse_records"]

#: Octets of a record at most: one with ten names of a thousand addresses is below a megabyte.
MAX_RECORD_OCTETS: Final = 1 << 24

#: Keys that a record of a kind has in addition.
_OF_KIND: Final = {"ip": ("ptr", "iprev"), "domain": ("domain",), "invalid": ()}
_STDIN: Final = "-"
_MAX_MANIFEST_OCTETS: Final = 64 << 20  # octets
_MAX_NAME_CHARACTERS: Final = 1024
_HINT: Final = "expected the NDJSON of `auditor scan`"


class Chunk(list[bytes]):
    """Some lines of one file, without their line feeds, and their place.

    `given`: the path that `Results` was given for the file, such as its folder.
    """

    __slots__ = ("first", "given", "name")

    def __init__(self, lines: Sequence[bytes], name: str, first: int) -> None:
        super().__init__(lines)
        self.name, self.first, self.given = name, first, name

    def wrong(self, index: int, why: str) -> InputError:
        """Return the error for the line at `index`, to raise."""
        return InputError(f"{self.name} line {self.first + index}: {why}")

    def record(self, index: int) -> dict[str, Any]:
        """Return the record in the line at `index`. Raises InputError if it holds none."""
        try:
            return parse_record(self[index])
        except ValueError as error:
            raise self.wrong(index, str(error)) from None


class Results:
    """The records of one or several results of `auditor scan`, one after the other.

    A path is a file, plain or compressed (.gz, .zst, .xz), `-` for standard input, or a
    folder of parts, also by its URL: those its `manifest.json` lists under "parts", or else
    all *.ndjson* in it, sorted by name. Every iteration reads them again; memory is bounded.

    Raises UsageError if standard input is named twice, InputError for missing files.
    """

    def __init__(self, paths: Sequence[str | Path]) -> None:
        names = [str(path) for path in paths]
        if names.count(_STDIN) > 1:
            raise UsageError("standard input (-) is named twice; it can be read once only")
        self._given = [(part, name) for name in names for part in _parts(name)]
        self.names = [part for part, _ in self._given]
        for name in self.names:
            if not is_remote(name):
                locate(name, dash=True)

    def chunks(self) -> Iterator[Chunk]:
        """Yield the lines in batches, in order. None is empty, nor is any line.

        Only the first line of a file is parsed. Raises InputError, with file and line, if it is no
        record, and for a line that is blank, too long or cut off.
        """
        for name, given in self._given:
            for chunk in _file_chunks(name):
                chunk.given = given
                yield chunk

    def records(self) -> Iterator[dict[str, Any]]:
        """Yield the records, in order. Raises InputError for an invalid line."""
        for _, _, record in self._placed_records():
            yield record

    def checked_records(self) -> Iterator[dict[str, Any]]:
        """Yield the records, in order.

        Raises InputError for a line that is no record, and for invalid names and addresses.
        """
        for chunk, index, record in self._placed_records():
            odd = odd_name(record)
            if odd is not None:
                raise chunk.wrong(index, f"no record: {quoted(odd)} is no name or address; {_HINT}")
            yield record

    def _placed_records(self) -> Iterator[tuple[Chunk, int, dict[str, Any]]]:
        for chunk in self.chunks():
            records = parse_records(chunk)
            for index in range(len(chunk)):
                yield chunk, index, chunk.record(index) if records is None else records[index]


def parse_record(line: bytes) -> dict[str, Any]:
    """Return the record in a line. Raises ValueError, for a person, if it holds none.

    It has all keys and types of `auditor schema`, so that callers need not check again; codes
    of findings may be unknown. One of kind `ip` has `ptr` and `iprev`, one of
    kind `domain` has `domain`. What results of before version 1.0 of the record lack is null.
    """
    try:
        record = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ValueError(f"not JSON ({_reason(error)}); {_HINT}") from None
    if type(record) is not dict:
        raise ValueError(f"no JSON object; {_HINT}")
    fault = records_fault([record])
    if not fault:
        fault = next((key for key in _OF_KIND[record["kind"]] if record[key] is None), "")
    if fault:
        why = "is not what a record holds" if _has(record, fault) else "is missing"
        raise ValueError(f'no record: "{fault}" {why}; {_HINT}')
    complete(record)
    return record


def parse_records(lines: Sequence[bytes]) -> list[dict[str, Any]] | None:
    """Return the records of lines as `parse_record` does, at a fraction of the cost.

    None if one is no record; `parse_record` tells which one, and why.
    """
    try:
        records: list[dict[str, Any]] = list(map(orjson.loads, lines))
    except orjson.JSONDecodeError:
        return None
    if records_fault(records) or not all(map(_is_whole, records)):
        return None
    for record in records:
        complete(record)
    return records


def _is_whole(record: dict[str, Any]) -> bool:
    """Tell whether a record has the keys of its kind."""
    for key in _OF_KIND[record["kind"]]:  # noqa: SIM110 - a generator would cost as much as the rest
        if record[key] is None:
            return False
    return True


def _has(record: dict[str, Any], path: str) -> bool:
    """Tell whether a top-level key is there; faults in nested values are reported as they are."""
    return "." in path or path in record


def _reason(error: orjson.JSONDecodeError) -> str:
    return printable(error.msg.partition(":")[0])


def _parts(name: str) -> list[str]:
    """Return the files that `name` stands for."""
    name = name.removeprefix("file://")
    if is_remote(name):
        return remote_parts(name)
    folder = Path(name)
    try:
        if name == _STDIN or not folder.is_dir():
            return [name]
        listed = folder / MANIFEST
        if listed.is_file():
            return [str(_regular(folder / part)) for part in _listed(listed)]
        paths = sorted(str(path) for path in folder.glob("*.ndjson*") if _holds_records(path))
    except (OSError, ValueError) as error:
        raise InputError(
            f"{printable(name, _MAX_NAME_CHARACTERS)}: cannot be read: {error}"
        ) from None
    if not paths:
        raise InputError(
            f"{printable(name, _MAX_NAME_CHARACTERS)}: no results (*.ndjson) in this folder"
        )
    return paths


def _holds_records(path: Path) -> bool:
    """Tell whether a file has records, unlike `FILE.run.json` and `FILE.partial` beside it."""
    return path.suffix in {".ndjson", ".gz", ".zst", ".xz"} and path.is_file()


def _regular(path: Path) -> Path:
    """Return the path of a part. Raises InputError for a device, say, that a link leads to."""
    if path.exists() and not path.is_file():
        raise InputError(f"{printable(str(path), _MAX_NAME_CHARACTERS)}: not a regular file")
    return path


def _listed(path: Path) -> list[str]:
    """Return the names of the parts that a manifest lists, in order."""
    with path.open("rb") as file:
        manifest = file.read(_MAX_MANIFEST_OCTETS)
    try:
        return listed_parts(manifest)
    except ValueError as error:
        raise InputError(f"{printable(str(path), _MAX_NAME_CHARACTERS)}: {error}") from None


def _pieces(name: str) -> tuple[str, Iterator[bytes]]:
    """Open one file: the only place that does. Return its name for messages, and its bytes."""
    if is_remote(name):
        return name, filter(None, remote_pieces(name))
    source = locate(name, dash=True)
    return source.label, filter(None, read_content(source))


def _file_chunks(name: str) -> Iterator[Chunk]:
    name, pieces = _pieces(name)
    line, held, size = 1, list[bytes](), 0
    for piece in pieces:
        if b"\n" not in piece:
            held.append(piece)
            size += len(piece)
            if size > MAX_RECORD_OCTETS:
                raise InputError(f"{name} line {line}: longer than a record can be; {_HINT}")
            continue
        lines = piece.split(b"\n")
        lines[0] = b"".join((*held, lines[0]))
        held = [lines.pop()]
        size = len(held[0])
        chunk = Chunk(lines, name, line)
        _check(chunk)
        yield chunk
        line += len(chunk)
    rest = b"".join(held)
    if rest:
        yield _last(Chunk([rest], name, line))


def _check(chunk: Chunk) -> None:
    if chunk.first == 1:
        try:
            parse_record(chunk[0])
        except ValueError as error:
            raise chunk.wrong(0, str(error)) from None
    if b"" in chunk:
        raise chunk.wrong(chunk.index(b""), f"blank; {_HINT}")


def _last(chunk: Chunk) -> Chunk:
    """Return the last line of a file, which ends without a line feed, if it is whole."""
    try:
        orjson.loads(chunk[0])
    except orjson.JSONDecodeError:
        if chunk.first > 1:
            raise chunk.wrong(0, "cut off; the file is not complete") from None
    _check(chunk)
    return chunk
