"""Replies gather in the socket's buffer while many are owed, and only on a loop of our own."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.asking import ask, opened
from support.faulty import FaultyServer

from auditor.resolve.answer import Question
from auditor.resolve.bulk.engine import BulkEngine
from auditor.resolve.bulk.server.reply_gathering import ReplyGathering
from auditor.run.event_loop import run_loop
from auditor.settings import Server
from auditor.wire.codes import A

if TYPE_CHECKING:
    from collections.abc import Callable

LEAST_S: Final = 0.00005
MOST_S: Final = 0.0004


def test_few_replies_are_not_waited_for() -> None:
    gathering = ReplyGathering()
    assert gathering.delay(0) == gathering.delay(42) == 0.0
    assert gathering.delay(43) == LEAST_S


def test_the_delay_grows_while_too_little_comes_and_shrinks_when_enough_does() -> None:
    gathering = ReplyGathering()
    delays = []
    for _ in range(5):
        gathering.on_read(1, 200)
        delays.append(gathering.delay(200))
    assert delays == [0.0001, 0.0002, MOST_S, MOST_S, MOST_S]
    gathering.on_read(100, 200)  # neither: it stays
    assert gathering.delay(200) == MOST_S
    for _ in range(9):
        gathering.on_read(128, 200)
    assert gathering.delay(200) == 0.0  # the last look brought enough
    gathering.on_read(64, 200)
    assert gathering.delay(200) == LEAST_S


@pytest.mark.parametrize(("start", "sleeps"), [(run_loop, True), (asyncio.run, False)])
def test_only_a_loop_of_our_own_is_blocked(
    monkeypatch: pytest.MonkeyPatch,
    start: Callable[[Any], Any],
    sleeps: bool,  # noqa: FBT001 - a parameter
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    zone = "$ORIGIN example.net.\n" + "".join(f"h{number} A 192.0.2.1\n" for number in range(400))

    async def main(port: int) -> None:
        async with opened(BulkEngine([Server("127.0.0.1", port)])) as engine:
            await ask(engine, [Question(f"h{number}.example.net", A) for number in range(400)])

    with FaultyServer(zone) as server:
        start(main(server.port))
    assert bool(slept) == sleeps
