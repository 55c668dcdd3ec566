"""Locates the records of a master file: their entries, by file and line."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from auditor.resolve.zones.builder import Place, ZoneBuilder
from auditor.resolve.zones.entry import read_entry
from auditor.resolve.zones.reader import MasterFile, read_records

if TYPE_CHECKING:
    from auditor.resolve.zones.generate import Rule

__all__ = ["LocatedRecord", "locate_records"]


class LocatedRecord(NamedTuple):
    """A record, and the lines of its entry in the file `label`, from 0, the last one included.

    A negative type stands for a record that was not read, 0 for one of an unknown type.
    """

    label: str
    first_line: int
    last_line: int
    owner: str
    rdtype: int
    ttl: int
    record: Any


def locate_records(file: MasterFile) -> list[LocatedRecord]:
    """Return the records of a master file, and of those that it includes, in their order.

    What `$GENERATE` makes is not among them. Raises ZoneFileError.
    """
    collector = _Collector(file.label)
    read_records(file, collector)
    return collector.found


class _Collector(ZoneBuilder):
    """Takes the records as they come, without making a zone of them."""

    def __init__(self, label: str) -> None:
        super().__init__(label)
        self.found: list[LocatedRecord] = []
        self._counted = Place(label, "", 0)
        self._line = 0

    def add_record(self, owner: str, rdtype: int, ttl: int, record: Any, place: Place) -> None:
        """Take one record."""
        if place.text[place.position : place.position + 1] == "$":  # unrolled from $GENERATE
            return
        first = self._line_of(place)
        _, end = read_entry(place.text, place.position)
        last = first + place.text.count("\n", place.position, end) - 1
        self.found.append(LocatedRecord(place.label, first, last, owner, rdtype, ttl, record))

    def add_unknown(self, owner: str, mnemonic: str, place: Place) -> None:
        """Take a record of an unknown type."""
        self.add_record(owner, 0, 0, mnemonic, place)

    def add_rule(self, rule: Rule, place: Place) -> None:
        """Pass over what is no record."""

    def _line_of(self, place: Place) -> int:
        """Return the line of an entry, counted on from the one before."""
        before = self._counted
        if before.text is not place.text or before.position > place.position:
            before, self._line = place._replace(position=0), 0
        self._line += place.text.count("\n", before.position, place.position)
        self._counted = place
        return self._line
