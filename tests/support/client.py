"""The plainest client there is: dnspython for one question, and a bare socket to look closely."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import dns.message
import dns.query

if TYPE_CHECKING:
    from support.faulty import FaultyServer

__all__ = ["Client", "query", "tcp", "udp"]


class Client:
    """A UDP socket that shows what comes in, as it comes in."""

    def __init__(self, server: FaultyServer) -> None:
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind(("127.0.0.1", 0))
        self.socket.settimeout(5.0)
        self._to = (server.address, server.port)

    def send(self, message: dns.message.Message) -> bytes:
        """Send a query and return its octets."""
        wire = message.to_wire()
        self.socket.sendto(wire, self._to)
        return wire

    def receive(self) -> tuple[bytes, int]:
        """Return the next datagram and the port it came from."""
        wire, source = self.socket.recvfrom(65535)
        port: int = source[1]
        return wire, port

    def nothing_more(self) -> bool:
        """Tell whether no datagram waits to be read."""
        self.socket.settimeout(0.0)
        try:
            self.socket.recv(65535)
        except BlockingIOError:
            return True
        return False


def query(
    name: str = "mail.example.net", rdtype: str = "A", *, edns: bool = True
) -> dns.message.Message:
    """Return a query, with EDNS and a buffer of 1232 octets or without."""
    return dns.message.make_query(name, rdtype, use_edns=0 if edns else -1, payload=1232)


def udp(server: FaultyServer, message: dns.message.Message) -> dns.message.Message:
    """Ask over UDP and return the reply."""
    return dns.query.udp(message, server.address, 5.0, server.port)


def tcp(server: FaultyServer, message: dns.message.Message) -> dns.message.Message:
    """Ask over TCP and return the reply."""
    return dns.query.tcp(message, server.address, 5.0, server.port)
