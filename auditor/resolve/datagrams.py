"""Batched datagrams: one connected UDP socket, many packets a system call.

`open_datagrams` gives the fastest that this machine has: `sendmmsg` and `recvmmsg` through
cffi where libc has them (Linux), a loop over `send` and `recv` elsewhere. Both behave the
same and are tested by the same tests. No event loop in here: whoever owns the socket waits
for it to be readable, and asks again later for what the kernel did not take.
"""

from __future__ import annotations

import errno
import socket
import sys
import threading
from array import array
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = [
    "BATCH",
    "SLOT",
    "BatchDatagrams",
    "Datagrams",
    "LoopDatagrams",
    "Sent",
    "open_datagrams",
    "open_socket",
]

#: Datagrams in one system call at most.
BATCH: Final = 256

#: Octets of one datagram that are kept: above what any reply to EDNS 1232 has. A longer one
#: arrives cut to this length, and may be longer still whenever it has it.
SLOT: Final = 2048

#: A burst of replies must fit while Python is elsewhere; the kernel gives what it may.
_RECEIVE_BUFFER: Final = 4 << 20

#: The kernel has no room now: the same packet may be sent later.
_LATER: Final = frozenset({errno.EAGAIN, errno.EWOULDBLOCK, errno.ENOBUFS, errno.ENOMEM})

#: What ICMP said about earlier packets. The kernel reports it once, on whatever call comes
#: next, and that call then did nothing.
_REPORTED: Final = frozenset(
    {errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN}
)

#: What a packet filter on this machine makes of a packet.
_FORBIDDEN: Final = frozenset({errno.EPERM, errno.EACCES})


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
        return self.error in _LATER

    @property
    def reported(self) -> bool:
        """The network says that the server cannot be reached: true of every packet to it."""
        return self.error in _REPORTED

    @property
    def refused(self) -> bool:
        """The packet at `taken` cannot be sent; those behind it were not tried."""
        return self.error != 0 and not self.later and not self.reported

    @property
    def unreachable(self) -> bool:
        """The network, or this machine's packet filter, says that nobody is there."""
        return self.reported or self.error in _FORBIDDEN


class Datagrams(Protocol):
    """A connected, non-blocking UDP socket."""

    sock: socket.socket
    #: Errors that the network reported of packets sent before (ECONNREFUSED after ICMP),
    #: however they came to light; whoever looks sets it to 0.
    reported: int

    def send(self, packets: Sequence[bytes]) -> Sent:
        """Send up to `BATCH` packets in order; stop at the first that is not taken.

        An error about earlier packets does not count as one: the packet is tried again.
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
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        sock.connect((address, port))
    except OSError:
        sock.close()
        raise
    return sock


class LoopDatagrams:
    """One system call per packet: works everywhere."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.reported = 0

    def send(self, packets: Sequence[bytes]) -> Sent:
        """See `Datagrams`."""
        send = self.sock.send
        count = 0
        failed = -1
        batch = packets[:BATCH]
        while count < len(batch):
            try:
                send(batch[count])
            except OSError as error:
                number = error.errno or errno.EIO
                if number not in _REPORTED or failed == count:
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
                packets.append(receive(SLOT))
        except OSError as error:
            self.reported += error.errno in _REPORTED
        return packets

    def close(self) -> None:
        """See `Datagrams`."""
        self.sock.close()


_WORD: Final = "L"  #: an unsigned machine word as `array` calls it
_INT: Final = 4  #: octets of C's int

_DECLARATIONS: Final = """
    struct iovec { void *iov_base; size_t iov_len; };
    struct msghdr {
        void *msg_name; unsigned int msg_namelen;
        struct iovec *msg_iov; size_t msg_iovlen;
        void *msg_control; size_t msg_controllen;
        int msg_flags;
    };
    struct mmsghdr { struct msghdr msg_hdr; unsigned int msg_len; };
    int sendmmsg(int fd, struct mmsghdr *vec, unsigned int vlen, int flags);
    int recvmmsg(int fd, struct mmsghdr *vec, unsigned int vlen, int flags, void *timeout);
"""


class _Libc:
    """libc's two calls and the buffers for one batch each way, shared by a thread's sockets.

    Sharing is safe: a batch is copied in and out between two points where nothing else of
    this thread runs, and a socket is used by one thread. The kernel's structures are read
    and written as arrays of integers, a whole batch at a time: touching each of them
    through cffi costs more than the packet does.
    """

    def __init__(self) -> None:
        import cffi  # noqa: PLC0415 - a third of a scan's start-up, for this engine alone

        ffi: Any = cffi.FFI()
        ffi.cdef(_DECLARATIONS)
        lib: Any = ffi.dlopen(None)
        self.ffi = ffi
        # A libc without the calls fails here, at the look-up, and not at the first packet.
        self.sendmmsg: Any = lib.sendmmsg
        self.recvmmsg: Any = lib.recvmmsg
        # iov_base, iov_len, iov_base, iov_len, ...: pointer and size_t are both one word.
        self.out_words = array(_WORD, bytes(ffi.sizeof("struct iovec") * BATCH))
        self.out_buffer = ffi.new("char[]", BATCH * SLOT)
        self.out_base = int(ffi.cast("uintptr_t", self.out_buffer))
        self.out_view = ffi.buffer(self.out_buffer)
        self.out = self._messages(ffi.from_buffer("struct iovec[]", self.out_words))
        self.in_buffer = ffi.new("char[]", BATCH * SLOT)
        self.in_view = ffi.buffer(self.in_buffer)
        self.in_vectors = ffi.new("struct iovec[]", BATCH)
        for index in range(BATCH):
            self.in_vectors[index].iov_base = self.in_buffer + index * SLOT
            self.in_vectors[index].iov_len = SLOT
        self.arrived = self._messages(self.in_vectors)
        step = ffi.sizeof("struct mmsghdr") // _INT
        first = ffi.offsetof("struct mmsghdr", "msg_len") // _INT
        self.sizes = memoryview(ffi.buffer(self.arrived)).cast("I")[first::step]

    def _messages(self, vectors: Any) -> Any:
        messages = self.ffi.new("struct mmsghdr[]", BATCH)
        for index in range(BATCH):
            messages[index].msg_hdr.msg_iov = vectors + index
            messages[index].msg_hdr.msg_iovlen = 1
        return messages


_thread: Final = threading.local()


def _load_libc() -> _Libc:
    """Return this thread's. Raises what says that the system has no such calls."""
    libc: _Libc | None = getattr(_thread, "libc", None)
    if libc is None:
        libc = _thread.libc = _Libc()
    return libc


class BatchDatagrams:
    """`sendmmsg` and `recvmmsg`: a batch of packets in one system call (Linux)."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.reported = 0
        self._handle = sock.fileno()
        self._libc = _load_libc()

    def send(self, packets: Sequence[bytes]) -> Sent:
        """See `Datagrams`."""
        libc = self._libc
        batch = packets[:BATCH]
        data = b"".join(batch)
        if len(data) > BATCH * SLOT:
            return LoopDatagrams(self.sock).send(packets)
        # One after the other, so that one copy takes the whole batch.
        libc.out_view[0 : len(data)] = data
        sizes = array(_WORD, map(len, batch))
        count = len(sizes)
        starts = array(_WORD, accumulate(sizes, initial=libc.out_base))
        libc.out_words[0 : 2 * count : 2] = starts[:-1]
        libc.out_words[1 : 2 * count : 2] = sizes
        done = 0
        failed = -1
        while done < count:
            vector = libc.out + done if done else libc.out
            sent = libc.sendmmsg(self._handle, vector, count - done, 0)
            if sent > 0:
                # A call that took some says nothing of what stopped it. If the next call
                # goes on there, it was about earlier packets (or room was made just then).
                self.reported += failed == done
                done += sent
                failed = done
                continue
            error = libc.ffi.errno
            if error == errno.EINTR:
                continue
            if error not in _REPORTED or failed == done:
                return Sent(done, error)
            failed = done
        return Sent(done, 0)

    def receive(self) -> list[bytes]:
        """See `Datagrams`."""
        libc = self._libc
        arrived = libc.arrived
        got = libc.recvmmsg(self._handle, arrived, BATCH, _DONT_WAIT, libc.ffi.NULL)
        while got < 0 and libc.ffi.errno == errno.EINTR:
            got = libc.recvmmsg(self._handle, arrived, BATCH, _DONT_WAIT, libc.ffi.NULL)
        if got < 0:
            self.reported += libc.ffi.errno in _REPORTED
            return []
        view = libc.in_view
        return [
            view[start : start + size]
            for start, size in zip(_STARTS, libc.sizes[:got].tolist(), strict=False)
        ]

    def close(self) -> None:
        """See `Datagrams`."""
        self.sock.close()


_DONT_WAIT: Final = getattr(socket, "MSG_DONTWAIT", 0)
_STARTS: Final = range(0, BATCH * SLOT, SLOT)


def open_datagrams(address: str, port: int) -> Datagrams:
    """Return a socket connected to a server, batched where the system can. Raises OSError."""
    sock = open_socket(address, port)
    make: Callable[[socket.socket], Datagrams] = LoopDatagrams
    if sys.platform == "linux":
        try:
            _load_libc()
            make = BatchDatagrams
        except (ImportError, OSError, AttributeError):
            # A libc without the calls: the loop does the same, slower.
            make = LoopDatagrams
    return make(sock)
