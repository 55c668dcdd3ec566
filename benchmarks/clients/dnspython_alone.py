"""dnspython's asyncresolver, a fixed number of workers."""

from __future__ import annotations

import asyncio

import dns.asyncresolver
import dns.exception
import dns.resolver
import uvloop

from benchmarks.clients.report import Task

_IN_FLIGHT = 100


async def _main(task: Task) -> None:
    resolver = dns.asyncresolver.Resolver(configure=False)
    resolver.nameservers = [task.address]
    resolver.port = task.port
    names = iter(task.names)

    async def work() -> None:
        for name in names:
            try:
                await resolver.resolve(name + ".", task.rdtype)
                status = "NOERROR"
            except dns.resolver.NXDOMAIN:
                status = "NXDOMAIN"
            except dns.resolver.NoAnswer:
                status = "NODATA"
            except dns.exception.DNSException:
                status = "ERROR"
            task.statuses[status] += 1

    await asyncio.gather(*(work() for _ in range(_IN_FLIGHT)))
    task.finish(in_flight=_IN_FLIGHT)


if __name__ == "__main__":
    uvloop.run(_main(Task()))
