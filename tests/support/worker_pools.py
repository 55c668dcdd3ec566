"""A crew in the hands of a test: it holds what its members are given, and says what comes of it."""

from __future__ import annotations

import asyncio
from concurrent.futures import BrokenExecutor, Executor, Future
from typing import TYPE_CHECKING, Any

from auditor.output.tally import Tally
from auditor.workers.given_up import give_up_shard
from auditor.workers.messages import Result

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

    from auditor.errors import AuditorError
    from auditor.workers.messages import Command, Quota, ShardTask

__all__ = ["Hand", "Hands", "settled"]


class Hand(Executor):
    """A member: `tasks` are those that it has not answered yet, in order."""

    def __init__(self) -> None:
        self.tasks: list[ShardTask] = []
        self._futures: dict[int, Future[Result]] = {}

    def submit(self, _fn: Any, /, *args: Any, **_kwargs: Any) -> Future[Any]:
        """Take an order."""
        (task,) = args
        self.tasks.append(task)
        future = self._futures[task.shard.number] = Future[Any]()
        return future

    @property
    def numbers(self) -> list[int]:
        """The numbers of the shards that it works on."""
        return [task.shard.number for task in self.tasks]

    def finish(self, *numbers: int, result: Result | BaseException | None = None) -> None:
        """Answer orders: as if no server had, unless `result` is what comes of them."""
        for task in [task for task in self.tasks if task.shard.number in numbers]:
            self.tasks.remove(task)
            future = self._futures.pop(task.shard.number)
            if isinstance(result, BaseException):
                future.set_exception(result)
            else:
                made = result or give_up_shard(task.shard, task.settings)
                future.set_result(made._replace(engine=str(id(self))))

    def cancel(self) -> None:
        """Cancel all that it has, as a scheduler does that loses a worker."""
        self.tasks.clear()
        while self._futures:
            self._futures.popitem()[1].cancel()

    def die(self, why: str) -> None:
        """Fail all that it has."""
        self.tasks.clear()
        while self._futures:
            self._futures.popitem()[1].set_exception(BrokenExecutor(why))


class Hands:
    """The crew. `told` is what it was told: who, and what."""

    def __init__(self, *names: str) -> None:
        self.error: AuditorError | None = None
        self.hands = {name: Hand() for name in names}
        self.told: list[tuple[set[str], Command | Quota]] = []
        self.closed = False
        self._changed: Callable[[], None] = lambda: None

    def __getitem__(self, name: str) -> Hand:
        return self.hands[name]

    async def start_workers(self, changed: Callable[[], None]) -> None:
        """Take note of whom to tell."""
        self._changed = changed

    def workers(self) -> Mapping[str, Executor]:
        """Return those who are there."""
        return self.hands

    def exit_reason(self, name: str) -> str:
        """Return the same of everybody."""
        return f"{name} was killed"

    async def send_command(
        self, names: Collection[str], run: str, command: Command | Quota
    ) -> None:
        """Take note of it; what is to be dropped is given back with no record."""
        del run
        self.told.append((set(names), command))
        if command == "drop":
            for name in names:
                for task in list(self.hands[name].tasks):
                    number = task.shard.number
                    nothing = Result(number, (), Tally(), "", 0, {})
                    self.hands[name].finish(number, result=nothing)

    async def end_workers(self) -> None:
        """Take note of it."""
        self.closed = True

    def come(self, name: str) -> Hand:
        """Have somebody come."""
        hand = self.hands[name] = Hand()
        self._changed()
        return hand

    def go(self, name: str, *, cancel: bool = False) -> None:
        """Have somebody go, dead or `cancel`led."""
        hand = self.hands.pop(name)
        if cancel:
            hand.cancel()
        else:
            hand.die(f"{name} was killed")
        self._changed()

    def fail(self, error: AuditorError) -> None:
        """Say that nobody will ever come again."""
        self.error = error
        self._changed()


async def settled(condition: Callable[[], object]) -> None:
    """Return when the condition holds."""
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - whatever it is that has to happen
            await asyncio.sleep(0)
