"""A scan by several workers: shards out, results in, lines in input order.

It takes the place of `Scan`. What a worker that dies has held is done again by others, by
itself: so it is known, should the next one die as well, which shard they die of.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from collections import Counter
from concurrent.futures import BrokenExecutor, Future
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

import orjson
import zstandard

from auditor.errors import AuditorError, InputError, WorkersError
from auditor.run.retrace import Trail, behind
from auditor.run.scan import GivenUp
from auditor.run.tally import Tally
from auditor.workers.abandon import abandon, not_audited
from auditor.workers.crew import NotBegunError
from auditor.workers.feed import Feed
from auditor.workers.lane import ABREAST
from auditor.workers.orders import Order, Result
from auditor.workers.shards import cut
from auditor.workers.shares import Shares
from auditor.workers.worker import work

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Mapping

    from auditor.settings import Settings
    from auditor.targets.parse import Entry
    from auditor.targets.stream import TargetStream
    from auditor.workers.crew import Crew
    from auditor.workers.shards import Shard

__all__ = ["Fleet", "Parts"]

_log = logging.getLogger("auditor")

#: Workers that may die over a shard before its targets are given up.
_DEATHS: Final = 3

#: Results that wait for their turn, at most: in shards per place for one, and in octets.
_WAITING: Final = 3
_WAITING_OCTETS: Final = 64 << 20

#: Seconds until it is known what became of a worker whose work was cancelled.
_RUMOUR: Final = 3.0

#: Seconds that workers are given to hear something.
_HEARING: Final = 10.0


class Parts(Protocol):
    """Takes each shard's lines as a file of their own."""

    def there(self, shard: Shard) -> Tally | None:
        """Return the counts of a part that need not be made again."""
        ...

    async def put(self, shard: Shard, result: Result, failed: str) -> None:
        """Put a part in place; `failed`: why nothing is known of its targets."""
        ...


class _Held:
    """A shard from when it is taken from the feed until its lines are written."""

    __slots__ = ("deaths", "failed", "member", "result", "shard", "there")

    def __init__(self, shard: Shard) -> None:
        self.shard = shard
        self.deaths = 0
        #: Who works on it now.
        self.member: str | None = None
        self.result: Result | None = None
        #: The counts of its part, if that is there from an earlier run.
        self.there: Tally | None = None
        self.failed = ""


class Fleet:
    """One run over a stream of targets, by the members of a crew; see `Scan`.

    With `parts`, those get the lines, and whoever is given to `run` gets none.
    """

    def __init__(
        self,
        stream: TargetStream,
        settings: Settings,
        crew: Crew,
        *,
        parts: Parts | None = None,
    ) -> None:
        self.stream = stream
        self.settings = settings
        self.tally = Tally()
        self.stopped = False
        self.done = Trail()
        self.given_up: list[GivenUp] = []
        self.queries: Mapping[str, int | None] = {}
        self._crew = crew
        #: Set when there may be something to give out, and something to write.
        self._news = asyncio.Event()
        self._lines = asyncio.Event()
        self._parts = parts
        self._run = secrets.token_hex(8)
        self._shares = Shares(crew, self._run, settings)
        #: Shards that are neither finished nor given up, by their number, in order.
        self._held: dict[int, _Held] = {}
        self._again: list[int] = []
        self._loads: dict[str, set[int]] = {}
        self._counters: dict[str, tuple[int, Mapping[str, int | None]]] = {}
        self._waiting_octets = 0
        self._turn = 0
        self._over = False
        self._told_to_stop = False
        self._error: AuditorError | None = None

    async def run(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Audit every target and hand the lines to `write`, in input order.

        Raises what the input, the workers and `write` raise, all of them AuditorError.
        """
        try:
            await self._crew.start(self._news.set)
        except BaseException:
            await self._crew.close()
            raise
        feed = Feed(cut(self._entries(), at_waits=self._parts is None), self._news.set)
        writing = asyncio.create_task(self._keep_writing(write))
        writing.add_done_callback(lambda _: self._news.set())
        try:
            await self._manage(feed, writing)
        finally:
            # Whatever ended the run: what has been finished in order is still written.
            feed.close()
            self._over = True
            self._lines.set()
            try:
                await writing
            finally:
                self.queries = self.counters()
                await self._dismiss()
        if feed.error is not None and not self.stopped:
            raise feed.error
        if self.given_up:
            raise not_audited(self.given_up)

    def _entries(self) -> Iterator[Entry | None]:
        """Return the targets behind those that are done, as far as can be told these."""
        done, total = self.done, self.stream.total
        if done.length and total is None:
            blocks = behind(self.stream.blocks(), done)
            return (target for block in blocks for target in block)
        if total is not None and done.length > total:
            raise InputError(f"there are {done.length - total:,} more records than targets")
        return self.stream.entries(done.length)

    def stop(self) -> None:
        """End early: no more targets are taken in, what is under way is finished."""
        self.stopped = True
        self._news.set()

    def counters(self) -> dict[str, int | None]:
        """Return the questions and queries of all workers up to their last results."""
        total: Counter[str] = Counter()
        for _, counters in self._counters.values():
            total.update({name: count or 0 for name, count in counters.items()})
        return dict(total)

    @property
    def open_targets(self) -> int:
        """How many targets are under way, or finished and not yet written."""
        held = self._held.values()
        return sum(one.shard.size for one in held if one.member or one.result)

    # --- Giving out shards

    async def _manage(self, feed: Feed, writing: asyncio.Task[None]) -> None:
        """Keep the members busy until every shard has come to its end."""
        while not writing.done():
            self._news.clear()
            for error in (self._error, self._crew.error):
                if error is not None:
                    raise error
            self._miss()
            if self.stopped:
                if not self._told_to_stop:
                    self._told_to_stop = True
                    await self._hear(self._crew.tell(set(self._loads), self._run, "stop"))
                if not any(self._loads.values()):
                    return
            else:
                if feed.through and not self._held:
                    return
                more = bool(self._again) or not feed.through
                busy = {name for name, load in self._loads.items() if load}
                await self._hear(self._shares.divide(set(self._crew.members()), busy, more=more))
                self._give_out(feed)
            await self._news.wait()

    @staticmethod
    async def _hear(telling: Awaitable[None]) -> None:
        """Wait until workers have heard something, unless one of them has fallen silent."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_HEARING):
                await telling

    def _miss(self) -> None:
        """Take back what those have held who are gone."""
        there = self._crew.members()
        for name in [name for name in self._loads if name not in there]:
            numbers = sorted(self._loads.pop(name))
            for number in numbers:
                self._lose(self._held[number], self._crew.fate(name))

    def _give_out(self, feed: Feed) -> None:
        members = self._crew.members()
        places = [name for name in members if name in self._shares.names]
        while places:
            least = min(places, key=lambda name: len(self._loads.get(name, ())))
            load = self._loads.get(least, set())
            if self._again:
                # By itself: whoever dies over it then has died of it.
                if load:
                    return
                held = self._held[self._again.pop(0)]
            elif len(load) >= ABREAST or any(self._held[number].deaths for number in load):
                places.remove(least)
                continue
            elif (fresh := self._take(feed, len(members))) is None:
                return
            else:
                held = fresh
            self._give(held, least)

    def _take(self, feed: Feed, members: int) -> _Held | None:
        """Take a shard that is to be done from the feed, if there is one and room for more."""
        while (
            len(self._held) < ABREAST * members * (1 + _WAITING)
            and self._waiting_octets < _WAITING_OCTETS
            and (shard := feed.take()) is not None
        ):
            held = self._held[shard.number] = _Held(shard)
            if self._parts is None or (there := self._parts.there(shard)) is None:
                return held
            held.there = there
            self._lines.set()
        return None

    def _give(self, held: _Held, name: str) -> None:
        number = held.shard.number
        held.member = name
        self._loads.setdefault(name, set()).add(number)
        order = Order(self._run, held.shard, self.settings, self._shares.share)
        future = self._crew.members()[name].submit(work, order)
        loop = asyncio.get_running_loop()

        def done(future: Future[Result]) -> None:
            with suppress(RuntimeError):  # the loop is gone, and with it whoever cares
                loop.call_soon_threadsafe(partial(self._on_done, held, name, future))

        future.add_done_callback(done)

    def _on_done(self, held: _Held, name: str, future: Future[Result]) -> None:
        number = held.shard.number
        if self._over or number not in self._loads.get(name, ()):
            return
        if future.cancelled():
            # By a scheduler that has lost the worker, or is lost itself: it will be known soon.
            asyncio.get_running_loop().call_later(_RUMOUR, self._on_rumour, held, name)
            return
        self._news.set()
        self._loads[name].discard(number)
        try:
            result = future.result()
        except NotBegunError:
            self._repeat(held)
        except BrokenExecutor as error:
            self._lose(held, str(error) or self._crew.fate(name))
        except AuditorError as error:
            self._error = error
        except Exception as error:  # noqa: BLE001 - whatever a worker stumbles over
            self._error = WorkersError(f"{name}: {type(error).__name__}: {error}")
        else:
            self._note(result)
            self._finish(held, result)

    def _on_rumour(self, held: _Held, name: str) -> None:
        """Take back what a worker has dropped without a reason."""
        if not self._over and held.shard.number in self._loads.get(name, ()):
            self._loads[name].discard(held.shard.number)
            self._lose(held, f"{name} has dropped it")
            self._news.set()

    def _note(self, result: Result) -> None:
        """Take over what an engine has counted up to now."""
        serial, _ = self._counters.get(result.engine, (0, {}))
        if result.serial > serial:
            self._counters[result.engine] = (result.serial, result.counters)

    def _lose(self, held: _Held, why: str) -> None:
        """Have a shard done again whose worker died, or give it up."""
        held.deaths += 1
        again = held.deaths < _DEATHS
        fields = {"why": why, "targets": held.shard.shown, "again": again}
        extra = {"event": "worker_lost", "fields": fields}
        then = "done again" if again else "given up"
        _log.warning("worker %s: %s: %s", why, then, held.shard.shown, extra=extra)
        if again:
            self._repeat(held)
        else:
            held.failed = f"{_DEATHS} workers died over it, the last one {why}"
            self._finish(held, abandon(held.shard, self.settings))

    def _repeat(self, held: _Held) -> None:
        held.member = None
        self._again = sorted({*self._again, held.shard.number})

    def _finish(self, held: _Held, result: Result) -> None:
        held.member = None
        held.result = result
        self._waiting_octets += sum(map(len, result.frames))
        self._lines.set()

    async def _dismiss(self) -> None:
        """Have the members drop what is left, and let them go."""
        try:
            await self._hear(self._crew.tell(set(self._crew.members()), self._run, "close"))
        finally:
            await self._crew.close()

    # --- Taking in lines

    async def _keep_writing(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Write what is finished as its turn comes, up to the first shard that is not whole."""
        while True:
            await self._lines.wait()
            self._lines.clear()
            while (held := self._held.get(self._turn)) and (held.result or held.there):
                if not await self._write(held, write):
                    return
                self._turn += 1
                del self._held[held.shard.number]
                self._news.set()
            if self._over:
                return

    async def _write(self, held: _Held, write: Callable[[bytes], Awaitable[None]]) -> bool:
        """Write a shard's lines; return whether they are all there."""
        result = held.result
        if result is None:
            if held.there is not None:
                self.tally.add(held.there)
            return True
        shard = held.shard
        whole = result.tally.records == shard.size
        if held.failed:
            given_up = GivenUp(self.tally.records, shard.size, shard.shown, held.failed)
            self.given_up.append(given_up)
        if self._parts is None:
            self.tally.add(result.tally)
            await self._write_frames(result, write)
        elif whole:
            await self._parts.put(shard, result, held.failed)
            self.tally.add(result.tally)
        else:
            return False
        self._waiting_octets -= sum(map(len, result.frames))
        return whole

    async def _write_frames(
        self, result: Result, write: Callable[[bytes], Awaitable[None]]
    ) -> None:
        """Write lines that have been counted; what is not even given to `write` is taken back."""
        unpack = zstandard.ZstdDecompressor().decompress
        frames = iter(result.frames)
        try:
            for frame in frames:
                await write(unpack(frame))
        finally:
            for frame in frames:
                for line in unpack(frame).splitlines():
                    self.tally.forget(orjson.loads(line))
