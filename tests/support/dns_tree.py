"""A tree of real name servers on 127.53.0.0/16, from the root to a customer's zone.

One port for all of them, as in the world; a recursor (BIND) that starts at this root. Each
zone below `198.in-addr.arpa` is the specimen of one fault, or of none.
"""

from __future__ import annotations

import socket
import subprocess
import tempfile
import threading
import time
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rrset

from support.data import installed
from support.processes import Place, claimed_port
from support.servers import configure_knot, configure_nsd

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["RECURSOR", "Tree", "dns_tree"]

ROOT: Final = "127.53.0.1"
REGISTRY: Final = ("127.53.1.1", "127.53.1.2")
#: BIND listens on addresses of interfaces only, so the recursor is a server of the ISP, too.
RECURSOR: Final = "127.0.0.1"
ISP: Final = ("127.53.2.1", "127.53.2.2", RECURSOR, "127.53.2.4")
CUSTOMER: Final = "127.53.3.1"
UPWARD: Final = "127.53.4.1"
WITHOUT_AA: Final = "127.53.4.2"
HIDING: Final = "127.53.4.3"
MUTE: Final = "127.53.4.4"
NOBODY: Final = "127.53.5.1"

_HOSTS: Final = {
    "root": ROOT,
    "r1": REGISTRY[0],
    "r2": REGISTRY[1],
    **dict(zip("abcd", ISP, strict=True)),
    "customer": CUSTOMER,
    "upward": UPWARD,
    "without-aa": WITHOUT_AA,
    "hiding": HIDING,
    "nobody": NOBODY,
}

#: Zones below 51.198.in-addr.arpa: to which servers the registry delegates them.
_DELEGATED: Final = {
    "100": "a b c d",
    "102": "a b",
    "103": "a",
    "104": "a b",
    "105": "a ghost",
    "106": "a b",
    "107": "a b",
    "108": "a b",
    "110": "a upward",
    "111": "a without-aa",
    "112": "a nobody",
}
#: Which servers have them, and what their NS records say.
_SERVED: Final = {
    "100": ("a b c d", "a b c d"),
    "102": ("a b", "a b"),
    "104": ("a", "a b"),
    "105": ("a", "a ghost"),
    "106": ("a b c", "a c"),
    "107": ("a b", "a b"),
    "108": ("a b", "a b"),
    "110": ("a", "a upward"),
    "111": ("a", "a without-aa"),
    "112": ("a", "a nobody"),
}
_SECONDS: Final = 20.0


class Tree(NamedTuple):
    """The running tree: its recursor and the port of all servers."""

    recursor: str
    port: int


def _head(origin: str, servers: str, *, serial: int = 1) -> str:
    names = "".join(f"@ NS {name}.example.\n" for name in servers.split())
    return (
        f"$ORIGIN {origin}\n$TTL 300\n"
        f"@ SOA {servers.partition(' ')[0]}.example. host\\.master.isp.example. "
        f"{serial} 7200 900 86400 60\n{names}"
    )


def _isp_zone(label: str, server: str) -> str:
    _, ns = _SERVED[label]
    serial = 5 if (label, server) == ("107", "b") else 4
    text = _head(f"{label}.51.198.in-addr.arpa.", ns, serial=serial)
    name = "old" if (label, server) == ("108", "b") else "mail"
    text += f"7 PTR {name}{label}.example.\n8 PTR other{label}.example.\n"
    if label == "100":
        text += "0/26 NS customer.example.\n10 CNAME 10.0/26\n70 CNAME 70.64/26\n"
    return text


def _zones() -> dict[str, tuple[str, dict[str, str]]]:
    """Return program and zones of each address."""
    hosts = "".join(f"{name} A {address}\n" for name, address in _HOSTS.items())
    registry = _head("198.in-addr.arpa.", "r1 r2")
    delegations = {
        label: "".join(f"{label}.51 NS {name}.example.\n" for name in names.split())
        for label, names in _DELEGATED.items()
    }
    hiding = "52 NS hiding.example.\n"
    all_of_it = registry + "".join(delegations.values()) + hiding
    partial = all_of_it.replace(delegations["102"], "")
    found = {
        ROOT: (
            "nsd",
            {
                ".": _head(".", "root")
                + "example. NS root.example.\nin-addr.arpa. NS root.example.\n"
                f"root.example. A {ROOT}\n",
                "example": _head("example.", "root") + hosts,
                "in-addr.arpa": _head("in-addr.arpa.", "root")
                + "198 NS r1.example.\n198 NS r2.example.\n",
            },
        ),
        REGISTRY[0]: ("nsd", {"198.in-addr.arpa": all_of_it}),
        REGISTRY[1]: ("knot", {"198.in-addr.arpa": partial}),
        CUSTOMER: (
            "knot",
            {
                "0/26.100.51.198.in-addr.arpa": _head("0/26.100.51.198.in-addr.arpa.", "customer")
                + "10 PTR ten.example.\n"
            },
        ),
    }
    for name, address, program in zip("abcd", ISP, ("nsd", "knot", "bind", "nsd"), strict=True):
        held = {
            f"{label}.51.198.in-addr.arpa": _isp_zone(label, name)
            for label, (servers, _) in _SERVED.items()
            if name in servers.split()
        }
        found[address] = (program, held)
    return found


@contextmanager
def dns_tree() -> Iterator[Tree]:
    """Run the tree, all of it listening, and end it."""
    with ExitStack() as stack:
        port = stack.enter_context(claimed_port())
        top = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="auditor-tree-")))
        waiting = []
        for number, (address, (program, zones)) in enumerate(_zones().items()):
            folder = top / str(number)
            folder.mkdir()
            paths = {}
            for index, (origin, text) in enumerate(zones.items()):
                paths[origin] = folder / f"{index}.zone"
                paths[origin].write_text(text)
            _start(stack, program, Place(folder, port, (address,), paths))
            waiting.append((address, next(iter(zones)), folder / "log"))
        stack.enter_context(_responder(port))
        for address, origin, log in waiting:
            _await(address, port, origin, log)
        yield Tree(f"{RECURSOR}:{port}", port)


def _start(stack: ExitStack, program: str, place: Place) -> None:
    name, package, configure = _PROGRAMS[program]
    installed(name, package)
    _run(stack, configure(place), place.folder)


def _configure_recursor(place: Place) -> list[str]:
    """Write the configuration of a BIND that recurses from the root, and has zones."""
    folder, port = place.folder, place.port
    (folder / "hints").write_text(f". 300 NS root.example.\nroot.example. 300 A {ROOT}\n")
    text = f"""options {{
  directory "{folder}";
  port {port};
  listen-on port {port} {{ {RECURSOR}; }};
  listen-on-v6 {{ none; }};
  pid-file none;
  lock-file none;
  session-keyfile none;
  recursion yes;
  dnssec-validation no;
  empty-zones-enable no;
  qname-minimization off;
  resolver-query-timeout 3000;
  notify no;
}};
controls {{ }};
zone "." {{ type hint; file "{folder}/hints"; }};
"""
    for origin, path in place.zones.items():
        text += f'zone "{origin}" {{ type primary; file "{path}"; }};\n'
    (folder / "named.conf").write_text(text)
    return ["named", "-4", "-g", "-c", str(folder / "named.conf")]


_PROGRAMS: Final[dict[str, tuple[str, str, Callable[[Place], list[str]]]]] = {
    "nsd": ("nsd", "nsd", configure_nsd),
    "knot": ("knotd", "knot", configure_knot),
    "bind": ("named", "bind9", _configure_recursor),
}


def _run(stack: ExitStack, command: list[str], folder: Path) -> None:
    log = stack.enter_context((folder / "log").open("wb"))
    process = subprocess.Popen(
        [installed(command[0], command[0]), *command[1:]],
        cwd=folder,
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
    )
    stack.callback(_end, process)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _await(address: str, port: int, origin: str, log: Path) -> None:
    until = time.monotonic() + _SECONDS
    query = dns.message.make_query(origin, "SOA")
    while time.monotonic() < until:
        with suppress(OSError, EOFError, dns.exception.DNSException):
            if dns.query.udp(query, address, port=port, timeout=0.25).answer:
                return
    raise AssertionError(f"{address} does not answer for {origin}:\n{log.read_text()}")


@contextmanager
def _responder(port: int) -> Iterator[None]:
    """Answer wrongly, as no server program does: in a thread for each address."""
    with ExitStack() as stack:
        threads = []
        for address, reply in (
            (UPWARD, _refer_upward),
            (WITHOUT_AA, _answer_without_aa),
            (HIDING, _hide),
            (MUTE, _answer_soa_only),
        ):
            sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sock.bind((address, port))
            thread = threading.Thread(target=_serve, args=(sock, reply), daemon=True)
            thread.start()
            threads.append((thread, address))
        try:
            yield
        finally:
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stopping:
                for thread, address in threads:
                    stopping.sendto(b"", (address, port))
                    thread.join(_SECONDS)


def _serve(
    sock: socket.socket, reply: Callable[[dns.message.Message, dns.message.Message], bool | None]
) -> None:
    while True:
        data, peer = sock.recvfrom(4096)
        if not data:
            return
        query = dns.message.from_wire(data)
        response = dns.message.make_response(query)
        if reply(query, response) is not False:
            sock.sendto(response.to_wire(), peer)


def _refer_upward(query: dns.message.Message, reply: dns.message.Message) -> None:
    del query
    reply.authority.append(dns.rrset.from_text(".", 300, "IN", "NS", "root.example."))


def _answer_without_aa(query: dns.message.Message, reply: dns.message.Message) -> None:
    """Say what the zone holds: what a recursor makes of it must not depend on whom it asks."""
    (question,) = query.question
    soa = "a.example. host.example. 4 7200 900 86400 60"
    known = {"SOA": soa, "PTR": "mail111.example."}
    kind = dns.rdatatype.to_text(question.rdtype)
    if kind in known:
        reply.answer.append(dns.rrset.from_text(question.name, 300, "IN", kind, known[kind]))


def _answer_soa_only(query: dns.message.Message, reply: dns.message.Message) -> bool:
    """Say nothing to all other questions."""
    if query.question[0].rdtype == dns.rdatatype.SOA:
        _answer_without_aa(query, reply)
    return bool(reply.answer)


_HIDDEN: Final = {
    ("52.198.in-addr.arpa.", "SOA"): "hiding.example. host.example. 1 7200 900 86400 60",
    ("52.198.in-addr.arpa.", "NS"): "hiding.example.",
    ("7.1.52.198.in-addr.arpa.", "PTR"): "seven.example.",
}


def _hide(query: dns.message.Message, reply: dns.message.Message) -> None:
    """Answer for 52.198.in-addr.arpa, and deny the name above its PTR record."""
    (question,) = query.question
    reply.flags |= dns.flags.AA
    kind = dns.rdatatype.to_text(question.rdtype)
    name = question.name.to_text().lower()
    text = _HIDDEN.get((name, kind))
    if text is not None:
        reply.answer.append(dns.rrset.from_text(question.name, 300, "IN", kind, text))
        return
    if not any(name == owner for owner, _ in _HIDDEN):
        reply.set_rcode(dns.rcode.NXDOMAIN)
    soa = _HIDDEN["52.198.in-addr.arpa.", "SOA"]
    reply.authority.append(dns.rrset.from_text("52.198.in-addr.arpa.", 60, "IN", "SOA", soa))
