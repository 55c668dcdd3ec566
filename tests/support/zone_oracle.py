"""Zones as dnspython reads them: what the project's own reader is held against."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any, Final

import dns.name
import dns.rdataclass
import dns.tokenizer
import dns.transaction
import dns.zonefile

from auditor.resolve.answer import Rdata, Soa
from auditor.wire import codes
from auditor.wire.names import text_of

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Sets", "record_sets"]

#: Record sets by owner and type: the TTL, and the records sorted, without duplicates.
Sets = dict[tuple[str, int], tuple[int, tuple[Any, ...]]]


def _name(name: dns.name.Name) -> str:
    return text_of(name.labels[:-1])


def _soa(rdata: Any) -> Soa:
    times = (rdata.refresh, rdata.retry, rdata.expire, rdata.minimum)
    return Soa(_name(rdata.mname), _name(rdata.rname), rdata.serial, *times)


_SHAPES: Final[dict[int, Callable[[Any], Rdata]]] = {
    codes.A: lambda rdata: str(rdata.address),
    codes.AAAA: lambda rdata: str(rdata.address),
    codes.PTR: lambda rdata: _name(rdata.target),
    codes.NS: lambda rdata: _name(rdata.target),
    codes.CNAME: lambda rdata: _name(rdata.target),
    codes.DNAME: lambda rdata: _name(rdata.target),
    codes.MX: lambda rdata: (rdata.preference, _name(rdata.exchange)),
    codes.TXT: lambda rdata: tuple(rdata.strings),
    codes.SPF: lambda rdata: tuple(rdata.strings),
    codes.SOA: _soa,
}


class _Collector(dns.transaction.Transaction):
    """Takes records as they come, whatever zone they are in."""

    def __init__(self) -> None:
        super().__init__(dns.zonefile.RRSetsReaderManager(dns.name.root, relativize=False))
        self.sets: dict[tuple[str, int], tuple[int, list[Any]]] = {}

    def _set_origin(self, origin: Any) -> None:
        """Leave the zone as it is at an `$ORIGIN`."""

    def add(self, *args: Any) -> None:
        name, ttl, rdata = args
        key = (_name(name), int(rdata.rdtype))
        shape = _SHAPES.get(key[1])
        record = shape(rdata) if shape else rdata.to_wire()
        held = self.sets.get(key)
        if held is None:
            self.sets[key] = (ttl, [record])
        else:
            self.sets[key] = (min(ttl, held[0]), [*held[1], record])


def record_sets(text: str, origin: str) -> Sets | None:
    """Return what dnspython reads in a master file, or None if it refuses it.

    What stands together is not judged: no zone is made of it.
    """
    collector = _Collector()
    tokens = dns.tokenizer.Tokenizer(io.StringIO(text), filename="")
    directives = ("$ORIGIN", "$TTL", "$GENERATE")
    reader = dns.zonefile.Reader(tokens, dns.rdataclass.IN, collector, allow_directives=directives)
    reader.current_origin = reader.last_name = dns.name.from_text(origin)
    try:
        reader.read()
    except Exception:  # noqa: BLE001 - struct.error, IndexError and more escape from dnspython
        return None
    return {
        key: (ttl, tuple(sorted(set(records)))) for key, (ttl, records) in collector.sets.items()
    }
