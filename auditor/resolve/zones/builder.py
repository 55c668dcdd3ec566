"""Builds a zone from records; rejects zones that an authoritative server would not load.

Names out of the zone are ignored with a warning, as BIND, Knot and PowerDNS do.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

from auditor.errors import ZoneFileError
from auditor.resolve.answer import Provenance
from auditor.resolve.zones.lazy_lines import LazyRun, index_runs, owner_names, parse_run
from auditor.resolve.zones.rrsets import UNDETERMINED, RRsets, add_record, conflict, finish
from auditor.resolve.zones.zone import CUT, Zone
from auditor.wire import codes

if TYPE_CHECKING:
    from collections.abc import Sequence

    from auditor.resolve.zones.common_lines import Line
    from auditor.resolve.zones.generate import Rule

__all__ = ["Place", "ZoneBuilder"]

_log = logging.getLogger("auditor")

_MAX_LINE_CHARACTERS: Final = 60  # characters of a line in a message
_MAX_NAMED: Final = 3  # names that a warning mentions


class Place(NamedTuple):
    """Where a record is: the file's label in messages, its text, and the entry's offset in it.

    `lines`: number of lines to add to that.
    """

    label: str
    text: str
    position: int
    lines: int = 0

    def refusal(self, message: str) -> ZoneFileError:
        """Return the error that names the file and the line."""
        line = self.text.count("\n", 0, self.position) + 1 + self.lines
        return ZoneFileError(f"{self.label}:{line}: {message}")

    def unreadable(self, reason: str) -> ZoneFileError:
        """Return the error for an entry that cannot be parsed; reason "" for no entry at all."""
        found = self.text[self.position : self.text.index("\n", self.position)].strip()
        if len(found) > _MAX_LINE_CHARACTERS:
            found = f"{found[:_MAX_LINE_CHARACTERS]}..."
        if reason:
            return self.refusal(f"{found!r} cannot be read: {reason}")
        return self.refusal(f"expected a resource record or a directive, found {found!r}")


class ZoneBuilder:
    """Collects the records of one zone in the order of its file."""

    def __init__(self, label: str) -> None:
        self.apex: str | None = None
        self._label = label
        self._nodes: dict[str, RRsets | LazyRun] = {}
        #: Runs whose owner names are not indexed yet. While the zone has no CNAME, none of their
        #: records can conflict with another.
        self._unindexed_runs: list[LazyRun] = []
        #: Whether there may be aliases.
        self._has_aliases = False
        #: Owners of NS and DNAME records, which occlude the names below them.
        self._occluders: set[str] = set()
        self._early: list[tuple[str, Place]] = []
        #: Owners of RRsets of several records, which have to be sorted.
        self._unsorted: set[str] = set()
        self._rules: list[tuple[Rule, Place]] = []
        self._unknown: dict[str, tuple[str, Place]] = {}
        #: Ignored records out of the zone: their number, and owner and place of the first.
        self._outside = 0
        self._first_outside: tuple[str, Place] | None = None

    def add_record(self, owner: str, rdtype: int, ttl: int, record: Any, place: Place) -> None:
        """Add one record; `rdtype` is negative if it was not parsed.

        Raises ZoneFileError for a record that no server loads.
        """
        if rdtype == codes.SOA:
            self._set_apex(owner, place)
        if not self._is_accepted(owner, place):
            return
        if rdtype in {codes.NS, codes.DNAME} and (owner == "*" or owner.startswith("*.")):
            word = codes.type_name(rdtype)
            raise place.refusal(
                f"{word} at the wildcard {owner}; expected none (RFC 4592 4.2, 4.4)"
            )
        if rdtype in {codes.NS, codes.DNAME}:
            self._occluders.add(owner)
        self._has_aliases |= rdtype == codes.CNAME
        node = self._node(owner)
        if problem := conflict(owner, rdtype, record, node):
            raise place.refusal(problem)
        add_record(node, rdtype, ttl, record)
        if len(node[rdtype][1]) > 1:
            self._unsorted.add(owner)

    def add_lines(self, lines: Sequence[Line | None], place: Place) -> None:
        """Add the records of common lines, all in the zone; `place`: of the first line."""
        self._index_runs()
        nodes = self._nodes
        for number, line in enumerate(lines):
            if line is None:
                continue
            owner, rdtype, ttl, record = line
            if owner in nodes or owner[0] == "*":
                self.add_record(owner, rdtype, ttl, record, place._replace(lines=number))
            else:
                nodes[owner] = {rdtype: (ttl, (record,))}
                if rdtype == codes.NS:
                    self._occluders.add(owner)
                self._has_aliases |= rdtype == codes.CNAME

    def add_run(self, run: LazyRun, owners: Sequence[str] | None) -> bool:
        """Add lines that are parsed at the first lookup of one of their names.

        `owners`: of each line; None for an unindexed run. Returns False, and adds nothing, if
        one of the owners has records already.
        """
        if owners is None and not self._has_aliases:
            self._unindexed_runs.append(run)
            return True
        self._index_runs()
        self._has_aliases = True
        owners = owner_names(run) if owners is None else owners
        nodes = self._nodes
        if not nodes.keys().isdisjoint(owners):
            return False
        nodes.update(dict.fromkeys(owners, run))
        return True

    def _index_runs(self) -> None:
        """Index the unindexed runs by owner name."""
        if self._unindexed_runs:
            index_runs(self._unindexed_runs, self._nodes)
            self._unindexed_runs = []

    def _node(self, owner: str) -> RRsets:
        """Return the RRsets of an owner name, for adding to them."""
        self._index_runs()
        node = self._nodes.setdefault(owner, {})
        if isinstance(node, LazyRun):
            parse_run(node, self._nodes)
            return cast("RRsets", self._nodes[owner])
        return node

    def add_unknown(self, owner: str, mnemonic: str, place: Place) -> None:
        """Add a record of an unknown type: its name is undetermined."""
        if not self._is_accepted(owner, place):
            return
        node = self._node(owner)
        node[UNDETERMINED] = (0, ())
        self._unknown.setdefault(owner, (mnemonic, place))

    def add_rule(self, rule: Rule, place: Place) -> None:
        """Add a `$GENERATE` directive without unrolling it."""
        ends = [rule.owner_for(number) for number in (rule.numbers[0], rule.numbers[-1])]
        if self.apex is not None and not all(map(self._is_inside, ends)):
            if any(map(self._is_inside, ends)):
                raise place.refusal(f"{' or '.join(ends)} is out of zone; expected neither")
            self._ignore(ends[0], place)
            return
        for number in (rule.numbers[0], rule.numbers[-1]):
            rule.record_for(number)
        self._rules.append((rule, place))

    def _is_accepted(self, owner: str, place: Place) -> bool:
        """Tell whether a name is in the zone, as far as the apex is known."""
        if self.apex is None:
            self._early.append((owner, place))
        elif not self._is_inside(owner):
            self._ignore(owner, place)
            return False
        return True

    def _ignore(self, owner: str, place: Place) -> None:
        self._outside += 1
        self._first_outside = self._first_outside or (owner, place)

    def _is_inside(self, owner: str) -> bool:
        return self.apex in {owner, "."} or owner.endswith(f".{self.apex}")

    def _set_apex(self, owner: str, place: Place) -> None:
        if self.apex is None:
            self.apex = owner
            for early, where in self._early:
                if not self._is_accepted(early, where):
                    self._nodes.pop(early, None)
                    self._unknown.pop(early, None)
                    self._unsorted.discard(early)
            rules, self._rules = self._rules, []
            for rule, where in rules:
                self.add_rule(rule, where)
            self._early = []
        elif owner != self.apex:
            raise place.refusal(
                f"a second zone, {owner}, in the file of {self.apex}; expected one zone a file"
            )

    def zone(self, server: str) -> Zone:
        """Return the zone of all records added; the builder must not be used again."""
        apex, nodes = self.apex, self._nodes
        if apex is None:
            raise ZoneFileError(f"{self._label}: no SOA record; expected one, at the zone's origin")
        self._warn_outside(apex)
        if self._occluders - {apex} or self._may_repeat_origin(apex):
            self._index_runs()
        for owner in self._unsorted:
            finish(cast("RRsets", nodes[owner]))
        self._warn_mistakes(apex)
        how = Provenance(server=server, transport="file")
        ends = self._occluders & nodes.keys()
        rules = [rule for rule, _ in self._rules]
        zone = Zone(apex, nodes, how, ends, rules, unindexed_runs=self._unindexed_runs)
        self._merge_rules(zone)
        return zone

    def _merge_rules(self, zone: Zone) -> None:
        """Add the generated records of names that have other records as well."""
        if not zone.rules:
            return
        for name, node in zone.nodes.items():
            made = zone.rules.node(name, node)
            if made is not None and node is not CUT:
                zone.nodes[name] = made

    def _warn_outside(self, apex: str) -> None:
        """Warn of ignored records; refuse a file of only these: its origin must be wrong."""
        if self._first_outside is None:
            return
        owner, place = self._first_outside
        if len(self._nodes) == 1 and not self._rules and not self._unindexed_runs:
            raise place.refusal(f"{owner} is out of zone; expected names in {apex}")
        more = f" and {self._outside - 1} more" if self._outside > 1 else ""
        note = place.refusal(f"out of the zone {apex}, and ignored: {owner}{more}")
        _log.warning("%s", note)

    def _may_repeat_origin(self, apex: str) -> bool:
        """Tell whether a name in unindexed runs may end with the origin twice."""
        ends = (f"{apex} ", f"{apex}\t")
        return any(end in run.text.lower() for run in self._unindexed_runs for end in ends)

    def _warn_mistakes(self, apex: str) -> None:
        """Warn of content that loads but is probably a mistake."""
        for owner, (mnemonic, place) in list(self._unknown.items())[:_MAX_NAMED]:
            note = place.refusal(f"unknown type {mnemonic}: {owner} is undetermined")
            _log.warning("%s", note)
        if len(self._unknown) > _MAX_NAMED:
            more = len(self._unknown) - _MAX_NAMED
            _log.warning("%s: %d more names with unknown types", self._label, more)
        if apex == ".":
            return
        twice = f"{apex}.{apex}"
        if f"{twice}\n" in "\n".join((*self._nodes, "")):
            doubled = [name for name in self._nodes if name.endswith(twice)]
            _log.warning(
                "%s: %d names such as %s have the origin twice: add the final dots that they lack, "
                "or $ORIGIN .",
                *(self._label, len(doubled), doubled[0]),
            )
