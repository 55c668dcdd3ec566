"""What the check at the start finds out about servers, and what is done about it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pytest
from support import faults
from support.asking import ask, assert_sums, opened
from support.faults import answer, truncate
from support.faulty import Asked, FaultyServer, always

from auditor.errors import NoServerError
from auditor.resolve.answer import Answer, Question
from auditor.resolve.bulk.engine import BulkEngine
from auditor.settings import Server
from auditor.wire.codes import (
    NOERROR,
    A,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from support.faults import Action

    Run = Callable[[Coroutine[Any, Any, Any]], Any]

ZONE: Final = """
$ORIGIN example.net.
mail A 192.0.2.1
www CNAME mail
""" + "".join(f"h{number} A 192.0.2.{number}\n" for number in range(200))
MAIL: Final = Question("mail.example.net", A)
RIGHT: Final = Answer(NOERROR, ("192.0.2.1",), ttl=300)
FAST: Final[dict[str, Any]] = {"timeout": 0.25, "tries": 2, "check": False}


def _all_hosts() -> list[Question]:
    return [Question(f"h{number}.example.net", A) for number in range(200)]


def _engine(*ports: int, **options: Any) -> BulkEngine:
    return BulkEngine([Server("127.0.0.1", port) for port in ports], **{**FAST, **options})


async def _ask(
    engine: BulkEngine, questions: Sequence[Question] = (MAIL,)
) -> tuple[list[Answer], dict[str, int]]:
    """Return the answers and the counts, which add up."""
    async with opened(engine):
        answers = await ask(engine, questions)
    count = dict(engine.counters())
    assert_sums(count, asked=len(questions))
    return answers, count


@pytest.mark.parametrize("action", [faults.formerr_to_edns, faults.silent_to_edns])
def test_a_server_without_edns_is_found_out_by_the_check(run: Run, action: Action) -> None:
    with FaultyServer(ZONE, always(action)) as server:
        answers, count = run(_ask(_engine(server.port, check=True)))
        assert answers == [RIGHT]
        assert server.queries[-1].payload is None
    assert count["retried"] == 0


@pytest.mark.parametrize(
    ("actions", "why"),
    [
        ([faults.invent("192.0.2.66")], "makes up answers"),
        ([], "does not answer"),
        ([faults.wrong_id], "does not answer"),
        ([faults.wrong_question], "does not answer"),
        ([faults.echo], "does not answer"),
    ],
)
def test_liars_and_mutes_do_not_pass_the_check(run: Run, actions: list[Action], why: str) -> None:
    async def main(port: int) -> None:
        engine = _engine(port, check=True)
        with pytest.raises(NoServerError, match=why):
            await engine.start()
        assert engine._nameservers[0].sockets == []

    with FaultyServer(ZONE, always(*actions)) as server:
        run(main(server.port))


def test_a_server_that_denies_everything_does_not_outvote_an_honest_one(run: Run) -> None:
    with FaultyServer(ZONE, always(faults.empty)) as denying, FaultyServer(ZONE) as good:
        answers, _ = run(
            _ask(_engine(denying.port, good.port, check=True, timeout=5.0), _all_hosts())
        )
        assert {query.asked.rdtype for query in denying.queries} == {"A", "NS"}
        assert len(denying.queries) == 2
    assert {found.status for found in answers} == {NOERROR}


def test_a_liar_beside_an_honest_server_is_asked_nothing_more(run: Run) -> None:
    liar_plan = always(faults.invent("192.0.2.66"))
    with FaultyServer(ZONE, liar_plan) as liar, FaultyServer(ZONE, always(truncate)) as good:
        # Truncated, so that TCP is asked too: of the honest one only.
        answers, _ = run(
            _ask(_engine(liar.port, good.port, check=True, timeout=5.0), _all_hosts()[:20])
        )
        assert len(liar.queries) == 1
    assert [found.records for found in answers] == [(f"192.0.2.{n}",) for n in range(20)]


def test_a_server_that_changes_the_case_is_asked_in_lower_case(run: Run) -> None:
    with FaultyServer(ZONE, always(faults.case_changed)) as server:
        answers, count = run(_ask(_engine(server.port, check=True, timeout=5.0), _all_hosts()))
        assert all(query.wire[12:] == query.wire[12:].lower() for query in server.queries[-200:])
    assert {found.status for found in answers} == {NOERROR}
    assert count["forged"] == 0


def test_a_server_that_begins_to_change_the_case_is_asked_again_in_lower_case(run: Run) -> None:
    def plan(asked: Asked, _transport: str, _nth: int) -> Sequence[Action]:
        return [answer] if asked.name.endswith("invalid") else [faults.case_changed]

    with FaultyServer(ZONE, plan) as server:
        answers, count = run(_ask(_engine(server.port, check=True, timeout=5.0), _all_hosts()))
    assert {found.status for found in answers} == {NOERROR}
    assert 0 < count["forged"] <= count["retried"]


def test_names_go_out_in_mixed_case_where_it_comes_back(run: Run) -> None:
    with FaultyServer(ZONE) as server:
        answers, count = run(_ask(_engine(server.port, check=True, timeout=5.0), _all_hosts()))
        mixed = [query for query in server.queries if query.wire[12:] != query.wire[12:].lower()]
    assert len(mixed) > 150
    assert {found.status for found in answers} == {NOERROR}
    assert count["forged"] == 0
