"""Folder for an output in parts: on a disk, or in an object store behind a URL (fsspec).

Each part is written atomically, under a name with its number.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

import orjson

from auditor.errors import OutputError, UsageError
from auditor.output.atomic import replace_file
from auditor.quoting import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

__all__ = [
    "MANIFEST",
    "Folder",
    "LocalFolder",
    "RemoteFolder",
    "is_folder",
    "is_part",
    "listed_parts",
    "open_folder",
]

T = TypeVar("T")

#: The file that lists the parts.
MANIFEST: Final = "manifest.json"

_LOCAL: Final = ("file://", "local://")

#: Protocols whose objects appear only when complete. Elsewhere a complete file is renamed.
_OBJECT_STORES: Final = frozenset(
    {"abfs", "abfss", "adl", "az", "gcs", "gs", "memory", "oci", "oss", "s3", "s3a"}
)


def is_part(name: str) -> bool:
    """Tell whether a name is that of a file of records in the folder itself."""
    return ".ndjson" in name and "/" not in name and name.isprintable()


def listed_parts(manifest: bytes) -> list[str]:
    """Return the names of the parts that a manifest lists, in order.

    Raises ValueError, with a message to show, if it lists none, or anything but files of its
    folder: a manifest is untrusted.
    """
    try:
        content = orjson.loads(manifest)
    except orjson.JSONDecodeError:
        raise ValueError("not JSON; expected the manifest of a run in parts") from None
    parts = content.get("parts") if isinstance(content, dict) else None
    if not isinstance(parts, list) or not all(isinstance(part, str) for part in parts):
        raise ValueError('no list of names under "parts"')
    for part in parts:
        if not is_part(part):
            message = f"{quoted(part)} is not the name of a part; expected *.ndjson* beside it"
            raise ValueError(message)
    return parts


class Folder(Protocol):
    """A folder of files; `name` is for messages. Methods may block.

    They raise OutputError; so does `write_file` for any error of the file system.
    """

    name: str

    def file_names(self) -> Collection[str]:
        """Return the names of all files in it."""
        ...

    def read_file(self, name: str) -> bytes:
        """Return the content of a file."""
        ...

    def write_file(self, name: str, data: bytes) -> None:
        """Put a file in place, or another one in its place."""
        ...

    def remove_file(self, name: str) -> None:
        """Take a file away."""
        ...

    def close_folder(self) -> None:
        """Let go of the folder."""
        ...


def is_folder(output: str) -> bool:
    """Tell whether the name of an output is that of a folder: it ends in `/`, or is a URL."""
    return output.endswith("/") or "://" in output


def open_folder(output: str) -> Folder:
    """Return the folder of that name, created if need be. Raises UsageError on failure."""
    for scheme in _LOCAL:
        if output.startswith(scheme):
            return LocalFolder(Path(output.removeprefix(scheme)))
    return RemoteFolder(output) if "://" in output else LocalFolder(Path(output))


class LocalFolder:
    """A folder on a disk, locked by one process at a time."""

    def __init__(self, path: Path) -> None:
        self.name = str(path)
        self._path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        except OSError as error:
            raise UsageError(f"{path}/: cannot be created: {error.strerror}") from error
        try:
            fcntl.flock(self._handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._handle)
            raise UsageError(f"{path}/: another run is writing to it") from None
        except OSError:
            pass  # a file system without locks: the user must keep other writers out

    def file_names(self) -> Collection[str]:
        """Return the names of all files in it."""
        return self._do(lambda: [path.name for path in self._path.iterdir()], "read")

    def read_file(self, name: str) -> bytes:
        """Return the content of a file."""
        return self._do((self._path / name).read_bytes, "read", name)

    def write_file(self, name: str, data: bytes) -> None:
        """Write, sync, rename, sync: after a power failure it is complete or missing."""
        self._do(lambda: replace_file(self._path / name, data, alone=True), "written", name)

    def remove_file(self, name: str) -> None:
        """Take a file away."""
        self._do((self._path / name).unlink, "removed", name)

    def close_folder(self) -> None:
        """Release the lock of the folder."""
        os.close(self._handle)

    def _do(self, call: Callable[[], T], done: str, name: str = "") -> T:
        try:
            return call()
        except OSError as error:
            raise OutputError(f"{self._path / name}: cannot be {done}: {error.strerror}") from error


class RemoteFolder:
    """A folder in an object store or another file system of fsspec, by its URL.

    `make`: whether to create it where folders exist. Raises UsageError if it cannot be used.
    """

    def __init__(self, url: str, *, make: bool = True) -> None:
        self.name = url.rstrip("/")
        try:
            # An extra, and without type information.
            from fsspec.core import (  # type: ignore[import-untyped]  # noqa: PLC0415
                url_to_fs,
            )
        except ImportError as error:
            raise UsageError(
                f"{url}: needs the package fsspec: pip install 'auditor[cluster]'"
            ) from error
        try:
            self._system, self._root = url_to_fs(self.name)
            self._at_once = self.name.partition("://")[0] in _OBJECT_STORES
            if make and not self._at_once:
                self._system.makedirs(self._root, exist_ok=True)
            if make:
                self.file_names()
        except Exception as error:
            # Every file system has exceptions of its own: no key, no bucket, no library.
            raise UsageError(f"{url}: cannot be used: {_reason(error)}") from error

    def file_names(self) -> Collection[str]:
        """Return the names of all files in it."""
        names: Collection[str] = self._do(self._names, "read")
        return names

    def _names(self) -> Collection[str]:
        self._system.invalidate_cache()
        try:
            paths = self._system.ls(self._root, detail=False)
        except FileNotFoundError:
            return ()  # an object store has no folders, only names
        return [str(path).rstrip("/").rpartition("/")[2] for path in paths]

    def read_file(self, name: str) -> bytes:
        """Return the content of a file."""
        content: bytes = self._do(lambda: self._system.cat_file(self._at(name)), "read", name)
        return content

    def write_file(self, name: str, data: bytes) -> None:
        """Put an object; or write a file and rename it."""
        self._do(lambda: self._put(name, data), "written", name)

    def _put(self, name: str, data: bytes) -> None:
        if self._at_once:
            self._system.pipe_file(self._at(name), data)
        else:
            new = self._at(f".{name}.new")
            self._system.pipe_file(new, data)
            self._system.mv(new, self._at(name))

    def remove_file(self, name: str) -> None:
        """Take a file away."""
        self._do(lambda: self._system.rm_file(self._at(name)), "removed", name)

    def close_folder(self) -> None:
        """Do nothing: an object store has no lock."""

    def _at(self, name: str) -> str:
        return f"{self._root}/{name}"

    def _do(self, call: Callable[[], Any], done: str, name: str = "") -> Any:
        try:
            return call()
        except Exception as error:
            raise OutputError(f"{self.name}/{name}: cannot be {done}: {_reason(error)}") from error


def _reason(error: Exception) -> str:
    """Return the message of an exception, in one line."""
    text = " ".join(str(error).split())
    return text[:300] or type(error).__name__
