"""Datagrams in batches: what a socket of the bulk engine does, and the portable one.

There are two kinds, which behave the same and are tested by the same tests: `LoopDatagrams`
works everywhere, `BatchDatagrams` (in `mmsg`) needs Linux. No event loop in here: the owner of
the socket waits for it to be readable, and sends again later what the kernel did not take.
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

#: Datagrams in one system call at most.
BATCH: Final = 256

#: Octets of one datagram that are kept: above what any reply to EDNS 1232 has. A longer one
#: arrives cut to this length, and may be longer still whenever it has it.
SLOT_OCTETS: Final = 2048

#: A burst of replies must fit while Python is elsewhere; the kernel gives what it may.
_RECEIVE_BUFFER_OCTETS: Final = 4 << 20

#: The kernel has no room now: the same packet may be sent later.
NO_ROOM_ERRORS: Final = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.ENOMEM})

#: What ICMP said about earlier packets. The kernel reports it once, on whatever call comes
#: next, and that call then did nothing.
ICMP_ERRORS: Final = frozenset(
    {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN}
)

#: What a packet filter on this machine makes of a packet.
_FILTER_ERRORS: Final = frozenset({errno.EPERM, errno.EACCES})


class Sent(NamedTuple):
    """What became of a batch: the first `taken` packets were taken by the kernel.

    `error`: 0; an errno of "no room now" (EAGAIN, ENOBUFS); one of the network that did not
    go away (ENETUNREACH); or one that concerns the packet at `taken` itself (EMSGSIZE,
    EPERM), which sending again would only repeat.
    """

    taken: int
    error: int

    @property
    def later(self) -> bool:
        """The kernel had no room: send the rest when there is some."""
        return self.error in NO_ROOM_ERRORS

    @property
    def reported(self) -> bool:
        """The network says that the server cannot be reached: true of every packet to it."""
        return self.error in ICMP_ERRORS

    @property
    def refused(self) -> bool:
        """The packet at `taken` cannot be sent; those behind it were not tried."""
        return self.error != 0 and not self.later and not self.reported

    @property
    def unreachable(self) -> bool:
        """ICMP, or this machine's packet filter, reports that there is no server."""
        return self.reported or self.error in _FILTER_ERRORS


class Datagrams(Protocol):
    """A connected, non-blocking UDP socket."""

    sock: socket.socket
    #: Errors that the network reported of packets sent before (ECONNREFUSED after ICMP),
    #: however they came to light; whoever looks sets it to 0.
    reported: int

    def send_packets(self, data: bytes, sizes: Sequence[int]) -> Sent:
        """Send up to `BATCH` packets in order; stop at the first that is not taken.

        `data` holds them one after the other, of these sizes: see `packed`. An error about
        earlier packets does not count as one: the packet is tried again.
        """
        ...

    def receive(self) -> list[bytes]:
        """Return what has arrived, up to `BATCH` packets; none if nothing has.

        Fewer than `BATCH` means that there was no more, or an error that is then in
        `reported`. A datagram without octets is a packet like any other.
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
    """Return packets as `Datagrams.send_packets` takes them: joined, and their sizes."""
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
