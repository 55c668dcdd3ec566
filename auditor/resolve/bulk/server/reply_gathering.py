"""How long replies are left to gather in a socket's buffer before they are read.

Each wake-up of the loop, and each batch, costs as much as many replies. So replies are left to
gather for a moment if the last read brought few of those in flight, and few in number; not if
only a few are outstanding.
"""

from __future__ import annotations

from typing import Final

__all__ = ["ReplyGathering"]

#: Bounds of the delay. Linux sleeps 50 µs longer than asked.
_MIN_DELAY_S: Final = 0.00005
_MAX_DELAY_S: Final = 0.0004

#: Packets that are enough for one look; and queries in flight below which nothing is awaited.
_ENOUGH_PACKETS: Final = 128
_FEW_QUERIES: Final = 32


class ReplyGathering:
    """Finds the delay after which a read of the sockets brings enough packets."""

    __slots__ = ("_delay_s", "_packets")

    def __init__(self) -> None:
        self._packets = 0
        self._delay_s = _MIN_DELAY_S

    def delay(self, in_flight: int) -> float:
        """Return the seconds that replies should be left to gather before they are read."""
        enough = _enough(in_flight)
        return self._delay_s if self._packets < enough >= _FEW_QUERIES else 0.0

    def on_read(self, packets: int, in_flight: int) -> None:
        """Note how many packets a read of the sockets has brought."""
        self._packets = packets
        enough = _enough(in_flight)
        if packets >= enough:
            self._delay_s = max(self._delay_s / 2, _MIN_DELAY_S)
        elif packets < enough // 2:
            self._delay_s = min(self._delay_s * 2, _MAX_DELAY_S)


def _enough(in_flight: int) -> int:
    return min(in_flight * 3 // 4, _ENOUGH_PACKETS)
