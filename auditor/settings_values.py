"""Reads the values of settings: servers, numbers, durations, lists, as files and flags give them.

Each reader takes text or a TOML value and returns what `Settings` holds. It raises ValueError or
TypeError with what was expected, or UsageError with a whole line.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final, NamedTuple

from auditor.errors import UsageError, WireError
from auditor.quoting import printable, quoted

__all__ = [
    "AUTHORITY_MODES",
    "Route",
    "Server",
    "parse_authority",
    "parse_bool",
    "parse_codes",
    "parse_duration",
    "parse_float",
    "parse_int",
    "parse_key_path",
    "parse_path",
    "parse_percent",
    "parse_routes",
    "parse_server",
    "parse_server_list",
    "parse_servers",
    "parse_severities",
    "parse_text",
    "parse_texts",
    "parse_worker_count",
    "parse_zone_names",
    "plain_value",
    "read_toml",
]

#: The values of `--authority`; without a value it is the first.
AUTHORITY_MODES: Final = ("servers", "every")

_PORTS: Final = range(1, 65536)
_MAX_SERVER_FILE_OCTETS: Final = 1 << 20
_MAX_TOML_OCTETS: Final = 1 << 20

_SECONDS_OF_UNIT: Final = {"d": 86_400, "h": 3_600, "m": 60, "s": 1}
_DURATION: Final = r"(?a:(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+(?:\.\d+)?)s?)?)"
_MAX_DURATION_CHARACTERS: Final = 32


class Server(NamedTuple):
    """A name server: an IP address and a port."""

    address: str
    port: int = 53

    def __str__(self) -> str:
        """Return `address:port`, an IPv6 address in brackets."""
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{host}:{self.port}"


class Route(NamedTuple):
    """Which servers are asked for names at or below a zone."""

    zone: str
    servers: tuple[Server, ...]

    def __str__(self) -> str:
        """Return `zone=address:port,...`."""
        return f"{self.zone}={','.join(map(str, self.servers))}"


def parse_routes(value: Any) -> tuple[Route, ...]:
    """Return the routes in texts of the form `ZONE=ADDR[:PORT][,...]`.

    Commas separate the servers of a zone, and those of one zone from the next zone.
    """
    if isinstance(value, tuple) and all(isinstance(item, Route) for item in value):
        return value
    routes: dict[str, list[Server]] = {}
    zone = ""
    for item in filter(str.strip, ",".join(parse_texts(value)).split(",")):
        name, equals, server = item.rpartition("=")
        if equals:
            zone = _zone_name(name)
        if not zone:
            raise ValueError(f"{item!r}: expected ZONE=ADDR[:PORT][,...]")
        routes.setdefault(zone, []).append(parse_server(server))
    return tuple(Route(zone, tuple(servers)) for zone, servers in routes.items())


def parse_zone_names(value: Any) -> tuple[str, ...]:
    """Return names of zones, in lower case and without their final dots."""
    return tuple(_zone_name(text) for text in parse_texts(value))


def _zone_name(text: str) -> str:
    """Return the name of a zone. Raises ValueError if it is invalid."""
    from auditor.wire.names import normalise  # noqa: PLC0415 - for few runs

    try:
        return normalise(text.strip())
    except WireError as error:
        raise ValueError(f"{text!r} is not the name of a zone: {error}") from None


def parse_server_list(value: Any) -> tuple[Server, ...]:
    """Return the servers in one or several texts, each as for `parse_servers`."""
    if isinstance(value, tuple) and all(isinstance(item, Server) for item in value):
        return value
    items = value if isinstance(value, list | tuple) and not isinstance(value, Server) else (value,)
    servers: list[Server] = []
    for item in items:
        servers += (item,) if isinstance(item, Server) else parse_servers(parse_text(item))
    return tuple(servers)


def parse_server(text: str) -> Server:
    """Return the server of `ADDR`, `ADDR:PORT`, `V6` or `[V6]:PORT`.

    Raises UsageError for anything else, even a host name: resolving it would need a resolver.
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


def parse_servers(text: str) -> tuple[Server, ...]:
    """Return the servers in a text: several separated by commas, or those in `@FILE`.

    A file has one a line; `#` begins a comment. Raises UsageError as `parse_server` does, and
    for a file that cannot be read.
    """
    if not text.startswith("@"):
        return tuple(parse_server(part) for part in text.split(",") if part.strip())
    name = text[1:]
    try:
        with open(name, encoding="utf-8", errors="replace") as file:  # noqa: PTH123 - "" is no path
            content = file.read(_MAX_SERVER_FILE_OCTETS + 1)
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"server: {name!r}: cannot be read: {why}") from None
    if len(content) > _MAX_SERVER_FILE_OCTETS:
        raise UsageError(f"server: {name!r}: more than 1 MiB; expected one server a line")
    servers: list[Server] = []
    for number, line in enumerate(content.splitlines(), 1):
        item = line.partition("#")[0].strip()
        if item:
            try:
                servers.append(parse_server(item))
            except UsageError as error:
                raise UsageError(f"{error} ({name!r} line {number})") from None
    if not servers:
        raise UsageError(f"server: {name!r}: has no server in it; expected one a line")
    return tuple(servers)


def _bad_server(text: str) -> UsageError:
    return UsageError(
        f"server {text!r}: expected an address, ADDR:PORT or [V6]:PORT, such as 127.0.0.1:53"
    )


def parse_duration(value: Any) -> float:
    """Return the seconds of `5h30m`, `90s`, `1d` or `90`."""
    if not isinstance(value, str):
        return parse_float(value)
    stripped = value.strip().lower()
    match = re.fullmatch(_DURATION, stripped) if len(stripped) <= _MAX_DURATION_CHARACTERS else None
    if match is None or not any(match.groups()):
        message = f"{quoted(value)} is not a duration; expected one such as 5h30m, 90s or 2d"
        raise ValueError(message)
    parts = zip(match.groups(), _SECONDS_OF_UNIT.values(), strict=True)
    return sum(float(number) * seconds for number, seconds in parts if number)


def parse_texts(value: Any) -> tuple[str, ...]:
    """Return texts: one, or those of a list."""
    if isinstance(value, str):
        return (parse_text(value),)
    if not isinstance(value, list | tuple):
        raise TypeError(f"{value!r} is neither text nor a list of texts")
    return tuple(parse_text(item) for item in value)


def parse_codes(value: Any) -> tuple[str, ...]:
    """Return finding codes or prefixes of codes; commas separate them, too."""
    parts = (part.strip() for text in parse_texts(value) for part in text.split(","))
    return tuple(part for part in parts if part)


def parse_text(value: Any) -> str:
    """Return a text without surrounding white space."""
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is not text")
    return value.strip()


def parse_path(value: Any) -> Path:
    """Return a path that is not empty."""
    text = parse_text(str(value) if isinstance(value, Path) else value)
    if not text:
        raise ValueError("'' is not a path")
    return Path(text)


def parse_key_path(value: Any) -> Path:
    """Return the path of a key file. Raises ValueError for a key, without showing it."""
    from auditor.wire.tsig import read_key  # noqa: PLC0415 - for few runs

    path = parse_path(value)
    if read_key(str(path)) is not None and not path.exists():
        raise ValueError(
            "expected the name of a file that holds the key: other users can see command lines"
        )
    return path


def parse_int(value: Any) -> int:
    """Return a whole number."""
    if isinstance(value, int | str) and not isinstance(value, bool):
        with contextlib.suppress(ValueError):
            return int(value)
    elif isinstance(value, float) and value.is_integer():
        return int(value)
    raise ValueError(f"{value!r} is not a whole number")


def parse_worker_count(value: Any) -> int:
    """Return a number of processes; `auto` is one a core."""
    if isinstance(value, str) and value.strip().lower() == "auto":
        return _cores()
    return parse_int(value)


def _cores() -> int:
    """Return how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def parse_float(value: Any) -> float:
    """Return a number."""
    if isinstance(value, int | float | str) and not isinstance(value, bool):
        with contextlib.suppress(ValueError):
            return float(value)
    raise ValueError(f"{value!r} is not a number")


def parse_percent(value: Any) -> float:
    """Return a number of percent, with or without the sign."""
    return parse_float(value.strip().removesuffix("%") if isinstance(value, str) else value)


def parse_bool(value: Any) -> bool:
    """Return true or false; a text may also be 1, yes, 0 or no."""
    if isinstance(value, bool):
        return value
    known = {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}
    if str(value).lower() in known:
        return known[str(value).lower()]
    raise ValueError(f"{value!r} is neither true nor false")


def parse_authority(value: Any) -> str | None:
    """Return a mode of `--authority`, None for false."""
    text = parse_text(value).lower() if isinstance(value, str) else value
    if text in AUTHORITY_MODES:
        return str(text)
    try:
        return AUTHORITY_MODES[0] if parse_bool(text) else None
    except ValueError:
        known = ", ".join(AUTHORITY_MODES)
        raise ValueError(f"{value!r} is not one of {known}, true or false") from None


def parse_severities(value: Any) -> dict[str, str]:
    """Return severities by finding code: from a table, or from CODE=SEVERITY texts."""
    if isinstance(value, list | tuple):
        pairs = [text.partition("=") for text in parse_codes(value)]
        if not all(equals for _, equals, _ in pairs):
            raise ValueError("expected CODE=SEVERITY, such as PTR_GENERIC=error")
        value = {code.strip(): severity for code, _, severity in pairs}
    if not isinstance(value, Mapping):
        raise TypeError("expected a table of finding codes and severities")
    return {
        parse_text(code).upper(): parse_text(severity).lower() for code, severity in value.items()
    }


def read_toml(path: Path) -> dict[str, Any]:
    """Return the content of a TOML file. Raises UsageError with the name of the file."""
    import tomllib  # noqa: PLC0415 - only if there is a file

    name = printable(str(path))
    try:
        with path.open("rb") as file:
            text = file.read(_MAX_TOML_OCTETS + 1)
        if len(text) > _MAX_TOML_OCTETS:
            raise UsageError(f"{name}: larger than {_MAX_TOML_OCTETS >> 20} MiB")
        return tomllib.loads(text.decode())
    except OSError as error:
        raise UsageError(f"{name}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError:
        raise UsageError(f"{name}: not TOML: not UTF-8 text") from None
    except RecursionError:
        raise UsageError(f"{name}: not TOML: nested too deeply") from None
    except ValueError as error:  # of a name with a NUL and a number of thousands of digits, too
        raise UsageError(f"{name}: not TOML: {error}") from error


def plain_value(value: Any) -> Any:
    """Return a setting as a JSON value."""
    if isinstance(value, Route | Server | Path):
        return str(value)
    if isinstance(value, tuple):
        return [plain_value(item) for item in value]
    return dict(value) if isinstance(value, Mapping) else value
