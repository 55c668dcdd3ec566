"""The library: records as an asynchronous stream, or as a plain iterator."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import orjson

from auditor.run.loop import run_loop
from auditor.run.scan import Scan
from auditor.settings import Settings
from auditor.targets.stream import TargetStream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable, Iterator

    from auditor.output.record import Record
    from auditor.targets.target import Target

__all__ = ["scan", "scan_blocking"]

#: Chunks of finished lines that wait for a slow consumer, each of a block or more.
_WAITING: Final = 4

#: Seconds until a thread that waits for a slow consumer looks whether it is still there.
_LOOK: Final = 0.1

#: Finished lines, what ended the run, or None for its end.
_Item: TypeAlias = "bytes | BaseException | None"

# What engines report of servers is for the program to show, or not (`auditor` is the logger).
logging.getLogger("auditor").addHandler(logging.NullHandler())


async def scan(
    targets: Iterable[str | Target], settings: Settings | None = None
) -> AsyncGenerator[Record, None]:
    """Audit targets and yield one record for each, in their order.

    `targets` are texts as on the command line (addresses, prefixes, ranges, domains) or
    `Target`s; they are read as they are needed, in a thread, so an endless generator is
    fine. Records are plain dictionaries of the shape in `auditor schema`.

    Leaving the loop early stops the scan: `async with contextlib.aclosing(scan(...))`
    makes that happen at once. Raises AuditorError for settings that cannot work, zone
    files that cannot be read, and when no server is left; and what `targets` raises.
    """
    async with contextlib.aclosing(_chunks(targets, settings)) as chunks:
        async for chunk in chunks:
            for record in _records(chunk):
                yield record


def scan_blocking(
    targets: Iterable[str | Target], settings: Settings | None = None
) -> Generator[Record, None, None]:
    """Audit targets like `scan`, for programs without an event loop.

    The scan runs on a loop of its own, in a thread of its own, a little ahead of whoever
    iterates; closing the iterator ends it.
    """
    items: queue.Queue[_Item] = queue.Queue(_WAITING)
    over = threading.Event()
    stop: list[Callable[[], object]] = []

    def put(item: _Item) -> bool:
        while not over.is_set():
            with contextlib.suppress(queue.Full):
                items.put(item, timeout=_LOOK)
                return True
        return False

    async def feed() -> None:
        loop, task = asyncio.get_running_loop(), cast("asyncio.Task[None]", asyncio.current_task())
        stop.append(lambda: loop.call_soon_threadsafe(task.cancel))
        if over.is_set():
            return
        async with contextlib.aclosing(_chunks(targets, settings)) as chunks:
            async for chunk in chunks:
                if not await asyncio.to_thread(put, chunk):
                    return

    def work() -> None:
        try:
            run_loop(feed())
            put(None)
        except BaseException as error:  # noqa: BLE001 - raised again where it is seen
            put(error)

    thread = threading.Thread(target=work, name="auditor-scan", daemon=True)
    thread.start()
    try:
        while (item := items.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield from _records(item)
    finally:
        over.set()
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            for call in stop:
                call()
        thread.join()


def _records(lines: bytes) -> Iterator[Record]:
    for line in lines.splitlines():
        yield cast("Record", orjson.loads(line))


async def _chunks(
    targets: Iterable[str | Target], settings: Settings | None
) -> AsyncGenerator[bytes, None]:
    """Yield the lines of a scan as they become final, some blocks at a time."""
    chunks: asyncio.Queue[_Item] = asyncio.Queue(_WAITING)
    run = Scan(TargetStream.of(targets), settings or Settings())
    over = False

    async def write(lines: bytes) -> None:
        if not over:
            await chunks.put(lines)

    async def produce() -> None:
        try:
            await run.run(write)
        except Exception as error:  # noqa: BLE001 - raised again where it is seen
            await chunks.put(error)
        else:
            await chunks.put(None)

    work = asyncio.create_task(produce())
    try:
        while (chunk := await chunks.get()) is not None:
            if isinstance(chunk, BaseException):
                raise chunk
            yield chunk
    finally:
        # A run that is cancelled still hands out what it has: nobody takes that any more.
        over = True
        while not chunks.empty():
            chunks.get_nowait()
        work.cancel()
        await asyncio.wait([work])
