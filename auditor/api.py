"""The library: records as an asynchronous stream, or as a plain iterator."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import queue
import threading
from collections.abc import AsyncIterable
from typing import TYPE_CHECKING, Final, TypeAlias, cast

from auditor.auditor import Auditor
from auditor.errors import UsageError
from auditor.run.event_loop import run_loop
from auditor.run.record_stream import records_of, stream_lines
from auditor.run.zone_targets import ZoneTargets
from auditor.settings import Settings
from auditor.targets.stream import TargetStream

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable, Generator, Iterable

    from auditor.auditor import Targets
    from auditor.output.record_types import Record
    from auditor.targets.target import Target

__all__ = ["scan", "scan_blocking"]

#: Chunks of finished lines that wait for a slow consumer, each of a block or more.
_MAX_CHUNKS_WAITING: Final = 4

#: Seconds after which a thread that waits for a slow consumer checks whether it still exists.
_CONSUMER_CHECK_S: Final = 0.1

#: Finished lines, what ended the run, or None for its end.
_Item: TypeAlias = "bytes | BaseException | None"

# Whether to show the engines' log events is up to the program (`auditor` is the logger).
logging.getLogger("auditor").addHandler(logging.NullHandler())


async def scan(targets: Targets, settings: Settings | None = None) -> AsyncGenerator[Record, None]:
    """Audit targets and yield one record for each, in their order.

    `targets` are texts as on the command line (addresses, prefixes, ranges, domains, zones) or
    `Target`s; they are read as they are needed, in a thread, so an endless generator is
    fine, and so is an asynchronous one. Records are plain dictionaries of the shape in
    `auditor schema`. With `workers` or `scheduler` in the settings, worker processes audit.

    Leaving the loop early stops the scan: `async with contextlib.aclosing(scan(...))`
    makes that happen at once. Raises AuditorError for settings that cannot work, zone
    files that cannot be read, and when no server is left; and what `targets` raises.
    """
    async with contextlib.aclosing(_lines(targets, settings or Settings())) as chunks:
        async for lines in chunks:
            for record in records_of(lines):
                yield record


def scan_blocking(
    targets: Iterable[str | Target], settings: Settings | None = None
) -> Generator[Record, None, None]:
    """Audit targets like `scan`, for programs without an event loop.

    The scan runs on a loop of its own, in a thread of its own, a little ahead of the code that
    iterates; closing the iterator ends it.
    """
    items: queue.Queue[_Item] = queue.Queue(_MAX_CHUNKS_WAITING)
    over = threading.Event()
    stop: list[Callable[[], object]] = []

    def put(item: _Item) -> bool:
        while not over.is_set():
            with contextlib.suppress(queue.Full):
                items.put(item, timeout=_CONSUMER_CHECK_S)
                return True
        return False

    async def feed() -> None:
        loop, task = asyncio.get_running_loop(), cast("asyncio.Task[None]", asyncio.current_task())
        stop.append(lambda: loop.call_soon_threadsafe(task.cancel))
        if over.is_set():
            return
        async with contextlib.aclosing(_lines(targets, settings or Settings())) as chunks:
            async for lines in chunks:
                if not await asyncio.to_thread(put, lines):
                    return

    def work() -> None:
        try:
            run_loop(feed())
            put(None)
        except BaseException as error:  # noqa: BLE001 - raised again in the consumer
            put(error)

    thread = threading.Thread(target=work, name="auditor-scan", daemon=True)
    thread.start()
    try:
        while (item := items.get()) is not None:
            if isinstance(item, BaseException):
                raise item
            yield from records_of(item)
    finally:
        over.set()
        with contextlib.suppress(RuntimeError):  # the loop has ended by itself
            for call in stop:
                call()
        thread.join()


async def _lines(targets: Targets, settings: Settings) -> AsyncGenerator[bytes, None]:
    """Yield the lines of a scan as they become final, some blocks at a time."""
    if settings.workers == 1 and settings.scheduler is None:
        async with (
            Auditor(settings) as auditor,
            contextlib.aclosing(auditor.scan_lines(targets)) as chunks,
        ):
            async for lines in chunks:
                yield lines
        return
    if isinstance(targets, AsyncIterable):
        raise UsageError("workers: an asynchronous source is read by one process only")
    from auditor.workers.factory import make_scan  # noqa: PLC0415 - for few programs

    run = make_scan(
        TargetStream.from_items(targets, zones=ZoneTargets(settings)), settings
    ).audit_targets
    async with contextlib.aclosing(stream_lines(run)) as chunks:
        async for lines in chunks:
            yield lines
