"""One socket of the bulk engine, and what is in flight on it."""

from __future__ import annotations

import os
from array import array
from struct import Struct
from typing import TYPE_CHECKING, Final, TypeAlias

if TYPE_CHECKING:
    from auditor.resolve.answer import AnswerCallback, Question
    from auditor.resolve.bulk.pending_query import PendingQuery
    from auditor.resolve.bulk.udp.datagram import Datagrams

__all__ = [
    "ANSWERED",
    "FIRST_ENTRY",
    "LATE",
    "LATER_ENTRY",
    "LOST",
    "FirstAttempt",
    "Outstanding",
    "Probe",
    "UdpSocket",
]

#: A first try in flight: the question, who wants the answer, what the reply must echo, when
#: it was sent. A plain tuple: one is made for every lookup.
FirstAttempt: TypeAlias = "tuple[Question, AnswerCallback, bytes, float]"

#: A question that shows whether a server is there: what the reply must echo, when it was
#: sent, whether without EDNS.
Probe: TypeAlias = "tuple[bytes, float, bool]"

#: What is in flight; of a later try the question's query and what the reply must echo.
Outstanding: TypeAlias = "FirstAttempt | tuple[PendingQuery, bytes] | Probe"

#: Lengths of these tuples, by which they are told apart.
FIRST_ENTRY: Final = 4
LATER_ENTRY: Final = 2

#: What is remembered of an ID until it is used again: the reply was taken; the question was
#: settled otherwise; it was settled by a retry, so that this try was taken for lost.
ANSWERED: Final = 1
LATE: Final = 2
LOST: Final = 3

#: Random IDs drawn at a time: two batches' worth at least.
_IDS_AT_A_TIME: Final = 512
_SPARE_IDS: Final = 64
_AS_NUMBERS: Final = Struct(f"!{_IDS_AT_A_TIME}H")
_AS_OCTETS: Final = Struct("2s" * _IDS_AT_A_TIME)


class UdpSocket:
    """One socket and what is in flight on it."""

    __slots__ = ("_ids", "_spare", "_wire_ids", "datagrams", "id_fates", "outstanding")

    def __init__(self, datagrams: Datagrams) -> None:
        self.datagrams = datagrams
        #: By ID; and of IDs that were in flight, what became of them.
        self.outstanding: dict[int, Outstanding] = {}
        self.id_fates = bytearray(65536)
        self._ids: list[int] = []
        self._wire_ids: list[bytes] = []
        self._spare: list[int] = []

    def new_id(self) -> int:
        """Return a random ID that is not in flight, from the system's own randomness."""
        while True:
            if not self._spare:
                self._spare = array("H", os.urandom(2 * _SPARE_IDS)).tolist()
            query_id = self._spare.pop()
            if query_id not in self.outstanding:
                return query_id

    def new_ids(self, count: int) -> tuple[list[int], list[bytes]]:
        """Return `count` such IDs, all different, and their octets in a packet."""
        if len(self._ids) < count:
            drawn = os.urandom(2 * _IDS_AT_A_TIME)
            self._ids = list(_AS_NUMBERS.unpack(drawn))
            self._wire_ids = list(_AS_OCTETS.unpack(drawn))
        ids, wire_ids = self._ids[-count:], self._wire_ids[-count:]
        del self._ids[-count:], self._wire_ids[-count:]
        chosen = set(ids)
        if len(chosen) == count and self.outstanding.keys().isdisjoint(ids):
            return ids, wire_ids
        # Not `-=`: that walks past all that are in flight.
        chosen = {query_id for query_id in ids if query_id not in self.outstanding}
        while len(chosen) < count:
            chosen.add(self.new_id())
        return list(chosen), [query_id.to_bytes(2) for query_id in chosen]

    def settle_id(self, query_id: int, fate: int) -> None:
        """Take an ID out of flight; `fate` says why."""
        del self.outstanding[query_id]
        self.id_fates[query_id] = fate
