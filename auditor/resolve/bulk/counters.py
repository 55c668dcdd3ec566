"""Counters of the bulk engine; tests hold the sums that they add up to."""

from __future__ import annotations

__all__ = ["Counters"]


class Counters:
    """Questions, queries and replies since the start.

    asked = answered (NOERROR, NODATA, NXDOMAIN) + failed + those still open.

    sent = first + retried + probes, all of them datagrams that the kernel took.

    received = accepted + strays (an ID that was never used, or not of late) + duplicates
    (its reply was taken) + late (its question was settled by another try) + forged (another
    question, no response, or too short to say).

    lost = sent - accepted - late: queries that no reply has come to, those included that are
    on their way.

    Of the questions that a server has refused or failed (REFUSED, SERVFAIL), `recovered` were
    answered when it was asked again, and `persisted` were not: they are among those failed, and
    so is what is BOGUS. Queries without validation are among those `retried`.

    `tcp` counts the questions asked over TCP besides; of their queries and replies,
    tcp_sent = tcp_accepted + tcp_lost (its connection broke off, it was given up, or it is on
    its way), and tcp_received = tcp_accepted + those that replied to nothing outstanding.
    """

    __slots__ = (
        "accepted",
        "answered",
        "asked",
        "duplicates",
        "failed",
        "first",
        "forged",
        "late",
        "persisted",
        "probes",
        "received",
        "recovered",
        "retried",
        "strays",
        "tcp",
        "tcp_accepted",
        "tcp_received",
        "tcp_sent",
    )

    def __init__(self) -> None:
        self.asked = self.answered = self.failed = 0
        self.first = self.retried = self.probes = self.tcp = 0
        self.received = self.accepted = 0
        self.recovered = self.persisted = 0
        self.strays = self.duplicates = self.late = self.forged = 0
        self.tcp_sent = self.tcp_received = self.tcp_accepted = 0

    def as_dict(self) -> dict[str, int]:
        """Return all counts by name, `sent`, `lost` and `tcp_lost` included."""
        sent = self.first + self.retried + self.probes
        counts = {name: int(getattr(self, name)) for name in self.__slots__}
        return {
            **counts,
            "sent": sent,
            "lost": sent - self.accepted - self.late,
            "tcp_lost": self.tcp_sent - self.tcp_accepted,
        }
