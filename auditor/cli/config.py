"""`auditor config`: the effective settings, and where each of them comes from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from auditor.cli.options import asking, judging, load_settings, scanning
from auditor.cli.streams import put
from auditor.configuration import NAMES, Loaded, Origin
from auditor.settings import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["command"]

_DEFAULT: Final = Origin("default")

#: Columns up to which the origins stand below each other.
_COLUMN: Final = 34

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


@click.command(
    "config", epilog="Example: auditor config --zones examples/fleet/zones --fail-on error"
)
@asking
@scanning
@judging
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for machines.")
def command(*, as_json: bool, **given: Any) -> int:
    """Print the settings that a scan with these options would have, and whose word each is.

    Later ones win: the defaults, auditor.toml in the working directory, the file that
    --config or AUDITOR_CONFIG names, AUDITOR_* variables, options. What is printed is a
    TOML file in turn: save it, and --config reads it.
    """
    loaded = load_settings(given)
    if as_json:
        put(json.dumps(_as_json(loaded), ensure_ascii=True, indent=2))
        return 0
    for line in _as_toml(loaded):
        put(line)
    return 0


def _origin(loaded: Loaded, key: str) -> Origin:
    return loaded.origins.get(key, _DEFAULT)


def _as_json(loaded: Loaded) -> dict[str, Any]:
    """Return each setting with its value and its origin."""
    settings: dict[str, Any] = {}
    for key, attribute in NAMES.items():
        value = getattr(loaded.settings, attribute)
        if key == "severities":
            settings[key] = {
                code: _entry(severity, _origin(loaded, f"{key}.{code}"))
                for code, severity in sorted(value.items())
            }
        else:
            settings[key] = _entry(_plain(value), _origin(loaded, key))
    return {"files": [str(path) for path in loaded.files], "settings": settings}


def _entry(value: object, origin: Origin) -> dict[str, Any]:
    return {"value": value, "source": origin.kind, "where": origin.where or None}


def _plain(value: object) -> object:
    """Return a value as JSON and TOML have it."""
    if isinstance(value, tuple) and not isinstance(value, Server):
        return [_plain(item) for item in value]
    return str(value) if isinstance(value, Server | Path) else value


def _as_toml(loaded: Loaded) -> Iterator[str]:
    """Yield the lines of a TOML file that means the same."""
    yield "# Effective settings. Later ones win: default, auditor.toml, --config FILE,"
    yield "# AUDITOR_* variables, options."
    tables = {"severities"}
    for key, attribute in NAMES.items():
        value = getattr(loaded.settings, attribute)
        if key not in tables:
            yield _line(key, _duration(value) if key == "deadline" else value, _origin(loaded, key))
    yield ""
    yield "[severities]"
    for code, severity in sorted(loaded.settings.severities.items()):
        yield _line(code, severity, _origin(loaded, f"severities.{code}"))


def _line(key: str, value: object, origin: Origin) -> str:
    """Return a line; an empty value, which TOML cannot say or need not, is a comment."""
    is_set = value is not None and value != ()
    text = f"{key} = {_toml(_plain(value))}" if is_set else f"# {key}: {_UNSET.get(key, 'not set')}"
    said = f"  # {origin}" if is_set or origin.kind != "default" else ""
    line = f"{text:<{_COLUMN}}{said}" if said else text
    return click.style(line, dim=True) if origin.kind == "default" else line


#: What it means that there is none.
_UNSET: Final = {
    "server": "the system's resolvers",
    "concurrency": "as many as the servers take",
    "qps": "no limit",
    "server-qps": "no limit",
    "select": "every finding",
    "ignore": "none",
    "deadline": "none",
}


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return f'"{"".join(map(_escaped, value))}"' if isinstance(value, str) else str(value)


def _escaped(letter: str) -> str:
    """Return a letter of a TOML string: nothing in it moves a terminal's cursor."""
    if letter in {'"', "\\"}:
        return f"\\{letter}"
    if letter.isprintable():
        return letter
    return f"\\u{ord(letter):04x}" if ord(letter) <= 0xFFFF else f"\\U{ord(letter):08x}"  # noqa: PLR2004 - the BMP


def _duration(seconds: float | None) -> str | None:
    """Return `5h30m` for 19,800 seconds."""
    if seconds is None:
        return None
    whole, parts = int(seconds), ""
    for size, unit in _UNITS:
        number, whole = divmod(whole, size)
        if number:
            parts += f"{number}{unit}"
    fraction = seconds - int(seconds)
    return f"{seconds}s" if fraction else parts
