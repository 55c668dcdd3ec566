"""Where settings come from: files, `AUDITOR_*` variables, flags; later ones win.

`auditor.toml` of the working directory comes first, then the file that `--config` (or
`AUDITOR_CONFIG`) names, then the other variables, then the flags. A setting has one name
everywhere: `cache-size` in a file is `AUDITOR_CACHE_SIZE` and `--cache-size`.

The working directory may be writable by others. So an `auditor.toml` that was found there and not
named may set servers, files and workers only if nobody but the user can have written it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import re
import stat
from collections.abc import Mapping  # noqa: TC003 - of keywords
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeAlias, TypedDict, TypeVar

from auditor.errors import UsageError
from auditor.quoting import printable, quoted
from auditor.settings_option import Option, declared_options
from auditor.settings_values import Route, Server, plain_value, read_toml

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Self, Unpack

__all__ = [
    "DEFAULT_FILE",
    "DeclaredSettings",
    "GivenSettings",
    "Loaded",
    "Source",
    "ignored_text",
    "load",
    "read_config",
]

S = TypeVar("S", bound="DeclaredSettings")

#: By the keys of a settings file.
_Options: TypeAlias = "Mapping[str, Option]"

#: Read from the working directory if it exists.
DEFAULT_FILE: Final = Path("auditor.toml")

_PREFIX: Final = "AUDITOR_"

#: Similarity from which a variable's name counts as a misspelt setting: other programs, and
#: Kubernetes for a service called auditor, have variables with that prefix too.
_MIN_SIMILARITY: Final = 0.8

#: Variables that Kubernetes sets in every container for a service called auditor.
_OF_KUBERNETES: Final = r"AUDITOR_(SERVICE_(HOST|PORT(_.*)?)|PORT(_[0-9]+_[A-Z]+(_.*)?)?)"

_Texts: TypeAlias = str | list[str] | tuple[str, ...]
_Servers: TypeAlias = str | Server | list[str | Server] | tuple[str | Server, ...]


class GivenSettings(TypedDict, total=False):
    """The keywords of `Settings` and `Settings.load`, for type checkers: values, or text.

    A test compares them with the fields.
    """

    servers: _Servers
    zones: str | Path | None
    engine: str
    concurrency: int | str | None
    qps: float | str | None
    server_qps: float | str | None
    server_check: bool | str
    timeout: float | str
    tries: int | str
    cache_size: int | str
    route: str | list[str] | tuple[str | Route, ...]
    direct: bool | str
    own: _Texts
    transfer_from: _Servers
    tsig_file: str | Path | None
    authority: str | None
    authority_port: int | str
    helo: str | None
    mail_from: _Texts
    spf: bool | str
    trace: bool | str
    fail_on: str
    max_unknown: float | str | None
    select: _Texts
    ignore: _Texts
    severities: Mapping[str, str] | list[str] | tuple[str, ...]
    receivers: _Texts
    receivers_file: str | Path | None
    max_targets: int | str
    deadline: float | str | None
    quiet: bool | str
    log_format: str
    metrics: str | Path | None
    workers: int | str
    scheduler: str | None


class Source(NamedTuple):
    """Where a value comes from: `default`, `file`, `variable` or `flag`, and which one."""

    kind: str
    where: str = ""

    def __str__(self) -> str:
        """Return a text to show: `default`, the file's path, the variable, the flag."""
        return printable(self.where) or self.kind


class Loaded(NamedTuple, Generic[S]):
    """Settings, the files that were read, and where each value comes from.

    `found` is the file among them that was found, not named, if any. `origins` is by the names of
    the flags; each code of severities has its own, as `severities.PTR_GENERIC`; defaults are not
    in it. `ignored`: AUDITOR_* variables that are not settings.
    """

    settings: S
    files: tuple[Path, ...]
    origins: Mapping[str, Source]
    found: Path | None = None
    ignored: tuple[str, ...] = ()

    def with_source(self, error: UsageError) -> UsageError:
        """Return an error about a setting, with the file or variable of the setting added."""
        return _with_source(error, self.origins)


class DeclaredSettings:
    """Base of a dataclass whose fields are declared with `option`."""

    __slots__ = ()

    @classmethod
    def load(cls, config: Path | str | None = None, **given: Unpack[GivenSettings]) -> Self:
        """Return settings from files, `AUDITOR_*` variables and keywords, as the command does.

        `config` names a TOML file; an `auditor.toml` of the working directory is read as well.
        Keywords win: `Settings.load("audit.toml", qps=100, servers="192.0.2.53")`. Raises
        UsageError.
        """
        keys = {option.attribute: key for key, option in declared_options(cls).items()}
        for name in given:
            if name not in keys:
                raise UsageError(f"unknown setting {quoted(name)}{_suggestion(name, keys)}")
        flags = {keys[name]: value for name, value in given.items()}
        loaded = load(cls, None if config is None else Path(config), os.environ, flags)
        for name in loaded.ignored:
            logging.getLogger("auditor").warning("%s", ignored_text(name))
        return loaded.settings

    def as_json(self) -> dict[str, Any]:
        """Return the settings by attribute as plain JSON values."""
        names = [option.attribute for option in declared_options(type(self)).values()]
        return {name: plain_value(getattr(self, name)) for name in names}


def ignored_text(name: str) -> str:
    """Return the message about an `AUDITOR_*` variable that is not a setting."""
    return f"{printable(name)}: no setting has this variable; it is ignored"


def load(
    kind: type[S], config: Path | None, environ: Mapping[str, str], flags: Mapping[str, Any]
) -> Loaded[S]:
    """Join files, `AUDITOR_*` variables and flags into settings; later ones win.

    `config` is the file that `--config` names, `flags` holds what was given on the command
    line, by the names of the flags without dashes in front (`cache-size`). Raises UsageError.
    """
    options = declared_options(kind)
    values: dict[str, Any] = {}
    origins: dict[str, Source] = {}
    discovered, named = _files(config, environ)
    files = tuple(path for path in (discovered, named) if path is not None)
    sources: list[tuple[Mapping[str, Source], Mapping[str, Any]]] = []
    for path in files:
        table = read_config(path, options)
        if path is discovered:
            _check_trust(path, table, options)
        sources.append((dict.fromkeys(table, Source("file", str(path))), table))
    variables, ignored = _environment(environ, options)
    sources.append(({key: Source("variable", _variable(key)) for key in variables}, variables))
    sources.append(({key: Source("flag", options[key].flag) for key in flags}, flags))
    for source_of, given in sources:
        # Drop the settings that others replace here, such as `server` for `zones`.
        for displaced in filter(None, [options[key].displaces for key in given]):
            values.pop(displaced, None)
            origins.pop(displaced, None)
        for key, value in given.items():
            _take(options[key], value, source_of[key], values, origins)
    try:
        settings = kind(**{options[key].attribute: value for key, value in values.items()})
    except UsageError as error:
        raise _with_source(error, origins) from None
    return Loaded(settings, files, origins, discovered, ignored)


def _take(
    option: Option, value: Any, origin: Source, values: dict[str, Any], origins: dict[str, Source]
) -> None:
    """Convert a value and note where it comes from. Raises UsageError."""
    key = option.key
    try:
        converted = option.parse(value)
    except UsageError as error:
        raise _with_source(error, {key: origin}) from None
    except (TypeError, ValueError, OverflowError) as error:
        name = origin.where if origin.kind == "flag" else key
        raise _with_source(UsageError(f"{name}: {error}"), {key: origin}) from error
    if isinstance(converted, dict):
        # One finding code at a time, so that a flag for one leaves a file's others alone.
        values[key] = {**values.get(key, {}), **converted}
        origins.update({f"{key}.{code}": origin for code in converted})
        return
    values[key] = converted
    negated = converted is False and origin.kind == "flag"
    origins[key] = Source("flag", f"--no-{key}") if negated else origin


def _with_source(error: UsageError, origins: Mapping[str, Source]) -> UsageError:
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


def _files(config: Path | None, environ: Mapping[str, str]) -> tuple[Path | None, Path | None]:
    """Return the file found, unless it is the named one, and the named one."""
    variable = environ.get(f"{_PREFIX}CONFIG", "")
    named = config or (Path(variable) if variable else None)
    # An unreadable working directory has none: cron and sudo may start in one.
    with contextlib.suppress(OSError):
        status = DEFAULT_FILE.stat()
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{DEFAULT_FILE}: not a regular file; expected settings in TOML")
        with contextlib.suppress(OSError):
            if named is not None and named.samefile(DEFAULT_FILE):
                return None, named
        return DEFAULT_FILE, named
    return None, named


def read_config(path: Path, options: _Options) -> dict[str, Any]:
    """Return the settings of a TOML file, by the names of the flags.

    Raises UsageError for a file that cannot be read, is not TOML, or has an unknown key.
    """
    table = read_toml(path)
    for key in table:
        if key not in options:
            name = printable(str(path))
            raise UsageError(f"{name}: unknown setting {quoted(key)}{_suggestion(key, options)}")
    return table


def _suggestion(key: str, known: Iterable[str]) -> str:
    near = _nearest(key, known)
    return f"; did you mean '{near}'?" if near else ""


def _nearest(name: str, names: Iterable[str], cutoff: float = 0.6) -> str | None:
    """Return the most similar name; a name with the same letters before all others."""
    import difflib  # noqa: PLC0415 - only for an error message

    names = tuple(names)
    turned = [known_name for known_name in names if sorted(known_name) == sorted(name)]
    return next(iter(turned or difflib.get_close_matches(name, names, n=1, cutoff=cutoff)), None)


def _variable(key: str) -> str:
    return _PREFIX + key.replace("-", "_").upper()


def _environment(
    environ: Mapping[str, str], options: _Options
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the settings of the variables, and the names of ignored variables.

    Raises UsageError for a misspelt name.
    """
    known = {_variable(key): key for key in options}
    known_endings = [name.removeprefix(_PREFIX) for name in known]
    values: dict[str, Any] = {}
    ignored: list[str] = []
    for name, value in environ.items():
        # An empty variable counts as unset.
        if not name.startswith(_PREFIX) or not value or name == f"{_PREFIX}CONFIG":
            continue
        if name not in known:
            near = _nearest(name[len(_PREFIX) :], known_endings, _MIN_SIMILARITY)
            if near:
                raise UsageError(
                    f"{printable(name)}: no setting has this variable; "
                    f"did you mean {_PREFIX}{near}?"
                )
            if not re.fullmatch(_OF_KUBERNETES, name):
                ignored.append(name)
            continue
        if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise UsageError(f"{name}: {quoted(value)}: not UTF-8 text")
        key = known[name]
        values[key] = value.split(",") if options[key].repeatable else value
    return values, tuple(ignored)


def _check_trust(path: Path, table: Iterable[str], options: Mapping[str, Option]) -> None:
    """Refuse settings of a file that was found, not named, if others can have written it.

    As git's `safe.directory`, and stricter: the file and its folder must belong to the user or to
    root, and nobody else may be able to write to them.
    """
    keys = [key for key, option in options.items() if option.needs_trust and key in table]
    if not keys:
        return
    link, file, folder = path.lstat(), path.stat(), path.absolute().parent.stat()
    for status, subject in ((link, "it"), (file, "it"), (folder, "its folder")):
        why = _why_untrusted(status)
        if why:
            raise UsageError(
                f"{path}: {keys[0]} is not accepted from a file that was not named: "
                f"{subject} {why}; --config {path} takes it"
            )


def _why_untrusted(status: os.stat_result) -> str:
    """Return why another user may have written a file or folder, "" if none can have."""
    if status.st_uid not in {0, os.geteuid()}:
        return "belongs to another user"
    if stat.S_ISLNK(status.st_mode):
        return ""  # a link has no mode of its own
    if status.st_mode & stat.S_IWOTH:
        return "can be written by everybody"
    if status.st_mode & stat.S_IWGRP and not _is_private_group(status.st_gid):
        return "can be written by a group"
    return ""


def _is_private_group(gid: int) -> bool:
    """Tell whether a group has the user as its only member, as systems with umask 002 do."""
    import grp  # noqa: PLC0415 - seldom needed
    import pwd  # noqa: PLC0415 - as above

    try:
        group, user = grp.getgrgid(gid), pwd.getpwuid(os.geteuid())
    except KeyError:
        return False
    return user.pw_gid == gid and user.pw_name == group.gr_name and not group.gr_mem
