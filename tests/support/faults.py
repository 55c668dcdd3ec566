"""What a faulty server can do with a query: whole replies, false ones, none.

Every action is a coroutine function that takes the `Exchange`: one query and the means to
reply to it. `faulty` holds the server that receives the queries, and the plans that choose.
"""

from __future__ import annotations

import asyncio
import random
import struct
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdatatype
import dns.rrset

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from support.authority import Authority

__all__ = [
    "Action",
    "Exchange",
    "Gate",
    "Held",
    "answer",
    "answer_from_another_port",
    "case_changed",
    "close",
    "compression_loop",
    "corrupt",
    "cut",
    "delay",
    "echo",
    "empty",
    "extended_error",
    "formerr_to_edns",
    "garbage",
    "hold",
    "invent",
    "many",
    "rcode",
    "referral",
    "silent_to_edns",
    "truncate",
    "truncate_with_data",
    "wrong_counts",
    "wrong_id",
    "wrong_question",
]

_HEADER: Final = struct.Struct("!HHHHHH")
_PLAIN_DNS: Final = 512  # RFC 1035 §4.2.1: the most a client without EDNS takes over UDP

#: Replies that wait to be overtaken: how to send them, and what.
Held: TypeAlias = "list[tuple[Callable[[bytes], None], bytes]]"


class Exchange(NamedTuple):
    """One query. `transport` is `udp` or `tcp`; `send` frames what goes over TCP.

    `send_elsewhere` sends over UDP from a port that was not asked; `close` ends the TCP
    connection and does nothing over UDP.
    """

    authority: Authority
    wire: bytes
    query: dns.message.Message
    transport: str
    held: Held
    send: Callable[[bytes], None]
    send_elsewhere: Callable[[bytes], None]
    close: Callable[[], None]

    def message(self) -> dns.message.Message:
        """Return the right reply."""
        return self.authority.reply(self.query)

    def pack(self, message: dns.message.Message) -> bytes:
        """Return a reply's octets, without data and with TC if it is too long for UDP."""
        limit = 65535
        if self.transport == "udp":
            limit = max(self.query.payload if self.query.edns >= 0 else 0, _PLAIN_DNS)
        try:
            # dnspython shuffles the records, and the same answer is to be the same octets.
            return message.to_wire(max_size=limit, want_shuffle=False)
        except dns.exception.TooBig:
            return self.bare(dns.flags.TC)

    def bare(self, flags: int = 0) -> bytes:
        """Return a NOERROR reply without a record."""
        message = dns.message.make_response(self.query)
        message.flags |= flags
        return message.to_wire()


Action: TypeAlias = "Callable[[Exchange], Awaitable[None]]"


# --- Whole replies


async def answer(exchange: Exchange) -> None:
    """Say what the zones say."""
    exchange.send(exchange.pack(exchange.message()))
    for send, wire in exchange.held:
        send(wire)
    exchange.held.clear()


async def answer_from_another_port(exchange: Exchange) -> None:
    """Send the right reply from a port that was never asked."""
    exchange.send_elsewhere(exchange.pack(exchange.message()))


async def hold(exchange: Exchange) -> None:
    """Keep the right reply back until the next `answer`, which overtakes it."""
    exchange.held.append((exchange.send, exchange.pack(exchange.message())))


def rcode(name: str) -> Action:
    """Reply with an RCODE, such as `SERVFAIL`, and nothing else."""

    async def action(exchange: Exchange) -> None:
        message = dns.message.make_response(exchange.query)
        message.set_rcode(dns.rcode.from_text(name))
        exchange.send(message.to_wire())

    return action


def extended_error(code: int, text: str = "", name: str = "SERVFAIL") -> Action:
    """Reply with an RCODE and an extended error (RFC 8914)."""

    async def action(exchange: Exchange) -> None:
        message = dns.message.make_response(exchange.query)
        message.use_edns(0, options=[dns.edns.EDEOption(dns.edns.EDECode(code), text or None)])
        message.set_rcode(dns.rcode.from_text(name))
        exchange.send(message.to_wire())

    return action


async def formerr_to_edns(exchange: Exchange) -> None:
    """Act as a server from before EDNS (RFC 6891 §7): FORMERR, by the header alone."""
    if exchange.query.edns < 0:
        await answer(exchange)
        return
    flags = dns.flags.QR | dns.rcode.FORMERR
    exchange.send(_HEADER.pack(exchange.query.id, flags, 0, 0, 0, 0))


async def silent_to_edns(exchange: Exchange) -> None:
    """Act as behind a firewall that drops EDNS."""
    if exchange.query.edns < 0:
        await answer(exchange)


async def truncate(exchange: Exchange) -> None:
    """Set TC over UDP and give no data; answer over TCP."""
    if exchange.transport == "udp":
        exchange.send(exchange.bare(dns.flags.TC))
    else:
        await answer(exchange)


async def truncate_with_data(exchange: Exchange) -> None:
    """Set TC over UDP beside the first record of each RRset; answer over TCP."""
    message = exchange.message()
    if exchange.transport == "udp":
        message.answer = [dns.rrset.from_rdata(r.name, r.ttl, r[0]) for r in message.answer]
        message.flags |= dns.flags.TC
    exchange.send(exchange.pack(message))


async def empty(exchange: Exchange) -> None:
    """Reply NOERROR with no record in any section, not even an SOA."""
    exchange.send(exchange.bare())


async def referral(exchange: Exchange) -> None:
    """Refer to another server for the parent of the name, as a lame one does."""
    message = dns.message.make_response(exchange.query)
    parent = exchange.query.question[0].name.parent()
    message.authority.append(dns.rrset.from_text(parent, 300, "IN", "NS", "ns.invalid."))
    exchange.send(message.to_wire())


def many(count: int) -> Action:
    """Answer with `count` records, where the type is PTR, A or TXT."""

    async def action(exchange: Exchange) -> None:
        question = exchange.query.question[0]
        rdtype = dns.rdatatype.to_text(question.rdtype)
        shape = {"A": "10.{0}.{1}.1", "PTR": "host-{0}-{1}.example.net.", "TXT": '"{0} {1}"'}
        data = [shape[rdtype].format(*divmod(number, 256)) for number in range(count)]
        message = dns.message.make_response(exchange.query)
        message.answer.append(dns.rrset.from_text_list(question.name, 300, "IN", rdtype, data))
        exchange.send(exchange.pack(message))

    return action


def invent(record: str) -> Action:
    """Answer every question with this RDATA: a server that makes names up."""

    async def action(exchange: Exchange) -> None:
        question = exchange.query.question[0]
        message = dns.message.make_response(exchange.query)
        rdtype = dns.rdatatype.to_text(question.rdtype)
        message.answer.append(dns.rrset.from_text(question.name, 300, "IN", rdtype, record))
        exchange.send(message.to_wire())

    return action


# --- Replies that are not replies


async def wrong_id(exchange: Exchange) -> None:
    """Send the right reply with another ID."""
    wire = exchange.pack(exchange.message())
    exchange.send(struct.pack("!H", exchange.query.id ^ 0x5555) + wire[2:])


async def wrong_question(exchange: Exchange) -> None:
    """Answer properly what was not asked: a name with its first letter replaced."""
    wire = bytearray(exchange.pack(exchange.message()))
    wire[_HEADER.size + 1] = ord("y" if chr(wire[_HEADER.size + 1]) in "xX" else "x")
    exchange.send(bytes(wire))


async def case_changed(exchange: Exchange) -> None:
    """Send the right reply with the letters of the question in the other case."""
    wire = exchange.pack(exchange.message())
    end = _question_end(wire) - 4
    exchange.send(wire[: _HEADER.size] + wire[_HEADER.size : end].swapcase() + wire[end:])


async def echo(exchange: Exchange) -> None:
    """Send the query back as it is (QR=0)."""
    exchange.send(exchange.wire)


def garbage(data: bytes) -> Action:
    """Send these octets."""

    async def action(exchange: Exchange) -> None:
        exchange.send(data)

    return action


def cut(octets: int) -> Action:
    """Send the right reply without its last octets."""

    async def action(exchange: Exchange) -> None:
        exchange.send(exchange.pack(exchange.message())[:-octets])

    return action


async def compression_loop(exchange: Exchange) -> None:
    """Answer with an owner name that points at itself."""
    question = exchange.wire[_HEADER.size : _question_end(exchange.wire)]
    start = _HEADER.size + len(question)
    record = struct.pack("!HHHIH", 0xC000 | start, 12, 1, 300, 2) + struct.pack(
        "!H", 0xC000 | start
    )
    header = _HEADER.pack(exchange.query.id, dns.flags.QR | dns.flags.AA, 1, 1, 0, 0)
    exchange.send(header + question + record)


async def wrong_counts(exchange: Exchange) -> None:
    """Claim 65,535 answers where there is one at most."""
    wire = exchange.pack(exchange.message())
    exchange.send(wire[:6] + b"\xff\xff" + wire[8:])


def corrupt(seed: int) -> Action:
    """Send the right reply with one octet changed."""

    async def action(exchange: Exchange) -> None:
        wire = bytearray(exchange.pack(exchange.message()))
        chance = random.Random(f"{seed} {exchange.wire[2:].hex()}")
        wire[chance.randrange(len(wire))] ^= chance.randrange(1, 256)
        exchange.send(bytes(wire))

    return action


# --- Time and connections


class Gate:
    """What `delay` waits for. Any thread may open it, once and for all."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._waiting: list[tuple[asyncio.AbstractEventLoop, asyncio.Event]] = []
        self._open = False

    def open(self) -> None:
        """Let everything through that waits, and that will come."""
        with self._lock:
            self._open = True
            for loop, event in self._waiting:
                with suppress(RuntimeError):  # the server is gone
                    loop.call_soon_threadsafe(event.set)

    async def wait(self) -> None:
        """Return when it is open."""
        event = asyncio.Event()
        with self._lock:
            if self._open:
                return
            self._waiting.append((asyncio.get_running_loop(), event))
        await event.wait()


def delay(until: Gate | float) -> Action:
    """Wait for a gate, or for seconds, before the actions that follow."""

    async def action(_exchange: Exchange) -> None:
        if isinstance(until, Gate):
            await until.wait()
        else:
            await asyncio.sleep(until)

    return action


async def close(exchange: Exchange) -> None:
    """Close the TCP connection; over UDP nothing."""
    exchange.close()


def _question_end(wire: bytes) -> int:
    offset = _HEADER.size
    while wire[offset]:
        offset += wire[offset] + 1
    return offset + 5  # the root label, type and class
