"""Who runs the reverse zone of an address, and for how long caches keep its records.

Looked up by `auditor check` and not part of a record: TTLs change from one answer to the next, and
a record must not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from auditor.resolve.answer import Question, Soa
from auditor.wire.codes import AAAA, NS, PTR, SETTLED, SOA, A, type_name
from auditor.wire.names import mail_address
from auditor.wire.reverse import reverse_name

if TYPE_CHECKING:
    from collections.abc import Mapping

    from auditor.resolve.answer import Steps

__all__ = ["Lifetime", "ReverseZone", "look_up_zone"]

_FILE: Final = "file"


class Lifetime(NamedTuple):
    """For how many seconds caches may keep the records of a name and type, or their absence."""

    name: str
    type: str
    seconds: int


class ReverseZone(NamedTuple):
    """The zone in which the PTR record of an address stands or must stand.

    `name` is its apex, `servers` its name servers, `contact` the mail address in its SOA record;
    "" and empty for what is not known. `lifetimes` are those of
    the PTR record and of the names' addresses, or of their absence. `exact`: they are as
    published; a resolver only shows the rest.
    """

    name: str = ""
    servers: tuple[str, ...] = ()
    contact: str = ""
    lifetimes: tuple[Lifetime, ...] = ()
    exact: bool = False


def look_up_zone(record: Mapping[str, Any]) -> Steps[ReverseZone]:
    """Look up the reverse zone of the record of an address."""
    owner = record["ptr"]["owner"]
    rdtype = AAAA if ":" in record["target"] else A
    names = [name["name"] for name in record["iprev"]["names"]]
    kept = [Question(reverse_name(record["target"]), PTR)]
    kept += [Question(name, rdtype) for name in names]
    # An absent record is denied by the zone that it would be in.
    answers = yield [Question(owner, A), *kept]
    lifetimes = [
        Lifetime(question.name, type_name(question.rdtype), answer.ttl)
        for question, answer in zip(kept, answers[1:], strict=True)
        if answer.ttl is not None and answer.status in SETTLED
    ]
    exact = all(answer.how is not None and answer.how.transport == _FILE for answer in answers[1:])
    zone = record["ptr"]["zone"] or answers[0].zone
    if not zone:
        return ReverseZone(lifetimes=tuple(lifetimes), exact=exact)
    servers, authority = yield [Question(zone, NS), Question(zone, SOA)]
    rname = next((soa.rname for soa in authority.records if isinstance(soa, Soa)), ".")
    return ReverseZone(
        zone, tuple(map(str, servers.records)), mail_address(rname), tuple(lifetimes), exact=exact
    )
