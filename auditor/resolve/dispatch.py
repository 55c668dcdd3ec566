"""Which server is sent the next batch of the bulk engine, and how many queries it may have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from auditor.resolve.upstream import Health, Upstream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.resolve.courses import Courses
    from auditor.resolve.sending import Sender

__all__ = ["Dispatch"]

#: Queries that a server is sent at once beyond the window, with those in it (a fourth of it if
#: that leaves less): half of what a socket buffer of 208 KiB holds.
_BURST: Final = 128


class Dispatch:
    """Sends what windows and rates allow.

    `most`: queries in flight, all servers together and those over TCP with them, of which
    `over_tcp` tells how many there are. `is_held`: whether the kernel or a rate has said
    "later", so that nothing should be tried now.
    """

    def __init__(
        self,
        upstreams: Sequence[Upstream],
        courses: Courses,
        sender: Sender,
        *,
        most: int,
        over_tcp: Callable[[], int],
        is_held: Callable[[], bool],
    ) -> None:
        self.most = most
        self._upstreams = upstreams
        self._courses = courses
        self._sender = sender
        self._over_tcp = over_tcp
        self._is_held = is_held

    def send(self, now: float) -> bool:
        """Send batch after batch; tell whether all is sent, or the rest is held.

        Else a window or a rate holds it up. Each batch goes to whichever server is least busy
        and has something to be asked.
        """
        again, queue = self._courses.again, self._sender.queue
        while (again or queue) and not self._is_held():
            if not self._send_batch(now):
                return False
        return True

    def send_hopeless(self, now: float) -> None:
        """Send a batch of what no answer is expected to, to a server that is there."""
        for upstream in self._upstreams:
            if upstream.health is Health.GOOD:
                wanted = min(max(_BURST - upstream.in_flight, _BURST // 4), self._room())
                self._send_to(upstream, wanted, now, self._sender.send_hopeless)
                break

    def grant(self, upstream: Upstream, wanted: int, now: float) -> tuple[int, float]:
        """Take tokens for queries over TCP; return how many, and when there will be more."""
        wanted = min(wanted, self._room())
        allowed = upstream.bucket.take(wanted, now) if wanted > 0 else 0
        return allowed, upstream.bucket.delay(now)

    def _send_batch(self, now: float) -> bool:
        """Send one batch; tell whether there was one.

        What is asked again goes first: it may be for one server alone, and where a rate is
        the limit another one would use up all there is.
        """
        upstreams, room = self._upstreams, self.most
        if len(upstreams) > 1 or self._over_tcp():
            upstreams = sorted(upstreams, key=Upstream.load)
            room = self._room()
        if self._courses.again:
            for upstream in upstreams:
                wanted = min(upstream.room(), room)
                if self._send_to(upstream, wanted, now, self._sender.send_again):
                    return True
        for upstream in upstreams:
            if self._send_to(upstream, min(upstream.room(), room), now, self._sender.send):
                return True
        return False

    def _send_to(
        self,
        upstream: Upstream,
        wanted: int,
        now: float,
        way: Callable[[Upstream, int, float], int],
    ) -> int:
        """Send up to `wanted` queries, as far as there are tokens; return how many went out."""
        if wanted <= 0:
            return 0
        allowed = upstream.bucket.take(wanted, now)
        taken = way(upstream, allowed, now) if allowed else 0
        if taken < allowed:
            upstream.bucket.give_back(allowed - taken)
        return taken

    def _room(self) -> int:
        """Return how many more queries may be in flight, over UDP and TCP together."""
        return self.most - self._over_tcp() - sum(one.in_flight for one in self._upstreams)
