"""Changes of record sets: what is added and deleted, under which condition, and why.

A change of a record set is applied as a whole or not at all: its prerequisites (RFC 2136 §2.4)
state what the zone must hold, so that no record unknown to the plan is deleted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias

from auditor.wire.codes import CNAME, type_name
from auditor.wire.master_file import absolute_name, rdata_text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from auditor.resolve.answer import Rdata

__all__ = ["OWN", "Change", "Edit", "Op", "Plan", "Responsible", "Undecided"]

#: The party whose zones the plan may change itself.
OWN: Final = "own"

Op: TypeAlias = Literal["add", "delete"]


class Responsible(NamedTuple):
    """Who can make a change: `own`, `rir`, `isp` or `customer`, in which zone; "" if not known.

    `contact`: the mail address of the zone's SOA record.
    """

    party: str
    zone: str = ""
    contact: str = ""


class Edit(NamedTuple):
    """A record that is added or deleted; `why`: the findings about `target` that it fixes."""

    op: Op
    value: Rdata
    why: tuple[str, ...]
    target: str


@dataclass
class Change:
    """The change of one record set; `before` are the records that it has now."""

    owner: str
    rdtype: int
    before: tuple[Rdata, ...]
    ttl: int
    responsible: Responsible
    edits: list[Edit] = field(default_factory=list)
    _seen: set[tuple[Op, Rdata]] = field(default_factory=set, repr=False)

    def __post_init__(self) -> None:
        """Treat the present records as added."""
        self._seen.update(("add", value) for value in self.before)

    def edit(self, op: Op, value: Rdata, why: tuple[str, ...], target: str) -> None:
        """Add or delete a record, unless it is added or deleted already."""
        if (op, value) in self._seen or (op == "delete" and ("add", value) not in self._seen):
            return
        self._seen.add((op, value))
        self.edits.append(Edit(op, value, why, target))

    @property
    def added(self) -> list[Rdata]:
        """The records that are new, in their order."""
        return sorted(edit.value for edit in self.edits if edit.op == "add")

    @property
    def deleted(self) -> list[Rdata]:
        """The records that are deleted, in their order."""
        return sorted(edit.value for edit in self.edits if edit.op == "delete")

    @property
    def after(self) -> list[Rdata]:
        """The whole record set after the change."""
        gone = set(self.deleted)
        return sorted([value for value in self.before if value not in gone] + self.added)

    @property
    def type(self) -> str:
        """The type as text."""
        return type_name(self.rdtype)

    def text(self, value: Rdata) -> str:
        """Return a record's RDATA as a master file has it."""
        return rdata_text(self.rdtype, value)

    def prerequisites(self) -> list[str]:
        """Return what the zone must hold for this change, as `nsupdate` writes it."""
        owner = absolute_name(self.owner)
        if self.before:
            return [f"yxrrset {owner} IN {self.type} {self.text(value)}" for value in self.before]
        return [f"nxrrset {owner} IN {self.type}", f"nxrrset {owner} IN {type_name(CNAME)}"]

    def lines(self) -> Iterator[dict[str, Any]]:
        """Yield the edits as lines of the plan, deletions first."""
        for edit in sorted(self.edits, key=lambda edit: edit.op == "add"):
            yield {
                "zone": self.responsible.zone or None,
                "owner": self.owner,
                "op": edit.op,
                "type": self.type,
                "value": self.text(edit.value),
                "ttl": self.ttl,
                "prerequisite": self.prerequisites(),
                "why": list(edit.why),
                "target": edit.target,
                "mends": {
                    "party": self.responsible.party,
                    "zone": self.responsible.zone or None,
                    "contact": self.responsible.contact or None,
                },
            }


class Undecided(NamedTuple):
    """A decision about a target that only a person can make."""

    target: str
    why: str


class Plan(NamedTuple):
    """All changes, by zone and owner, and the decisions left to people."""

    changes: list[Change]
    undecided: list[Undecided]

    @property
    def own(self) -> list[Change]:
        """The changes of own zones."""
        return [change for change in self.changes if change.responsible.party == OWN]

    @property
    def others(self) -> list[Change]:
        """The changes that other parties have to make."""
        return [change for change in self.changes if change.responsible.party != OWN]
