"""The library within other programs: one rate for all calls, and nothing left behind by any end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.faulty import FaultyServer
from support.fleet import FLEET

import auditor

if TYPE_CHECKING:
    from collections.abc import Callable

ZONE: Final = "\n".join(
    f"{host}.2.0.192.in-addr.arpa. PTR {host}.example.net.\n{host}.example.net. A 192.0.2.{host}"
    for host in range(1, 33)
)

#: Ends scans in every way, on the loop that its first argument names; says nothing.
PROGRAM: Final = """
import asyncio, contextlib, gc, logging, sys
import auditor
# On a busy machine a step of any loop, that of scan_blocking too, may take long.
logging.getLogger("asyncio").addFilter(lambda said: " took " not in said.getMessage())
loop, port, zones = sys.argv[1:]
settings = auditor.Settings(servers=f"127.0.0.1:{port}", spf=False)
targets = ["192.0.2.0/27"] * 20

async def records(scan):
    return [record["target"] async for record in scan]

async def main():
    whole = await records(auditor.scan(targets, settings))
    assert len(whole) == 640
    async for record in auditor.scan(targets, settings):
        break  # dropped, for the garbage collector to end
    async with contextlib.aclosing(auditor.scan(targets, settings)) as scan:
        async for record in scan:
            break
    async with auditor.Auditor(settings) as a, auditor.Auditor(auditor.Settings(zones=zones)) as b:
        several = await asyncio.gather(*(records(a.scan(targets)) for _ in range(2)))
        assert several == [whole, whole]
        await asyncio.gather(a.check("192.0.2.1"), a.check("192.0.2.1"), b.check("example.net"))
        cancelled = asyncio.ensure_future(records(a.scan(["192.0.2.0/24"])))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        cancelled.cancel()
        await asyncio.gather(cancelled, return_exceptions=True)
        scan = a.scan(targets)
        await anext(scan)  # never ended: the Auditor is closed under it
    (record,) = auditor.scan_blocking("192.0.2.1", settings)
    assert record["verdict"] == "pass"
    del scan
    gc.collect()

if loop == "uvloop":
    import uvloop
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(main())
else:
    asyncio.run(main())
gc.collect()
"""


@pytest.mark.process
@pytest.mark.parametrize("loop", ["asyncio", pytest.param("uvloop", marks=pytest.mark.full)])
def test_no_end_of_a_scan_leaves_a_warning(loop: str) -> None:
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", PROGRAM, loop]
    with FaultyServer(ZONE) as server:
        done = subprocess.run(
            [*command, str(server.port), str(FLEET / "zones")],
            capture_output=True,
            check=False,
            text=True,
        )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_scans_side_by_side_keep_to_one_rate(run: Callable[..., Any]) -> None:
    qps = 200

    async def scan(a: auditor.Auditor, first: int) -> int:
        targets = [f"192.0.2.{host}" for host in range(first, first + 8)]
        return len([record async for record in a.scan(targets)])

    async def main(server: FaultyServer) -> None:
        settings = auditor.Settings(
            servers=f"127.0.0.1:{server.port}", qps=qps, spf=False, server_check=False
        )
        async with auditor.Auditor(settings) as a:
            began = time.monotonic()
            found = await asyncio.gather(*(scan(a, 1 + 8 * number) for number in range(4)))
            # A slow machine asks more slowly, and that is within the rate as well.
            allowed = qps * (time.monotonic() - began + 0.02)
        assert found == [8] * 4
        assert 64 <= len(server.queries) <= allowed + 1

    with FaultyServer(ZONE) as server:
        run(main(server))
