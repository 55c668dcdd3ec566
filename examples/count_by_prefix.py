"""A table of verdicts by prefix: which part of a block needs work.

python examples/count_by_prefix.py 27 198.51.100.0/24

Targets may come from anywhere, a database for instance: they are read as they are needed.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter, defaultdict
from ipaddress import ip_network
from pathlib import Path
from typing import TYPE_CHECKING

import auditor

if TYPE_CHECKING:
    from collections.abc import Iterator

ZONES = Path(__file__).parent / "fleet" / "zones"
VERDICTS = ("pass", "warn", "unknown", "fail")


def addresses(prefix: str) -> Iterator[str]:
    """Yield the addresses of a prefix, one by one."""
    yield from map(str, ip_network(prefix))


async def main(length: int, prefix: str) -> None:
    """Print the verdicts on the addresses of `prefix`, for each prefix of `length` in it."""
    table: dict[str, Counter[str]] = defaultdict(Counter)
    async for record in auditor.scan(addresses(prefix), auditor.Settings(zones=ZONES)):
        part = ip_network(f"{record['target']}/{length}", strict=False)
        table[str(part)][record["verdict"]] += 1
    print(f"{'prefix':<20}" + "".join(f"{verdict:>9}" for verdict in VERDICTS))
    for part_name, counts in table.items():
        print(f"{part_name:<20}" + "".join(f"{counts[verdict]:>9}" for verdict in VERDICTS))


if __name__ == "__main__":
    given = sys.argv[1:] or ["27", "198.51.100.0/24"]
    asyncio.run(main(int(given[0]), given[1]))
