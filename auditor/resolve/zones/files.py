"""Finds zone files: those of a folder, a single file, or those listed in a named.conf.

A file of a folder is a zone file if it holds an SOA record, whatever its name; other files are
logged with the reason. `$INCLUDE` may read files in and below the same folder, and in and
below the `directory` of a named.conf.
"""

from __future__ import annotations

import logging
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from typing import TYPE_CHECKING, Final

from auditor.errors import ZoneFileError
from auditor.quoting import printable
from auditor.resolve.zones.entry import EntryError
from auditor.resolve.zones.named_conf import is_named_conf, read_named_conf
from auditor.resolve.zones.reader import MasterFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

__all__ = ["files_of", "master_files"]

_log = logging.getLogger("auditor")

_MAX_NAMED: Final = 5  # files that a message names
_MAX_SOA_SEARCH_OCTETS: Final = 1 << 20  # from the beginning of a file

#: Suffixes of files that are no zone files: the first kind is skipped silently, backup copies
#: with a warning, since one may have been intended.
_OTHER_SUFFIXES: Final = (
    *(".jnl", ".jbk", ".key", ".private", ".state", ".swp", ".swo", ".md", ".rst", ".html"),
    *(".json", ".ndjson", ".csv", ".yaml", ".yml", ".toml", ".py", ".sh", ".tar.gz", ".tgz"),
)
_BACKUP_SUFFIXES: Final = (
    *(".bak", ".backup", ".orig", ".old", ".save", ".tmp", ".rpmsave", ".rpmnew", ".rpmorig"),
    *(".dpkg-old", ".dpkg-dist", ".dpkg-new", ".rej"),
)

_COMPRESSED: Final = (b"\x1f\x8b", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd", b"BZh")  # as they begin

_PREFIXES: Final = ("db.", "named.", "pri.", "zone.")
_SUFFIXES: Final = (
    *(".signed", ".zone", ".db", ".dns", ".hosts", ".host", ".rev", ".fwd", ".master", ".txt"),
)
_OCTETS: Final = re.compile(
    r"(?:25[0-5]|2[0-4]\d|1\d\d|[1-9]?\d)(?:\.(?:25[0-5]|2[0-4]\d|1?\d?\d)){0,2}"
)

#: An SOA record: its two names and the first of its numbers, perhaps behind comments.
_SOA: Final = re.compile(
    rb"^[^\s;\"()]*(?:[ \t]+(?:IN|[0-9][0-9smhdw]*))*[ \t]+SOA(?:[ \t(]|;[^\n]*\n|(?<=[(\s])\n)+"
    rb"[^\s;()]+\s+[^\s;()]+(?:[\s(]|;[^\n]*\n)+[0-9]",
    re.IGNORECASE | re.MULTILINE,
)
#: A zone in the configuration of NSD (`zone:`, `name:`) or of Knot DNS (`zone:`, `- domain:`).
_OTHER_CONF: Final = re.compile(
    rb"^zone:[ \t]*(?:#[^\n]*)?\r?\n(?:[ \t]*(?:#[^\n]*)?\r?\n)*[ \t-]+(?:name|domain):",
    re.MULTILINE,
)
#: At the beginning of a line; begins with a literal character, which `re` finds fast.
_INCLUDES: Final = re.compile(rb"\$(?<![^\n]\$)INCLUDE[ \t]+\"?([^\s\";]+)", re.IGNORECASE)


def master_files(path: Path) -> Iterator[MasterFile]:
    """Yield the master files of a folder or of a named.conf, or the single file `path`.

    Raises ZoneFileError.
    """
    if path.is_dir():
        yield from _files_of_folder(path)
    elif path.is_file():
        if is_named_conf(_content(path)):
            yield from _files_of_conf(path)
        else:
            yield _master_file(path, path.name, _origin(path.name), (path.parent,))
    else:
        try:
            path.stat()
        except OSError as error:
            raise ZoneFileError(
                f"{path}: expected a folder of zone files, a zone file or a named.conf: "
                f"{error.strerror}"
            ) from error
        raise ZoneFileError(f"{path}: expected a folder of zone files, a zone file or a named.conf")


def files_of(path: Path) -> list[Path]:
    """Return all files that the zones of `path` may be read from, sorted.

    Raises OSError, and ZoneFileError for a named.conf that cannot be read.
    """
    roots: tuple[Path, ...] = ()
    if path.is_dir():
        found = [each for each in path.iterdir() if each.is_file() and not _is_hidden(each.name)]
        roots = (path,)
    elif path.is_file() and is_named_conf(path.read_bytes()):
        conf = read_named_conf(path)
        found = [*conf.files, *(zone.path for zone in conf.zones if zone.path.is_file())]
        roots = (conf.directory, *{zone.path.parent: None for zone in conf.zones})
    else:
        found = [path]
    seen: dict[Path, None] = {}
    while found:
        each = found.pop()
        if each not in seen:
            seen[each] = None
            if each.suffix not in _OTHER_SUFFIXES:
                found += _included(each.read_bytes(), roots or (each.parent,))
    return sorted(seen)


# --- a folder ------------------------------------------------------------------------------


def _files_of_folder(folder: Path) -> Iterator[MasterFile]:
    try:
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
    except OSError as error:
        raise ZoneFileError(f"{folder}: cannot be read: {error.strerror}") from error
    names = [name for name in names if not _is_hidden(name) and not name.endswith(_OTHER_SUFFIXES)]
    passed: dict[str, str] = {}
    included: set[Path] = set()
    for name in names:
        path = folder / name
        data = _content(path)
        includes = _included(data, (folder,))
        included.update(includes)
        reason = _reason_to_skip(name, names, data, includes)
        if reason:
            passed[name] = reason
    inside = {path.name for path in included if path.parent == folder}
    found = [name for name in names if name not in passed and name not in inside]
    listed = _joined_list(
        [f"{printable(name)} ({why})" for name, why in passed.items() if name not in inside]
    )
    if not found:
        reason = f": {listed}" if listed else ""
        raise ZoneFileError(
            f"{folder}: no zone file in it; expected files with an SOA record{reason}"
        )
    if listed:
        _log.warning("%s: passed over: %s", folder, listed)
    for name in found:
        yield _master_file(folder / name, name, _origin(name), (folder,))


def _is_hidden(name: str) -> bool:
    return name.startswith((".", "#")) or name.endswith("~")


def _reason_to_skip(name: str, names: list[str], data: bytes, includes: list[Path]) -> str:
    """Return why a file of a folder is no zone file; "" if it is one."""
    if name.endswith(_BACKUP_SUFFIXES):
        return "a copy, by its name"
    if name.endswith(".signed") and name.removesuffix(".signed") in names:
        return f"the signed copy of {printable(name.removesuffix('.signed'))}"
    unreadable = _why_unreadable(data)
    if unreadable:
        return unreadable
    if is_named_conf(data):
        return "a named.conf: give it instead of the folder"
    if not includes and not _SOA.search(data[:_MAX_SOA_SEARCH_OCTETS]):
        return "no SOA record"
    return ""


def _why_unreadable(data: bytes) -> str:
    """Return why a file is not text and how to convert it; "" if it may be text."""
    if data.startswith(_COMPRESSED):
        return "compressed; gunzip, unxz or unzstd makes it text"
    if data.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
        return "UTF-16; iconv -f UTF-16 -t UTF-8 makes it text"
    head = data[:_MAX_SOA_SEARCH_OCTETS]
    if b"zone:" in head and _OTHER_CONF.search(head):
        return "a configuration of NSD or Knot DNS; the folder of its zone files can be read"
    if b"\0" in head:
        return "not text; named-compilezone -f raw -F text makes it so"
    return ""


def _joined_list(items: list[str]) -> str:
    more = len(items) - _MAX_NAMED
    return ", ".join(items[:_MAX_NAMED]) + (f" and {more} more" if more > 0 else "")


def _included(data: bytes, roots: Sequence[Path]) -> list[Path]:
    """Return the existing files in these folders that a master file may include."""
    names = [name.decode("ascii", "surrogateescape") for name in _INCLUDES.findall(data)]
    paths = [root / name for name in dict.fromkeys(names) for root in roots]
    return [path for path in paths if path.is_file()]


# --- files ---------------------------------------------------------------------------------


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ZoneFileError(f"{path}: cannot be read: {error.strerror}") from error


def _master_file(path: Path, server: str, origin: str, roots: Sequence[Path]) -> MasterFile:
    data = _content(path)
    unreadable = _why_unreadable(data)
    if unreadable:
        raise ZoneFileError(f"{path}: {unreadable}")
    return MasterFile(str(path), server, origin, data, _include_reader(roots))


def _include_reader(roots: Sequence[Path]) -> Callable[[str], tuple[str, bytes]]:
    """Return a reader of `$INCLUDE` files: those in and below these folders, tried in turn."""

    def include(name: str) -> tuple[str, bytes]:
        problem = EntryError("not the name of a file")
        for root in roots:
            path = root / name
            try:
                real = path.resolve(strict=True)
                if real.is_relative_to(root.resolve()) and real.is_file():
                    return str(path), real.read_bytes()
                problem = EntryError(
                    f"expected a file in {root}; named-compilezone -o FLAT ZONE FILE makes one "
                    "file of a zone"
                )
            except OSError as error:
                problem = EntryError(f"{path}: {error.strerror}")
            except ValueError:  # of a name with a NUL
                pass
        raise problem

    return include


def _origin(name: str) -> str:
    """Return the origin that a file's name suggests: `db.192.0.2` is 2.0.192.in-addr.arpa."""
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    if _OCTETS.fullmatch(name):
        return ".".join(reversed(name.split("."))) + ".in-addr.arpa"
    return "." if name in {"root", "zone"} else name


def _files_of_conf(path: Path) -> Iterator[MasterFile]:
    conf = read_named_conf(path)
    for problem in conf.problems:
        _log.warning("%s", problem)
    if not conf.zones:
        raise ZoneFileError(f"{path}: no zone in it; expected zones with a file")
    for zone in conf.zones:
        roots = (conf.directory, zone.path.parent)
        yield _master_file(zone.path, zone.path.name, zone.name, roots)
