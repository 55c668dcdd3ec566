"""A zone in memory, and authoritative name lookup in it.

Plain data and the algorithm of RFC 1034 §4.3.2, with wildcards (RFC 4592), DNAME
(RFC 6672) and empty non-terminals (RFC 8020). No I/O and no clock: `reader` makes zones,
`engine` queries them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from auditor.resolve.answer import Answer
from auditor.resolve.zones.generate import Rules
from auditor.resolve.zones.lazy_lines import LazyRun, index_runs, parse_run
from auditor.resolve.zones.rrsets import EMPTY, UNDETERMINED, RRsets
from auditor.wire.codes import CNAME, DNAME, NODATA, NOERROR, NS, SOA
from auditor.wire.names import MAX_NAME, parent_of

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Sequence

    from auditor.resolve.answer import Provenance, Rdata, Soa
    from auditor.resolve.zones.generate import Rule

__all__ = ["CUT", "Redirection", "Zone", "ZoneRecord", "substitute"]

#: A delegation out of the zone. Known by identity, never changed.
CUT: Final[RRsets] = {}

_NEW: Final = tuple.__new__

_ESCAPE = re.compile(r"\\(?:[0-9]{3}|.)")


def substitute(name: str, owner: str, target: str) -> str | None:
    """Return `name`, which is below `owner`, with that suffix replaced by `target`.

    DNAME substitution (RFC 6672 §2.2); None if the result is longer than 255 octets.
    """
    prefix = name if owner == "." else name[: -len(owner) - 1]
    moved = prefix if target == "." else f"{prefix}.{target}"
    # On the wire: a length octet for each dot, one in front, and the root label.
    octets = len(_ESCAPE.sub("x", moved)) + 2
    return moved if octets <= MAX_NAME else None


class Redirection(NamedTuple):
    """The CNAME synthesised from a DNAME; `target` is None if it would be too long."""

    target: str | None
    ttl: int


class ZoneRecord(NamedTuple):
    """An RRset of a zone: owner name, type, TTL, records (sorted, no duplicates)."""

    owner: str
    rdtype: int
    ttl: int
    records: tuple[Rdata, ...]


class Zone:
    """One zone: its authoritative data, its zone cuts, the TTL of its negative answers.

    `nodes` maps owner names to their RRsets, the SOA at `origin` included; the zone keeps and
    changes it. A `LazyRun` in it is parsed at the first lookup of one of its names;
    `unindexed_runs` are not even indexed by owner name before the first lookup in the zone.
    `occluders` are the owners of NS and DNAME records: names that these occlude (glue,
    RFC 6672 §2.4) are dropped, so the closest encloser of a name always decides about it; with
    `unindexed_runs` the origin must be the only one. `rules` are the `$GENERATE` directives:
    generated names are not in `nodes`, unless they have other records as well.
    """

    __slots__ = (
        "_has_all",
        "_has_empty_non_terminals",
        "_nodes",
        "_unindexed_runs",
        "how",
        "negative_ttl",
        "nodata",
        "origin",
        "rules",
    )

    def __init__(
        self,
        origin: str,
        nodes: dict[str, RRsets | LazyRun],
        how: Provenance,
        occluders: Iterable[str] = (),
        rules: Iterable[Rule] = (),
        *,
        unindexed_runs: Sequence[LazyRun] = (),
    ) -> None:
        self.origin = origin
        self._nodes = nodes
        self._unindexed_runs: Sequence[LazyRun] = ()
        self.how = how
        ttl, soa = self._soa
        self.negative_ttl = min(ttl, soa.minimum)  # RFC 2308 §5
        #: The negative answer for a name without the type (RFC 2308 §2.2).
        self.nodata = Answer(NODATA, ttl=self.negative_ttl, how=how, zone=origin)
        #: Whether all nodes are parsed; whether empty non-terminals are among them.
        self._has_all = self._has_empty_non_terminals = False
        self._drop_occluded(occluders)
        self.rules = Rules(rules)
        for parent in self.rules.parents():
            nodes.setdefault(parent, EMPTY)
        self._unindexed_runs = unindexed_runs

    @property
    def nodes(self) -> dict[str, RRsets]:
        """All RRsets of the zone by owner name, empty non-terminals included."""
        if not self._has_all:
            self._add_empty_non_terminals()
            for name in self._nodes:
                self.node(name)
            self._has_all = True
        return cast("dict[str, RRsets]", self._nodes)

    def node(self, name: str) -> RRsets | None:
        """Return the RRsets of a name; None if it has none (it may have names below)."""
        if self._unindexed_runs:
            self._index_runs()
        node = self._nodes.get(name)
        if isinstance(node, LazyRun):
            parse_run(node, self._nodes)
            return self.node(name)
        return node

    def _index_runs(self) -> None:
        """Index the unindexed runs by owner name, at the first lookup in the zone."""
        runs, self._unindexed_runs = self._unindexed_runs, ()
        index_runs(runs, self._nodes)

    def answer(self, name: str, rdtype: int) -> Answer | None:
        """Return the answer from a name's own records.

        None if it has none, is an alias, or the type is not parsed.
        """
        node = self._nodes.get(name)
        if self._unindexed_runs or isinstance(node, LazyRun):
            node = self.node(name)
        if not node:
            return None
        rrset = node.get(rdtype)
        if rrset is not None:
            return _NEW(Answer, (NOERROR, rrset[1], (), "", rrset[0], self.how, ""))
        if CNAME in node or UNDETERMINED in node or -rdtype in node:
            return None
        return self.nodata

    @property
    def serial(self) -> int:
        """The serial number of its SOA record."""
        return self._soa[1].serial

    @property
    def _soa(self) -> tuple[int, Soa]:
        ttl, (soa,) = cast("RRsets", self._nodes[self.origin])[SOA]
        return ttl, cast("Soa", soa)

    def _ancestors(self, name: str) -> Iterator[str]:
        """Yield the ancestors of a name, up to the origin."""
        while name != self.origin:
            name = parent_of(name)
            yield name

    def _drop_occluded(self, occluders: Iterable[str]) -> None:
        """Replace delegations by `CUT`, and drop the names below them and below DNAMEs."""
        nodes = self._nodes
        cuts = set()
        below = set()
        for name in occluders:
            node = self.node(name) or EMPTY
            if NS in node and name != self.origin:
                cuts.add(name)
                below.add(name)
            if DNAME in node:
                below.add(name)
        if not below:
            return
        occluded = {
            parent
            for parent in self._parents()
            if parent in below or any(above in below for above in self._ancestors(parent))
        }
        for name in list(nodes) if occluded else ():
            if parent_of(name) in occluded and name != self.origin:
                del nodes[name]
        for name in cuts & nodes.keys():
            nodes[name] = CUT

    def _parents(self) -> set[str]:
        """Return the parents of the zone's names: few, since neighbours share one."""
        return {
            (name.partition(".")[2] or ".") if "\\" not in name else parent_of(name)
            for name in self._nodes
            if name != self.origin
        }

    def _add_empty_non_terminals(self) -> None:
        if self._has_empty_non_terminals:
            return
        self._has_empty_non_terminals = True
        self._index_runs()
        nodes = self._nodes
        for parent in self._parents():
            name = parent
            while name not in nodes:
                nodes[name] = EMPTY
                name = parent_of(name)

    def find(self, name: str) -> RRsets | Redirection | None:
        """Look up a name of the zone; None if it does not exist (NXDOMAIN).

        Returns the RRsets of the name or of the wildcard that covers it; `CUT` at and below a
        delegation; a `Redirection` below a DNAME.
        """
        node = self.node(name)
        if node is not None:
            return node
        if not self._has_empty_non_terminals:
            self._add_empty_non_terminals()
            return self.find(name)
        encloser = parent_of(name)
        while (node := self.node(encloser)) is None:
            encloser = parent_of(encloser)
        if node is CUT:
            return CUT
        if DNAME in node:
            ttl, (target,) = node[DNAME]
            return Redirection(substitute(name, encloser, cast("str", target)), ttl)
        if self.rules:
            made = self.rules.node(name)
            if made is not None:
                return made
            encloser = self._closest_encloser(name, encloser)
        # RFC 4592 §3.3.1: only the closest encloser's own asterisk is a source of synthesis.
        wildcard = "*" if encloser == "." else f"*.{encloser}"
        node = self.node(wildcard)
        return self.rules.node(wildcard) if node is None and self.rules else node

    def _closest_encloser(self, name: str, encloser: str) -> str:
        """Return the closest encloser of a name, names generated by rules included."""
        above = parent_of(name)
        while above != encloser and self.rules.node(above) is None:
            above = parent_of(above)
        return above

    def record_sets(self, rdtypes: Container[int]) -> Iterator[ZoneRecord]:
        """Yield the RRsets of these types; the `$GENERATE`d ones last.

        Wildcards are included under their own names; glue and occluded names are not.
        """
        for name, node in self.nodes.items():
            for rdtype, (ttl, records) in node.items():
                if rdtype in rdtypes:
                    yield ZoneRecord(name, rdtype, ttl, records)
        for name in self.rules.names(rdtypes):
            found = self.find(name) if name not in self.nodes else None
            if isinstance(found, dict):
                for rdtype, (ttl, records) in found.items():
                    if rdtype in rdtypes:
                        yield ZoneRecord(name, rdtype, ttl, records)
