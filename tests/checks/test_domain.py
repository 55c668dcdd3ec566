"""A domain: its addresses, its MX hosts and theirs, its policy; bounded against hostile zones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from support.spf_answers import Zone
from support.stepping import driven

from auditor.checks.address import Wildcards
from auditor.checks.domain import MAX_ADDRESSES, MAX_HOSTS, check_domain
from auditor.resolve.answer import Answer, Question
from auditor.wire.codes import AAAA, CNAME, MX, PTR, TXT, A
from auditor.wire.reverse import reverse_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from auditor.checks.facts import DomainFact
    from auditor.resolve.answer import Rdata

_Names = dict[str, dict[int, "Sequence[Rdata] | str"]]

_DOMAIN = "example.net"


def _check(
    answer: Callable[[Question], Answer] | _Names,
) -> tuple[DomainFact, list[list[Question]]]:
    if isinstance(answer, dict):
        answer = Zone(answer).answer
    return driven(check_domain(_DOMAIN, Wildcards()), answer)


def _healthy() -> _Names:
    return {
        _DOMAIN: {
            A: ["192.0.2.1"],
            AAAA: ["2001:db8::1"],
            MX: [(10, "mx.example.net"), (20, "mx2.example.net")],
            TXT: [(b"v=spf1 mx -all",), (b"something else",)],
        },
        "mx.example.net": {A: ["192.0.2.25"]},
        "mx2.example.net": {A: ["192.0.2.26"], AAAA: ["2001:db8::26"]},
        reverse_name("192.0.2.1"): {PTR: ["example.net"]},
        reverse_name("192.0.2.25"): {PTR: ["mx.example.net"]},
        reverse_name("192.0.2.26"): {PTR: ["other.example.net"]},
        reverse_name("2001:db8::26"): {PTR: ["mx2.example.net"]},
    }


def test_addresses_hosts_and_policy_of_a_healthy_domain() -> None:
    fact, _ = _check(_healthy())
    assert fact.status == "NOERROR"
    assert [(one.address, one.iprev.result) for one in fact.addresses] == [
        ("192.0.2.1", "pass"),
        ("2001:db8::1", "permerror"),
    ]
    assert fact.mx_status == "NOERROR"
    assert [(host.preference, host.name, host.status, host.alias) for host in fact.mx] == [
        (10, "mx.example.net", "NOERROR", ""),
        (20, "mx2.example.net", "NOERROR", ""),
    ]
    assert [[(one.address, one.iprev.result) for one in host.addresses] for host in fact.mx] == [
        [("192.0.2.25", "pass")],
        [("192.0.2.26", "fail"), ("2001:db8::26", "pass")],
    ]
    assert (fact.spf.status, fact.spf.record, fact.spf.policies) == ("NOERROR", "v=spf1 mx -all", 1)


def test_everything_that_can_be_asked_at_once_is() -> None:
    _, rounds = _check(_healthy())
    assert {question for question in rounds[0] if question.rdtype != TXT} == {
        Question(_DOMAIN, A),
        Question(_DOMAIN, AAAA),
        Question(_DOMAIN, MX),
    }
    assert Question(_DOMAIN, TXT) in rounds[0]
    assert {Question("mx.example.net", A), Question("mx2.example.net", AAAA)} <= set(rounds[1])
    assert Question(reverse_name("192.0.2.1"), PTR) in rounds[1]


def test_a_null_mx_has_no_host_to_ask_for() -> None:
    fact, rounds = _check({_DOMAIN: {MX: [(0, ".")]}})
    (host,) = fact.mx
    assert (host.name, host.status, host.addresses) == (".", "NODATA", ())
    assert Question(".", A) not in [question for batch in rounds for question in batch]


def test_an_mx_host_that_is_an_alias_is_told_with_its_target() -> None:
    fact, _ = _check(
        {
            _DOMAIN: {MX: [(10, "mail.example.net")]},
            "mail.example.net": {CNAME: ["host.example.org"]},
            "host.example.org": {A: ["192.0.2.25"]},
        }
    )
    (host,) = fact.mx
    assert (host.name, host.alias, host.status) == (
        "mail.example.net",
        "host.example.org",
        "NOERROR",
    )
    assert [one.address for one in host.addresses] == ["192.0.2.25"]


def test_of_thirty_hosts_the_first_twenty_by_preference_are_asked_for() -> None:
    hosts = [(number, f"mx{number}.example.net") for number in range(30)]
    fact, rounds = _check({_DOMAIN: {MX: hosts}, **{name: {A: ["192.0.2.1"]} for _, name in hosts}})
    assert [(host.preference, host.name) for host in fact.mx] == hosts[:MAX_HOSTS]
    asked = {question.name for batch in rounds for question in batch}
    assert "mx19.example.net" in asked
    assert "mx20.example.net" not in asked


def test_of_a_thousand_addresses_few_are_looked_at() -> None:
    many = [f"10.0.{number // 250}.{number % 250}" for number in range(1000)]

    def answer(question: Question) -> Answer:
        if question == Question(_DOMAIN, MX):
            return Answer(
                "NOERROR", tuple((number, f"mx{number}.example.net") for number in range(30))
            )
        if question.rdtype == A:
            return Answer("NOERROR", tuple(sorted(many)))
        if question.rdtype == AAAA:
            return Answer("NOERROR", tuple(f"2001:db8::{number:x}" for number in range(1000)))
        return Answer("NXDOMAIN")

    fact, rounds = _check(answer)
    assert len(fact.addresses) == 2 * MAX_ADDRESSES
    assert [one.address for one in fact.addresses[:MAX_ADDRESSES]] == sorted(many)[:MAX_ADDRESSES]
    assert all(len(host.addresses) == 2 * MAX_ADDRESSES for host in fact.mx)
    asked = [question for batch in rounds for question in batch]
    assert len(asked) < 4 + 2 * MAX_HOSTS + 2 * MAX_ADDRESSES * (MAX_HOSTS + 1) + 20


@pytest.mark.parametrize(
    ("v4", "v6", "status"),
    [
        ("NOERROR", "NODATA", "NOERROR"),
        ("TIMEOUT", "NOERROR", "NOERROR"),
        ("NODATA", "NODATA", "NODATA"),
        ("NXDOMAIN", "NXDOMAIN", "NXDOMAIN"),
        ("NXDOMAIN", "NODATA", "NODATA"),  # what one lookup says exists does exist
        ("NODATA", "SERVFAIL", "SERVFAIL"),
        ("TIMEOUT", "SERVFAIL", "TIMEOUT"),
        ("NXDOMAIN", "REFUSED", "REFUSED"),
    ],
)
def test_the_lookups_for_both_families_give_one_status(v4: str, v6: str, status: str) -> None:
    said = {
        A: Answer(v4, ("192.0.2.1",) if v4 == "NOERROR" else ()),
        AAAA: Answer(v6, ("2001:db8::1",) if v6 == "NOERROR" else ()),
    }

    def answer(question: Question) -> Answer:
        if question.rdtype == MX and question.name == _DOMAIN:
            return Answer("NOERROR", ((10, "mx.example.net"),))
        return said.get(question.rdtype, Answer("NXDOMAIN"))

    fact, _ = _check(answer)
    assert (fact.status, fact.mx[0].status) == (status, status)
    assert len(fact.addresses) == (v4 == "NOERROR") + (v6 == "NOERROR")


def test_an_address_that_answered_is_looked_at_though_the_other_family_failed() -> None:
    fact, _ = _check({_DOMAIN: {A: ["192.0.2.1"], AAAA: "TIMEOUT"}})
    assert [one.address for one in fact.addresses] == ["192.0.2.1"]


@pytest.mark.parametrize("status", ["TIMEOUT", "SERVFAIL", "REFUSED", "NXDOMAIN"])
def test_when_nothing_is_known_every_part_says_so(status: str) -> None:
    fact, _ = _check(lambda _question: Answer(status))
    assert (fact.status, fact.mx_status, fact.spf.status) == (status,) * 3
    assert (fact.addresses, fact.mx, fact.spf.record, fact.spf.policies) == ((), (), None, 0)


@pytest.mark.parametrize(
    ("texts", "record", "policies"),
    [
        ([], None, 0),
        ([(b"v=spf10 -all",)], None, 0),
        ([(b"v=spf1",)], "v=spf1", 1),
        ([(b"V=SPF1 -ALL",)], "V=SPF1 -ALL", 1),
        ([(b"v=spf1 ip4:192.", b"0.2.1 -all")], "v=spf1 ip4:192.0.2.1 -all", 1),
        ([(b"v=spf1 -all",), (b"v=spf1 ~all",)], None, 2),
        ([(b"v=spf1 exp=\xc3\xa4.example.net -all",)], "v=spf1 exp=\\195\\164.example.net -all", 1),
    ],
)
def test_the_one_policy_is_found_and_made_printable(
    texts: list[tuple[bytes, ...]], record: str | None, policies: int
) -> None:
    fact, _ = _check({_DOMAIN: {TXT: texts or [(b"none",)]}})
    assert (fact.spf.status, fact.spf.record, fact.spf.policies) == ("NOERROR", record, policies)
