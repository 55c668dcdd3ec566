"""A quick authority on loopback whose answers take a while, as those of one far away do.

    with DelayedAuthority(Replies("mail.example.net. A 192.0.2.1"), 0.02) as server:
        ask("127.0.0.1", server.port)

UDP only, for resolvers that have many lookups under way: `faulty` is made for what goes wrong,
and too slow for those. Each question is read by dnspython once, for all servers of one `Replies`.
"""

from __future__ import annotations

import asyncio
import ctypes
import socket
import subprocess
import threading
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Self

import dns.message
import dns.rcode

from support.authority import Authority
from support.data import installed
from support.small_fleet import ZONE

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["DelayedAuthority", "Outage", "Replies", "fleet_replies", "set_link"]

_HEADER: Final = 12
_OPT: Final = b"\x00\x00\x29\x04\xd0\x00\x00\x00\x00\x00\x00"
_START_SECONDS: Final = 10.0
_BUFFER: Final = 4 << 20
_CLONE_NEWNET: Final = 0x40000000


class Replies:
    """The replies of an authority to plain questions; SERVFAIL where `is_broken` says so."""

    def __init__(self, records: str, is_broken: Callable[[str], bool] | None = None) -> None:
        self._authority = Authority.of_text(records)
        self._is_broken = is_broken or (lambda _name: False)
        self._known: dict[bytes, bytes] = {}

    def reply(self, query: bytes) -> bytes:
        """Return the reply to a query."""
        has_opt = query[11] > 0
        # No compression in a question, so the first zero ends the name.
        question = query[_HEADER : query.index(0, _HEADER) + 5]
        known = self._known.get(question.lower())
        if known is None:
            known = self._known[question.lower()] = self._looked_up(query[:10] + b"\0\0" + question)
        flags, counts, rest = known[2:4], known[4:10], known[_HEADER + len(question) :]
        opt = _OPT if has_opt else b""
        return query[:2] + flags + counts + bytes([0, has_opt]) + question + rest + opt

    def _looked_up(self, query: bytes) -> bytes:
        message = dns.message.from_wire(query)
        reply = self._authority.reply(message)
        if self._is_broken(message.question[0].name.to_text(omit_final_dot=True).lower()):
            reply = dns.message.make_response(message)
            reply.set_rcode(dns.rcode.SERVFAIL)
        return reply.to_wire()


@cache
def fleet_replies(is_broken: Callable[[str], bool] | None = None) -> Replies:
    """Return the replies about the small fleet, made when a test first needs them."""
    return Replies(ZONE, is_broken)


class Outage(NamedTuple):
    """So many seconds without answers, after so many queries.

    `kind`: `silent`; `refusing`: nobody listens; `link`: that of the network namespace is down.
    """

    after: int
    seconds: float
    kind: str


class DelayedAuthority:
    """Answers each query after so many seconds, in a thread and an event loop of its own.

    It lives in a network `namespace` if one is named, else where the tests do.
    """

    def __init__(
        self,
        replies: Replies,
        seconds: float,
        *,
        outage: Outage | None = None,
        namespace: str | None = None,
    ) -> None:
        self._replies = replies
        self._seconds = seconds
        self._outage = outage
        self._namespace = namespace
        self.port = 0
        #: Queries that have come in, whether or not they were answered.
        self.queries = 0
        self._is_silent = False
        self._loop = asyncio.new_event_loop()
        self._is_ready = threading.Event()
        self._thread = threading.Thread(target=self._main, name="authority", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._is_ready.wait(_START_SECONDS)
        return self

    def __exit__(self, *error: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(_START_SECONDS)
        assert not self._thread.is_alive()

    def end_outage(self) -> None:
        """Answer again, from a moment on."""
        self._outage = None
        self._is_silent = False

    def _main(self) -> None:
        if self._namespace is not None:
            _enter(self._namespace)
        loop = self._loop
        loop.run_until_complete(self._listen())
        self._is_ready.set()
        loop.run_forever()
        self._transport.close()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()

    async def _listen(self) -> None:
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)
        sock.bind(("127.0.0.1", self.port))
        self.port = sock.getsockname()[1]
        loop = asyncio.get_running_loop()
        self._transport, _ = await loop.create_datagram_endpoint(
            lambda: _Queries(self._answer), sock=sock
        )

    def _answer(self, query: bytes, client: tuple[str, int]) -> None:
        self.queries += 1
        if self._outage is not None and self.queries == self._outage.after:
            self._begin(self._outage)
        if not self._is_silent:
            reply = self._replies.reply(query)
            self._loop.call_later(self._seconds, self._send, reply, client)

    def _send(self, reply: bytes, client: tuple[str, int]) -> None:
        if not self._is_silent:
            self._transport.sendto(reply, client)

    def _begin(self, outage: Outage) -> None:
        self._is_silent = True
        if outage.kind == "refusing":
            self._transport.close()
        elif outage.kind == "link":
            self._set_link("down")
        self._loop.call_later(outage.seconds, self._end, outage)

    def _end(self, outage: Outage) -> None:
        self._is_silent = False
        if outage.kind == "refusing":
            self._listening = self._loop.create_task(self._listen())
        elif outage.kind == "link":
            self._set_link("up")

    def _set_link(self, state: str) -> None:
        assert self._namespace is not None
        set_link(self._namespace, state)


class _Queries(asyncio.DatagramProtocol):
    def __init__(self, answer: Callable[[bytes, tuple[str, int]], None]) -> None:
        self._answer = answer

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._answer(data, addr)


def set_link(namespace: str, state: str) -> None:
    """Take the link of a network namespace up or down."""
    subprocess.run(
        [installed("ip", "iproute2"), "-n", namespace, "link", "set", "lo", state], check=True
    )


def _enter(namespace: str) -> None:
    """Move the thread that calls into a network namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    with Path("/run/netns", namespace).open("rb") as file:
        if libc.setns(file.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
