"""Compares a zone as on its primary with the answers of one of its servers. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from auditor.resolve.answer import Answer, Question
from auditor.resolve.direct import NOT_ASKED
from auditor.resolve.response import interpret
from auditor.wire.codes import AAAA, CNAME, MX, NS, PTR, SETTLED, TXT, A, type_name
from auditor.wire.master_file import rdata_text

if TYPE_CHECKING:
    from auditor.resolve.direct import ServerReply
    from auditor.resolve.zones.zone import ZoneRecord
    from auditor.zones.facts import ServerRow

__all__ = ["COMPARED_TYPES", "ServerComparison"]

#: The RR types that are compared: those that an audit queries.
COMPARED_TYPES: Final = frozenset({A, AAAA, CNAME, MX, NS, PTR, TXT})
_MAX_DIFFERENCES: Final = 1000  # of one server that are kept


class _Difference(NamedTuple):
    """An RRset that differs on a server: as expected, and as found."""

    owner: str
    rdtype: int
    status: str
    primary: tuple[str, ...]
    found: tuple[str, ...]


class ServerComparison:
    """The answers of one server of a zone, and where they differ from the primary's zone.

    `serial`: of the primary's zone. `compared`, `differing` and `undetermined` count RRsets.
    """

    def __init__(self, row: ServerRow, serial: int) -> None:
        self.row = row
        self.compared = self.differing = self.undetermined = 0
        self.differences: list[_Difference] = []
        self._serial = serial

    @property
    def is_alike(self) -> bool | None:
        """Whether it serves the zone exactly as its primary; None if it was not asked."""
        row = self.row
        if row.status == NOT_ASKED:
            return None
        has_serial = row.soa is not None and row.soa.serial == self._serial
        return row.serves and has_serial and not self.differing

    def compare_reply(self, record_set: ZoneRecord, reply: ServerReply) -> None:
        """Take the server's reply about an RRset."""
        self.compared += 1
        owner, rdtype, _, records = record_set
        answer = Answer(reply.status)
        if reply.message is not None:
            answer = interpret(reply.message, Question(owner, rdtype))
        if answer.status not in SETTLED:
            self.undetermined += 1
        elif answer.records != records:
            self.differing += 1
            if len(self.differences) < _MAX_DIFFERENCES:
                texts = (
                    tuple(rdata_text(rdtype, record) for record in side)
                    for side in (records, answer.records)
                )
                self.differences.append(_Difference(owner, rdtype, answer.status, *texts))

    def as_json(self, zone: str) -> dict[str, Any]:
        """Return the comparison as a line of `auditor compare --json`."""
        row = self.row
        return {
            "zone": zone,
            "serial": self._serial,
            "server": row.name,
            "address": row.address,
            "status": row.status,
            "aa": row.aa,
            "server_serial": None if row.soa is None else row.soa.serial,
            "alike": self.is_alike,
            "compared": self.compared,
            "differing": self.differing,
            "undetermined": self.undetermined,
            "differences": [
                {
                    "owner": difference.owner,
                    "type": type_name(difference.rdtype),
                    "status": difference.status,
                    "primary": list(difference.primary),
                    "server": list(difference.found),
                }
                for difference in self.differences
            ],
        }
