"""A run as an asynchronous stream of finished lines."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeAlias, cast

import orjson

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator

    from auditor.output.record_types import Record

__all__ = ["records_of", "stream_lines"]

#: Chunks of finished lines that wait for a slow consumer, each of a block or more.
_MAX_CHUNKS_WAITING: Final = 4

#: Finished lines, what ended the run, or None for its end.
_Item: TypeAlias = "bytes | BaseException | None"


async def stream_lines(
    run: Callable[[Callable[[bytes], Awaitable[None]]], Awaitable[None]],
) -> AsyncGenerator[bytes, None]:
    """Start a run that writes lines, and yield them in chunks; leaving ends the run at once.

    Raises what the run raises, after the lines that it has written.
    """
    chunks: asyncio.Queue[_Item] = asyncio.Queue(_MAX_CHUNKS_WAITING)
    over = False

    async def write(lines: bytes) -> None:
        if not over:
            await chunks.put(lines)

    async def produce() -> None:
        try:
            await run(write)
        except Exception as error:  # noqa: BLE001 - raised again in the consumer
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
        # A cancelled run still writes its finished lines: discard them.
        over = True
        while not chunks.empty():
            chunks.get_nowait()
        work.cancel()
        await asyncio.wait([work])


def records_of(lines: bytes) -> Iterator[Record]:
    """Yield the records of finished lines."""
    for line in lines.splitlines():
        yield cast("Record", orjson.loads(line))
