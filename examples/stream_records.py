"""Records as they come, in an asyncio program: one line for each target that is not in order.

python examples/stream_records.py 198.51.100.40-198.51.100.55
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
from pathlib import Path

import auditor

ZONES = Path(__file__).parent / "fleet" / "zones"


async def main(targets: list[str]) -> None:
    """Scan `targets` and print what is wrong with each."""
    # Without `zones`, the servers of the system are asked; `servers=` names others.
    settings = auditor.Settings(zones=ZONES)
    # aclosing ends the scan at once if the loop is left early, by `break` or an exception.
    async with contextlib.aclosing(auditor.scan(targets, settings)) as records:
        async for record in records:
            if record["verdict"] != "pass":
                codes = [finding["code"] for finding in record["findings"]]
                print(f"{record['target']:<16} {record['verdict']:<8} {', '.join(codes)}")


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:] or ["198.51.100.40-198.51.100.55"]))
