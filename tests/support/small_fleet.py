"""Some hundred addresses with sound names, as records of a zone, and their PTR owner names."""

from __future__ import annotations

from typing import Final

from auditor.wire.reverse import reverse_name

__all__ = ["ADDRESSES", "BROKEN_NET", "HOSTS", "ZONE", "is_broken"]

#: The third octets of the /24s of the fleet, 20.1.0.0/20, and the last octets of each.
_NETS: Final = range(12)
HOSTS: Final = range(1, 41)

#: The /24 that fails where a test wants one to.
BROKEN_NET: Final = 3

ADDRESSES: Final = [f"20.1.{net}.{host}" for net in _NETS for host in HOSTS]


def is_broken(name: str) -> bool:
    """Tell whether a name is in the reverse zone of `BROKEN_NET`."""
    return name.endswith(f".{BROKEN_NET}.1.20.in-addr.arpa")


def _records(address: str) -> str:
    name = "h" + address.replace(".", "-") + ".example.net."
    return f"{reverse_name(address)}. 300 PTR {name}\n{name} 300 A {address}\n"


ZONE: Final = "".join(map(_records, ADDRESSES))
