"""What only the batched calls of Linux do: many packets as one, and what the kernel says."""

from __future__ import annotations

import errno
import select
import socket
import sys
import threading
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest
from support.libc_calls import MODULE, made

from auditor.resolve.bulk.udp import mmsg as batched
from auditor.resolve.bulk.udp.datagram import (
    BATCH,
    SLOT_OCTETS,
    LoopDatagrams,
    Sent,
    open_socket,
    packed,
)
from auditor.resolve.bulk.udp.mmsg import BatchDatagrams, open_datagrams

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the batched calls are Linux's")


@pytest.fixture(params=["127.0.0.1", "::1"])
def server(request: pytest.FixtureRequest) -> Iterator[socket.socket]:
    """Give a socket for the other end, of each address family."""
    family = socket.AF_INET6 if ":" in request.param else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        try:
            sock.bind((request.param, 0))
        except OSError:
            pytest.skip(f"no {request.param} here")
        sock.settimeout(5.0)
        yield sock


def _await(client: BatchDatagrams) -> list[bytes]:
    assert select.select([client.sock], [], [], 5.0)[0], "nothing arrives"
    return client.receive()


def test_an_interrupted_call_is_made_again(
    monkeypatch: pytest.MonkeyPatch, server: socket.socket
) -> None:
    # The loop's calls are made again by Python itself (PEP 475).
    with closing(BatchDatagrams(open_socket(*server.getsockname()[:2]))) as client:
        libc = client._libc
        for name in ("sendmmsg", "recvmmsg"):
            monkeypatch.setattr(libc, name, _interrupted(libc, getattr(libc, name)))
        assert client.send_packets(*packed([b"a"])) == Sent(1, 0)
        data, source = server.recvfrom(SLOT_OCTETS)
        server.sendto(data, source)
        assert _await(client) == [b"a"]


def _interrupted(libc: Any, call: Callable[..., int]) -> Callable[..., int]:
    """Return a system call that is interrupted the first time."""
    times = iter((True,))

    def interrupted(*args: Any) -> int:
        if next(times, False):
            libc.ffi.errno = errno.EINTR
            return -1
        return call(*args)

    return interrupted


def test_threads_do_not_share_buffers() -> None:
    found: list[object] = []
    thread = threading.Thread(target=lambda: found.append(batched._load_libc()))
    thread.start()
    thread.join()
    assert found[0] is not batched._load_libc()
    assert batched._load_libc() is batched._load_libc()


@pytest.mark.parametrize("error", [ImportError, OSError, AttributeError])
def test_without_the_calls_in_libc_the_loop_takes_over(
    monkeypatch: pytest.MonkeyPatch, server: socket.socket, error: type[Exception]
) -> None:
    def missing() -> None:
        raise error

    to = server.getsockname()[:2]
    with closing(open_datagrams(*to)) as client:
        assert isinstance(client, BatchDatagrams)
    monkeypatch.setattr(batched, "_load_libc", missing)
    with closing(open_datagrams(*to)) as client:
        assert isinstance(client, LoopDatagrams)


class Watched:
    """The kernel's call to send, with what it is given: packets in one piece, to be cut or not.

    `errors` are said to the first attempts to send what is to be cut.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *errors: int) -> None:
        self.libc = batched._load_libc()
        self.errors = list(errors)
        self.cut: list[int] = []
        self.whole: list[int] = []
        self._real = self.libc.sendmmsg
        monkeypatch.setattr(self.libc, "sendmmsg", self._sendmmsg)

    def _sendmmsg(self, handle: int, vector: Any, count: int, flags: int) -> int:
        cut = self.libc.out_segmented <= vector < self.libc.out_segmented + BATCH
        (self.cut if cut else self.whole).append(count)
        if cut and self.errors:
            self.libc.ffi.errno = self.errors.pop(0)
            return -1
        return int(self._real(handle, vector, count, flags))


@pytest.fixture
def cutting(server: socket.socket) -> Iterator[BatchDatagrams]:
    with closing(BatchDatagrams(open_socket(*server.getsockname()[:2]))) as client:
        if not client._segments_supported:
            pytest.skip("this kernel does not cut datagrams (UDP_SEGMENT)")
        yield client


def test_neighbours_of_one_length_leave_together_and_arrive_apart(
    cutting: BatchDatagrams, server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    packets = [b"%03d" % at for at in range(100)] + [b"longer %d" % at for at in range(5)] + [b""]
    watched = Watched(monkeypatch)
    assert cutting.send_packets(*packed(packets)) == Sent(106, 0)
    assert (watched.cut, watched.whole) == ([4], [])  # 64, 36, 5 and the one without octets
    assert [server.recv(SLOT_OCTETS) for _ in packets] == packets


@pytest.mark.parametrize("error", [errno.EIO, errno.EINVAL])
def test_where_nothing_can_be_cut_packets_leave_one_by_one_from_then_on(
    cutting: BatchDatagrams, server: socket.socket, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    packets = [b"%03d" % at for at in range(70)]
    watched = Watched(monkeypatch, error)
    assert cutting.send_packets(*packed(packets)) == Sent(70, 0)
    assert cutting.send_packets(*packed(packets[:2])) == Sent(2, 0)
    assert (watched.cut, watched.whole) == ([2], [70, 2])
    assert [server.recv(SLOT_OCTETS) for _ in range(72)] == packets + packets[:2]


def test_what_is_wrong_with_one_of_many_shows_when_they_leave_one_by_one(
    cutting: BatchDatagrams, server: socket.socket, monkeypatch: pytest.MonkeyPatch
) -> None:
    packets = [b"%03d" % at for at in range(10)]
    watched = Watched(monkeypatch, errno.EMSGSIZE)
    assert cutting.send_packets(*packed(packets)) == Sent(10, 0)
    assert (watched.cut, watched.whole) == ([1], [10])
    assert cutting.send_packets(*packed(packets)) == Sent(10, 0)
    assert watched.cut == [1, 1]
    assert [server.recv(SLOT_OCTETS) for _ in range(20)] == packets * 2


@pytest.mark.parametrize("error", [errno.EAGAIN, errno.ENOBUFS])
def test_without_room_for_many_none_of_them_leaves(
    cutting: BatchDatagrams, monkeypatch: pytest.MonkeyPatch, error: int
) -> None:
    Watched(monkeypatch, error)
    assert cutting.send_packets(*packed([b"abc"] * 70)) == Sent(0, error)


def test_a_kernel_that_cuts_nothing_is_known_at_once() -> None:
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    with far, closing(BatchDatagrams(near)) as client:
        assert not client._segments_supported
        assert client.send_packets(*packed([b"abc"] * 3)) == Sent(3, 0)
        assert [far.recv(SLOT_OCTETS) for _ in range(3)] == [b"abc"] * 3


def test_the_calls_are_those_that_are_declared() -> None:
    # The first line of cffi's own says which version of its format that is.
    def told(text: str) -> list[str]:
        return [line for line in text.splitlines() if "_version" not in line]

    why = "not as made by: python tests/support/libc_calls.py"
    assert told(MODULE.read_text("utf-8")) == told(made()), why
