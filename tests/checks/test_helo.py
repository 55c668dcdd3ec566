"""The HELO stage: what is asked, and what the answers mean."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from auditor.checks.helo import helo_fact, helo_question
from auditor.findings.judge import judge_helo
from auditor.resolve.answer import Question, make_answer
from auditor.wire.codes import AAAA, A

if TYPE_CHECKING:
    from auditor.checks.facts import HeloFact

_ADDRESS = "192.0.2.5"
_PTR = ("mail.example.net",)


def _found(fact: HeloFact, names: tuple[str, ...] = _PTR) -> set[str]:
    found: list[tuple[str, str]] = []
    judge_helo(fact, names, found)
    assert {subject for _, subject in found} <= {fact.name}
    return {code for code, _ in found}


def test_a_qualified_name_is_asked_for_in_the_family_of_the_client() -> None:
    assert helo_question("mail.example.net", 4) == Question("mail.example.net", A)
    assert helo_question("mail.example.net", 6) == Question("mail.example.net", AAAA)


@pytest.mark.parametrize(
    "name", ["", "localhost", "[192.0.2.5]", "192.0.2.5", "[IPv6:2001:db8::6]", "a..b", "mail_x"]
)
def test_whatever_is_no_qualified_host_name_is_not_asked_for(name: str) -> None:
    assert helo_question(name, 4) is None
    fact = helo_fact(name, _ADDRESS, None)
    assert fact.status is None
    assert _found(fact) == {"HELO_NOT_FQDN"}


@pytest.mark.parametrize(
    ("name", "status", "records", "codes"),
    [
        ("mail.example.net", "NOERROR", (_ADDRESS,), set()),
        ("mx.example.net", "NOERROR", (_ADDRESS,), {"HELO_NOT_PTR"}),
        ("mail.example.net", "NOERROR", ("192.0.2.6",), {"HELO_MISMATCH"}),
        ("mx.example.net", "NOERROR", ("192.0.2.6",), {"HELO_MISMATCH", "HELO_NOT_PTR"}),
        ("gone.example.net", "NXDOMAIN", (), {"HELO_UNRESOLVABLE"}),
        ("v6.example.net", "NODATA", (), {"HELO_UNRESOLVABLE"}),
        ("slow.example.net", "TIMEOUT", (), set()),
    ],
)
def test_a_name_is_judged_by_its_addresses(
    name: str, status: str, records: tuple[str, ...], codes: set[str]
) -> None:
    fact = helo_fact(name, _ADDRESS, make_answer(status, records))
    assert fact.confirms == (_ADDRESS in records)
    assert _found(fact) == codes


def test_an_address_without_a_name_has_none_to_differ_from() -> None:
    fact = helo_fact("mx.example.net", _ADDRESS, make_answer("NOERROR", (_ADDRESS,)))
    assert _found(fact, ()) == set()
