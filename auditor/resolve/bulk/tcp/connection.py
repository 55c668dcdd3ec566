"""One TCP connection: octets in and out, and framing of messages (RFC 1035 §4.2.2).

A non-blocking socket on the event loop, without asyncio task or transport, so closing is one
immediate call. Messages are not decoded here.
"""

from __future__ import annotations

import errno
import socket
from contextlib import suppress
from typing import TYPE_CHECKING, Final, Protocol

from auditor.resolve.socket_address import socket_address

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from auditor.settings import Server

__all__ = ["Connection", "Frames", "TcpConnection"]

_LENGTH: Final = 2  # octets of the length field before each message (RFC 1035 §4.2.2)

#: Most octets read in one turn of the loop, to be fair to others: decoding a message of 64 KiB
#: with 3,000 names takes some 20 ms.
_MAX_OCTETS_PER_TURN: Final = 65536


class Frames:
    """Splits a stream of octets into messages of at most 65,535 octets."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = bytearray()

    @property
    def is_partial(self) -> bool:
        """Whether part of an incomplete message is buffered."""
        return bool(self._rest)

    def split_messages(self, data: bytes) -> list[bytes]:
        """Add octets that arrived; return the messages complete now, empty ones included."""
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < _LENGTH + (rest[0] << 8 | rest[1] if len(rest) >= _LENGTH else 0):
                # Do not copy a long message with every small piece that arrives.
                return []
            data = bytes(rest)
            rest.clear()
        messages = []
        start = 0
        while len(data) - start >= _LENGTH:
            end = start + _LENGTH + (data[start] << 8 | data[start + 1])
            if end > len(data):
                break
            messages.append(data[start + _LENGTH : end])
            start = end
        rest += data[start:]
        return messages


class Connection(Protocol):
    """A connection; it ends once, by itself or by `close_connection`."""

    def send_octets(self, data: bytes) -> None:
        """Send octets, now or as soon as there is room."""
        ...

    def close_connection(self) -> None:
        """Close it; no callback is called any more."""
        ...


class TcpConnection:
    """A connection to a name server; created while it is still being opened.

    `on_open` is called when it is established, `on_data` with octets that arrive, `on_end` once
    when it was refused, reset or closed by the server: never from within these methods.
    Raises OSError if connecting fails at once.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        server: Server,
        *,
        on_open: Callable[[], None],
        on_data: Callable[[bytes], None],
        on_end: Callable[[], None],
    ) -> None:
        self._loop = loop
        self._on_open = on_open
        self._on_data = on_data
        self._on_end = on_end
        self._unsent = b""
        self._writing = True
        self._closed = False
        self._next_read: asyncio.Handle | None = None
        family = socket.AF_INET6 if ":" in server.address else socket.AF_INET
        self._sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            self._sock.settimeout(0)
            # Small queries must not wait for acknowledgements of earlier ones (Nagle).
            self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with suppress(BlockingIOError):
                self._sock.connect(socket_address(server.address, server.port))
            loop.add_writer(self._sock, self._writable)
        except OSError:
            self._sock.close()
            raise

    def send_octets(self, data: bytes) -> None:
        """See `Connection`."""
        if self._writing or self._closed:
            self._unsent += data
            return
        self._unsent = data
        self._write()

    def close_connection(self) -> None:
        """See `Connection`."""
        if not self._closed:
            self._closed = True
            self._loop.remove_writer(self._sock)
            self._loop.remove_reader(self._sock)
            self._sock.close()

    def _write(self) -> None:
        try:
            sent = self._sock.send(self._unsent)
        except BlockingIOError:
            sent = 0
        except OSError:
            # The connection is broken: reading will find its end.
            sent = len(self._unsent)
        self._unsent = self._unsent[sent:]
        if bool(self._unsent) is not self._writing:
            self._writing = not self._writing
            if self._writing:
                self._loop.add_writer(self._sock, self._writable)
            else:
                self._loop.remove_writer(self._sock)

    def _writable(self) -> None:
        """Continue sending; the first call means that connecting succeeded or failed."""
        if self._on_open is not _opened:
            error = self._sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
            if error == errno.EINPROGRESS:
                return
            if error:
                self._end()
                return
            on_open, self._on_open = self._on_open, _opened
            self._loop.add_reader(self._sock, self._on_readable)
            self._write()
            on_open()
            return
        self._write()

    def _on_readable(self) -> None:
        if self._next_read is None:
            self._readable()

    def _readable(self) -> None:
        left = _MAX_OCTETS_PER_TURN
        while left > 0:
            try:
                data = self._sock.recv(left)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                data = b""
            if not data:
                self._end()
                return
            left -= len(data)
            self._on_data(data)
            if self._closed:
                return
        # libuv reports an error only once, so read again without waiting for the loop; once a
        # turn at most.
        if self._next_read is None:
            self._next_read = self._loop.call_soon(self._read_again)

    def _read_again(self) -> None:
        self._next_read = None
        if not self._closed:
            self._readable()

    def _end(self) -> None:
        self.close_connection()
        self._on_end()


def _opened() -> None:
    """Replace `on_open` after it has been called."""
