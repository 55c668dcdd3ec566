"""Dead zones, which answer nothing: learnt from failures, forgotten with one good answer."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from auditor.publicsuffix import registrable

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["DeadZones"]

_log = logging.getLogger("auditor")

#: Questions of one zone that must have failed, with none answered, for it to count as dead;
#: and zones below a common parent, for the parent to.
_MIN_FAILURES: Final = 16
_MIN_ZONES: Final = 4
_MAX_ZONES: Final = 65_536

#: Seconds for which a zone that has answered must have failed, and answered nothing.
_ALIVE_S: Final = 10.0

#: Parents of names whose zones are remembered: many blocks' worth.
_MAX_PARENTS: Final = 4096


class DeadZones:
    """Which zones answer nothing, so that their many names are asked for once only.

    A zone here is what fails together: the /24 of a reverse name (a /64 for IPv6), the
    registered domain of any other. When several of a /16 (a /48) have died, the whole of it
    is taken for dead. One good answer ends it, for the zone and what it lies in.

    Many tries are given up at the same moment, so failures count as one observation until
    time has passed without an answer among them. What is taken for dead is logged, and its return.
    """

    __slots__ = ("_alive", "_dead_below", "_failures", "_statuses", "_told", "_zones")

    def __init__(self) -> None:
        #: By zone: how many failures, and when the first of them was.
        self._failures: dict[str, tuple[int, float]] = {}
        #: By what zones lie in: the first few that have died, and when.
        self._dead_below: dict[str, dict[str, float]] = {}
        self._told: set[str] = set()
        #: By zone: what its servers' failure was last, where they said anything.
        self._statuses: dict[str, str] = {}
        #: Zones that have answered, as far as batches of replies begin with one of theirs.
        self._alive: set[str] = set()
        #: By what follows a name's first label: the zone, for neighbours share both.
        self._zones: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._failures)

    @property
    def has_dead(self) -> bool:
        """Whether any zone may be dead; if not, `is_dead` need not be called."""
        return bool(self._dead_below)

    def on_failure(self, name: str, now: float, status: str = "") -> None:
        """Note a try without an answer, or a question that ended with a failure `status`."""
        zone = self._zone(name)
        if len(self._failures) >= _MAX_ZONES:
            for known in (self._failures, self._dead_below, self._told, self._statuses):
                known.clear()
        self._statuses[zone] = status
        failures, since = self._failures.get(zone, (0, now))
        self._failures[zone] = (failures + 1, since)
        if failures + 1 >= _MIN_FAILURES:
            below = self._dead_below.setdefault(_above(zone), {})
            if len(below) < _MIN_ZONES:
                below.setdefault(zone, now)

    def on_batch(self, name: str) -> None:
        """Note that a batch of answers began with one about this name."""
        zone = self._zones.get(name.partition(".")[2]) or self._zone(name)
        if len(self._alive) >= _MAX_ZONES:
            self._alive.clear()
        self._alive.add(zone)

    def is_alive(self, name: str) -> bool:
        """Tell whether the zone of a name is known to have answered."""
        return self._zone(name) in self._alive

    def on_answer(self, name: str) -> None:
        """Note an answer; worth calling only while this is true (there are suspects)."""
        self.on_answers((name,))

    def on_answers(self, names: Iterable[str]) -> None:
        """Note answers about several names; worth calling only while this is true."""
        zones = self._zones
        for zone in {zones.get(name.partition(".")[2]) or self._zone(name) for name in names}:
            self._failures.pop(zone, None)
            if self._dead_below:
                self._dead_below.pop(_above(zone), None)
            if self._told:
                for back in self._told & {zone, _above(zone)}:
                    self._told.discard(back)
                    _tell("zone_back", "zone %s answers again", back)

    def is_dead(self, name: str, now: float) -> bool:
        """Tell whether the zone of a name has given nothing but failures for some time."""
        zone = self._zone(name)
        below = self._dead_below.get(_above(zone))
        if zone in self._alive:
            # It has answered before: perhaps it is only asked too much.
            failures, since = self._failures.get(zone, (0, now))
            if failures < _MIN_FAILURES or now <= since + _ALIVE_S:
                return False
        elif below is not None and len(below) == _MIN_ZONES and now > max(below.values()):
            zone = _above(zone)
        else:
            failures, since = self._failures.get(zone, (0, now))
            if failures < _MIN_FAILURES or now <= since:
                return False
        if zone not in self._told:
            self._told.add(zone)
            _tell("zone_dead", "zone %s answers nothing: asked for once only", zone)
        return True

    def status_of(self, name: str) -> str:
        """Return how a name's zone has failed last: "" for silence."""
        return self._statuses.get(self._zone(name), "")

    def forget_since(self, when: float) -> None:
        """Forget what has failed since then: it was no zone's fault."""
        for zone in [zone for zone, (_, first) in self._failures.items() if first >= when]:
            del self._failures[zone]
            below = self._dead_below.get(_above(zone), {})
            below.pop(zone, None)
            if not below:
                self._dead_below.pop(_above(zone), None)
            self._told.difference_update({zone, _above(zone)})

    def zone_of(self, name: str) -> str:
        """Return what fails together with a name."""
        return self._zone(name)

    def _zone(self, name: str) -> str:
        parent = name.partition(".")[2]
        known = self._zones.get(parent)
        if known is not None:
            return known
        zone = _zone(name)
        # Not that of a name which is a zone by itself: its neighbours are others.
        if len(zone) <= len(parent):
            if len(self._zones) >= _MAX_PARENTS:
                self._zones.clear()
            self._zones[parent] = zone
        return zone


def _tell(event: str, text: str, zone: str) -> None:
    # Not a warning: of a large block, thousands are.
    _log.info(text, zone, extra={"event": event, "fields": {"zone": zone}})


def _zone(name: str) -> str:
    if name.endswith(".in-addr.arpa"):
        # 7.100.51.198.in-addr.arpa, and 7.0-63.100.51.198.in-addr.arpa (RFC 2317).
        return ".".join(name.split(".")[-5:])
    if name.endswith(".ip6.arpa"):
        # Sixteen nibbles: the /64, which is what is delegated, and what a /112 lies in.
        return ".".join(name.split(".")[-18:])
    return registrable(name) or name


def _above(zone: str) -> str:
    """Return what a reverse zone lies in, the /16 or /48; any other zone stands alone."""
    if zone.endswith(".in-addr.arpa"):
        return ".".join(zone.split(".")[-4:])
    if zone.endswith(".ip6.arpa"):
        return ".".join(zone.split(".")[-14:])
    return zone
