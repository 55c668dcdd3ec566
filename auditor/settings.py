"""The settings of a run: one frozen, validated object.

Made from files, `AUDITOR_*` variables and flags (`configuration`), or directly by a program
that uses the library. Whatever is wrong raises `UsageError` with one line that names the
setting, its value and what was expected.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.errors import TargetError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

__all__ = ["Server", "Settings", "parse_server"]

ENGINES: Final = ("bulk", "cares")
#: Batched datagrams need a loop that can wait for any socket: not on Windows.
DEFAULT_ENGINE: Final = "cares" if sys.platform == "win32" else "bulk"
FAIL_ON: Final = ("error", "warning", "never")
LOG_FORMATS: Final = ("text", "json")
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
    `helo`, `mail_from`: SPF identities for every IP target, kept in lower-case A-labels;
    `spf`: whether SPF is checked. `severities`: finding codes to severities; `select`,
    `ignore`: codes or their beginnings.

    Of the command line only: `deadline`: seconds after which a scan stops, None for never;
    `quiet`, `log_format`: what it says on standard error; `metrics`: the file for Prometheus;
    `workers`: processes; `scheduler`: the cluster that takes their place.
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
    deadline: float | None = None
    quiet: bool = False
    log_format: str = "text"
    metrics: Path | None = None
    workers: int = 1
    scheduler: str | None = None

    def __post_init__(self) -> None:
        """Check what no type can say."""
        if self.zones is not None and self.servers:
            raise UsageError("zones: answers come from files or from servers, not from both")
        _one_of("engine", self.engine, ENGINES)
        if self.scheduler is not None and self.workers != 1:
            raise UsageError("workers: processes of this machine or a scheduler's, not both")
        _one_of("fail-on", self.fail_on, FAIL_ON)
        _one_of("log-format", self.log_format, LOG_FORMATS)
        _within("concurrency", self.concurrency, 1, 1_000_000)
        _within("qps", self.qps, 0.1, 10_000_000)
        _within("server-qps", self.server_qps, 0.1, 10_000_000)
        _within("timeout", self.timeout, 0.05, 60)
        _within("tries", self.tries, 1, 20)
        _within("cache-size", self.cache_size, 0, 100_000_000)
        _within("max-targets", self.max_targets, 1, 1 << 40)
        _within("deadline", self.deadline, 1, 10_000_000)
        _within("workers", self.workers, 1, 1024)
        self._check_identities()

    def _check_identities(self) -> None:
        """Put the SPF identities into lower-case A-labels, in which they are compared."""
        if self.helo is None and not self.mail_from:
            return
        # For the few who give identities: `import auditor` need not wait for it.
        from auditor.targets.domains import parse_helo, parse_mail_from  # noqa: PLC0415 - see above

        try:
            helo = None if self.helo is None else parse_helo(self.helo)
            mail_from = tuple(parse_mail_from(sender) for sender in self.mail_from)
        except TargetError as error:
            raise UsageError(str(error).replace("mail_from", "mail-from", 1)) from None
        # The one way to set what a frozen object derives from its own values.
        object.__setattr__(self, "helo", helo)
        object.__setattr__(self, "mail_from", mail_from)


def _one_of(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(f"{name}: {value!r} is not one of {', '.join(choices)}")


def _within(name: str, value: float | None, low: float, high: float) -> None:
    if value is not None and not low <= value <= high:
        raise UsageError(f"{name}: {value} is not within {low:,} and {high:,}")
