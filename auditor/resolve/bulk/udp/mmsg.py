"""UDP sockets with many packets a system call: `sendmmsg` and `recvmmsg` through cffi (Linux).

ABI mode: nothing is compiled, libc is opened as the process has it. Consecutive packets of one
length are sent as one large packet, which the kernel segments at the far end of its network
stack (UDP generic segmentation offload, UDP_SEGMENT, Linux 4.18), since the stack is most of the
cost of a packet. Queries for the names of one zone have few different lengths.
"""

from __future__ import annotations

import errno
import socket
import sys
import threading
from array import array
from itertools import accumulate, groupby
from operator import mul
from typing import TYPE_CHECKING, Any, Final

from auditor.resolve.bulk.udp.datagram import (
    BATCH,
    ICMP_ERRORS,
    NO_ROOM_ERRORS,
    SLOT_OCTETS,
    Datagrams,
    LoopDatagrams,
    Sent,
    open_socket,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["BatchDatagrams", "open_datagrams"]

_WORD_TYPECODE: Final = "L"  #: an unsigned machine word as `array` calls it
_INT_OCTETS: Final = 4  #: octets of C's int
_SHORT_OCTETS: Final = 2

#: From <linux/udp.h>: the option, also in control data, and the segments that all kernels accept.
_UDP_SEGMENT: Final = 103
_MAX_SEGMENTS: Final = 64

#: Errors where segmentation is not supported: by an old kernel, or by a network device without
#: checksum offload.
_UNABLE_ERRORS: Final = frozenset({errno.EIO, errno.EINVAL, errno.ENOPROTOOPT, errno.EOPNOTSUPP})

_MSG_DONTWAIT: Final = getattr(socket, "MSG_DONTWAIT", 0)
_SLOT_STARTS: Final = range(0, BATCH * SLOT_OCTETS, SLOT_OCTETS)


class _Libc:
    """libc's two calls and the buffers for one batch each way, shared by a thread's sockets.

    Sharing is safe: a batch is copied in and out without a switch to other code of the thread,
    and a socket is used by one thread. The kernel's structures are read and written as arrays of
    integers, a whole batch at a time: accessing each through cffi would cost more than the packet.
    """

    def __init__(self) -> None:
        # Imported only for this engine, where cffi is installed.
        from auditor.resolve.bulk.udp._mmsg_ffi import ffi  # noqa: PLC0415 - see above

        lib: Any = ffi.dlopen(None)
        self.ffi: Any = ffi
        # A libc without the calls raises here, not at the first packet.
        self.sendmmsg: Any = lib.sendmmsg
        self.recvmmsg: Any = lib.recvmmsg
        # iov_base, iov_len, iov_base, iov_len, ...: pointer and size_t are both one word.
        self.out_words = array(_WORD_TYPECODE, bytes(ffi.sizeof("struct iovec") * BATCH))
        self.out_buffer = ffi.new("char[]", BATCH * SLOT_OCTETS)
        self.out_base = int(ffi.cast("uintptr_t", self.out_buffer))
        self.out_view = ffi.buffer(self.out_buffer)
        self._vectors = ffi.from_buffer("struct iovec[]", self.out_words)
        self.out = self._messages(self._vectors)
        self.out_segmented = self._messages(self._vectors)
        self._segments = ffi.new("struct segment[]", BATCH)
        for index in range(BATCH):
            segment, header = self._segments[index], self.out_segmented[index].msg_hdr
            segment.cmsg_len = ffi.offsetof("struct segment", "size") + _SHORT_OCTETS
            segment.cmsg_level, segment.cmsg_type = socket.IPPROTO_UDP, _UDP_SEGMENT
            header.msg_control = self._segments + index
            header.msg_controllen = ffi.sizeof("struct segment")
        step = ffi.sizeof("struct segment") // _SHORT_OCTETS
        first = ffi.offsetof("struct segment", "size") // _SHORT_OCTETS
        self.segment_sizes = memoryview(ffi.buffer(self._segments)).cast("H")[first::step]
        self.in_buffer = ffi.new("char[]", BATCH * SLOT_OCTETS)
        self.in_view = ffi.buffer(self.in_buffer)
        self.in_vectors = ffi.new("struct iovec[]", BATCH)
        for index in range(BATCH):
            self.in_vectors[index].iov_base = self.in_buffer + index * SLOT_OCTETS
            self.in_vectors[index].iov_len = SLOT_OCTETS
        self.arrived = self._messages(self.in_vectors)
        step = ffi.sizeof("struct mmsghdr") // _INT_OCTETS
        first = ffi.offsetof("struct mmsghdr", "msg_len") // _INT_OCTETS
        self.sizes = memoryview(ffi.buffer(self.arrived)).cast("I")[first::step]

    def _messages(self, vectors: Any) -> Any:
        messages = self.ffi.new("struct mmsghdr[]", BATCH)
        for index in range(BATCH):
            messages[index].msg_hdr.msg_iov = vectors + index
            messages[index].msg_hdr.msg_iovlen = 1
        return messages


_thread: Final = threading.local()


def _load_libc() -> _Libc:
    """Return this thread's `_Libc`. Raises if the system lacks cffi or the calls."""
    libc: _Libc | None = getattr(_thread, "libc", None)
    if libc is None:
        libc = _thread.libc = _Libc()
    return libc


class BatchDatagrams:
    """Sends a batch of packets in one system call, those of one length as segments of one."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.reported = 0
        self._handle = sock.fileno()
        self._libc = _load_libc()
        self._segments_supported = _supports_segments(sock)

    def send_packets(self, data: bytes, sizes: Sequence[int]) -> Sent:
        """See `Datagrams`."""
        if not sizes:
            return Sent(0, 0)
        if len(sizes) > BATCH:
            sizes = sizes[:BATCH]
            data = data[: sum(sizes)]
        if len(data) > BATCH * SLOT_OCTETS:
            return LoopDatagrams(self.sock).send_packets(data, sizes)
        # The packets are contiguous: one copy for the whole batch.
        self._libc.out_view[0 : len(data)] = data
        if not self._segments_supported or max(sizes) > SLOT_OCTETS:
            return self._send_singly(sizes)
        return self._send_segmented(sizes)

    def _send_segmented(self, sizes: Sequence[int]) -> Sent:
        """Send the packets in the buffer, consecutive ones of one length as segments."""
        runs: list[int] = []
        lengths: list[int] = []
        for size, same in groupby(sizes):
            count = len(list(same))
            # Empty packets cannot be segments.
            most = _MAX_SEGMENTS if size else 1
            for start in range(0, count, most):
                runs.append(min(count - start, most))
                lengths.append(size)
        libc = self._libc
        libc.segment_sizes[: len(runs)] = array("H", lengths)
        done, error = self._sendmmsg(libc.out_segmented, list(map(mul, lengths, runs)))
        taken = sum(runs[:done])
        if not error or error in NO_ROOM_ERRORS or error in ICMP_ERRORS:
            return Sent(taken, error)
        if error in _UNABLE_ERRORS and runs[done] > 1:
            self._segments_supported = False
        # Send singly to find the packet that caused the error.
        sent = self._send_singly(sizes[taken:], sum(sizes[:taken]))
        return sent._replace(taken=taken + sent.taken)

    def _send_singly(self, sizes: Sequence[int], start: int = 0) -> Sent:
        """Send the packets in the buffer from octet `start` on, unsegmented."""
        return Sent(*self._sendmmsg(self._libc.out, sizes, start))

    def _sendmmsg(self, messages: Any, sizes: Sequence[int], start: int = 0) -> tuple[int, int]:
        """Call sendmmsg for messages of these sizes; return how many were accepted, and errno."""
        libc = self._libc
        count = len(sizes)
        starts = array(_WORD_TYPECODE, accumulate(sizes, initial=libc.out_base + start))
        libc.out_words[0 : 2 * count : 2] = starts[:-1]
        libc.out_words[1 : 2 * count : 2] = array(_WORD_TYPECODE, sizes)
        done = 0
        failed = -1
        while done < count:
            sent = libc.sendmmsg(
                self._handle, messages + done if done else messages, count - done, 0
            )
            if sent > 0:
                # A partial send reports no error. If the next call succeeds, the error was about
                # earlier packets (or room was made just then).
                self.reported += failed == done
                done += sent
                failed = done
                continue
            error = libc.ffi.errno
            if error == errno.EINTR:
                continue
            if error not in ICMP_ERRORS or failed == done:
                return done, error
            failed = done
        return done, 0

    def receive(self) -> list[bytes]:
        """See `Datagrams`."""
        libc = self._libc
        arrived = libc.arrived
        got = libc.recvmmsg(self._handle, arrived, BATCH, _MSG_DONTWAIT, libc.ffi.NULL)
        while got < 0 and libc.ffi.errno == errno.EINTR:
            got = libc.recvmmsg(self._handle, arrived, BATCH, _MSG_DONTWAIT, libc.ffi.NULL)
        if got < 0:
            self.reported += libc.ffi.errno in ICMP_ERRORS
            return []
        view = libc.in_view
        return [
            view[start : start + size]
            for start, size in zip(_SLOT_STARTS, libc.sizes[:got].tolist(), strict=False)
        ]

    def close(self) -> None:
        """See `Datagrams`."""
        self.sock.close()


def _supports_segments(sock: socket.socket) -> bool:
    """Tell whether the kernel supports UDP_SEGMENT, by setting its default 0."""
    try:
        sock.setsockopt(socket.IPPROTO_UDP, _UDP_SEGMENT, 0)
    except OSError:
        return False
    return True


def open_datagrams(address: str, port: int) -> Datagrams:
    """Return a socket connected to a server, batched where supported. Raises OSError."""
    sock = open_socket(address, port)
    make: Callable[[socket.socket], Datagrams] = LoopDatagrams
    if sys.platform == "linux":
        try:
            _load_libc()
            make = BatchDatagrams
        except (ImportError, OSError, AttributeError):
            # Without cffi or the calls: the portable loop, slower.
            make = LoopDatagrams
    return make(sock)
