"""Checks that the names and addresses of a record are valid, for code that acts on them."""

from __future__ import annotations

from socket import AF_INET, AF_INET6, inet_pton
from typing import TYPE_CHECKING, Any

from auditor.errors import WireError
from auditor.wire.names import normalise

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["odd_name"]


def odd_name(record: Mapping[str, Any]) -> str | None:
    """Return the first invalid name or address of a record, None if all are valid.

    HELO names, domains of SPF identities and names that were expected may be anything.
    """
    if record["kind"] == "invalid":
        return None
    addresses, names = [], []
    for holder in _holders(record):
        if "address" in holder:
            addresses.append(holder["address"])
        ptr, forward = holder["ptr"], holder["iprev"]["names"]
        names += [*ptr["names"], *ptr["chain"], *filter(None, (ptr["owner"], ptr["zone"]))]
        names += [name["name"] for name in forward]
        addresses += [address for name in forward for address in name["addresses"]]
    if record["kind"] == "ip":
        addresses.append(record["target"])
    else:
        names += [record["target"], *(host["name"] for host in record["domain"]["mx"]["hosts"])]
    if record["helo"]:
        addresses += record["helo"]["addresses"]
    findings = record["findings"]
    names += [finding["subject"] for finding in findings if finding["code"] == "DELEGATION_MISSING"]
    odd = [text for text in addresses if not _is_address(text)]
    odd += [text for text in names if not _is_name(text)]
    return odd[0] if odd else None


def _holders(record: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """Yield what has a PTR and names that lead back, or not: an address, or those of a domain."""
    if record["kind"] == "ip":
        yield record
    else:
        yield from record["domain"]["addresses"]["list"]
        for host in record["domain"]["mx"]["hosts"]:
            yield from host["addresses"]


def _is_address(text: str) -> bool:
    try:
        inet_pton(AF_INET6 if ":" in text else AF_INET, text)
    except (OSError, ValueError):
        return False
    return True


def _is_name(text: str) -> bool:
    try:
        normalise(text)
    except WireError:
        return False
    return True
