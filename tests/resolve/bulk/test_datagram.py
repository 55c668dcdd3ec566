"""Batched datagrams: the system calls and the portable loop do the same, whatever happens."""

from __future__ import annotations

import errno
import os
import select
import socket
import sys
from contextlib import closing
from typing import TYPE_CHECKING, Any, Self

import pytest
from support.faulty import dead_port

from auditor.resolve.bulk.udp.datagram import (
    BATCH,
    SLOT_OCTETS,
    Datagrams,
    LoopDatagrams,
    Sent,
    open_socket,
    packed,
)
from auditor.resolve.bulk.udp.mmsg import BatchDatagrams

if TYPE_CHECKING:
    from collections.abc import Iterator

Make = Any  #: a class of datagrams, given its socket

KINDS: list[Make] = [LoopDatagrams]
if sys.platform == "linux":
    KINDS.append(BatchDatagrams)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def make(request: pytest.FixtureRequest) -> Make:
    return request.param


@pytest.fixture(params=["127.0.0.1", "::1"])
def server(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """Give a socket for the other end, of each address family."""
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_DGRAM)
    with sock:
        try:
            sock.bind((request.param, 0))
        except OSError:
            pytest.skip(f"no {request.param} here")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        sock.settimeout(5.0)
        yield sock


@pytest.fixture
def client(make: Make, server: socket.socket) -> Iterator[Datagrams]:
    with closing(make(open_socket(*server.getsockname()[:2]))) as client:
        yield client


@pytest.fixture
def pair(make: Make) -> Iterator[tuple[Datagrams, socket.socket]]:
    """Two ends of a queue of the kernel's that fills up: a handful of packets."""
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    near.settimeout(0)
    far.settimeout(0)
    with far, closing(make(near)) as client:
        yield client, far


def _await(client: Datagrams) -> None:
    assert select.select([client.sock], [], [], 5.0)[0], "nothing arrives"


def _all(client: Datagrams, count: int) -> list[bytes]:
    """Return the next `count` packets, in however many calls they come."""
    packets: list[bytes] = []
    while len(packets) < count:
        _await(client)
        packets += client.receive()
    return packets


def _queue(sock: socket.socket) -> list[bytes]:
    packets = []
    while True:
        try:
            packets.append(sock.recv(SLOT_OCTETS))
        except BlockingIOError:
            return packets


class Kernel:
    """What the kernel says to each attempt to send a packet, in order: 0 or an errno.

    As Linux does: `sendmmsg` reports an error only if it concerns the first packet of the
    call, and the error is gone with the call.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, make: Make, script: list[int]) -> None:
        self.script = script
        self.near, self.far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.far.settimeout(5.0)
        if make is LoopDatagrams:
            scripted = _Scripted(socket.AF_UNIX, socket.SOCK_DGRAM, fileno=self.near.detach())
            scripted.kernel = self
            self.near = scripted
        self.client: Datagrams = make(self.near)
        if make is BatchDatagrams:
            self._libc = self.client._libc
            self._real = self._libc.sendmmsg
            monkeypatch.setattr(self._libc, "sendmmsg", self._sendmmsg)

    def next(self) -> int:
        return self.script.pop(0) if self.script else 0

    def _sendmmsg(self, handle: int, vector: Any, count: int, flags: int) -> int:
        for index in range(count):
            error = self.next()
            if error and index:
                return index
            if error:
                self._libc.ffi.errno = error
                return -1
            assert self._real(handle, vector + index, 1, flags) == 1
        return count

    def arrived(self, count: int) -> list[bytes]:
        return [self.far.recv(SLOT_OCTETS) for _ in range(count)]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.client.close()
        self.far.close()


class _Scripted(socket.socket):
    kernel: Kernel

    def send(self, data: Any, flags: int = 0, /) -> int:
        error = self.kernel.next()
        if error:
            raise OSError(error, os.strerror(error))
        return super().send(data, flags)


def test_packets_go_out_and_come_in_whole_and_in_order(
    client: Datagrams, server: socket.socket
) -> None:
    packets = [f"packet {number}".encode() * (number % 40 + 1) for number in range(BATCH)]
    assert client.send_packets(*packed(packets)) == Sent(BATCH, 0)
    for packet in packets:
        data, source = server.recvfrom(SLOT_OCTETS)
        assert data == packet
        server.sendto(data[::-1], source)
    assert _all(client, BATCH) == [packet[::-1] for packet in packets]
    assert client.receive() == []


def test_no_call_takes_or_gives_more_than_a_batch(client: Datagrams, server: socket.socket) -> None:
    packets = [bytes([number % 256]) for number in range(BATCH + 10)]
    assert client.send_packets(*packed(packets)) == Sent(BATCH, 0)
    assert client.send_packets(*packed(packets[BATCH:])) == Sent(10, 0)
    for _ in packets:
        data, source = server.recvfrom(SLOT_OCTETS)
        server.sendto(data, source)
    first = client.receive()
    assert (first, client.receive()) == (packets[:BATCH], packets[BATCH:])


def test_nothing_to_send_and_nothing_to_receive_are_no_errors(client: Datagrams) -> None:
    assert client.send_packets(*packed([])) == Sent(0, 0)
    assert client.receive() == []
    assert client.reported == 0


def test_a_datagram_without_octets_is_not_the_end(client: Datagrams, server: socket.socket) -> None:
    assert client.send_packets(*packed([b"", b"a", b""])) == Sent(3, 0)
    for expected in (b"", b"a", b""):
        data, source = server.recvfrom(SLOT_OCTETS)
        assert data == expected
        server.sendto(data, source)
    assert _all(client, 3) == [b"", b"a", b""]


def test_a_datagram_longer_than_a_slot_arrives_cut(
    client: Datagrams, server: socket.socket
) -> None:
    client.send_packets(*packed([b"hello"]))
    source = server.recvfrom(SLOT_OCTETS)[1]
    for size in (SLOT_OCTETS - 1, SLOT_OCTETS, SLOT_OCTETS + 1, 9000, 1):
        server.sendto(b"x" * size, source)
    assert [len(packet) for packet in _all(client, 5)] == [
        SLOT_OCTETS - 1,
        SLOT_OCTETS,
        SLOT_OCTETS,
        SLOT_OCTETS,
        1,
    ]


def test_only_the_server_is_heard(client: Datagrams, server: socket.socket) -> None:
    client.send_packets(*packed([b"hello"]))
    data, source = server.recvfrom(SLOT_OCTETS)
    with socket.socket(server.family, socket.SOCK_DGRAM) as stranger:
        stranger.bind((server.getsockname()[0], 0))
        stranger.sendto(b"forged", source)
    server.sendto(data, source)
    assert _all(client, 1) == [b"hello"]


def test_a_full_queue_takes_what_it_can_and_the_rest_later(
    pair: tuple[Datagrams, socket.socket],
) -> None:
    client, far = pair
    packets = [b"%d" % number for number in range(BATCH)]
    sent = client.send_packets(*packed(packets))
    assert 0 < sent.taken < BATCH
    assert (sent.error, sent.later, sent.refused) == (errno.EAGAIN, True, False)
    assert client.send_packets(*packed(packets[sent.taken :])) == Sent(0, errno.EAGAIN)
    arrived = _queue(far)
    while len(arrived) < BATCH:
        client.send_packets(*packed(packets[len(arrived) :]))
        arrived += _queue(far)
    assert arrived == packets
    assert client.reported == 0


@pytest.mark.parametrize("error", [errno.EAGAIN, errno.ENOBUFS, errno.ENOMEM])
def test_without_room_the_packet_stays_with_the_caller(
    make: Make, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    # Partway the kernel says it twice: it was not over when the rest was tried.
    with Kernel(monkeypatch, make, [0, 0, error, error]) as kernel:
        sent = kernel.client.send_packets(*packed([b"a", b"b", b"c", b"d"]))
        assert (sent.taken, sent.later, sent.refused, sent.unreachable) == (2, True, False, False)
        assert kernel.arrived(2) == [b"a", b"b"]


@pytest.mark.parametrize("error", [errno.EMSGSIZE, errno.EPERM, errno.EINVAL])
def test_a_packet_that_cannot_be_sent_is_told_from_the_others(
    make: Make, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    with Kernel(monkeypatch, make, [0, error, error]) as kernel:
        sent = kernel.client.send_packets(*packed([b"a", b"b", b"c"]))
        assert (sent, sent.refused, sent.later) == (Sent(1, error), True, False)
        assert sent.unreachable == (error == errno.EPERM)
        kernel.script.clear()
        assert kernel.client.send_packets(*packed([b"c"])) == Sent(1, 0)
        assert kernel.arrived(2) == [b"a", b"c"]


@pytest.mark.parametrize("script", [[errno.ECONNREFUSED], [0, errno.ECONNREFUSED, 0]])
def test_what_the_network_says_of_earlier_packets_is_counted_and_holds_up_nothing(
    make: Make, monkeypatch: pytest.MonkeyPatch, script: list[int]
) -> None:
    with Kernel(monkeypatch, make, list(script)) as kernel:
        assert kernel.client.send_packets(*packed([b"a", b"b", b"c"])) == Sent(3, 0)
        assert kernel.arrived(3) == [b"a", b"b", b"c"]
        assert kernel.client.reported == 1


def test_an_unreachable_network_ends_the_batch(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    with Kernel(monkeypatch, make, [0, errno.ENETUNREACH, errno.ENETUNREACH]) as kernel:
        sent = kernel.client.send_packets(*packed([b"a", b"b", b"c"]))
        assert (sent, sent.reported, sent.refused) == (Sent(1, errno.ENETUNREACH), True, False)
        assert sent.unreachable


def test_one_oversized_packet_does_not_stop_those_around_it(
    client: Datagrams, server: socket.socket
) -> None:
    packets = [b"before", b"x" * 70_000, b"after"]
    sent = client.send_packets(*packed(packets))
    assert (sent, sent.refused) == (Sent(1, errno.EMSGSIZE), True)
    assert client.send_packets(*packed(packets[2:])) == Sent(1, 0)
    assert [server.recv(SLOT_OCTETS), server.recv(SLOT_OCTETS)] == [b"before", b"after"]


def test_a_batch_larger_than_the_buffers_is_sent_all_the_same(
    client: Datagrams, server: socket.socket
) -> None:
    packets = [b"x" * 9000] * 60
    assert len(b"".join(packets)) > BATCH * SLOT_OCTETS
    assert client.send_packets(*packed(packets)) == Sent(60, 0)
    assert {len(server.recv(10_000)) for _ in packets} == {9000}


def test_nobody_there_is_reported_once_whatever_call_comes_next(make: Make) -> None:
    with dead_port() as port, closing(make(open_socket("127.0.0.1", port))) as client:
        assert client.send_packets(*packed([b"a"])) == Sent(1, 0)
        _await(client)
        assert (client.receive(), client.reported) == ([], 1)
        assert (client.receive(), client.reported) == ([], 1)
        client.reported = 0
        assert client.send_packets(*packed([b"a"])) == Sent(1, 0)
        _await(client)
        # On loopback the answer to the first packet is there before the second leaves.
        assert client.send_packets(*packed([b"b", b"c", b"d"])).taken >= 1
        assert client.reported >= 1


def test_an_address_that_cannot_be_reached_leaves_no_socket_open() -> None:
    with pytest.raises(OSError, match=r".+"):
        # Port 0 of an IPv6 address without a scope: refused before anything is sent.
        open_socket("::1%nowhere", 53)
