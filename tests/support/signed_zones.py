"""Signed reverse zones, sound and broken, behind resolvers that validate.

The parent, 51.198.in-addr.arpa, is the trust anchor. Of its children 100 is sound, the
signatures of 101 have expired, the DS record of 102 is that of another key, and the only
server of 103 refuses it. Each has a PTR record for 7.
"""

from __future__ import annotations

import subprocess
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Final, NamedTuple

from support.data import installed
from support.processes import Place, Recipe, Server, running
from support.servers import nsd

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["SignedZones", "signed_zones", "validating_bind", "validating_unbound"]

PARENT: Final = "51.198.in-addr.arpa"
CHILDREN: Final = tuple(f"{number}.{PARENT}" for number in (100, 101, 102, 103))
_EXPIRED: Final = ("-s", "20200101000000", "-e", "20200201000000")
_TOOLS: Final = "bind9-utils"


class SignedZones(NamedTuple):
    """The servers of the parent and of its children, the parent's zone and its DS record."""

    parent: Server
    children: Server
    folder: Path
    anchor: str


def _run(folder: Path, program: str, *arguments: str) -> str:
    command = [installed(program, _TOOLS), *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def _make_key(folder: Path, zone: str) -> str:
    """Make a key of a zone; return its DS record."""
    folder.mkdir(exist_ok=True)
    name = _run(folder, "dnssec-keygen", "-q", "-a", "ECDSAP256SHA256", "-f", "KSK", zone)
    return _run(folder, "dnssec-dsfromkey", "-2", f"{name}.key")


def _sign(keys: Path, path: Path, records: str, *times: str) -> None:
    """Write a signed zone to `<zone>.zone` in a folder."""
    zone = path.name.removesuffix(".zone")
    raw = keys / f"{zone}.raw"
    soa = "@ SOA ns.example. host.example. 1 7200 900 86400 60"
    raw.write_text(f"$TTL 300\n{soa}\n@ NS ns.example.\n{records}")
    _run(keys, "dnssec-signzone", "-S", "-z", "-P", *times, "-o", zone, "-f", str(path), str(raw))


@contextmanager
def signed_zones(folder: Path) -> Iterator[SignedZones]:
    """Sign the zones in a folder and serve them."""
    keys, others = folder / "keys", folder / "others"
    above, below = folder / "parent", folder / "children"
    for each in (above, below):
        each.mkdir()
    delegations = ""
    for zone in CHILDREN:
        delegations += f"{zone}. NS ns.example.\n"
        ds = _make_key(keys, zone)
        if zone == CHILDREN[2]:
            ds = _make_key(others, zone)
        if zone != CHILDREN[3]:
            delegations += f"{ds}\n"
            times = _EXPIRED if zone == CHILDREN[1] else ()
            _sign(keys, below / f"{zone}.zone", "7 PTR mail.example.\n", *times)
    anchor = _make_key(keys, PARENT)
    _sign(keys, above / f"{PARENT}.zone", delegations)
    with ExitStack() as stack:
        parent, children = (stack.enter_context(nsd(zones)) for zones in (above, below))
        yield SignedZones(parent, children, above, anchor)


@contextmanager
def validating_unbound(zones: SignedZones) -> Iterator[Server]:
    """Run Unbound as a validating resolver in front of the zones, and of nothing else."""

    def configure(place: Place) -> list[str]:
        folder = place.folder
        listen = "".join(f"  interface: {a}@{place.port}\n" for a in place.addresses)
        text = f"""server:
{listen}  outgoing-interface: 127.0.0.1
  username: ""
  chroot: ""
  directory: "{folder}"
  pidfile: "{folder}/pid"
  use-syslog: no
  module-config: "validator iterator"
  trust-anchor: "{zones.anchor}"
  ede: yes
  do-not-query-localhost: no
  unblock-lan-zones: yes
  local-zone: "." refuse
  local-zone: "{PARENT}" transparent
remote-control:
  control-enable: no
"""
        text += _forwarded(zones, 'stub-zone:\n  name: "{}"\n  stub-addr: 127.0.0.1@{}\n')
        (folder / "unbound.conf").write_text(text)
        return ["unbound", "-d", "-c", str(folder / "unbound.conf")]

    recipe = Recipe("unbound", "unbound", "unbound", configure)
    with running(recipe, zones.folder) as server:
        yield server


@contextmanager
def validating_bind(zones: SignedZones) -> Iterator[Server]:
    """Run BIND as a validating resolver in front of the zones, and of nothing else."""

    def configure(place: Place) -> list[str]:
        folder = place.folder
        tag, algorithm, kind, *digest = zones.anchor.split()[3:]
        text = f"""options {{
  directory "{folder}";
  listen-on port {place.port} {{ 127.0.0.1; }};
  listen-on-v6 port {place.port} {{ {"::1" if "::1" in place.addresses else "none"}; }};
  pid-file none;
  lock-file none;
  session-keyfile none;
  recursion yes;
  dnssec-validation yes;
  empty-zones-enable no;
  forward only;
  forwarders {{ 127.0.0.1 port {zones.parent.port}; }};
}};
controls {{ }};
trust-anchors {{ "{PARENT}." static-ds {tag} {algorithm} {kind} "{"".join(digest)}"; }};
"""
        text += _forwarded(
            zones,
            'zone "{}" {{ type forward; forward only; forwarders {{ 127.0.0.1 port {}; }}; }};\n',
        )
        (folder / "named.conf").write_text(text)
        return ["named", "-g", "-c", str(folder / "named.conf")]

    recipe = Recipe("bind", "named", "bind9", configure)
    with running(recipe, zones.folder) as server:
        yield server


def _forwarded(zones: SignedZones, line: str) -> str:
    ports = {PARENT: zones.parent.port, **dict.fromkeys(CHILDREN, zones.children.port)}
    return "".join(line.format(zone, port) for zone, port in ports.items())
