"""What decides the records of a run: the program, the settings, the inputs by their content.

A partial output is gone on with by a run of the same identity only; of another one, what
differs is named.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import orjson

from auditor import __version__
from auditor.run.manifest import effective
from auditor.targets.quoting import printable

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from auditor.settings import Settings

__all__ = ["Identity", "identify"]

#: Settings that decide how fast and how patiently a run asks, what it tells of itself, or
#: how it ends, but not what its records say.
_NOT_IN_RECORDS: Final = frozenset(
    {
        "concurrency",
        "qps",
        "server_qps",
        "server_check",
        "timeout",
        "tries",
        "cache_size",
        "fail_on",
        "max_targets",
        "deadline",
        "quiet",
        "log_format",
        "metrics",
        "workers",
        "scheduler",
    }
)

#: What is called otherwise on the command line.
_CALLED: Final = {
    "arguments": "target",
    "files": "input",
    "excludes": "exclude",
    "servers": "server",
}

#: Differences that are named, and characters of a value in them.
_NAMED: Final = 3
_SHOWN: Final = 60
_LONGEST_NAME: Final = 1024


class Identity(NamedTuple):
    """Who a run is. All of it stands in the manifest, and can be compared with it.

    `settings`: those that decide the records; `digests`: SHA-256 of the input files, of
    files of excludes (as `@FILE`) and of the folder of zones (`FOLDER/`), by name. What can
    be read once only, such as standard input, has none.
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
        """Return what is not as a manifest says, for a person; "" if nothing is."""
        if manifest.get("fingerprint") == self.fingerprint:
            return ""
        found = []
        if manifest.get("auditor") != self.version:
            found.append(_change("auditor", manifest.get("auditor"), self.version))
        before = _table(manifest.get("settings"))
        for name, value in self.settings.items():
            if before.get(name) != value:
                called = _CALLED.get(name, name.replace("_", "-"))
                found.append(_change(called, before.get(name), value))
        before = _table(manifest.get("inputs"))
        for name, value in self.inputs.items():
            if before.get(name) != value:
                found.append(_change(_CALLED[name], before.get(name), value))
        before = _table(manifest.get("digests"))
        for name, digest in self.digests.items():
            if name in before and before[name] != digest:
                found.append(f"{printable(name, _LONGEST_NAME)} has changed")
        return ", ".join(found[:_NAMED]) or "the fingerprint is another one"


def identify(
    settings: Settings, arguments: Sequence[str], files: Sequence[str], excludes: Sequence[str]
) -> Identity:
    """Return the identity of a run. Raises OSError for a file that cannot be read.

    Files count by the names that they were given by, too: records of invalid lines name them.
    """
    values = orjson.loads(orjson.dumps(effective(settings)))
    named = {name: name for name in files}
    named |= {text: text[1:] for text in excludes if text.startswith("@")}
    digests = {
        shown: _digest(Path(name))
        for shown, name in named.items()
        if name != "-" and Path(name).is_file()
    }
    if settings.zones is not None and settings.zones.is_dir():
        digests[f"{settings.zones}/"] = _digest(
            *sorted(each for each in settings.zones.iterdir() if _may_be_zone(each))
        )
    return Identity(
        __version__,
        {name: value for name, value in values.items() if name not in _NOT_IN_RECORDS},
        {"arguments": list(arguments), "files": list(files), "excludes": list(excludes)},
        digests,
    )


def _may_be_zone(path: Path) -> bool:
    return not path.name.startswith(".") and not path.name.endswith("~") and path.is_file()


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
        before, now = _apart(before, now)
    return f"{name} was {_shown(before)} and is {_shown(now)}"


def _apart(before: list[Any], now: list[Any]) -> tuple[list[Any], list[Any]]:
    """Return two lists without what they begin and end with alike."""
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
    return f"'{printable(str(value), _SHOWN)}'"
