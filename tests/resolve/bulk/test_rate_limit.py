"""How many queries a second a server takes, where it drops what is beyond."""

from __future__ import annotations

import pytest
from support.simnet import ONE

from auditor.resolve.bulk.server.nameserver import NameServer
from auditor.resolve.bulk.server.rate_limit import RateLimit
from auditor.settings import Server


@pytest.mark.parametrize("second", [(100, 90, 60, 100), (100, 90, 0, 0)])
def test_fewer_at_a_time_are_tried_only_if_answers_come_all_the_time(
    second: tuple[int, ...],
) -> None:
    limit = RateLimit()
    for quarter in range(8):
        now = quarter / 4
        limit.on_answers(second[quarter % 4], now)
        for _ in range(40):
            limit.on_lost(now)
    limit.poll_rate(2.0)
    assert limit.tries_fewer is (second[-1] > 0)
    assert limit.is_tried is not limit.tries_fewer


@pytest.mark.parametrize("is_lossy", [False, True])
def test_if_fewer_at_a_time_have_not_ended_the_loss_a_rate_is_tried(*, is_lossy: bool) -> None:
    limit = RateLimit()
    for tick in range(80):
        now = tick / 20
        limit.on_answers(20, now)
        if now < 1.0 or is_lossy:
            for _ in range(10):
                limit.on_lost(now)
        limit.poll_rate(now)
    assert limit.peak == pytest.approx(400, rel=0.01)
    assert not limit.tries_fewer
    assert limit.is_tried is is_lossy


def _second(limit: RateLimit, start: float, answered: tuple[int, ...], lost: int = 0) -> None:
    """Have so many answered in each quarter of a second, and as many lost in each as said."""
    for quarter, count in enumerate(answered):
        now = start + quarter / 4
        limit.on_answers(count, now)
        for _ in range(lost):
            limit.on_lost(now)


def test_a_higher_rate_that_brings_no_more_answers_is_left_before_any_loss_is_noticed() -> None:
    limit = RateLimit()
    _second(limit, 0.0, (500, 1, 1, 1), 100)
    limit.poll_rate(1.0)
    found = limit.rate or 0
    assert limit.is_tried
    for second in (1, 2):
        _second(limit, float(second), (120, 120, 120, 120))
    limit.poll_rate(3.0)
    assert (limit.rate or 0) > 1.3 * found
    for second in (3, 4):
        _second(limit, float(second), (170, 170, 170, 1))
    limit.poll_rate(5.0)
    assert limit.rate == found


def test_what_is_lost_while_nothing_is_answered_counts_for_the_time_before() -> None:
    limit = RateLimit()
    limit.on_answers(100, 0.0)
    limit.on_answers(100, 2.0)
    for _ in range(100):
        limit.on_lost(1.3)
    limit.poll_rate(2.6)
    assert limit.is_tried


def test_few_answers_of_few_queries_do_not_bring_a_rate_down_to_nothing() -> None:
    limit = RateLimit()
    _second(limit, 0.0, (100, 100, 1, 1), 50)
    limit.poll_rate(1.0)
    first = limit.rate or 0
    _second(limit, 1.0, (2, 2, 2, 2), 2)
    limit.poll_rate(2.8)
    assert limit.is_tried
    assert limit.rate == pytest.approx(first * 0.4)


def test_what_is_answered_when_it_is_asked_again_counts_for_the_rate() -> None:
    server = NameServer(0, Server(ONE), concurrency=100, timeout=2.0, qps=None, now=0.0)
    for tick in range(4):
        for _ in range(100):
            server.on_later_answer(tick / 4)
            server.limits.on_lost(tick / 4, tick / 4)
    rate = server.limits.rate
    rate.poll_rate(1.0)
    assert rate.tries_fewer
    assert rate.peak == 400


@pytest.mark.parametrize("slow", [0, 200])
def test_queries_that_turn_out_to_be_slow_start_no_search_for_a_rate(slow: int) -> None:
    limit = RateLimit()
    for start in (0.0, 1.0):
        _second(limit, start, (100, 100, 1, 1), 25)
    for _ in range(slow):
        limit.take_back_loss()
    limit.poll_rate(2.0)
    assert limit.is_tried is not bool(slow)
