"""The table of a pending query's states, and the drawing of it in ARCHITECTURE.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

import pytest

from auditor.resolve.answer import Question
from auditor.resolve.bulk.pending_query import TRANSITIONS, PendingQuery, QueryEvent, QueryState
from auditor.wire.codes import PTR

ARCHITECTURE: Final = Path(__file__).parents[3] / "ARCHITECTURE.md"


def _in_state(state: QueryState) -> PendingQuery:
    query = PendingQuery(Question("53.100.51.198.in-addr.arpa", PTR), lambda *_: None)
    query.state = state
    return query


def test_every_state_has_a_row_and_every_event_leads_somewhere() -> None:
    assert set(TRANSITIONS) == set(QueryState)
    assert {event for row in TRANSITIONS.values() for event in row} == set(QueryEvent)


def test_every_state_is_reached_from_the_first_and_leads_to_the_answer() -> None:
    for start in QueryState:
        reached, new = {start}, [start]
        while new:
            following = set(TRANSITIONS[new.pop()].values()) - reached
            reached |= following
            new += following
        assert QueryState.DONE in reached
        if start is QueryState.SILENT:
            assert reached == set(QueryState)


def test_nothing_happens_to_a_query_that_has_its_answer() -> None:
    assert not TRANSITIONS[QueryState.DONE]


def test_any_other_query_may_be_answered_by_a_late_reply() -> None:
    for state, row in TRANSITIONS.items():
        assert state is QueryState.DONE or row[QueryEvent.ANSWERED] is QueryState.DONE


def test_only_what_was_asked_can_be_lost() -> None:
    # In the queue it is the zone that has died meanwhile, without another attempt.
    losing = {state for state, row in TRANSITIONS.items() if QueryEvent.TIMED_OUT in row}
    unanswered = {state for state in QueryState if _in_state(state).is_unanswered}
    assert losing == {*unanswered, QueryState.QUEUED}
    assert {state for state in QueryState if _in_state(state).is_asked} < unanswered


def test_an_event_that_cannot_happen_in_a_state_is_an_error() -> None:
    query = _in_state(QueryState.DEFERRED)
    with pytest.raises(KeyError):
        query.advance(QueryEvent.TIMED_OUT)
    query.advance(QueryEvent.SENT)
    assert query.state is QueryState.IN_FLIGHT


def test_the_drawing_has_the_transitions_of_the_table() -> None:
    drawn = re.findall(r"^    (\w+) --> (\w+): (\w+)$", ARCHITECTURE.read_text(), re.MULTILINE)
    table = [
        (state.name, following.name, event.name)
        for state, row in TRANSITIONS.items()
        for event, following in row.items()
    ]
    # What may happen in any state but the last is drawn once, from where it mostly happens.
    anywhere = {("ASK_AGAIN", "QUEUED"), ("DOUBTED", "DEFERRED"), ("ASK_OVER_TCP", "OVER_TCP")}
    anywhere |= {("ANSWERED", "DONE")}
    assert set(drawn) <= set(table)
    assert {
        (state, following, event)
        for state, following, event in table
        if (event, following) not in anywhere
    } <= set(drawn)
    assert {(event, following) for _, following, event in drawn} >= anywhere
