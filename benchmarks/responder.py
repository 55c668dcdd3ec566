"""A name server of the benchmark's own for 20.0.0.0/8, with failures for some of its names.

    python -m benchmarks.responder KIND LAYOUT PERCENT [DELAY_MS [MOST]]

It has the hosts of `material`: PTR for each address, A for each name, no TXT. PERCENT of the
addresses fail: KIND `servfail` answers SERVFAIL after five seconds, as a recursor does whose
queries time out; `silent` does not answer. LAYOUT `zones` makes whole /24s fail, `scattered`
single addresses, evenly in each /24. Other replies take DELAY_MS. Of each second's queries all but
the first MOST are dropped. It prints its port, and at its end, how long it took from the first
question about a healthy address to the last one of all and to the last one of 99 % of them.
"""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import struct
import sys
from typing import Final, NamedTuple

import uvloop

from benchmarks.material import PAIRS
from benchmarks.queueing import Delay

_HOST: Final = "127.0.0.1"
_BUFFER: Final = 8 << 20
_READS: Final = 256
_LATE: Final = 5.0

_A: Final = b"\x00\x01\x00\x01"
_PTR: Final = b"\x00\x0c\x00\x01"
_REVERSE: Final = b"\x0220\x07in-addr\x04arpa\x00"
_FORWARD: Final = b"\x03isp\x03net\x00"
_LABEL: Final = 12

_ONE: Final = b"\x84\x00\x00\x01\x00\x01\x00\x00\x00\x00"
_NODATA: Final = b"\x84\x00\x00\x01\x00\x00\x00\x01\x00\x00"
_NXDOMAIN: Final = b"\x84\x03\x00\x01\x00\x00\x00\x01\x00\x00"
_SERVFAIL: Final = b"\x80\x02\x00\x01\x00\x00\x00\x00\x00\x00"
_REFUSED: Final = b"\x80\x05\x00\x01\x00\x00\x00\x00\x00\x00"
_TTL: Final = struct.pack(">I", 3600)
_NAMES: Final = b"\x02ns" + _FORWARD + b"\x0ahostmaster" + _FORWARD
_SOA: Final = (
    b"\x00\x06\x00\x01"
    + _TTL
    + struct.pack(">H", len(_NAMES) + 20)
    + _NAMES
    + struct.pack(">5I", 1, 3600, 600, 86400, 300)
)

#: Letters of an octet by its decimal label, and octets by their letters.
_LETTERS: Final = {str(octet).encode(): pair.encode() for octet, pair in enumerate(PAIRS)}
_OCTETS: Final = {pair.encode(): bytes([octet]) for octet, pair in enumerate(PAIRS)}


class _Failing(NamedTuple):
    """Which addresses fail: `percent` of them, in whole /24s or one by one."""

    kind: str
    layout: str
    percent: int

    def has(self, second: int, third: int, fourth: int) -> bool:
        """Whether 20.`second`.`third`.`fourth` fails."""
        place = fourth + third if self.layout == "scattered" else third + 256 * second
        # Evenly: as often as the running share of `percent` passes a whole number.
        return (place + 1) * self.percent // 100 > place * self.percent // 100


class _Responder:
    """One socket, and a reply made for each question."""

    def __init__(self, failing: _Failing, delay: float = 0.0, most: int = 0) -> None:
        self._sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._sock.settimeout(0)
        for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            self._sock.setsockopt(socket.SOL_SOCKET, option, _BUFFER)
        self._sock.bind((_HOST, 0))
        self.port: int = self._sock.getsockname()[1]
        self._failing = failing
        self._most = most
        self._second = self._taken = 0
        self._late: Delay[tuple[bytes, tuple[str, int]]] = Delay(_LATE, self._send)
        self._sound: Delay[tuple[bytes, tuple[str, int]]] = Delay(delay, self._send)
        self._failing_hosts = {
            (second, third, fourth)
            for second in (30, 31)
            for third in range(256)
            for fourth in range(256)
            if failing.has(second, third, fourth)
        }
        #: When each healthy host was last asked about, by the letters of its name.
        self.asked: dict[bytes, float] = {}
        self.queries = self.failing_queries = 0
        self.first = 0.0
        loop = asyncio.get_running_loop()
        self._now = loop.time
        loop.add_reader(self._sock, self._read)

    def _read(self) -> None:
        receive = self._sock.recvfrom
        try:
            for _ in range(_READS):
                packet, client = receive(2048)
                self._answer(packet, client)
        except (BlockingIOError, ConnectionRefusedError):
            return

    def _send(self, reply: tuple[bytes, tuple[str, int]]) -> None:
        try:
            self._sock.sendto(*reply)
        except (BlockingIOError, ConnectionRefusedError):
            return  # lost, as on a network

    def _answer(self, packet: bytes, client: tuple[str, int]) -> None:
        self.queries += 1
        if self._most and self._is_too_much():
            return
        end = packet.find(b"\x00", 12) + 5
        question = packet[12:end]
        # The case of the letters is echoed, as the client chose it (0x20).
        name, kind = question[:-4].lower(), question[-4:]
        if name.endswith(_REVERSE):
            reply = self._reverse(packet, question, name, kind, client)
        elif len(name) == 1 + _LABEL + len(_FORWARD) and name.endswith(_FORWARD):
            self.asked[name[1 : 1 + _LABEL]] = self._now()
            reply = _forward(packet, question, name, kind)
        elif name == b"\x00":
            reply = packet[:2] + _REFUSED + question  # it is not a root server
        else:
            reply = packet[:2] + _NXDOMAIN + question + _FORWARD + _SOA
        if reply:
            self._sound.put((reply, client))

    def _is_too_much(self) -> bool:
        """Count a query; tell whether it exceeds the limit of this second."""
        second = int(self._now())
        if second != self._second:
            self._second, self._taken = second, 0
        self._taken += 1
        return self._taken > self._most

    def _reverse(
        self, packet: bytes, question: bytes, name: bytes, kind: bytes, client: tuple[str, int]
    ) -> bytes:
        # Three labels of digits: no octet in them is a length that looks like one.
        fourth_end = 1 + name[0]
        third_end = fourth_end + 1 + name[fourth_end]
        second_end = third_end + 1 + name[third_end]
        labels = (
            name[1:fourth_end],
            name[fourth_end + 1 : third_end],
            name[third_end + 1 : second_end],
        )
        if kind != _PTR or not all(label in _LETTERS for label in labels):
            return packet[:2] + _NXDOMAIN + question + _REVERSE + _SOA
        fourth, third, second = labels
        if (int(second), int(third), int(fourth)) in self._failing_hosts:
            self.failing_queries += 1
            if self._failing.kind == "servfail":
                self._late.put((packet[:2] + _SERVFAIL + question, client))
            return b""
        letters = _LETTERS[second] + _LETTERS[third] + _LETTERS[fourth]
        self.asked[letters] = self._now()
        if not self.first:
            self.first = self.asked[letters]
        host = bytes([_LABEL]) + letters + _FORWARD
        record = b"\xc0\x0c" + kind + _TTL + struct.pack(">H", len(host)) + host
        return packet[:2] + _ONE + question + record


def _forward(packet: bytes, question: bytes, name: bytes, kind: bytes) -> bytes:
    if kind != _A:
        return packet[:2] + _NODATA + question + _FORWARD + _SOA
    octets = [_OCTETS.get(name[start : start + 4]) for start in (1, 5, 9)]
    if None in octets:
        return packet[:2] + _NXDOMAIN + question + _FORWARD + _SOA
    address = b"\x14" + b"".join(octet for octet in octets if octet)
    return packet[:2] + _ONE + question + b"\xc0\x0c" + kind + _TTL + b"\x00\x04" + address


async def _main() -> None:
    kind, layout, percent, delay, most = [*sys.argv[1:], "0", "0"][:5]
    failing = _Failing(kind, layout, int(percent))
    responder = _Responder(failing, float(delay) / 1000, int(most))
    end = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, end.set)
    print(json.dumps({"port": responder.port}), flush=True)
    await end.wait()
    times = sorted(responder.asked.values())
    seen = {
        "seconds": times[-1] - responder.first if times else 0.0,
        "most_seconds": times[len(times) * 99 // 100] - responder.first if times else 0.0,
        "healthy": len(times),
        "queries": responder.queries,
        "failing_queries": responder.failing_queries,
    }
    print(json.dumps(seen), flush=True)


if __name__ == "__main__":
    uvloop.run(_main())
