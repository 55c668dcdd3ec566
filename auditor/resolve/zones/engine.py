"""Engine that answers from master files, without a network.

Follows aliases through all loaded zones; `files` finds the files, `reader` parses them, and
`zone` answers for one zone.
"""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self, cast

from auditor.errors import ZoneFileError
from auditor.resolve.answer import MAX_CHAIN, Answer, Provenance, make_answer
from auditor.resolve.zones.files import master_files
from auditor.resolve.zones.rdata import UnreadRdata, wire_rdata
from auditor.resolve.zones.reader import MasterFile, read_zone
from auditor.resolve.zones.rrsets import UNDETERMINED
from auditor.resolve.zones.zone import CUT, Redirection, Zone
from auditor.wire.codes import CNAME, NODATA, NOERROR, NXDOMAIN, REFUSED, SERVFAIL
from auditor.wire.names import parent_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from auditor.errors import AuditorError
    from auditor.resolve.answer import AnswerCallback, Question, Rdata
    from auditor.resolve.zones.rrsets import RRsets

__all__ = ["ZoneFileEngine"]

#: RFC 6672 §2.2: the name after DNAME substitution is too long.
_YXDOMAIN = "YXDOMAIN"
_MAX_TTL = 2**31 - 1  # RFC 2181 section 8
_NOT_AUTHORITATIVE: Final = 20  # RFC 8914 §4.21
_MAX_NAMED: Final = 3  # zones that the extended error of a REFUSED answer names
_MAX_PARENTS: Final = 65_536  # entries of the cache of zones by parent name


class ZoneFileEngine:
    """Answers like an authoritative server that holds all the zones of a folder.

    `path`: the folder, a single master file, or a named.conf that lists them (`files`). One
    file is one zone, and its origin is the owner of the SOA record.

    Names outside of all zones are REFUSED, with an extended error (RFC 8914) that lists the
    zones. Aliases are followed through all of them; an alias to a name outside is left to the
    caller (`alias_of`). A delegation to a zone that is not loaded is SERVFAIL, since it cannot
    be followed; so is a record of an unknown type.
    Implements `Engine`; immutable once loaded.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._set_zones({})
        self._zone_below: dict[str, Zone | None] = {}
        self._asked = 0

    @classmethod
    def from_texts(cls, texts: Mapping[str, str]) -> Self:
        """Return a loaded engine for master files given as text.

        The keys are the initial origins (RFC 1035 §5.1). Raises ZoneFileError.
        """
        return cls.loaded(
            _load([MasterFile(name, name, name, text.encode()) for name, text in texts.items()])
        )

    @classmethod
    def loaded(cls, zones: Mapping[str, Zone]) -> Self:
        """Return an engine for zones that are loaded already, by origin."""
        engine = cls(Path())
        engine._set_zones(zones)
        return engine

    def _set_zones(self, zones: Mapping[str, Zone]) -> None:
        self._zones = dict(zones)
        #: Ancestors of all origins: a zone with one of these origins has loaded zones below it.
        self._origins_above_zones = {above for origin in zones for above in _ancestors(origin)}

    @property
    def zones(self) -> Mapping[str, Zone]:
        """The zones by origin, once they are loaded."""
        return self._zones

    async def start(self) -> None:
        """Load the zones in a thread, once; cancelling stops the thread.

        Raises ZoneFileError with the file, the line and what was expected there.
        """
        if self._zones:
            return
        stopped = threading.Event()
        try:
            self._set_zones(
                await asyncio.to_thread(
                    lambda: _load(master_files(self._path), lambda: not stopped.is_set())
                )
            )
        finally:
            stopped.set()

    def submit(self, questions: Sequence[Question], deliver: AnswerCallback) -> None:
        """Answer all questions at once, in one batch, before this returns."""
        self._asked += len(questions)
        pairs: list[tuple[Question, Answer]] = []
        zone: Zone | None = None
        for question in questions:
            # Consecutive names are mostly in one zone.
            answer = zone.answer(*question) if zone is not None else None
            if answer is None:
                answer = self.answer(question)
                zone = self._zone_of(question.name)
                zone = None if zone is None or zone.origin in self._origins_above_zones else zone
            pairs.append((question, answer))
        deliver(pairs)

    def backlog(self) -> int:
        """Return 0: every question is answered at once."""
        return 0

    def on_room(self, wake: Callable[[], None]) -> None:
        """Do nothing: there is always room."""

    def on_failure(self, fail: Callable[[AuditorError], None]) -> None:
        """Do nothing: files do not go away."""

    def counters(self) -> Mapping[str, int]:
        """Return how many questions were asked and answered: equal numbers."""
        return {"asked": self._asked, "answered": self._asked}

    async def close_engine(self) -> None:
        """Do nothing: nothing is open or outstanding."""

    def answer(self, question: Question) -> Answer:
        """Return the answer to one question."""
        name, rdtype = question
        zone = self._zone_of(name)
        if zone is None:
            return Answer(
                REFUSED, how=Provenance(transport="file", ede=self._not_authoritative(name))
            )
        return zone.answer(name, rdtype) or self._look_up(zone, name, rdtype)

    def _zone_of(self, name: str) -> Zone | None:
        """Return the zone that the name is in: the one with the longest matching origin."""
        zone = self._zones.get(name)
        if zone is not None or name == ".":
            return zone
        parent = parent_of(name)
        known = self._zone_below
        zone = known.get(parent)
        if zone is None and parent not in known:
            if len(known) >= _MAX_PARENTS:
                known.clear()
            zone = known[parent] = self._zone_of(parent)
        return zone

    def _not_authoritative(self, name: str) -> tuple[tuple[int, str], ...]:
        """Return the extended error for a name that no zone file covers."""
        origins = sorted(self._zones)
        listed = ", ".join(origins[:_MAX_NAMED])
        if len(origins) > _MAX_NAMED:
            listed += f" and {len(origins) - _MAX_NAMED} more"
        return ((_NOT_AUTHORITATIVE, f"no zone file covers {name}; loaded: {listed}"),)

    def _look_up(self, first: Zone, name: str, rdtype: int) -> Answer:
        """Answer by full lookup: wildcards, DNAME, and aliases through all zones."""
        zone: Zone | None = first
        how = first.how
        aliases: list[tuple[str, str]] = []
        seen = {name}
        ttl = _MAX_TTL
        while zone is not None:
            how = zone.how
            node = zone.find(name)
            if isinstance(node, Redirection):
                if node.target is None:
                    return make_answer(_YXDOMAIN, (), aliases, None, how)
                node = {CNAME: (node.ttl, (node.target,))}
            if node is CUT:
                how = how._replace(ede=self._not_authoritative(name))
                return make_answer(SERVFAIL, (), aliases, None, how)
            answer = _answer_at(node, zone, rdtype, aliases, ttl)
            if answer is not None:
                return answer
            node = cast("RRsets", node)
            own_ttl, (target,) = node[CNAME]
            ttl = min(ttl, own_ttl)
            target = cast("str", target)
            aliases.append((name, target))
            name = target
            if name in seen or len(aliases) > MAX_CHAIN:
                break  # a loop or a chain too long: make_answer sets the status
            seen.add(name)
            zone = self._zone_of(name)
        return make_answer(NOERROR, (), aliases, ttl, how)


def _ancestors(name: str) -> Iterator[str]:
    while name != ".":
        name = parent_of(name)
        yield name


def _answer_at(
    node: RRsets | None, zone: Zone, rdtype: int, aliases: Sequence[tuple[str, str]], ttl: int
) -> Answer | None:
    """Return the answer at the end of the alias chain; None if the node is another alias."""
    how = zone.how
    if node is None:
        ttl = min(ttl, zone.negative_ttl)
        return make_answer(NXDOMAIN, (), aliases, ttl, how, zone=zone.origin)
    if rdtype in node:
        own_ttl, records = node[rdtype]
        return make_answer(NOERROR, records, aliases, min(ttl, own_ttl), how)
    if -rdtype in node:
        own_ttl, unread = node[-rdtype]
        return _answer_unread(rdtype, unread, aliases, min(ttl, own_ttl), how)
    if UNDETERMINED in node:
        return make_answer(SERVFAIL, (), aliases, None, how)
    if CNAME in node:
        return None
    ttl = min(ttl, zone.negative_ttl)
    return make_answer(NODATA, (), aliases, ttl, how, zone=zone.origin)


def _answer_unread(
    rdtype: int,
    unread: Sequence[object],
    aliases: Sequence[tuple[str, str]],
    ttl: int,
    how: Provenance,
) -> Answer:
    """Parse records of types that are not parsed at load time; SERVFAIL if they are malformed."""
    found = [wire_rdata(rdtype, cast("UnreadRdata", record)) for record in unread]
    records: list[Rdata] = [record for record in found if record is not None]
    if len(records) < len(found):
        return make_answer(SERVFAIL, (), aliases, None, how)
    return make_answer(NOERROR, records, aliases, ttl, how)


def _load(files: Iterable[MasterFile], go_on: Callable[[], bool] = lambda: True) -> dict[str, Zone]:
    """Return the zones by origin. Raises ZoneFileError."""
    zones: dict[str, Zone] = {}
    labels: dict[str, str] = {}
    for file in files:
        zone = read_zone(file, go_on)
        if zone.origin in zones:
            raise ZoneFileError(
                f"{file.label}: the zone {zone.origin} again, after {labels[zone.origin]}; "
                "expected one file a zone"
            )
        zones[zone.origin] = zone
        labels[zone.origin] = file.label
    return zones
