"""The harness: what each fault of the faulty server looks like on the wire."""

from __future__ import annotations

import socket
import struct
from typing import TYPE_CHECKING

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.query
import dns.rcode
import pytest
from support import faults
from support.client import Client, query, tcp, udp
from support.faults import answer
from support.faulty import Asked, FaultyServer, always, per_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from support.faults import Action

ZONE = """
mail.example.net.        A     192.0.2.1
mail.example.net.        A     192.0.2.2
www.example.net.         CNAME mail.example.net.
*.wild.example.net.      TXT   "any"
7.2.0.192.in-addr.arpa.  PTR   mail.example.net.
"""
BIG = "".join(f"big.example.net. TXT {'x' * 200}{number}\n" for number in range(40))


def _raw(action: Action, question: dns.message.Message | None = None) -> tuple[bytes, bytes]:
    """Return the query and what one action makes of it."""
    with FaultyServer(ZONE, always(action)) as server:
        client = Client(server)
        with client.socket:
            asked = client.send(question or query())
            return asked, client.receive()[0]


def _texts(message: dns.message.Message) -> list[str]:
    return sorted(str(rdata) for rrset in message.answer for rdata in rrset)


@pytest.fixture
def sound() -> Iterator[FaultyServer]:
    with FaultyServer(ZONE + BIG) as server:
        yield server


def test_without_a_plan_it_answers_over_udp_and_tcp(sound: FaultyServer) -> None:
    assert _texts(udp(sound, query())) == ["192.0.2.1", "192.0.2.2"]
    assert _texts(tcp(sound, query())) == ["192.0.2.1", "192.0.2.2"]


def test_it_knows_aliases_wildcards_and_what_is_not_there(sound: FaultyServer) -> None:
    assert _texts(udp(sound, query("www.example.net"))) == [
        "192.0.2.1",
        "192.0.2.2",
        "mail.example.net.",
    ]
    assert _texts(udp(sound, query("a.b.wild.example.net", "TXT"))) == ['"any"']
    for name, expected in [
        ("gone.example.net", dns.rcode.NXDOMAIN),
        ("example.net", dns.rcode.NOERROR),  # nothing but names below it
        ("2.0.192.in-addr.arpa", dns.rcode.NOERROR),
    ]:
        reply = udp(sound, query(name))
        assert (reply.rcode(), reply.answer) == (expected, []), name
        assert len(reply.authority) == 1, name


def test_a_folder_of_zone_files_is_served_and_nothing_else(fleet_zones: Path) -> None:
    with FaultyServer(fleet_zones) as server:
        assert _texts(udp(server, query("mx-1.example.net"))) == ["198.51.100.16"]
        assert udp(server, query("mail.example.edu")).rcode() == dns.rcode.REFUSED


def test_a_long_answer_is_truncated_over_udp(sound: FaultyServer) -> None:
    reply = udp(sound, query("big.example.net", "TXT"))
    assert (bool(reply.flags & dns.flags.TC), reply.answer) == (True, [])
    assert len(_texts(tcp(sound, query("big.example.net", "TXT")))) == 40


def test_every_query_is_on_record(sound: FaultyServer) -> None:
    client = Client(sound)
    with client.socket:
        plain = query("MAIL.example.net", edns=False)
        wire = client.send(plain)
        client.receive()
        tcp(sound, query("7.2.0.192.in-addr.arpa", "PTR"))
        sound.wait_for(2)
        one, two = sound.queries
        assert one[:5] == (
            Asked("mail.example.net", "A"),
            "udp",
            client.socket.getsockname()[1],
            plain.id,
            None,
        )
        assert one.wire == wire
    assert (two.asked, two.transport) == (Asked("7.2.0.192.in-addr.arpa", "PTR"), "tcp")
    assert two.payload == 1232
    assert one.at <= two.at


def test_octets_that_are_no_query_are_kept_apart(sound: FaultyServer) -> None:
    with socket.create_connection((sound.address, sound.port)) as connection:
        connection.sendall(b"\0\3abc")
        tcp(sound, query())
    assert (sound.malformed, len(sound.queries)) == ([b"abc"], 1)


def test_several_queries_may_come_over_one_connection(sound: FaultyServer) -> None:
    names = ["mail.example.net", "gone.example.net", "www.example.net"]
    queries = [query(name).to_wire() for name in names]
    with socket.create_connection((sound.address, sound.port), 5.0) as connection:
        connection.sendall(b"".join(struct.pack("!H", len(wire)) + wire for wire in queries))
        replies = [dns.query.receive_tcp(connection, expiration=None)[0] for _ in names]
    assert {reply.id for reply in replies} == {struct.unpack("!H", q[:2])[0] for q in queries}


@pytest.mark.parametrize("name", ["SERVFAIL", "REFUSED", "NOTIMP", "FORMERR"])
def test_an_rcode_and_nothing_else(name: str) -> None:
    with FaultyServer(ZONE, always(faults.rcode(name))) as server:
        reply = udp(server, query())
        assert dns.rcode.to_text(reply.rcode()) == name
        assert reply.answer == []


def test_extended_errors_are_in_the_opt_record() -> None:
    with FaultyServer(ZONE, always(faults.extended_error(22, "no reachable authority"))) as server:
        reply = udp(server, query())
        (option,) = reply.options
        assert isinstance(option, dns.edns.EDEOption)
        assert (reply.rcode(), option.code, option.text) == (2, 22, "no reachable authority")


def test_formerr_to_edns_is_a_bare_header_and_without_edns_an_answer() -> None:
    with FaultyServer(ZONE, always(faults.formerr_to_edns)) as server:
        client = Client(server)
        with client.socket:
            client.send(query())
            wire, _ = client.receive()
        assert (len(wire), wire[3] & 15) == (12, dns.rcode.FORMERR)
        assert len(_texts(udp(server, query(edns=False)))) == 2


def test_edns_can_be_met_with_silence() -> None:
    with FaultyServer(ZONE, always(faults.silent_to_edns)) as server:
        client = Client(server)
        with client.socket:
            client.send(query())
            server.wait_for(1)
            assert len(_texts(udp(server, query(edns=False)))) == 2
            assert client.nothing_more()


@pytest.mark.parametrize(("action", "records"), [("truncate", 0), ("truncate_with_data", 1)])
def test_truncated_over_udp_and_whole_over_tcp(action: str, records: int) -> None:
    with FaultyServer(ZONE, always(getattr(faults, action))) as server:
        reply = udp(server, query())
        assert (bool(reply.flags & dns.flags.TC), len(_texts(reply))) == (True, records)
        reply = tcp(server, query())
        assert (bool(reply.flags & dns.flags.TC), len(_texts(reply))) == (False, 2)


def test_tcp_can_be_refused() -> None:
    with FaultyServer(ZONE, always(faults.truncate), tcp=False) as server:
        assert udp(server, query()).flags & dns.flags.TC
        with pytest.raises(ConnectionRefusedError):
            tcp(server, query())


def test_tcp_can_be_closed_without_a_word() -> None:
    with FaultyServer(ZONE, always(faults.close)) as server, pytest.raises(EOFError):
        tcp(server, query())


def test_tcp_can_hang() -> None:
    wire = query().to_wire()
    with (
        FaultyServer(ZONE, always()) as server,
        socket.create_connection((server.address, server.port)) as connection,
    ):
        connection.sendall(struct.pack("!H", len(wire)) + wire)
        server.wait_for(1)
        connection.settimeout(0.0)
        with pytest.raises(BlockingIOError):
            connection.recv(1)


def test_the_id_can_be_wrong() -> None:
    asked, reply = _raw(faults.wrong_id)
    assert reply[:2] != asked[:2]
    assert reply[12 : len(query(edns=False).to_wire())] in asked


def test_the_question_can_be_another() -> None:
    _, reply = _raw(faults.wrong_question)
    assert dns.message.from_wire(reply).question[0].name == dns.name.from_text("xail.example.net")


def test_the_case_of_the_question_can_change() -> None:
    asked, reply = _raw(faults.case_changed, query("mAil.example.net"))
    assert (asked[13:17], reply[13:17]) == (b"mAil", b"MaIL")
    assert dns.message.from_wire(asked).is_response(dns.message.from_wire(reply))


def test_the_source_port_can_be_wrong() -> None:
    with FaultyServer(ZONE, always(faults.answer_from_another_port)) as server:
        client = Client(server)
        with client.socket:
            asked = client.send(query())
            reply, port = client.receive()
    assert (reply[:2], port != server.port) == (asked[:2], True)


def test_a_reply_can_come_twice() -> None:
    with FaultyServer(ZONE, always(answer, answer)) as server:
        client = Client(server)
        with client.socket:
            client.send(query())
            assert client.receive() == client.receive()


def test_a_reply_can_be_overtaken() -> None:
    plan = per_name({"www.example.net": [faults.hold]})
    with FaultyServer(ZONE, plan) as server:
        client = Client(server)
        with client.socket:
            ids = [client.send(query("www.example.net"))[:2], client.send(query())[:2]]
            assert [client.receive()[0][:2], client.receive()[0][:2]] == ids[::-1]


def test_garbage_is_sent_as_it_is() -> None:
    assert _raw(faults.garbage(b"\xff" * 7))[1] == b"\xff" * 7


@pytest.mark.parametrize("action", [faults.cut(3), faults.compression_loop, faults.wrong_counts])
def test_replies_that_cannot_be_read(action: Action) -> None:
    asked, reply = _raw(action)
    assert reply[:2] == asked[:2]
    with pytest.raises(dns.exception.DNSException):
        dns.message.from_wire(reply)


def test_the_query_can_come_back_as_it_was() -> None:
    asked, reply = _raw(faults.echo)
    assert reply == asked


def test_an_empty_reply_has_no_soa() -> None:
    message = dns.message.from_wire(_raw(faults.empty)[1])
    assert (message.rcode(), message.answer, message.authority) == (0, [], [])


def test_a_referral_has_name_servers_and_no_authority() -> None:
    message = dns.message.from_wire(_raw(faults.referral)[1])
    assert (message.answer, message.flags & dns.flags.AA) == ([], 0)
    assert message.authority[0].to_text() == "example.net. 300 IN NS ns.invalid."


@pytest.mark.parametrize("rdtype", ["A", "PTR", "TXT"])
def test_a_thousand_records_need_tcp(rdtype: str) -> None:
    with FaultyServer(ZONE, always(faults.many(1000))) as server:
        assert udp(server, query(rdtype=rdtype)).flags & dns.flags.TC
        assert len(set(_texts(tcp(server, query(rdtype=rdtype))))) == 1000


def test_an_address_can_be_made_up() -> None:
    with FaultyServer(ZONE, always(faults.invent("192.0.2.99"))) as server:
        assert _texts(udp(server, query("a41d.invalid"))) == ["192.0.2.99"]
