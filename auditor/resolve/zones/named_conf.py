"""Reads the zone statements of a named.conf: `zone "NAME" { type primary; file "FILE"; };`.

`include`, `directory`, views and comments are supported; everything else is skipped, so the
configuration need not be valid.
"""

from __future__ import annotations

import re
from stat import S_ISREG
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

from auditor.errors import ZoneFileError
from auditor.quoting import printable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["ListedZone", "NamedConf", "is_named_conf", "read_named_conf"]

_MAX_NESTING: Final = 16  # of files that include one another, and of blocks
_MAX_FILES: Final = 256

#: Statements of a named.conf; no zone file has these at the beginning of a line.
_STATEMENTS: Final = re.compile(rb'\n[ \t]*+(?:(?:zone|include|view)[ \t]+"|options[ \t\r\n]*\{)')
_TOKEN: Final = re.compile(
    r'\s+|//[^\n]*|#[^\n]*|/\*.*?(?:\*/|\Z)|([{};])|"([^"]*)"|([^\s{};"#]+)|.', re.DOTALL
)
_SECONDARY: Final = frozenset({"slave", "secondary"})
#: Zone types without a zone file.
_TYPES_WITHOUT_FILE: Final = frozenset({"hint", "forward", "delegation-only"})

#: The words of a statement, and the statements of its block, if it has one.
_Statement: TypeAlias = "tuple[list[str], list[_Statement] | None]"


class ListedZone(NamedTuple):
    """A zone of a configuration and its file."""

    name: str
    path: Path


class NamedConf(NamedTuple):
    """A configuration: its zones, its own files, and why zones and files were skipped.

    `directory`: the folder that relative file names start from.
    """

    zones: list[ListedZone]
    files: list[Path]
    problems: list[str]
    directory: Path


def is_named_conf(data: bytes) -> bool:
    """Tell whether a file is a BIND configuration or part of one."""
    # Cheap test first: most zone files have neither character, and are large.
    return (b'"' in data or b"{" in data) and _STATEMENTS.search(b"\n" + data) is not None


def read_named_conf(path: Path) -> NamedConf:
    """Return the zones that a configuration lists. Raises ZoneFileError."""
    directory = path.parent
    conf = NamedConf([], [], [], directory)
    statements = list(_statements(path, conf, 0))
    for words, block in statements:
        if words == ["options"] and block is not None:
            directory = path.parent / (_option_value(block, "directory") or ".")
    seen: set[str] = set()
    for words, block in _zones(statements, 0):
        name = words[1].lower().rstrip(".") or "."
        found = _zone_file(name, block, (directory, path.parent), conf.problems)
        if found is not None and name in seen:
            conf.problems.append(f"{path}: {printable(name)} is listed again: the first one counts")
        elif found is not None:
            seen.add(name)
            conf.zones.append(ListedZone(name, found))
    return conf._replace(directory=directory)


def _statements(path: Path, conf: NamedConf, depth: int) -> Iterator[_Statement]:
    """Yield the statements of a file, with included files expanded in place."""
    try:
        is_file = not depth or S_ISREG(path.stat().st_mode)
        text = path.read_bytes().decode("utf-8", "surrogateescape") if is_file else ""
    except (OSError, ValueError) as error:  # of a name with a NUL, too
        is_file, why = False, getattr(error, "strerror", None) or error
    else:
        why = "not a regular file"
    if not is_file:
        problem = f"{path}: cannot be read: {why}"
        if not depth:
            raise ZoneFileError(problem)
        conf.problems.append(f"{problem}: passed over")
        return
    conf.files.append(path)
    for words, block in _parse(text):
        if len(words) == 2 and words[0] == "include" and block is None:  # noqa: PLR2004 - and a file
            if depth == _MAX_NESTING or len(conf.files) == _MAX_FILES:
                raise ZoneFileError(
                    f"{path}: expected at most {_MAX_NESTING} files that include one another, "
                    f"and {_MAX_FILES} in all"
                )
            yield from _statements(path.parent / words[1], conf, depth + 1)
        else:
            yield words, block


def _parse(text: str) -> list[_Statement]:
    found: list[_Statement] = []
    open_blocks = [found]
    words: list[str] = []
    for match in _TOKEN.finditer(text):
        sign, string, word = match.groups()
        if string is not None or word is not None:
            words.append(word if string is None else string)
        elif sign == "{":
            inner: list[_Statement] = []
            open_blocks[-1].append((words, inner))
            open_blocks.append(inner)
            words = []
        elif sign == "}" and len(open_blocks) > 1:
            open_blocks.pop()
            words = []
        elif sign == ";" and words:
            open_blocks[-1].append((words, None))
            words = []
    return found


def _zones(
    statements: list[_Statement], depth: int
) -> Iterator[tuple[list[str], list[_Statement]]]:
    for words, block in statements:
        if block is None or len(words) < 2:  # noqa: PLR2004 - and a name
            continue
        if words[0] == "zone":
            yield words, block
        elif words[0] == "view" and depth < _MAX_NESTING:
            yield from _zones(block, depth + 1)


def _option_value(block: list[_Statement], option: str) -> str:
    for words, inner in block:
        if inner is None and len(words) > 1 and words[0] == option:
            return words[1]
    return ""


def _zone_file(
    name: str, block: list[_Statement], folders: tuple[Path, ...], problems: list[str]
) -> Path | None:
    """Return the file of a zone, or None if it has none that can be read."""
    kind, file = _option_value(block, "type").lower(), _option_value(block, "file")
    if kind in _TYPES_WITHOUT_FILE:
        return None
    if not file:
        problems.append(f"{printable(name)}: passed over: no file is given for this zone")
        return None
    paths = [folder / file for folder in folders]
    found = next((path for path in paths if path.is_file()), None)
    if found is None:
        problems.append(f"{printable(name)}: passed over: there is no file {paths[0]}")
        return None
    if kind in _SECONDARY and b"\0" in found.read_bytes()[:1024]:
        problems.append(
            f"{printable(name)}: passed over: {found} is not text; "
            "named-compilezone -f raw -F text makes it so"
        )
        return None
    return found
