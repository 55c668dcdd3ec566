"""Finds the zone apex of a name from SOA records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple, cast

from auditor.publicsuffix import registrable
from auditor.resolve.answer import Question
from auditor.wire.codes import NOERROR, NXDOMAIN, SETTLED, SOA
from auditor.wire.message import Soa
from auditor.wire.names import parent_of

if TYPE_CHECKING:
    from auditor.resolve.answer import Answer
    from auditor.zones.facts import SurveySteps
    from auditor.zones.owners import Group

__all__ = ["Apex", "Placed", "find_apex", "is_registry", "place"]

_IN_ADDR: Final = ".in-addr.arpa"
_IP6: Final = ".ip6.arpa"
#: Reverse zones that the registries serve: IPv4 down to a /8, IPv6 above a /32.
_REGISTRY_OCTETS: Final = 1
_LOCAL_NIBBLES: Final = 8


class Placed(NamedTuple):
    """The zone that a name is in, and the zone above; "" if unknown.

    `denied`: the zone does not exist, and should.
    """

    zone: str
    parent: str
    soa: Soa | None = None
    denied: bool = False


class Apex(NamedTuple):
    """The zone that answers for a name. `failed`: the highest name above it without an answer."""

    zone: str
    soa: Soa | None
    failed: str
    denies: bool


def place(group: Group) -> SurveySteps[Placed]:
    """Find the zone that holds the owners of a group."""
    name = group.name
    apex = yield from find_apex(name)
    if apex.failed:
        # The zone does not answer, but a zone above it does.
        return Placed(apex.failed, apex.zone)
    if not apex.zone:
        return Placed(name, "")
    from_registry = is_registry(apex.zone) and apex.zone != name
    if apex.denies and group.denied and (from_registry or group.aliased):
        return Placed(_expected(name), apex.zone, denied=True)
    if apex.zone == ".":
        return Placed(".", "", apex.soa)
    above = yield from find_apex(parent_of(apex.zone))
    return Placed(apex.zone, above.zone, apex.soa)


def find_apex(name: str) -> SurveySteps[Apex]:
    """Ask for the SOA of a name, and of those above it, until a zone answers (RFC 2308 §3)."""
    failed = ""
    at = name
    while True:
        (reply,) = yield [Question(at, SOA)]
        answer = cast("Answer", reply)
        if answer.status == NOERROR and not answer.chain and isinstance(answer.records[0], Soa):
            return Apex(at, answer.records[0], failed, denies=False)
        if answer.status not in SETTLED:
            failed = at
        elif answer.zone and not answer.chain:
            return Apex(answer.zone, None, failed, denies=answer.status == NXDOMAIN)
        if at == ".":
            return Apex("", None, failed, denies=False)
        at = parent_of(at)


def is_registry(zone: str) -> bool:
    """Whether a zone is one of those in which registries delegate."""
    if zone in {".", "arpa", "in-addr.arpa", "ip6.arpa"}:
        return True
    if zone.endswith(_IN_ADDR):
        return zone.count(".") - _IN_ADDR.count(".") < _REGISTRY_OCTETS
    if zone.endswith(_IP6):
        return zone.count(".") - _IP6.count(".") < _LOCAL_NIBBLES - 1
    return registrable(zone) is None


def _expected(name: str) -> str:
    """Return the zone that a registry would have delegated: a /24, a /32, a domain."""
    if name.endswith(_IP6):
        labels = name.split(".")
        return ".".join(labels[-(_LOCAL_NIBBLES + 2) :])
    return name
