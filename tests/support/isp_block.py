"""A made /16 of an ISP, 185.12.0.0/16, as records: pools, customers, dead and unused space.

| third octet | what is there |
| --- | --- |
| 0 to 63 | a pool named after the whole address (PTR_GENERIC) |
| 64 to 95 | a pool named srv-{3}-{4}, which only its neighbours show to be generic |
| 96 to 111 | the same pool without forward records |
| 112 to 127 | customers' own names, some of which point elsewhere, beside unnamed addresses |
| 128 to 135 | delegated to customers by alias (RFC 2317) |
| 136 to 143 | a delegation whose servers are dead |
| 144 to 159 | unused: no PTR record, in the zone of the /16 |
| 160 to 175 | unused, and not delegated: the registry's zone answers |
| 176 to 255 | half a pool, half without names |
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SEEDED", "isp_block"]

#: Faults that are in there, each with a prefix that has it as a whole.
SEEDED: Final = {
    "PTR_GENERIC": "185.12.0.0/18",
    "FORWARD_MISSING": "185.12.96.0/20",
    "PTR_UNDETERMINED": "185.12.136.0/21",
    "PTR_MISSING": "185.12.144.0/20",
}
#: What is there, up to which third octet.
_KINDS: Final = {
    "dynamic": 64,
    "servers": 96,
    "no forward": 112,
    "customers": 128,
    "aliases": 136,
    "dead": 144,
    "unused": 160,
    "undelegated": 176,
    "half": 256,
}
_ISP: Final = "isp.example"
_RECORD: Final = (
    '{"target":"%s","kind":"ip","verdict":"%s","findings":[%s],"ptr":{"status":"%s","names":[%s],'
    '"chain":[%s],"owner":"%s","zone":%s},"helo":null,"iprev":{"result":"%s","names":[%s]},'
    '"spf":[],"domain":null,"labels":{"site":"%s"},"error":null}'
)


def isp_block() -> Iterator[bytes]:
    """Yield the records as lines, by address."""
    for third in range(256):
        for fourth in range(256):
            yield _line(third, fourth).encode()


def _line(third: int, fourth: int) -> str:
    address = f"185.12.{third}.{fourth}"
    kind = next(kind for kind, after in _KINDS.items() if third < after)
    server = f"srv-{third}-{fourth}.pool.{_ISP}"
    if kind == "customers" and fourth % 4 == 0:
        line = _customer(address, third, fourth)
    elif kind == "dynamic":
        line = _named(address, f"185-12-{third}-{fourth}.dyn.{_ISP}", "warn", "PTR_GENERIC")
    elif kind == "servers" or (kind == "half" and fourth < 128):
        line = _named(address, server)
    elif kind == "no forward":
        line = _named(address, server, "fail", "FORWARD_MISSING")
    elif kind == "aliases":
        alias = f"{fourth}.0-255.{third}.12.185.in-addr.arpa"
        line = _named(address, f"host{fourth * 3}.tenant.example", alias=alias)
    elif kind == "dead":
        line = _record(address, "unknown", "PTR_UNDETERMINED", "SERVFAIL", iprev="temperror")
    else:
        zone = "185.in-addr.arpa" if kind == "undelegated" else "12.185.in-addr.arpa"
        line = _unnamed(address, third, fourth, zone)
    return line


def _customer(address: str, third: int, fourth: int) -> str:
    customer = f"customer{third}.example"
    if fourth % 16:
        return _named(address, f"{'mail' if fourth % 8 else 'www'}{fourth * 7}.{customer}")
    return _named(address, f"old{fourth * 7}.{customer}", "fail", "FORWARD_MISMATCH")


def _unnamed(address: str, third: int, fourth: int, zone: str) -> str:
    owner = f"{fourth}.{third}.12.185.in-addr.arpa"
    return _record(address, "fail", "PTR_MISSING", "NXDOMAIN", owner=owner, zone=f'"{zone}"')


def _named(
    address: str, name: str, verdict: str = "pass", code: str = "", *, alias: str = ""
) -> str:
    return _record(address, verdict, code, "NOERROR", name=name, alias=alias)


def _record(
    address: str,
    verdict: str,
    code: str,
    status: str,
    *,
    name: str = "",
    alias: str = "",
    owner: str = "",
    zone: str = "null",
    iprev: str = "",
) -> str:
    confirms = verdict != "fail"
    severity = "warning" if verdict == "warn" else "error"
    finding = f'{{"code":"{code}","severity":"{severity}","subject":"{name or address}"}}'
    forward = f'{{"name":"{name}","status":"NOERROR","addresses":["{address}"],"confirms":true}}'
    gone = f'{{"name":"{name}","status":"NXDOMAIN","addresses":[],"confirms":false}}'
    result = iprev or ("permerror" if not name else "pass" if confirms else "fail")
    third = int(address.split(".")[2])
    return _RECORD % (
        address,
        verdict,
        finding if code else "",
        status,
        f'"{name}"' if name else "",
        f'"{alias}"' if alias else "",
        alias or owner or ".".join(reversed(address.split("."))) + ".in-addr.arpa",
        zone,
        result,
        (forward if confirms else gone) if name else "",
        ("ams", "fra", "lon")[third * 3 // 256],
    )
