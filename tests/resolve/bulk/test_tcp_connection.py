"""TCP connections: whole messages out of a stream, and a socket that leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import random
import socket
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.faulty import dead_port

from auditor.resolve.bulk.tcp.connection import Frames, TcpConnection
from auditor.settings import Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine

    Run = Callable[[Coroutine[Any, Any, Any]], Any]


def _framed(messages: list[bytes]) -> bytes:
    return b"".join(len(message).to_bytes(2) + message for message in messages)


# --- Frames


@given(messages=st.lists(st.binary(max_size=40), max_size=8), seed=st.integers(0, 1 << 16))
def test_messages_come_out_whole_however_the_stream_is_cut(
    messages: list[bytes], seed: int
) -> None:
    stream = _framed(messages)
    chance = random.Random(seed)
    cuts = sorted(chance.choices(range(len(stream) + 1), k=chance.randrange(12)))
    frames = Frames()
    found = []
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        found += frames.split_messages(stream[start:end])
    assert found == messages


def test_a_message_may_have_65535_octets_and_comes_when_the_last_is_there() -> None:
    message = bytes(range(256)) * 255 + bytes(255)
    stream = _framed([message, b"x"])
    frames = Frames()
    assert frames.split_messages(stream[:40_000]) == []
    assert frames.split_messages(stream[40_000:65_536]) == []
    assert frames.split_messages(stream[65_536:65_538]) == [message]
    assert frames.split_messages(stream[65_538:]) == [b"x"]


def test_a_long_message_that_comes_octet_by_octet_is_not_copied_each_time() -> None:
    stream = _framed([bytes(65_535)])
    frames = Frames()
    found = [
        message
        for place in range(len(stream))
        for message in frames.split_messages(stream[place : place + 1])
    ]
    assert found == [bytes(65_535)]


# --- Connections


class Ours:
    """What a connection called back."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        self.opened = 0
        self.ended = 0
        self.data = b""
        self.news = asyncio.Event()
        self.connection = TcpConnection(
            asyncio.get_running_loop(),
            Server(address, port),
            on_open=self._on_open,
            on_data=self._on_data,
            on_end=self._on_end,
        )

    async def until(self, condition: Callable[[], object]) -> None:
        async with asyncio.timeout(20):
            while not condition():
                self.news.clear()
                await self.news.wait()

    def _on_open(self) -> None:
        self.opened += 1
        self.news.set()

    def _on_data(self, data: bytes) -> None:
        assert self.opened == 1
        self.data += data
        self.news.set()

    def _on_end(self) -> None:
        self.ended += 1
        self.news.set()


class Theirs(asyncio.Protocol):
    """The other side: keeps what comes, and says what it is told to."""

    def __init__(self, accepted: list[Theirs]) -> None:
        self.data = b""
        self.is_over = asyncio.Event()
        self._accepted = accepted

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.transport = transport
        self._accepted.append(self)

    def data_received(self, data: bytes) -> None:
        self.data += data

    def connection_lost(self, _error: Exception | None) -> None:
        self.is_over.set()


@asynccontextmanager
async def _listening(address: str = "127.0.0.1") -> AsyncIterator[tuple[int, list[Theirs]]]:
    """Yield a port and the connections that were accepted there; nothing may be left."""
    accepted: list[Theirs] = []

    loop = asyncio.get_running_loop()
    mishaps: list[object] = []
    loop.set_exception_handler(lambda _loop, context: mishaps.append(context))
    server = await loop.create_server(lambda: Theirs(accepted), address, 0)
    try:
        yield server.sockets[0].getsockname()[1], accepted
    finally:
        server.close()
        for one in accepted:
            one.transport.abort()
            await one.is_over.wait()
        await server.wait_closed()
    assert mishaps == []
    gc.collect()  # a socket left open is a ResourceWarning, which is an error


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_what_is_sent_before_it_stands_goes_out_first_and_replies_come_in(
    run: Run, address: str
) -> None:
    async def main() -> None:
        async with _listening(address) as (port, accepted):
            ours = Ours(port, address)
            ours.connection.send_octets(b"one ")
            ours.connection.send_octets(b"two ")
            await ours.until(lambda: ours.opened)
            ours.connection.send_octets(b"three")
            await _until(lambda: accepted and accepted[0].data == b"one two three")
            accepted[0].transport.write(b"yes")
            await ours.until(lambda: ours.data == b"yes")
            ours.connection.close_connection()
            ours.connection.close_connection()
            await asyncio.wait_for(accepted[0].is_over.wait(), 20)
            ours.connection.send_octets(b"late")
        assert (ours.opened, ours.ended) == (1, 0)

    if address == "::1" and not _has_ipv6():
        pytest.skip("no IPv6 on this machine")
    run(main())


def test_more_than_a_socket_takes_goes_out_as_there_is_room(run: Run) -> None:
    async def main() -> None:
        async with _listening() as (port, accepted):
            ours = Ours(port)
            await ours.until(lambda: ours.opened)
            await _until(lambda: accepted)
            accepted[0].transport.pause_reading()
            data = random.Random(1).randbytes(8 << 20)
            for start in range(0, len(data), 1 << 20):
                ours.connection.send_octets(data[start : start + (1 << 20)])
            accepted[0].transport.resume_reading()
            await _until(lambda: len(accepted[0].data) == len(data))
            assert accepted[0].data == data
            ours.connection.close_connection()

    run(main())


def test_what_came_before_the_end_is_read_before_the_end(run: Run) -> None:
    async def main() -> None:
        async with _listening() as (port, accepted):
            ours = Ours(port)
            await _until(lambda: accepted)
            data = random.Random(2).randbytes(3 << 20)
            accepted[0].transport.write(data)
            accepted[0].transport.close()
            await ours.until(lambda: ours.ended)
            assert ours.data == data
            assert (ours.opened, ours.ended) == (1, 1)

    run(main())


def test_a_reset_is_an_end(run: Run) -> None:
    async def main() -> None:
        async with _listening() as (port, accepted):
            ours = Ours(port)
            await _until(lambda: accepted)
            await ours.until(lambda: ours.opened)
            ours.connection.send_octets(b"x")
            await _until(lambda: accepted[0].data)
            # Unread data makes the kernel reset instead of close.
            accepted[0].transport.pause_reading()
            ours.connection.send_octets(b"unread")
            accepted[0].transport.abort()
            await ours.until(lambda: ours.ended)
            ours.connection.send_octets(b"to nobody")
            assert ours.ended == 1

    run(main())


def test_a_closed_port_is_an_end_that_comes_later(run: Run) -> None:
    async def main(port: int) -> None:
        ours = Ours(port)
        assert (ours.opened, ours.ended) == (0, 0)
        await ours.until(lambda: ours.ended)
        assert (ours.opened, ours.ended) == (0, 1)

    with dead_port() as port:
        run(main(port))
    gc.collect()


def test_closing_before_it_stands_calls_nothing_back(run: Run) -> None:
    async def main() -> None:
        async with _listening() as (port, accepted):
            ours = Ours(port)
            ours.connection.send_octets(b"x")
            ours.connection.close_connection()
            other = Ours(port)
            await other.until(lambda: other.opened)
            await _until(lambda: accepted)
            other.connection.close_connection()
            assert (ours.opened, ours.ended, ours.data) == (0, 0, b"")

    run(main())


def test_closing_from_within_a_callback_ends_the_reading(run: Run) -> None:
    async def main() -> None:
        async with _listening() as (port, accepted):
            ours = Ours(port)
            real = ours._on_data

            def once(data: bytes) -> None:
                real(data)
                ours.connection.close_connection()

            ours.connection._on_data = once
            await _until(lambda: accepted)
            accepted[0].transport.write(bytes(1 << 20))
            await asyncio.wait_for(accepted[0].is_over.wait(), 20)
            assert 0 < len(ours.data) <= 65_536
            assert ours.ended == 0

    run(main())


def test_a_way_that_the_system_does_not_know_is_an_error_at_once(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_way(_self: socket.socket, _address: object) -> None:
        raise OSError(101, "Network is unreachable")

    async def main() -> None:
        with pytest.raises(OSError, match="unreachable"):
            Ours(53)

    monkeypatch.setattr(socket.socket, "connect", no_way)
    run(main())
    gc.collect()


async def _until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the other side has no event of its own
            await asyncio.sleep(0)


def _has_ipv6() -> bool:
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_STREAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


class _StubLoop:
    """Takes note of what it is to call, and calls nothing."""

    def __init__(self) -> None:
        self.readable: Callable[[], None] = lambda: None
        self.writable: Callable[[], None] = lambda: None
        self.soon: list[Callable[[], None]] = []

    def add_writer(self, _sock: object, callback: Callable[[], None]) -> None:
        self.writable = callback

    def add_reader(self, _sock: object, callback: Callable[[], None]) -> None:
        self.readable = callback

    def remove_writer(self, _sock: object) -> None:
        pass

    def remove_reader(self, _sock: object) -> None:
        pass

    def call_soon(self, callback: Callable[[], None]) -> object:
        self.soon.append(callback)
        return object()


def test_a_server_that_never_pauses_is_read_a_bounded_time_each_turn() -> None:
    loop: Any = _StubLoop()
    got: list[int] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        connection = TcpConnection(
            loop,
            Server("127.0.0.1", server.getsockname()[1]),
            on_open=lambda: None,
            on_data=lambda data: got.append(len(data)),
            on_end=lambda: None,
        )
        with server.accept()[0] as sender:
            sender.settimeout(0)
            # Every turn there is more, and the loop says so every time.
            for rotate in range(5):
                _fill(sender)
                if not rotate:
                    loop.writable()
                before = sum(got)
                due, loop.soon = loop.soon, []
                for callback in due:
                    callback()
                loop.readable()
                assert 0 < sum(got) - before <= 65_536
                assert len(loop.soon) == 1
        connection.close_connection()


def _fill(sender: socket.socket) -> None:
    """Send as much as goes, and wait for none of it."""
    with suppress(BlockingIOError):
        while True:
            sender.send(bytes(65_536))
