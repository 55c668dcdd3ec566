"""One UDP socket of the bulk engine and the queries in flight on it, by query ID."""

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

#: A first attempt in flight: question, callback, question section as sent, time of sending.
#: A plain tuple for speed: one is made for every lookup.
FirstAttempt: TypeAlias = "tuple[Question, AnswerCallback, bytes, float]"

#: A probe of a server: question section as sent, time of sending, whether without EDNS.
Probe: TypeAlias = "tuple[bytes, float, bool]"

#: An entry in flight; of a retransmission the pending query and the question section as sent.
Outstanding: TypeAlias = "FirstAttempt | tuple[PendingQuery, bytes] | Probe"

#: Lengths of these tuples, which distinguish them.
FIRST_ENTRY: Final = 4
LATER_ENTRY: Final = 2

#: Fate of an ID until it is used again: its reply was accepted; its question was settled
#: otherwise; it was settled by a retransmission, so this attempt counted as lost.
ANSWERED: Final = 1
LATE: Final = 2
LOST: Final = 3

#: Random IDs drawn at a time: at least two batches.
_IDS_AT_A_TIME: Final = 512
_SPARE_IDS: Final = 64
_AS_NUMBERS: Final = Struct(f"!{_IDS_AT_A_TIME}H")
_AS_OCTETS: Final = Struct("2s" * _IDS_AT_A_TIME)


class UdpSocket:
    """One socket and the queries in flight on it."""

    __slots__ = ("_ids", "_spare", "_wire_ids", "datagrams", "id_fates", "outstanding")

    def __init__(self, datagrams: Datagrams) -> None:
        self.datagrams = datagrams
        #: Queries in flight by ID; and the fates of IDs that were in flight.
        self.outstanding: dict[int, Outstanding] = {}
        self.id_fates = bytearray(65536)
        self._ids: list[int] = []
        self._wire_ids: list[bytes] = []
        self._spare: list[int] = []

    def new_id(self) -> int:
        """Return a random ID that is not in flight, from the system's random generator."""
        while True:
            if not self._spare:
                self._spare = array("H", os.urandom(2 * _SPARE_IDS)).tolist()
            query_id = self._spare.pop()
            if query_id not in self.outstanding:
                return query_id

    def new_ids(self, count: int) -> tuple[list[int], list[bytes]]:
        """Return `count` such IDs, all different, as numbers and in wire format."""
        if len(self._ids) < count:
            drawn = os.urandom(2 * _IDS_AT_A_TIME)
            self._ids = list(_AS_NUMBERS.unpack(drawn))
            self._wire_ids = list(_AS_OCTETS.unpack(drawn))
        ids, wire_ids = self._ids[-count:], self._wire_ids[-count:]
        del self._ids[-count:], self._wire_ids[-count:]
        chosen = set(ids)
        if len(chosen) == count and self.outstanding.keys().isdisjoint(ids):
            return ids, wire_ids
        # Not `-=`: that iterates over all IDs in flight.
        chosen = {query_id for query_id in ids if query_id not in self.outstanding}
        while len(chosen) < count:
            chosen.add(self.new_id())
        return list(chosen), [query_id.to_bytes(2) for query_id in chosen]

    def settle_id(self, query_id: int, fate: int) -> None:
        """Remove an ID from those in flight, and record its `fate`."""
        del self.outstanding[query_id]
        self.id_fates[query_id] = fate
