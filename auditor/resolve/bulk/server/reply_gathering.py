"""Delay of reads, so that replies gather in a socket's buffer and are read in larger batches.

Each wake-up of the loop, and each batch, costs as much as many replies. So a read is delayed for
a moment if the last one brought few replies compared with those in flight, unless only a few are
outstanding.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ReplyGathering"]

#: Bounds of the delay. Linux sleeps 50 µs longer than asked.
_MIN_DELAY_S: Final = 0.00005
_MAX_DELAY_S: Final = 0.0004

#: Packets that are enough for one read; and queries in flight below which reads are not delayed.
_ENOUGH_PACKETS: Final = 128
_MIN_QUERIES: Final = 32


class ReplyGathering:
    """Adapts the delay after which a read of the sockets brings enough packets."""

    __slots__ = ("_delay_s", "_packets")

    def __init__(self) -> None:
        self._packets = 0
        self._delay_s = _MIN_DELAY_S

    def delay(self, in_flight: int) -> float:
        """Return the seconds to wait for more replies before reading."""
        enough = _enough_packets(in_flight)
        return self._delay_s if self._packets < enough >= _MIN_QUERIES else 0.0

    def on_read(self, packets: int, in_flight: int) -> None:
        """Note how many packets a read of the sockets has brought."""
        self._packets = packets
        enough = _enough_packets(in_flight)
        if packets >= enough:
            self._delay_s = max(self._delay_s / 2, _MIN_DELAY_S)
        elif packets < enough // 2:
            self._delay_s = min(self._delay_s * 2, _MAX_DELAY_S)


def _enough_packets(in_flight: int) -> int:
    return min(in_flight * 3 // 4, _ENOUGH_PACKETS)
