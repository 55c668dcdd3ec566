"""The decision what comes next, and which zones are dead: no socket, no clock."""

from __future__ import annotations

import pytest

from auditor.resolve.answer import Answer, Question
from auditor.resolve.bulk.dead_zones import DeadZones
from auditor.resolve.bulk.pending_query import PendingQuery
from auditor.resolve.bulk.retry_policy import (
    Action,
    Decision,
    RetryPolicy,
    may_ask,
    next_wait,
    on_overtaken,
    on_reply,
    on_silence,
    on_tcp_answer,
    on_unsent,
)
from auditor.wire.codes import (
    FORMERR,
    MALFORMED,
    NODATA,
    NOERROR,
    NOTIMP,
    NXDOMAIN,
    REFUSED,
    SERVFAIL,
    TIMEOUT,
    TRUNCATED,
    UNREACHABLE,
    A,
)

POLICY = RetryPolicy(tries=3, timeout=2.0)


def _course(*asked: int, at: float = 100.0) -> PendingQuery:
    """Return a query that has asked these servers, a second apart."""
    query = PendingQuery(Question("a.example.net", A), lambda _pairs: None)
    for number, server in enumerate(asked):
        query.on_sent(server, at + number)
    return query


def _reply(
    query: PendingQuery, status: str, *, server: int = 0, servers: int = 1, hopeless: bool = False
) -> Decision:
    return on_reply(
        query,
        Answer(status),
        POLICY,
        server=server,
        usable=frozenset(range(servers)),
        hopeless=hopeless,
    )


def _silence(
    query: PendingQuery, now: float, *, hopeless: bool = False, slipping: bool = False
) -> Decision:
    return on_silence(query, POLICY, 0.5, now, hopeless=hopeless, slipping=slipping)


@pytest.mark.parametrize("status", [NOERROR, NODATA, NXDOMAIN])
def test_what_settles_a_question_ends_it(status: str) -> None:
    assert _reply(_course(0), status, servers=3) == Decision(Action.DONE, Answer(status))


def test_a_truncated_reply_goes_over_tcp() -> None:
    query = _course(0)
    assert _reply(query, TRUNCATED) == Decision(Action.TCP)
    assert query.truncated


@pytest.mark.parametrize("status", [FORMERR, NOTIMP])
def test_edns_refused_is_asked_without_at_the_same_server_whatever_the_tries(status: str) -> None:
    query = _course(0, 1, 0)
    assert _reply(query, status, server=1, servers=2) == Decision(Action.ASK)
    assert query.plain
    assert [may_ask(query, number, frozenset({0, 1})) for number in (0, 1)] == [False, True]
    # And said once more it is an answer, when the other server has said no.
    query.failed.append(0)
    assert _reply(query, status, server=1, servers=2) == Decision(Action.DONE, Answer(status))


@pytest.mark.parametrize("status", [SERVFAIL, REFUSED, "NOTAUTH", "RCODE3000"])
def test_a_failure_is_one_servers_word(status: str) -> None:
    query = _course(0)
    assert _reply(query, status, servers=2) == Decision(Action.ASK)
    query.on_sent(1, 101.0)
    assert _reply(query, status, server=1, servers=2) == Decision(Action.DONE, Answer(status))


def test_a_failure_is_final_where_there_is_no_other_server() -> None:
    assert _reply(_course(0), SERVFAIL) == Decision(Action.DONE, Answer(SERVFAIL))


def test_a_failure_is_final_when_the_tries_are_used_up() -> None:
    query = _course(0, 1, 2)
    query.failed += [0, 1]
    assert _reply(query, SERVFAIL, server=2, servers=5).what is Action.DONE


def test_a_failure_is_final_in_a_dead_zone() -> None:
    assert _reply(_course(0), SERVFAIL, servers=3, hopeless=True).what is Action.DONE


def test_a_server_that_was_only_silent_is_asked_again_after_anothers_failure() -> None:
    query = _course(0, 1)
    assert _reply(query, SERVFAIL, server=1, servers=2) == Decision(Action.ASK)
    assert [may_ask(query, number, frozenset({0, 1})) for number in (0, 1)] == [True, False]


def test_garbage_may_be_asked_again_of_the_same_server() -> None:
    query = _course(0)
    assert _reply(query, MALFORMED) == Decision(Action.ASK)
    assert may_ask(query, 0, frozenset({0}))


@pytest.mark.parametrize(
    ("statuses", "best"),
    [
        ((REFUSED, SERVFAIL), SERVFAIL),
        ((SERVFAIL, REFUSED), SERVFAIL),
        ((MALFORMED, REFUSED), REFUSED),
        (("NOTAUTH", MALFORMED), "NOTAUTH"),
    ],
)
def test_the_most_telling_failure_is_kept(statuses: tuple[str, str], best: str) -> None:
    query = _course(0, 1, 0)
    for server, status in enumerate(statuses):
        step = _reply(query, status, server=server, servers=2)
    if step.what is Action.WAIT:  # for the server whose reply was no message
        step = _silence(query, step.until)
    assert step == Decision(Action.DONE, Answer(best))


def test_a_failure_that_was_overtaken_is_kept_for_the_end() -> None:
    query = _course(0, 1)
    on_overtaken(query, Answer(REFUSED), 0)
    assert query.failed == [0]
    on_overtaken(query, Answer(MALFORMED), 1)
    assert query.failed == [0]
    query.on_sent(1, 102.0)
    assert _silence(query, 110.0) == Decision(Action.DONE, Answer(REFUSED))


# --- Silence


def test_silence_is_asked_again_until_the_tries_are_used_up() -> None:
    query = _course(0)
    assert _silence(query, 100.5) == Decision(Action.ASK)
    query.on_sent(0, 101.0)
    assert _silence(query, 101.5) == Decision(Action.ASK)
    query.on_sent(0, 102.0)
    # Three times two seconds from the first one on.
    assert _silence(query, 102.5) == Decision(Action.WAIT, until=106.0)
    assert _silence(query, 106.0) == Decision(Action.DONE, Answer(TIMEOUT))


def test_the_last_try_is_given_its_time_however_late_it_went_out() -> None:
    query = _course(0, 0)
    query.on_sent(0, 150.0)
    assert _silence(query, 150.0) == Decision(Action.WAIT, until=150.5)
    assert _silence(query, 150.5).what is Action.DONE


def test_after_somebodys_word_silence_is_given_one_timeout() -> None:
    query = _course(0, 1, 1)
    on_overtaken(query, Answer(SERVFAIL), 0)
    assert _silence(query, 102.5) == Decision(Action.WAIT, until=104.0)
    assert _silence(query, 104.0) == Decision(Action.DONE, Answer(SERVFAIL))


def test_a_name_in_a_dead_zone_is_asked_once_and_given_one_timeout() -> None:
    query = _course(0)
    assert _silence(query, 100.5, hopeless=True) == Decision(Action.WAIT, until=102.0)
    assert _silence(query, 102.0, hopeless=True) == Decision(Action.DONE, Answer(TIMEOUT))
    # The zone has come to life meanwhile.
    assert _silence(query, 102.0) == Decision(Action.ASK)


def test_what_a_slipping_server_drops_goes_over_tcp_but_not_for_a_dead_zone() -> None:
    assert _silence(_course(0), 100.5, slipping=True) == Decision(Action.TCP)
    assert _silence(_course(0), 100.5, slipping=True, hopeless=True).what is Action.WAIT


def test_silence_without_edns_is_not_waited_out_at_that_server_alone() -> None:
    query = _course(0)
    _reply(query, FORMERR, servers=2)
    query.on_sent(0, 101.0)
    assert _silence(query, 101.5) == Decision(Action.ASK)
    assert may_ask(query, 1, frozenset({0, 1}))


def test_a_try_that_the_kernel_refuses_is_unreachable_unless_a_server_says_more() -> None:
    query = _course(0, 0, 0)
    on_unsent(query)
    assert _silence(query, 110.0) == Decision(Action.DONE, Answer(UNREACHABLE))
    assert _reply(query, REFUSED) == Decision(Action.DONE, Answer(REFUSED))


def test_waits_double_up_to_the_timeout() -> None:
    waits = []
    query = _course()
    for _ in range(40):
        query.on_sent(0, 0.0)
        waits.append(next_wait(query, POLICY, 0.1))
    assert waits[:6] == pytest.approx([0.1, 0.2, 0.4, 0.8, 1.6, 2.0])
    assert max(waits) == 2.0


# --- Which server


@pytest.mark.parametrize(
    ("asked", "failed", "usable", "expected"),
    [
        ([0], [], {0}, {0}),
        ([0], [], {0, 1}, {1}),
        ([0, 1], [], {0, 1, 2}, {2}),
        ([0, 1], [], {0, 1}, {0}),
        ([0, 1], [0], {0, 1}, {1}),
        ([0, 1], [0, 1], {0, 1}, {0, 1}),
        ([0], [], {1, 2}, {1, 2}),
        ([], [], {0, 1}, {0, 1}),
        ([0, 1, 0], [], {0, 1}, {1}),
    ],
)
def test_who_is_asked_next(
    asked: list[int], failed: list[int], usable: set[int], expected: set[int]
) -> None:
    query = _course(*asked)
    query.failed = failed
    assert {one for one in usable if may_ask(query, one, frozenset(usable))} == expected


def test_a_benched_server_that_was_to_hear_it_without_edns_is_not_waited_for() -> None:
    query = _course(0)
    _reply(query, FORMERR, servers=2)
    assert may_ask(query, 1, frozenset({1}))


def test_a_forgiven_course_starts_anew() -> None:
    query = _course(0, 0, 0)
    query.failed = [0]
    query.forgive()
    assert (query.sent, query.asked, query.failed) == (0, [], [])
    query.on_sent(0, 500.0)
    assert _silence(query, 500.5) == Decision(Action.ASK)
    assert query.first == 500.0


# --- TCP


@pytest.mark.parametrize("status", [NOERROR, NODATA, NXDOMAIN])
def test_an_answer_over_tcp_is_final(status: str) -> None:
    assert on_tcp_answer(_course(0), Answer(status)) == Decision(Action.DONE, Answer(status))


@pytest.mark.parametrize("status", [TIMEOUT, UNREACHABLE, MALFORMED, FORMERR])
def test_without_tcp_a_truncated_reply_stays_one_and_a_dropped_one_is_asked_for_again(
    status: str,
) -> None:
    query = _course(0)
    query.truncated = True
    assert on_tcp_answer(query, Answer(status)) == Decision(Action.DONE, Answer(TRUNCATED))
    query = _course(0)
    assert on_tcp_answer(query, Answer(status)) == Decision(Action.ASK)
    # And not over TCP a second time.
    assert _silence(query, 100.5, slipping=True) == Decision(Action.ASK)


def test_a_failure_over_tcp_is_final() -> None:
    query = _course(0)
    on_overtaken(query, Answer(REFUSED), 1)
    assert on_tcp_answer(query, Answer(SERVFAIL)) == Decision(Action.DONE, Answer(SERVFAIL))


# --- Dead zones


def _fail(dead: DeadZones, names: list[str], now: float) -> None:
    for name in names:
        dead.on_failure(name, now)


def _block(third: int, count: int = 16) -> list[str]:
    return [f"{number}.{third}.51.198.in-addr.arpa" for number in range(count)]


@pytest.mark.parametrize(
    ("names", "other", "outside"),
    [
        (_block(100), "200.100.51.198.in-addr.arpa", "1.101.51.198.in-addr.arpa"),
        (
            [f"{number}.0-63.100.51.198.in-addr.arpa" for number in range(16)],
            "9.100.51.198.in-addr.arpa",
            "9.99.51.198.in-addr.arpa",
        ),
        (
            [f"{number:x}.{'0.' * 15}{'1.' * 16}ip6.arpa" for number in range(16)],
            f"{'f.' * 16}{'1.' * 16}ip6.arpa",
            f"{'0.' * 16}2.{'1.' * 15}ip6.arpa",
        ),
        ([f"h{number}.a.example.co.uk" for number in range(16)], "example.co.uk", "example2.co.uk"),
    ],
)
def test_what_fails_together_dies_together(names: list[str], other: str, outside: str) -> None:
    dead = DeadZones()
    _fail(dead, names[:-1], 1.0)
    assert not dead.is_dead(other, 2.0)
    _fail(dead, names[-1:], 1.0)
    assert dead.is_dead(other, 2.0)
    assert not dead.is_dead(outside, 2.0)
    dead.on_answer(other)
    assert not dead.is_dead(other, 2.0)
    assert not dead


def test_failures_of_one_moment_are_one_observation() -> None:
    dead = DeadZones()
    _fail(dead, _block(100, 200), 1.0)
    assert not dead.is_dead("1.100.51.198.in-addr.arpa", 1.0)
    assert dead.is_dead("1.100.51.198.in-addr.arpa", 1.02)


def test_some_dead_networks_make_a_dead_neighbourhood_and_one_answer_ends_that() -> None:
    dead = DeadZones()
    for third in range(3):
        _fail(dead, _block(third), 1.0)
    assert not dead.is_dead("1.99.51.198.in-addr.arpa", 2.0)
    _fail(dead, _block(3), 2.0)
    assert not dead.is_dead("1.99.51.198.in-addr.arpa", 2.0)
    assert dead.is_dead("1.99.51.198.in-addr.arpa", 2.1)
    # More of them change nothing about when that was.
    _fail(dead, _block(4), 2.1)
    assert dead.is_dead("1.99.51.198.in-addr.arpa", 2.1)
    assert not dead.is_dead("1.99.52.198.in-addr.arpa", 2.1)
    dead.on_answer("1.98.51.198.in-addr.arpa")
    assert not dead.is_dead("1.99.51.198.in-addr.arpa", 2.1)
    # What has died itself stays so until it answers itself.
    assert dead.is_dead("1.0.51.198.in-addr.arpa", 2.1)


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auditor.resolve.bulk.dead_zones._MAX_ZONES", 100)
    dead = DeadZones()
    _fail(dead, [f"{n % 256}.{n // 256}.10.in-addr.arpa" for n in range(5000)], 1.0)
    _fail(dead, [f"1.{n % 256}.{n // 256}.10.in-addr.arpa" for n in range(5000)], 1.0)
    assert len(dead._failures) <= 100


def test_out_of_tries_it_waits_for_another_server_that_has_yet_to_speak() -> None:
    # The last try was sent, and refused, before the answer to the first one came.
    query = _course(*([1] + [0] * (POLICY.tries - 1)))
    until = query.last + POLICY.timeout
    assert _reply(query, REFUSED, server=0, servers=2) == Decision(Action.WAIT, until=until)
    assert _reply(query, NOERROR, server=1, servers=2) == Decision(Action.DONE, Answer(NOERROR))
    # Nobody else was asked, or that one has said no as well: this is how it ends.
    alone = _course(*[0] * POLICY.tries)
    assert _reply(alone, REFUSED, server=0, servers=2).what is Action.DONE
    assert _reply(query, REFUSED, server=1, servers=2).what is Action.DONE
