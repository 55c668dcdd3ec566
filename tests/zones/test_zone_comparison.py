"""What a server answers, held against the zone as its primary has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import dns.message
import dns.rrset
import pytest

from auditor.resolve.direct import NOT_ASKED, ServerReply
from auditor.resolve.zones.zone import ZoneRecord
from auditor.wire.codes import NOERROR, NXDOMAIN, PTR, TIMEOUT, type_name
from auditor.wire.message import Soa, decode_message
from auditor.zones.compare import ServerComparison
from auditor.zones.facts import ServerRow

if TYPE_CHECKING:
    from collections.abc import Sequence

SOA = Soa("ns1.example.net", "hostmaster.example.net", 7, 1, 1, 1, 1)
ROW = ServerRow("ns1.example.net", "192.0.2.53", NOERROR, aa=True, soa=SOA)
RECORD = ZoneRecord("7.2.0.192.in-addr.arpa", PTR, 60, ("a.example.net", "b.example.net"))


def _reply(*values: str, rcode: int = 0) -> ServerReply:
    query = dns.message.make_query(f"{RECORD.owner}.", type_name(PTR))
    reply = dns.message.make_response(query)
    reply.flags |= 0x0400
    if values:
        reply.answer.append(dns.rrset.from_text(f"{RECORD.owner}.", 60, "IN", "PTR", *values))
    reply.set_rcode(dns.rcode.Rcode(rcode))
    message = decode_message(reply.to_wire())
    return ServerReply(NXDOMAIN if rcode else NOERROR, message)


def _compared(row: ServerRow, replies: Sequence[ServerReply]) -> dict[str, Any]:
    comparison = ServerComparison(row, 7)
    for reply in replies:
        comparison.compare_reply(RECORD, reply)
    return comparison.as_json("2.0.192.in-addr.arpa")


def test_the_same_records_in_any_order_are_alike() -> None:
    line = _compared(ROW, [_reply("b.example.net.", "A.example.net.")])
    assert (line["alike"], line["compared"], line["differing"]) == (True, 1, 0)


@pytest.mark.parametrize(
    ("reply", "status", "found"),
    [
        (_reply("a.example.net."), "NOERROR", ["a.example.net."]),
        (_reply(rcode=3), "NXDOMAIN", []),
        (_reply(), "NODATA", []),
    ],
)
def test_other_records_are_named_with_both_sides(
    reply: ServerReply, status: str, found: list[str]
) -> None:
    line = _compared(ROW, [reply])
    assert line["alike"] is False
    assert line["differences"] == [
        {
            "owner": RECORD.owner,
            "type": "PTR",
            "status": status,
            "primary": ["a.example.net.", "b.example.net."],
            "server": found,
        }
    ]


def test_what_is_not_answered_is_undetermined_and_no_difference() -> None:
    line = _compared(ROW, [ServerReply(TIMEOUT)])
    assert (line["undetermined"], line["differing"], line["alike"]) == (1, 0, True)


def test_a_server_with_another_serial_or_without_the_zone_is_not_alike() -> None:
    behind = ROW._replace(soa=SOA._replace(serial=6))
    assert _compared(behind, [])["alike"] is False
    assert _compared(ROW._replace(aa=False), [])["alike"] is False
    assert _compared(ROW._replace(soa=None, status=TIMEOUT), [])["alike"] is False
    assert _compared(ROW._replace(soa=None, aa=False, status=NOT_ASKED), [])["alike"] is None
