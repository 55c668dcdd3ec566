"""The operator's own zones, and which of them the parent zone denies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditor.wire.names import parent_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["OwnZones"]


class OwnZones:
    """Zones that somebody says are theirs, by their names."""

    __slots__ = ("_zones",)

    def __init__(self, zones: Iterable[str]) -> None:
        self._zones = frozenset(zones)

    def undelegated(self, owner: str, denied_by: str) -> str:
        """Return the zone that would hold `owner` and is not delegated, "" if there is none.

        `denied_by`: the zone whose SOA record stood in the negative answer (RFC 2308 §3). If it
        is above one's own, that is the zone in which the delegation is missing.
        """
        missing = ""
        if not self._zones or not denied_by:
            return missing
        name = owner
        while name not in {denied_by, "."}:
            if name in self._zones:
                missing = name
            name = parent_of(name)
        return missing if name == denied_by else ""
