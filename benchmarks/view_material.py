"""Records for the benchmarks of views: `python -m benchmarks.view_material FOLDER --records N`.

A /16 like that of an ISP is scanned from zone files, and its records are repeated for other
blocks, with the octets changed. Of 32 addresses 20 have generic names, 5 have none, 4 are mail
hosts with an SPF record, one has a name without address, one a name with another address, and one
has two names. It writes OLD and NEW (in which one record in a hundred differs, one in two hundred
is missing, and as many are new), NEW in another order, and that with another verdict everywhere.
"""

from __future__ import annotations

import argparse
import math
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import zstandard

from benchmarks.measure import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ALL_CHANGED", "NEW", "OLD", "OLD_ZSTD", "SHUFFLED", "make"]

OLD: Final = "old.ndjson"
NEW: Final = "new.ndjson"
SHUFFLED: Final = "shuffled.ndjson"
ALL_CHANGED: Final = "changed.ndjson"
OLD_ZSTD: Final = f"{OLD}.zst"

_HEAD: Final = (
    "@ 3600 IN SOA ns.isp.net. hostmaster.isp.net. 1 3600 600 86400 300\n@ IN NS ns.isp.net.\n"
)
_BLOCK: Final = 1 << 16
_SECOND: Final = 30
#: One record in this many differs in NEW, is missing in NEW, is missing in OLD.
_CHANGED: Final = 100
_MOVED: Final = 200
_OTHER: Final = {b"pass": b"warn", b"warn": b"fail", b"fail": b"unknown", b"unknown": b"pass"}
_STEP: Final = 514_229  # a prime, so that the steps meet every record once
_GENERIC, _MISSING, _MAIL, _DEAD, _ELSEWHERE = 20, 25, 29, 30, 31


def _hosts(third: int, fourth: int) -> tuple[list[str], str]:
    """Return the names of an address, and the address of the first of them."""
    kind = (third * 7 + fourth) % 32
    address = f"20.{_SECOND}.{third}.{fourth}"
    dashed = address.replace(".", "-")
    if kind < _GENERIC:
        return [f"host-{dashed}.dyn.isp.net"], address
    if kind < _MISSING:
        return [], ""
    if kind < _MAIL:
        return [f"mx-{third}-{fourth}.mail.customer-{third % 50}.com"], address
    if kind < _DEAD:
        return [f"gone-{dashed}.isp.net"], ""
    if kind < _ELSEWHERE:
        return [f"moved-{dashed}.isp.net"], f"20.{_SECOND}.{third}.1"
    return [f"a-{dashed}.isp.net", f"b-{dashed}.isp.net"], address


def _write_zones(folder: Path) -> None:
    reverse, isp, customers = [_HEAD], [_HEAD], [_HEAD]
    for third in range(256):
        for fourth in range(256):
            names, address = _hosts(third, fourth)
            for name in names:
                reverse.append(f"{fourth}.{third} 3600 IN PTR {name}.\n")
                zone = isp if name.endswith(".isp.net") else customers
                if address:
                    zone.append(f"{name}. 3600 IN A {address}\n")
                if zone is customers:
                    zone.append(f'{name}. 3600 IN TXT "v=spf1 a mx -all"\n')
    origins = {f"{_SECOND}.20.in-addr.arpa": reverse, "isp.net": isp, "com": customers}
    for origin, lines in origins.items():
        (folder / f"{origin}.zone").write_text(f"$ORIGIN {origin}.\n{''.join(lines)}")


def _scan(folder: Path) -> list[bytes]:
    """Return the records of the block as templates, in which `%b` is the second octet."""
    zones = folder / "zones"
    zones.mkdir(parents=True)
    _write_zones(zones)
    output = folder / "block.ndjson"
    command = [sys.executable, "-m", "auditor", "scan", "-q", "--zones", str(zones)]
    subprocess.run([*command, f"20.{_SECOND}.0.0/16", "-o", str(output)], check=True, cwd=ROOT)
    text = output.read_bytes().replace(b"%", b"%%")
    for mark in (b"20.%d.", b"20-%d-"):
        text = text.replace(mark % _SECOND, mark.replace(b"%d", b"%(o)b"))
    return text.split(b"\n")[:-1]


def _record(templates: list[bytes], number: int) -> bytes:
    block, place = divmod(number, _BLOCK)
    return templates[place] % {b"o": b"%d" % block}


def _new(templates: list[bytes], numbers: Iterator[int], changed: int) -> Iterator[bytes]:
    for number in numbers:
        if number % _MOVED == 1:
            continue
        line = _record(templates, number)
        yield _changed(line) if number % changed == 0 else line


def _changed(line: bytes) -> bytes:
    """Return a record with another verdict, and another status if it has no name."""
    head, mark, rest = line.partition(b'"verdict":"')
    verdict, quote, rest = rest.partition(b'"')
    other = _OTHER[verdict]
    return head + mark + other + quote + rest.replace(b'"status":"NXDOMAIN"', b'"status":"NODATA"')


def _write(path: Path, lines: Iterator[bytes]) -> None:
    with path.open("wb") as file:
        for line in lines:
            file.write(line + b"\n")


def make(folder: Path, records: int) -> None:
    """Write OLD, NEW and SHUFFLED of about `records` records into `folder`."""
    templates = _scan(folder)
    old = (number for number in range(records) if number % _MOVED != 2)
    _write(folder / OLD, (_record(templates, number) for number in old))
    with (folder / OLD).open("rb") as plain, (folder / OLD_ZSTD).open("wb") as packed:
        zstandard.ZstdCompressor().copy_stream(plain, packed)
    _write(folder / NEW, _new(templates, iter(range(records)), _CHANGED))
    step = next(step for step in range(_STEP, _STEP + records) if math.gcd(step, records) == 1)
    order = [number * step % records for number in range(records)]
    _write(folder / SHUFFLED, _new(templates, iter(order), _CHANGED))
    _write(folder / ALL_CHANGED, _new(templates, iter(order), 1))


def main() -> None:
    """Write the files that the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.view_material")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--records", type=int, required=True)
    arguments = parser.parse_args()
    make(arguments.folder, arguments.records)


if __name__ == "__main__":
    main()
