"""Counters of the bulk engine; tests check their sums."""

from __future__ import annotations

__all__ = ["Counters"]


class Counters:
    """Questions, queries and replies since the start.

    asked = answered (NOERROR, NODATA, NXDOMAIN) + failed + open questions.

    sent = first + retried + probes: datagrams that the kernel accepted.

    received = accepted + strays (an ID that is not in flight, nor was recently) + duplicates
    (a second reply) + late (the question was settled by another attempt) + forged (another
    question, no response, or too short).

    lost = sent - accepted - late: queries without a reply, including those in flight.

    Of the questions with REFUSED or SERVFAIL, `recovered` were answered when repeated, and
    `persisted` were not: these are included in `failed`, like BOGUS ones. Queries without
    validation (CD) are included in `retried`.

    `tcp` counts the questions also sent over TCP; tcp_sent = tcp_accepted + tcp_lost (the
    connection broke off, it timed out, or it is in flight), and tcp_received = tcp_accepted +
    messages that match no query.
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
