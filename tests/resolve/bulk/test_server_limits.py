"""Behind resolvers at their limits: the answers of a scan without limits, and few queries more.

The whole engine on the simulated network, in virtual time. A row of `LIMITED` is a resolver that
people have: what it does beyond its limit, and how many queries a second its limit allows.

Also tests `deferred.py`, `pressure.py` and `trial.py`.
"""

from __future__ import annotations

from collections import deque
from itertools import product
from typing import TYPE_CHECKING, NamedTuple

import pytest
from support.effort import is_quick, sample
from support.limited import REFUSED, SERVFAIL, AtATime, PerSecond, broken_zones
from support.simnet import ONE, RTT, TWO, Simulation, honest, saying, truth

from auditor.resolve.answer import Question
from auditor.resolve.bulk.server.pressure import Pressure
from auditor.resolve.bulk.server.rate_limit import RateLimit
from auditor.resolve.bulk.server.trial import Belief, Verdict
from auditor.run.scan import sustainable_rate
from auditor.wire.codes import A

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from support.simnet import Behaviour, Query, Reply

    from auditor.resolve.answer import Answer

    Within = Callable[[Query], Sequence[Reply]]

ZONES = 8 if is_quick() else 16


class Limited(NamedTuple):
    """A kind of limit: the server with `within` behind it, and the queries a second it allows."""

    make: Callable[[float, Within | None], Behaviour]
    rate: Callable[[float], float]


def at_a_time(limit: int, rcode: int | None, *, remembers: float = 0.0) -> Limited:
    return Limited(
        lambda seconds, within: AtATime(
            limit, rcode, seconds=seconds, remembers=remembers, within=within
        ),
        lambda seconds: limit / seconds,
    )


def a_second(limit: int, rcode: int | None, factor: int = 0) -> Limited:
    return Limited(
        lambda seconds, within: PerSecond(
            limit, rcode, seconds=seconds, factor=factor, within=within
        ),
        lambda _seconds: limit,
    )


LIMITED = {
    "dnsmasq as it comes": at_a_time(150, REFUSED),
    "dnsmasq with --dns-forward-max=20": at_a_time(20, REFUSED),
    "BIND with recursive-clients 100": at_a_time(100, SERVFAIL, remembers=1.0),
    "BIND with fetches-per-server 50 fail": at_a_time(50, SERVFAIL, remembers=1.0),
    "BIND with fetches-per-zone 50": at_a_time(50, None),
    "Unbound with num-queries-per-thread: 64": at_a_time(64, None),
    "Unbound with ip-ratelimit: 500": a_second(500, None, factor=10),
    "Unbound with ratelimit: 200": a_second(200, SERVFAIL, factor=10),
    "1,024 packets a second": a_second(1024, None),
    "REFUSED above 500 a second": a_second(500, REFUSED),
}


def _questions(zones: int = ZONES) -> list[Question]:
    """Return names as a scan asks them: block after block, a zone each."""
    return [Question(f"n{n}.z{zone}.net", A) for zone in range(zones) for n in range(256)]


def _is_broken(name: str) -> bool:
    return ".z" in name and int(name.split(".z")[1].split(".", maxsplit=1)[0]) % 10 == 3


def _scan(world: Simulation, questions: Sequence[Question]) -> tuple[dict[Question, Answer], float]:
    """Ask as the pipeline does, a few hundred at a time; return the answers and the seconds."""
    blocks = iter([questions[at : at + 256] for at in range(0, len(questions), 256)])
    engine, begin = world.engine, world.loop.now

    def feed() -> None:
        while engine.backlog() < 512:
            block = next(blocks, None)
            if block is None:
                return
            world.submit(block)

    engine.on_room(feed)
    feed()
    world.run(lambda: len(world.delivered) >= len(questions), 3000.0)
    return dict(world.delivered), world.loop.now - begin


@pytest.mark.parametrize(("seconds", "kind"), sample(list(product([0.02, 0.2], LIMITED)), fewest=5))
def test_a_resolver_at_its_limit_gives_the_answers_of_one_without(
    kind: str, seconds: float
) -> None:
    limited = LIMITED[kind]
    questions = _questions()
    with Simulation({ONE: limited.make(seconds, None)}) as world:
        found, took = _scan(world, questions)
        assert found == {question: truth(question) for question in questions}
        # The search for the limit included, which in a run so short is a good part of it.
        assert len(world.queries) < 2.5 * len(questions)
        assert took < 1.6 * len(questions) / limited.rate(seconds) + 4
        world.drain()
        world.check_books()


@pytest.mark.parametrize("rcode", [SERVFAIL, REFUSED])
@pytest.mark.parametrize(
    "kind",
    sample(["dnsmasq as it comes", "BIND with recursive-clients 100", "1,024 packets a second"]),
)
def test_a_tenth_of_all_zones_broken_behind_a_limit_comes_out_right(kind: str, rcode: int) -> None:
    questions = _questions()
    within = broken_zones(_is_broken, rcode, seconds=0.02)
    with Simulation({ONE: LIMITED[kind].make(0.02, within)}) as world:
        found, _ = _scan(world, questions)
        wrong = {
            question: answer
            for question, answer in found.items()
            if (answer != truth(question)) != _is_broken(question.name)
        }
        assert wrong == {}
        broken = {answer.status for question, answer in found.items() if _is_broken(question.name)}
        assert broken == {{SERVFAIL: "SERVFAIL", REFUSED: "REFUSED"}[rcode]}
        assert len(world.queries) < 2.8 * len(questions)


@pytest.mark.parametrize("rcode", [SERVFAIL, REFUSED, None])
def test_broken_zones_of_a_server_without_limits_stay_cheap(rcode: int | None) -> None:
    questions = _questions()
    with Simulation({ONE: broken_zones(_is_broken, rcode)}) as world:
        found, _ = _scan(world, questions)
        assert {q for q in questions if found[q] != truth(q)} == {
            q for q in questions if _is_broken(q.name)
        }
        assert len(world.queries) < 1.35 * len(questions)
        assert world.engine.limits_found() == {}
        assert world.engine.rate() is None


def test_names_that_fail_by_themselves_do_not_cost_a_limit() -> None:
    questions = _questions()
    bogus = {question.name for question in questions[::10]}
    with Simulation({ONE: broken_zones(bogus.__contains__)}) as world:
        found, _ = _scan(world, questions)
        assert {q.name for q in questions if found[q].status == "SERVFAIL"} == bogus
        assert len(world.queries) < 1.5 * len(questions)
        assert world.engine.limits_found() == {}


def test_each_of_several_servers_has_a_limit_of_its_own_and_the_sum_is_used() -> None:
    servers = {ONE: AtATime(20, REFUSED, seconds=0.02), TWO: AtATime(60, REFUSED, seconds=0.02)}
    questions = _questions()
    with Simulation(servers) as world:
        found, took = _scan(world, questions)
        assert found == {question: truth(question) for question in questions}
        assert took < 1.3 * len(questions) * 0.02 / 80 + 0.2
        limits = world.engine.limits_found()
        assert 15 <= int(limits[f"{ONE}:53"]["at_a_time"]) <= 20
        assert 50 <= int(limits[f"{TWO}:53"]["at_a_time"]) <= 60
        assert limits[f"{ONE}:53"]["setting"] == "dnsmasq: dns-forward-max"


def test_the_limit_that_was_found_is_told(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "auditor")
    with Simulation({ONE: AtATime(150, REFUSED, seconds=0.02)}) as world:
        _scan(world, _questions())
        count = world.engine.counters()
        assert count["recovered"] > 0
        assert count["persisted"] == 0
    assert any("is limited to 1" in record.getMessage() for record in caplog.records)


def test_the_rate_that_was_found_is_what_the_engine_says_it_can_do() -> None:
    with Simulation({ONE: PerSecond(500)}, qps=None) as world:
        _scan(world, _questions(14))
        rate = world.engine.rate()
        assert rate is not None
        assert 350 < rate < 600
        # It is what the targets under way are held to.
        assert sustainable_rate(world.engine, None) == rate
        assert sustainable_rate(world.engine, 100.0) == 100.0


def test_a_rate_found_while_the_server_was_busy_is_left_behind() -> None:
    # It takes 1,000 queries in each second, but 40 in the fourth and the fifth; 3,000 are wanted.
    limit, lost, second, taken = RateLimit(), deque[tuple[float, int]](), 0, 0
    for tick in range(1, 20 * 40):
        now = tick / 20
        if int(now) != second:
            second, taken = int(now), 0
        sent = int(min(limit.rate or 3000, 3000) / 20)
        answered = max(min(sent, (40 if second in {3, 4} else 1000) - taken), 0)
        taken += answered
        limit.on_answers(answered, now)
        lost.append((now, sent - answered))
        while lost[0][0] <= now - 0.3:
            sent_at, count = lost.popleft()
            for _ in range(count):
                limit.on_lost(sent_at)
        limit.poll_rate(now)
    assert 700 < (limit.rate or 3000) < 1300


def test_a_server_that_refuses_all_is_believed_and_costs_the_other_nothing() -> None:
    questions = _questions(2)
    with Simulation({ONE: saying(REFUSED)}) as world:
        found, took = _scan(world, questions)
        assert {answer.status for answer in found.values()} == {"REFUSED"}
        assert took < 5
    with Simulation({ONE: saying(REFUSED), TWO: honest}) as world:
        found, _ = _scan(world, questions)
        assert found == {question: truth(question) for question in questions}


def test_a_single_name_that_fails_is_asked_once_and_once_without_validation() -> None:
    with Simulation({ONE: broken_zones(lambda _name: True)}) as world:
        (answer,) = world.ask([Question("mail.example.net", A)], limit=1.0).values()
        assert answer.status == "SERVFAIL"
        assert [query.unchecked for _, query in world.queries] == [False, True]


# --- Outages


@pytest.mark.parametrize(
    ("qps", "seconds"), sample(list(product([400, None], [0.5, 2.0, 4.0, 8.0])), fewest=2)
)
def test_an_outage_is_no_answer(seconds: float, qps: int | None) -> None:
    questions = _questions(8 if qps else 24)
    begin = 1000.0 + (1.3 if qps else 0.2)

    def server(query: Query) -> Sequence[Reply]:
        return [
            reply
            for reply in honest(query)
            if not any(
                begin <= when < begin + seconds for when in (query.now, query.now + reply.after)
            )
        ]

    with Simulation({ONE: server}, qps=qps) as world:
        found, _ = _scan(world, questions)
        assert found == {question: truth(question) for question in questions}
        assert not world.failures
        world.drain()
        world.check_books()


def test_an_outage_of_one_of_two_servers_costs_no_answer() -> None:
    questions = _questions(8)

    def server(query: Query) -> Sequence[Reply]:
        return [] if 1001.0 <= query.now < 1003.0 else honest(query)

    with Simulation({ONE: server, TWO: honest}, qps=400) as world:
        found, took = _scan(world, questions)
        assert found == {question: truth(question) for question in questions}
        assert took < len(questions) / 400 + 2


def test_a_zone_that_died_in_an_outage_is_not_dead() -> None:
    questions = _questions(4)

    def server(query: Query) -> Sequence[Reply]:
        return [] if 1000.5 <= query.now < 1002.0 else honest(query)

    with Simulation({ONE: server}, qps=400) as world:
        _scan(world, questions)
        dead = world.engine._retries.dead
        assert not any(dead.is_dead(question.name, world.loop.now) for question in questions)


def test_the_round_trip_is_not_that_of_a_probe_that_was_answered_on_the_spot() -> None:
    assert RTT < 0.2
    with Simulation({ONE: honest}) as world:
        nameserver = world.engine._nameservers[0]
        world.engine._health_monitor.on_probe(
            nameserver, (b"", world.loop.now, False), bytes(12), 1000.001
        )
        assert nameserver.round_trip.timeout > 0.2
        # Nor for longer than until the first name has been answered.
        nameserver.round_trip.add_sample(RTT)
        assert nameserver.round_trip.smoothed == RTT


def _fail(pressure: Pressure, now: float, tried: int | None) -> None:
    pressure.on_failure(5, now, now, tried=tried, calm=False, alive=False)


@pytest.mark.parametrize(("answers", "gives_up"), [(True, False), (False, True)])
def test_a_server_is_not_given_up_while_it_answers_others(*, answers: bool, gives_up: bool) -> None:
    pressure, verdicts = Pressure(), []
    pressure.on_answers(100, 5, 0.5)
    for _ in range(8):
        _fail(pressure, 1.0, None)
    for tick in range(50, 50 + 14 * 50):
        now = tick / 50
        verdict = pressure.poll_trial(now, 0, 1, ripe=True, idle=False)
        if verdict is not None:
            verdicts.append(verdict)
        trial = pressure.trial
        if trial is not None and not trial.paused_until:
            trial.taken += 1
            _fail(pressure, now, 1)
        elif answers:
            pressure.on_answers(1, 5, now)  # what was asked before
    assert (Verdict.HOPELESS in verdicts) is gives_up


def test_refusals_that_were_answered_when_asked_again_are_no_limit_for_ever() -> None:
    pressure = Pressure()
    pressure.on_answers(10, 5, 0.5)
    for _ in range(16):
        pressure.on_failure(40, 1.0, 1.0, tried=None, calm=True, alive=True)
    pressure.on_held(46)
    # Until it is known: no more than the server held.
    assert pressure.allowed_in_flight(1000) == 30
    # None waits for a trial: all have been answered meanwhile.
    assert pressure.poll_trial(2.0, 5, 0, ripe=False, idle=False) is None
    assert pressure.allowed_in_flight(1000) == 30
    assert pressure.poll_trial(4.0, 5, 0, ripe=False, idle=False) is None
    assert pressure.allowed_in_flight(1000) == 1000


@pytest.mark.parametrize(
    ("is_paced", "alive", "is_own"),
    [(False, False, True), (False, True, False), (True, False, False)],
)
def test_few_at_a_time_prove_nothing_where_the_limit_is_or_may_be_a_rate(
    *, is_paced: bool, alive: bool, is_own: bool
) -> None:
    pressure = Pressure()
    pressure.on_answers(100, 5, 0.5)
    pressure.window.borne, pressure.is_paced = 8, is_paced
    found = pressure.on_failure(4, 1.0, 1.0, tried=4, calm=True, alive=alive)
    assert (found is Belief.OWN) is is_own


# --- Authoritative servers: they refuse what they do not serve, `.invalid` included


def _serve_one_zone(query: Query) -> Sequence[Reply]:
    """Answer names of one zone, and refuse all others at once."""
    served = query.name.endswith(".served.net")
    return honest(query) if served else saying(REFUSED)(query)


@pytest.mark.parametrize("concurrency", [5, None])
@pytest.mark.parametrize("addresses", [[ONE], [ONE, TWO]])
def test_what_authoritative_servers_do_not_serve_is_refused_within_seconds(
    addresses: list[str], concurrency: int | None
) -> None:
    questions = [
        Question(f"n{n}.{'other' if n % 64 < 6 else 'served'}.net", A) for n in range(1024)
    ]
    others = [question for question in questions if "other" in question.name]
    with Simulation(dict.fromkeys(addresses, _serve_one_zone), concurrency=concurrency) as world:
        found: dict[Question, Answer] = {}
        for at in range(0, len(questions), 64):
            found |= world.ask(questions[at : at + 64])
        for question, answer in found.items():
            assert answer.status == "REFUSED" if question in others else answer == truth(question)
        assert world.loop.now - 1000 < 20
        assert len(world.queries) < len(questions) + 6 * len(others)
        world.drain()
        world.check_books()
