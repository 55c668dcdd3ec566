"""Interprets a response: the answer that it gives to a question.

How a decoded message is judged, the same for every engine that reads the wire: which
status, which records, where a chain of CNAMEs leads. Not here: whether a reply may be
believed at all (the engine, by server, ID and `codec.reply_match`), follow-up and repeated
queries, and the bounds of TTLs (the cache).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from auditor.resolve.answer import MAX_CHAIN, make_answer
from auditor.wire.codes import (
    CNAME,
    MALFORMED,
    NODATA,
    NOERROR,
    NS,
    NXDOMAIN,
    SERVFAIL,
    SOA,
    TRUNCATED,
    rcode_status,
)
from auditor.wire.message import IN, Soa

if TYPE_CHECKING:
    from auditor.resolve.answer import Answer, Provenance, Question
    from auditor.wire.message import Message, Record

__all__ = ["interpret", "matches"]


def matches(message: Message, question: Question) -> bool:
    """Tell whether a message is a reply that echoes exactly this question, case ignored."""
    return message.is_reply and message.question == ((question.name, question.rdtype, IN),)


def interpret(message: Message, question: Question, how: Provenance | None = None) -> Answer:
    """Return the answer that a reply to `question` gives.

    The status is the RCODE's; NOERROR without records is told apart: NODATA; an alias that
    leads out of the reply (NOERROR with `canonical` and no records: ask there); or SERVFAIL
    for a referral. A truncated reply is TRUNCATED whatever it holds. Extended errors go to
    `how.ede`, if `how` is given.

    Where the records asked for are there, whole and under an RCODE of 0 in the header, they
    are the answer, whatever stands behind the answer section: broken or odd additional
    records do not spoil it, nor does the upper half of an RCODE in an OPT record. Without
    those records an `incomplete` reply is MALFORMED.
    """
    if how is not None and message.edns is not None and message.edns.ede:
        how = how._replace(ede=message.edns.ede)
    if message.truncated:
        # Also when it holds records: they may be any part of the RRset.
        return make_answer(TRUNCATED, how=how)
    name, rdtype = question
    records = _rrset(message, name, rdtype)
    aliases: list[tuple[str, str]] = []
    ttl: int | None = None
    if not records and message.answer and rdtype != CNAME:
        aliases, ttl = _chain(message, name)
        if aliases:
            name = aliases[-1][1]
            records = _rrset(message, name, rdtype)
    if records and message.header_rcode == 0:
        lowest = min([record.ttl for record in records])
        ttl = lowest if ttl is None else min(ttl, lowest)
        return make_answer(NOERROR, [record.rdata for record in records], aliases, ttl, how)
    return _without_records(message, name, aliases, ttl, how)


def _rrset(message: Message, name: str, rdtype: int) -> list[Record]:
    """Return the records of one RRset of the answer section; other owners' are ignored."""
    return [
        record
        for record in message.answer
        if record.rdtype == rdtype and record.name == name and record.rdclass == IN
    ]


def _chain(message: Message, name: str) -> tuple[list[tuple[str, str]], int | None]:
    """Follow the CNAMEs from `name` on as far as the answer section goes, in any order.

    Return the (owner, target) pairs and the lowest TTL. Those that a DNAME brought about
    are in the reply as CNAMEs (RFC 6672 §3.1). Ends at a loop and behind `MAX_CHAIN`
    aliases; `make_answer` judges both.
    """
    steps: dict[str, tuple[str, int]] = {}
    for record in message.answer:
        if record.rdtype == CNAME and record.rdclass == IN:
            step = (str(record.rdata), record.ttl)
            # One owner has one CNAME (RFC 2181 §10.1); of several, always the same one.
            steps[record.name] = min(step, steps.get(record.name, step))
    aliases: list[tuple[str, str]] = []
    ttls = []
    while name in steps and len(aliases) <= MAX_CHAIN:
        target, ttl = steps.pop(name)
        aliases.append((name, target))
        ttls.append(ttl)
        name = target
    return aliases, min(ttls, default=None)


def _without_records(
    message: Message,
    name: str,
    aliases: list[tuple[str, str]],
    ttl: int | None,
    how: Provenance | None,
) -> Answer:
    """Judge a reply that has no records of the type for `name`, the end of the chain."""
    if message.incomplete:
        return make_answer(MALFORMED, how=how)
    status = rcode_status(message.rcode)
    if status not in {NOERROR, NXDOMAIN}:
        return make_answer(status, (), aliases, None, how)
    zone, negative = _denial(message, name)
    if status == NOERROR and negative is None:
        if aliases:
            return make_answer(NOERROR, (), aliases, ttl, how)
        if not message.authoritative and any(r.rdtype == NS for r in message.authority):
            # A referral (RFC 2308 §2.2): this server does not know, someone below may. It is
            # SERVFAIL as from a recursor that cannot follow a delegation: never NODATA,
            # which would mean "there is no such record".
            return make_answer(SERVFAIL, how=how)
    if negative is not None and ttl is not None:
        negative = min(ttl, negative)
    status = NODATA if status == NOERROR else NXDOMAIN
    return make_answer(status, (), aliases, negative, how, zone=zone)


def _denial(message: Message, name: str) -> tuple[str, int | None]:
    """Return the zone that denies `name` and the TTL of that (RFC 2308 §5); "", None if unknown.

    Only the SOA of a zone that `name` can be in counts: servers add that of the alias's
    own zone to an alias that leads elsewhere, and it says nothing about elsewhere.
    """
    for record in message.authority:
        if isinstance(record.rdata, Soa) and record.rdtype == SOA and _is_in(name, record.name):
            return record.name, min(record.ttl, record.rdata.minimum)
    return "", None


def _is_in(name: str, zone: str) -> bool:
    """Tell whether a name is that of a zone or below it."""
    if zone in {".", name}:
        return True
    above = name.removesuffix("." + zone)
    # The dot before the zone's name may be an escaped one, and the label go on.
    return above != name and (len(above) - len(above.rstrip("\\"))) % 2 == 0
