"""UDP sockets that send and receive in batches: the protocol, and the portable implementation.

`LoopDatagrams` works everywhere, `BatchDatagrams` (in `mmsg`) needs Linux; both pass the same
tests. No event loop in here: the owner of the socket waits for it to be readable, and sends
packets again that the kernel did not accept.
"""

from __future__ import annotations

import errno
import socket
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol

from auditor.resolve.socket_address import socket_address

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "BATCH",
    "ICMP_ERRORS",
    "NO_ROOM_ERRORS",
    "SLOT_OCTETS",
    "Datagrams",
    "LoopDatagrams",
    "Sent",
    "open_socket",
    "packed",
]

#: Most datagrams in one system call.
BATCH: Final = 256

#: Octets kept of one datagram: more than any reply to EDNS 1232 has. A datagram of this length
#: may have been cut.
SLOT_OCTETS: Final = 2048

#: Room for a burst of replies while Python is busy; the kernel may grant less.
_RECEIVE_BUFFER_OCTETS: Final = 4 << 20

#: Errors of a full send buffer: the same packet may be sent later.
NO_ROOM_ERRORS: Final = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.ENOMEM})

#: ICMP errors of earlier packets. The kernel reports each once, on the next call, which then has
#: no effect.
ICMP_ERRORS: Final = frozenset(
    {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN}
)

#: Errors of a packet dropped by the packet filter of this machine.
_FILTER_ERRORS: Final = frozenset({errno.EPERM, errno.EACCES})


class Sent(NamedTuple):
    """The result of sending a batch: the kernel accepted the first `taken` packets.

    `error`: 0; the errno of a full buffer (EAGAIN, ENOBUFS); of a network error that persists
    (ENETUNREACH); or of the packet at `taken` itself (EMSGSIZE, EPERM), which is permanent.
    """

    taken: int
    error: int

    @property
    def later(self) -> bool:
        """Whether the send buffer was full: send the rest later."""
        return self.error in NO_ROOM_ERRORS

    @property
    def reported(self) -> bool:
        """Whether the network reports the server as unreachable, for any packet to it."""
        return self.error in ICMP_ERRORS

    @property
    def refused(self) -> bool:
        """Whether the packet at `taken` cannot be sent; later ones were not tried."""
        return self.error != 0 and not self.later and not self.reported

    @property
    def unreachable(self) -> bool:
        """Whether ICMP or this machine's packet filter makes the server unreachable."""
        return self.reported or self.error in _FILTER_ERRORS


class Datagrams(Protocol):
    """A connected, non-blocking UDP socket."""

    sock: socket.socket
    #: Number of ICMP errors about earlier packets (ECONNREFUSED), found while sending or
    #: receiving; the reader resets it to 0.
    reported: int

    def send_packets(self, data: bytes, sizes: Sequence[int]) -> Sent:
        """Send up to `BATCH` packets in order; stop at the first that the kernel rejects.

        `data`: the packets joined, `sizes`: octets of each, see `packed`. After an error about
        earlier packets the packet is tried again.
        """
        ...

    def receive(self) -> list[bytes]:
        """Return the packets that have arrived, up to `BATCH`.

        Fewer than `BATCH` means that there were no more, or an error counted in `reported`. An
        empty datagram is a packet, too.
        """
        ...

    def close(self) -> None:
        """Close the socket."""
        ...


def open_socket(address: str, port: int) -> socket.socket:
    """Return a UDP socket connected to a server, from a random port of the kernel's choice.

    Only the server's own datagrams reach a connected socket. Raises OSError.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM | getattr(socket, "SOCK_NONBLOCK", 0))
    try:
        sock.settimeout(0)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER_OCTETS)
        sock.connect(socket_address(address, port))
    except OSError:
        sock.close()
        raise
    return sock


def packed(packets: Sequence[bytes]) -> tuple[bytes, list[int]]:
    """Return the arguments of `Datagrams.send_packets`: the packets joined, and their sizes."""
    return b"".join(packets), list(map(len, packets))


class LoopDatagrams:
    """One system call per packet: works everywhere."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.reported = 0

    def send_packets(self, data: bytes, sizes: Sequence[int]) -> Sent:
        """See `Datagrams`."""
        send = self.sock.send
        count = 0
        failed = -1
        ends = list(accumulate(sizes[:BATCH], initial=0))
        batch = [data[start:end] for start, end in pairwise(ends)]
        while count < len(batch):
            try:
                send(batch[count])
            except OSError as error:
                number = error.errno or errno.EIO
                if number not in ICMP_ERRORS or failed == count:
                    return Sent(count, number)
                failed = count
            else:
                self.reported += failed == count
                count += 1
        return Sent(count, 0)

    def receive(self) -> list[bytes]:
        """See `Datagrams`."""
        receive = self.sock.recv
        packets: list[bytes] = []
        try:
            while len(packets) < BATCH:
                packets.append(receive(SLOT_OCTETS))
        except OSError as error:
            self.reported += error.errno in ICMP_ERRORS
        return packets

    def close(self) -> None:
        """See `Datagrams`."""
        self.sock.close()
