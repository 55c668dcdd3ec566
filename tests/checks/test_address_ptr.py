"""The PTR stage: all names, the chain, and wildcards that make names up (RFC 4592)."""

from __future__ import annotations

import pytest

from auditor.checks.address import Wildcards, ptr_fact, without_origin
from auditor.checks.facts import PtrFact
from auditor.resolve.answer import Answer, Question
from auditor.wire.codes import PTR
from auditor.wire.reverse import reverse_name

_OWNER = "7.100.51.198.in-addr.arpa"
_WILD = Question("*.100.51.198.in-addr.arpa", PTR)


def test_the_fact_holds_all_names_and_the_aliases_on_the_way() -> None:
    answer = Answer(
        "NOERROR",
        ("a.example.net", "b.example.net"),
        (_OWNER, "7.0-63.100.51.198.in-addr.arpa"),
        "7.ptr.example.net",
        300,
    )
    assert ptr_fact(_OWNER, answer) == PtrFact(
        "NOERROR", ("a.example.net", "b.example.net"), answer.chain, "7.ptr.example.net"
    )


@pytest.mark.parametrize("status", ["NXDOMAIN", "NODATA", "SERVFAIL", "TIMEOUT", "TRUNCATED"])
def test_without_names_the_status_says_why(status: str) -> None:
    assert ptr_fact(_OWNER, Answer(status)) == PtrFact(status, (), (), _OWNER)


def test_the_zone_that_denies_the_names_is_known_from_the_answer() -> None:
    denied = ptr_fact(_OWNER, Answer("NXDOMAIN", ttl=60, zone="100.51.198.in-addr.arpa"))
    assert (denied.owner, denied.zone) == (_OWNER, "100.51.198.in-addr.arpa")


def test_behind_an_alias_the_names_are_wanted_where_it_leads() -> None:
    answer = Answer("NODATA", (), (_OWNER,), "7.ptr.example.net", 60, None, "ptr.example.net")
    denied = ptr_fact(_OWNER, answer)
    assert (denied.owner, denied.zone) == ("7.ptr.example.net", "ptr.example.net")


def test_one_question_serves_all_neighbours() -> None:
    wildcards = Wildcards()
    assert wildcards.question(_OWNER) == _WILD
    assert wildcards.question("8.100.51.198.in-addr.arpa") == _WILD  # nobody has answered yet
    wildcards.learn_wildcard(_WILD, Answer("NXDOMAIN"))
    assert wildcards.question("9.100.51.198.in-addr.arpa") is None
    assert wildcards.question("9.101.51.198.in-addr.arpa") is not None


def test_ipv6_neighbours_share_all_but_the_last_nibble() -> None:
    wildcards = Wildcards()
    question = wildcards.question(reverse_name("2001:db8::10"))
    assert question is not None
    assert question.name == "*" + reverse_name("2001:db8::10")[1:]
    wildcards.learn_wildcard(question, Answer("NXDOMAIN"))
    assert wildcards.question(reverse_name("2001:db8::1f")) is None
    assert wildcards.question(reverse_name("2001:db8::20")) is not None


@pytest.mark.parametrize(
    ("wild", "names", "made_up"),
    [
        (Answer("NOERROR", ("any.example.net",)), ("any.example.net",), True),
        # The owner has records of its own besides, or others: someone has entered them.
        (Answer("NOERROR", ("any.example.net",)), ("any.example.net", "b.example.net"), False),
        (Answer("NOERROR", ("any.example.net",)), ("mx.example.net",), False),
        (Answer("NOERROR", ("a.example.net", "b.example.net")), ("a.example.net",), False),
        (Answer("NXDOMAIN"), ("mx.example.net",), False),
        (Answer("NODATA"), ("mx.example.net",), False),
        (Answer("TIMEOUT"), ("mx.example.net",), False),
        # No answer to what was asked: records of a reply that failed are not believed.
        (Answer("SERVFAIL", ("any.example.net",)), ("any.example.net",), False),
    ],
)
def test_names_are_made_up_if_just_those_of_the_wildcard(
    wild: Answer, names: tuple[str, ...], *, made_up: bool
) -> None:
    wildcards = Wildcards()
    assert wildcards.wildcard_owner(_OWNER, names) == ""  # not asked yet
    wildcards.learn_wildcard(_WILD, wild)
    assert wildcards.wildcard_owner(_OWNER, names) == (_WILD.name if made_up else "")


def test_a_question_that_failed_is_not_asked_again() -> None:
    wildcards = Wildcards()
    wildcards.learn_wildcard(_WILD, Answer("TIMEOUT"))
    assert wildcards.question(_OWNER) is None


def test_what_is_remembered_is_bounded() -> None:
    wildcards = Wildcards()
    for number in range(70_000):
        wildcards.learn_wildcard(Question(f"*.{number}.in-addr.arpa", PTR), Answer("NXDOMAIN"))
    assert len(wildcards.names) <= 65_536
    assert wildcards.question("1.69999.in-addr.arpa") is None


@pytest.mark.parametrize(
    ("name", "owner", "meant"),
    [
        ("mail.example.net.100.51.198.in-addr.arpa", _OWNER, "mail.example.net"),
        ("mail.example.net.198.in-addr.arpa", _OWNER, "mail.example.net"),
        (f"mail.example.net.{_OWNER}", _OWNER, "mail.example.net"),
        (
            "mx.example.co.uk.0/26.100.51.198.in-addr.arpa",
            "7.0/26.100.51.198.in-addr.arpa",
            "mx.example.co.uk",
        ),
        ("mail.100.51.198.in-addr.arpa", _OWNER, ""),  # of which domain, nobody can tell
        ("mail.lan.100.51.198.in-addr.arpa", _OWNER, ""),
        ("mail.example.net.101.51.198.in-addr.arpa", _OWNER, ""),
        ("mail_1.example.net.100.51.198.in-addr.arpa", _OWNER, ""),
        ("mail.example.net", _OWNER, ""),
        ("mail.example.net.ptr.example.net", "7.ptr.example.net", "mail.example.net"),
        ("www.example.com.ptr.example.net", "7.ptr.example.net", ""),
        ("mail.ptr.example.net", "7.ptr.example.net", ""),
    ],
)
def test_a_final_dot_is_missed_where_the_name_ends_in_its_own_zone(
    name: str, owner: str, meant: str
) -> None:
    assert without_origin(name, owner) == meant
