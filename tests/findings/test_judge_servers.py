"""Servers that disagree: what counts as that, and what does not.

Also tests `checks/server_agreement.py`.
"""

from __future__ import annotations

import pytest

from auditor.checks.server_agreement import ServerAnswers, questions_about
from auditor.findings.judge import Finding, judge_servers
from auditor.findings.rules import RuleSet
from auditor.resolve.answer import Answer, Question
from auditor.wire.codes import AAAA, NODATA, NOERROR, NXDOMAIN, PTR, SERVFAIL, TIMEOUT, A

QUESTION = Question("7.100.51.198.in-addr.arpa", PTR)
ONE = Answer(NOERROR, ("one.example.net",), ttl=300)
TWO = Answer(NOERROR, ("two.example.net",), ttl=300)


def _said(*answers: Answer) -> ServerAnswers:
    return ServerAnswers(
        QUESTION, {f"192.0.2.{number}:53": one for number, one in enumerate(answers)}
    )


@pytest.mark.parametrize(
    ("answers", "differs"),
    [
        ((ONE, TWO), True),
        ((ONE, Answer(NXDOMAIN)), True),
        ((Answer(NODATA), Answer(NXDOMAIN)), True),
        ((ONE, ONE, TWO), True),
        ((ONE, ONE), False),
        ((ONE, ONE._replace(ttl=60)), False),
        # One follows the alias of RFC 2317, the other leaves that to us: the same in the end.
        ((ONE, ONE._replace(chain=(QUESTION.name,), canonical="7.sub.example.net")), False),
        ((ONE, Answer(SERVFAIL), Answer(TIMEOUT)), False),
        ((Answer(SERVFAIL), Answer(TIMEOUT)), False),
        ((ONE,), False),
        ((), False),
    ],
)
def test_only_answers_that_settle_the_question_can_disagree(
    answers: tuple[Answer, ...], *, differs: bool
) -> None:
    server_answers = _said(*answers)
    assert server_answers.differs is differs
    expected = [Finding("SERVERS_DISAGREE", "error", QUESTION.name)] if differs else []
    assert judge_servers([server_answers, server_answers], RuleSet()) == expected
    assert judge_servers([server_answers], RuleSet(ignore=["SERVERS_DISAGREE"])) == []


def test_an_address_is_asked_about_both_ways_in_its_own_family() -> None:
    names = [{"name": "a.example.net"}, {"name": "b.example.net"}]
    record = {"kind": "ip", "target": "198.51.100.7", "iprev": {"names": names}}
    forward = [Question("a.example.net", A), Question("b.example.net", A)]
    assert questions_about(record) == [QUESTION, *forward]
    asked = questions_about({**record, "target": "2001:db8::7"})
    assert [question.rdtype for question in asked] == [PTR, AAAA, AAAA]
    assert questions_about({"kind": "invalid", "target": "x"}) == []
