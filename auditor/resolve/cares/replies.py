"""Converts replies parsed by c-ares into answers."""

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

#: Provenance of every answer: c-ares does not report servers.
CARES: Final = Provenance(transport="cares")


def read_answer(question: Question, result: pycares.DNSResult) -> Answer:
    """Return the answer of a parsed reply; interpreted as in the other engines."""
    try:
        answer = tuple(_records(result.answer))
        authority = tuple(_records(result.authority))
    except WireError:
        return Answer(MALFORMED, how=CARES)
    if not answer:
        # NOERROR without answers is ENODATA, so this is an RCODE unknown to c-ares.
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
    # c-ares writes the root as an empty name, as in a null MX (RFC 7505).
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
