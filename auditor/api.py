"""The library: records as an asynchronous stream, or as a plain iterator."""

from __future__ import annotations

import asyncio
import contextlib
import queue
import threading
from typing import TYPE_CHECKING, Any, Final, cast

import orjson

from auditor.run.loop import run_loop
from auditor.run.scan import Scan
from auditor.settings import Settings
from auditor.targets.stream import TargetStream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator

    from auditor.output.record import Record
    from auditor.targets.target import Target

__all__ = ["scan", "scan_blocking"]

#: Chunks of finished lines that wait for a slow consumer, each of a block or more.
_WAITING: Final = 4


async def scan(
    targets: Iterable[str | Target], settings: Settings | None = None
) -> AsyncIterator[Record]:
    """Audit targets and yield one record for each, in their order.

    `targets` are texts as on the command line (addresses, prefixes, ranges, domains) or
    `Target`s; they are read as they are needed, so an endless generator is fine. Records
    are plain dictionaries of the shape in `auditor schema`.

    Leaving the loop early stops the scan: `async with contextlib.aclosing(scan(...))`
    makes that happen at once. Raises AuditorError for settings that cannot work, zone
    files that cannot be read, and when no server is left.
    """
    chunks: asyncio.Queue[bytes | Exception | None] = asyncio.Queue(_WAITING)
    run = Scan(TargetStream.of(targets), settings or Settings())

    async def produce() -> None:
        try:
            await run.run(chunks.put)
        except Exception as error:  # noqa: BLE001 - raised again where it is seen
            await chunks.put(error)
        else:
            await chunks.put(None)

    work = asyncio.create_task(produce())
    try:
        while (chunk := await chunks.get()) is not None:
            if isinstance(chunk, Exception):
                raise chunk
            for line in chunk.splitlines():
                yield cast("Record", orjson.loads(line))
    finally:
        work.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await work


def scan_blocking(
    targets: Iterable[str | Target], settings: Settings | None = None
) -> Iterator[Record]:
    """Audit targets like `scan`, for programs without an event loop.

    The scan runs on a loop of its own, in a thread of its own, a little ahead of whoever
    iterates; closing the iterator ends it.
    """
    items: queue.Queue[Any] = queue.Queue(256)
    over = threading.Event()

    def put(item: Any) -> bool:
        while not over.is_set():
            with contextlib.suppress(queue.Full):
                items.put(item, timeout=0.1)
                return True
        return False

    async def feed() -> None:
        async with contextlib.aclosing(cast("Any", scan(targets, settings))) as records:
            async for record in records:
                if not await asyncio.to_thread(put, record):
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
            yield item
    finally:
        over.set()
        thread.join()
