"""What an authoritative server says of some zones, by dnspython's reading of them.

The yardstick for real servers and the data behind the faulty one: RFC 1034 §4.3.2 with
wildcards (RFC 4592) and CNAMEs followed through all zones. It shares no code with what it
is held against. No delegation to elsewhere and no DNAME: nothing that it serves has one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import dns.flags
import dns.message
import dns.name
import dns.node
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset
import dns.zone

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Authority"]

_WILD: Final = dns.name.Name((b"*",))
_ROOT_HEAD: Final = """$ORIGIN .
$TTL 300
. SOA ns.invalid. hostmaster.invalid. 1 7200 900 1209600 300
. NS ns.invalid.
"""
_MAX_ALIASES: Final = 16


class Authority:
    """Some zones in memory. Nothing in it changes, so threads may share it."""

    def __init__(self, zones: Iterable[dns.zone.Zone]) -> None:
        self.zones: dict[dns.name.Name, dns.zone.Zone] = {}
        # A name exists in a zone if anything is at it or below it (RFC 8020).
        self._names: set[tuple[dns.name.Name, dns.name.Name]] = set()
        for zone in zones:
            origin = zone.origin
            assert origin is not None
            self.zones[origin] = zone
            self._names.add((origin, origin))
            for owner in zone:
                assert isinstance(owner, dns.name.Name)
                name = owner
                while name != origin:
                    self._names.add((origin, name))
                    name = name.parent()

    @classmethod
    def of_folder(cls, folder: Path) -> Authority:
        """Read all `<origin>.zone` files of a folder."""
        return cls(
            dns.zone.from_file(str(path), origin=path.stem, relativize=False)
            for path in sorted(folder.glob("*.zone"))
        )

    @classmethod
    def of_text(cls, records: str) -> Authority:
        """Read master-file lines as the contents of the root zone: authority for everything."""
        text = _ROOT_HEAD + records
        return cls([dns.zone.from_text(text, dns.name.root, relativize=False)])

    def reply(self, query: dns.message.Message) -> dns.message.Message:
        """Return the whole reply to a query with one question; REFUSED outside of the zones."""
        reply: dns.message.Message = dns.message.make_response(query)
        question = query.question[0]
        name: dns.name.Name | None = question.name
        for _ in range(_MAX_ALIASES):
            if name is None:
                break
            zone = self._zone_of(name)
            if zone is None:
                if not reply.answer:
                    reply.set_rcode(dns.rcode.REFUSED)
                break
            reply.flags |= dns.flags.AA
            name = _answer(reply, zone, name, question.rdtype, self._find(zone, name))
        return reply

    def _zone_of(self, name: dns.name.Name) -> dns.zone.Zone | None:
        """Return the zone with the longest origin that the name is in."""
        while name not in self.zones:
            if name == dns.name.root:
                return None
            name = name.parent()
        return self.zones[name]

    def _find(self, zone: dns.zone.Zone, name: dns.name.Name) -> dns.node.Node | None:
        """Return the node of a name, of the wildcard that covers it, or an empty one."""
        assert zone.origin is not None
        if (zone.origin, name) in self._names:
            return zone.get_node(name) or dns.node.Node()  # type: ignore[no-untyped-call]
        encloser = name.parent()
        while (zone.origin, encloser) not in self._names:
            encloser = encloser.parent()
        return zone.get_node(_WILD + encloser)


def _answer(
    reply: dns.message.Message,
    zone: dns.zone.Zone,
    name: dns.name.Name,
    rdtype: dns.rdatatype.RdataType,
    node: dns.node.Node | None,
) -> dns.name.Name | None:
    """Put what a zone's node says of a name into the reply; return the target of an alias."""
    for wanted in (rdtype, dns.rdatatype.CNAME):
        rdataset = node.get_rdataset(dns.rdataclass.IN, wanted) if node is not None else None
        if rdataset:
            reply.answer.append(dns.rrset.from_rdata_list(name, rdataset.ttl, list(rdataset)))
            target: dns.name.Name | None = None
            if wanted != rdtype:
                target = rdataset[0].target
            return target
    if node is None:
        reply.set_rcode(dns.rcode.NXDOMAIN)
    assert zone.origin is not None
    soa = zone.find_rdataset(zone.origin, dns.rdatatype.SOA)
    reply.authority.append(dns.rrset.from_rdata_list(zone.origin, soa.ttl, list(soa)))
    return None
