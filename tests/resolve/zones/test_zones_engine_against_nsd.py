"""The `zones` engine against NSD with the same master files, question by question."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import time
from typing import TYPE_CHECKING, NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdata
import dns.rdatatype
import pytest
from support.data import installed

from auditor.resolve.answer import MAX_CHAIN, Question, Soa
from auditor.resolve.zones.engine import ZoneFileEngine
from auditor.wire import codes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from auditor.resolve.answer import Rdata

pytestmark = pytest.mark.process

_HEAD = """
$ORIGIN {}.
$TTL 300
@ 600 SOA ns.example. host.example. 1 3600 600 86400 60
@ NS ns.example.
"""
_ZONES = {
    "example": """
ns A 192.0.2.1
@ TXT "one" "two"
@ MX 20 Mail.Example.
@ MX 10 mail.example.
*  TXT "this is a wildcard"
* MX 10 host1.example.
sub.* TXT "this is not a wildcard"
host1 A 192.0.2.2
_ssh._tcp.host1 SRV 0 0 22 host1
_ssh._tcp.host2 SRV 0 0 22 host2
subdel NS ns.example.com.
subdel NS ns.subdel
ns.subdel A 192.0.2.3
deep.below.subdel TXT "occluded"
child NS ns.child
ns.child A 192.0.2.4
child TXT "occluded: the child answers"
a.b.c.ent TXT "at the end of empty non-terminals"
*.wild A 192.0.2.5
*.wild AAAA 2001:db8::0:5
there.wild TXT "blocks the wildcard"
a.ent.wild TXT "so does its parent"
*.walias CNAME host1
*.wout CNAME www.elsewhere.test.
*.x.*.twice TXT "asterisks in the middle"
alias CNAME host1
alias2 CNAME alias
nowhere CNAME nothing.host1
nodata CNAME ent
intowild CNAME q.wild
todeleg CNAME www.subdel
tochild CNAME www.child
tocousin CNAME www.other.test.
out CNAME www.elsewhere.test.
loop1 CNAME loop2
loop2 CNAME loop1
self CNAME self
moved DNAME other.test.
moved TXT "a DNAME leaves its owner alone"
gone DNAME elsewhere.test.
round DNAME round
deepround DNAME x.deepround
intomoved CNAME www.moved
dotted\\.label TXT "a dot in a label"
*.sp\\032ace A 192.0.2.6
back\\\\slash PTR UPPER.Case.Example.
odd TYPE65280 \\# 3 010203
ttl1 60 A 192.0.2.9
ttl2 30 CNAME ttl1
""",
    "child.example": """
@ TXT "from the child"
ns A 192.0.2.4
www A 192.0.2.7
back CNAME alias.example.
*.w CNAME www
grand NS ns.grand
ns.grand A 192.0.2.8
""",
    "other.test": """
@ A 192.0.2.20
www A 192.0.2.21
www TXT "over there"
again CNAME tocousin.example.
*.w TXT "wild over there"
cut NS ns.elsewhere.test.
""",
    "2.0.192.in-addr.arpa": """
1 PTR ns.example.
2 PTR host1.example.
2 PTR b.example.
0/26 NS ns.example.
64-127 NS ns.elsewhere.test.
3 CNAME 3.0/26
4 CNAME 4.0/26
70 CNAME 70.64-127
80 CNAME 80.80.customer.test.
""",
    "0/26.2.0.192.in-addr.arpa": """
3 PTR three.example.
""",
}
_TYPES = (
    codes.A,
    codes.AAAA,
    codes.CNAME,
    codes.DNAME,
    codes.MX,
    codes.NS,
    codes.PTR,
    codes.SOA,
    codes.TXT,
    65280,
)


_CONFIG = """
server:
  ip-address: 127.0.0.1@{port}
  port: {port}
  username: ""
  database: ""
  pidfile: ""
  zonesdir: "{folder}"
  zonelistfile: "{folder}/zone.list"
  xfrdfile: "{folder}/xfrd.state"
  xfrdir: "{folder}"
  logfile: "{folder}/nsd.log"
  rrl-ratelimit: 0
remote-control:
  control-enable: no
"""


class _Said(NamedTuple):
    """What was said about a question, without where it came from."""

    status: str
    records: tuple[Rdata, ...] = ()
    chain: tuple[str, ...] = ()
    canonical: str = ""
    ttl: int | None = None


def _ask(port: int, question: Question, timeout: float = 5.0) -> dns.message.Message:
    query = dns.message.make_query(
        question.name.removesuffix(".") + ".",
        dns.rdatatype.RdataType.make(question.rdtype),
        payload=4096,
    )
    query.flags &= ~dns.flags.RD
    return dns.query.udp(query, "127.0.0.1", timeout, port, raise_on_truncation=True)


def _text(name: dns.name.Name) -> str:
    return name.to_text(omit_final_dot=True).lower()


def _shaped(rdata: dns.rdata.Rdata) -> Rdata:
    """Return RDATA as `Rdata`, read off dnspython's presentation form where that will do."""
    if rdata.rdtype in {codes.CNAME, codes.DNAME, codes.NS, codes.PTR}:
        return rdata.to_text().removesuffix(".").lower()
    if rdata.rdtype in {codes.A, codes.AAAA}:
        return rdata.to_text()
    words = rdata.to_text().split()
    if rdata.rdtype == codes.MX:
        return int(words[0]), words[1].removesuffix(".").lower()
    if rdata.rdtype == codes.SOA:
        mname, rname = (word.removesuffix(".").lower() for word in words[:2])
        return Soa(mname, rname, *map(int, words[2:]))
    if rdata.rdtype == codes.TXT:
        return tuple(word.encode() for word in rdata.to_text().strip('"').split('" "'))
    return rdata.to_wire() or b""


def _read(question: Question, reply: dns.message.Message) -> _Said:
    """Return what one reply says; NOERROR without records means that it stops at an alias."""
    if reply.rcode() == dns.rcode.REFUSED:
        return _Said(codes.REFUSED)
    answers = {(_text(rrset.name), int(rrset.rdtype)): rrset for rrset in reply.answer}
    name = question.name
    chain: list[str] = []
    ttls: list[int] = []
    while question not in answers and (name, codes.CNAME) in answers and name not in chain:
        chain.append(name)
        alias = answers[name, codes.CNAME]
        ttls.append(alias.ttl)
        name = str(_shaped(alias[0]))
        question = Question(name, question.rdtype)
    canonical = name if chain else ""
    if question in answers:
        rrset = answers[question]
        records = tuple(sorted(map(_shaped, rrset)))
        return _Said(codes.NOERROR, records, tuple(chain), canonical, min([*ttls, rrset.ttl]))
    authority = {rrset.rdtype: rrset for rrset in reply.authority}
    soa = authority.get(dns.rdatatype.SOA)
    if soa is not None:
        status = codes.NXDOMAIN if reply.rcode() == dns.rcode.NXDOMAIN else codes.NODATA
        ttl = min([*ttls, soa.ttl, soa[0].minimum])
        return _Said(status, (), tuple(chain), canonical, ttl)
    if dns.rdatatype.NS in authority:
        return _Said(codes.SERVFAIL, (), tuple(chain), canonical)
    assert chain, f"a reply that says nothing: {reply}"
    return _Said(codes.NOERROR, (), tuple(chain), canonical, min(ttls))


def _to_the_end(ask: Callable[[Question], _Said], question: Question) -> _Said:
    """Ask on wherever an alias was left open."""
    said = ask(question)
    while said.status == codes.NOERROR and not said.records:
        ttl = said.ttl
        if len(said.chain) > MAX_CHAIN or said.canonical in said.chain:
            return _Said(codes.SERVFAIL, (), said.chain[:MAX_CHAIN])
        on = ask(Question(said.canonical, question.rdtype))
        ttls = [each for each in (ttl, on.ttl) if each is not None]
        said = on._replace(
            chain=said.chain + on.chain,
            canonical=on.canonical or said.canonical,
            ttl=None if on.ttl is None else min(ttls),
        )
    if said.status == codes.SERVFAIL:
        # How far one looks before giving up is a matter of taste.
        return said._replace(chain=said.chain[:MAX_CHAIN], canonical="")
    return said


def _questions() -> Iterator[Question]:
    """Yield every owner name, names around it, and names outside, with every type."""
    names = {".", "test", "elsewhere.test", "www.elsewhere.test", "arpa", "0.192.in-addr.arpa"}
    for zone, text in _ZONES.items():
        names |= {zone, f"missing.{zone}", f"a.missing.{zone}"}
        for line in text.split("\n"):
            if line and not line.startswith("@"):
                owner = line.split()[0]
                names |= {f"{owner}.{zone}", f"x.{owner}.{zone}", f"x.y.{owner}.{zone}"}
                names |= {f"*.{owner}.{zone}", f"{owner.partition('.')[2] or 'q'}.{zone}"}
    return (Question(name, rdtype) for name in sorted(names) for rdtype in _TYPES)


@pytest.fixture(scope="module")
def nsd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[int, Path]]:
    """Start NSD on loopback; the port, and the folder of its zones."""
    program = installed("nsd", "nsd")
    folder = tmp_path_factory.mktemp("nsd")
    zones = ""
    for number, (zone, text) in enumerate(_ZONES.items()):
        (folder / f"{number}.zone").write_text(_HEAD.format(zone) + text)
        zones += f'zone:\n  name: "{zone}"\n  zonefile: "{number}.zone"\n'
    # Another test may take the port before NSD does: then with another one.
    for _ in range(5):
        port = _free_port()
        (folder / "nsd.conf").write_text(_CONFIG.format(port=port, folder=folder) + zones)
        with subprocess.Popen([program, "-d", "-c", str(folder / "nsd.conf")]) as process:
            try:
                if _answers(process, port):
                    yield port, folder
                    return
            finally:
                process.terminate()
    log = folder / "nsd.log"
    pytest.fail(f"NSD does not answer: {log.read_text() if log.exists() else 'no log'}")


def _free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _answers(process: subprocess.Popen[bytes], port: int) -> bool:
    """Wait until NSD answers; False if it has ended instead."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        try:
            _ask(port, Question("example", codes.SOA), timeout=0.1)
        except dns.exception.Timeout:
            continue
        return True
    return False


def test_every_answer_is_what_nsd_gives(nsd: tuple[int, Path]) -> None:
    port, folder = nsd
    engine = ZoneFileEngine(folder)
    asyncio.run(engine.start())

    def ours(question: Question) -> _Said:
        return _Said(*engine.answer(question)[:5])

    def theirs(question: Question) -> _Said:
        return _read(question, _ask(port, question))

    differences = []
    statuses = set()
    for question in _questions():
        expected = _to_the_end(theirs, question)
        actual = _to_the_end(ours, question)
        statuses.add(expected.status)
        if expected != actual:
            differences.append(f"{question}\n  NSD  {expected}\n  zones {actual}")
    assert not differences, "\n".join(differences)
    # The questions reach every branch.
    assert statuses == {
        codes.NOERROR,
        codes.NODATA,
        codes.NXDOMAIN,
        codes.SERVFAIL,
        codes.REFUSED,
    }
