"""Engine that answers from master files, without a network.

Follows a question through all loaded zones; `files` finds the files, `reader` reads them, and
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

#: RFC 6672 §2.2: a substitution that is longer than a name can be.
_YXDOMAIN = "YXDOMAIN"
_MAX_TTL = 2**31 - 1  # RFC 2181 section 8
_NOT_AUTHORITATIVE: Final = 20  # RFC 8914 §4.21
_MAX_NAMED: Final = 3  # zones that an answer from outside of all of them names
_MAX_PARENTS: Final = 65_536  # parents of names whose zones are remembered


class ZoneFileEngine:
    """Answers as one authoritative server would that holds all the zones of a folder.

    `path`: the folder, a single master file, or a named.conf that lists them (`files`). One
    file is one zone, and its origin is the owner of the SOA record.

    Outside of all zones the answer is REFUSED, and its extended error says which zones
    there are. Aliases are followed through all of them; one that leads out is left to the
    caller (`alias_of`). A delegation to a zone that is not loaded is SERVFAIL: it cannot be
    followed here, and what is behind it is unknown; so is a record of an unknown type.
    Implements `Engine`; nothing in it changes once it is loaded.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._set_zones({})
        self._zone_below: dict[str, Zone | None] = {}
        self._asked = 0

    @classmethod
    def from_texts(cls, texts: Mapping[str, str]) -> Self:
        """Return an engine that is loaded already, from master files given as text.

        The keys are the origins that relative names fall back to. Raises ZoneFileError.
        """
        return cls.loaded(
            _load([MasterFile(name, name, name, text.encode()) for name, text in texts.items()])
        )

    @classmethod
    def loaded(cls, zones: Mapping[str, Zone]) -> Self:
        """Return an engine that has zones already, by origin."""
        engine = cls(Path())
        engine._set_zones(zones)
        return engine

    def _set_zones(self, zones: Mapping[str, Zone]) -> None:
        self._zones = dict(zones)
        #: Names that a zone is below.
        self._divided = {above for origin in zones for above in _names_above(origin)}

    @property
    def zones(self) -> Mapping[str, Zone]:
        """The zones by origin, once they are loaded."""
        return self._zones

    async def start(self) -> None:
        """Load the zones, in a thread; once.

        Raises ZoneFileError, with the file, the line and what was expected there. Whoever
        cancels this stops the thread, too.
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
            # Neighbours are in one zone as a rule.
            answer = zone.answer(*question) if zone is not None else None
            if answer is None:
                answer = self.answer(question)
                zone = self._zone_of(question.name)
                zone = None if zone is None or zone.origin in self._divided else zone
            pairs.append((question, answer))
        deliver(pairs)

    def backlog(self) -> int:
        """Return 0: every question is answered at once."""
        return 0

    def on_room(self, wake: Callable[[], None]) -> None:
        """Do nothing: there always is room."""

    def on_failure(self, fail: Callable[[AuditorError], None]) -> None:
        """Do nothing: files do not go away."""

    def counters(self) -> Mapping[str, int]:
        """Return how many questions were asked and answered, which is all of them."""
        return {"asked": self._asked, "answered": self._asked}

    async def close_engine(self) -> None:
        """Do nothing: nothing is open, and nothing outstanding."""

    def answer(self, question: Question) -> Answer:
        """Return the answer to one question."""
        name, rdtype = question
        zone = self._zone_of(name)
        if zone is None:
            return Answer(REFUSED, how=Provenance(transport="file", ede=self._outside(name)))
        return zone.answer(name, rdtype) or self._follow(zone, name, rdtype)

    def _zone_of(self, name: str) -> Zone | None:
        """Return the zone with the longest origin that the name is in."""
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

    def _outside(self, name: str) -> tuple[tuple[int, str], ...]:
        """Return the extended error for a name that no zone file covers."""
        origins = sorted(self._zones)
        listed = ", ".join(origins[:_MAX_NAMED])
        if len(origins) > _MAX_NAMED:
            listed += f" and {len(origins) - _MAX_NAMED} more"
        return ((_NOT_AUTHORITATIVE, f"no zone file covers {name}; loaded: {listed}"),)

    def _follow(self, first: Zone, name: str, rdtype: int) -> Answer:
        """Answer what is not simply there, alias by alias through all zones."""
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
                how = how._replace(ede=self._outside(name))
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
                break  # make_answer says what that means
            seen.add(name)
            zone = self._zone_of(name)
        return make_answer(NOERROR, (), aliases, ttl, how)


def _names_above(name: str) -> Iterator[str]:
    while name != ".":
        name = parent_of(name)
        yield name


def _answer_at(
    node: RRsets | None, zone: Zone, rdtype: int, aliases: Sequence[tuple[str, str]], ttl: int
) -> Answer | None:
    """Return the answer where the chain of aliases has come to; None if it goes on."""
    how = zone.how
    if node is None:
        ttl = min(ttl, zone.negative_ttl)
        return make_answer(NXDOMAIN, (), aliases, ttl, how, zone=zone.origin)
    if rdtype in node:
        own_ttl, records = node[rdtype]
        return make_answer(NOERROR, records, aliases, min(ttl, own_ttl), how)
    if -rdtype in node:
        own_ttl, unread = node[-rdtype]
        return _read_now(rdtype, unread, aliases, min(ttl, own_ttl), how)
    if UNDETERMINED in node:
        return make_answer(SERVFAIL, (), aliases, None, how)
    if CNAME in node:
        return None
    ttl = min(ttl, zone.negative_ttl)
    return make_answer(NODATA, (), aliases, ttl, how, zone=zone.origin)


def _read_now(
    rdtype: int,
    unread: Sequence[object],
    aliases: Sequence[tuple[str, str]],
    ttl: int,
    how: Provenance,
) -> Answer:
    """Return the answer with records that were put off; SERVFAIL if they make no sense."""
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
