"""Schedules the batches of the bulk engine: which server gets the next, and how many queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from auditor.resolve.bulk.server.nameserver import Health, NameServer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.resolve.bulk.retries import RetryManager
    from auditor.resolve.bulk.sender import Sender

__all__ = ["SendScheduler"]

#: Queries that a server is sent at once beyond the window, with those in it (a fourth of it if
#: that leaves less): half of what a socket buffer of 208 KiB holds.
_BURST_QUERIES: Final = 128


class SendScheduler:
    """Sends what windows and rates allow.

    `most`: queries in flight, all servers together and those over TCP with them, of which
    `over_tcp` tells how many there are. `is_paused`: whether the kernel or a rate has said
    "later", so that nothing should be tried now.
    """

    def __init__(
        self,
        nameservers: Sequence[NameServer],
        queries: RetryManager,
        sender: Sender,
        *,
        most: int,
        over_tcp: Callable[[], int],
    ) -> None:
        self.most = most
        self.is_paused = False
        self._nameservers = nameservers
        self._retries = queries
        self._sender = sender
        self._over_tcp = over_tcp

    def send_batches(self, now: float) -> bool:
        """Send batch after batch; tell whether all is sent, or the rest is held.

        Else a window or a rate holds it up. Each batch goes to whichever server is least busy
        and has something to be asked.
        """
        again, queue = self._retries.again, self._sender.queue
        deferred = self._retries.deferred
        while (again or queue or deferred) and not self._is_held():
            if not self._send_batch(now):
                return False
        return True

    def send_hopeless(self, now: float) -> None:
        """Send a batch of what no answer is expected to, to a server that is there."""
        for nameserver in self._nameservers:
            if nameserver.health is Health.GOOD:
                wanted = min(
                    max(_BURST_QUERIES - nameserver.in_flight.count, _BURST_QUERIES // 4),
                    self._room(),
                )
                self._send_to(nameserver, wanted, now, self._sender.send_hopeless)
                break

    def grant(self, nameserver: NameServer, wanted: int, now: float) -> tuple[int, float]:
        """Take tokens for queries over TCP; return how many, and when there will be more."""
        wanted = min(wanted, self._room())
        allowed = nameserver.bucket.take_tokens(wanted, now) if wanted > 0 else 0
        return allowed, nameserver.bucket.delay(now)

    def _send_batch(self, now: float) -> bool:
        """Send one batch; tell whether there was one.

        What is asked again goes first: it may be for one server alone, and where a rate is
        the limit another one would use up all there is.
        """
        nameservers, room = self._nameservers, self.most
        if len(nameservers) > 1 or self._over_tcp():
            nameservers = sorted(nameservers, key=NameServer.load)
            room = self._room()
        if self._retries.again or self._retries.deferred:
            for nameserver in nameservers:
                wanted = min(nameserver.room(), room)
                if self._send_to(nameserver, wanted, now, self._sender.send_later_attempts):
                    return True
        for nameserver in nameservers:
            if self._send_to(
                nameserver, min(nameserver.room(), room), now, self._sender.send_first
            ):
                return True
        return False

    def _send_to(
        self,
        nameserver: NameServer,
        wanted: int,
        now: float,
        send: Callable[[NameServer, int, float], int],
    ) -> int:
        """Send up to `wanted` queries, as far as there are tokens; return how many went out."""
        if wanted <= 0:
            return 0
        allowed = nameserver.bucket.take_tokens(wanted, now)
        taken = send(nameserver, allowed, now) if allowed else 0
        if taken < allowed:
            nameserver.bucket.give_back(allowed - taken)
        return taken

    def _is_held(self) -> bool:
        return self.is_paused or bool(self._sender.errors)

    def _room(self) -> int:
        """Return how many more queries may be in flight, over UDP and TCP together."""
        return (
            self.most
            - self._over_tcp()
            - sum(nameserver.in_flight.count for nameserver in self._nameservers)
        )
