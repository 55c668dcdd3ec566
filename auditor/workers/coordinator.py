"""Coordinator: divides a scan into shards for workers, and writes their lines in input order.

It replaces `Scan`. Other workers redo the shards of a worker that dies, one at a time: if the next
worker dies as well, the shard is known to be the cause.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
from concurrent.futures import BrokenExecutor, Future
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

import orjson
import zstandard

from auditor.errors import AuditorError, WorkersError
from auditor.output.tally import Tally
from auditor.run.resume_check import TargetDigest, entries_after
from auditor.run.scan import GivenUp
from auditor.run.thread_reader import ThreadReader
from auditor.workers.engine_totals import EngineTotals
from auditor.workers.given_up import give_up_shard, not_audited
from auditor.workers.held_shard import HeldShard
from auditor.workers.messages import ShardTask
from auditor.workers.pool import NotBegunError
from auditor.workers.quotas import Quotas, pace_of
from auditor.workers.shards import cut_shards
from auditor.workers.worker import audit_shard
from auditor.workers.worker_run import MAX_SHARDS_PER_WORKER

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from auditor.settings import Settings
    from auditor.targets.stream import TargetStream
    from auditor.workers.held_shard import PartWriter
    from auditor.workers.messages import Result
    from auditor.workers.pool import WorkerPool
    from auditor.workers.shards import Shard

__all__ = ["Coordinator"]

_log = logging.getLogger("auditor")

_MAX_SHARDS_AHEAD: Final = 2  #: shards that are read before a worker takes them
_MAX_DEATHS: Final = 3  #: workers that may die over a shard before its targets are given up

#: Most results that wait to be written, in shards per place for one, and in octets.
_MAX_WAITING_SHARDS: Final = 3
_MAX_WAITING_OCTETS: Final = 64 << 20

#: The next shard to write is none: one was cut off, so that the lines after it cannot follow.
_NO_TURN: Final = -1

_FATE_TIMEOUT_S: Final = 3.0  #: for a pool to notice the end of a worker whose work was cancelled
_COMMAND_TIMEOUT_S: Final = 10.0  #: for workers to take a command
_CUT_OFF_TIMEOUT_S: Final = 1.0  #: for workers to give back what they have of shards cut off


class Coordinator:
    """One run over a stream of targets, by the workers of a pool; see `Scan`.

    With `parts`, those get the lines, and the function given to `audit_targets` gets none.
    """

    def __init__(
        self,
        stream: TargetStream,
        settings: Settings,
        pool: WorkerPool,
        *,
        parts: PartWriter | None = None,
    ) -> None:
        self.stream = stream
        self.settings = settings
        self.tally = Tally()
        self.stopped = False
        self.done = TargetDigest()
        self.given_up: list[GivenUp] = []
        self.queries: Mapping[str, int | None] = {}
        self._pool = pool
        #: Set when there may be shards to assign, and lines to write.
        self._news = asyncio.Event()
        self._lines = asyncio.Event()
        self._parts = parts
        self._run = secrets.token_hex(8)
        self._quotas = Quotas(pool, self._run, settings)
        #: Shards that are neither finished nor given up, by their number, in order.
        self._held: dict[int, HeldShard] = {}
        self._requeued: list[int] = []
        self._assigned: dict[str, set[int]] = {}
        self._totals = EngineTotals()
        self._waiting_octets = 0
        self._turn = 0
        self._over = False
        self._stop_sent = False
        self._error: AuditorError | None = None

    async def audit_targets(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Audit every target and hand the lines to `write`, in input order.

        Raises what the input, the workers and `write` raise, all of them AuditorError.
        """
        try:
            await self._pool.start_workers(self._news.set)
        except BaseException:
            await self._pool.end_workers()
            raise
        pace = pace_of(self.settings) if self._parts is None else self._parts.pace
        shards = cut_shards(
            entries_after(self.stream, self.done), at_waits=self._parts is None, pace=pace
        )
        reader = ThreadReader(shards, self._news.set, ahead=_MAX_SHARDS_AHEAD)
        writing = asyncio.create_task(self._keep_writing(write))
        writing.add_done_callback(lambda _: self._news.set())
        try:
            await self._keep_workers_busy(reader, writing)
        except (asyncio.CancelledError, AuditorError):
            await self._cut_off()
            raise
        finally:
            # Whatever ended the run, lines that are finished in order are still written.
            reader.close()
            self._over = True
            self._lines.set()
            try:
                await writing
            finally:
                self.queries = self.counters()
                await self._close_pool()
        if reader.error is not None and not self.stopped:
            raise reader.error
        if self.given_up:
            raise not_audited(self.given_up)

    def finish_early(self) -> None:
        """Start no more targets; finish those in progress."""
        self.stopped = True
        self._news.set()

    def abort(self) -> None:
        """Do nothing: when `audit_targets` is cancelled, the workers drop their shards."""

    def counters(self) -> dict[str, int | None]:
        """Return the counts of questions and queries of all workers up to their last results."""
        return self._totals.counters()

    @property
    def server_limits(self) -> Mapping[str, Mapping[str, int | str]]:
        """Return the limits of servers that the workers have found, by server."""
        return self._totals.server_limits()

    @property
    def open_targets(self) -> int:
        """How many targets are in progress, or finished and not yet written."""
        held = self._held.values()
        return sum(
            held_shard.shard.size for held_shard in held if held_shard.worker or held_shard.result
        )

    # --- Assigning shards

    async def _cut_off(self) -> None:
        """Make workers return the finished part of their shards."""
        self.stopped = True
        with suppress(TimeoutError):
            async with asyncio.timeout(_CUT_OFF_TIMEOUT_S):
                busy = {name for name, load in self._assigned.items() if load}
                await self._pool.send_command(busy & set(self._pool.workers()), self._run, "drop")
                while any(self._assigned.values()):
                    self._news.clear()
                    await self._news.wait()

    async def _keep_workers_busy(
        self, reader: ThreadReader[Shard], writing: asyncio.Task[None]
    ) -> None:
        """Give workers shards until all are finished."""
        while not writing.done():
            self._news.clear()
            for error in (self._error, self._pool.error):
                if error is not None:
                    raise error
            self._reclaim_shards()
            if self.stopped:
                if not self._stop_sent:
                    self._stop_sent = True
                    await self._wait_for_command(
                        self._pool.send_command(set(self._assigned), self._run, "stop")
                    )
                if not any(self._assigned.values()):
                    return
            else:
                if reader.exhausted and not self._held:
                    return
                more = bool(self._requeued) or not reader.exhausted
                busy = {name for name, load in self._assigned.items() if load}
                await self._wait_for_command(
                    self._quotas.divide_limits(set(self._pool.workers()), busy, more=more)
                )
                self._assign_shards(reader)
            await self._news.wait()

    @staticmethod
    async def _wait_for_command(sending: Awaitable[None]) -> None:
        """Wait until workers have taken a command, unless one of them does not answer."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_COMMAND_TIMEOUT_S):
                await sending

    def _reclaim_shards(self) -> None:
        """Take back the shards of workers that are gone."""
        alive = self._pool.workers()
        for name in [name for name in self._assigned if name not in alive]:
            numbers = sorted(self._assigned.pop(name))
            for number in numbers:
                self._on_worker_lost(self._held[number], self._pool.exit_reason(name))

    def _assign_shards(self, reader: ThreadReader[Shard]) -> None:
        workers = self._pool.workers()
        places = [name for name in workers if name in self._quotas.names]
        while places:
            least = min(places, key=lambda name: len(self._assigned.get(name, ())))
            load = self._assigned.get(least, set())
            if self._requeued:
                # One at a time: a worker that dies then has died of this shard.
                if load:
                    return
                held = self._held[self._requeued.pop(0)]
            elif len(load) >= MAX_SHARDS_PER_WORKER or any(
                self._held[number].deaths for number in load
            ):
                places.remove(least)
                continue
            elif (fresh := self._take_shard(reader, len(workers))) is None:
                return
            else:
                held = fresh
            self._assign(held, least)

    def _take_shard(self, reader: ThreadReader[Shard], workers: int) -> HeldShard | None:
        """Take the next shard to assign, if there is one and room for its result."""
        while (
            len(self._held) < MAX_SHARDS_PER_WORKER * workers * (1 + _MAX_WAITING_SHARDS)
            and self._waiting_octets < _MAX_WAITING_OCTETS
            and (shard := reader.next_item()) is not None
        ):
            begun = None if self._parts is None else self._parts.existing_part(shard)
            held = self._held[shard.number] = HeldShard(shard, begun)
            if not held.is_whole:
                return held
            self._lines.set()
        return None

    def _assign(self, held: HeldShard, name: str) -> None:
        number = held.shard.number
        held.worker = name
        self._assigned.setdefault(name, set()).add(number)
        task = ShardTask(self._run, held.shard, self.settings, self._quotas.quota, held.skip)
        future = self._pool.workers()[name].submit(audit_shard, task)
        loop = asyncio.get_running_loop()

        def done(future: Future[Result]) -> None:
            with suppress(RuntimeError):  # the loop is closed
                loop.call_soon_threadsafe(partial(self._on_done, held, name, future))

        future.add_done_callback(done)

    def _on_done(self, held: HeldShard, name: str, future: Future[Result]) -> None:
        number = held.shard.number
        if self._over or number not in self._assigned.get(name, ()):
            return
        if future.cancelled():
            # Cancelled by a scheduler that has lost the worker, or is gone: known soon.
            asyncio.get_running_loop().call_later(_FATE_TIMEOUT_S, self._on_dropped, held, name)
            return
        self._news.set()
        self._assigned[name].discard(number)
        try:
            result = future.result()
        except NotBegunError:
            self._requeue(held)
        except BrokenExecutor as error:
            self._on_worker_lost(held, str(error) or self._pool.exit_reason(name))
        except AuditorError as error:
            self._error = error
        except Exception as error:  # noqa: BLE001 - any error in a worker
            self._error = WorkersError(f"{name}: {type(error).__name__}: {error}")
        else:
            self._totals.add_result(result)
            self._finish(held, result)
            self._error = result.error or self._error

    def _on_dropped(self, held: HeldShard, name: str) -> None:
        """Take back a shard that a worker has dropped without a reason."""
        if not self._over and held.shard.number in self._assigned.get(name, ()):
            self._assigned[name].discard(held.shard.number)
            self._on_worker_lost(held, f"{name} has dropped it")
            self._news.set()

    def _on_worker_lost(self, held: HeldShard, why: str) -> None:
        """Requeue a shard whose worker died, or give it up."""
        held.deaths += 1
        again = held.deaths < _MAX_DEATHS
        fields = {"why": why, "targets": held.shard.shown, "again": again}
        extra = {"event": "worker_lost", "fields": fields}
        then = "done again" if again else "given up"
        _log.warning("worker %s: %s: %s", why, then, held.shard.shown, extra=extra)
        if again:
            self._requeue(held)
        else:
            held.failed = f"{_MAX_DEATHS} workers died over it, the last one {why}"
            self._finish(held, give_up_shard(held.shard, self.settings, held.skip))

    def _requeue(self, held: HeldShard) -> None:
        held.worker = None
        self._requeued = sorted({*self._requeued, held.shard.number})

    def _finish(self, held: HeldShard, result: Result) -> None:
        held.worker = None
        held.result = result
        self._waiting_octets += sum(map(len, result.frames))
        self._lines.set()

    async def _close_pool(self) -> None:
        """Make the workers close the run, and close the pool."""
        try:
            await self._wait_for_command(
                self._pool.send_command(set(self._pool.workers()), self._run, "close")
            )
        finally:
            await self._pool.end_workers()

    # --- Writing lines

    async def _keep_writing(self, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Write finished shards in order, up to the first that is incomplete."""
        while True:
            await self._lines.wait()
            self._lines.clear()
            while (held := self._held.get(self._turn)) and (held.result or held.is_whole):
                await self._write(held, write)
                if not held.is_whole:
                    self._turn = _NO_TURN
                    break
                self._turn += 1
                del self._held[held.shard.number]
                self._news.set()
            if self._over:
                break
        if self._parts is not None:
            # An incomplete shard is a part as well, and so are complete shards after it.
            for _, held in sorted(self._held.items()):
                await self._put(self._parts, held)

    async def _write(self, held: HeldShard, write: Callable[[bytes], Awaitable[None]]) -> None:
        """Write a shard's lines."""
        result = held.result
        if held.failed:
            given_up = GivenUp(self.tally.records, held.shard.size, held.shard.shown, held.failed)
            self.given_up.append(given_up)
        if self._parts is not None:
            if held.is_whole:
                await self._put(self._parts, held)
        elif result is not None:
            self.tally.add_tally(result.tally)
            await self._write_frames(result, write)
        if result is not None:
            self._waiting_octets -= sum(map(len, result.frames))

    async def _put(self, parts: PartWriter, held: HeldShard) -> None:
        """Write a shard's part, and count all records in it."""
        if held.result is not None and held.result.tally.records:
            await parts.put_part(held.shard, held.result, held.failed, held.begun)
            self.tally.add_tally(held.result.tally)
        if held.begun is not None:
            self.tally.add_tally(held.begun)

    async def _write_frames(
        self, result: Result, write: Callable[[bytes], Awaitable[None]]
    ) -> None:
        """Write lines that have been counted; subtract lines that are not passed to `write`."""
        unpack = zstandard.ZstdDecompressor().decompress
        frames = iter(result.frames)
        try:
            for frame in frames:
                await write(unpack(frame))
        finally:
            for frame in frames:
                for line in unpack(frame).splitlines():
                    self.tally.uncount_record(orjson.loads(line))
