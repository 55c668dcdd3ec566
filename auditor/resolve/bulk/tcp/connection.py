"""One TCP connection: octets in, octets out, whole messages cut from the stream.

A non-blocking socket on the event loop, without task and without transport: to close it is
one call, and then nothing is left of it. What the messages are about is not known here.
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

_LENGTH: Final = 2  # octets before each message that say how long it is (RFC 1035 §4.2.2)

#: Octets read in one turn of the loop before others get theirs. They are read as messages, too,
#: and one of 64 KiB with 3,000 names takes some 20 ms.
_OCTETS_A_TURN: Final = 65536


class Frames:
    """The octets of a stream, cut into messages. A message has at most 65,535 octets."""

    __slots__ = ("_rest",)

    def __init__(self) -> None:
        self._rest = bytearray()

    @property
    def is_partial(self) -> bool:
        """Whether a message has begun that is not whole yet."""
        return bool(self._rest)

    def split_messages(self, data: bytes) -> list[bytes]:
        """Take what arrived; return the messages that are whole now, empty ones too."""
        rest = self._rest
        if rest:
            rest += data
            if len(rest) < _LENGTH + (rest[0] << 8 | rest[1] if len(rest) >= _LENGTH else 0):
                # A long message that comes in drops is not copied with every drop.
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
    """What is needed of a connection; it ends once, by itself or by `close`."""

    def send_octets(self, data: bytes) -> None:
        """Write, now or as soon as there is room."""
        ...

    def close_connection(self) -> None:
        """End it. Nothing is called back any more."""
        ...


class TcpConnection:
    """A connection to a name server, being opened when this returns.

    `on_open` is called when it stands, `on_data` with what arrives, `on_end` once when it was
    refused, reset or closed by the server: none of them from within a call of these methods.
    Raises OSError if the system knows at once that it cannot be.
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
            # Small queries must not wait for the answers to earlier ones (Nagle).
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
            # The connection is gone, and reading will say so.
            sent = len(self._unsent)
        self._unsent = self._unsent[sent:]
        if bool(self._unsent) is not self._writing:
            self._writing = not self._writing
            if self._writing:
                self._loop.add_writer(self._sock, self._writable)
            else:
                self._loop.remove_writer(self._sock)

    def _writable(self) -> None:
        """Go on writing; the first time it means that the connection stands, or does not."""
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
        left = _OCTETS_A_TURN
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
        # libuv reports an error once: what is left is looked for without waiting for it. Once
        # a turn, however often the loop says that there is more.
        if self._next_read is None:
            self._next_read = self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._next_read = None
        if not self._closed:
            self._readable()

    def _end(self) -> None:
        self.close_connection()
        self._on_end()


def _opened() -> None:
    """Stand for `on_open` when it has been called."""
