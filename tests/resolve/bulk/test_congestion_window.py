"""Token buckets, round-trip times, and where a window ends in front of servers of many kinds.

Also tests `rtt.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples, sample
from support.netsim import Path, World

from auditor.resolve.bulk.server.congestion_window import CongestionWindow
from auditor.resolve.bulk.server.rtt import RttEstimator
from auditor.resolve.token_bucket import TokenBucket

if TYPE_CHECKING:
    import random
    from collections.abc import Sequence

_BUFFER = 277  # small packets in 208 KiB


# --- Token bucket


@given(
    st.floats(0.1, 1e6),
    st.lists(st.tuples(st.floats(-0.5, 3.0), st.integers(0, 5000), st.floats(0, 1)), max_size=40),
)
@settings(max_examples=examples(150))
def test_no_stretch_of_time_sees_more_than_the_rate_and_a_fiftieth_of_a_second(
    rate: float, steps: Sequence[tuple[float, int, float]]
) -> None:
    bucket = TokenBucket(rate, 100.0)
    now = 100.0
    used: list[tuple[float, int]] = []
    for pause, wanted, unused in steps:
        now = max(now + pause, 100.0)  # a clock may also be told to go back
        granted = bucket.take_tokens(wanted, now)
        assert 0 <= granted <= wanted
        back = int(granted * unused)
        bucket.give_back(back)
        used.append((now, granted - back))
    burst = max(1.0, rate / 50)
    for first in range(len(used)):
        for last in range(first, len(used)):
            span = max(at for at, _ in used[: last + 1]) - used[first][0]
            total = sum(count for _, count in used[first : last + 1])
            assert total <= rate * max(span, 0.0) + burst + 0.001


@given(st.floats(0.1, 1e6), st.lists(st.integers(1, 100), min_size=1, max_size=30))
@settings(max_examples=examples(100))
def test_whoever_waits_for_the_delay_gets_a_token(rate: float, wants: Sequence[int]) -> None:
    bucket = TokenBucket(rate, 5.0)
    now = 5.0
    for wanted in wants:
        delay = bucket.delay(now)
        assert 0.0 <= delay <= 1.0 / rate + 1e-9
        now += delay
        assert bucket.take_tokens(wanted, now) >= 1


def test_the_rate_is_reached_in_the_long_run() -> None:
    bucket = TokenBucket(1000.0, 0.0)
    granted = sum(bucket.take_tokens(100, step * 0.0071) for step in range(1, 1001))
    assert granted == pytest.approx(7100, abs=21)


def test_without_a_rate_everything_is_granted() -> None:
    bucket = TokenBucket(None, 0.0)
    assert bucket.take_tokens(1_000_000, 0.0) == 1_000_000
    bucket.give_back(1_000_000)
    assert bucket.delay(0.0) == 0.0


def test_an_idle_minute_is_not_made_up_for() -> None:
    bucket = TokenBucket(100.0, 0.0)
    assert bucket.take_tokens(1000, 60.0) == 2


def test_what_was_not_used_can_be_given_back() -> None:
    bucket = TokenBucket(100.0, 0.0)
    assert bucket.take_tokens(2, 0.0) == 2
    bucket.give_back(2)
    assert bucket.take_tokens(2, 0.0) == 2
    bucket.give_back(1000)  # not more than it can hold
    assert bucket.take_tokens(1000, 0.0) == 2


# --- Round-trip time


def test_the_timeout_follows_rfc_6298() -> None:
    trip = RttEstimator(0.05, 2.0)
    assert trip.timeout == 2.0  # before any answer
    trip.add_sample(0.1)  # SRTT 0.1, RTTVAR 0.05
    assert trip.timeout == pytest.approx(0.1 + 4 * 0.05)
    trip.add_sample(0.2)  # RTTVAR 3/4 · 0.05 + 1/4 · 0.1, then SRTT 7/8 · 0.1 + 1/8 · 0.2
    assert trip.smoothed == pytest.approx(0.1125)
    assert trip.timeout == pytest.approx(0.1125 + 4 * 0.0625)


def test_the_timeout_stays_within_its_bounds() -> None:
    trip = RttEstimator(0.05, 2.0)
    for _ in range(50):
        trip.add_sample(0.0001)
    assert trip.timeout == 0.05
    for _ in range(50):
        trip.add_sample(5.0)
    assert trip.timeout == 2.0


# --- Window


def _settled(path: Path, warm_up: float, seconds: float, *, seed: int = 1) -> tuple[World, float]:
    """Return a world after some time, and the answers a second of the last of it."""
    world = World(path, seed=seed, step=max(path.delay / 20, 0.0001))
    world.run(warm_up)
    before, world.overrun = world.answered, 0
    world.run(seconds)
    return world, (world.answered - before) / seconds


@pytest.mark.parametrize("capacity", sample([19_000, 120_000, 60_000], fewest=2))
def test_next_to_a_server_the_window_fits_its_buffer_and_reaches_its_ceiling(capacity: int) -> None:
    world = World(Path(capacity=capacity))
    largest = 0.0
    for _ in range(50):
        world.run(0.02)
        largest = max(largest, world.window.size)
    assert 64 <= world.window.size <= 200
    assert largest < _BUFFER
    assert (world.overrun, world.silent) == (0, 0)
    assert world.answered > 0.98 * capacity


def test_behind_a_delay_the_window_grows_into_the_thousands() -> None:
    world, rate = _settled(Path(delay=0.02, capacity=100_000), 2.5, 1.0)
    assert 3000 <= world.window.size <= 4500  # 4,000 are on their way at 100,000 a second
    assert rate > 70_000
    assert world.overrun < 0.005 * world.sent


def test_behind_a_delay_it_grows_no_further_than_the_server_can_follow() -> None:
    world, rate = _settled(Path(delay=0.01, capacity=10_000), 1.5, 2.0)
    assert 150 <= world.window.size <= 200 + _BUFFER
    assert rate > 9_000
    assert (world.overrun, world.silent) == (0, 0)


@pytest.mark.parametrize("seed", sample([1, 2]))
@pytest.mark.parametrize("loss", sample([0.01, 0.05, 0.2], fewest=2))
def test_loss_that_is_not_ours_does_not_make_the_window_small(loss: float, seed: int) -> None:
    path = Path(delay=0.01, capacity=15_000, loss=loss)
    world, rate = _settled(path, 3.5, 0.5, seed=seed)
    assert world.window.size > 200
    assert rate > 15_000 * (0.8 if loss <= 0.05 else 0.5)


def test_random_loss_next_to_a_server_keeps_its_rate() -> None:
    world, rate = _settled(Path(capacity=60_000, loss=0.02), 1.0, 0.5)
    assert rate > 50_000
    assert world.overrun < 0.01 * world.sent


def test_a_resolver_that_thinks_gets_as_many_queries_as_speed_it_up() -> None:
    def thinking(chance: random.Random) -> float:
        return chance.expovariate(1 / 0.05)

    path = Path(delay=0.0005, capacity=50_000, thinking=thinking, abreast=500)
    world, rate = _settled(path, 3.0, 2.0)
    assert 350 <= world.window.size <= 500 + _BUFFER
    assert rate > 7_500  # of 500 / 0.05
    assert world.overrun < 0.02 * world.sent


def test_after_an_outage_it_comes_back() -> None:
    path = Path(delay=0.005, capacity=25_000)
    world, before = _settled(path, 1.5, 0.5)
    world.path = path._replace(loss=1.0)
    world.run(0.2)
    world.path = path
    world.run(1.5)
    answered = world.answered
    world.run(0.5)
    assert (world.answered - answered) / 0.5 > 0.8 * before


def test_a_server_that_becomes_slower_is_given_less() -> None:
    path = Path(delay=0.01, capacity=50_000)
    world, _ = _settled(path, 2.0, 0.1)
    assert world.window.size > 800
    world.path = path._replace(capacity=5_000)
    world.run(5.0)
    assert world.window.size < 100 + _BUFFER + 128
    world.overrun, sent = 0, world.sent
    world.run(0.5)
    assert world.overrun < 0.02 * (world.sent - sent)


def test_a_window_that_is_larger_than_need_be_shrinks() -> None:
    path = Path(delay=0.02, capacity=20_000, buffer=100_000)
    world, _ = _settled(path, 3.0, 0.1)
    assert world.window.size > 600
    world.path = path._replace(delay=0.0005)  # 20 on their way are enough now
    world.run(4.0)
    before = world.answered
    world.run(0.5)
    assert world.window.size < 300
    assert world.answered - before > 0.98 * 20_000 * 0.5


def test_it_does_not_grow_while_something_else_holds_queries_back() -> None:
    world = World(Path(delay=0.01, capacity=100_000), step=0.0005, demand=500)
    world.run(3.0)
    assert world.window.size == 32
    assert world.answered > 1400


@pytest.mark.parametrize("most", [1, 5, 40, 300])
def test_it_never_exceeds_the_concurrency_asked_for(most: int) -> None:
    world = World(Path(delay=0.01, capacity=100_000, loss=0.02), step=0.0005, most=most)
    sizes = []
    for _ in range(60):
        world.run(0.05)
        sizes.append(world.window.size)
        assert world.in_flight <= most
    assert max(sizes) <= most
    assert min(sizes) >= min(most, 8)
    assert sizes[-1] > 0.6 * most


def test_it_grows_with_the_answers_and_not_in_bursts() -> None:
    window = CongestionWindow(16_384, 0.0)
    now = 0.0
    for _ in range(2000):
        now += 0.01
        # A larger window brings more answers in the same time.
        count = int(window.size / 4)
        before = window.size
        window.on_answers(count, now, full=True)
        assert window.size - before <= min(count, 128)
    assert window.size > 4000


def _least_size(lost: int, late: int) -> float:
    """Return how small a window gets that loses some of each round, or takes them for lost."""
    window = CongestionWindow(1000, 0.0)
    window.on_loss(-1000)  # of a round that is long over
    sizes = []
    for step in range(1, 200):
        for _ in range(lost):
            window.on_loss()
        window.on_loss(-late)
        window.on_answers(32, step * 0.01, full=True)
        sizes.append(window.size)
    return min(sizes[20:])


def test_losses_that_were_only_late_are_taken_back() -> None:
    assert _least_size(lost=20, late=0) < _least_size(lost=20, late=20) == _least_size(0, 0)


def test_a_bucket_within_another_takes_from_both_and_gives_back_to_both() -> None:
    whole = TokenBucket(1000.0, 0.0)  # holds 20
    part = TokenBucket(500.0, 0.0, within=whole)  # holds 10
    other = TokenBucket(None, 0.0, within=whole)
    assert part.take_tokens(100, 0.0) == 10
    assert other.take_tokens(100, 0.0) == 10
    assert (part.take_tokens(1, 0.0), other.take_tokens(1, 0.0)) == (0, 0)
    assert part.delay(0.0) == pytest.approx(0.002)
    assert other.delay(0.0) == pytest.approx(0.001)
    other.give_back(4)
    assert whole.take_tokens(100, 0.0) == 4
    part.give_back(3)
    assert (whole.take_tokens(100, 0.0), part.take_tokens(1, 0.0)) == (3, 0)
