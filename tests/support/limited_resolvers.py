"""Real servers on loopback with limits: resolvers in front of one authority, and NSD with RRL.

    with resolver("dnsmasq", authority_port) as server:
        ask(server.address, server.port)

Each forwards everything to that authority, with the limit that its name in `RESOLVERS` says.
None asks anybody else, validates, or primes itself.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import dns.exception
import dns.message
import dns.query
import pytest

from support.data import installed
from support.processes import Place, Recipe, Server, running
from support.servers import configure_nsd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["RESOLVERS", "Resolver", "rate_limiting_nsd", "resolver", "systemd_resolved"]

_START_SECONDS: Final = 20.0

#: The port of systemd-resolved's stub, in a network namespace of its own.
_STUB_PORT: Final = 5300

_START_RESOLVED: Final = """\
set -e
ip link add uplink type veth peer name far
ip address add 192.0.2.1/24 dev uplink
ip link set uplink up; ip link set far up
mount -t tmpfs none /run
id systemd-resolve > /dev/null 2>&1 || {{
    (cat /etc/passwd; echo 'systemd-resolve:x:992:992::/:/bin/false') > {folder}/passwd
    (cat /etc/group; echo 'systemd-resolve:x:992:') > {folder}/group
    mount --bind {folder}/passwd /etc/passwd
    mount --bind {folder}/group /etc/group
}}
mkdir -p /run/systemd/resolve /run/systemd/resolved.conf.d
chown systemd-resolve:systemd-resolve /run/systemd/resolve
cat > /run/systemd/resolved.conf.d/limits.conf << END
[Resolve]
DNS=127.0.0.1:{authority}
Domains=~.
DNSSEC=no
LLMNR=no
MulticastDNS=no
DNSStubListenerExtra=127.0.0.1:{port}
END
exec {program}
"""

#: Returns the command line, given where the server works and the authority's port.
_Configure = "Callable[[Place, int], list[str]]"


class Resolver(NamedTuple):
    """A kind of resolver, with its limit: so many `at_a_time`, or so many `a_second`."""

    program: str
    package: str
    configure: Callable[[Place, int], list[str]]
    at_a_time: int | None = None
    a_second: int | None = None


def _dnsmasq(place: Place, authority: int, *options: str) -> list[str]:
    return [
        "dnsmasq",
        "--keep-in-foreground",
        "--conf-file=/dev/null",
        f"--port={place.port}",
        "--listen-address=127.0.0.1",
        "--bind-interfaces",
        "--no-resolv",
        "--no-hosts",
        "--user=",
        f"--pid-file={place.folder}/pid",
        f"--server=127.0.0.1#{authority}",
        *options,
    ]


def _bind(place: Place, authority: int, *options: str) -> list[str]:
    path = place.folder / "named.conf"
    path.write_text(
        f"""options {{
  directory "{place.folder}";
  listen-on port {place.port} {{ 127.0.0.1; }};
  listen-on-v6 {{ none; }};
  pid-file none; lock-file none; session-keyfile none;
  recursion yes; notify no; dnssec-validation no; empty-zones-enable no;
  forward only; forwarders {{ 127.0.0.1 port {authority}; }};
  {" ".join(options)}
}};
controls {{ }};
""",
        "utf-8",
    )
    return ["named", "-g", "-c", str(path)]


def _unbound(place: Place, authority: int, *options: str, stub: bool = False) -> list[str]:
    """Configure Unbound; `stub`: to recurse to zones of their own, as of a root's delegations."""
    lines = "".join(f"  {option}\n" for option in options)
    local = "".join(f'  local-zone: "{zone}" transparent\n' for zone in _ZONES)
    kind, zones = ("stub", _ZONES) if stub else ("forward", (".",))
    upstreams = "".join(
        f'{kind}-zone:\n  name: "{zone}"\n  {kind}-addr: 127.0.0.1@{authority}\n' for zone in zones
    )
    path = place.folder / "unbound.conf"
    path.write_text(
        f"""server:
  interface: 127.0.0.1@{place.port}
  outgoing-interface: 127.0.0.1
  num-threads: 1
  username: ""
  chroot: ""
  directory: "{place.folder}"
  pidfile: "{place.folder}/pid"
  use-syslog: no
  logfile: ""
  module-config: "iterator"
  do-not-query-localhost: no
  unblock-lan-zones: yes
  local-zone: "." static
  local-data: ". 3600 IN NS localhost."
{local}{lines}remote-control:
  control-enable: no
{upstreams}""",
        "utf-8",
    )
    return ["unbound", "-d", "-c", str(path)]


def _recursor(place: Place, authority: int, *options: str) -> list[str]:
    text = f"""local-address=127.0.0.1
local-port={place.port}
socket-dir={place.folder}
security-poll-suffix=
daemon=no
threads=1
pdns-distributes-queries=no
dnssec=off
dont-query=
root-nx-trust=no
dont-throttle-netmasks=127.0.0.0/8
forward-zones-recurse=.=127.0.0.1:{authority}
"""
    (place.folder / "recursor.conf").write_text(text + "\n".join(options) + "\n", "utf-8")
    return ["pdns_recursor", f"--config-dir={place.folder}"]


def _kresd(place: Place, authority: int) -> list[str]:
    path = place.folder / "kresd.conf"
    path.write_text(
        f"""net.listen("127.0.0.1", {place.port}, {{ kind = "dns" }})
cache.open(10 * MB, "lmdb://{place.folder}")
modules.unload("ta_update")
modules.unload("ta_signal_query")
modules.unload("priming")
modules.unload("detect_time_skew")
trust_anchors.remove(".")
policy.add(policy.all(policy.STUB("127.0.0.1@{authority}")))
""",
        "utf-8",
    )
    return ["kresd", "--noninteractive", "--config", str(path), str(place.folder)]


#: Zones that the authority may have, for resolvers that must know them.
_ZONES: Final = ("20.in-addr.arpa", "example.net", "isp.net")

RESOLVERS: Final = {
    "dnsmasq": Resolver("dnsmasq", "dnsmasq", _dnsmasq, at_a_time=150),
    "dnsmasq, dns-forward-max 20": Resolver(
        "dnsmasq",
        "dnsmasq",
        lambda place, port: _dnsmasq(place, port, "--dns-forward-max=20"),
        at_a_time=20,
    ),
    "BIND, recursive-clients 100": Resolver(
        "named",
        "bind9",
        lambda place, port: _bind(place, port, "recursive-clients 100;"),
        # From nine tenths on it drops the oldest for each new one.
        at_a_time=90,
    ),
    "BIND, fetches-per-server 50 fail": Resolver(
        "named",
        "bind9",
        lambda place, port: _bind(place, port, "fetches-per-server 50 fail;"),
        at_a_time=50,
    ),
    "BIND, fetches-per-zone 50 fail": Resolver(
        "named",
        "bind9",
        lambda place, port: _bind(place, port, "fetches-per-zone 50 fail;"),
        at_a_time=50,
    ),
    "BIND, fetches-per-zone 50": Resolver(
        "named",
        "bind9",
        lambda place, port: _bind(place, port, "fetches-per-zone 50;"),
        at_a_time=50,
    ),
    "Unbound, ip-ratelimit 500": Resolver(
        "unbound",
        "unbound",
        lambda place, port: _unbound(place, port, "ip-ratelimit: 500"),
        a_second=500,
    ),
    "Unbound, ratelimit 200": Resolver(
        "unbound",
        "unbound",
        # Of what is forwarded, Unbound does not count the queries of a zone.
        lambda place, port: _unbound(place, port, "ratelimit: 200", stub=True),
        a_second=200,
    ),
    "Unbound, num-queries-per-thread 64": Resolver(
        "unbound",
        "unbound",
        lambda place, port: _unbound(place, port, "num-queries-per-thread: 64"),
        at_a_time=64,
    ),
    "PowerDNS Recursor, max-mthreads 64": Resolver(
        "pdns_recursor",
        "pdns-recursor",
        lambda place, port: _recursor(place, port, "max-mthreads=64"),
        at_a_time=64,
    ),
    "BIND": Resolver("named", "bind9", _bind),
    "Unbound": Resolver("unbound", "unbound", _unbound),
    "PowerDNS Recursor": Resolver("pdns_recursor", "pdns-recursor", _recursor),
    "Knot Resolver": Resolver("kresd", "knot-resolver", _kresd),
}


@contextmanager
def resolver(name: str, authority: int) -> Iterator[Server]:
    """Run a resolver until the context is left; skips the test if it is not installed."""
    kind = RESOLVERS[name]
    recipe = Recipe(name, kind.program, kind.package, partial(_configured, kind, authority))
    with (
        tempfile.TemporaryDirectory(prefix="auditor-") as nothing,
        running(recipe, Path(nothing)) as server,
    ):
        _await(server)
        yield server


@contextmanager
def systemd_resolved(namespace: str, authority: int) -> Iterator[int]:
    """Run systemd-resolved in a network namespace; yield the port of its stub.

    Skips the test where it does not start: it wants files and a user of its own, which it gets
    for itself alone.
    """
    program = shutil.which("systemd-resolved", path=f"{os.environ['PATH']}:/lib/systemd")
    if program is None:
        pytest.skip("systemd-resolved is not installed")
    with tempfile.TemporaryDirectory(prefix="auditor-") as folder:
        script = Path(folder, "start")
        script.write_text(
            _START_RESOLVED.format(
                folder=folder, program=program, authority=authority, port=_STUB_PORT
            ),
            "utf-8",
        )
        command = [
            installed("ip", "iproute2"),
            "netns",
            "exec",
            namespace,
            "unshare",
            "-m",
            "sh",
            str(script),
        ]
        with Path(folder, "log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            _await_stub(namespace, process)
            yield _STUB_PORT
        finally:
            process.terminate()
            process.wait()


def _await_stub(namespace: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + _START_SECONDS
    command = [
        installed("ip", "iproute2"),
        "netns",
        "exec",
        namespace,
        "ss",
        "-lunH",
        f"sport = :{_STUB_PORT}",
    ]
    while not subprocess.run(command, check=True, capture_output=True).stdout:
        if process.poll() is not None or time.monotonic() > until:
            pytest.skip("systemd-resolved does not start here")


@contextmanager
def rate_limiting_nsd(zones: Path) -> Iterator[Server]:
    """Run NSD with a folder's zones and a limit of 50 alike responses a second (RRL)."""
    recipe = Recipe("nsd", "nsd", "nsd", _configure_rate_limiting_nsd)
    with running(recipe, zones) as server:
        yield server


def _configure_rate_limiting_nsd(place: Place) -> list[str]:
    command = configure_nsd(place)
    path = place.folder / "nsd.conf"
    text = path.read_text("utf-8")
    path.write_text(text.replace("server:\n", "server:\n  rrl-ratelimit: 50\n", 1), "utf-8")
    return command


def _configured(kind: Resolver, authority: int, place: Place) -> list[str]:
    return kind.configure(place, authority)


def _await(server: Server) -> None:
    """Return when it answers anything at all."""
    until = time.monotonic() + _START_SECONDS
    query = dns.message.make_query("ready.invalid", "A")
    while time.monotonic() < until:
        try:
            dns.query.udp(query, server.address, timeout=0.5, port=server.port)
        except (OSError, dns.exception.DNSException):
            continue
        return
    pytest.fail(f"{server.name} does not answer; its log:\n{server.log}")
