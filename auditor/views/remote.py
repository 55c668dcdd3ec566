"""Results behind a URL: a folder of parts in an object store, or one file there."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

import orjson

from auditor.errors import AuditorError, InputError
from auditor.output.parts import MANIFEST, RemoteFolder
from auditor.targets.sources import Source, read_content

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["is_remote", "remote_parts", "remote_pieces"]

_SUFFIXES: Final = {"gz": "gz", "zst": "zst", "xz": "xz"}


def is_remote(name: str) -> bool:
    """Tell whether the name of a result is a URL."""
    return "://" in name


def remote_parts(url: str) -> list[str]:
    """Return the URLs of the files that a URL stands for. Raises InputError, UsageError."""
    if _is_file(url):
        return [url]
    folder = _open(url)
    names = set(_do(folder.names))
    if MANIFEST in names:
        listed = _listed(folder)
    else:
        listed = sorted(name for name in names if _is_file(name))
    if not listed:
        raise InputError(f"{folder.name}: no results (*.ndjson) in this folder")
    return [f"{folder.name}/{name}" for name in listed]


def remote_pieces(url: str) -> Iterator[bytes]:
    """Yield what the file at a URL holds in pieces, decompressed. Raises InputError."""
    folder, _, name = url.rpartition("/")
    data = _do(lambda: _open(folder).read(name))
    packed = _SUFFIXES.get(name.rpartition(".")[2].lower(), "")
    source = Source(url, "", live=True, form="ndjson", packed=packed)
    try:
        yield from read_content(source, io.BytesIO(data))
    except InputError as error:
        raise InputError(str(error).replace(source.label, url, 1)) from error


def _is_file(name: str) -> bool:
    return ".ndjson" in name.rpartition("/")[2]


def _open(url: str) -> RemoteFolder:
    folder: RemoteFolder = _do(lambda: RemoteFolder(url, make=False))
    return folder


def _listed(folder: RemoteFolder) -> list[str]:
    try:
        manifest = orjson.loads(_do(lambda: folder.read(MANIFEST)))
    except orjson.JSONDecodeError:
        manifest = None
    parts = manifest.get("parts") if isinstance(manifest, dict) else None
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise InputError(f'{folder.name}/{MANIFEST}: no list of names under "parts"')
    return parts


def _do(what: Any) -> Any:
    try:
        return what()
    except AuditorError as error:
        raise InputError(str(error)) from error
