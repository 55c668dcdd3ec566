"""Packets that others found worth keeping: read as dnspython reads them, or refused in peace.

There is no difference to explain: what dnspython takes, we take, with the same facts. Of
what it refuses, a message may still come out: we pass over octets behind the last record.
"""

from __future__ import annotations

import json
from contextlib import suppress
from typing import Any

import dns.rdatatype
import pytest
from support.data import DATA, WHY_NOT
from support.oracle import opaque, our_message, read_by_dnspython

from auditor.errors import WireError
from auditor.wire.message import decode_message

QR = 0x8000

PACKETS: list[dict[str, Any]] = (
    json.loads((DATA / "packets" / "MANIFEST.json").read_text()) if DATA else []
)


@pytest.mark.skipif(not PACKETS, reason=WHY_NOT)
@pytest.mark.parametrize("packet", PACKETS, ids=[packet["file"] for packet in PACKETS])
def test_packet_reads_as_dnspython_reads_it(packet: dict[str, Any]) -> None:
    assert DATA
    wire = (DATA / "packets" / packet["file"]).read_bytes()
    if packet["dnspython"] != "ok":
        with suppress(WireError):
            decode_message(wire)
        return
    message = decode_message(wire)
    records = (message.answer, message.authority, message.additional)
    counts = [len(message.question), *map(len, records)]
    counts[3] += message.edns is not None
    types = {dns.rdatatype.to_text(dns.rdatatype.RdataType(r.rdtype)) for r in message.answer}
    theirs = our_message(read_by_dnspython(wire))
    assert counts == packet["counts"]
    assert sorted(types) == packet["ans_types"]
    assert message.rcode == packet["rcode"]
    assert message.truncated == packet["tc"]
    assert bool(message.flags & QR) == packet["qr"]
    assert message.question == theirs.question
    assert opaque(message) == opaque(theirs)
