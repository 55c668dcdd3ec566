"""A name server that answers over TCP only, made of any other.

    with truncating(server) as port:
        ask("127.0.0.1", port)

Datagrams to that port come back truncated and empty, whatever they ask; connections are
passed through to the server, octet by octet, so what it says there is its own.
"""

from __future__ import annotations

import asyncio
import struct
import threading
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from support.processes import claimed_port

if TYPE_CHECKING:
    from collections.abc import Iterator

    from support.processes import Server

__all__ = ["truncating"]

_ADDRESS: Final = "127.0.0.1"
_SECONDS: Final = 10.0
_HEADER: Final = struct.Struct("!6H")
_RESPONSE_TC: Final = 0x8200
_CHUNK: Final = 65536


@contextmanager
def truncating(server: Server) -> Iterator[int]:
    """Serve for as long as the context lasts, in a thread; yield the port."""
    with claimed_port() as port:
        front = _Front(server.address, server.port, port)
        thread = threading.Thread(target=asyncio.run, args=(front.serve(),), daemon=True)
        thread.start()
        assert front.ready.wait(_SECONDS), "the front does not start"
        try:
            yield port
        finally:
            front.stop()
            thread.join(_SECONDS)
            assert not thread.is_alive(), "the front does not stop"


class _Front:
    def __init__(self, address: str, port: int, own_port: int) -> None:
        self.ready = threading.Event()
        self._to = (address, port)
        self._own_port = own_port

    async def serve(self) -> None:
        loop = asyncio.get_running_loop()
        stopping = asyncio.Event()
        self.stop = partial(loop.call_soon_threadsafe, stopping.set)
        datagrams, _ = await loop.create_datagram_endpoint(
            _Truncator, local_addr=(_ADDRESS, self._own_port)
        )
        streams = await asyncio.start_server(self._pass_on, _ADDRESS, self._own_port)
        self.ready.set()
        await stopping.wait()
        datagrams.close()
        streams.close()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task that ends with an exception, a cancellation too, is one that asyncio logs.
        with suppress(asyncio.CancelledError, ConnectionError):
            far_reader, far_writer = await asyncio.open_connection(*self._to)
            try:
                await asyncio.gather(_copy(reader, far_writer), _copy(far_reader, writer))
            finally:
                far_writer.close()
                writer.close()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    writer.close()


class _Truncator(asyncio.DatagramProtocol):
    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
        self._transport = transport

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        number, flags, *_ = _HEADER.unpack_from(data)
        end = data.index(0, _HEADER.size) + 5
        head = _HEADER.pack(number, flags | _RESPONSE_TC, 1, 0, 0, 0)
        self._transport.sendto(head + data[_HEADER.size : end], addr)
