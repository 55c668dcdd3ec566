"""Material of the benchmarks: hosts, their zones, and lists of names.

Every address of 20.0.0.0/8 has a host whose name is letters only, two to every four bits of
the address, so that no finding fires: 20.30.1.2 is `sobacobaduba.isp.net`. The range is
global; no packet for it leaves loopback.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

__all__ = [
    "BLOCK",
    "DOMAIN",
    "PAIRS",
    "addresses",
    "host",
    "hosts",
    "reverse_names",
    "write_lines",
    "write_wildcards",
    "write_zones",
]

BLOCK: Final = "20.30.0.0/16"
DOMAIN: Final = "isp.net"

_SYLLABLES: Final = (
    *("ba", "co", "du", "fe", "gi", "ka", "lo", "mu"),
    *("ne", "pi", "ra", "so", "tu", "ve", "wi", "zo"),
)

#: The four letters of every octet.
PAIRS: Final = tuple(high + low for high in _SYLLABLES for low in _SYLLABLES)

_HEAD: Final = """$ORIGIN {origin}.
$TTL 3600
@ IN SOA ns.isp.net. hostmaster.isp.net. 1 3600 600 86400 300
@ IN NS ns.isp.net.
"""


def host(second: int, third: int, fourth: int) -> str:
    """Return the name of 20.`second`.`third`.`fourth`."""
    return f"{PAIRS[second]}{PAIRS[third]}{PAIRS[fourth]}.{DOMAIN}"


def _block() -> Iterator[tuple[int, int]]:
    return ((third, fourth) for third in range(256) for fourth in range(256))


def hosts() -> Iterator[str]:
    """Return the host names of `BLOCK`, in order."""
    return (host(30, third, fourth) for third, fourth in _block())


def addresses() -> Iterator[str]:
    """Return the addresses of `BLOCK`, in order."""
    return (f"20.30.{third}.{fourth}" for third, fourth in _block())


def reverse_names() -> Iterator[str]:
    """Return the owner names of the PTR records of `BLOCK`, in order."""
    return (f"{fourth}.{third}.30.20.in-addr.arpa" for third, fourth in _block())


def write_zones(folder: Path, *, txt: str | None = None, server: str = "20.30.0.1") -> Path:
    """Write the zones of `BLOCK`: PTR and A for every address, and the TXT record `txt` if given.

    `server`: the address of their name server.
    """
    folder.mkdir(parents=True)
    with (folder / "30.20.in-addr.arpa.zone").open("w", encoding="ascii") as file:
        file.write(_HEAD.format(origin="30.20.in-addr.arpa"))
        for third, fourth in _block():
            file.write(f"{fourth}.{third} IN PTR {host(30, third, fourth)}.\n")
    with (folder / f"{DOMAIN}.zone").open("w", encoding="ascii") as file:
        file.write(_HEAD.format(origin=DOMAIN) + f"ns IN A {server}\n")
        for third, fourth in _block():
            owner = host(30, third, fourth)
            file.write(f"{owner}. IN A 20.30.{third}.{fourth}\n")
            if txt is not None:
                file.write(f'{owner}. IN TXT "{txt}"\n')
    return folder


def write_wildcards(folder: Path) -> Path:
    """Write zones in which every address of 20.0.0.0/8 has the same PTR record."""
    folder.mkdir(parents=True)
    reverse = _HEAD.format(origin="20.in-addr.arpa") + f"* IN PTR mail.{DOMAIN}.\n"
    (folder / "20.in-addr.arpa.zone").write_text(reverse, "ascii")
    forward = _HEAD.format(origin=DOMAIN) + "ns IN A 20.30.0.1\nmail IN A 20.30.0.1\n"
    (folder / f"{DOMAIN}.zone").write_text(forward, "ascii")
    return folder


def write_lines(path: Path, lines: Iterable[str]) -> Path:
    """Write lines to a file and return its path."""
    with path.open("w", encoding="ascii") as file:
        file.writelines(line + "\n" for line in lines)
    return path
