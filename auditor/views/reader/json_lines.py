"""Reads files of JSON lines that are no records: zone facts, and what `auditor senders` prints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import orjson

from auditor.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

__all__ = ["read_json_lines"]

#: Octets of a line: 13 servers with 4 addresses each name 13 servers, and a domain may pass
#: through many policies.
_MAX_LINE_OCTETS: Final = 1 << 24


def read_json_lines(
    path: Path, is_sound: Callable[[Any], bool], complaint: str
) -> Iterator[dict[str, Any]]:
    """Yield the lines of a file, which are objects that are sound.

    `is_sound` may raise KeyError and TypeError. Raises InputError, with the number of the line and
    `complaint`, for one that is not sound, and for a file that cannot be read.
    """
    try:
        with path.open("rb") as file:
            number = 0
            while text := file.readline(_MAX_LINE_OCTETS):
                number += 1
                line = _sound(text, is_sound)
                if line is None:
                    raise InputError(f"{path} line {number}: {complaint}")
                yield line
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from error


def _sound(text: bytes, is_sound: Callable[[Any], bool]) -> dict[str, Any] | None:
    try:
        line: dict[str, Any] = orjson.loads(text)
        return line if is_sound(line) else None
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return None
