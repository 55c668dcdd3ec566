"""Finds the domains of each range: one sweep over the ends of all ranges of an IP version.

Shared ranges stay shared: a range of an included policy is one entry for all domains that include
it, with the domains for which it does not pass taken out where that begins.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from heapq import merge
from itertools import islice
from operator import attrgetter
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from auditor.senders.policies import DomainPolicy
    from auditor.spf.range_evaluator import Path
    from auditor.spf.shared_ranges import SharedRanges
    from auditor.wire.address_set import Interval

__all__ = ["Authorisation", "AuthorisedRange", "sweep", "users_of"]

#: What an entry does to the domains of its way: adds one, adds those of a shared range, removes
#: one. At a border a row has to end, such as that of the own address space.
_ONE_MORE, _SHARED, _ONE_FEWER, _BORDER = range(4)
#: An event is a position, an entry and whether it starts there, in one number: they are sorted.
_ENTRY_BITS: Final = 33


_KEY: Final = attrgetter("key")


class Authorisation(NamedTuple):
    """A way by which domains authorise a range: how many, and the first of them by name.

    `path` is that of `SharedRanges`: its first domain is "", which stands for each of them.
    """

    path: Path
    number: int
    domains: tuple[str, ...]


class AuthorisedRange(NamedTuple):
    """The addresses from `first` to `last`, which the same domains authorise in the same ways.

    A domain authorises an address in one way: by the first term that matches.
    """

    version: int
    first: int
    last: int
    ways: tuple[Authorisation, ...]

    @property
    def domains(self) -> int:
        """How many domains authorise it."""
        return sum(way.number for way in self.ways)


class _Way:
    """The domains that authorise the present position of the sweep by one path: their places."""

    __slots__ = ("key", "own", "path", "removed", "users")

    def __init__(self, path: Path) -> None:
        self.path = path
        #: The sort key of ways.
        self.key = tuple((domain, term or "") for domain, term in path)
        self.own: list[int] = []
        self.users: list[Sequence[int]] = []
        self.removed: list[int] = []

    @property
    def count(self) -> int:
        return len(self.own) + sum(map(len, self.users)) - len(self.removed)

    def first(self, most: int) -> list[int]:
        removed = set(self.removed)
        places = (
            merge(self.own, *self.users) if len(self.users) > 1 or self.own else self.users[0]
        )  # fmt: skip
        return list(islice((place for place in places if place not in removed), most))


class _Sweep:
    """The events of an IP version, and the ways that are open at the present position."""

    def __init__(self) -> None:
        self.events: list[int] = []
        self._kinds = bytearray()
        self._ways_of = array("I")
        self._payloads = array("I")
        self._ways: list[_Way] = []
        self._numbers: dict[Path, int] = {}
        self._users: list[Sequence[int]] = []

    def add_entry(self, kind: int, path: Path, payload: int, first: int, last: int) -> None:
        """Add an entry; `payload` is the place of a domain, or of the users of a shared range."""
        number = self._numbers.get(path)
        if number is None:
            number = self._numbers[path] = len(self._ways)
            self._ways.append(_Way(path))
        entry = len(self._kinds)
        self._kinds.append(kind)
        self._ways_of.append(number)
        self._payloads.append(payload)
        code = entry << 1
        self.events.append(first << _ENTRY_BITS | code | 1)
        self.events.append((last + 1) << _ENTRY_BITS | code)

    def add_users(self, places: Sequence[int]) -> int:
        """Add the users of a shared range; return the payload that stands for them."""
        self._users.append(places)
        return len(self._users) - 1

    def swept_ranges(self) -> Iterator[tuple[int, int, list[_Way]]]:
        """Yield each range with the ways that lead to it; only valid until the next one."""
        self.events.sort()
        active: dict[int, _Way] = {}
        before = 0
        for event in self.events:
            position = event >> _ENTRY_BITS
            if position != before:
                if active:
                    yield before, position - 1, sorted(active.values(), key=_KEY)
                before = position
            entry = (event & (1 << _ENTRY_BITS) - 1) >> 1
            kind = self._kinds[entry]
            if kind == _BORDER:
                continue
            number = self._ways_of[entry]
            way = self._ways[number]
            self._change(way, kind, self._payloads[entry], starts=bool(event & 1))
            if way.own or way.users:
                active[number] = way
            else:
                active.pop(number, None)

    def _change(self, way: _Way, kind: int, payload: int, *, starts: bool) -> None:
        if kind == _SHARED:
            users = self._users[payload]
            if starts:
                way.users.append(users)
            else:
                way.users.remove(users)
            return
        places = way.own if kind == _ONE_MORE else way.removed
        if starts:
            insort(places, payload)
        else:
            del places[bisect_left(places, payload)]


def users_of(facts: Sequence[DomainPolicy], version: int) -> dict[SharedRanges, Sequence[int]]:
    """Return the domains that have a shared range, as their places in `facts`, in order."""
    users: dict[SharedRanges, array[int]] = {}
    for place, fact in enumerate(facts):
        if version in fact.ranges:
            for shared in dict.fromkeys(
                shared_ranges for shared_ranges, _ in fact.ranges[version].shared
            ):
                users.setdefault(shared, array("I")).append(place)
    return dict(users)


def sweep(
    version: int,
    facts: Sequence[DomainPolicy],
    users: Mapping[SharedRanges, Sequence[int]],
    *,
    borders: Iterable[Interval] = (),
    names: int,
) -> Iterator[AuthorisedRange]:
    """Yield every range that any domain authorises, in order; those of `borders` cut them.

    `facts` are sorted by domain, `users` as `users_of` returns them. A way lists at most
    `names` domains.
    """
    sweeping = _filled(version, facts, users)
    for first, last in borders:
        sweeping.add_entry(_BORDER, (), 0, first, last)
    for first, last, ways in sweeping.swept_ranges():
        found = []
        for way in ways:
            count = way.count
            if count:
                domains = tuple(facts[place].domain for place in way.first(names))
                found.append(Authorisation(way.path, count, domains))
        if found:
            yield AuthorisedRange(version, first, last, tuple(found))


def _filled(
    version: int, facts: Sequence[DomainPolicy], users: Mapping[SharedRanges, Sequence[int]]
) -> _Sweep:
    sweeping = _Sweep()
    for shared, places in users.items():
        payload = sweeping.add_users(places)
        for first, last, path in shared.pieces:
            sweeping.add_entry(_SHARED, path, payload, first, last)
    for place, fact in enumerate(facts):
        ranges = fact.ranges.get(version)
        if ranges is None:
            continue
        for first, last, term in ranges.own:
            sweeping.add_entry(_ONE_MORE, (("", term),), place, first, last)
        for _, exceptions in ranges.shared:
            for first, last, path in exceptions:
                sweeping.add_entry(_ONE_FEWER, path, place, first, last)
    return sweeping
