"""Where settings come from: files, `AUDITOR_*` variables, flags; later ones win.

`auditor.toml` of the working directory comes first, then the file that `--config` (or
`AUDITOR_CONFIG`) names, then the other variables, then the flags. A setting has one name
everywhere: `cache-size` in a file is `AUDITOR_CACHE_SIZE` and `--cache-size`.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from auditor.errors import UsageError
from auditor.settings import Settings, parse_server
from auditor.targets.quoting import printable, quoted

__all__ = ["DEFAULT_FILE", "NAMES", "Loaded", "Origin", "load", "parse_duration", "read_config"]

#: Read if it is there and nothing says otherwise.
DEFAULT_FILE: Final = Path("auditor.toml")

_PREFIX: Final = "AUDITOR_"

#: How near a variable's name must be to a setting's to be taken for a slip of the pen: other
#: programs, and Kubernetes for a service called auditor, have variables of that prefix too.
_SLIP: Final = 0.8

_UNITS: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION: Final = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?", re.ASCII)
_LONGEST: Final = 32  # characters of a duration


class Origin(NamedTuple):
    """Where a value comes from: `default`, `file`, `variable` or `flag`, and which one."""

    kind: str
    where: str = ""

    def __str__(self) -> str:
        """Return it for a person: `default`, the file's path, the variable, the flag."""
        return printable(self.where) or self.kind


class Loaded(NamedTuple):
    """Settings, the files that were read, and where each value comes from.

    `origins` is by the names of the flags; of severities each code has its own, as
    `severities.PTR_GENERIC`. What is not in it is a default.
    """

    settings: Settings
    files: tuple[Path, ...]
    origins: Mapping[str, Origin]

    def blamed(self, error: UsageError) -> UsageError:
        """Return an error about a setting with the file or variable that it comes from."""
        return _blamed(error, self.origins)


def load(config: Path | None, environ: Mapping[str, str], flags: Mapping[str, Any]) -> Loaded:
    """Join files, `AUDITOR_*` variables and flags; later ones win.

    `config` is the file that `--config` names, `flags` holds what was given on the command
    line, by the names of the flags without dashes in front (`cache-size`). Raises UsageError.
    """
    values: dict[str, Any] = {}
    origins: dict[str, Origin] = {}
    files = _files(config, environ)
    sources: list[tuple[Mapping[str, Origin], Mapping[str, Any]]] = []
    for path in files:
        table = read_config(path)
        sources.append((dict.fromkeys(table, Origin("file", str(path))), table))
    variables = _environment(environ)
    sources.append(({key: Origin("variable", _variable(key)) for key in variables}, variables))
    sources.append(({key: Origin("flag", _flag(key)) for key in flags}, flags))
    for named, given in sources:
        _displace(given, values, origins)
        for key, value in given.items():
            _take(key, value, named[key], values, origins)
    try:
        settings = Settings(**{NAMES[key]: value for key, value in values.items()})
    except UsageError as error:
        raise _blamed(error, origins) from None
    return Loaded(settings, files, origins)


def _displace(table: Mapping[str, Any], values: dict[str, Any], origins: dict[str, Origin]) -> None:
    """Drop what a later source replaces: whoever names where answers come from names all of it."""
    for group in _ALTERNATIVES:
        if not group.isdisjoint(table):
            for key in group:
                values.pop(key, None)
                origins.pop(key, None)


def _take(
    key: str, value: Any, origin: Origin, values: dict[str, Any], origins: dict[str, Origin]
) -> None:
    """Convert a value and note where it comes from. Raises UsageError."""
    try:
        converted = _CONVERTERS[key](value)
    except UsageError as error:
        raise _blamed(error, {key: origin}) from None
    except (TypeError, ValueError, OverflowError) as error:
        name = origin.where if origin.kind == "flag" else key
        raise _blamed(UsageError(f"{name}: {error}"), {key: origin}) from error
    if key == "severities":
        # One code at a time, so that a flag for one leaves a file's others alone.
        values[key] = {**values.get(key, {}), **converted}
        origins.update({f"{key}.{code}": origin for code in converted})
        return
    values[key] = converted
    negated = converted is False and origin.kind == "flag"
    origins[key] = Origin("flag", f"--no-{key}") if negated else origin


def _blamed(error: UsageError, origins: Mapping[str, Origin]) -> UsageError:
    text = str(error)
    key = re.split(r"[: ]", text, maxsplit=1)[0]
    named = {origin for name, origin in origins.items() if name.partition(".")[0] == key}
    if len(named) == 1:
        (origin,) = named
        if origin.kind == "file":
            return UsageError(f"{origin}: {text}")
        if origin.kind == "variable":
            return UsageError(f"{origin}: {text.removeprefix(f'{key}: ')}")
    return error


def _files(config: Path | None, environ: Mapping[str, str]) -> tuple[Path, ...]:
    """Return the files to read, in order."""
    files = []
    # A working directory that may not be looked into has none: cron and sudo start in such.
    with contextlib.suppress(OSError):
        DEFAULT_FILE.stat()
        files.append(DEFAULT_FILE)
    named = config or Path(environ.get(f"{_PREFIX}CONFIG", ""))
    if named != Path() and named not in files:
        files.append(named)
    return tuple(files)


def read_config(path: Path) -> dict[str, Any]:
    """Return the settings of a TOML file, by the names of the flags.

    Raises UsageError for a file that cannot be read, is not TOML, or has an unknown key.
    """
    import tomllib  # noqa: PLC0415 - only if there is a file

    try:
        table = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from error
    for key in table:
        if key not in _CONVERTERS:
            raise UsageError(f"{path}: unknown setting {quoted(key)}{_suggestion(key)}")
    return table


def _suggestion(key: str) -> str:
    near = _nearest(key, _CONVERTERS)
    return f"; did you mean '{near}'?" if near else ""


def _nearest(name: str, names: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the name that is meant, most likely: the same letters before all others."""
    import difflib  # noqa: PLC0415 - only for an error message

    names = tuple(names)
    turned = [each for each in names if sorted(each) == sorted(name)]
    return next(iter(turned or difflib.get_close_matches(name, names, n=1, cutoff=cutoff)), None)


def _flag(key: str) -> str:
    return "--severity" if key == "severities" else f"--{key}"


def _variable(key: str) -> str:
    return _PREFIX + key.replace("-", "_").upper()


def _environment(environ: Mapping[str, str]) -> dict[str, Any]:
    """Return what the variables say. Raises UsageError for one whose name is a slip."""
    known = {_variable(key): key for key in _CONVERTERS}
    found: dict[str, Any] = {}
    for name, value in environ.items():
        # An empty variable is one that somebody means to unset.
        if not name.startswith(_PREFIX) or not value or name == f"{_PREFIX}CONFIG":
            continue
        if name not in known:
            near = _nearest(name[len(_PREFIX) :], _BARE, _SLIP)
            if near:
                raise UsageError(
                    f"{printable(name)}: no setting has this variable; "
                    f"did you mean {_PREFIX}{near}?"
                )
            continue
        if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise UsageError(f"{name}: {quoted(value)}: not UTF-8 text")
        key = known[name]
        found[key] = value.split(",") if key in _LISTS else value
    return found


def parse_duration(text: str) -> float:
    """Return the seconds of `5h30m`, `90s`, `1d` or `90`. Raises ValueError."""
    stripped = text.strip().lower()
    match = _DURATION.fullmatch(stripped) if len(stripped) <= _LONGEST else None
    if match is None or not any(match.groups()):
        raise ValueError(f"{quoted(text)} is no duration; expected one such as 5h30m, 90s or 2d")
    parts = zip(match.groups(), _UNITS.values(), strict=True)
    return sum(float(number) * seconds for number, seconds in parts if number)


def _duration(value: Any) -> float:
    return parse_duration(value) if isinstance(value, str) else _number(value)


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (_text(value),)
    if not isinstance(value, list | tuple):
        raise TypeError(f"{value!r} is neither text nor a list of texts")
    return tuple(_text(item) for item in value)


def _codes(value: Any) -> tuple[str, ...]:
    parts = (part.strip() for text in _texts(value) for part in text.split(","))
    return tuple(part for part in parts if part)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value.strip()


def _path(value: Any) -> Path:
    text = _text(str(value) if isinstance(value, Path) else value)
    if not text:
        raise ValueError("'' is no path")
    return Path(text)


def _whole(value: Any) -> int:
    if isinstance(value, int | str) and not isinstance(value, bool):
        with contextlib.suppress(ValueError):
            return int(value)
    elif isinstance(value, float) and value.is_integer():
        return int(value)
    raise ValueError(f"{value!r} is not a whole number")


def _workers(value: Any) -> int:
    if isinstance(value, str) and value.strip().lower() == "auto":
        return _cores()
    return _whole(value)


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _number(value: Any) -> float:
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        with contextlib.suppress(ValueError):
            return float(value)
    raise ValueError(f"{value!r} is not a number")


def _truth(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if str(value).lower() in known:
        return known[str(value).lower()]
    raise ValueError(f"{value!r} is neither true nor false")


def _table(value: Any) -> dict[str, str]:
    if isinstance(value, list | tuple):
        pairs = [text.partition("=") for text in _codes(value)]
        if not all(equals for _, equals, _ in pairs):
            raise ValueError("expected CODE=SEVERITY, such as PTR_GENERIC=error")
        value = {code.strip(): severity for code, _, severity in pairs}
    if not isinstance(value, Mapping):
        raise TypeError("expected a table of finding codes and severities")
    return {_text(code).upper(): _text(severity).lower() for code, severity in value.items()}


#: Settings that are lists: a comma parts their values in a variable.
_LISTS: Final = frozenset({"server", "mail-from", "select", "ignore", "severities"})

#: Settings that stand in for each other.
_ALTERNATIVES: Final = (frozenset({"server", "zones"}), frozenset({"workers", "scheduler"}))

_CONVERTERS: Final[dict[str, Callable[[Any], Any]]] = {
    "server": lambda value: tuple(parse_server(text) for text in _texts(value) if text),
    "zones": _path,
    "engine": _text,
    "concurrency": _whole,
    "qps": _number,
    "server-qps": _number,
    "server-check": _truth,
    "timeout": _number,
    "tries": _whole,
    "cache-size": _whole,
    "helo": _text,
    "mail-from": _texts,
    "spf": _truth,
    "trace": _truth,
    "fail-on": _text,
    "select": _codes,
    "ignore": _codes,
    "severities": _table,
    "max-targets": _whole,
    "deadline": _duration,
    "quiet": _truth,
    "log-format": _text,
    "metrics": _path,
    "workers": _workers,
    "scheduler": _text,
}
_BARE: Final = tuple(_variable(key)[len(_PREFIX) :] for key in _CONVERTERS)

#: The settings by their names, with the attributes of `Settings` that hold them.
NAMES: Final[Mapping[str, str]] = {
    key: "servers" if key == "server" else key.replace("-", "_") for key in _CONVERTERS
}
