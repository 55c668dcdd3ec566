"""Facts about whole prefixes: faults, naming templates, empty /24s, addresses in use.

    facts = BlockFacts()
    facts.count_record(record)  # each; or `shape` and `add_addresses` for many of a kind at a time
    facts.as_json(10)

An address is in use if it has a PTR name, or a HELO name was given for it: shares are of these,
since the empty half of a block tells nothing about the other. Memory is bounded,
and the order of the records does not matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from auditor.views.empty_networks import EmptyNetworks, generated
from auditor.views.naming_templates import NamingTemplates
from auditor.views.owner import owner
from auditor.views.prefixes import PrefixFaults, prefixes_of, split_address
from auditor.wire.addresses import V4, format_address

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from auditor.views.naming_templates import NamingTemplate
    from auditor.views.prefixes import FaultPrefixes, Network, Prefix

__all__ = ["BlockFacts", "Shape", "fault_json"]

_GENERIC = "PTR_GENERIC"


class Shape(NamedTuple):
    """What the records of many addresses share; `domain` of the name, None without one."""

    faults: tuple[str, ...]
    domain: str | None
    is_generic: bool
    is_in_use: bool
    is_failing: bool


class BlockFacts:
    """Gathers facts about prefixes; see the head of this file."""

    def __init__(self) -> None:
        self.faults = PrefixFaults()
        self.names = NamingTemplates()
        self.empty = EmptyNetworks()
        self.addresses = self.in_use = self.failing_in_use = 0

    def shape(self, record: Mapping[str, Any]) -> Shape:
        """Return the shape of a record, which may stand for many."""
        names = record["ptr"]["names"]
        codes = self.faults.faults(record)
        return Shape(
            codes,
            owner(names[0]) if names else None,
            _GENERIC in codes,
            bool(names) or record["helo"] is not None,
            record["verdict"] == "fail",
        )

    def add_addresses(
        self, network: Network, shape: Shape, offsets: Sequence[int], names: Sequence[bytes]
    ) -> None:
        """Take addresses of a network that have one shape.

        `names` are their first PTR names; of those without one where it would be, as JSON
        (`"OWNER","zone":"ZONE"`).
        """
        self.addresses += len(offsets)
        if shape.is_in_use:
            self.in_use += len(offsets)
            self.failing_in_use += len(offsets) if shape.is_failing else 0
        self.faults.add_addresses(network, shape.faults, offsets)
        if network not in self.faults.cells:
            return
        if shape.domain is not None:
            self.names.add_names(network, shape.domain, offsets, names, generic=shape.is_generic)
        elif "PTR_MISSING" in shape.faults and network[0] == V4:
            self.empty.add_unnamed(network, offsets, names)

    def count_record(self, record: Mapping[str, Any]) -> None:
        """Count a record, if it is that of an address."""
        place = split_address(record["target"]) if record["kind"] == "ip" else None
        if place is None:
            return
        network, offset = place
        shape, ptr = self.shape(record), record["ptr"]
        name = ptr["names"][0] if ptr["names"] else f'"{ptr["owner"]}","zone":"{ptr["zone"]}"'
        self.add_addresses(network, shape, (offset,), (name.encode("utf-8", "replace"),))

    def as_json(self, top: int) -> dict[str, Any]:
        """Return all of it, with up to `top` rows of each list.

            {"in_use": {"addresses","in_use","failing"},
             "faults": [{"code","severity","addresses","scattered","rows",
                         "prefixes":[{"prefix","addresses"}]}],
             "naming": {"templates":[{"template","domain","kept","named","generic",
                         "networks","prefixes":[PREFIX],"others":[{"target","name"}]}],
                        "rows","generic"},
             "empty": {"networks","prefixes":[PREFIX],
                       "generate":[{"prefix","zone","reverse":[LINE],"forward":[LINE],
                                    "placeholder"}]},
             "beyond"}

        See `FaultPrefixes`, `NamingTemplate` and `GeneratedNames`. `beyond`: addresses beyond
        the limit.
        """
        templates = self.names.templates()
        used = {
            "addresses": self.addresses,
            "in_use": self.in_use,
            "failing": self.failing_in_use,
        }
        return {
            "in_use": used,
            "faults": [fault_json(fault, top) for fault in self.faults.collapsed()],
            "naming": {
                "templates": [_template(template, top) for template in templates[:top]],
                "rows": len(templates),
                "generic": sum(template.generic for template in templates),
            },
            "empty": self._empty(templates, top),
            "beyond": self.faults.beyond,
        }

    def _empty(self, templates: Sequence[NamingTemplate], top: int) -> dict[str, Any]:
        empty = self.empty.empty_networks(self.faults)
        return {
            "networks": len(empty),
            "prefixes": _texts(prefixes_of((V4, network.number) for network in empty), top),
            "generate": [
                {
                    "prefix": str(names.network),
                    "zone": names.network.zone,
                    "reverse": names.reverse,
                    "forward": names.forward,
                    "placeholder": names.is_placeholder,
                }
                for names in generated(empty[:top], templates)
            ],
        }


def fault_json(fault: FaultPrefixes, top: int) -> dict[str, Any]:
    """Return one of the `faults` of `BlockFacts.as_json`, with up to `top` prefixes."""
    prefixes = [
        {"prefix": str(prefix), "addresses": prefix.size} for prefix in fault.prefixes[:top]
    ]
    return {**fault._asdict(), "prefixes": prefixes}


def _template(template: NamingTemplate, top: int) -> dict[str, Any]:
    return {
        **template._asdict(),
        "networks": sum(prefix.size for prefix in template.networks),
        "prefixes": _texts(template.networks, top),
        "others": [
            {"target": format_address(version, number), "name": name}
            for version, number, name in template.others[:top]
        ],
    }


def _texts(prefixes: Sequence[Prefix], top: int) -> list[str]:
    """Return prefixes as text, those with the most addresses first."""
    return [str(prefix) for prefix in sorted(prefixes, key=lambda prefix: -prefix.size)[:top]]
