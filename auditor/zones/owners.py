"""Groups the owner names of a run by their parent, one lookup a group.

The PTR records of a /24 are under one name, so they are in one zone unless there are zone cuts
below it, and these show in the aliases (RFC 2317) or in negative answers.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Final

from auditor.checks.facts import PtrFact
from auditor.wire.codes import NXDOMAIN
from auditor.wire.names import parent_of
from auditor.wire.reverse import reverse_name

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Group", "Owners", "group_name"]

#: Labels of an IPv6 owner below its /64, and in all.
_HOST_NIBBLES: Final = 16
_NIBBLES: Final = 32
#: Owners of a group that are looked up where a server denies the name above them.
_SAMPLES_PER_GROUP: Final = 4
#: Keys that records of earlier versions lack.
_NO_PTR: Final[dict[str, Any]] = {"chain": (), "zone": None}


class Group:
    """Owner names below one name.

    `count`: targets. `samples`: some of the owners, those with PTR records first. `aliased`: an
    alias leads here. `denied`: all answers were NXDOMAIN. `owners`: all of them, if kept.
    """

    __slots__ = ("aliased", "count", "denied", "labels", "name", "samples")

    def __init__(self, name: str) -> None:
        self.name = name
        self.count = 0
        self.samples: list[tuple[bool, str]] = []
        self.aliased = False
        self.denied = True
        self.labels: list[str] = []

    @property
    def owners(self) -> list[str]:
        """The owner names, sorted; none if they are not kept."""
        return [f"{label}{self.name}" for label in sorted(set(self.labels))]


class Owners:
    """Collects the owner names of records; `every`: keeps them all."""

    def __init__(self, *, every: bool = False) -> None:
        self.groups: dict[str, Group] = {}
        self._every = every

    def add_record(self, record: Mapping[str, Any]) -> None:
        """Take a record of the output."""
        if record["kind"] == "domain":
            self.note_domain(record["target"])
        elif record["ptr"] is not None:
            self.note_address(record["target"], PtrFact(**{**_NO_PTR, **record["ptr"]}))

    def note_domain(self, domain: str) -> None:
        """Take a domain: its own name is the owner."""
        self._add(domain, domain)

    def note_address(self, address: str, ptr: PtrFact) -> None:
        """Take an address and its PTR fact."""
        reverse = reverse_name(address)
        group = self._add(ptr.owner, group_name(ptr.owner), named=bool(ptr.names))
        group.denied = group.denied and ptr.status == NXDOMAIN
        if ptr.owner != reverse:
            group.aliased = True
            # Every lookup needs the zone of the alias, too.
            self._add(reverse, group_name(reverse)).denied = False

    def _add(self, owner: str, name: str, *, named: bool = False) -> Group:
        """Add an owner name to the group `name`."""
        group = self.groups.get(name)
        if group is None:
            group = self.groups[name] = Group(name)
        group.count += 1
        if owner != name:
            if len(group.samples) < _SAMPLES_PER_GROUP:
                group.samples.append((named, owner))
            elif named and not group.samples[-1][0]:
                group.samples[-1] = (named, owner)
            group.samples.sort(key=lambda sample: not sample[0])
            if self._every:
                group.labels.append(sys.intern(owner[: -len(name)]))
        return group


def group_name(owner: str) -> str:
    """Return the name above an owner; for IPv6 that of its /64."""
    labels = owner.split(".") if owner.endswith(".ip6.arpa") else []
    if len(labels) == _NIBBLES + 2:
        return ".".join(labels[_HOST_NIBBLES:])
    return parent_of(owner)
