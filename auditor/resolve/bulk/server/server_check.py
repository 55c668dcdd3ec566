"""The check of a name server at the start: its questions, and the verdict on the replies.

A server that makes up an address for a name that cannot exist, or denies what must exist, would
turn a whole scan into wrong records that look right. No I/O in here.
"""

from __future__ import annotations

import os
from typing import Final

from auditor.errors import WireError
from auditor.resolve.answer import Question
from auditor.wire.codes import FORMERR, NOERROR, NOTIMP, NS, NXDOMAIN, SERVFAIL, A, rcode_status
from auditor.wire.message import decode_message

__all__ = [
    "ROOT_SERVERS",
    "has_address",
    "is_answered",
    "local_name",
    "nonexistent_name",
    "refuses_edns",
    "root_complaint",
    "says_servfail",
]

#: What exists wherever names are resolved (RFC 8109 §3).
ROOT_SERVERS: Final = Question(".", NS)


def nonexistent_name() -> Question:
    """Return a question that no honest server has an address for (RFC 6761 §6.4)."""
    return Question(f"{os.urandom(8).hex()}.invalid", A)


def local_name() -> Question:
    """Return a question that a resolver without a way to the Internet answers (RFC 6761 §6.3)."""
    return Question("localhost", A)


def refuses_edns(data: bytes) -> bool:
    """Tell whether a reply is what servers from before EDNS say to it (RFC 6891 §7)."""
    return rcode_status(data[3] & 0x0F) in {FORMERR, NOTIMP}


def is_answered(data: bytes) -> bool:
    """Tell whether a reply says that a name exists, or that it does not."""
    return rcode_status(data[3] & 0x0F) in {NOERROR, NXDOMAIN}


def says_servfail(data: bytes) -> bool:
    """Tell whether a reply is a failure of the server."""
    return rcode_status(data[3] & 0x0F) == SERVFAIL


def has_address(data: bytes) -> bool:
    """Tell whether a reply holds an address."""
    try:
        return any(record.rdtype == A for record in decode_message(data).answer)
    except WireError:
        return False


def root_complaint(data: bytes) -> str:
    """Return what a reply to `ROOT_SERVERS` shows to be wrong with a server, "" for nothing.

    Only a denial is wrong. A server that refuses may be authoritative only, one that fails may
    have no way to the Internet and answer for zones of its own.
    """
    try:
        message = decode_message(data)
    except WireError:
        return ""
    status = rcode_status(message.rcode)
    # Truncated: there is more than fits, which is no denial; NS beside it: a referral.
    has_servers = any(record.rdtype == NS for record in (*message.answer, *message.authority))
    if status == NXDOMAIN or (message.rcode == 0 and not message.truncated and not has_servers):
        return "denies what must exist (the root's name servers)"
    return ""
