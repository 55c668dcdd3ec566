"""A UDP proxy between a client and a server on loopback that delays and loses packets.

    python -m benchmarks.proxy SERVER_PORT DELAY_MS LOSS SEED

DELAY_MS is the round-trip time, half of it in each direction; LOSS the chance that an exchange
fails, half of the losses in each direction. Every socket of a client gets a socket of its own
towards the server, so that replies find their client; both are connected, so that packets are
passed in batches. It prints its port, and its counts when it ends.
"""

from __future__ import annotations

import asyncio
import json
import random
import signal
import socket
import sys
from contextlib import suppress
from typing import Final, TypeAlias

import uvloop

from auditor.resolve.bulk.udp.datagram import BATCH, Datagrams, packed
from auditor.resolve.bulk.udp.mmsg import BatchDatagrams, open_datagrams
from benchmarks.queueing import Delay

_HOST: Final = "127.0.0.1"
_BUFFER: Final = 4 << 20
_BATCHES: Final = 8
_Batch: TypeAlias = "tuple[Datagrams, list[bytes]]"


class _Way:
    """One direction: packets that are not lost are passed on after the delay."""

    def __init__(self, seconds: float, loss: float, seed: int) -> None:
        self.seen = 0
        self.lost = 0
        self.refused = 0
        self._loss = loss
        self._random = random.Random(seed)  # noqa: S311 - the same losses in every run
        self._delay: Delay[_Batch] = Delay(seconds, self._pass)

    def put(self, packets: list[bytes], onward: Datagrams) -> None:
        """Take a batch to send from a socket."""
        self.seen += len(packets)
        if self._loss:
            chance, loss = self._random.random, self._loss
            kept = [packet for packet in packets if chance() >= loss]
            self.lost += len(packets) - len(kept)
            packets = kept
        if packets:
            self._delay.put((onward, packets))

    def _pass(self, batch: _Batch) -> None:
        onward, packets = batch
        sent = onward.send_packets(*packed(packets))
        # Packets that do not fit into the socket's buffer are lost, as on any router.
        self.refused += len(packets) - sent.taken


class _Proxy:
    """The socket for new clients, and a pair of connected ones for each client."""

    def __init__(self, server_port: int, delay: float, loss: float, seed: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._server_port = server_port
        each = 1 - (1 - loss) ** 0.5
        self._there = _Way(delay / 2, each, seed)
        self._back = _Way(delay / 2, each, seed + 1)
        self._pairs: dict[tuple[str, int], tuple[Datagrams, Datagrams]] = {}
        self._front = self._listen(0)
        self.port: int = self._front.getsockname()[1]
        self._loop.add_reader(self._front, self._greet, self._front)

    def _listen(self, port: int) -> socket.socket:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.settimeout(0)
        # Several sockets on one port: the one connected to the sender comes first.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        sock.bind((_HOST, port))
        return sock

    def _greet(self, sock: socket.socket) -> None:
        """Pass on packets of clients that have no socket of their own yet."""
        with suppress(BlockingIOError, ConnectionRefusedError):
            while True:
                packet, client = sock.recvfrom(2048)
                if client not in self._pairs:
                    self._pairs[client] = self._connect(client)
                self._there.put([packet], self._pairs[client][1])

    def _connect(self, client: tuple[str, int]) -> tuple[Datagrams, Datagrams]:
        sock = self._listen(self.port)
        sock.connect(client)
        near: Datagrams = BatchDatagrams(sock)
        upstream = open_datagrams(_HOST, self._server_port)
        # Between bind and connect, others' packets may have landed here.
        self._pairs[client] = (near, upstream)
        self._greet(sock)
        self._loop.add_reader(near.sock, self._carry, near, upstream, self._there)
        self._loop.add_reader(upstream.sock, self._carry, upstream, near, self._back)
        return near, upstream

    def _carry(self, source: Datagrams, onward: Datagrams, way: _Way) -> None:
        for _ in range(_BATCHES):
            packets = source.receive()
            if packets:
                way.put(packets, onward)
            if len(packets) < BATCH:
                return

    def seen(self) -> dict[str, int]:
        """Return the counts of packets so far."""
        ways = {"queries": self._there, "replies": self._back}
        counts = {name: way.seen for name, way in ways.items()}
        counts |= {f"lost_{name}": way.lost for name, way in ways.items()}
        return counts | {"refused": sum(way.refused for way in ways.values())}


async def _main() -> None:
    port, delay, loss, seed = sys.argv[1:5]
    proxy = _Proxy(int(port), float(delay) / 1000, float(loss), int(seed))
    end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end.set)
    print(json.dumps({"port": proxy.port}), flush=True)
    await end.wait()
    print(json.dumps(proxy.seen()), flush=True)


if __name__ == "__main__":
    uvloop.run(_main())
