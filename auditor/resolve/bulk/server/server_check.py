"""Check of a name server at the start: the questions, and the evaluation of the replies.

A server that makes up an address for a name that cannot exist, or denies one that must exist,
would make a whole scan wrong without a visible sign. No I/O in here.
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

#: The root's NS RRset, which every resolver has (RFC 8109 §3).
ROOT_SERVERS: Final = Question(".", NS)


def nonexistent_name() -> Question:
    """Return a question for a random name below `invalid.`, which cannot exist (RFC 6761 §6.4)."""
    return Question(f"{os.urandom(8).hex()}.invalid", A)


def local_name() -> Question:
    """Return a question that resolvers answer even without Internet access (RFC 6761 §6.3)."""
    return Question("localhost", A)


def refuses_edns(data: bytes) -> bool:
    """Tell whether a reply has an RCODE of servers without EDNS (RFC 6891 §7)."""
    return rcode_status(data[3] & 0x0F) in {FORMERR, NOTIMP}


def is_answered(data: bytes) -> bool:
    """Tell whether a reply is NOERROR or NXDOMAIN."""
    return rcode_status(data[3] & 0x0F) in {NOERROR, NXDOMAIN}


def says_servfail(data: bytes) -> bool:
    """Tell whether a reply is SERVFAIL."""
    return rcode_status(data[3] & 0x0F) == SERVFAIL


def has_address(data: bytes) -> bool:
    """Tell whether a reply has an A record in its answer section."""
    try:
        return any(record.rdtype == A for record in decode_message(data).answer)
    except WireError:
        return False


def root_complaint(data: bytes) -> str:
    """Return what a reply to `ROOT_SERVERS` shows to be wrong with a server, "" for nothing.

    Only a negative answer is wrong. A server that refuses may be authoritative only; one that
    fails may have no Internet access and answer for zones of its own.
    """
    try:
        message = decode_message(data)
    except WireError:
        return ""
    status = rcode_status(message.rcode)
    # A truncated reply is no denial; NS in the authority section is a referral.
    has_servers = any(record.rdtype == NS for record in (*message.answer, *message.authority))
    if status == NXDOMAIN or (message.rcode == 0 and not message.truncated and not has_servers):
        return "denies what must exist (the root's name servers)"
    return ""
