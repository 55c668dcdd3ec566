"""Whole /24s without any PTR record, and `$GENERATE` lines to name their addresses.

A /24 counts as empty if each of its 256 addresses is in the results without a PTR record, and the
zone that denied it is that of a /24 or /16: where a wider zone answers, the delegation is missing,
and no line in a zone of the operator would help. Generated names are for addresses that send no
mail.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final, NamedTuple

from auditor.findings.encoded_address import says_mail
from auditor.wire.addresses import V4

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from auditor.views.naming_templates import NamingTemplate
    from auditor.views.prefixes import Network, PrefixFaults

__all__ = ["PLACEHOLDER_DOMAIN", "EmptyNetwork", "EmptyNetworks", "GeneratedNames", "generated"]

#: Placeholder for the domain of the operator (RFC 2606).
PLACEHOLDER_DOMAIN: Final = "example.net"
_PLACEHOLDER: Final = "host-{3}-{4}." + PLACEHOLDER_DOMAIN
_MISSING: Final = "PTR_MISSING"
_UNDELEGATED: Final = "DELEGATION_MISSING"
_ALL: Final = 256
#: Labels of the zones of a /16 and a /24 (`51.198.in-addr.arpa`).
_ZONE_LABELS: Final = (4, 5)
#: Networks of a /16 with such names that make them a pattern for new names.
_MIN_NEIGHBOURS: Final = 2
_OCTETS: Final = tuple(b'"%d' % octet for octet in range(256))
#: Texts, compiled when they are needed: most results have no empty network.
_FIELD: Final = r"\{([1-4])(?::(0?)([23]?)(x?))?\}"
_HOST_NAME: Final = r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)+"
_MAX_NAME: Final = 200


class EmptyNetwork(NamedTuple):
    """A /24 by its first 24 bits, and the apex of the zone that its PTR records are missing in."""

    number: int
    zone: str

    @property
    def octets(self) -> tuple[int, int, int]:
        """Its first three octets."""
        return self.number >> 16, self.number >> 8 & 255, self.number & 255

    def __str__(self) -> str:
        """Return its prefix."""
        return "{}.{}.{}.0/24".format(*self.octets)


class GeneratedNames(NamedTuple):
    """Lines for the reverse zone of a /24, and those for the zone of the names.

    `is_placeholder`: the domain is not the operator's, and must be replaced.
    """

    network: EmptyNetwork
    reverse: tuple[str, ...]
    forward: tuple[str, ...]
    is_placeholder: bool


class EmptyNetworks:
    """Gathers which zones denied the PTR records of the addresses of a /24."""

    def __init__(self) -> None:
        self._zones: dict[Network, bytes | None] = {}

    def add_unnamed(
        self, network: Network, offsets: Sequence[int], owners: Sequence[bytes]
    ) -> None:
        """Take addresses without a PTR record; `owners`: `"OWNER","zone":"ZONE"`, as in records."""
        zone = _zone(network, offsets, owners)
        if self._zones.setdefault(network, zone) != zone:
            self._zones[network] = None

    def empty_networks(self, faults: PrefixFaults) -> list[EmptyNetwork]:
        """Return the empty networks among those of `faults`, by their addresses."""
        empty = []
        for network, zone in sorted(self._zones.items()):
            cell = faults.cells.get(network)
            if (
                zone
                and cell is not None
                and cell.size == _ALL
                and all(_MISSING in codes for codes in cell.by_faults)
                and not any(_UNDELEGATED in codes for codes in cell.by_faults)
            ):
                empty.append(EmptyNetwork(network[1], zone.decode()))
        return empty


def _zone(network: Network, offsets: Sequence[int], owners: Sequence[bytes]) -> bytes | None:
    """Return the one zone that all PTR records are to be in at their own names, or None."""
    if network[0] != V4:
        return None
    zone = owners[0].partition(b'"zone":"')[2].removesuffix(b'"')
    number = network[1]
    parents = b"%d.%d.%d.in-addr.arpa" % (number & 255, number >> 8 & 255, number >> 16)
    if zone.count(b".") + 1 not in _ZONE_LABELS or not (b"." + parents).endswith(b"." + zone):
        return None
    # An alias (RFC 2317) leads elsewhere: then a record must not stand beside it.
    rest = b'.%b","zone":"%b"' % (parents, zone)
    expected = [_OCTETS[offset] + rest for offset in offsets]
    return zone if expected == [*owners] else None


def generated(
    empty: Iterable[EmptyNetwork], templates: Iterable[NamingTemplate]
) -> list[GeneratedNames]:
    """Return lines to name the addresses of some networks, as their neighbours are named.

    Without a pattern that two /24s of the same /16 follow and that has the third octet in it, the
    names are in PLACEHOLDER_DOMAIN.
    """
    by_block: dict[int, NamingTemplate] = {}
    empty = list(empty)
    for template in templates if empty else ():  # the most followed come first
        if not _is_usable(template):
            continue
        for prefix in template.networks:
            if (
                prefix.version == V4
                and sum(
                    other.size
                    for other in template.networks
                    if other.version == V4 and other.first >> 16 == prefix.first >> 16
                )
                >= _MIN_NEIGHBOURS
            ):
                by_block.setdefault(prefix.first >> 16, template)
    return [_generated(network, by_block.get(network.number >> 8)) for network in empty]


def _is_usable(template: NamingTemplate) -> bool:
    text = re.sub(_FIELD, "0", template.template)
    return (
        {"3", "4"} <= {field[1] for field in re.finditer(_FIELD, template.template)}
        and re.fullmatch(_HOST_NAME, text) is not None
        and len(text) <= _MAX_NAME
        and not says_mail(text)
    )


def _generated(network: EmptyNetwork, template: NamingTemplate | None) -> GeneratedNames:
    octets = network.octets

    def put(field: re.Match[str]) -> str:
        octet, zero, width, base = field.groups()
        if octet == "4":
            return "$" if width is None else f"${{0,{width or 0},{base or 'd'}}}"
        return format(octets[int(octet) - 1], f"{zero or ''}{width or ''}{base or ''}")

    name = re.sub(_FIELD, put, template.template if template else _PLACEHOLDER)
    a, b, c = octets
    reverse = (f"$ORIGIN {c}.{b}.{a}.in-addr.arpa.", f"$GENERATE 0-255 $ PTR {name}.")
    return GeneratedNames(
        network, reverse, (f"$GENERATE 0-255 {name}. A {a}.{b}.{c}.$",), template is None
    )
