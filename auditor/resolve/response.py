"""Interprets a response: the answer that it gives to a question.

The status, the RRset and the end of the CNAME chain of a decoded message, the same for every
engine. Not here: whether a reply is accepted (the engine, by server, ID and
`codec.reply_match`), further queries, and the bounds of TTLs (the cache).
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

    The status is the RCODE; NOERROR without records is NODATA; NOERROR with `canonical` and no
    records for an alias to a name outside of the reply; or SERVFAIL for a referral. A truncated
    reply is TRUNCATED whatever it holds. Extended errors go to `how.ede`, if `how` is given.

    If the RRset asked for is complete and the header's RCODE is 0, it is the answer, whatever
    follows the answer section: malformed additional records or the upper bits of an RCODE in an
    OPT record are ignored. Without that RRset an `incomplete` reply is MALFORMED.
    """
    if how is not None and message.edns is not None and message.edns.ede:
        how = how._replace(ede=message.edns.ede)
    if message.truncated:
        # Even with records: they may be any part of the RRset.
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
    return _interpret_negative(message, name, aliases, ttl, how)


def _rrset(message: Message, name: str, rdtype: int) -> list[Record]:
    """Return the records of one RRset of the answer section."""
    return [
        record
        for record in message.answer
        if record.rdtype == rdtype and record.name == name and record.rdclass == IN
    ]


def _chain(message: Message, name: str) -> tuple[list[tuple[str, str]], int | None]:
    """Follow the CNAMEs from `name` on as far as the answer section goes, in any order.

    Return the (owner, target) pairs and the lowest TTL. A DNAME comes with its synthesised CNAME
    (RFC 6672 §3.1). Ends at a loop and after `MAX_CHAIN` + 1 aliases; both are SERVFAIL in
    `make_answer`.
    """
    steps: dict[str, tuple[str, int]] = {}
    for record in message.answer:
        if record.rdtype == CNAME and record.rdclass == IN:
            step = (str(record.rdata), record.ttl)
            # An owner has one CNAME (RFC 2181 §10.1); of several, choose the least.
            steps[record.name] = min(step, steps.get(record.name, step))
    aliases: list[tuple[str, str]] = []
    ttls = []
    while name in steps and len(aliases) <= MAX_CHAIN:
        target, ttl = steps.pop(name)
        aliases.append((name, target))
        ttls.append(ttl)
        name = target
    return aliases, min(ttls, default=None)


def _interpret_negative(
    message: Message,
    name: str,
    aliases: list[tuple[str, str]],
    ttl: int | None,
    how: Provenance | None,
) -> Answer:
    """Interpret a reply without the RRset of `name`, the end of the chain."""
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
            # A referral (RFC 2308 §2.2): SERVFAIL, as from a recursor that cannot follow a
            # delegation; never NODATA, which would mean that there is no such record.
            return make_answer(SERVFAIL, how=how)
    if negative is not None and ttl is not None:
        negative = min(ttl, negative)
    status = NODATA if status == NOERROR else NXDOMAIN
    return make_answer(status, (), aliases, negative, how, zone=zone)


def _denial(message: Message, name: str) -> tuple[str, int | None]:
    """Return the zone of a negative answer and its TTL (RFC 2308 §5); "", None if unknown.

    Only the SOA of a zone that `name` can be in counts: servers may add that of an alias's own
    zone, which denies nothing about a target in another zone.
    """
    for record in message.authority:
        if isinstance(record.rdata, Soa) and record.rdtype == SOA and _is_in(name, record.name):
            return record.name, min(record.ttl, record.rdata.minimum)
    return "", None


def _is_in(name: str, zone: str) -> bool:
    """Tell whether a name is at or below a zone's apex."""
    if zone in {".", name}:
        return True
    above = name.removesuffix("." + zone)
    # The dot before the zone's name may be escaped, and so part of a label.
    return above != name and (len(above) - len(above.rstrip("\\"))) % 2 == 0
