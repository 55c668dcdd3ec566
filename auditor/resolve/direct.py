"""Queries single name servers by address, without recursion (RD clear).

For the few questions about delegations and servers; engines handle all others. The whole message
is returned (`ServerReply`), with AA, RA and the authority section. Concurrent and repeated
questions share one query, at a bounded rate for each server, over UDP, and over TCP if the reply
is truncated (RFC 7766 §5).
"""

from __future__ import annotations

import asyncio
import errno
import random
import struct
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from auditor.errors import WireError
from auditor.resolve.response import matches
from auditor.wire.codes import (
    FORMERR,
    MALFORMED,
    NOTIMP,
    TIMEOUT,
    TRUNCATED,
    UNREACHABLE,
    rcode_status,
)
from auditor.wire.message import Message, decode_message, encode_query
from auditor.wire.names import encode_name

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.resolve.answer import Answer, Question
    from auditor.resolve.resolver import CachingResolver

__all__ = ["NOT_ASKED", "NO_ROUTE", "ServerAsker", "ServerQuestion", "ServerReply", "answer_both"]

#: The status if this machine has no route to the server's address family.
NO_ROUTE: Final = "NO_ROUTE"
#: The status if answers come from zone files, so that no server is queried.
NOT_ASKED: Final = "NOT_ASKED"

#: Most queries a second to one server, and most in flight to it.
SERVER_QPS: Final = 100.0
_MAX_PER_SERVER: Final = 8
#: Most queries in flight to all servers together.
_MAX_IN_FLIGHT: Final = 256
#: Most replies kept for repeated questions.
_MAX_KEPT_REPLIES: Final = 16_384
_LENGTH: Final = struct.Struct("!H")
_NO_ROUTE: Final = frozenset(
    {errno.ENETUNREACH, errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EACCES, errno.EPERM}
)


class ServerQuestion(NamedTuple):
    """A question for the server at an address."""

    address: str
    question: Question


class ServerReply(NamedTuple):
    """A server's reply: a status as in `Answer`, and the message, None without a reply."""

    status: str
    message: Message | None = None


class _Server:
    """State of one server: its rate limit, and whether it has ever replied."""

    def __init__(self) -> None:
        self.slots = asyncio.Semaphore(_MAX_PER_SERVER)
        self.next_send = 0.0
        self.has_replied = False
        self.is_silent = False


class ServerAsker:
    """Queries name servers directly: `port` of all servers, `qps` queries a second to each.

    `timeout`: seconds for one try; `tries`: most queries for one question.
    """

    def __init__(self, *, port: int, timeout: float, tries: int, qps: float | None = None) -> None:
        self.sent = 0
        self._port = port
        self._timeout = timeout
        self._tries = tries
        self._interval = 1 / (qps or SERVER_QPS)
        self._servers: dict[str, _Server] = {}
        self._in_flight = asyncio.Semaphore(_MAX_IN_FLIGHT)
        self._asked: dict[ServerQuestion, asyncio.Task[ServerReply]] = {}

    async def ask_many(self, questions: Sequence[ServerQuestion]) -> list[ServerReply]:
        """Return the servers' replies, in the order asked. Failures are statuses."""
        if len(self._asked) > _MAX_KEPT_REPLIES:
            self._asked = {
                question: task for question, task in self._asked.items() if not task.done()
            }
        for asked in questions:
            if asked not in self._asked:
                self._asked[asked] = asyncio.ensure_future(self._ask(asked))
        return list(await asyncio.gather(*(self._asked[asked] for asked in questions)))

    def forget_replies(self) -> None:
        """Forget all replies: repeated questions are sent again."""
        self._asked = {asked: task for asked, task in self._asked.items() if not task.done()}

    async def close(self) -> None:
        """Cancel all queries in flight."""
        for task in self._asked.values():
            task.cancel()
        await asyncio.gather(*self._asked.values(), return_exceptions=True)

    async def _ask(self, asked: ServerQuestion) -> ServerReply:
        try:
            encode_name(asked.question.name)
        except WireError:
            return ServerReply(MALFORMED)  # an invalid name, read from an edited file
        server = self._servers.setdefault(asked.address, _Server())
        async with server.slots, self._in_flight:
            reply = ServerReply(TIMEOUT)
            edns: int | None = 1232
            # A server that has never replied gets one try for each further question.
            for _ in range(1 if server.is_silent and not server.has_replied else self._tries):
                reply = await self._try(server, asked, edns)
                if reply.status in {FORMERR, NOTIMP} and edns is not None:
                    edns = None  # no EDNS support (RFC 6891 §7)
                elif reply.status not in {TIMEOUT, MALFORMED}:
                    break
            if reply.message is not None:
                server.has_replied = True
            elif reply.status == TIMEOUT:
                server.is_silent = True
            return reply

    async def _try(self, server: _Server, asked: ServerQuestion, edns: int | None) -> ServerReply:
        await self._wait_for_turn(server)
        self.sent += 1
        qid = random.SystemRandom().getrandbits(16)
        name, rdtype = asked.question
        query = encode_query(qid, encode_name(name), rdtype, recurse=False, edns_size=edns)
        try:
            async with asyncio.timeout(self._timeout):
                reply = await self._over_udp(query, qid, asked)
                if reply.status == TRUNCATED:
                    reply = await self._over_tcp(query, qid, asked)
                return reply
        except TimeoutError:
            return ServerReply(TIMEOUT)
        except OSError as error:
            return ServerReply(NO_ROUTE if error.errno in _NO_ROUTE else UNREACHABLE)

    async def _wait_for_turn(self, server: _Server) -> None:
        now = asyncio.get_running_loop().time()
        turn = max(now, server.next_send)
        server.next_send = turn + self._interval
        if turn > now:
            await asyncio.sleep(turn - now)

    async def _over_udp(self, query: bytes, qid: int, asked: ServerQuestion) -> ServerReply:
        loop = asyncio.get_running_loop()
        replied: asyncio.Future[ServerReply] = loop.create_future()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _ReplyProtocol(replied, qid, asked.question),
            remote_addr=(asked.address, self._port),
        )
        try:
            transport.sendto(query)
            return await replied
        finally:
            transport.close()

    async def _over_tcp(self, query: bytes, qid: int, asked: ServerQuestion) -> ServerReply:
        reader, writer = await asyncio.open_connection(asked.address, self._port)
        try:
            writer.write(_LENGTH.pack(len(query)) + query)
            (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
            return _decode_reply(
                await reader.readexactly(length), qid, asked.question
            ) or ServerReply(MALFORMED)
        except asyncio.IncompleteReadError:
            return ServerReply(UNREACHABLE)
        finally:
            writer.close()


class _ReplyProtocol(asyncio.DatagramProtocol):
    """Waits on a connected socket for the reply to one query; ignores other datagrams."""

    def __init__(self, replied: asyncio.Future[ServerReply], qid: int, question: Question) -> None:
        self._replied = replied
        self._qid = qid
        self._question = question

    def datagram_received(self, data: bytes, addr: Any) -> None:
        del addr
        reply = _decode_reply(data, self._qid, self._question)
        if reply is not None and not self._replied.done():
            self._replied.set_result(reply)

    def error_received(self, exc: Exception) -> None:
        if not self._replied.done():
            self._replied.set_exception(exc)


def _decode_reply(data: bytes, qid: int, question: Question) -> ServerReply | None:
    """Decode a message; return None if it is not a reply to this query."""
    try:
        message = decode_message(data)
    except WireError:
        # With the ID of the query it is a malformed reply.
        return ServerReply(MALFORMED) if data[:2] == _LENGTH.pack(qid) else None
    if message.id != qid:
        return None
    bare = message.is_reply and not message.question
    if not (matches(message, question) or (bare and message.rcode)):
        return None
    if message.truncated:
        return ServerReply(TRUNCATED, message)
    return ServerReply(rcode_status(message.rcode), message)


async def answer_both(
    resolver: CachingResolver,
    asker: ServerAsker | None,
    asked: Sequence[Question | ServerQuestion],
) -> list[Answer | ServerReply]:
    """Answer questions for a resolver and for single servers, in the order asked.

    Without an asker, questions for servers have the status NOT_ASKED.
    """
    to_servers = [question for question in asked if isinstance(question, ServerQuestion)]
    others = [question for question in asked if not isinstance(question, ServerQuestion)]
    if asker is None:
        replies, answers = (
            [ServerReply(NOT_ASKED)] * len(to_servers),
            await resolver.resolve_many(others),
        )
    else:
        replies, answers = await asyncio.gather(
            asker.ask_many(to_servers), resolver.resolve_many(others)
        )
    from_servers, from_resolver = iter(replies), iter(answers)
    return [
        next(from_servers) if isinstance(question, ServerQuestion) else next(from_resolver)
        for question in asked
    ]
