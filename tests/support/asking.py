"""Questions to an engine on a running loop, and what must be true when it is closed."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping, Sequence

    from auditor.resolve.answer import Answer, Engine, Question

__all__ = ["Inbox", "ask", "assert_sums", "opened", "until"]

_SECONDS = 60.0


class Inbox:
    """Takes answers, each question's once."""

    def __init__(self) -> None:
        self.answers: dict[Question, Answer] = {}
        self._news = asyncio.Event()

    def deliver(self, pairs: Sequence[tuple[Question, Answer]]) -> None:
        for question, answer in pairs:
            assert question not in self.answers, f"{question} is answered twice"
            self.answers[question] = answer
        self._news.set()

    async def wait(self, count: int) -> None:
        async with asyncio.timeout(_SECONDS):
            while len(self.answers) < count:
                self._news.clear()
                await self._news.wait()


async def until(condition: Callable[[], object]) -> None:
    """Let the loop go on until something is so that has no event of its own."""
    async with asyncio.timeout(_SECONDS):
        while not condition():  # noqa: ASYNC110 - see above
            await asyncio.sleep(0)


@asynccontextmanager
async def opened(engine: Engine) -> AsyncIterator[Engine]:
    """Start an engine and close it; nothing may go wrong in a callback, nothing be left."""
    loop = asyncio.get_running_loop()
    before = asyncio.all_tasks()
    mishaps: list[dict[str, Any]] = []
    loop.set_exception_handler(lambda _loop, context: mishaps.append(context))
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close_engine()
    assert mishaps == []
    assert asyncio.all_tasks() == before


async def ask(engine: Engine, questions: Sequence[Question]) -> list[Answer]:
    """Return the answers to different questions, in their order."""
    inbox = Inbox()
    engine.submit(questions, inbox.deliver)
    await inbox.wait(len(questions))
    return [inbox.answers[question] for question in questions]


def assert_sums(count: Mapping[str, int], *, asked: int) -> None:
    """Assert that the bulk engine's counts add up, `asked` questions being answered."""
    assert count["asked"] == asked
    assert count["answered"] + count["failed"] == asked
    assert count["sent"] == count["first"] + count["retried"] + count["probes"]
    kinds = ("accepted", "strays", "duplicates", "late", "forged")
    assert count["received"] == sum(count[kind] for kind in kinds)
    assert count["lost"] == count["sent"] - count["accepted"] - count["late"] >= 0
