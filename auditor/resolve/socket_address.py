"""Socket addresses, with the zone ID of link-local ones (RFC 4007 §11)."""

from __future__ import annotations

import socket

__all__ = ["socket_address"]


def socket_address(address: str, port: int) -> tuple[str, int] | tuple[str, int, int, int]:
    """Return the address tuple for a socket, the zone ID as an interface index.

    Raises OSError if there is no such interface.
    """
    plain, _, scope = address.partition("%")
    if not scope:
        return address, port
    number = int(scope) if scope.isdecimal() else socket.if_nametoindex(scope)
    return plain, port, 0, number
