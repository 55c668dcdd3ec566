"""Limits that change while queries are under way: the new ones hold from then on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from support.faults import Gate, answer, delay
from support.faulty import FaultyServer, always

from auditor.resolve.answer import Question
from auditor.resolve.bulk.engine import BulkEngine
from auditor.resolve.bulk.server.congestion_window import CongestionWindow
from auditor.resolve.cares.engine import CaresEngine
from auditor.resolve.token_bucket import TokenBucket
from auditor.settings import Server
from auditor.wire.codes import PTR

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence
    from typing import Any

    from auditor.resolve.answer import Answer


def test_a_bucket_goes_on_at_its_new_rate_and_keeps_no_more_than_that_allows() -> None:
    bucket = TokenBucket(1000.0, 0.0)
    bucket.set_rate(100.0, 0.0)
    assert bucket.take_tokens(100, 0.0) == 2
    assert bucket.take_tokens(100, 0.1) == 2
    bucket.set_rate(1000.0, 0.1)
    assert bucket.delay(0.1) == pytest.approx(0.001)
    assert bucket.take_tokens(100, 0.11) == 10


def test_a_bucket_without_a_rate_can_be_given_one_and_lose_it_again() -> None:
    bucket = TokenBucket(None, 0.0)
    bucket.set_rate(50.0, 100.0)
    # Nothing is made up for the time before.
    assert bucket.take_tokens(1000, 100.0) == 1
    bucket.set_rate(None, 100.0)
    assert bucket.take_tokens(1000, 100.0) == 1000
    assert bucket.delay(100.0) == 0.0


def test_a_bucket_credits_the_time_before_at_the_rate_of_then() -> None:
    bucket = TokenBucket(100.0, 0.0)
    assert bucket.take_tokens(2, 0.0) == 2
    bucket.set_rate(10_000.0, 0.01)
    assert bucket.take_tokens(100, 0.01) == 1


def test_a_window_shrinks_at_once_and_never_beyond_its_new_limit() -> None:
    window = CongestionWindow(1000, 0.0)
    window.set_max_size(4)
    assert window.size == 4
    now = 0.0
    for _ in range(2000):
        now += 0.001
        window.on_answers(4, now, full=True)
        assert window.size <= 4
    window.set_max_size(64)
    for _ in range(20_000):
        now += 0.001
        window.on_answers(int(window.size), now, full=True)
    assert 4 < window.size <= 64


@pytest.mark.parametrize("begun", [False, True])
@pytest.mark.parametrize("name", ["bulk", "cares"])
def test_an_engine_keeps_to_what_it_is_told_last(
    run: Callable[[Coroutine[Any, Any, None]], None],
    name: str,
    begun: bool,  # noqa: FBT001 - a parameter
) -> None:
    gate = Gate()

    async def main(server: FaultyServer) -> None:
        servers = [Server("127.0.0.1", server.port)]
        engine = (
            BulkEngine(servers, concurrency=100, timeout=30.0, check=False)
            if name == "bulk"
            else CaresEngine(servers, concurrency=100, timeout=30.0, tries=1)
        )
        if not begun:
            engine.set_limits(2, None, None)
        await engine.start()
        done = asyncio.Event()
        left = 8

        def deliver(pairs: Sequence[tuple[Question, Answer]]) -> None:
            nonlocal left
            left -= len(pairs)
            if not left:
                done.set()

        try:
            if begun:
                engine.set_limits(2, None, None)
            engine.submit([Question(f"{n}.2.0.192.in-addr.arpa", PTR) for n in range(8)], deliver)
            async with asyncio.timeout(20):
                while len(server.queries) < 2:  # noqa: ASYNC110 - counted in another thread
                    await asyncio.sleep(0)
            assert (len(server.queries), engine.backlog()) == (2, 6)
            gate.open()
            await asyncio.wait_for(done.wait(), 20)
        finally:
            await engine.close_engine()

    with FaultyServer("2.0.192.in-addr.arpa. NS ns.example.net.", always(delay(gate), answer)) as s:
        run(main(s))
