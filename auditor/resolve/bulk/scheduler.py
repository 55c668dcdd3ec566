"""Schedules the batches of the bulk engine: which server gets the next, and how many queries."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from auditor.resolve.bulk.server.nameserver import Health, NameServer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.resolve.bulk.retries import RetryManager
    from auditor.resolve.bulk.sender import Sender

__all__ = ["SendScheduler"]

#: Queries of dead zones are sent outside of the window, up to so many together with those in it (at
#: least a fourth): half of what a socket buffer of 208 KiB holds.
_BURST_QUERIES: Final = 128


class SendScheduler:
    """Sends as many queries as windows and rates allow.

    `most`: most queries in flight, all servers and TCP included; `over_tcp` returns those over
    TCP. `is_paused`: whether sending waits for the kernel's buffer or a rate token.
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
        """Send batch after batch, each to the least busy server with queries to send.

        Return False if queries are left because of a window or a rate limit.
        """
        again, queue = self._retries.retry_queue, self._sender.queue
        deferred = self._retries.deferred
        while (again or queue or deferred) and not self._is_held():
            if not self._send_batch(now):
                return False
        return True

    def send_hopeless(self, now: float) -> None:
        """Send a batch of questions of dead zones to the first healthy server."""
        for nameserver in self._nameservers:
            if nameserver.health is Health.GOOD:
                wanted = min(
                    max(_BURST_QUERIES - nameserver.in_flight.count, _BURST_QUERIES // 4),
                    self._room(),
                )
                self._send_to(nameserver, wanted, now, self._sender.send_hopeless)
                break

    def grant(self, nameserver: NameServer, wanted: int, now: float) -> tuple[int, float]:
        """Take tokens for queries over TCP; return how many, and the seconds until the next."""
        wanted = min(wanted, self._room())
        allowed = nameserver.bucket.take_tokens(wanted, now) if wanted > 0 else 0
        return allowed, nameserver.bucket.delay(now)

    def _send_batch(self, now: float) -> bool:
        """Send one batch; return whether there was one.

        Retransmissions go first: with a rate limit, first attempts would use up all tokens.
        """
        nameservers, room = self._nameservers, self.most
        if len(nameservers) > 1 or self._over_tcp():
            nameservers = sorted(nameservers, key=NameServer.load)
            room = self._room()
        if self._retries.retry_queue or self._retries.deferred:
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
        """Send up to `wanted` queries, as far as there are tokens; return how many were sent."""
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
