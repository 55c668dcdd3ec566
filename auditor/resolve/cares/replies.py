"""Turns replies as c-ares has parsed them into answers."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final

from auditor.errors import WireError
from auditor.resolve.answer import Answer, Provenance
from auditor.resolve.response import interpret
from auditor.wire.addresses import address_text
from auditor.wire.codes import AAAA, CNAME, MALFORMED, MX, NS, PTR, SERVFAIL, SOA, TXT, A
from auditor.wire.message import IN, Message, Rdata, Record, Soa
from auditor.wire.names import normalise

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import pycares

    from auditor.resolve.answer import Question

__all__ = ["CARES", "read_answer"]

#: Provenance of every answer of c-ares, which tells no more.
CARES: Final = Provenance(transport="cares")


def read_answer(question: Question, result: pycares.DNSResult) -> Answer:
    """Judge a reply that c-ares parsed, the way replies are judged everywhere."""
    try:
        answer = tuple(_records(result.answer))
        authority = tuple(_records(result.authority))
    except WireError:
        return Answer(MALFORMED, how=CARES)
    if not answer:
        # NOERROR without answers is ENODATA: this is an RCODE c-ares has no error for.
        return Answer(SERVFAIL, how=CARES)
    return interpret(Message(0, 0x8000, 0, (), answer, authority, (), None), question, CARES)


def _records(records: Sequence[pycares.DNSRecord]) -> list[Record]:
    converted = []
    for record in records:
        read = _READERS.get(record.type)
        if read is not None:
            rdata = read(record.data)
            converted.append(Record(_name(record.name), record.type, IN, record.ttl, rdata))
    return converted


def _name(text: str | bytes) -> str:
    # An empty name is the root as c-ares writes it, in the exchange of a null MX for one.
    return normalise(text if isinstance(text, str) else text.decode("latin-1")) if text else "."


def _text(data: Any) -> Rdata:
    joined = data.data
    return (joined if isinstance(joined, bytes) else joined.encode("latin-1"),)


_READERS: Final[dict[int, Callable[[Any], Rdata]]] = {
    A: lambda data: str(data.addr),
    AAAA: lambda data: address_text(socket.inet_pton(socket.AF_INET6, data.addr)),
    PTR: lambda data: _name(data.dname),
    NS: lambda data: _name(data.nsdname),
    CNAME: lambda data: _name(data.cname),
    MX: lambda data: (data.priority, _name(data.exchange)),
    TXT: _text,
    SOA: lambda data: Soa(
        _name(data.mname),
        _name(data.rname),
        data.serial,
        data.refresh,
        data.retry,
        data.expire,
        data.minimum,
    ),
}
