"""Finds the servers of a name's zone that can be asked for it, as steps without I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from auditor.resolve.answer import Question
from auditor.wire.codes import NS
from auditor.zones.placing import find_apex, is_registry
from auditor.zones.survey import ask_servers, names_in, newest_soa

if TYPE_CHECKING:
    from auditor.zones.facts import SurveySteps

__all__ = ["ZoneServers", "find_servers"]


class ZoneServers(NamedTuple):
    """A zone and the addresses of the servers that have its newest copy, sorted."""

    zone: str
    addresses: tuple[str, ...] = ()


def find_servers(name: str) -> SurveySteps[ZoneServers]:
    """Find the servers of the zone that a name is in.

    No servers for a zone in which registries delegate, for a zone that fails, and where a proxy
    answers in place of the servers.
    """
    apex = yield from find_apex(name)
    if apex.failed or not apex.zone or is_registry(apex.zone):
        return ZoneServers(apex.zone)
    (answer,) = yield [Question(apex.zone, NS)]
    rows = yield from ask_servers(apex.zone, names_in(answer), {})
    newest = newest_soa(rows)
    found = {
        row.address
        for row in rows
        if row.serves and row.soa == newest and row.address and not row.is_proxy
    }
    return ZoneServers(apex.zone, tuple(sorted(found)))
