"""What zone facts cost: few queries more than the scan that they stand beside.

Also tests `owners.py` and `placing.py`.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest

from auditor.checks.facts import PtrFact
from auditor.findings.rules import RuleSet
from auditor.resolve.answer import Answer
from auditor.resolve.direct import ServerQuestion, ServerReply
from auditor.wire.codes import AAAA, NODATA, NOERROR, NS, NXDOMAIN, SOA, A
from auditor.wire.message import IN, Message, Record, Soa
from auditor.wire.reverse import reverse_name
from auditor.zones.judge import zone_line
from auditor.zones.owners import Owners
from auditor.zones.placing import place
from auditor.zones.survey import survey

if TYPE_CHECKING:
    from collections.abc import Callable

    from auditor.zones.facts import Asked, Replied, SurveySteps

_REGISTRY: Final = ("r1.example", "r2.example")
_ISP: Final = ("a.example", "b.example", "c.example", "d.example")
_HOSTS: Final = {name: f"192.0.2.{at}" for at, name in enumerate((*_REGISTRY, *_ISP), 1)}
_SOA: Final = Soa("a.example", "host.example", 1, 1, 1, 1, 1)
_SIXTEEN: Final = "51.198.in-addr.arpa"


class _World:
    """A /16 in 256 zones; counts what a resolver without the answer, and each server, is asked."""

    def __init__(self) -> None:
        self.asked: set[Asked] = set()

    def __call__(self, asked: Asked) -> Replied:
        self.asked.add(asked)
        if isinstance(asked, ServerQuestion):
            return self._server(asked)
        if asked.rdtype == SOA:
            if _is_zone(asked.name):
                return Answer(NOERROR, (_SOA,))
            return Answer(NODATA, zone="198.in-addr.arpa")
        if asked.rdtype == NS:
            return Answer(NOERROR, _REGISTRY if asked.name == "198.in-addr.arpa" else _ISP)
        if asked.rdtype == A:
            return Answer(NOERROR, (_HOSTS[asked.name],))
        assert asked.rdtype == AAAA
        return Answer(NODATA)

    def _server(self, asked: ServerQuestion) -> ServerReply:
        zone, rdtype = asked.question
        ns = tuple(Record(zone, NS, IN, 60, name) for name in _ISP)
        if asked.address in {_HOSTS[name] for name in _REGISTRY}:
            return ServerReply(NOERROR, Message(0, 0x8000, 0, (), (), ns, (), None))
        assert rdtype == SOA, "the NS records stand beside it"
        soa = (Record(zone, SOA, IN, 60, _SOA),)
        return ServerReply(NOERROR, Message(0, 0x8400, 0, (), soa, ns, (), None))


def _is_zone(name: str) -> bool:
    return name == "198.in-addr.arpa" or name.removesuffix(f".{_SIXTEEN}").isdigit()


def _run(start: Callable[[], SurveySteps[Any]], reply: Callable[[Asked], Replied]) -> Any:
    steps, replies = start(), None
    while True:
        try:
            asked = next(steps) if replies is None else steps.send(replies)
        except StopIteration as end:
            return end.value
        replies = [reply(each) for each in asked]


@pytest.mark.parametrize("named", [True, False])
def test_a_slash_16_in_256_zones_costs_at_most_three_percent_more_queries(*, named: bool) -> None:
    owners = Owners()
    for number in range(1 << 16):
        address = f"198.51.{number >> 8}.{number & 0xFF}"
        names = (f"h{number}.example",) if named else ()
        status = NOERROR if named else NXDOMAIN
        owners.note_address(address, PtrFact(status, names, (), reverse_name(address)))
    world = _World()
    facts = []
    for group in owners.groups.values():
        placed = _run(partial(place, group), world)
        facts.append(_run(partial(survey, placed, [group], every=False), world))
    assert [fact.zone for fact in facts] == [f"{n}.{_SIXTEEN}" for n in range(256)]
    assert not any(zone_line(fact, 256, RuleSet())["findings"] for fact in facts)
    # The plain scan asks for each PTR record, and where there is a name, twice more at least.
    plain = (1 << 16) * (3 if named else 1)
    assert len(world.asked) <= 0.03 * plain
