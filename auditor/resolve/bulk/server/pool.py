"""The name servers of a run, and the rate and concurrency limits for all of them together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditor.resolve.bulk.server.nameserver import Health, NameServer
from auditor.resolve.public_resolvers import PUBLIC_QPS, is_public, tell_public
from auditor.resolve.token_bucket import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from auditor.resolve.bulk.udp.outstanding import UdpSocket
    from auditor.settings import Server

__all__ = ["NameServerPool"]


class NameServerPool:
    """Opens the sockets of the servers, and applies the limits that are set or found."""

    def __init__(self, servers: Sequence[Server], timeout: float) -> None:
        self.nameservers: list[NameServer] = []
        self._servers = servers
        self._timeout = timeout
        self._concurrency = 1
        self._qps: float | None = None
        self._server_qps: float | None = None
        self._bucket = TokenBucket(None, 0.0)
        #: Whether queries have the RD flag, as for resolvers.
        self.recurse = True

    def share_rate(self, bucket: TokenBucket) -> None:
        """Take the tokens of all queries from a bucket shared with other pools."""
        self._bucket = bucket

    def set_limits(self, concurrency: int, qps: float | None, server_qps: float | None) -> None:
        """Set the limits: queries in flight, a second in all, and a second to each server."""
        self._concurrency, self._qps, self._server_qps = concurrency, qps, server_qps

    def apply(self, now: float) -> None:
        """Apply the limits to servers that are open already."""
        self._bucket.set_rate(self._qps, now)
        for nameserver in self.nameservers:
            nameserver.set_limits(self._concurrency, self._rate_of(nameserver.server), now)

    def open_sockets(self, now: float) -> Iterator[tuple[NameServer, str]]:
        """Open the sockets; yield each unreachable server with the reason."""
        self._bucket.set_rate(self._qps, now)
        for number, server in enumerate(self._servers):
            nameserver = NameServer(
                number,
                server,
                concurrency=self._concurrency,
                timeout=self._timeout,
                qps=self._rate_of(server),
                now=now,
                within=self._bucket,
            )
            nameserver.can.recurse = self.recurse
            self.nameservers.append(nameserver)
            if self._server_qps is None and is_public(server):
                tell_public(server)
            try:
                nameserver.open_sockets()
            except OSError as error:
                nameserver.close_sockets()
                yield nameserver, f"cannot be reached: {error.strerror}"

    def sockets(self) -> list[tuple[NameServer, UdpSocket]]:
        """Return all sockets, with the server that each of them is connected to."""
        return [
            (nameserver, udp_socket)
            for nameserver in self.nameservers
            for udp_socket in nameserver.sockets
        ]

    def allowed_rate(self) -> float | None:
        """Return how many queries a second may be sent in all, None for no limit."""
        rates = [up.limits.qps for up in self.nameservers if up.health is not Health.LEFT_OUT]
        total = None if not rates or None in rates else sum(rate or 0.0 for rate in rates)
        return min((rate for rate in (self._qps, total) if rate is not None), default=None)

    def limits_found(self) -> dict[str, dict[str, int | str]]:
        """Return the limits that were found, by server."""
        found = {
            nameserver.name: nameserver.limits.limits_found() for nameserver in self.nameservers
        }
        return {name: limits for name, limits in found.items() if limits}

    def _rate_of(self, server: Server) -> float | None:
        if self._server_qps is None and is_public(server):
            return PUBLIC_QPS
        return self._server_qps
