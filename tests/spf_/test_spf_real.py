"""Real policies: results and counts are those that independent evaluators agree on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from support.spf_answers import Course, check

from auditor.spf.check_host import sender_of

if TYPE_CHECKING:
    import pytest

    from auditor.resolve.zones.engine import ZoneFileEngine


def _total(courses: list[Course], what: Literal["rounds", "questions"]) -> int:
    return sum(len(getattr(course, what)) for course in courses)


def test_every_row_equals_the_truth(
    zones: ZoneFileEngine, every_row: list[dict[str, Any]], rows: list[dict[str, Any]]
) -> None:
    assert len(every_row) == 7712
    wrong = []
    for row in rows:
        domain = row["domain"]
        fact = check(zones.answer, row["ip"], domain, sender_of(domain)).fact
        found = {"result": fact.result, "lookups": fact.lookups, "voids": fact.voids}
        if any(row[key] not in {None, value} for key, value in found.items()):
            wrong.append((row, found))

    assert wrong == []


def test_asking_ahead_saves_rounds_and_changes_no_fact_nor_does_doing_without_pyspf(
    zones: ZoneFileEngine, every_row: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = every_row[::20]
    direct = [check(zones.answer, row["ip"], row["domain"]) for row in sample]
    monkeypatch.setattr("auditor.spf.evaluator.evaluate_directly", lambda *_: None)
    ahead = [check(zones.answer, row["ip"], row["domain"]) for row in sample]
    monkeypatch.setattr("auditor.spf.evaluator.lacking_questions", lambda *_: [])
    plain = [check(zones.answer, row["ip"], row["domain"]) for row in sample]

    assert [course.fact for course in ahead] == [course.fact for course in plain]
    assert [course.fact for course in direct] == [course.fact for course in plain]
    rounds, plain_rounds = _total(ahead, "rounds"), _total(plain, "rounds")
    assert rounds < 0.75 * plain_rounds
    assert _total(direct, "rounds") <= rounds
    assert _total(ahead, "questions") < 1.25 * _total(plain, "questions")
    assert _total(direct, "questions") <= _total(ahead, "questions")
