"""The settings of a run: one frozen, validated object.

Made from a TOML file, `AUDITOR_*` variables and flags, later ones winning (`load`), or
directly by a program that uses the library. Whatever is wrong raises `UsageError` with one
line that names the setting, its value and what was expected.
"""

from __future__ import annotations

import contextlib
import difflib
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, NamedTuple

from auditor.errors import UsageError

__all__ = ["Server", "Settings", "load", "parse_server", "read_config"]

ENGINES: Final = ("bulk", "cares")
#: Batched datagrams need a loop that can wait for any socket: not on Windows.
DEFAULT_ENGINE: Final = "cares" if sys.platform == "win32" else "bulk"
FAIL_ON: Final = ("error", "warning", "never")
_PORTS: Final = range(1, 65536)


class Server(NamedTuple):
    """A name server: an IP address and a port."""

    address: str
    port: int = 53

    def __str__(self) -> str:
        """Return `address:port`, an IPv6 address in brackets."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


def parse_server(text: str) -> Server:
    """Return the server that `ADDR`, `ADDR:PORT`, `V6` or `[V6]:PORT` names.

    Raises UsageError for anything else, a host name included: resolving the resolver's
    own name would need a resolver.
    """
    host, port = text.strip(), "53"
    if host.startswith("["):
        host, bracket, rest = host[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            raise _bad_server(text)
        port = rest[1:] if rest else port
    elif host.count(":") == 1:
        host, _, port = host.partition(":")
    try:
        address = str(ip_address(host))
    except ValueError:
        raise _bad_server(text) from None
    if not (port.isascii() and port.isdigit() and len(port) <= 5 and int(port) in _PORTS):  # noqa: PLR2004 - digits
        raise _bad_server(text)
    return Server(address, int(port))


def _bad_server(text: str) -> UsageError:
    return UsageError(
        f"server {text!r}: expected an address, ADDR:PORT or [V6]:PORT, such as 127.0.0.1:53"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Everything that decides what a run does.

    `servers`: name servers; empty for the system's own. `zones`: a folder of zone files to
    answer from instead. `concurrency`: queries in flight at most, None for the engine's own
    choice; `qps`, `server_qps`: queries a second at most, in all and to one server, None for no
    limit; `server_check`: whether servers are tried out first; `timeout`: seconds for one
    try; `tries`: queries for one question at most; `cache_size`: answers kept at most.
    `helo`, `mail_from`: SPF identities for every IP target; `spf`: whether SPF is checked.
    `severities`: finding codes to severities; `select`, `ignore`: codes or their beginnings.
    """

    servers: tuple[Server, ...] = ()
    zones: Path | None = None
    engine: str = DEFAULT_ENGINE
    concurrency: int | None = None
    qps: float | None = None
    server_qps: float | None = None
    server_check: bool = True
    timeout: float = 2.0
    tries: int = 5
    cache_size: int = 65_536
    helo: str | None = None
    mail_from: tuple[str, ...] = ()
    spf: bool = True
    trace: bool = False
    fail_on: str = "never"
    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()
    severities: Mapping[str, str] = field(default_factory=dict)
    max_targets: int = 16_777_216

    def __post_init__(self) -> None:
        """Check what no type can say."""
        if self.zones is not None and self.servers:
            raise UsageError("zones: answers come from files or from servers, not from both")
        _one_of("engine", self.engine, ENGINES)
        _one_of("fail-on", self.fail_on, FAIL_ON)
        _within("concurrency", self.concurrency, 1, 1_000_000)
        _within("qps", self.qps, 0.1, 10_000_000)
        _within("server-qps", self.server_qps, 0.1, 10_000_000)
        _within("timeout", self.timeout, 0.05, 60)
        _within("tries", self.tries, 1, 20)
        _within("cache-size", self.cache_size, 0, 100_000_000)
        _within("max-targets", self.max_targets, 1, 1 << 40)


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(f"{name}: {value!r} is not one of {', '.join(choices)}")


def _within(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise UsageError(f"{name}: {value} is not within {low:,} and {high:,}")


def read_config(path: Path) -> dict[str, Any]:
    """Return the settings of a TOML file, by the names of the flags.

    Raises UsageError for a file that cannot be read, is not TOML, or has an unknown key.
    """
    try:
        table = tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: not TOML: {error}") from error
    for key in table:
        if key not in _CONVERTERS:
            raise UsageError(f"{path}: unknown setting {key!r}{_suggestion(key)}")
    return table


def _suggestion(key: str) -> str:
    near = difflib.get_close_matches(key, _CONVERTERS, n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def load(config: Path | None, environ: Mapping[str, str], flags: Mapping[str, Any]) -> Settings:
    """Join a TOML file, `AUDITOR_*` variables and flags; later ones win.

    `flags` holds what was given on the command line, by the names of the flags without
    dashes in front (`cache-size`). Raises UsageError.
    """
    values: dict[str, Any] = {}
    sources = [(str(config), read_config(config))] if config is not None else []
    sources += [("environment", _environment(environ)), ("command line", dict(flags))]
    for source, table in sources:
        # Whoever names where answers come from replaces what an earlier source has named.
        if "server" in table or "zones" in table:
            values.pop("server", None)
            values.pop("zones", None)
        for key, value in table.items():
            try:
                values[key.replace("-", "_")] = _CONVERTERS[key](value)
            except (TypeError, ValueError, OverflowError) as error:
                raise UsageError(f"{source}: {key}: {error}") from error
    values["servers"] = values.pop("server", ())
    return Settings(**values)


def _environment(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in _CONVERTERS:
        value = environ.get("AUDITOR_" + key.replace("-", "_").upper())
        # An empty variable is one that somebody means to unset.
        if value and key != "severities":
            found[key] = value.split(",") if key in _LISTS else value
    return found


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        return (_text(value),)
    if not isinstance(value, list | tuple):
        raise TypeError(f"{value!r} is neither text nor a list of texts")
    return tuple(_text(item) for item in value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value.strip()


def _whole(value: Any) -> int:
    if isinstance(value, int | str) and not isinstance(value, bool):
        with contextlib.suppress(ValueError):
            return int(value)
    elif isinstance(value, float) and value.is_integer():
        return int(value)
    raise ValueError(f"{value!r} is not a whole number")


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
    if not isinstance(value, Mapping):
        raise TypeError("expected a table of finding codes and severities")
    return {_text(code).upper(): _text(severity).lower() for code, severity in value.items()}


_LISTS: Final = frozenset({"server", "mail-from", "select", "ignore"})
_CONVERTERS: Final = {
    "server": lambda value: tuple(parse_server(text) for text in _texts(value)),
    "zones": lambda value: Path(_text(str(value))),
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
    "select": _texts,
    "ignore": _texts,
    "severities": _table,
    "max-targets": _whole,
}
