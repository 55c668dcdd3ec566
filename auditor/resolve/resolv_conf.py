"""The system's own name servers (resolv.conf(5)).

A link-local server, as announced by routers, is given with its zone ID (RFC 4007 §11):
`nameserver fe80::1%eth0`. Unusable entries are returned separately.
"""

from __future__ import annotations

import logging
import re
import socket
from ipaddress import ip_address
from pathlib import Path
from typing import Final, NamedTuple

from auditor.errors import NoServerError, UsageError
from auditor.settings_values import Server, parse_server

__all__ = ["SystemServers", "read_system_servers", "system_servers"]

_log = logging.getLogger("auditor")

_PATH: Final = Path("/etc/resolv.conf")

#: Format of a link-local server in c-ares.
_CARES_SCOPE: Final = r"\[([^\]%]+)\]:(\d+)%(\S+)"


class SystemServers(NamedTuple):
    """The servers of a configuration; and unusable entries, each with the reason."""

    servers: tuple[Server, ...]
    unusable: tuple[tuple[str, str], ...] = ()


def read_system_servers(text: str) -> SystemServers:
    """Read the `nameserver` lines of a resolv.conf(5), each server once."""
    servers: dict[Server, None] = {}
    unusable: list[tuple[str, str]] = []
    for line in text.splitlines():
        words = re.split(r"[#;]", line, maxsplit=1)[0].split()
        if words[:1] != ["nameserver"]:
            continue
        entry = words[1] if len(words) > 1 else ""
        try:
            server = Server(str(ip_address(entry)))
        except ValueError:
            unusable.append((ascii(entry)[1:-1], "is no IP address"))
            continue
        if why := _why_unusable(server):
            unusable.append((ascii(entry)[1:-1], why))
        else:
            servers[server] = None
    return SystemServers(tuple(servers), tuple(unusable))


def _why_unusable(server: Server) -> str:
    """Return why a server's address is unusable on this machine, "" if it is usable."""
    address, _, scope = server.address.partition("%")
    if scope:
        if not (scope.isascii() and scope.isprintable()):
            return "names no interface"
        try:
            socket.if_nametoindex(scope)
        except OSError:
            return "names an interface that is not there"
    elif ip_address(address).is_link_local and ":" in address:
        return "is link-local and names no interface: write it as ADDRESS%INTERFACE"
    return ""


def system_servers(*, tell: bool = False) -> tuple[Server, ...]:
    """Return the name servers of the system's configuration.

    `tell`: log unusable entries. Raises NoServerError if there is no usable one.
    """
    try:
        system = read_system_servers(_PATH.read_text("utf-8", "replace"))
    except OSError:
        system = SystemServers(())
    if not system.servers and not system.unusable:
        system = _servers_of_cares()
    if tell:
        for entry, why in system.unusable:
            extra = {"event": "server_left_out", "fields": {"server": entry, "why": why}}
            _log.warning("nameserver %s of %s %s: left out", entry, _PATH, why, extra=extra)
    if not system.servers:
        entries = "".join(f": nameserver {entry} {why}" for entry, why in system.unusable[:1])
        problem = "names no server that can be used" if entries else "names no server"
        raise NoServerError(f"the system's configuration {problem}{entries}: give --server")
    return system.servers


def _servers_of_cares() -> SystemServers:
    """Return the servers that c-ares finds on systems without resolv.conf."""
    import pycares  # noqa: PLC0415 - slow to import, and rarely needed

    try:
        names = pycares.Channel().servers
    except pycares.AresError:
        return SystemServers(())
    servers: list[Server] = []
    unusable: list[tuple[str, str]] = []
    for name in names:
        try:
            servers.append(parse_server(re.sub(_CARES_SCOPE, r"[\1%\3]:\2", name)))
        except UsageError:
            unusable.append((ascii(name)[1:-1], "is no IP address"))
    return SystemServers(tuple(servers), tuple(unusable))
