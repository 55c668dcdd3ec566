"""Users' kinds of targets: names in domains of their own, two names, aliases, mixed, domains.

20.30.0.0/16 has four /18s: clean (a name each in one domain), names each in a domain of its
own, two names in one domain, and PTR records behind an alias (RFC 2317). 20.31.0.0/18 is mixed: of
64 addresses 16 have no name, 18 a generic one, 20 a name in a customer's domain with a policy, 4 a
name without address, 2 a name with another address, 2 two names and 2 an alias.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from benchmarks.material import DOMAIN, PAIRS, host

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["ADDRESSES", "BLOCKS", "DOMAINS", "HELO_DOMAINS", "write_work_zones"]

#: Of each of BLOCKS.
ADDRESSES: Final = 1 << 14
BLOCKS: Final = {
    "clean": "20.30.0.0/18",
    "own domains": "20.30.64.0/18",
    "two names": "20.30.128.0/18",
    "alias": "20.30.192.0/18",
    "mixed": "20.31.0.0/18",
}
DOMAINS: Final = 10_000
HELO_DOMAINS: Final = 2_500

_HEAD: Final = "@ 3600 IN SOA ns 1 1 3600 600 86400 300\n@ 3600 IN NS ns\nns 3600 IN A 20.30.0.1\n"
_MIXED: Final = (
    *("none",) * 16,
    *("generic",) * 18,
    *("own",) * 20,
    *("nowhere",) * 4,
    *("elsewhere",) * 2,
    *("two",) * 2,
    *("alias",) * 2,
)
#: Odd, so that the kinds alternate as in a real block.
_STEP: Final = 37


class _Zones:
    """The lines of the zones, by origin."""

    def __init__(self) -> None:
        self.lines: dict[str, list[str]] = {}

    def add(self, origin: str, owner: str, data: str) -> None:
        self.lines.setdefault(origin, [_HEAD]).append(f"{owner} 3600 IN {data}\n")

    def name(self, second: int, third: int, fourth: int, kind: str) -> None:
        """Add the records of an address."""
        reverse, owner = f"{second}.20.in-addr.arpa", f"{fourth}.{third}"
        address = f"20.{second}.{third}.{fourth}"
        plain = host(second, third, fourth).removesuffix(f".{DOMAIN}")
        if kind == "none":
            return
        if kind == "own":
            domain = f"{plain}-mail"
            self.add(reverse, owner, f"PTR mx.{domain}.com.")
            self.add("com", f"mx.{domain}", f"A {address}")
            self.add("com", f"mx.{domain}", 'TXT "v=spf1 a -all"')
            return
        if kind == "generic":
            plain = f"host-{address.replace('.', '-')}.dyn"
        if kind == "alias":
            self.add(reverse, owner, f"CNAME {fourth}.0-255.{third}")
            owner = f"{fourth}.0-255.{third}"
        names = [plain, f"{plain}-b"] if kind == "two" else [plain]
        for each in names:
            self.add(reverse, owner, f"PTR {each}.{DOMAIN}.")
            if kind != "nowhere":
                self.add(DOMAIN, each, f"A {'20.31.0.1' if kind == 'elsewhere' else address}")


def write_work_zones(folder: Path) -> Path:
    """Write the zones of BLOCKS, of DOMAINS domains and of HELO_DOMAINS HELO names."""
    folder.mkdir(parents=True)
    zones = _Zones()
    for third in range(256):
        kind = ("clean", "own", "two", "alias")[third >> 6]
        for fourth in range(256):
            zones.name(30, third, fourth, kind)
            if third < 64:
                place = (third * 256 + fourth) * _STEP % len(_MIXED)
                zones.name(31, third, fourth, _MIXED[place])
    for number in range(DOMAINS):
        zones.add("net", f"d{number}", f"MX 10 mx{number % 50}.{DOMAIN}.")
        policy = f"v=spf1 mx ip4:20.30.{number % 256}.0/24 include:_spf{number % 20}.{DOMAIN} -all"
        zones.add("net", f"d{number}", f'TXT "{policy}"')
    for number in range(50):
        zones.add(DOMAIN, f"mx{number}", f"A 20.30.0.{number}")
        zones.add(DOMAIN, f"_spf{number}", f'TXT "v=spf1 ip4:20.30.{number}.0/24 ~all"')
    for number in range(HELO_DOMAINS):
        name = f"{PAIRS[number % 256]}{PAIRS[number // 256]}"
        zones.add("org", name, f'TXT "v=spf1 ip4:20.30.0.0/16 ip4:192.0.2.{number % 256} -all"')
    for origin, lines in zones.lines.items():
        (folder / f"{origin}.zone").write_text(f"$ORIGIN {origin}.\n{''.join(lines)}", "ascii")
    domains = "".join(f"d{number}.net\n" for number in range(DOMAINS))
    (folder / "domains.txt").write_text(domains, "ascii")
    rows = ["address,helo\n"]
    for number in range(ADDRESSES):
        at = number % HELO_DOMAINS
        helo = f"{PAIRS[at % 256]}{PAIRS[at // 256]}.org"
        rows.append(f"20.30.{number >> 8}.{number & 255},{helo}\n")
    (folder / "helos.csv").write_text("".join(rows), "ascii")
    return folder
