"""Master files (RFC 1035 §5) → zones: the only place that reads with dnspython.

Importing this is what costs, so it is imported when there is a file to read. dnspython
takes the text apart; what it found is turned into plain data record by record, and the
rules for a whole zone are checked here.
"""

from __future__ import annotations

import io
import re
from typing import TYPE_CHECKING, Any, Final

import dns.exception
import dns.name
import dns.rdataclass
import dns.tokenizer
import dns.transaction
import dns.zonefile

from auditor.errors import ZoneFileError
from auditor.resolve.answer import Obtained, Soa
from auditor.resolve.zonedata import Zone
from auditor.wire import codes
from auditor.wire.names import text_of
from auditor.wire.reverse import address_text

if TYPE_CHECKING:
    from collections.abc import Callable

    from auditor.resolve.answer import Rdata

__all__ = ["read_zone"]

#: What may stand beside a CNAME: RRSIG, NSEC and KEY (RFC 4035 §2.5, RFC 4034 §4).
_BESIDE_CNAME: Final = frozenset({25, 46, codes.CNAME, 47})
_ONE_ONLY: Final = frozenset({codes.SOA, codes.CNAME, codes.DNAME})
_DIRECTIVES: Final = ("$ORIGIN", "$TTL", "$GENERATE")
_SHOWN: Final = 60  # characters of a line in a message

# An escaped ASCII character as it is, or an octet that is not ASCII, with or without an escape.
_NOT_ASCII = re.compile(rb"\\[\x00-\x7f]|\\?([\x80-\xff])")
# What dnspython puts before its own words: the position, and the class of what it caught.
_PREAMBLE = re.compile(r"^:\d+: |caught exception <class '[^']*'>: ")

_NO_REASON = "Text input is malformed."  # dnspython, where it has nothing to add


def _name(name: dns.name.Name) -> str:
    return text_of(name.labels[:-1])


def _soa(rdata: Any) -> Soa:
    return Soa(
        _name(rdata.mname),
        _name(rdata.rname),
        rdata.serial,
        rdata.refresh,
        rdata.retry,
        rdata.expire,
        rdata.minimum,
    )


_SHAPES: Final[dict[int, Callable[[Any], Rdata]]] = {
    codes.A: lambda rdata: address_text(rdata.to_wire()),
    codes.AAAA: lambda rdata: address_text(rdata.to_wire()),
    codes.PTR: lambda rdata: _name(rdata.target),
    codes.NS: lambda rdata: _name(rdata.target),
    codes.CNAME: lambda rdata: _name(rdata.target),
    codes.DNAME: lambda rdata: _name(rdata.target),
    codes.MX: lambda rdata: (rdata.preference, _name(rdata.exchange)),
    codes.TXT: lambda rdata: tuple(rdata.strings),
    codes.SPF: lambda rdata: tuple(rdata.strings),
    codes.SOA: _soa,
}


class _Tokenizer(dns.tokenizer.Tokenizer):
    """Remembers the line on which the entry being read begins.

    dnspython's own position is where it stopped reading: often the line after.
    """

    entry_line = 1

    def get(self, want_leading: bool = False, want_comment: bool = False) -> dns.tokenizer.Token:  # noqa: FBT001, FBT002 - the signature is dnspython's
        if want_comment:
            self.entry_line = self.line_number
        return super().get(want_leading, want_comment)


class _Collector(dns.transaction.Transaction):
    """Takes the records of one file as dnspython reads them, and refuses what no zone holds."""

    def __init__(self, label: str, tokens: _Tokenizer) -> None:
        # The root as the zone: nothing is out of zone until the SOA record says so.
        super().__init__(dns.zonefile.RRSetsReaderManager(dns.name.root, relativize=False))
        self._label = label
        self._tokens = tokens
        self._early: list[tuple[dns.name.Name, int]] = []
        self._origin: dns.name.Name | None = None
        self._nodes: dict[str, dict[int, Any]] = {}

    def _set_origin(self, origin: Any) -> None:
        """Leave the zone as it is at an `$ORIGIN`: that says how names are read, no more."""

    def refusal(self, message: str, line: int = 0) -> ZoneFileError:
        """Return the error for the entry being read, or for the one on `line`."""
        return ZoneFileError(f"{self._label}:{line or self._tokens.entry_line}: {message}")

    def add(self, *args: Any) -> None:
        """Take one record: owner, TTL and RDATA."""
        name, ttl, rdata = args
        rdtype = int(rdata.rdtype)
        owner = _name(name)
        if rdtype == codes.SOA:
            self._found_origin(name)
        elif self._origin is None:
            self._early.append((name, self._tokens.entry_line))
        elif not name.is_subdomain(self._origin):
            raise self._out_of_zone(name)
        shape = _SHAPES.get(rdtype)
        record = shape(rdata) if shape else rdata.to_wire()
        node = self._nodes.setdefault(owner, {})
        self._check(owner, rdtype, record, node)
        held = node.get(rdtype)
        if held is None:
            node[rdtype] = (ttl, [record])
            return
        held[1].append(record)
        if ttl < held[0]:  # RFC 2181 section 5.2: one TTL for an RRset, the lowest if they differ
            node[rdtype] = (ttl, held[1])

    def _found_origin(self, name: dns.name.Name) -> None:
        if self._origin is None:
            self._origin = name
            for early, line in self._early:
                if not early.is_subdomain(name):
                    raise self._out_of_zone(early, line)
        elif name != self._origin:
            raise self.refusal(
                f"a second zone, {_name(name)}, in the file of {_name(self._origin)}; "
                "expected one zone a file"
            )

    def _out_of_zone(self, name: dns.name.Name, line: int = 0) -> ZoneFileError:
        zone = _name(self._origin or dns.name.root)
        return self.refusal(f"{_name(name)} is out of zone; expected names in {zone}", line)

    def _check(self, owner: str, rdtype: int, record: Rdata, node: dict[int, Any]) -> None:
        """Refuse what an authoritative server refuses, or nobody has defined."""
        word = codes.type_name(rdtype)
        if rdtype in _ONE_ONLY and rdtype in node and record not in node[rdtype][1]:
            raise self.refusal(f"a second {word} record at {owner}; expected one")
        others = node.keys() - _BESIDE_CNAME
        if (rdtype == codes.CNAME and others) or (
            codes.CNAME in node and rdtype not in _BESIDE_CNAME
        ):
            raise self.refusal(
                f"a CNAME and other records at {owner}; expected the CNAME alone (RFC 1034 3.6.2)"
            )
        if rdtype in {codes.NS, codes.DNAME} and (owner == "*" or owner.startswith("*.")):
            raise self.refusal(f"{word} at the wildcard {owner}; expected none (RFC 4592 4.2, 4.4)")

    def zone(self, server: str) -> Zone:
        """Return the zone made of all records taken; they are handed over."""
        if self._origin is None:
            raise ZoneFileError(f"{self._label}: no SOA record; expected one, at the zone's origin")
        nodes = self._nodes
        for node in nodes.values():
            for rdtype, (ttl, records) in node.items():
                node[rdtype] = (ttl, tuple(sorted(set(records))))
        origin = _name(self._origin)
        ttl, (soa,) = nodes[origin][codes.SOA]
        how = Obtained(server=server, transport="file")
        return Zone(origin, nodes, min(ttl, soa.minimum), how)  # RFC 2308 §5


def _text(data: bytes) -> str:
    """Return a master file as ASCII: any other octet stands for itself, as an escape."""

    def escaped(match: re.Match[bytes]) -> bytes:
        octet = match[1]
        return b"\\%03d" % octet[0] if octet else match[0]

    data = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    if not data.isascii():
        data = _NOT_ASCII.sub(escaped, data)
    return data.decode("ascii")


def _complaint(error: Exception, text: str, line: int) -> str:
    """Return what was expected and what stands there, with dnspython's reason if it gives one."""
    found = text.split("\n")[line - 1].strip()
    if len(found) > _SHOWN:
        found = f"{found[:_SHOWN]}..."
    complaint = f"expected a resource record or a directive, found {found!r}"
    reason = _PREAMBLE.sub("", str(error)).encode("unicode_escape").decode("ascii")
    return complaint if reason == _NO_REASON else f"{complaint}: {reason}"


def _fallback(name: str) -> dns.name.Name:
    try:
        return dns.name.from_text(name, dns.name.root)
    except (dns.exception.DNSException, ValueError):  # a file may have any name
        return dns.name.root


def read_zone(data: bytes, label: str, server: str, fallback: str) -> Zone:
    """Return the zone that a master file holds.

    `label` names the file in messages and `server` in `Obtained`; relative names without
    an `$ORIGIN` are below `fallback`. Raises ZoneFileError.
    """
    text = _text(data)
    tokens = _Tokenizer(io.StringIO(text), filename="")
    collector = _Collector(label, tokens)
    reader = dns.zonefile.Reader(tokens, dns.rdataclass.IN, collector, allow_directives=_DIRECTIVES)
    reader.current_origin = reader.last_name = _fallback(fallback)
    try:
        reader.read()
    except ZoneFileError:
        raise
    except Exception as error:  # struct.error, IndexError and more escape from dnspython
        complaint = _complaint(error, text, tokens.entry_line)
        raise collector.refusal(complaint) from error
    return collector.zone(server)
