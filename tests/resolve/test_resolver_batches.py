"""Batches: how long the rest of one is waited for, and when it is left behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.effort import examples
from support.virtual_time import run_virtual

from auditor.resolve.answer import Answer
from auditor.resolve.resolver import PendingBatch

if TYPE_CHECKING:
    from collections.abc import Sequence


async def _split_times(answered_at: Sequence[float]) -> list[tuple[float, int]]:
    """Return when `wait_for_most` came back, and what was pending then, until all was answered."""
    loop = asyncio.get_running_loop()
    batch = PendingBatch(len(answered_at), loop)
    for index, when in enumerate(answered_at):
        loop.call_later(when, batch.set_answer, index, Answer("NODATA"))
    found = []
    while batch.pending:
        await batch.wait_for_most()
        found.append((round(loop.time(), 6), batch.pending))
    return found


def test_a_batch_that_is_answered_settles_once_and_at_once() -> None:
    assert run_virtual(_split_times([0.001] * 100)) == [(0.001, 0)]


def test_the_second_half_may_take_as_long_as_the_first() -> None:
    assert run_virtual(_split_times([0.05] * 60 + [0.09] * 40)) == [(0.09, 0)]


def test_a_straggler_is_left_behind_after_twice_the_time_of_the_first_half() -> None:
    split, *rest = run_virtual(_split_times([0.15] * 99 + [3.0]))
    assert split == (0.3, 1)
    assert rest[0] == (0.6, 1)  # looked at again after as long as has passed
    assert rest[-1] == (3.0, 0)


def test_what_comes_back_at_once_leaves_the_rest_a_tenth_of_a_second() -> None:
    split, *_ = run_virtual(_split_times([0.0] * 99 + [3.0]))
    assert split == (0.1, 1)


def test_a_batch_is_split_a_few_times_only_however_late_its_last_answer() -> None:
    splits = run_virtual(_split_times([0.001] * 50 + [0.5 + i / 10 for i in range(50)]))
    assert len(splits) <= 10
    assert splits[-1] == (5.4, 0)


def test_a_batch_of_which_nothing_comes_is_looked_at_now_and_then() -> None:
    splits = run_virtual(_split_times([20.0] * 10))
    assert splits[0][0] <= 1.0
    assert len(splits) <= 8
    assert splits[-1] == (20.0, 0)


@given(st.lists(st.floats(0.0, 10.0), min_size=1, max_size=40))
@settings(max_examples=examples(60))
def test_nobody_waits_much_longer_than_for_the_answer(times: Sequence[float]) -> None:
    """Whenever it settles, it has waited at most twice what the answers before it took."""
    ends = run_virtual(_split_times(times))
    assert ends[-1][1] == 0
    assert ends[-1][0] == pytest.approx(max(times), abs=1e-5)
    assert len(ends) <= 14
    for end, pending in ends[:-1]:
        assert pending == sum(when > end for when in times)


def test_waiting_for_all_waits_for_all() -> None:
    async def main() -> float:
        loop = asyncio.get_running_loop()
        batch = PendingBatch(3, loop)
        for index, when in enumerate((0.5, 0.001, 7.0)):
            loop.call_later(when, batch.set_answer, index, Answer("NODATA"))
        await batch.wait()
        assert batch.pending == 0
        return loop.time()

    assert run_virtual(main()) == 7.0
