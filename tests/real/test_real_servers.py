"""The harness: real servers say of the example fleet what its zone files say."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import dns.rdatatype
import pytest
from support import processes, servers
from support.authority import Authority

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.processes import Server

# What a question about a name that is not there may look like, and one outside of it all.
ABSENT = ["no-such-name", "no-such-name.mx-1", "deep.below.www", "200", "f.f.f"]
ELSEWHERE = [
    "example.edu",
    "mail.example.edu",
    "25.2.0.192.in-addr.arpa",
    "1.0.0.127.in-addr.arpa",
    "8.b.d.0.1.0.0.2.ip6.arpa",
    "localhost",
    "arpa",
]


class ServerAnswers(NamedTuple):
    """A reply without what servers are free to add: RCODE, and the RRset at the name asked."""

    rcode: str
    records: frozenset[str]


def _query(name: dns.name.Name | str, rdtype: str) -> dns.message.Message:
    return dns.message.make_query(name, rdtype, use_edns=0, payload=1232)


def _ask(server: Server, query: dns.message.Message, address: str = "") -> dns.message.Message:
    """Ask over UDP, and over TCP if the reply is truncated or withheld (RRL does both)."""
    where = address or server.address
    try:
        reply = dns.query.udp(query, where, timeout=1.0, port=server.port)
    except dns.exception.Timeout:
        reply = dns.message.make_response(query)
        reply.flags |= dns.flags.TC
    if reply.flags & dns.flags.TC:
        reply = dns.query.tcp(query, where, timeout=5.0, port=server.port)
    return reply


def _said(reply: dns.message.Message) -> ServerAnswers:
    asked = reply.question[0]
    for rdtype in (asked.rdtype, dns.rdatatype.CNAME):
        for rrset in reply.answer:
            if rrset.name == asked.name and rrset.rdtype == rdtype:
                # How far an alias is followed, and so the RCODE, is the server's choice.
                rcode = reply.rcode() if rdtype == asked.rdtype else dns.rcode.NOERROR
                found = frozenset(
                    str(rdata) if rdtype == dns.rdatatype.TXT else str(rdata).lower()
                    for rdata in rrset
                )
                return ServerAnswers(dns.rcode.to_text(rcode), found)
    return ServerAnswers(dns.rcode.to_text(reply.rcode()), frozenset())


def _questions(authority: Authority) -> Iterator[tuple[dns.name.Name, str]]:
    for origin, zone in authority.zones.items():
        for index, (name, node) in enumerate(zone.nodes.items()):
            assert isinstance(name, dns.name.Name)
            for rdataset in node:
                yield name, dns.rdatatype.to_text(rdataset.rdtype)
            # Few names for NODATA and NXDOMAIN each: NSD takes more for an attack.
            if index % 10 == 0:
                yield name, "AAAA"
                yield name.parent(), "MX"
        for label in ABSENT:
            for rdtype in ("PTR", "TXT"):
                yield dns.name.from_text(label, origin), rdtype
    for text in ELSEWHERE:
        for rdtype in ("PTR", "A"):
            yield dns.name.from_text(text), rdtype


@pytest.fixture(scope="module")
def authority(fleet_zones: Path) -> Authority:
    return Authority.of_folder(fleet_zones)


def test_each_server_says_what_the_zone_files_say(
    name_server: Server, authority: Authority
) -> None:
    different = []
    asked = 0
    for name, rdtype in _questions(authority):
        query = _query(name, rdtype)
        expected = _said(authority.reply(query))
        actual = _said(_ask(name_server, query))
        asked += 1
        if expected != actual:
            different.append((str(name), rdtype, expected, actual))
    assert different == []
    assert asked > 600


def test_what_is_outside_of_the_zones_is_refused(name_server: Server) -> None:
    for name in ELSEWHERE:
        assert _ask(name_server, _query(name, "A")).rcode() == dns.rcode.REFUSED, name


@pytest.mark.parametrize(
    ("name", "rdtype", "records"),
    [("spf-tcp.example.net", "TXT", 13), ("43.100.51.198.in-addr.arpa", "PTR", 44)],
)
def test_large_answers_are_truncated_and_whole_over_tcp(
    name_server: Server, name: str, rdtype: str, records: int
) -> None:
    query = _query(name, rdtype)
    where = (name_server.address, 5.0, name_server.port)
    assert dns.query.udp(query, *where).flags & dns.flags.TC
    (rrset,) = dns.query.tcp(query, *where).answer
    assert len(rrset) == records


def test_every_loopback_address_is_served(name_server: Server) -> None:
    assert "127.0.0.1" in name_server.addresses
    for address in name_server.addresses:
        reply = _ask(name_server, _query("mx-1.example.net", "AAAA"), address)
        assert _said(reply).records == {"2001:db8:100:25::1"}


def test_a_paused_server_is_silent_and_a_resumed_one_answers(fleet_zones: Path) -> None:
    query = _query("mx-1.example.net", "A")
    with servers.nsd(fleet_zones) as server:
        server.pause()
        with pytest.raises(dns.exception.Timeout):
            dns.query.udp(query, server.address, timeout=0.2, port=server.port)
        server.resume()
        assert _said(_ask(server, query)).records == {"198.51.100.16"}


def test_a_restarted_server_keeps_its_port_and_reads_the_files_again(tmp_path: Path) -> None:
    zone = tmp_path / "example.net.zone"
    head = "$ORIGIN example.net.\n$TTL 60\n@ SOA ns hostmaster 1 60 60 60 60\n@ NS ns\n"
    zone.write_text(head + "ns A 192.0.2.1\n")
    query = _query("ns.example.net", "A")
    with servers.knot(tmp_path) as server:
        port = server.port
        assert _said(_ask(server, query)).records == {"192.0.2.1"}
        zone.write_text(head + "ns A 192.0.2.2\n")
        server.restart()
        assert server.port == port
        assert _said(_ask(server, query)).records == {"192.0.2.2"}


def test_a_stopped_server_is_gone(fleet_zones: Path) -> None:
    with servers.nsd(fleet_zones) as server:
        server.stop()
        with pytest.raises(ConnectionRefusedError):
            dns.query.tcp(_query("example.net", "SOA"), server.address, 5, server.port)


def test_a_server_that_cannot_load_a_zone_fails_with_its_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(processes, "_START_SECONDS", 0.3)
    (tmp_path / "example.net.zone").write_text("this is no zone file\n")
    with pytest.raises(pytest.fail.Exception, match="no SOA of example"), servers.nsd(tmp_path):
        pass


@pytest.mark.parametrize(
    ("required", "outcome"), [("", pytest.skip.Exception), ("1", pytest.fail.Exception)]
)
def test_a_missing_server_skips_the_test_unless_it_is_required(
    required: str,
    outcome: type[BaseException],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("REQUIRE_SERVERS", required)
    recipe = processes.Recipe("ghost", "no-such-program", "ghost-server", lambda _: [])
    with (
        pytest.raises(outcome, match="apt-get install ghost-server"),
        processes.running(recipe, tmp_path),
    ):
        pass
