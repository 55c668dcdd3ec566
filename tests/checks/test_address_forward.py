"""Forward confirmation: pass, fail and temperror (RFC 8601 §2.7.3)."""

from __future__ import annotations

import pytest

from auditor.checks.address import confirm, unconfirmed
from auditor.checks.facts import ForwardName, IprevFact, PtrFact
from auditor.resolve.answer import Answer

_V4 = "192.0.2.1"
_V6 = "2001:db8::1"


def _answers(*texts: str) -> list[Answer]:
    """Return answers: addresses with spaces between, or a status."""
    return [
        Answer(text) if text.isupper() else Answer("NOERROR", tuple(text.split())) for text in texts
    ]


@pytest.mark.parametrize(
    ("answers", "result", "confirms"),
    [
        (["192.0.2.1"], "pass", [True]),
        (["192.0.2.1 192.0.2.2"], "pass", [True]),
        (["192.0.2.2"], "fail", [False]),
        (["192.0.2.10"], "fail", [False]),
        (["NXDOMAIN"], "fail", [False]),
        (["NODATA"], "fail", [False]),
        (["SERVFAIL"], "temperror", [False]),
        (["TIMEOUT"], "temperror", [False]),
        (["REFUSED"], "temperror", [False]),
        (["TRUNCATED"], "temperror", [False]),
        (["MALFORMED"], "temperror", [False]),
        (["UNREACHABLE"], "temperror", [False]),
        (["RCODE15"], "temperror", [False]),
        # One that confirms decides, wherever it stands and whatever the others say.
        (["192.0.2.2", "192.0.2.1"], "pass", [False, True]),
        (["TIMEOUT", "192.0.2.1"], "pass", [False, True]),
        (["192.0.2.1", "TIMEOUT"], "pass", [True, False]),
        # One that could not be read might have.
        (["192.0.2.2", "TIMEOUT"], "temperror", [False, False]),
        (["TIMEOUT", "192.0.2.2", "NXDOMAIN"], "temperror", [False, False, False]),
        (["NXDOMAIN", "192.0.2.2", "NODATA"], "fail", [False, False, False]),
        ([], "fail", []),
    ],
)
def test_the_result_of_all_names_together(
    answers: list[str], result: str, confirms: list[bool]
) -> None:
    names = [f"{number}.example.net" for number in range(len(answers))]
    fact = confirm(_V4, names, _answers(*answers))
    assert fact.result == result
    assert [name.confirms for name in fact.names] == confirms
    assert [name.name for name in fact.names] == names


def test_all_addresses_of_a_name_and_the_alias_behind_it_are_facts() -> None:
    answer = Answer("NOERROR", (_V6, "2001:db8::2"), ("a.example.net",), "b.example.org", 60)
    assert confirm(_V6, ["a.example.net"], [answer]) == IprevFact(
        "pass",
        (ForwardName("a.example.net", "NOERROR", (_V6, "2001:db8::2"), True, "b.example.org"),),  # noqa: FBT003 - the fields of a fact
    )


def test_an_address_is_compared_as_a_whole() -> None:
    assert confirm("2001:db8::1", ["a.example.net"], _answers("2001:db8::11")).result == "fail"


@pytest.mark.parametrize(
    ("status", "result"),
    [
        ("NXDOMAIN", "permerror"),
        ("NODATA", "permerror"),
        ("SERVFAIL", "temperror"),
        ("TIMEOUT", "temperror"),
        ("REFUSED", "temperror"),
        ("TRUNCATED", "temperror"),
        ("NOTIMP", "temperror"),
    ],
)
def test_without_a_name_unread_is_not_absent(status: str, result: str) -> None:
    assert unconfirmed(PtrFact(status, (), (), "7.100.51.198.in-addr.arpa")) == IprevFact(
        result, ()
    )
