"""Real policies: results and counts are those that independent evaluators agree on."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any, Literal

import pytest
from support.data import DATA, WHY_NOT
from support.spf_answers import Course, check

from auditor.resolve.zonefiles import ZoneFiles
from auditor.spf.evaluate import sender_of

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def folder() -> Path:
    if DATA is None:
        pytest.skip(WHY_NOT)
    return DATA / "spf-real"


@pytest.fixture(scope="module")
def zones(folder: Path) -> ZoneFiles:
    engine = ZoneFiles(folder)
    asyncio.run(engine.start())
    return engine


@pytest.fixture(scope="module")
def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "truth.ndjson").read_text().splitlines()]


def _total(courses: list[Course], what: Literal["rounds", "questions"]) -> int:
    return sum(len(getattr(course, what)) for course in courses)


def test_every_row_equals_the_truth(zones: ZoneFiles, rows: list[dict[str, Any]]) -> None:
    wrong = []
    for row in rows:
        domain = row["domain"]
        fact = check(zones.answer, row["ip"], domain, sender_of(domain)).fact
        found = {"result": fact.result, "lookups": fact.lookups, "voids": fact.voids}
        if any(row[key] not in {None, value} for key, value in found.items()):
            wrong.append((row, found))

    assert len(rows) == 7712
    assert wrong == []


def test_asking_ahead_saves_rounds_and_changes_no_fact_nor_does_doing_without_pyspf(
    zones: ZoneFiles, rows: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    sample = rows[::10]
    direct = [check(zones.answer, row["ip"], row["domain"]) for row in sample]
    monkeypatch.setattr("auditor.spf.direct.evaluate_directly", lambda *_: None)
    ahead = [check(zones.answer, row["ip"], row["domain"]) for row in sample]
    monkeypatch.setattr("auditor.spf.ahead.questions_ahead", lambda *_: [])
    plain = [check(zones.answer, row["ip"], row["domain"]) for row in sample]

    assert [course.fact for course in ahead] == [course.fact for course in plain]
    assert [course.fact for course in direct] == [course.fact for course in plain]
    rounds, plain_rounds = _total(ahead, "rounds"), _total(plain, "rounds")
    assert rounds < 0.75 * plain_rounds
    assert _total(direct, "rounds") <= rounds
    assert _total(ahead, "questions") < 1.25 * _total(plain, "questions")
    assert _total(direct, "questions") <= _total(ahead, "questions")
