"""A UDP relay in front of a server on loopback, whose delay and loss change while it runs.

    python -m benchmarks.relay SERVER_PORT SEED

Each line on its standard input sets the conditions: `DELAY_MS LOSS`, the delay of a reply and the
chance that a packet is lost, in either direction. It prints its port as JSON, and the packets seen
and lost when its input ends. Unlike `proxy` it is made for change and not for speed.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from typing import Final, cast

_HOST: Final = "127.0.0.1"


class _Conditions:
    """Delay and loss of packets; `seen` and `lost` count them."""

    def __init__(self, seed: int) -> None:
        self.delay = self.loss = 0.0
        self.seen = self.lost = 0
        self._random = random.Random(seed)  # noqa: S311 - the same conditions in every run

    def is_lost(self) -> bool:
        """Tell whether a packet gets lost."""
        self.seen += 1
        lost = self._random.random() < self.loss
        self.lost += lost
        return lost


class _Far(asyncio.DatagramProtocol):
    """The server's side of one client: its replies go back, later."""

    def __init__(self, conditions: _Conditions, near: _Near, client: tuple[str, int]) -> None:
        self._conditions = conditions
        self._near = near
        self._client = client

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Send a reply to its client."""
        del addr
        if not self._conditions.is_lost():
            loop = asyncio.get_running_loop()
            loop.call_later(self._conditions.delay, self._near.reply, data, self._client)

    def error_received(self, exc: Exception) -> None:
        """Do nothing: a server that is being restarted is silent to the client."""


class _Near(asyncio.DatagramProtocol):
    """The clients' side: each client gets a socket of its own towards the server."""

    def __init__(self, conditions: _Conditions, server_port: int) -> None:
        self._conditions = conditions
        self._server = (_HOST, server_port)
        self._transport: asyncio.DatagramTransport | None = None
        self._ways: dict[tuple[str, int], asyncio.DatagramTransport] = {}
        self._early: dict[tuple[str, int], list[bytes]] = {}
        self._opening: set[asyncio.Task[None]] = set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the socket."""
        self._transport = cast("asyncio.DatagramTransport", transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Send a query on."""
        if self._conditions.is_lost():
            return
        if (way := self._ways.get(addr)) is not None:
            way.sendto(data)
        elif addr in self._early:
            self._early[addr].append(data)
        else:
            self._early[addr] = [data]
            task = asyncio.get_running_loop().create_task(self._open(addr))
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    async def _open(self, client: tuple[str, int]) -> None:
        loop = asyncio.get_running_loop()
        way, _ = await loop.create_datagram_endpoint(
            lambda: _Far(self._conditions, self, client), remote_addr=self._server
        )
        self._ways[client] = way
        for data in self._early.pop(client):
            way.sendto(data)

    def reply(self, data: bytes, client: tuple[str, int]) -> None:
        """Hand a reply to a client."""
        if self._transport is not None:
            self._transport.sendto(data, client)


async def _main(server_port: int, seed: int) -> None:
    loop = asyncio.get_running_loop()
    conditions = _Conditions(seed)
    transport, _ = await loop.create_datagram_endpoint(
        lambda: _Near(conditions, server_port), local_addr=(_HOST, 0)
    )
    print(json.dumps({"port": transport.get_extra_info("sockname")[1]}), flush=True)
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    while line := await lines.readline():
        delay, loss = line.split()
        conditions.delay, conditions.loss = float(delay) / 1000, float(loss)
    print(json.dumps({"seen": conditions.seen, "lost": conditions.lost}), flush=True)


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1]), int(sys.argv[2])))
