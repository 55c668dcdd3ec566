"""The `zones` engine: answers from a folder of master files, without a network.

Which files of a folder count and how a question travels through all the zones loaded
stands here; how a file is read stands in `masterfile` (the only one that needs
dnspython, imported when a folder is loaded), and what one zone says in `zonedata`.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, cast

from auditor.errors import ZoneFileError
from auditor.resolve.answer import MAX_CHAIN, Answer, Obtained, make_answer
from auditor.resolve.zonedata import CUT, Redirection, Zone, parent_of
from auditor.wire.codes import CNAME, NODATA, NOERROR, NXDOMAIN, REFUSED, SERVFAIL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from auditor.errors import AuditorError
    from auditor.resolve.answer import Deliver, Question

__all__ = ["ZoneFiles"]

_RULE = "*.zone, *.db, db.* and names without a dot"
_SUFFIXES = (".zone", ".db")
#: RFC 6672 §2.2: a substitution that is longer than a name can be.
_YXDOMAIN = "YXDOMAIN"
_MAX_TTL = 2**31 - 1  # RFC 2181 section 8
_NOWHERE = Answer(REFUSED, how=Obtained(transport="file"))


class _Source(NamedTuple):
    """A master file: what messages call it, what answers call it, its origin in want of one."""

    label: str
    server: str
    fallback: str
    data: bytes


class ZoneFiles:
    """Answers as one authoritative server would that holds all zones of a folder.

    A master file (RFC 1035 §5) is any regular file named `*.zone`, `*.db`, `db.*` or
    without a dot (`zone`); hidden files and the rest are passed over, folders are not
    entered. One file is one zone, and its origin is the owner of the SOA record, so the
    name of a file is free; only relative names without an `$ORIGIN` are taken to be below
    the file's name without `.zone`, `.db` or `db.` (`root` and `zone` mean the root).
    `$INCLUDE` is refused: a file stands for itself.

    Outside of all zones the answer is REFUSED. Aliases are followed through all of them; one
    that leads out is left to the caller (`alias_of`). A delegation to a zone that is not
    loaded is SERVFAIL: it cannot be followed here, and what is behind it is unknown.
    Implements `Engine`; nothing in it changes once it is loaded.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._zones: dict[str, Zone] = {}
        self._asked = 0

    @classmethod
    def of(cls, texts: Mapping[str, str]) -> ZoneFiles:
        """Return an engine that is loaded already, from master files given as text.

        The keys are the origins that relative names fall back to. Raises ZoneFileError.
        """
        engine = cls(Path())
        engine._zones = _load(
            _Source(name, name, name, text.encode()) for name, text in texts.items()
        )
        return engine

    async def start(self) -> None:
        """Load the folder, in a thread; once.

        Raises ZoneFileError, with the file, the line and what was expected there.
        """
        if not self._zones:
            self._zones = await asyncio.to_thread(_load, _files(self._folder))

    def submit(self, questions: Sequence[Question], deliver: Deliver) -> None:
        """Answer all questions at once, in one batch, before this returns."""
        answer = self.answer
        self._asked += len(questions)
        deliver([(question, answer(question)) for question in questions])

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

    async def close(self) -> None:
        """Do nothing: nothing is open, and nothing outstanding."""

    def answer(self, question: Question) -> Answer:
        """Return the answer to one question."""
        name, rdtype = question
        zone = self._zone_of(name)
        if zone is None:
            return _NOWHERE
        node = zone.nodes.get(name)
        if node is not None:
            rrset = node.get(rdtype)
            if rrset is not None:
                return Answer(NOERROR, rrset[1], (), "", rrset[0], zone.how)
        return self._follow(zone, name, rdtype)

    def _zone_of(self, name: str) -> Zone | None:
        """Return the zone with the longest origin that the name is in."""
        zones = self._zones
        while (zone := zones.get(name)) is None and name != ".":
            name = parent_of(name)
        return zone

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
            if node is CUT:
                return make_answer(SERVFAIL, (), aliases, None, how)
            if node is None:
                return make_answer(NXDOMAIN, (), aliases, min(ttl, zone.negative_ttl), how)
            if isinstance(node, Redirection):
                if node.target is None:
                    return make_answer(_YXDOMAIN, (), aliases, None, how)
                node = {CNAME: (node.ttl, (node.target,))}
            if rdtype in node:
                own_ttl, records = node[rdtype]
                return make_answer(NOERROR, records, aliases, min(ttl, own_ttl), how)
            if CNAME not in node:
                return make_answer(NODATA, (), aliases, min(ttl, zone.negative_ttl), how)
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


def _files(folder: Path) -> Iterator[_Source]:
    """Yield the master files of a folder, by name."""
    try:
        names = sorted(entry.name for entry in folder.iterdir() if entry.is_file())
    except OSError as error:
        raise ZoneFileError(
            f"{folder}: expected a folder of zone files: {error.strerror}"
        ) from error
    names = [name for name in names if _counts(name)]
    if not names:
        raise ZoneFileError(f"{folder}: no zone file in it; expected {_RULE}")
    for name in names:
        path = folder / name
        try:
            data = path.read_bytes()
        except OSError as error:
            raise ZoneFileError(f"{path}: cannot be read: {error.strerror}") from error
        yield _Source(str(path), name, _stem(name), data)


def _counts(name: str) -> bool:
    if name.startswith(".") or name.endswith("~"):
        return False
    return "." not in name or name.startswith("db.") or name.endswith(_SUFFIXES)


def _stem(name: str) -> str:
    """Return the origin that a file's name suggests."""
    for suffix in _SUFFIXES:
        name = name.removesuffix(suffix)
    name = name.removeprefix("db.")
    return "." if name in {"root", "zone"} else name


def _load(sources: Iterable[_Source]) -> dict[str, Zone]:
    """Return the zones by origin."""
    from auditor.resolve.masterfile import read_zone  # noqa: PLC0415 - loads dnspython

    zones: dict[str, Zone] = {}
    labels: dict[str, str] = {}
    for label, server, fallback, data in sources:
        zone = read_zone(data, label, server, fallback)
        if zone.origin in zones:
            raise ZoneFileError(
                f"{label}: the zone {zone.origin} again, after {labels[zone.origin]}; "
                "expected one file a zone"
            )
        zones[zone.origin] = zone
        labels[zone.origin] = label
    return zones
