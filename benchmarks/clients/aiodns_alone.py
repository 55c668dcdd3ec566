"""aiodns as a careful user would write it: uvloop, a fixed number of workers."""

from __future__ import annotations

import asyncio

import aiodns
import pycares
import uvloop

from benchmarks.clients.report import Task

_IN_FLIGHT = 500
_STATUSES = {pycares.errno.ARES_ENODATA: "NODATA", pycares.errno.ARES_ENOTFOUND: "NXDOMAIN"}


async def _main(task: Task) -> None:
    resolver = aiodns.DNSResolver([f"{task.address}:{task.port}"], timeout=2.0, tries=3)
    names = iter(task.names)

    async def work() -> None:
        for name in names:
            try:
                result = await resolver.query_dns(name, task.rdtype)
            except aiodns.error.DNSError as error:
                task.statuses[_STATUSES.get(error.args[0], "ERROR")] += 1
            else:
                task.statuses["NOERROR" if result.answer else "NODATA"] += 1

    await asyncio.gather(*(work() for _ in range(_IN_FLIGHT)))
    task.finish(in_flight=_IN_FLIGHT)
    await resolver.close()


if __name__ == "__main__":
    uvloop.run(_main(Task()))
