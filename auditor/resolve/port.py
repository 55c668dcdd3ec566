"""One socket of the bulk engine, and what is in flight on it."""

from __future__ import annotations

import os
from array import array
from struct import Struct
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from auditor.resolve.answer import Deliver, Question
    from auditor.resolve.attempts import Course
    from auditor.resolve.datagrams import Datagrams

__all__ = [
    "ANSWERED",
    "COURSE",
    "FIRST",
    "LATE",
    "LOST",
    "First",
    "Flight",
    "Port",
    "Probe",
]

#: A first try in flight: the question, who wants the answer, what the reply must echo, when
#: it was sent. A plain tuple: one is made for every lookup.
First: TypeAlias = "tuple[Question, Deliver, bytes, float]"

#: A question that shows whether a server is there: what the reply must echo, when it was
#: sent, whether without EDNS.
Probe: TypeAlias = "tuple[bytes, float, bool]"

#: What is in flight; of a later try the question's course and what the reply must echo.
Flight: TypeAlias = "First | tuple[Course, bytes] | Probe"

#: How long these tuples are, which is how they are told apart.
FIRST: Final = 4
COURSE: Final = 2

#: What is remembered of an ID until it is used again: the reply was taken; the question was
#: settled otherwise; it was settled by a retry, so that this try was taken for lost.
ANSWERED: Final = 1
LATE: Final = 2
LOST: Final = 3

#: Random IDs drawn at a time: two batches' worth at least.
_IDS: Final = 512
_SPARE: Final = 64
_NUMBERS: Final = Struct(f"!{_IDS}H")
_OCTETS: Final = Struct("2s" * _IDS)


class Port:
    """One socket and what is in flight on it."""

    __slots__ = ("_ids", "_spare", "_wire_ids", "datagrams", "flights", "marks")

    def __init__(self, datagrams: Datagrams) -> None:
        self.datagrams = datagrams
        #: By ID; and of IDs that were in flight, what became of them.
        self.flights: dict[int, Flight] = {}
        self.marks = bytearray(65536)
        self._ids: list[int] = []
        self._wire_ids: list[bytes] = []
        self._spare: list[int] = []

    def new_id(self) -> int:
        """Return a random ID that is not in flight, from the system's own randomness."""
        while True:
            if not self._spare:
                self._spare = array("H", os.urandom(2 * _SPARE)).tolist()
            place = self._spare.pop()
            if place not in self.flights:
                return place

    def new_ids(self, count: int) -> tuple[list[int], list[bytes]]:
        """Return `count` such IDs, each another, and how they stand in a packet."""
        if len(self._ids) < count:
            drawn = os.urandom(2 * _IDS)
            self._ids = list(_NUMBERS.unpack(drawn))
            self._wire_ids = list(_OCTETS.unpack(drawn))
        ids, wire_ids = self._ids[-count:], self._wire_ids[-count:]
        del self._ids[-count:], self._wire_ids[-count:]
        chosen = set(ids)
        if len(chosen) == count and self.flights.keys().isdisjoint(ids):
            return ids, wire_ids
        # Not `-=`: that walks past all that are in flight.
        chosen = {place for place in ids if place not in self.flights}
        while len(chosen) < count:
            chosen.add(self.new_id())
        return list(chosen), [place.to_bytes(2) for place in chosen]

    def settle(self, place: int, mark: int) -> None:
        """Take an ID out of flight; `mark` says why."""
        del self.flights[place]
        self.marks[place] = mark
