"""blastdns (Rust), its batch call. Run by the Python of `--peers`, which may lack all else."""

from __future__ import annotations

import asyncio
import importlib
from typing import Any

from benchmarks.clients.report import Task

#: Its default of 2 to one resolver is for lists of hundreds; 32 is the most one socket takes,
#: and did better here than more without `persistent_socket`.
_IN_FLIGHT = 32


async def _main(task: Task, blastdns: Any) -> None:
    config = blastdns.ClientConfig(
        max_inflight_per_resolver=_IN_FLIGHT,
        max_concurrency=_IN_FLIGHT,
        persistent_socket=True,
        cache_capacity=0,
    )
    client = blastdns.Client([f"{task.address}:{task.port}"], config)
    async for _, _, records in client.resolve_batch(task.names, task.rdtype):
        task.statuses["NOERROR" if records else "ERROR"] += 1
    task.finish(in_flight=_IN_FLIGHT)


if __name__ == "__main__":
    library = importlib.import_module("blastdns")
    asyncio.run(_main(Task(), library))
