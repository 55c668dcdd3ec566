"""Identity of a run, everything that decides its records: version, settings, content of inputs.

Only a run of the same identity can resume a partial output; otherwise the differences are named.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from auditor.errors import InputError
from auditor.quoting import printable
from auditor.settings import OPTIONS
from auditor.version import __version__

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from auditor.settings import Settings

__all__ = ["Identity", "identify"]

#: Names of the parts of the inputs in messages.
_INPUT_NAMES: Final = {
    "arguments": "target",
    "files": "input",
    "options": "input options",
    "zones": "zone",
    "excludes": "exclude",
}

#: How many differences a message names, and characters of a value and of a file name in them.
_MAX_NAMED_DIFFERENCES: Final = 3
_MAX_VALUE_CHARACTERS: Final = 60
_MAX_NAME_CHARACTERS: Final = 1024


class Identity(NamedTuple):
    """Everything that decides the records of a run; stored in the manifest, to compare with.

    `settings`: those that decide the records; `digests`: SHA-256 of the input files, of
    files of excludes (as `@FILE`) and of the zones (`FOLDER/`, or the file), by name. An input
    that can be read only once, such as standard input, has none.
    """

    version: str
    settings: Mapping[str, Any]
    inputs: Mapping[str, list[str]]
    digests: Mapping[str, str]

    @property
    def fingerprint(self) -> str:
        """All of it as one digest."""
        content = orjson.dumps(tuple(self), option=orjson.OPT_SORT_KEYS)
        return hashlib.sha256(content).hexdigest()

    def differences(self, manifest: Mapping[str, Any]) -> str:
        """Return the differences from a manifest, for a person; "" if there are none."""
        if manifest.get("fingerprint") == self.fingerprint:
            return ""
        differences = []
        if manifest.get("auditor") != self.version:
            differences.append(_change("auditor", manifest.get("auditor"), self.version))
        before = _table(manifest.get("settings"))
        for name, value in self.settings.items():
            if before.get(name) != value:
                called = "server" if name == "servers" else name.replace("_", "-")
                differences.append(_change(called, before.get(name), value))
        before = _table(manifest.get("inputs"))
        for name, value in self.inputs.items():
            if before.get(name) != value:
                differences.append(_change(_INPUT_NAMES[name], before.get(name), value))
        before = _table(manifest.get("digests"))
        for name, digest in self.digests.items():
            if name in before and before[name] != digest:
                differences.append(f"{printable(name, _MAX_NAME_CHARACTERS)} has changed")
        return ", ".join(differences[:_MAX_NAMED_DIFFERENCES]) or "the fingerprint differs"


def identify(
    settings: Settings,
    arguments: Sequence[str],
    files: Sequence[str],
    excludes: Sequence[str],
    options: Sequence[str] = (),
    *,
    zones: Sequence[str] = (),
) -> Identity:
    """Return the identity of a run. Raises InputError for a file that cannot be read.

    `options` are those that decide how the input is read and what is written, as given; `zones`
    the zones that are targets, with their serial numbers and where they are from.
    Files count by the names that they were given by, too: records of invalid lines name them.
    """
    values = orjson.loads(orjson.dumps(settings.as_json()))
    try:
        digests = _digests(settings, files, excludes)
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read: {error.strerror}") from error
    return Identity(
        __version__,
        {
            option.attribute: values[option.attribute]
            for option in OPTIONS.values()
            if option.in_records
        },
        {
            "arguments": list(arguments),
            "files": list(files),
            "excludes": list(excludes),
            "options": list(options),
            **({"zones": list(zones)} if zones else {}),
        },
        digests,
    )


def _digests(settings: Settings, files: Sequence[str], excludes: Sequence[str]) -> dict[str, str]:
    """Return the digests of all files that decide the records, by name. Raises OSError."""
    named = {name: name for name in files}
    named |= {text: text[1:] for text in excludes if text.startswith("@")}
    digests = {
        shown: _digest(Path(name))
        for shown, name in named.items()
        if name != "-" and Path(name).is_file()
    }
    if settings.zones is not None and settings.zones.exists():
        from auditor.resolve.zones.files import files_of  # noqa: PLC0415 - for runs from files

        shown = f"{settings.zones}/" if settings.zones.is_dir() else str(settings.zones)
        digests[shown] = _digest(*files_of(settings.zones))
    own = settings.receivers_file
    if own is not None and own.is_file():
        digests[str(own)] = _digest(own)
    return digests


def _digest(*paths: Path) -> str:
    """Return the digest of one file, or of several with their names."""
    digest = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            content = hashlib.file_digest(file, "sha256")
        if len(paths) == 1:
            return content.hexdigest()
        digest.update(path.name.encode(errors="surrogateescape") + b"\0" + content.digest())
    return digest.hexdigest()


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _change(name: str, before: Any, now: Any) -> str:
    if isinstance(before, list) and isinstance(now, list):
        before, now = _without_common_ends(before, now)
    return f"{name} was {_shown(before)} and is {_shown(now)}"


def _without_common_ends(before: list[Any], now: list[Any]) -> tuple[list[Any], list[Any]]:
    """Return two lists without their common beginning and end."""
    while before and now and before[0] == now[0]:
        before, now = before[1:], now[1:]
    while before and now and before[-1] == now[-1]:
        before, now = before[:-1], now[:-1]
    return before, now


def _shown(value: Any) -> str:
    """Return a value for a person."""
    if value is None or value in ([], {}, ""):
        return "not given"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, dict):
        value = [f"{key}={item}" for key, item in value.items()]
    if isinstance(value, list):
        value = " ".join(map(str, value))
    return f"'{printable(str(value), _MAX_VALUE_CHARACTERS)}'"
