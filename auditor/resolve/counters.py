"""What the bulk engine counts. The sums are a promise, and tested as one."""

from __future__ import annotations

__all__ = ["Counters"]


class Counters:
    """Questions, queries and replies since the start.

    asked = answered + failed + those still open. sent = first + retried + probes; `tcp`
    counts those asked over TCP besides. received = accepted + strays (an ID not in flight)
    + duplicates (its reply was taken) + late (its question was settled by another try) +
    forged (another question, not a response, or too short to say).
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
        "probes",
        "received",
        "retried",
        "strays",
        "tcp",
    )

    def __init__(self) -> None:
        self.asked = self.answered = self.failed = 0
        self.first = self.retried = self.probes = self.tcp = 0
        self.received = self.accepted = 0
        self.strays = self.duplicates = self.late = self.forged = 0

    def as_dict(self) -> dict[str, int]:
        """Return all counts by name, `sent` and `lost` included.

        `lost`: queries that no reply came to.
        """
        sent = self.first + self.retried + self.probes
        counts = {name: int(getattr(self, name)) for name in self.__slots__}
        lost = max(sent - self.accepted - self.late, 0)
        return {**counts, "sent": sent, "lost": lost}
