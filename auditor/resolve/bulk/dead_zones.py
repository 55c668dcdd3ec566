"""Dead zones, whose servers answer nothing: detected by failures, cleared by one answer."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from auditor.publicsuffix import registrable

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["DeadZones"]

_log = logging.getLogger("auditor")

#: Failed questions of a zone, none answered, after which it counts as dead; and dead zones of a
#: block (a /16 or /48) after which all of it does.
_MIN_FAILURES: Final = 16
_MIN_ZONES: Final = 4
_MAX_ZONES: Final = 65_536

#: Seconds without an answer after which a zone that has answered before may count as dead.
_ALIVE_S: Final = 10.0

#: Entries of the cache from parent names to zones.
_MAX_PARENTS: Final = 4096


class DeadZones:
    """Detects zones that answer nothing, so that each of their names is queried only once.

    A zone here is the unit of failure: the /24 of a reverse name (a /64 for IPv6), the registered
    domain of any other. When several of a /16 (a /48) are dead, the whole block counts as dead.
    One answer ends that for the zone and its block.

    Many attempts time out at the same moment, so failures of one moment are not enough. Dead zones
    and their return are logged.
    """

    __slots__ = ("_alive", "_dead_below", "_failures", "_logged", "_statuses", "_zones")

    def __init__(self) -> None:
        #: By zone: the number of failures, and the time of the first.
        self._failures: dict[str, tuple[int, float]] = {}
        #: By enclosing block: the first few dead zones, and when they died.
        self._dead_below: dict[str, dict[str, float]] = {}
        self._logged: set[str] = set()
        #: By zone: the status of the last failure, "" for a timeout.
        self._statuses: dict[str, str] = {}
        #: Zones that have answered: a sample, the first answer of each batch.
        self._alive: set[str] = set()
        #: Zones by parent name: neighbours share both.
        self._zones: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._failures)

    @property
    def has_dead(self) -> bool:
        """Whether any zone may be dead; if not, `is_dead` need not be called."""
        return bool(self._dead_below)

    def on_failure(self, name: str, now: float, status: str = "") -> None:
        """Note a timeout, or a question that ended with a failure `status`."""
        zone = self._zone(name)
        if len(self._failures) >= _MAX_ZONES:
            for known in (self._failures, self._dead_below, self._logged, self._statuses):
                known.clear()
        self._statuses[zone] = status
        failures, since = self._failures.get(zone, (0, now))
        self._failures[zone] = (failures + 1, since)
        if failures + 1 >= _MIN_FAILURES:
            below = self._dead_below.setdefault(_block_of(zone), {})
            if len(below) < _MIN_ZONES:
                below.setdefault(zone, now)

    def on_batch(self, name: str) -> None:
        """Note the first answer of a batch, for this name."""
        zone = self._zones.get(name.partition(".")[2]) or self._zone(name)
        if len(self._alive) >= _MAX_ZONES:
            self._alive.clear()
        self._alive.add(zone)

    def is_alive(self, name: str) -> bool:
        """Tell whether the zone of a name is known to have answered."""
        return self._zone(name) in self._alive

    def on_answer(self, name: str) -> None:
        """Note an answer; needed only while `bool(self)`: there are failures."""
        self.on_answers((name,))

    def on_answers(self, names: Iterable[str]) -> None:
        """Note answers about several names; needed only while `bool(self)`."""
        zones = self._zones
        for zone in {zones.get(name.partition(".")[2]) or self._zone(name) for name in names}:
            self._failures.pop(zone, None)
            if self._dead_below:
                self._dead_below.pop(_block_of(zone), None)
            if self._logged:
                for back in self._logged & {zone, _block_of(zone)}:
                    self._logged.discard(back)
                    _log_event("zone_back", "zone %s answers again", back)

    def is_dead(self, name: str, now: float) -> bool:
        """Tell whether the zone of a name has given nothing but failures for some time."""
        zone = self._zone(name)
        below = self._dead_below.get(_block_of(zone))
        if zone in self._alive:
            # It has answered before, so it may just be overloaded.
            failures, since = self._failures.get(zone, (0, now))
            if failures < _MIN_FAILURES or now <= since + _ALIVE_S:
                return False
        elif below is not None and len(below) == _MIN_ZONES and now > max(below.values()):
            zone = _block_of(zone)
        else:
            failures, since = self._failures.get(zone, (0, now))
            if failures < _MIN_FAILURES or now <= since:
                return False
        if zone not in self._logged:
            self._logged.add(zone)
            _log_event(
                "zone_dead", "zone %s answers nothing: each of its names is queried once", zone
            )
        return True

    def status_of(self, name: str) -> str:
        """Return the status of the last failure of a name's zone: "" for a timeout."""
        return self._statuses.get(self._zone(name), "")

    def forget_since(self, when: float) -> None:
        """Forget failures since then: they had another cause."""
        for zone in [zone for zone, (_, first) in self._failures.items() if first >= when]:
            del self._failures[zone]
            below = self._dead_below.get(_block_of(zone), {})
            below.pop(zone, None)
            if not below:
                self._dead_below.pop(_block_of(zone), None)
            self._logged.difference_update({zone, _block_of(zone)})

    def zone_of(self, name: str) -> str:
        """Return the zone of a name, as the unit of failure."""
        return self._zone(name)

    def _zone(self, name: str) -> str:
        parent = name.partition(".")[2]
        known = self._zones.get(parent)
        if known is not None:
            return known
        zone = _zone(name)
        # Not cached if the name is a zone itself, since its neighbours are other zones.
        if len(zone) <= len(parent):
            if len(self._zones) >= _MAX_PARENTS:
                self._zones.clear()
            self._zones[parent] = zone
        return zone


def _log_event(event: str, text: str, zone: str) -> None:
    # Not a warning: a large block has thousands of zones.
    _log.info(text, zone, extra={"event": event, "fields": {"zone": zone}})


def _zone(name: str) -> str:
    if name.endswith(".in-addr.arpa"):
        # 7.100.51.198.in-addr.arpa, and 7.0-63.100.51.198.in-addr.arpa (RFC 2317).
        return ".".join(name.split(".")[-5:])
    if name.endswith(".ip6.arpa"):
        # Sixteen nibbles: the /64, the usual unit of delegation.
        return ".".join(name.split(".")[-18:])
    return registrable(name) or name


def _block_of(zone: str) -> str:
    """Return the enclosing /16 or /48 of a reverse zone; any other zone itself."""
    if zone.endswith(".in-addr.arpa"):
        return ".".join(zone.split(".")[-4:])
    if zone.endswith(".ip6.arpa"):
        return ".".join(zone.split(".")[-14:])
    return zone
