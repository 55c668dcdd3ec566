"""The harness: plans, gates and chaos of the faulty server, and ports without a server."""

from __future__ import annotations

import socket

import dns.message
import dns.rcode
import pytest
from support import faults
from support.client import Client, query, udp
from support.faults import Gate, answer
from support.faulty import Asked, Chaos, FaultyServer, always, dead_port, first, mute_port, per_name

ZONE = """
mail.example.net.        A     192.0.2.1
www.example.net.         CNAME mail.example.net.
"""


def test_silence_then_an_answer() -> None:
    with FaultyServer(ZONE, first(times=2)) as server:
        client = Client(server)
        with client.socket:
            for _ in range(3):
                client.send(query())
            client.receive()
            server.wait_for(3)
            assert client.nothing_more()


def test_a_plan_by_name_leaves_other_names_alone() -> None:
    plan = per_name({"mail.example.net": [faults.rcode("SERVFAIL")]})
    with FaultyServer(ZONE, plan) as server:
        assert udp(server, query()).rcode() == dns.rcode.SERVFAIL
        assert udp(server, query("www.example.net")).rcode() == dns.rcode.NOERROR


def test_a_reply_waits_for_its_gate() -> None:
    gate = Gate()
    with FaultyServer(ZONE, per_name({"mail.example.net": [faults.delay(gate), answer]})) as server:
        client = Client(server)
        with client.socket:
            late = client.send(query())
            prompt = client.send(query("www.example.net"))
            assert client.receive()[0][:2] == prompt[:2]
            assert client.nothing_more()
            client.socket.settimeout(5.0)
            gate.open()
            assert client.receive()[0][:2] == late[:2]
            client.send(query())
            client.receive()


def test_a_closed_gate_does_not_keep_the_server_from_ending() -> None:
    gate = Gate()
    with FaultyServer(ZONE, always(faults.delay(gate), answer)) as server:
        client = Client(server)
        with client.socket:
            client.send(query())
            server.wait_for(1)
    gate.open()


def test_chaos_depends_on_the_seed_and_the_question_only() -> None:
    asked = [Asked(f"{number}.example.net", "A") for number in range(500)]
    shares = {"lose": 0.2, "repeat": 0.1, "reorder": 0.1, "damage": 0.1, "servfail": 0.1}

    def plan(seed: int) -> list[int]:
        chaos = Chaos(seed, patience=2, **shares)
        assert all(chaos(each, "tcp", 1) == (answer,) for each in asked)
        assert all(chaos(each, "udp", 3) == (answer,) for each in asked)
        return [len(chaos(each, "udp", 1)) for each in asked]

    assert plan(1) == plan(1) != plan(2)
    assert 60 < plan(1).count(0) < 140
    assert 25 < plan(1).count(2) < 80


def test_chaos_damages_replies() -> None:
    with FaultyServer(ZONE, Chaos(7, damage=1.0)) as server:
        client = Client(server)
        with client.socket:
            asked = client.send(query())
            damaged, _ = client.receive()
        right = server.authority.reply(dns.message.from_wire(asked)).to_wire(want_shuffle=False)
    assert len(damaged) == len(right)
    assert sum(one != two for one, two in zip(damaged, right, strict=True)) == 1


def test_an_action_that_raises_fails_the_test() -> None:
    async def broken(_exchange: faults.Exchange) -> None:
        raise RuntimeError("no such action")

    def provoke() -> None:
        with FaultyServer(ZONE, always(broken)) as server:
            client = Client(server)
            with client.socket:
                client.send(query())
                server.wait_for(1)
            _pass_through_the_loop(server)

    with pytest.raises(RuntimeError, match="no such action"):
        provoke()


def _pass_through_the_loop(server: FaultyServer) -> None:
    """Return when the server has done what it was doing: its loop has served a connection."""
    with socket.create_connection((server.address, server.port), 5.0) as connection:
        connection.shutdown(socket.SHUT_WR)
        assert connection.recv(1) == b""


def test_nothing_listens_on_a_dead_port() -> None:
    with dead_port() as port:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(5.0)
            client.connect(("127.0.0.1", port))
            client.send(b"anybody?")
            with pytest.raises(ConnectionRefusedError):
                client.recv(1)
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port))


def test_a_mute_port_takes_everything_and_says_nothing() -> None:
    with mute_port() as port:
        with socket.create_connection(("127.0.0.1", port)) as stream:
            stream.sendall(b"anybody?")
            stream.settimeout(0.0)
            with pytest.raises(BlockingIOError):
                stream.recv(1)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.connect(("127.0.0.1", port))
            client.send(b"anybody?")
            client.send(b"no error?")
