"""Real name servers on loopback, from a folder of zone files.

    with nsd(zones) as server:
        ask(server.address, server.port)

`nsd`, `knot`, `bind` and `powerdns` are authoritative for every `<origin>.zone` of the
folder and refuse everything else; `unbound` recurses for those origins to a server that is
running already. They run as Debian ships them (rate limits, buffer sizes, minimal answers),
except for what a test needs: a free port on 127.0.0.1 and, where there is one, ::1; no
recursion, NOTIFY, priming or version check, so that nothing leaves the machine; and all
files in a temporary folder. They listen when the context is entered, and are gone,
with that folder, when it is left. How each is configured stands here, how a program is kept
running in `processes`.

A program that is not installed skips the test, or fails it if `REQUIRE_SERVERS=1`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from support.processes import Place, Recipe, Server, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = [
    "Server",
    "bind",
    "configure_knot",
    "configure_nsd",
    "knot",
    "nsd",
    "powerdns",
    "unbound",
]


def _write(place: Place, name: str, text: str) -> str:
    path = place.folder / name
    path.write_text(text, "utf-8")
    return str(path)


def configure_nsd(place: Place) -> list[str]:
    """Write the configuration of NSD; return its command line."""
    folder = place.folder
    listen = "".join(f"  ip-address: {a}@{place.port}\n" for a in place.addresses)
    text = f"""server:
{listen}  username: ""
  chroot: ""
  database: ""
  zonesdir: "{folder}"
  pidfile: "{folder}/pid"
  xfrdfile: "{folder}/xfrd.state"
  xfrdir: "{folder}"
  zonelistfile: "{folder}/zone.list"
  cookie-secret-file: ""
remote-control:
  control-enable: no
"""
    for origin, path in place.zones.items():
        text += f'zone:\n  name: "{origin}"\n  zonefile: "{path}"\n'
    return ["nsd", "-d", "-c", _write(place, "nsd.conf", text)]


def configure_knot(place: Place) -> list[str]:
    """Write the configuration of Knot DNS; return its command line."""
    folder = place.folder
    listen = ", ".join(f'"{address}@{place.port}"' for address in place.addresses)
    text = f"""server:
  rundir: "{folder}"
  listen: [{listen}]
control:
  listen: "{folder}/control"
log:
  - target: stderr
    any: info
database:
  storage: "{folder}"
template:
  - id: default
    storage: "{folder}"
    zonefile-sync: -1
    zonefile-load: whole
    journal-content: none
zone:
"""
    for origin, path in place.zones.items():
        text += f'  - domain: "{origin}"\n    file: "{path}"\n'
    return ["knotd", "-c", _write(place, "knot.conf", text)]


def _configure_bind(place: Place) -> list[str]:
    v6 = "::1;" if "::1" in place.addresses else "none;"
    text = f"""options {{
  directory "{place.folder}";
  listen-on port {place.port} {{ 127.0.0.1; }};
  listen-on-v6 port {place.port} {{ {v6} }};
  pid-file none;
  lock-file none;
  session-keyfile none;
  recursion no;
  notify no;
  dnssec-validation no;
  check-names primary ignore;
}};
controls {{ }};
"""
    for origin, path in place.zones.items():
        text += f'zone "{origin}" {{ type primary; file "{path}"; }};\n'
    return ["named", "-g", "-c", _write(place, "named.conf", text)]


def _configure_powerdns(place: Place) -> list[str]:
    zones = "".join(
        f'zone "{origin}" {{ type native; file "{path}"; }};\n'
        for origin, path in place.zones.items()
    )
    text = f"""launch=bind
bind-config={_write(place, "zones.conf", zones)}
local-address={",".join(place.addresses)}
local-port={place.port}
socket-dir={place.folder}
security-poll-suffix=
daemon=no
guardian=no
"""
    _write(place, "pdns.conf", text)
    return ["pdns_server", f"--config-dir={place.folder}"]


def _configure_unbound(place: Place, upstream_port: int) -> list[str]:
    folder = place.folder
    listen = "".join(f"  interface: {a}@{place.port}\n" for a in place.addresses)
    # Outside of the zones nothing is asked: were something to slip through, it could not
    # leave a socket that is bound to loopback.
    text = f"""server:
{listen}  outgoing-interface: 127.0.0.1
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: "{folder}/pid"
  use-syslog: no
  logfile: ""
  module-config: "iterator"
  do-not-query-localhost: no
  unblock-lan-zones: yes
  local-zone: "." refuse
  local-zone: "localhost" refuse
  local-zone: "127.in-addr.arpa" refuse
  local-zone: "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa" refuse
"""
    text += "".join(f'  local-zone: "{origin}" transparent\n' for origin in place.zones)
    text += "remote-control:\n  control-enable: no\n"
    for origin in place.zones:
        text += f'stub-zone:\n  name: "{origin}"\n  stub-addr: 127.0.0.1@{upstream_port}\n'
    return ["unbound", "-d", "-c", _write(place, "unbound.conf", text)]


@contextmanager
def nsd(zones: Path) -> Iterator[Server]:
    """Run NSD with the zone files of a folder."""
    with running(Recipe("nsd", "nsd", "nsd", configure_nsd), zones) as server:
        yield server


@contextmanager
def knot(zones: Path) -> Iterator[Server]:
    """Run Knot DNS with the zone files of a folder."""
    with running(Recipe("knot", "knotd", "knot", configure_knot), zones) as server:
        yield server


@contextmanager
def bind(zones: Path) -> Iterator[Server]:
    """Run BIND with the zone files of a folder."""
    with running(Recipe("bind", "named", "bind9", _configure_bind), zones) as server:
        yield server


@contextmanager
def powerdns(zones: Path) -> Iterator[Server]:
    """Run PowerDNS (the authoritative server, its bind backend) with a folder's zone files."""
    packages = "pdns-server pdns-backend-bind"
    recipe = Recipe("powerdns", "pdns_server", packages, _configure_powerdns)
    with running(recipe, zones) as server:
        yield server


@contextmanager
def unbound(upstream_port: int, zones: Path) -> Iterator[Server]:
    """Run Unbound as the recursor in front of the server of `zones` on 127.0.0.1."""

    def configure(place: Place) -> list[str]:
        return _configure_unbound(place, upstream_port)

    with running(Recipe("unbound", "unbound", "unbound", configure), zones) as server:
        yield server
