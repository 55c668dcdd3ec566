"""Changes of own zones in the formats of the tools that apply them.

Each function returns files by name. `zone` and `nsupdate` files state what the zone holds before,
and overwrite nothing else; the others describe the record sets as they should become.
"""

from __future__ import annotations

import csv
import io
import json
import re
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final, cast

from auditor.output.csv_writer import guarded
from auditor.wire.codes import MX, PTR, TXT
from auditor.wire.master_file import absolute_name

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from auditor.fix.changes import Change
    from auditor.resolve.answer import Rdata

__all__ = ["FORMATS", "safe_name"]

_SAFE: Final = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_@")
_DIGITS: Final = re.compile(r"([0-9]+)")
_MAX_FILE_NAME: Final = 200  # characters, so that an ending still fits


def safe_name(text: str) -> str:
    """Return a text as the name of a file: other characters as `=HEX`."""
    octets = "".join(
        character
        if character in _SAFE
        else "".join(f"={octet:02X}" for octet in character.encode())
        for character in text
    )
    return octets[:_MAX_FILE_NAME]


def _by_zone(changes: Sequence[Change]) -> Iterator[tuple[str, list[Change]]]:
    ordered = sorted(changes, key=lambda change: change.responsible.zone)
    for zone, group in groupby(ordered, key=lambda change: change.responsible.zone):
        yield zone, list(group)


def nsupdate(changes: Sequence[Change]) -> dict[str, bytes]:
    """Return a script for `nsupdate`, with one update a record set (RFC 2136).

    Names get their addresses before PTR records lead to them.
    """
    lines = []
    for change in sorted(changes, key=lambda change: change.rdtype == PTR):
        owner = absolute_name(change.owner)
        lines.append(f"zone {absolute_name(change.responsible.zone)}")
        lines += [f"prereq {prerequisite}" for prerequisite in change.prerequisites()]
        lines += [
            f"update delete {owner} IN {change.type} {change.text(value)}"
            for value in change.deleted
        ]
        lines += [
            f"update add {owner} {change.ttl} IN {change.type} {change.text(value)}"
            for value in change.added
        ]
        lines.append("send")
    return {"mine.nsupdate": "".join(f"{line}\n" for line in lines).encode("ascii")}


def powerdns(changes: Sequence[Change]) -> dict[str, bytes]:
    """Return the bodies of PATCH requests for the PowerDNS API, one a zone."""
    return {
        f"mine.powerdns/{safe_name(zone)}.json": _json(
            {"rrsets": [_powerdns_rrset(change) for change in of_zone]}
        )
        for zone, of_zone in _by_zone(changes)
    }


def _powerdns_rrset(change: Change) -> dict[str, Any]:
    rrset = {"name": absolute_name(change.owner), "type": change.type}
    if not change.after:
        return {**rrset, "changetype": "DELETE"}
    records = [{"content": change.text(value), "disabled": False} for value in change.after]
    return {**rrset, "changetype": "REPLACE", "ttl": change.ttl, "records": records}


def octodns(changes: Sequence[Change]) -> dict[str, bytes]:
    """Return the changed record sets as octoDNS's YamlProvider reads them, one file a zone.

    JSON is YAML, so that no name needs quotes of YAML; the keys are in the
    order that octoDNS enforces.
    """
    return {
        f"mine.octodns/{safe_name(zone)}.yaml": _json(_octodns_zone(zone, of_zone))
        for zone, of_zone in _by_zone(changes)
    }


def _octodns_zone(zone: str, changes: Sequence[Change]) -> dict[str, Any]:
    by_zone: dict[str, list[dict[str, Any]]] = {}
    for change in changes:
        if change.after:
            entry = {
                "ttl": change.ttl,
                "type": change.type,
                "values": [_octodns_value(change, value) for value in change.after],
            }
            by_zone.setdefault(_label(change, zone, ""), []).append(entry)
    return dict(sorted(by_zone.items(), key=lambda item: _natural(item[0])))


def _natural(text: str) -> list[str | int]:
    """Return what sorts texts as octoDNS wants its keys: 9 before 10."""
    return [int(part) if part.isdigit() else part for part in _DIGITS.split(text)]


def _octodns_value(change: Change, value: Rdata) -> Any:
    if change.rdtype == TXT:  # one text, whose semicolons are escaped
        return _joined(value).replace("\\", "\\\\").replace(";", "\\;")
    if change.rdtype == MX:
        preference, host = cast("tuple[int, str]", value)
        return {"preference": preference, "exchange": absolute_name(host)}
    return change.text(value)


def dnscontrol(changes: Sequence[Change]) -> dict[str, bytes]:
    """Return what to merge into a `dnsconfig.js`: new records as D_EXTEND, old ones to take out."""
    lines = []
    for zone, of_zone in _by_zone(changes):
        for change in of_zone:
            lines += [
                f"// Take out of {_js(zone)}: {_dnscontrol(change, value, zone)}"
                for value in change.deleted
            ]
        records = [
            f"  {_dnscontrol(change, value, zone)}" for change in of_zone for value in change.added
        ]
        if records:
            lines += [f"D_EXTEND({_js(zone)},", ",\n".join(records), ");"]
    return {"mine.dnscontrol.js": "".join(f"{line}\n" for line in lines).encode("ascii")}


def _dnscontrol(change: Change, value: Rdata, zone: str) -> str:
    values: list[str | int]
    if change.rdtype == TXT:
        values = [_joined(value)]
    elif change.rdtype == MX:
        preference, host = cast("tuple[int, str]", value)
        values = [preference, absolute_name(host)]
    else:
        values = [change.text(value)]
    arguments = ", ".join(map(_js, (_label(change, zone, "@"), *values)))
    return f"{change.type}({arguments}, TTL({change.ttl}))"


def csv_table(changes: Sequence[Change]) -> dict[str, bytes]:
    """Return the lines of the plan as a table, safe for spreadsheets."""
    text = io.StringIO()
    out = csv.writer(text, lineterminator="\r\n")
    out.writerow(["zone", "owner", "op", "type", "value", "ttl", "why", "target"])
    for change in changes:
        for line in change.lines():
            cells = [line["zone"], line["owner"], line["op"], line["type"], line["value"]]
            cells += [str(line["ttl"]), " ".join(line["why"]), line["target"]]
            out.writerow(map(guarded, cells))
    return {"mine.csv": text.getvalue().encode("ascii")}


def _label(change: Change, zone: str, apex: str) -> str:
    """Return the owner relative to its zone."""
    owner = absolute_name(change.owner).removesuffix(".")
    origin = absolute_name(zone).removesuffix(".")
    return apex if owner == origin else owner.removesuffix(f".{origin}")


def _joined(value: Rdata) -> str:
    """Return the text of a TXT record in one piece."""
    return b"".join(cast("tuple[bytes, ...]", value)).decode("latin-1")


def _js(value: str | int) -> str:
    """Return a value as a literal of JavaScript, in ASCII and without line ends."""
    return json.dumps(value)


def _json(value: object) -> bytes:
    return f"{json.dumps(value, indent=2)}\n".encode("ascii")


#: What makes files of changes, by the format's name; `zone` also needs the zones' own files.
FORMATS: Final[dict[str, Callable[[Sequence[Change]], dict[str, bytes]]]] = {
    "nsupdate": nsupdate,
    "powerdns": powerdns,
    "octodns": octodns,
    "dnscontrol": dnscontrol,
    "csv": csv_table,
}
