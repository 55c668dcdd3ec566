"""Results behind a URL: a folder of parts in an object store, or one file there."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

from auditor.errors import AuditorError, InputError
from auditor.output.folder import MANIFEST, RemoteFolder, is_part, listed_parts
from auditor.targets.reader import InputSource, read_content

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["is_remote", "remote_parts", "remote_pieces"]

_SUFFIXES: Final = {"gz": "gz", "zst": "zst", "xz": "xz"}


def is_remote(name: str) -> bool:
    """Tell whether the name of a result is a URL."""
    return "://" in name


def remote_parts(url: str) -> list[str]:
    """Return the URLs of the files that a URL stands for. Raises InputError, UsageError."""
    if is_part(url.rpartition("/")[2]):
        return [url]
    folder = _open(url)
    names = set(_do(folder.file_names))
    listed = _listed(folder) if MANIFEST in names else sorted(filter(is_part, names))
    if not listed:
        raise InputError(f"{folder.name}: no results (*.ndjson) in this folder")
    return [f"{folder.name}/{name}" for name in listed]


def remote_pieces(url: str) -> Iterator[bytes]:
    """Yield what the file at a URL holds in pieces, decompressed. Raises InputError."""
    folder, _, name = url.rpartition("/")
    data = _do(lambda: _open(folder).read_file(name))
    packed = _SUFFIXES.get(name.rpartition(".")[2].lower(), "")
    source = InputSource(url, "", live=True, form="ndjson", packed=packed)
    try:
        yield from read_content(source, io.BytesIO(data))
    except InputError as error:
        raise InputError(str(error).replace(source.label, url, 1)) from error


def _open(url: str) -> RemoteFolder:
    folder: RemoteFolder = _do(lambda: RemoteFolder(url, make=False))
    return folder


def _listed(folder: RemoteFolder) -> list[str]:
    try:
        return listed_parts(_do(lambda: folder.read_file(MANIFEST)))
    except ValueError as error:
        raise InputError(f"{folder.name}/{MANIFEST}: {error}") from None


def _do(call: Any) -> Any:
    try:
        return call()
    except AuditorError as error:
        raise InputError(str(error)) from error
