"""A server that keeps one answer back, so that a test can look at a run that waits for it."""

from __future__ import annotations

import threading
from typing import Any, Final

import dns.message
import dns.query

from support.faults import Gate, answer, delay
from support.faulty import FaultyServer, per_name

__all__ = ["Held"]

_ZONE: Final = """
$ORIGIN 2.0.192.in-addr.arpa.
1 PTR one.example.net.
2 PTR two.example.net.
3 PTR three.example.net.
$ORIGIN example.net.
one A 192.0.2.1
two A 192.0.2.2
three A 192.0.2.3
"""
_HELD: Final = "2.2.0.192.in-addr.arpa"


class Held:
    """The PTR records of 192.0.2.1 to .3, of which that of .2 waits until the gate is open.

    `asked` counts the questions about it.
    """

    def __init__(self) -> None:
        self.gate = Gate()
        self.asked = threading.Semaphore(0)
        self.server = FaultyServer(_ZONE, per_name({_HELD: [self._note, delay(self.gate), answer]}))

    async def _note(self, _exchange: Any) -> None:
        self.asked.release()

    def forget(self) -> None:
        """Forget who has asked, once all that is on its way to the server has arrived."""
        query = dns.message.make_query("one.example.net", "A")
        dns.query.udp(query, "127.0.0.1", port=self.server.port, timeout=30)
        while self.asked.acquire(blocking=False):
            pass

    @property
    def options(self) -> tuple[str, ...]:
        """Whom to ask, without giving up on it."""
        return ("--server", f"127.0.0.1:{self.server.port}", "--timeout", "30")
