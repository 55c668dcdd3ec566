"""A zone in memory, and the lookup of a name in it as an authoritative server does it.

Plain data and the algorithm of RFC 1034 §4.3.2, with wildcards (RFC 4592), DNAME
(RFC 6672) and empty non-terminals (RFC 8020). No file, no library and no clock here:
`reader` makes zones, `engine` asks them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple, cast

from auditor.resolve.answer import Answer
from auditor.resolve.zones.generate import Rules
from auditor.resolve.zones.lazy_lines import LazyRun, add_runs, read_run
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
    """Return `name`, which is below `owner`, moved below `target` (RFC 6672 §2.2).

    None if the outcome is longer than a name can be.
    """
    prefix = name if owner == "." else name[: -len(owner) - 1]
    moved = prefix if target == "." else f"{prefix}.{target}"
    # The octets of length stand where the dots are, one more in front; the last is the root's.
    octets = len(_ESCAPE.sub("x", moved)) + 2
    return moved if octets <= MAX_NAME else None


class Redirection(NamedTuple):
    """The CNAME that a DNAME stands for; `target` is None if it would be too long."""

    target: str | None
    ttl: int


class ZoneRecord(NamedTuple):
    """A record set of a zone: owner name, type, TTL, records (sorted, no duplicates)."""

    owner: str
    rdtype: int
    ttl: int
    records: tuple[Rdata, ...]


class Zone:
    """One zone: its authoritative data, the cuts in it, the TTL of its negative answers.

    `nodes` holds everything in the zone by owner name, the SOA record at `origin` included, and
    is taken over; runs of lines among it are read when one of their names is asked for.
    `closed_runs` belong to it as well, but their owner names are not taken before any name is asked
    for. `ends` are the owners of NS and DNAME records: what these occlude (glue, RFC 6672 §2.4) is
    dropped, so that the closest encloser of a name is always the node that decides about it; the
    origin is the only one if there are `closed_runs`. `rules` are the
    `$GENERATE` directives: the names that they make are not among the nodes, unless records of
    their own stand there too.
    """

    __slots__ = (
        "_closed_runs",
        "_has_all",
        "_has_empty",
        "_nodes",
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
        ends: Iterable[str] = (),
        rules: Iterable[Rule] = (),
        *,
        closed_runs: Sequence[LazyRun] = (),
    ) -> None:
        self.origin = origin
        self._nodes = nodes
        self._closed_runs: Sequence[LazyRun] = ()
        self.how = how
        ttl, soa = self._soa
        self.negative_ttl = min(ttl, soa.minimum)  # RFC 2308 §5
        #: What is said of a type that does not stand at a name.
        self.nodata = Answer(NODATA, ttl=self.negative_ttl, how=how, zone=origin)
        #: Whether all nodes have been read, and whether the empty ones are among them.
        self._has_all = self._has_empty = False
        self._end_at(ends)
        self.rules = Rules(rules)
        for parent in self.rules.parents():
            nodes.setdefault(parent, EMPTY)
        self._closed_runs = closed_runs

    @property
    def nodes(self) -> dict[str, RRsets]:
        """All that is in the zone by owner name, empty non-terminals included."""
        if not self._has_all:
            self._add_empty_nodes()
            for name in self._nodes:
                self.node(name)
            self._has_all = True
        return cast("dict[str, RRsets]", self._nodes)

    def node(self, name: str) -> RRsets | None:
        """Return what stands at a name itself; None for nothing, perhaps with names below."""
        if self._closed_runs:
            self._open_runs()
        node = self._nodes.get(name)
        if isinstance(node, LazyRun):
            read_run(node, self._nodes)
            return self.node(name)
        return node

    def _open_runs(self) -> None:
        """Take the owner names of closed runs: somebody asks for names of this zone."""
        runs, self._closed_runs = self._closed_runs, ()
        add_runs(runs, self._nodes)

    def answer(self, name: str, rdtype: int) -> Answer | None:
        """Return what stands at a name itself; None if that is nothing, an alias or not read."""
        node = self._nodes.get(name)
        if self._closed_runs or isinstance(node, LazyRun):
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

    def _above(self, name: str) -> Iterator[str]:
        """Yield the names above this one, up to the origin."""
        while name != self.origin:
            name = parent_of(name)
            yield name

    def _end_at(self, ends: Iterable[str]) -> None:
        """Make cuts of the delegations, and drop what they and the DNAMEs occlude."""
        nodes = self._nodes
        cuts = set()
        below = set()
        for name in ends:
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
            if parent in below or any(above in below for above in self._above(parent))
        }
        for name in list(nodes) if occluded else ():
            if parent_of(name) in occluded and name != self.origin:
                del nodes[name]
        for name in cuts & nodes.keys():
            nodes[name] = CUT

    def _parents(self) -> set[str]:
        """Return the names above those in the zone: few, since neighbours have one parent."""
        return {
            (name.partition(".")[2] or ".") if "\\" not in name else parent_of(name)
            for name in self._nodes
            if name != self.origin
        }

    def _add_empty_nodes(self) -> None:
        if self._has_empty:
            return
        self._has_empty = True
        self._open_runs()
        nodes = self._nodes
        for parent in self._parents():
            name = parent
            while name not in nodes:
                nodes[name] = EMPTY
                name = parent_of(name)

    def find(self, name: str) -> RRsets | Redirection | None:
        """Return what the zone says about a name in it; None if the name does not exist.

        RRsets are those of the name or of the wildcard that covers it; `CUT` stands for
        all names at and below a delegation, a `Redirection` for a name below a DNAME.
        """
        node = self.node(name)
        if node is not None:
            return node
        if not self._has_empty:
            self._add_empty_nodes()
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
            encloser = self._closest_made(name, encloser)
        # RFC 4592 §3.3.1: only the closest encloser's own asterisk is a source of synthesis.
        wildcard = "*" if encloser == "." else f"*.{encloser}"
        node = self.node(wildcard)
        return self.rules.node(wildcard) if node is None and self.rules else node

    def _closest_made(self, name: str, encloser: str) -> str:
        """Return the closest encloser of a name, where a rule may have made one."""
        above = parent_of(name)
        while above != encloser and self.rules.node(above) is None:
            above = parent_of(above)
        return above

    def record_sets(self, rdtypes: Container[int]) -> Iterator[ZoneRecord]:
        """Yield the record sets of these types, one at a time; those of rules at the end.

        Wildcards are among them, by their own names; glue and what is occluded is not.
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
