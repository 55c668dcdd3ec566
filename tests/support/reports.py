"""Records for reports, what a report holds, and the curve that its maps follow."""

from __future__ import annotations

import base64
import re
import zlib
from functools import cache
from typing import TYPE_CHECKING, Any

import orjson

from auditor.findings.catalogue import entry
from auditor.wire.addresses import parse_address
from auditor.wire.reverse import reverse_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from pathlib import Path

__all__ = ["address_record", "curve", "data_of", "domain_record", "spf_fact", "write_records"]


def address_record(
    target: str,
    *codes: str,
    names: Sequence[str] = (),
    spf: Sequence[dict[str, Any]] = (),
    labels: dict[str, str] | None = None,
) -> dict[str, Any]:
    """Return the record of an address with some findings, each about its first name."""
    subject = names[0] if names else target
    confirms = not any(code.startswith("FORWARD_") for code in codes)
    return {
        "target": target,
        "kind": "ip",
        "verdict": _verdict(codes),
        "findings": [_finding(code, subject) for code in codes],
        "ptr": {
            "status": "NOERROR" if names else "NXDOMAIN",
            "names": [*names],
            "chain": [],
            "owner": reverse_name(target) if parse_address(target) else f"{target}.in-addr.arpa",
            "zone": None if names else "in-addr.arpa",
        },
        "helo": None,
        "iprev": {
            "result": "pass" if names else "permerror",
            "names": [
                {
                    "name": name,
                    "status": "NOERROR" if confirms else "NXDOMAIN",
                    "addresses": [target] if confirms else [],
                    "confirms": confirms,
                }
                for name in names
            ],
        },
        "spf": [*spf],
        "domain": None,
        "labels": labels or {},
        "error": None,
    }


def domain_record(target: str, *codes: str) -> dict[str, Any]:
    """Return the record of a domain with a policy and without MX hosts."""
    nothing = {"status": "NODATA", "list": []}
    policy = {"status": "NOERROR", "record": "v=spf1 mx -all", "lookups": 1, "voids": 0}
    return {
        **address_record(target, *codes),
        "kind": "domain",
        "ptr": None,
        "iprev": None,
        "domain": {
            "addresses": nothing,
            "mx": {"status": "NODATA", "hosts": []},
            "spf": {**policy, "addresses_v4": 1, "addresses_v6": 0},
        },
    }


def spf_fact(
    identity: str, domain: str, result: str, explanation: str | None = None
) -> dict[str, Any]:
    """Return one SPF result of a record."""
    return {
        "identity": identity,
        "domain": domain,
        "result": result,
        "mechanism": None,
        "lookups": 0,
        "voids": 0,
        "record": None,
        "explanation": explanation,
    }


def write_records(path: Path, records: Iterable[dict[str, Any]]) -> str:
    """Write records as results, and return their name."""
    path.write_bytes(b"".join(orjson.dumps(record) + b"\n" for record in records))
    return str(path)


def data_of(page: bytes) -> dict[str, Any]:
    """Return what a report holds for its maps and tables."""
    found = re.findall(rb'<script type="application/octet-stream" id="data">(.*?)</script>', page)
    assert len(found) == 1
    data: dict[str, Any] = orjson.loads(zlib.decompress(base64.b64decode(found[0], validate=True)))
    return data


@cache
def curve(order: int) -> tuple[tuple[int, int], ...]:
    """Return the cells (column, row) of a Hilbert curve of 2^order a side, as it runs.

    By its definition: from the top left corner to the bottom left one, four smaller ones of
    which the first and the last are mirrored.
    """
    if not order:
        return ((0, 0),)
    part, side = curve(order - 1), 1 << (order - 1)
    last = side - 1
    return (
        *((row, column) for column, row in part),
        *((column + side, row) for column, row in part),
        *((column + side, row + side) for column, row in part),
        *((last - row, last - column + side) for column, row in part),
    )


def _finding(code: str, subject: str) -> dict[str, str]:
    return {"code": code, "severity": entry(code).severity, "subject": subject}


def _verdict(codes: Iterable[str]) -> str:
    entries = [entry(code) for code in codes]
    if any(each.severity == "error" for each in entries):
        return "fail"
    if any(each.undetermined for each in entries):
        return "unknown"
    return "warn" if any(each.severity == "warning" for each in entries) else "pass"
