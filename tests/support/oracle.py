"""dnspython as the oracle of the codec: our facts as its wire, its messages as our facts."""

from __future__ import annotations

import struct
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, Final, cast

import dns.edns
import dns.message
import dns.name
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from auditor.wire.codes import AAAA, CNAME, DNAME, MX, NS, PTR, SOA, SPF, TXT, A
from auditor.wire.message import IN, MAX_MESSAGE, Edns, Message, Rdata, Record, Soa
from auditor.wire.names import encode_name, labels_of, text_of

if TYPE_CHECKING:
    from collections.abc import Iterable

#: Stands for RDATA that has no common form: dnspython takes apart what we keep raw.
OPAQUE: Final = b"(opaque)"

_NAMED: Final = frozenset({NS, CNAME, PTR, DNAME})


def dns_name(text: str) -> dns.name.Name:
    return dns.name.Name((*labels_of(text), b""))


def our_name(name: dns.name.Name) -> str:
    return text_of(name.labels[:-1])


def dns_wire(message: Message) -> bytes:
    """Return the message as dnspython writes it, with compression and of any size."""
    built = dns.message.QueryMessage(id=message.id)
    if message.edns is not None:
        edns = message.edns
        options: list[dns.edns.Option] = [
            dns.edns.EDEOption(cast("dns.edns.EDECode", code), text) for code, text in edns.ede
        ]
        flags = edns.upper_rcode << 24 | edns.version << 16 | edns.dnssec_ok << 15
        built.use_edns(edns.version, flags, edns.size, options=options)
    built.flags = cast("dns.flags.Flag", message.flags)
    for name, rdtype, rdclass in message.question:
        built.question.append(dns.rrset.RRset(dns_name(name), _class(rdclass), _type(rdtype)))
    for ours, theirs in (
        (message.answer, built.answer),
        (message.authority, built.authority),
        (message.additional, built.additional),
    ):
        for record in ours:
            theirs.append(dns.rrset.from_rdata(dns_name(record.name), record.ttl, _rdata(record)))
    return built.to_wire(max_size=MAX_MESSAGE)


def read_by_dnspython(wire: bytes) -> dns.message.Message:
    """Return the message as dnspython reads it, as patient as we are."""
    return dns.message.from_wire(
        wire, one_rr_per_rrset=True, ignore_trailing=True, raise_on_truncation=False
    )


def our_message(read: dns.message.Message) -> Message:
    """Return what dnspython read as our facts; RDATA of other types as `OPAQUE`."""
    edns = None
    if read.opt is not None:
        ede = [
            (int(option.code), option.text or "")
            for option in read.options
            if isinstance(option, dns.edns.EDEOption)
        ]
        flags = int(read.ednsflags)
        dnssec_ok = flags & 0x8000 != 0
        edns = Edns(flags >> 24, flags >> 16 & 0xFF, read.payload, dnssec_ok, tuple(ede))
    return Message(
        read.id,
        int(read.flags),
        int(read.flags) & 15 | (edns.upper_rcode << 4 if edns else 0),
        tuple((our_name(q.name), int(q.rdtype), int(q.rdclass)) for q in read.question),
        _records(read.answer),
        _records(read.authority),
        _records(read.additional),
        edns,
    )


def opaque(message: Message) -> Message:
    """Return our message with the RDATA of other types blanked, to compare with the oracle's."""
    answer, authority, additional = (
        tuple(
            record._replace(rdata=OPAQUE) if isinstance(record.rdata, bytes) else record
            for record in section
        )
        for section in (message.answer, message.authority, message.additional)
    )
    return message._replace(answer=answer, authority=authority, additional=additional)


def _records(section: Iterable[dns.rrset.RRset]) -> tuple[Record, ...]:
    return tuple(
        Record(our_name(r.name), int(r.rdtype), int(r.rdclass), r.ttl, _facts(r[0]))
        for r in section
    )


def _facts(rdata: Any) -> Rdata:
    """Return the RDATA as we hold it; each type of dnspython has attributes of its own."""
    facts: Rdata = OPAQUE
    if isinstance(rdata, dns.rdata.GenericRdata):
        pass
    elif rdata.rdtype in {A, AAAA}:
        facts = str(rdata.address) if rdata.rdclass == IN else OPAQUE
    elif rdata.rdtype in _NAMED:
        facts = our_name(rdata.target)
    elif rdata.rdtype == MX:
        facts = (rdata.preference, our_name(rdata.exchange))
    elif rdata.rdtype in {TXT, SPF}:
        facts = tuple(rdata.strings)
    elif rdata.rdtype == SOA:
        numbers = (rdata.serial, rdata.refresh, rdata.retry, rdata.expire, rdata.minimum)
        facts = Soa(our_name(rdata.mname), our_name(rdata.rname), *numbers)
    return facts


def _rdata(record: Record) -> dns.rdata.Rdata:
    rdclass, rdtype, rdata = _class(record.rdclass), _type(record.rdtype), record.rdata
    if isinstance(rdata, bytes):
        return dns.rdata.GenericRdata(rdclass, rdtype, rdata)
    if isinstance(rdata, str):
        named = record.rdtype in _NAMED
        wire = encode_name(rdata) if named else ip_address(rdata).packed
    elif isinstance(rdata, Soa):
        names, numbers = rdata[:2], rdata[2:]
        wire = b"".join(map(encode_name, names)) + struct.pack("!5I", *numbers)
    elif record.rdtype == MX:
        preference, exchange = cast("tuple[int, str]", rdata)
        wire = preference.to_bytes(2) + encode_name(exchange)
    else:
        strings = cast("tuple[bytes, ...]", rdata)
        wire = b"".join(bytes([len(string)]) + string for string in strings)
    return dns.rdata.from_wire(rdclass, rdtype, wire, 0, len(wire))


def _class(number: int) -> dns.rdataclass.RdataClass:
    return dns.rdataclass.RdataClass.make(number)


def _type(number: int) -> dns.rdatatype.RdataType:
    return dns.rdatatype.RdataType.make(number)
