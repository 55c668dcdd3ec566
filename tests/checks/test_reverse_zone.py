"""Who runs the reverse zone of an address, and how long changes take."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from support.reports import address_record
from support.stepping import driven

from auditor.checks.reverse_zone import Lifetime, ReverseZone, look_up_zone
from auditor.resolve.answer import Answer, Provenance, Question, Soa
from auditor.wire.codes import NODATA, NOERROR, NS, NXDOMAIN, PTR, SERVFAIL, SOA, A

if TYPE_CHECKING:
    from collections.abc import Mapping

_OWNER: Final = "5.2.0.192.in-addr.arpa"
_ZONE: Final = "2.0.192.in-addr.arpa"
_SOA: Final = Soa("ns1.example.net", "hostmaster.example.net", 1, 2, 3, 4, 300)
_FILE: Final = Provenance(transport="file")

_WORLD: Final = {
    Question(_OWNER, A): Answer(NODATA, ttl=300, zone=_ZONE),
    Question(_OWNER, PTR): Answer(NOERROR, ("mx.example.net",), ttl=3600, how=_FILE),
    Question("mx.example.net", A): Answer(NXDOMAIN, ttl=60, how=_FILE),
    Question(_ZONE, NS): Answer(NOERROR, ("ns1.example.net",), ttl=3600),
    Question(_ZONE, SOA): Answer(NOERROR, (_SOA,), ttl=3600),
}


def _zone(world: Mapping[Question, Answer], record: Mapping[str, Any] | None = None) -> ReverseZone:
    record = record or address_record("192.0.2.5", names=["mx.example.net"])
    zone, _ = driven(look_up_zone(record), lambda asked: world.get(asked, Answer(SERVFAIL)))
    return zone


def test_the_zone_is_the_one_that_denies_another_type_at_the_owner() -> None:
    assert _zone(_WORLD) == ReverseZone(
        _ZONE,
        ("ns1.example.net",),
        "hostmaster@example.net",
        (Lifetime(_OWNER, "PTR", 3600), Lifetime("mx.example.net", "A", 60)),
        exact=True,
    )


def test_a_record_may_say_which_zone_it_is() -> None:
    record = address_record("192.0.2.5", "PTR_MISSING")
    record["ptr"]["zone"] = _ZONE
    world = {**_WORLD, Question(_OWNER, A): Answer(SERVFAIL)}
    assert _zone(world, record).servers == ("ns1.example.net",)


def test_what_a_server_tells_may_be_what_is_left_of_a_ttl() -> None:
    resolved = _WORLD[Question(_OWNER, PTR)]._replace(how=Provenance(transport="udp"))
    assert not _zone({**_WORLD, Question(_OWNER, PTR): resolved}).exact


def test_failures_leave_open_what_is_not_known() -> None:
    assert _zone({}) == ReverseZone()
