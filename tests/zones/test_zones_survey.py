"""Surveys against servers that lie, loop or name hundreds of others: bounded, and judged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from auditor.findings.rules import RuleSet
from auditor.resolve.answer import Answer, Question
from auditor.resolve.direct import NO_ROUTE, ServerQuestion, ServerReply
from auditor.wire.codes import NOERROR, NS, NXDOMAIN, REFUSED, SERVFAIL, SOA, TIMEOUT, A
from auditor.wire.message import IN, Message, Record, Soa
from auditor.zones.facts import MAX_NAMES, DelegationRow, ServerRow, ZoneFact
from auditor.zones.judge import judge_zone, responsible_party
from auditor.zones.placing import Placed, is_registry
from auditor.zones.survey import MAX_ADDRESSES, differing_contents, is_newer, survey

if TYPE_CHECKING:
    from collections.abc import Callable

    from auditor.zones.facts import Asked, Replied, SurveySteps

ZONE: Final = "100.51.198.in-addr.arpa"
PARENT: Final = "198.in-addr.arpa"
_QR_AA: Final = 0x8400
_QR_RA: Final = 0x8080


def soa(serial: int = 1) -> Soa:
    return Soa("ns.example", "host.example", serial, 1, 1, 1, 1)


def message(question: Question, *, answer: tuple[Record, ...] = (), flags: int = _QR_AA) -> Message:
    return Message(0, flags, 0, ((*question, IN),), answer, (), (), None)


def authoritative(question: Question, *ns: str, serial: int = 1) -> ServerReply:
    rdata = [soa(serial)] if question.rdtype == SOA else ns
    records = tuple(Record(question.name, question.rdtype, IN, 60, each) for each in rdata)
    return ServerReply(NOERROR, message(question, answer=records))


def run(steps: SurveySteps[ZoneFact], reply: Callable[[Asked], Replied]) -> tuple[ZoneFact, int]:
    """Return the fact, and how many questions it took."""
    count, replies = 0, None
    while True:
        try:
            asked = next(steps) if replies is None else steps.send(replies)
        except StopIteration as end:
            return end.value, count
        count += len(asked)
        replies = [reply(each) for each in asked]


def server(name: str = "a.example", **changes: object) -> ServerRow:
    row = ServerRow(name, "192.0.2.1", NOERROR, aa=True, soa=soa(), ns=("a.example",))
    return row._replace(**changes)  # type: ignore[arg-type]


def found(*servers: ServerRow, parents: tuple[DelegationRow, ...] = ()) -> set[str]:
    fact = ZoneFact(ZONE, PARENT, None, parents, servers)
    return {finding.code for finding in judge_zone(fact, RuleSet())}


def test_five_hundred_servers_with_many_addresses_cost_a_bounded_number_of_questions() -> None:
    names = tuple(f"ns{number}.example" for number in range(500))
    addresses = tuple(f"192.0.2.{number}" for number in range(1, 100))

    def reply(asked: Asked) -> Replied:
        if isinstance(asked, ServerQuestion):
            return authoritative(asked.question, *names)
        return Answer(NOERROR, names if asked.rdtype == NS else addresses)

    fact, count = run(survey(Placed(ZONE, PARENT), [], every=False), reply)
    assert len(fact.servers) == len(fact.parent_servers) == MAX_NAMES * MAX_ADDRESSES
    assert {finding.code for finding in judge_zone(fact, RuleSet())} == {"NS_TOO_MANY"}
    assert count <= 1 + 2 * (2 * MAX_NAMES) + 3 * MAX_NAMES * MAX_ADDRESSES


def test_a_zone_that_delegates_to_itself_and_on_is_asked_twice_and_no_more() -> None:
    """Each server names another one: what the second round names is not followed."""

    def reply(asked: Asked) -> Replied:
        if isinstance(asked, ServerQuestion):
            last = int(asked.address.rpartition(".")[2])
            return authoritative(asked.question, f"ns{last + 1}.example")
        if asked.rdtype == NS:
            return Answer(NOERROR, ("ns1.example",))
        number = asked.name.partition(".")[0][2:]
        return Answer(NOERROR, (f"192.0.2.{number}",) if asked.rdtype == A else ())

    fact, _ = run(survey(Placed(ZONE, ""), [], every=False), reply)
    assert [row.name for row in fact.servers] == ["ns1.example", "ns2.example"]
    assert [finding.code for finding in judge_zone(fact, RuleSet())] == ["NS_MISMATCH"]


def test_addresses_of_no_single_host_are_not_asked() -> None:
    asked_directly = []

    def reply(asked: Asked) -> Replied:
        if isinstance(asked, ServerQuestion):
            asked_directly.append(asked.address)
            return authoritative(asked.question, "a.example")
        if asked.rdtype == NS:
            return Answer(NOERROR, ("a.example",))
        return Answer(NOERROR, ("0.0.0.0", "192.0.2.1", "224.0.0.1", "255.255.255.255", "ff02::1"))

    run(survey(Placed(ZONE, ""), [], every=False), reply)
    assert set(asked_directly) == {"192.0.2.1"}


def test_glue_that_points_elsewhere_is_asked_beside_the_addresses_of_the_name() -> None:
    def reply(asked: Asked) -> Replied:
        if isinstance(asked, ServerQuestion):
            if asked.address == "192.0.2.53":  # of the parent
                ns = Record(ZONE, NS, IN, 60, "a.example")
                glue = Record("a.example", A, IN, 60, "192.0.2.99")
                said = message(asked.question, flags=0x8000)
                return ServerReply(NOERROR, said._replace(authority=(ns,), additional=(glue,)))
            if asked.address == "192.0.2.99":
                return ServerReply(REFUSED, message(asked.question, flags=0x8005))
            return authoritative(asked.question, "a.example")
        if asked.rdtype == NS:
            return Answer(NOERROR, ("r.example",))
        address = "192.0.2.53" if asked.name == "r.example" else "192.0.2.1"
        return Answer(NOERROR, (address,) if asked.rdtype == A else ())

    fact, _ = run(survey(Placed(ZONE, PARENT), [], every=False), reply)
    assert [(row.address, row.status) for row in fact.servers] == [
        ("192.0.2.1", NOERROR),
        ("192.0.2.99", REFUSED),
    ]
    assert [finding.code for finding in judge_zone(fact, RuleSet())] == ["SERVER_LAME"]


def test_servers_named_in_their_own_zone_without_glue_are_without_address() -> None:
    """Nobody can find them, so the resolver fails for the zone and for their names."""
    own = f"ns.{ZONE}"
    circular = server(own, address=None, status=SERVFAIL, aa=False, soa=None)
    assert found(circular) == {"SERVER_WITHOUT_ADDRESS", "ZONE_UNSERVED"}
    # With another server the failure may be the resolver's.
    assert found(circular, server()) == set()
    assert found(circular._replace(name="ns.example")) == set()


def test_a_server_whose_name_is_an_alias_is_asked_and_named() -> None:
    def reply(asked: Asked) -> Replied:
        if isinstance(asked, ServerQuestion):
            return authoritative(asked.question, "alias.example")
        if asked.rdtype == NS:
            return Answer(NOERROR, ("alias.example",))
        return Answer(NOERROR, ("192.0.2.1",), ("alias.example",), "host.example")

    fact, _ = run(survey(Placed(ZONE, ""), [], every=False), reply)
    (finding,) = judge_zone(fact, RuleSet())
    assert (finding.code, finding.subject) == ("SERVER_WITHOUT_ADDRESS", "alias.example")


def test_what_answers_with_recursion_and_no_authority_is_not_the_server_and_not_judged() -> None:
    def reply(asked: Asked) -> Replied:
        if isinstance(asked, ServerQuestion):
            said = authoritative(asked.question, "a.example").message
            assert said is not None
            return ServerReply(NOERROR, said._replace(flags=_QR_RA))
        return Answer(NOERROR, ("a.example",) if asked.rdtype == NS else ("192.0.2.1",))

    fact, _ = run(survey(Placed(ZONE, PARENT), [], every=False), reply)
    assert [row.is_proxy for row in fact.servers] == [True]
    assert [row.is_proxy for row in fact.parent_servers] == [True]
    assert judge_zone(fact, RuleSet()) == []


@pytest.mark.parametrize(
    ("row", "codes"),
    [
        (server("b.example", status=TIMEOUT, aa=False, soa=None), {"SERVER_SILENT"}),
        (server("b.example", status=REFUSED, aa=False, soa=None), {"SERVER_LAME"}),
        (server("b.example", aa=False), {"SERVER_LAME"}),
        (server("b.example", status=NO_ROUTE, aa=False, soa=None), set()),
        (server("b.example", address=None, status=NXDOMAIN, soa=None), {"SERVER_WITHOUT_ADDRESS"}),
        (server("b.example", address=None, status=TIMEOUT, soa=None), set()),
        (server("b.example", soa=soa(2)), {"SERIALS_DIFFER"}),
        (server("b.example", ns=("b.example",)), {"NS_MISMATCH"}),
    ],
)
def test_a_server_is_judged_by_what_it_says_itself(row: ServerRow, codes: set[str]) -> None:
    assert found(server(), row) == codes


def test_servers_that_nobody_could_ask_leave_the_zone_unknown_and_not_unserved() -> None:
    unknown = server(status=NO_ROUTE, aa=False, soa=None)
    assert found(unknown) == set()
    assert found(unknown._replace(status=TIMEOUT)) == {"SERVER_SILENT", "ZONE_UNSERVED"}


def test_a_serial_that_has_gone_round_is_the_newer_one() -> None:
    assert is_newer(soa(3), soa(0xFFFFFFFE))
    assert not is_newer(soa(0xFFFFFFFE), soa(3))
    assert not is_newer(soa(7), soa(7))


@pytest.mark.parametrize(
    ("zone", "parent", "denied", "who"),
    [
        (ZONE, PARENT, True, "rir"),
        (f"0/26.{ZONE}", ZONE, True, "isp"),
        (ZONE, PARENT, False, "isp"),
        (ZONE, "51.198.in-addr.arpa", False, "customer"),
        ("8.b.d.0.1.0.0.2.ip6.arpa", "0.1.0.0.2.ip6.arpa", False, "isp"),
        ("example.net", "net", False, "customer"),
        ("example.net", "net", True, "rir"),
    ],
)
def test_the_parent_mends_the_delegation_and_the_holder_all_else(
    zone: str, parent: str, who: str, *, denied: bool
) -> None:
    fact = ZoneFact(zone, parent, None, denied=denied)
    assert responsible_party(fact, judge_zone(fact, RuleSet())) == who


def test_registries_hold_a_slash_eight_and_what_is_above_a_slash_32() -> None:
    assert is_registry("198.in-addr.arpa")
    assert not is_registry("51.198.in-addr.arpa")
    assert is_registry("b.d.0.1.0.0.2.ip6.arpa")
    assert not is_registry("8.b.d.0.1.0.0.2.ip6.arpa")


_OWNER: Final = "7.2.0.192.in-addr.arpa"
_END: Final = "7.0/29.2.0.192.in-addr.arpa"
_ALIAS: Final = Answer(NOERROR, (), (_OWNER,), _END)


@pytest.mark.parametrize(
    ("answers", "contents"),
    [
        # One server has the zone that the alias leads to (RFC 2317), the other has not.
        ([_ALIAS, _ALIAS._replace(records=("a.example",))], []),
        ([_ALIAS, _ALIAS._replace(status=NXDOMAIN, zone="0/29.2.0.192.in-addr.arpa")], []),
        # Both have it.
        (
            [_ALIAS._replace(records=("a.example",)), _ALIAS._replace(records=("b.example",))],
            [(0, ("a.example",)), (1, ("b.example",))],
        ),
        # The alias itself is another, or is not there.
        (
            [_ALIAS, _ALIAS._replace(canonical="7.x.2.0.192.in-addr.arpa")],
            [(0, (_END,)), (1, ("7.x.2.0.192.in-addr.arpa",))],
        ),
        (
            [_ALIAS, Answer(NOERROR, ("a.example",))],
            [(0, (_END,)), (1, ("a.example",))],
        ),
        (
            [_ALIAS, Answer(NXDOMAIN, zone="2.0.192.in-addr.arpa")],
            [(0, (_END,)), (1, ())],
        ),
        ([Answer(NOERROR, ("a.example",))] * 2, []),
    ],
)
def test_servers_differ_in_what_they_must_have(
    answers: list[Answer], contents: list[tuple[int, tuple[str, ...]]]
) -> None:
    assert differing_contents(list(enumerate(answers))) == contents
