"""`auditor config`: the effective settings, and where each of them comes from."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import click

from auditor.cli.console import print_data, print_message
from auditor.cli.options import SettingsCommand, load_settings, settings_options
from auditor.quoting import printable
from auditor.settings import OPTIONS, Settings
from auditor.settings_option import Group
from auditor.settings_sources import Loaded, Source, ignored_text
from auditor.settings_values import parse_duration

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["command"]

_DEFAULT: Final = Source("default")

#: Columns up to which the origins are aligned.
_COLUMN: Final = 34

_UNITS: Final = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


@click.command(
    "config", cls=SettingsCommand, epilog="Example: auditor config --qps 500 --fail-on error"
)
@settings_options(*Group)
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for machines.")
def command(*, as_json: bool, **given: Any) -> int:
    """Print the settings that a scan with these options would have, and the origin of each.

    Later ones win: the defaults, auditor.toml in the working directory, the file that
    --config or AUDITOR_CONFIG names, AUDITOR_* variables, options. The output is a
    TOML file, which --config reads.
    """
    loaded = load_settings(given)
    for name in loaded.ignored:
        print_message(f"auditor: {ignored_text(name)}")
    if as_json:
        print_data(json.dumps(_as_json(loaded), ensure_ascii=True, indent=2))
        return 0
    for line in _as_toml(loaded):
        print_data(line)
    return 0


def _origin(loaded: Loaded[Settings], key: str) -> Source:
    return loaded.origins.get(key, _DEFAULT)


def _as_json(loaded: Loaded[Settings]) -> dict[str, Any]:
    """Return each setting with its value and its origin."""
    settings: dict[str, Any] = {}
    values = loaded.settings.as_json()
    for key, option in OPTIONS.items():
        value = values[option.attribute]
        if isinstance(value, dict):
            settings[key] = {
                name: _entry(item, _origin(loaded, f"{key}.{name}"))
                for name, item in sorted(value.items())
            }
        else:
            settings[key] = _entry(value, _origin(loaded, key))
    return {"files": [str(path) for path in loaded.files], "settings": settings}


def _entry(value: object, origin: Source) -> dict[str, Any]:
    return {"value": value, "source": origin.kind, "where": origin.where or None}


def _as_toml(loaded: Loaded[Settings]) -> Iterator[str]:
    """Yield the lines of a TOML file with the same settings."""
    yield "# Effective settings. Later ones win: default, auditor.toml,"
    yield "# --config FILE, AUDITOR_* variables, options."
    yield f"# Files read: {', '.join(printable(str(path)) for path in loaded.files) or 'none'}"
    values = loaded.settings.as_json()
    tables = {}
    for key, option in OPTIONS.items():
        value = values[option.attribute]
        if isinstance(value, dict):
            tables[key] = value
        else:
            shown = _duration(value) if option.parse is parse_duration else value
            yield _line(key, shown, _origin(loaded, key), option.unset)
    for key, table in tables.items():
        yield ""
        yield f"[{key}]"
        for name, item in sorted(table.items()):
            yield _line(name, item, _origin(loaded, f"{key}.{name}"))


def _line(key: str, value: object, origin: Source, unset: str = "") -> str:
    """Return a line; an empty value, which TOML cannot express or need not, is a comment."""
    is_set = value is not None and value != []
    text = f"{key} = {_toml(value)}" if is_set else f"# {key}: {unset}"
    comment = f"  # {origin}" if is_set or origin.kind != "default" else ""
    line = f"{text:<{_COLUMN}}{comment}" if comment else text
    return click.style(line, dim=True) if origin.kind == "default" else line


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return f"[{', '.join(_toml(item) for item in value)}]"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return f'"{"".join(map(_escaped, value))}"' if isinstance(value, str) else str(value)


def _escaped(letter: str) -> str:
    """Return a letter of a TOML string, escaped if it does not print."""
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
